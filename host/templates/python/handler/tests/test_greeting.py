import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from greeting import greet  # noqa: E402 (found through the path above)


class Greeting(unittest.TestCase):
    def test_a_person_is_greeted(self):
        greeted = json.loads(greet(b'{"name":"Ada"}'))
        self.assertEqual(greeted, {"name": "Ada", "greeting": "Hello, Ada!"})

    def test_what_is_no_person_is_not(self):
        for value in [b"", b"no JSON", b"\xff", b"null", b"[]", b"{}", b'{"name":7}', b"[" * 99999]:
            self.assertIsNone(greet(value))


if __name__ == "__main__":
    unittest.main()
