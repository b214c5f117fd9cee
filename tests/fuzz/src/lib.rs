//! What the fuzz targets share: memory that is counted, a log that remembers, a server without
//! sockets, and readings of an input's bytes.

pub mod errors;
pub mod lines;
pub mod log;
pub mod memory;
pub mod server;
pub mod tables;
