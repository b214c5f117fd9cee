"""Greetings: JSON in, JSON with one more field out. Knows nothing of events."""

import json


def greet(value: bytes) -> bytes | None:
    """Adds `greeting` to a person, a JSON object with a text `name`; None when it is none."""
    try:
        person = json.loads(value.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(person, dict) or not isinstance(person.get("name"), str):
        return None
    return json.dumps(person | {"greeting": f"Hello, {person['name']}!"}).encode()
