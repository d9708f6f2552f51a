//! TLS towards targets.

use std::{net::SocketAddr, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};

use crate::config::Target;

/// How targets are verified, and not.
pub(in crate::http) struct ClientTls {
    verifying: Arc<ClientConfig>,
    trusting: Arc<ClientConfig>,
}

impl ClientTls {
    pub(in crate::http) fn new(verifying: ClientConfig, trusting: ClientConfig) -> Self {
        let speaking = |mut config: ClientConfig| {
            config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
            Arc::new(config)
        };
        Self { verifying: speaking(verifying), trusting: speaking(trusting) }
    }

    pub(super) fn config(&self, verify: bool) -> Arc<ClientConfig> {
        Arc::clone(if verify { &self.verifying } else { &self.trusting })
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
