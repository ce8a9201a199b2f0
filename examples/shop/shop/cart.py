"""What a customer is about to buy."""

from typing import Dict, Iterator, Tuple

from shop.catalog import Catalog, Product


class Cart:
    """Quantities of products, in the order in which they were added."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._quantities: Dict[str, int] = {}

    def add(self, sku: str, quantity: int = 1) -> None:
        if quantity < 1:
            raise ValueError("quantity must be at least 1")
        self._catalog[sku]
        self._quantities[sku] = self._quantities.get(sku, 0) + quantity

    def remove(self, sku: str) -> None:
        if sku not in self._quantities:
            raise LookupError(f"{sku} is not in the cart")
        del self._quantities[sku]

    def __iter__(self) -> Iterator[Tuple[Product, int]]:
        for sku, quantity in self._quantities.items():
            yield self._catalog[sku], quantity

    def __len__(self) -> int:
        return sum(self._quantities.values())
