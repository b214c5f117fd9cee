// What the component uses for text does as Node's own does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Utf8Decoder, Utf8Encoder } from "../src/runtime/text.js";

test("text is encoded as UTF-8", () => {
  for (const text of ["", "abc", "é€😀\u0000", "half \ud800 \udc00 pairs"]) {
    assert.deepEqual(new Utf8Encoder().encode(text), new TextEncoder().encode(text), text);
  }
});

test("UTF-8 is decoded, and what is none is replaced or refused", () => {
  const bytes = new TextEncoder().encode("\ufeffé€😀\u{10ffff}".repeat(3000));
  assert.equal(new Utf8Decoder().decode(bytes), new TextDecoder().decode(bytes));
  const wrong = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]];
  for (const bytes of wrong.map((list) => Uint8Array.from([97, ...list, 98]))) {
    assert.equal(new Utf8Decoder().decode(bytes), new TextDecoder().decode(bytes), `${bytes}`);
    assert.throws(() => new Utf8Decoder("utf-8", { fatal: true }).decode(bytes), TypeError);
  }
});
