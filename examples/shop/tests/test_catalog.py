import unittest

from shop import Catalog, Product


class CatalogTest(unittest.TestCase):
    def setUp(self):
        self.catalog = Catalog([Product("t1", "Green tea", 450), Product("t2", "Black tea", 400)])

    def test_finds_by_sku(self):
        self.assertEqual(self.catalog["t1"].name, "Green tea")

    def test_unknown_sku_names_it(self):
        with self.assertRaisesRegex(LookupError, "t9"):
            self.catalog["t9"]

    def test_same_sku_twice_is_refused(self):
        with self.assertRaises(ValueError):
            self.catalog.add(Product("t1", "Other tea", 1))

    def test_search_ignores_case_and_sorts(self):
        self.assertEqual([p.sku for p in self.catalog.search("TEA")], ["t2", "t1"])

    def test_negative_price_is_refused(self):
        with self.assertRaises(ValueError):
            Product("t3", "Free tea", -1)


if __name__ == "__main__":
    unittest.main()
