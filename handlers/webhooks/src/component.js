// This file is the component: it takes events and returns events. What webhooks mean is in
// webhook.js.

import "./runtime/text.js";
import "./runtime/console.js";
import { BadWebhook, messages } from "./webhook.js";

function handle(event) {
  const header = event.headers.findLast(({ name }) => name === "event");
  // Posted without the header, as with curl: take it for a push.
  const kind = header === undefined ? "push" : new TextDecoder().decode(header.value);
  try {
    return messages(kind, event.value).map(({ topic, key, value }) => ({
      topic,
      key: new TextEncoder().encode(key),
      value: new TextEncoder().encode(value),
      headers: event.headers,
      timestampMs: event.timestampMs,
      source: null,
    }));
  } catch (error) {
    if (error instanceof BadWebhook) throw { tag: "permanent", val: error.message };
    throw error;
  }
}

export const fallibleEventHandler = { handle };
