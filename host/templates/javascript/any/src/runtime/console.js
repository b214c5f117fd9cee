// `console` of the component: each call is a line in the host's log.

import stderr from "wasi:cli/stderr@0.2.0";
import "./text.js";

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value}\n${value.stack ?? ""}`.trimEnd();
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function write(...values) {
  const line = new TextEncoder().encode(`${values.map(shown).join(" ")}\n`);
  const stream = stderr.getStderr();
  // What one write may hold is limited.
  for (let at = 0; at < line.length; at += 4096) {
    stream.blockingWriteAndFlush(line.subarray(at, at + 4096));
  }
  stream[Symbol.dispose]();
}

globalThis.console ??= { debug: write, log: write, info: write, warn: write, error: write };
