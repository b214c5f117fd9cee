//! A broker as managed services run them: TLS, client certificates, passwords.

use std::sync::OnceLock;

use crate::broker::{Broker, Extras};
use crate::certificates::{Authority, Identity};

/// The user of the listener that takes passwords.
pub const USER: &str = "ada";
/// The right password.
pub const PASSWORD: &str = "correct-horse-battery";

/// Only for clients whose certificate the authority signed.
const MTLS: &str = "MTLS";
/// For everybody with the right password, by SASL PLAIN or SCRAM-SHA-256 over TLS.
const SASL_TLS: &str = "SASLTLS";

/// A broker with secured listeners, and what its clients need.
pub struct Secured {
    broker: Broker,
    /// The certificate of the authority that signed all the others, in PEM.
    pub ca: String,
    /// A client that the broker knows.
    pub client: Identity,
}

impl Secured {
    /// The secured broker of this test run.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Secured> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let authority = Authority::new("Lockstep tests");
        let ca = authority.pem();
        let extras = Extras {
            advertised: None,
            listeners: &[MTLS, SASL_TLS],
            properties: properties(&ca, &authority.sign("broker")),
            format: vec![
                "--add-scram".to_owned(),
                format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]"),
            ],
        };
        Self { broker: Broker::start_with_extras(&extras), ca, client: authority.sign("client") }
    }

    /// `host:port` of the listener without any security: for the tests' own eyes.
    pub fn open_address(&self) -> String {
        self.broker.address()
    }

    /// `host:port` of the listener that asks for a client certificate.
    pub fn mtls_address(&self) -> String {
        self.broker.extra_address(MTLS)
    }

    /// `host:port` of the listener that asks for a password over TLS.
    pub fn sasl_address(&self) -> String {
        self.broker.extra_address(SASL_TLS)
    }
}

/// The security of both listeners, in the broker's words.
fn properties(ca: &str, broker: &Identity) -> String {
    // A property is one line; `\n` in it is a newline.
    let pem = |text: &str| text.replace('\n', "\\n");
    let tls = |listener: &str| {
        format!(
            "{listener}.ssl.keystore.type=PEM\n{listener}.ssl.keystore.certificate.chain={}\n\
             {listener}.ssl.keystore.key={}\n{listener}.ssl.truststore.type=PEM\n\
             {listener}.ssl.truststore.certificates={}\n",
            pem(&broker.certificate),
            pem(&broker.key),
            pem(ca)
        )
    };
    let (mtls, sasl) = ("listener.name.mtls", "listener.name.sasltls");
    let login = "org.apache.kafka.common.security";
    format!(
        "{}{mtls}.ssl.client.auth=required\n{}{sasl}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n\
         {sasl}.plain.sasl.jaas.config={login}.plain.PlainLoginModule required \
         user_{USER}=\"{PASSWORD}\";\n\
         {sasl}.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;\n",
        tls(mtls),
        tls(sasl)
    )
}
