"""An invoice as plain text."""

from typing import Optional

from shop.cart import Cart
from shop.pricing import Discount, subtotal, total

WIDTH = 44


def money(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"


def line(left: str, right: str) -> str:
    room = WIDTH - len(right) - 1
    return f"{left[:room]:<{room}} {right}"


def render(cart: Cart, discount: Optional[Discount] = None) -> str:
    """One line a product, then the sums. Long names are cut."""
    lines = [line(f"{quantity} x {product.name}", money(product.price * quantity)) for product, quantity in cart]
    lines.append("-" * WIDTH)
    lines.append(line("Subtotal", money(subtotal(cart))))
    if discount is not None and subtotal(cart) >= discount.minimum:
        lines.append(line("Discount", f"{discount.percent}%"))
    lines.append(line("Total with tax", money(total(cart, discount))))
    return "\n".join(lines) + "\n"
