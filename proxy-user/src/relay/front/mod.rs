//! What is told of a connection before its payload: by whom it comes (PROXY protocol)
//! and for which name (TLS).

pub mod header;
pub mod hello;
