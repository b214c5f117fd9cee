"""This file is the component: it takes events and returns events. What CSV is, is in rows.py."""

from componentize_py_types import Err
from rows import BadFile, rows
from wit_world import exports
from wit_world.imports.types import Event, Failure_Permanent


class FallibleEventHandler(exports.FallibleEventHandler):
    def handle(self, event: Event) -> list[Event]:
        if event.value is None:
            raise Err(Failure_Permanent("a CSV file is expected, not a tombstone"))
        try:
            return [
                # No topic: the first one under `to` in handler.toml.
                Event(None, key, value, event.headers, event.timestamp_ms, None)
                for key, value in rows(event.value)
            ]
        except BadFile as error:
            raise Err(Failure_Permanent(str(error))) from error
