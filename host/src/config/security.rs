//! `[auth]` and the certificates of listeners, as they are written. Whether the files are there,
//! and what is in them, is for those to find out who use them.

use std::path::Path;

use serde::Deserialize;

use super::checked::Checked;
use super::error::ConfigError;
use super::names::FilePath;
use super::scalars::Switch;
use super::{AuthConfig, TlsConfig};

/// `[auth]`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuthToml {
    tokens: Option<Checked<FilePath>>,
    anonymous: Switch<false>,
}

/// `[http.tls]`, `[http.ingest_tls]` and `[http.admin_tls]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsToml {
    cert: Checked<FilePath>,
    key: Checked<FilePath>,
    client_ca: Option<Checked<FilePath>>,
}

impl AuthToml {
    pub(super) fn resolve(self, file: &Path) -> Result<AuthConfig, ConfigError> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let tokens = self.tokens.map(|path| folder.join(path.0));
        let anonymous = self.anonymous.0;
        if anonymous && tokens.is_some() {
            return Err(ConfigError::new(
                file,
                "auth.anonymous",
                "lets everybody in, while auth.tokens asks everybody for a token",
                "remove one of the two",
            ));
        }
        Ok(AuthConfig { tokens, anonymous })
    }
}

impl TlsToml {
    /// The paths are relative to `folder`.
    pub(super) fn resolve(&self, folder: &Path, table: &'static str) -> TlsConfig {
        TlsConfig {
            table,
            cert: folder.join(&self.cert.0),
            key: folder.join(&self.key.0),
            client_ca: self.client_ca.as_ref().map(|path| folder.join(&path.0)),
        }
    }
}
