import assert from "node:assert/strict";
import { test } from "node:test";

import { BadWebhook, messages } from "../src/webhook.js";

const bytes = (value) => new TextEncoder().encode(JSON.stringify(value));

test("a push is told to people", () => {
  const push = { repository: "shop", branch: "main", author: "ada", commits: 2 };
  const value = "ada pushed 2 commits to shop main";
  assert.deepEqual(messages("push", bytes(push)), [{ topic: "notifications", key: "shop", value }]);
  const one = messages("push", bytes({ ...push, commits: undefined }));
  assert.equal(one[0].value, "ada pushed 1 commit to shop main");
});

test("a release is deployed, too", () => {
  const release = { repository: "shop", tag: "v1.4.0", author: "ada" };
  const [told, deployed] = messages("release", bytes(release));
  assert.equal(told.value, "ada released shop v1.4.0");
  assert.equal(deployed.topic, "deployments");
  assert.deepEqual(JSON.parse(deployed.value), { service: "shop", version: "1.4.0" });
});

test("what nobody waits for is dropped", () => {
  assert.deepEqual(messages("star", null), []);
});

test("what is missing is named", () => {
  for (const [webhook, problem] of [
    [{}, /"repository"/],
    [null, /"repository"/],
    [{ repository: "shop", author: "", branch: "main" }, /"author"/],
    [{ repository: "shop", author: "ada", branch: "main", commits: -1 }, /"commits"/],
  ]) {
    assert.throws(() => messages("push", bytes(webhook)), problem);
  }
  assert.throws(() => messages("push", null), /tombstone/);
  assert.throws(() => messages("push", Uint8Array.of(0xff)), BadWebhook);
});
