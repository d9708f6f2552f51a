//! The configuration: raw TOML in, validated types out.

mod access;
mod api;
mod auth;
mod certificates;
mod countries;
mod encryption;
mod fault;
mod fields;
mod forward;
mod host;
mod http;
mod listen;
mod load;
mod model;
mod pem;
mod ports;
mod prefix;
mod published;
mod read;
mod redirects;
mod schema;
mod secret_file;
mod sections;
mod service;
mod sink;
mod sockets;
mod sso;
mod target;
mod tree;
mod unfit;
mod units;
mod urls;
mod web;

#[cfg(test)]
pub(crate) mod tests;

pub use auth::{Auth, HeaderSecret, Lockout, SecretHash, SsoAllow, SsoProvider, SsoRule};
pub use fault::{Fault, Faults};
pub use forward::{Forward, Forwarding, Nat, SourceAddress};
pub use host::{Host, HostFindings, host_checks};
pub use http::{Acme, AcmeChallenge, Eab, Http, Route, Scheme, Tls, Web, WebHealth, WebTarget};
pub use listen::is_host_name;
pub use load::{Loaded, load};
pub use model::*;
pub use published::{Listen, ListenAddress, Mode, ProxyProtocol, SendProxy, Service};
pub use read::{Whereabouts, whereabouts};
pub use sockets::{busy_ports, sockets_of};
pub use target::{Balance, Destination, Health, Target, Targets};
pub(crate) use units::duration;
