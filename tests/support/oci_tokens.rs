//! A server that hands out the tokens that an OCI registry wants: to one user, for a while, for
//! what was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use openssl::base64::encode_block;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::x509::X509;
use serde_json::{Value, json};

use crate::certificates::{Authority, Identity};
use crate::oci_registry::{PASSWORD, USER};

/// Who the tokens are for.
pub const SERVICE: &str = "the registry of this test";
/// Who they are from.
pub const ISSUER: &str = "lockstep-tests";
/// Seconds that a token is good for.
const LIFE: u64 = 300;

/// A token server, until it is dropped.
pub struct Tokens {
    authority: Authority,
    address: String,
    scopes: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tokens {
    /// Starts a server with an authority of its own.
    pub fn start() -> Self {
        let authority = Authority::new("tokens");
        let identity = authority.sign("tokens");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let scopes = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (own_scopes, own_stop) = (Arc::clone(&scopes), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if own_stop.load(Ordering::SeqCst) {
                    break;
                }
                if let Some(scope) = serve(&connection, &identity) {
                    own_scopes.lock().unwrap_or_else(|e| e.into_inner()).push(scope);
                }
            }
        });
        Self { authority, address, scopes, stop, thread: Some(thread) }
    }

    /// Where tokens are asked for.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The certificate of the authority behind the tokens, in PEM.
    pub fn authority(&self) -> String {
        self.authority.pem()
    }

    /// What was asked for by the right user, one after the other.
    pub fn scopes(&self) -> Vec<String> {
        self.scopes.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Answers one request; gives the scope when it was the user's.
fn serve(mut connection: &TcpStream, identity: &Identity) -> Option<String> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let request = lines.next()?;
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let user = format!("Basic {}", encode_block(format!("{USER}:{PASSWORD}").as_bytes()));
    let is_user = headers.iter().any(|header| {
        let named = header.split_once(": ");
        named.is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("authorization") && value == user
        })
    });
    let (_, scope) = request.split_once("scope=")?;
    let scope = scope.split(['&', ' ']).next()?.replace("%3A", ":").replace("%2F", "/");
    let scope = scope.replace("%2C", ",");
    let (status, body) = match is_user {
        true => (200, json!({ "token": token(&scope, identity) }).to_string()),
        false => (401, String::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}");
    write!(connection, "{head}\r\n\r\n{body}").ok()?;
    is_user.then_some(scope)
}

/// A JSON Web Token that allows this, signed as the registry wants it.
fn token(scope: &str, identity: &Identity) -> String {
    let certificate = X509::from_pem(identity.certificate.as_bytes());
    let certificate = certificate.and_then(|c| c.to_der()).expect("the certificate is one");
    let key = PKey::private_key_from_pem(identity.key.as_bytes()).expect("the key is one");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let parts: Vec<_> = scope.split(':').collect();
    let [kind, name, actions] = parts[..] else { return String::new() };
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [encode_block(&certificate)] });
    let claims = json!({
        "iss": ISSUER,
        "sub": USER,
        "aud": SERVICE,
        "iat": now,
        "nbf": now.saturating_sub(LIFE),
        "exp": now + LIFE,
        "jti": "1",
        "access": [{ "type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>() }],
    });
    let url =
        |bytes: &[u8]| encode_block(bytes).replace('+', "-").replace('/', "_").replace('=', "");
    let part = |value: &Value| url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = Signer::new(MessageDigest::sha256(), &key)
        .and_then(|mut signer| signer.sign_oneshot_to_vec(signed.as_bytes()))
        .expect("the key signs");
    format!("{signed}.{}", url(&signature))
}
