//! What others need not see: addresses, card numbers, credentials. Works on bytes, so that
//! nothing passes because it is not quite text.

const MASK: &[u8] = b"***";

/// The digits that card numbers have.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether a header of this name carries a credential.
pub(crate) fn is_credential(header: &str) -> bool {
    ["authorization", "cookie", "set-cookie"].iter().any(|name| header.eq_ignore_ascii_case(name))
}

/// The text with `***` for each e-mail address and card number.
pub(crate) fn redacted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let begins_word = at == 0 || !is_address(text[at - 1]);
        let secret = if begins_word { secret(&text[at..]) } else { 0 };
        if secret > 0 {
            out.extend_from_slice(MASK);
            at += secret;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// The length of the secret that the text begins with, or 0.
fn secret(text: &[u8]) -> usize {
    email(text).max(card(text))
}

/// `ada@example.com`: something, an `@`, and a name with a dot in it.
fn email(text: &[u8]) -> usize {
    let local = text.iter().take_while(|byte| is_address(**byte)).count();
    if local == 0 || text.get(local) != Some(&b'@') {
        return 0;
    }
    let domain = &text[local + 1..];
    let length =
        domain.iter().take_while(|b| b.is_ascii_alphanumeric() || b".-".contains(b)).count();
    // A dot at the end is the sentence's.
    let end = domain[..length]
        .iter()
        .rposition(|byte| byte.is_ascii_alphanumeric())
        .map_or(0, |last| last + 1);
    if domain[..end].contains(&b'.') { local + 1 + end } else { 0 }
}

/// 13 to 19 digits, in groups or not, whose check digit is right.
fn card(text: &[u8]) -> usize {
    let (mut digits, mut end) = (Vec::new(), 0);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits.push(byte - b'0');
                end = at + 1;
            }
            // One separator between two groups.
            b' ' | b'-' if at > 0 && end == at => {}
            _ => break,
        }
        if digits.len() > *CARD_DIGITS.end() {
            return 0;
        }
    }
    if CARD_DIGITS.contains(&digits.len()) && has_right_check_digit(&digits) { end } else { 0 }
}

/// Luhn's sum: from the right, each second digit counts double.
fn has_right_check_digit(digits: &[u8]) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let weighted = digits.iter().rev().enumerate().map(|(position, digit)| {
        let digit = u32::from(*digit);
        if position % 2 == 1 { doubled(digit) } else { digit }
    });
    weighted.sum::<u32>() % 10 == 0
}

/// What may stand before the `@` of an address.
fn is_address(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".+_-%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{is_credential, redacted};

    fn shown(text: &str) -> String {
        String::from_utf8(redacted(text.as_bytes())).unwrap()
    }

    #[test]
    fn addresses_and_cards_are_masked() {
        for (text, masked) in [
            ("It is ada@example.com.", "It is ***."),
            ("<a.b+c@mail.example.org>, ok", "<***>, ok"),
            ("4111111111111111", "***"),
            ("card 4111 1111 1111 1111, thanks", "card ***, thanks"),
            ("card 4111-1111-1111-1111", "card ***"),
        ] {
            assert_eq!(shown(text), masked);
        }
    }

    #[test]
    fn everything_else_stays() {
        for text in
            ["", "a @ b.c", "a@b", "@ada", "4111 1111 1111 1112", "12345678901234567890123", "é"]
        {
            assert_eq!(shown(text), text);
        }
        assert_eq!(redacted(b"\xff a@b.c \xfe"), b"\xff *** \xfe");
    }

    #[test]
    fn headers_with_credentials_are_known_in_any_case() {
        assert!(is_credential("Authorization") && is_credential("COOKIE"));
        assert!(!is_credential("content-type"));
    }
}
