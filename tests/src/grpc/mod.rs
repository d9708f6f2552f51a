//! gRPC by tonic: a service whose messages are bytes, and a client of it.

mod channel;
mod codec;
mod server;
mod service;

pub use channel::{Client, connect};
pub use codec::Raw;
pub use server::Server;
