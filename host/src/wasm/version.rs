//! Semantic versions, as far as it matters which ones are compatible.

/// The part of a semantic version that compatible versions share: `0.2.6` → `0.2`, `1.4.0` → `1`.
/// Versions before a release are compatible with nothing but themselves.
pub(super) fn track(version: &str) -> &str {
    let release = version.split_once('+').map_or(version, |(release, _build)| release);
    let mut parts = release.splitn(3, '.');
    let (Some(major), Some(minor), Some(patch)) = (parts.next(), parts.next(), parts.next()) else {
        return version;
    };
    if patch.is_empty() || !patch.bytes().all(|b| b.is_ascii_digit()) {
        return version;
    }
    match (major, minor) {
        ("0", "0") => version,
        ("0", _) => &version[..major.len() + 1 + minor.len()],
        _ => major,
    }
}

/// Whether a version comes after another, by their numbers alone. What is no version is not newer.
pub(super) fn is_newer(version: &str, than: &str) -> bool {
    match (numbers(version), numbers(than)) {
        (Some(version), Some(than)) => version > than,
        _ => false,
    }
}

/// Major, minor and patch, without what follows them.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let mut parts = version[..end].split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatible_versions_share_a_track_and_others_do_not() {
        assert_eq!(track("0.2.6"), "0.2");
        assert_eq!(track("0.1.0+build.5"), "0.1");
        assert_eq!(track("1.4.0"), "1");
        for alone in ["0.2.0-rc.1", "0.0.3", "0.2", "latest", ""] {
            assert_eq!(track(alone), alone);
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (newer, older) in [("0.10.0", "0.9.0"), ("1.0.0", "0.99.99"), ("0.3.0-rc.1", "0.2.12")]
        {
            assert!(is_newer(newer, older) && !is_newer(older, newer), "{newer} {older}");
        }
        for nonsense in ["", "1", "1.2", "1.2.3.4", "latest"] {
            assert!(!is_newer(nonsense, "0.0.0"), "{nonsense}");
        }
    }
}
