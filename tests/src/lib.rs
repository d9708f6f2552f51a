//! The lab: what the end-to-end tests, the demo and the quick start share.
//!
//! Everything lives in network namespaces named after this process, so that two
//! runs never meet. Entering them and sending raw packets needs root.

pub mod authority;
pub mod browser;
pub mod capture;
pub mod client;
pub mod echo;
pub mod geo;
pub mod grpc;
pub mod handover;
pub mod http;
pub mod http2;
pub mod kernel;
pub mod lab;
pub mod listening;
pub mod mmdb;
pub mod names;
pub mod nft;
pub mod ns;
pub mod ping;
pub mod plane;
pub mod program;
pub mod raw;
pub mod scenario;
pub mod server;
pub mod skip;
pub mod ss;
pub mod steady;
mod sweep;
pub mod systemd;
pub mod talk;
pub mod tls;
pub mod tmpfs;
pub mod trusting;
pub mod tunnel;
pub mod udp;
pub mod wait;
pub mod web;
pub mod websocket;
pub mod weir;
