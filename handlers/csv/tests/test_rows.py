import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from rows import BadFile, rows  # noqa: E402 (found through the path above)


class Rows(unittest.TestCase):
    def test_each_row_becomes_an_object(self):
        found = rows(b'sku,quantity\r\ntea,2\r\n\r\n"pot, ""red""",1.5\r\n')
        self.assertEqual([key for key, _ in found], [b"tea", b'pot, "red"'])
        objects = [json.loads(value) for _, value in found]
        self.assertEqual(objects[0], {"sku": "tea", "quantity": 2})
        self.assertEqual(objects[1], {"sku": 'pot, "red"', "quantity": 1.5})

    def test_only_plain_numbers_become_numbers(self):
        for field, value in [("-0.5", -0.5), ("007", "007"), ("1e3", "1e3"), ("", ""), ("٣", "٣")]:
            (_, row), = rows(f"k,v\nx,{field}".encode())
            self.assertEqual(json.loads(row)["v"], value)

    def test_what_is_wrong_and_where_is_named(self):
        for value, problem in [
            (b"", "line 1: expected the names"),
            (b"a,a\n1,2", "line 1: field name 'a'"),
            (b"a,b\n1,2\n3", "line 3: expected 2 fields, found 1"),
            (b'a\n"open', "line 2: "),
            (b"a\n\xff", "not UTF-8 at byte 2"),
        ]:
            with self.assertRaisesRegex(BadFile, problem):
                rows(value)


if __name__ == "__main__":
    unittest.main()
