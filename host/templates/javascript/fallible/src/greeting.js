// Greetings: JSON in, JSON with one more field out. Knows nothing of events.

/** Says what is wrong with a person, for the one who reads the dead letter. */
export class BadPerson extends Error {}

/** Adds `greeting` to a person, a JSON object with a text `name`. */
export function greet(json) {
  const expected = 'expected a JSON object with a text "name"';
  let person;
  try {
    person = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (error) {
    throw new BadPerson(`${expected}: ${error.message}`);
  }
  if (typeof person?.name !== "string") throw new BadPerson(expected);
  return new TextEncoder().encode(JSON.stringify({ ...person, greeting: `Hello, ${person.name}!` }));
}
