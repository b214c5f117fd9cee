"""CSV in, JSON objects out. Knows nothing of events."""

import csv
import io
import json
import re

NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,9})?", re.ASCII)


class BadFile(Exception):
    """Says what is wrong with a file, for the one who reads the dead letter."""


def rows(value: bytes) -> list[tuple[bytes, bytes]]:
    """The rows of a file below its first one, which names the fields: key and JSON object."""
    try:
        text = value.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadFile(f"not UTF-8 at byte {error.start}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(reader, [])
        _check_names(names)
        return [_row(names, fields, reader.line_num) for fields in reader if fields]
    except csv.Error as error:
        raise BadFile(f"line {reader.line_num}: {error}") from error


def _check_names(names: list[str]) -> None:
    if not names:
        raise BadFile("line 1: expected the names of the fields")
    for name in names:
        if not name or names.count(name) > 1:
            raise BadFile(f"line 1: field name {name!r} is empty or not the only one")


def _row(names: list[str], fields: list[str], line: int) -> tuple[bytes, bytes]:
    if len(fields) != len(names):
        raise BadFile(f"line {line}: expected {len(names)} fields, found {len(fields)}")
    row = {name: _typed(field) for name, field in zip(names, fields)}
    return fields[0].encode(), json.dumps(row, ensure_ascii=False).encode()


def _typed(field: str) -> str | int | float:
    if not NUMBER.fullmatch(field):
        return field
    return float(field) if "." in field else int(field)
