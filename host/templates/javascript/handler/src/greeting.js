// Greetings: JSON in, JSON with one more field out. Knows nothing of events.

/** Adds `greeting` to a person, a JSON object with a text `name`; null when it is none. */
export function greet(json) {
  let person;
  try {
    person = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch {
    return null;
  }
  if (typeof person?.name !== "string") return null;
  return new TextEncoder().encode(JSON.stringify({ ...person, greeting: `Hello, ${person.name}!` }));
}
