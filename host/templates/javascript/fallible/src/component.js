// This file is the component: it takes events and returns events. What it does with them is in
// greeting.js. Bytes are `Uint8Array`, what is not there is `null`, field names are camelCase.

import "./runtime/text.js";
import "./runtime/console.js";
import { BadPerson, greet } from "./greeting.js";

function handle(event) {
  // A tombstone deletes its key: it goes on as it is.
  if (event.value === null) return [{ ...event, topic: null }];
  try {
    // No topic: the first one under `to` in handler.toml. The rest stays as it is.
    return [{ ...event, topic: null, value: greet(event.value) }];
  } catch (error) {
    // Permanent: the event is bad and becomes a dead letter. `retryable` would have it tried
    // again. Any other error is a fault of the handler.
    if (error instanceof BadPerson) throw { tag: "permanent", val: error.message };
    throw error;
  }
}

export const fallibleEventHandler = { handle };
