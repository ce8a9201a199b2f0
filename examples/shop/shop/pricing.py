"""What a cart costs."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Optional

from shop.cart import Cart


@dataclass(frozen=True)
class Discount:
    """A percentage off everything, from a minimum sum on (cents, no tax)."""

    percent: int
    minimum: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise ValueError("percent must be from 0 to 100")


def cents(amount: Decimal) -> int:
    """Rounds half up, as receipts do."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def subtotal(cart: Cart) -> int:
    """The sum before discount and tax."""
    return sum(product.price * quantity for product, quantity in cart)


def total(cart: Cart, discount: Optional[Discount] = None) -> int:
    """What the customer pays."""
    factor = Decimal(1)
    if discount is not None and subtotal(cart) >= discount.minimum:
        factor = Decimal(100 - discount.percent) / 100
    amount = Decimal(0)
    for product, quantity in cart:
        net = product.price * quantity * factor
        amount += net * (100 + product.tax_percent) / 100
    return cents(amount)
