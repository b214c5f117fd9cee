import assert from "node:assert/strict";
import { test } from "node:test";

import { greet } from "../src/greeting.js";

const bytes = (text) => new TextEncoder().encode(text);

test("a person is greeted", () => {
  const greeted = new TextDecoder().decode(greet(bytes('{"name":"Ada"}')));
  assert.equal(greeted, '{"name":"Ada","greeting":"Hello, Ada!"}');
});

test("what is no person is not", () => {
  for (const json of ["", "no JSON", "null", "[]", "{}", '{"name":7}']) {
    assert.equal(greet(bytes(json)), null, json);
  }
  assert.equal(greet(Uint8Array.of(0xff)), null);
});
