//! The configuration: raw TOML in, validated types out.

mod access;
mod api;
mod auth;
mod countries;
mod fault;
mod fields;
mod host;
mod http;
mod listen;
mod load;
mod model;
mod ports;
mod prefix;
mod read;
mod schema;
mod sections;
mod service;
mod sockets;
mod target;
mod tree;
mod units;

#[cfg(test)]
pub(crate) mod tests;

pub use auth::{Auth, HeaderSecret, Lockout, SecretHash, SsoAllow, SsoProvider, SsoRule};
pub use fault::{Fault, Faults};
pub use host::{Host, HostFindings, host_checks};
pub use http::{Acme, AcmeChallenge, Eab, Http, Route, Scheme, Tls, Web, WebHealth, WebTarget};
pub use listen::is_host_name;
pub use load::{Loaded, load};
pub use model::*;
pub use read::{Whereabouts, whereabouts};
pub use sockets::sockets_of;
pub use target::{Balance, Destination, Health, Target, Targets};
pub(crate) use units::duration;
