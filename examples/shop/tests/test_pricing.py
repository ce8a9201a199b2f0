import unittest

from shop import Cart, Catalog, Discount, Product, total
from shop.pricing import subtotal


def cart():
    catalog = Catalog([
        Product("book", "Book", 1000, tax_percent=7),
        Product("pen", "Pen", 199),
    ])
    filled = Cart(catalog)
    filled.add("book")
    filled.add("pen", 2)
    return filled


class CartTest(unittest.TestCase):
    def test_counts_every_piece(self):
        self.assertEqual(len(cart()), 3)

    def test_adding_twice_adds_up(self):
        filled = cart()
        filled.add("pen")
        self.assertEqual(dict((p.sku, n) for p, n in filled)["pen"], 3)

    def test_nothing_cannot_be_added(self):
        with self.assertRaises(ValueError):
            cart().add("pen", 0)

    def test_removed_product_is_gone(self):
        filled = cart()
        filled.remove("book")
        self.assertEqual(subtotal(filled), 398)


class PricingTest(unittest.TestCase):
    def test_subtotal_has_no_tax(self):
        self.assertEqual(subtotal(cart()), 1398)

    def test_each_product_has_its_own_tax(self):
        # 1000 * 1.07 + 398 * 1.19 = 1543.62
        self.assertEqual(total(cart()), 1544)

    def test_discount_comes_before_tax(self):
        self.assertEqual(total(cart(), Discount(50)), 772)

    def test_discount_needs_its_minimum(self):
        self.assertEqual(total(cart(), Discount(50, minimum=1399)), 1544)

    def test_impossible_percentage_is_refused(self):
        with self.assertRaises(ValueError):
            Discount(101)


if __name__ == "__main__":
    unittest.main()
