"""This file is the component: it takes events and returns events. What it does with them is in
greeting.py. The modules wit_world and componentize_py_types are made from wit/ by the build."""

from dataclasses import replace

from componentize_py_types import Err
from greeting import BadPerson, greet
from wit_world import exports
from wit_world.imports.types import Event, Failure_Permanent


class FallibleEventHandler(exports.FallibleEventHandler):
    def handle(self, event: Event) -> list[Event]:
        # A tombstone deletes its key: it goes on as it is.
        if event.value is None:
            return [replace(event, topic=None)]
        try:
            # No topic: the first one under `to` in handler.toml. The rest stays as it is.
            return [replace(event, topic=None, value=greet(event.value))]
        except BadPerson as error:
            # Permanent: the event is bad and becomes a dead letter. Failure_Retryable would have
            # it tried again. Any other exception is a fault of the handler.
            raise Err(Failure_Permanent(str(error))) from error
