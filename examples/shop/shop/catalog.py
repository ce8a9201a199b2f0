"""What the shop sells."""

from dataclasses import dataclass
from typing import Dict, Iterable, List


@dataclass(frozen=True)
class Product:
    """One thing that can be bought. The price is in cents, without tax."""

    sku: str
    name: str
    price: int
    tax_percent: int = 19

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError(f"{self.sku}: negative price")


class Catalog:
    """Products by their SKU."""

    def __init__(self, products: Iterable[Product] = ()) -> None:
        self._products: Dict[str, Product] = {}
        for product in products:
            self.add(product)

    def add(self, product: Product) -> None:
        if product.sku in self._products:
            raise ValueError(f"{product.sku} is there already")
        self._products[product.sku] = product

    def __getitem__(self, sku: str) -> Product:
        try:
            return self._products[sku]
        except KeyError:
            raise LookupError(f"no product {sku}") from None

    def search(self, text: str) -> List[Product]:
        """Products whose name contains the text, in any case, by name."""
        wanted = text.casefold()
        found = [p for p in self._products.values() if wanted in p.name.casefold()]
        return sorted(found, key=lambda p: p.name)
