import unittest

from shop import Cart, Catalog, Discount, Product, render
from shop.invoice import WIDTH


class InvoiceTest(unittest.TestCase):
    def setUp(self):
        self.cart = Cart(Catalog([Product("lamp", "Lamp " * 20, 2500)]))
        self.cart.add("lamp")

    def test_every_line_fits(self):
        for line in render(self.cart).splitlines():
            self.assertEqual(len(line), WIDTH)

    def test_total_is_with_tax(self):
        self.assertTrue(render(self.cart).endswith("29.75\n"))

    def test_discount_is_named(self):
        self.assertIn("10%", render(self.cart, Discount(10)))


if __name__ == "__main__":
    unittest.main()
