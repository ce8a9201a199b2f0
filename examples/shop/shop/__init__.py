"""Prices, carts and invoices of a small shop."""

from shop.cart import Cart
from shop.catalog import Catalog, Product
from shop.invoice import render
from shop.pricing import Discount, total

__all__ = ["Cart", "Catalog", "Discount", "Product", "render", "total"]
