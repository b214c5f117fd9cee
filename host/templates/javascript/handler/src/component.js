// This file is the component: it takes events and returns events. What it does with them is in
// greeting.js. Bytes are `Uint8Array`, what is not there is `null`, field names are camelCase.

import "./runtime/text.js";
import "./runtime/console.js";
import { greet } from "./greeting.js";

function handle(event) {
  // A tombstone deletes its key: it goes on as it is.
  if (event.value === null) return [{ ...event, topic: null }];
  const value = greet(event.value);
  // No output: the event is filtered out.
  if (value === null) return [];
  // No topic: the first one under `to` in handler.toml. The rest stays as it is.
  return [{ ...event, topic: null, value }];
}

export const eventHandler = { handle };
