//! Events of the text form that corpora have: what each line means is said where they are read.

use lockstep::event::Header;

/// The lines of an input.
pub struct Lines<'a>(std::slice::Split<'a, u8, fn(&u8) -> bool>);

impl<'a> Lines<'a> {
    /// Those of these bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.split(|byte| *byte == b'\n'))
    }

    /// The next one; empty after the last.
    pub fn bytes(&mut self) -> &'a [u8] {
        self.0.next().unwrap_or_default()
    }

    /// The next one as text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The next one; `None` when it is a lone `-`.
    pub fn optional(&mut self) -> Option<Vec<u8>> {
        let line = self.bytes();
        (line != b"-").then(|| line.to_vec())
    }

    /// The remaining ones, `name=value` or a name alone.
    pub fn headers(self) -> Vec<Header> {
        let header = |line: &[u8]| {
            let mut parts = line.splitn(2, |byte| *byte == b'=');
            let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
            Header { name, value: parts.next().map(<[u8]>::to_vec) }
        };
        self.0.map(header).collect()
    }
}
