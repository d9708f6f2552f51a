//! TLS towards targets.

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};

use crate::config::Target;

/// How targets are verified, and not.
pub(in crate::http) struct ClientTls {
    verifying: Spoken,
    trusting: Spoken,
}

/// What is offered to be spoken.
struct Spoken {
    either: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl Spoken {
    fn by(config: &ClientConfig) -> Self {
        let speaking = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Self { either: speaking(&[b"h2", b"http/1.1"]), http1: speaking(&[b"http/1.1"]) }
    }
}

impl ClientTls {
    pub(in crate::http) fn new(verifying: &ClientConfig, trusting: &ClientConfig) -> Self {
        Self { verifying: Spoken::by(verifying), trusting: Spoken::by(trusting) }
    }

    /// `upgrades`: whether HTTP/1.1 has to be spoken.
    pub(super) fn config(&self, verify: bool, upgrades: bool) -> Arc<ClientConfig> {
        let spoken = if verify { &self.verifying } else { &self.trusting };
        Arc::clone(if upgrades { &spoken.http1 } else { &spoken.either })
    }
}

/// The name that a target's certificate is to have: as configured.
pub(super) fn server_name(target: &Target, address: SocketAddr) -> ServerName<'static> {
    match target {
        Target::Address(address) => ServerName::IpAddress(address.ip().into()),
        Target::Name { host, .. } => ServerName::try_from(host.clone())
            .unwrap_or_else(|_| ServerName::IpAddress(address.ip().into())),
    }
}
