//! The form of a token, `lockstep_<id>_<secret>`: how it is made, hashed and recognized.
//!
//! The id is public, and names the token where people look at it. The secret has 190 bits from
//! the operating system, so one SHA-256 keeps it: there is nothing to guess, and what slows
//! guesses down (salts, Argon2) would slow down nothing but every request. Whoever reads the hash
//! cannot make a request with it.

use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;

use crate::digest::Digest;

/// What every token begins with, so that scanners of leaked secrets know it.
pub(super) const PREFIX: &str = "lockstep_";

const ID_LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const SECRET_LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 8;
/// Of 62 letters: 190 bits.
const SECRET_LENGTH: usize = 32;

/// The public part of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

/// A whole token. It has no `Debug` and no `Display`: it is shown once, by whoever made it.
pub struct Token {
    id: TokenId,
    text: String,
}

/// A text is not the id of a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id of a token: 1 to 32 of the letters a-z and the digits 0-9")]
pub struct TokenIdError(String);

impl TokenId {
    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| ID_LETTERS.contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(TokenIdError(text.to_owned())) }
    }
}

impl Token {
    /// A new token, from the randomness of the operating system.
    pub fn generate() -> anyhow::Result<Self> {
        let id = TokenId(random(ID_LETTERS, ID_LENGTH)?);
        let text = format!("{PREFIX}{id}_{}", random(SECRET_LETTERS, SECRET_LENGTH)?);
        Ok(Self { id, text })
    }

    /// The public part.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The whole of it, to be handed to whoever shall use it, and to nobody else.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> Digest {
        hash(&self.text)
    }
}

/// What is kept of the token with this text.
pub(super) fn hash(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// The id within a text that has the form of a token.
pub(super) fn id_of(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)?.split_once('_').map(|(id, _)| id)
}

/// So many of these letters, each with the same probability.
fn random(letters: &[u8], length: usize) -> anyhow::Result<String> {
    // Bytes beyond the last whole multiple would favour the first letters.
    let fair = 256 - 256 % letters.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes).context("the operating system gives no random numbers")?;
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        let wanted = length - text.len();
        text.extend(fair.take(wanted).map(|byte| char::from(letters[byte % letters.len()])));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_public_id_and_a_long_secret() {
        let token = Token::generate().unwrap();
        let (id, secret) = token.expose().strip_prefix(PREFIX).unwrap().split_once('_').unwrap();
        assert_eq!((id.len(), secret.len()), (ID_LENGTH, SECRET_LENGTH));
        assert_eq!(token.id(), &id.parse().unwrap());
        assert_eq!(id_of(token.expose()), Some(id));
        assert!(secret.bytes().all(|byte| SECRET_LETTERS.contains(&byte)));
        assert_eq!(token.hash(), hash(token.expose()));
    }

    #[test]
    fn no_two_tokens_are_the_same_and_every_letter_occurs() {
        let tokens: Vec<_> = (0..200).map(|_| Token::generate().unwrap()).collect();
        let all: String = tokens.iter().map(Token::expose).collect();
        for letter in SECRET_LETTERS {
            assert!(all.contains(char::from(*letter)), "{letter}");
        }
        let mut hashes: Vec<_> = tokens.iter().map(Token::hash).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), tokens.len());
    }

    #[test]
    fn what_is_no_token_has_no_id() {
        for text in ["", "lockstep", "lockstep_", "lockstep_abc", "Lockstep_abc_def", "abc_def"] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "A", "a_b", "ä", &"a".repeat(33)] {
            assert!(text.parse::<TokenId>().is_err(), "{text}");
        }
    }
}
