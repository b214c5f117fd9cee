//! How OCI registries are spoken to: the options that commands share.

use std::path::PathBuf;

use clap::Args;

use crate::oci::{Options, Transport};

/// Options of commands that take an `oci://` reference.
#[derive(Args, Debug)]
pub(super) struct RegistryOptions {
    /// Speak to the registry without TLS, so that passwords can be read on the way; registries on
    /// this machine are spoken to without TLS in any case
    #[arg(long)]
    plain_http: bool,

    /// File with certificates in PEM of authorities to trust beside those that this machine trusts;
    /// registries on this machine are then spoken to with TLS
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http")]
    ca_file: Option<PathBuf>,
}

impl RegistryOptions {
    /// What they mean for [`crate::oci`].
    pub(super) fn options(&self) -> Options {
        let transport = match &self.ca_file {
            Some(_) => Transport::Tls,
            None if self.plain_http => Transport::Plain,
            None => Transport::Usual,
        };
        Options { transport, authorities: self.ca_file.clone(), ..Options::default() }
    }
}
