"""Greetings: JSON in, JSON with one more field out. Knows nothing of events."""

import json

EXPECTED = 'expected a JSON object with a text "name"'


class BadPerson(Exception):
    """Says what is wrong with a person, for the one who reads the dead letter."""


def greet(value: bytes) -> bytes:
    """Adds `greeting` to a person, a JSON object with a text `name`."""
    try:
        person = json.loads(value.decode())
    except (ValueError, RecursionError) as error:
        raise BadPerson(f"{EXPECTED}: {error}") from error
    if not isinstance(person, dict) or not isinstance(person.get("name"), str):
        raise BadPerson(EXPECTED)
    return json.dumps(person | {"greeting": f"Hello, {person['name']}!"}).encode()
