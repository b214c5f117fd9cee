// `TextEncoder` and `TextDecoder` for UTF-8, which the engine of the component does not have.

export class Utf8Encoder {
  encode(text = "") {
    const source = String(text);
    const bytes = new Uint8Array(source.length * 3);
    let length = 0;
    for (let at = 0; at < source.length; at += 1) {
      let code = source.charCodeAt(at);
      if (code < 0x80) {
        bytes[length++] = code;
        continue;
      }
      if (code >= 0xd800 && code <= 0xdfff) {
        code = source.codePointAt(at);
        if (code > 0xffff) at += 1;
        else code = 0xfffd; // half of a pair
      }
      if (code < 0x800) bytes[length++] = 0xc0 | (code >> 6);
      else {
        if (code < 0x10000) bytes[length++] = 0xe0 | (code >> 12);
        else {
          bytes[length++] = 0xf0 | (code >> 18);
          bytes[length++] = tail(code >> 12);
        }
        bytes[length++] = tail(code >> 6);
      }
      bytes[length++] = tail(code);
    }
    return bytes.slice(0, length);
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
    let text = "";
    let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    while (at < bytes.length) {
      const end = endOfAscii(bytes, at);
      if (end > at) {
        text += String.fromCharCode.apply(null, bytes.subarray(at, end));
        at = end;
        continue;
      }
      const { code, length } = character(bytes, at);
      if (code === undefined && this.#fatal) throw new TypeError(`not UTF-8 at byte ${at}`);
      text += String.fromCodePoint(code ?? 0xfffd);
      at += length;
    }
    return text;
  }
}

/** Where the ASCII that begins here ends, or how much of it one call can take. */
function endOfAscii(bytes, at) {
  const stop = Math.min(at + 8192, bytes.length);
  let end = at;
  while (end < stop && bytes[end] < 0x80) end += 1;
  return end;
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
