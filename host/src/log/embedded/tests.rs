//! The behaviour of the embedded log.
