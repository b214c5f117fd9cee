//! Who may ask what over HTTP.
//!
//! A request proves who it is with a bearer token, of which only a hash is kept, in a file that
//! may change while the host runs. [`Gate`] stands before all routes of a listener and lets nobody
//! in whom it does not know; [`require`] stands before single routes and asks for a [`Scope`];
//! what depends on the request itself asks its [`Caller`]. A route behind neither is refused, not
//! open. Knows no route and no listener.

mod gate;
mod scope;
#[cfg(test)]
mod tests;
mod token;
mod token_file;
mod tokens;

pub use gate::{Caller, Gate, Require, require};
pub use scope::Scope;
pub use token::{Token, TokenId};
pub use token_file::{NewToken, Revoked, TokenFile};
pub use tokens::{Entry, Tokens};
pub(crate) use tokens::{check_note, time_text};
