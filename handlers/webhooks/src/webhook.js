// What a code host posts, and what people and machines are told about it. Knows nothing of
// events.

/** Says what is wrong with a webhook, for the one who reads the dead letter. */
export class BadWebhook extends Error {}

/** What follows from a webhook: texts with their topics and keys. Nothing from unknown kinds. */
export function messages(kind, json) {
  switch (kind) {
    case "push":
      return [notification(parse(json), pushed)];
    case "release": {
      const release = parse(json);
      return [notification(release, released), deployment(release)];
    }
    default:
      return [];
  }
}

function pushed(push) {
  const commits = push.commits ?? 1;
  if (!Number.isSafeInteger(commits) || commits < 0) {
    throw new BadWebhook('field "commits" must be a number of commits');
  }
  const what = commits === 1 ? "1 commit" : `${commits} commits`;
  return `${text(push, "author")} pushed ${what} to ${push.repository} ${text(push, "branch")}`;
}

function released(release) {
  return `${text(release, "author")} released ${release.repository} ${text(release, "tag")}`;
}

function notification(webhook, sentence) {
  const key = text(webhook, "repository");
  return { topic: "notifications", key, value: sentence(webhook) };
}

function deployment(release) {
  const service = text(release, "repository");
  const version = text(release, "tag").replace(/^v/, "");
  return { topic: "deployments", key: service, value: JSON.stringify({ service, version }) };
}

function parse(json) {
  if (json === null) throw new BadWebhook("a webhook is expected, not a tombstone");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json)) ?? {};
  } catch (error) {
    throw new BadWebhook(`not valid JSON: ${error.message}`);
  }
}

function text(webhook, name) {
  const value = webhook[name];
  if (typeof value === "string" && value !== "") return value;
  throw new BadWebhook(`field "${name}" must be a text that is not empty`);
}
