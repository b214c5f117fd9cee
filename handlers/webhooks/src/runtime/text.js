// `TextEncoder` and `TextDecoder` for UTF-8, which the engine of the component does not have.

export class Utf8Encoder {
  encode(text = "") {
    const bytes = [];
    for (const character of String(text)) {
      let code = character.codePointAt(0);
      if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd; // half of a pair
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), tail(code));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), tail(code >> 6), tail(code));
      else bytes.push(0xf0 | (code >> 18), tail(code >> 12), tail(code >> 6), tail(code));
    }
    return new Uint8Array(bytes);
  }
}

export class Utf8Decoder {
  #fatal;

  constructor(label = "utf-8", { fatal = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`only UTF-8 is known, not ${label}`);
    this.#fatal = fatal;
  }

  /** The text, without a byte order mark. What is not UTF-8 throws, or becomes U+FFFD. */
  decode(bytes = new Uint8Array()) {
    const units = [];
    let text = "";
    let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    while (at < bytes.length) {
      const { code, length } = character(bytes, at);
      if (code === undefined && this.#fatal) throw new TypeError(`not UTF-8 at byte ${at}`);
      units.push(code ?? 0xfffd);
      at += length;
      if (units.length === 4096) text += String.fromCodePoint(...units.splice(0));
    }
    return text + String.fromCodePoint(...units);
  }
}

function tail(code) {
  return 0x80 | (code & 0x3f);
}

/** The code point that begins here and its bytes; without a code, how many bytes are wrong. */
function character(bytes, at) {
  const first = bytes[at];
  if (first < 0x80) return { code: first, length: 1 };
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return { length: 1 };
  // The second byte rules out long forms, halves of pairs and what is beyond Unicode.
  const low = { 0xe0: 0xa0, 0xf0: 0x90 }[first] ?? 0x80;
  const high = { 0xed: 0x9f, 0xf4: 0x8f }[first] ?? 0xbf;
  let code = first & (0x7f >> length);
  for (let n = 1; n < length; n += 1) {
    const byte = bytes[at + n];
    const fits = n === 1 ? byte >= low && byte <= high : byte >= 0x80 && byte <= 0xbf;
    if (!fits) return { length: n };
    code = (code << 6) | (byte & 0x3f);
  }
  return { code, length };
}

globalThis.TextEncoder ??= Utf8Encoder;
globalThis.TextDecoder ??= Utf8Decoder;
