//! What is asked of every error in a configuration.

use std::path::Path;

use lockstep::config::ConfigError;

/// Problems told of one file at most.
const MOST: usize = 20;

/// Checks that an error, and each of those behind it, names this file, the problem and the fix.
pub fn check(error: &ConfigError, file: &Path) {
    assert!(error.more.len() < MOST, "{} problems in {error}", error.more.len() + 1);
    for one in std::iter::once(error).chain(&error.more) {
        assert_eq!(one.file, file, "{one}");
        assert!(!one.problem.trim().is_empty(), "no problem in {one:?}");
        assert!(!one.fix.trim().is_empty(), "no fix in {one:?}");
    }
    assert!(error.to_string().lines().count() > error.more.len(), "{error}");
}
