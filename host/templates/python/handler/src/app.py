"""This file is the component: it takes events and returns events. What it does with them is in
greeting.py. The modules wit_world and componentize_py_types are made from wit/ by the build."""

from dataclasses import replace

from greeting import greet
from wit_world import exports
from wit_world.imports.types import Event


class EventHandler(exports.EventHandler):
    def handle(self, event: Event) -> list[Event]:
        # A tombstone deletes its key: it goes on as it is.
        if event.value is None:
            return [replace(event, topic=None)]
        value = greet(event.value)
        # No output: the event is filtered out.
        if value is None:
            return []
        # No topic: the first one under `to` in handler.toml. The rest stays as it is.
        return [replace(event, topic=None, value=value)]
