//! What is told of a connection before its payload: for which name it is meant (TLS).

pub mod hello;
