//! A 5-tuple between processes.

use std::net::SocketAddr;

use proxy_common::address::FlowKey;
use serde::{Deserialize, Serialize};

/// As [`FlowKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flow {
    client: SocketAddr,
    service: SocketAddr,
    /// IP protocol number.
    protocol: u32,
}

impl From<FlowKey> for Flow {
    fn from(key: FlowKey) -> Self {
        Self {
            client: SocketAddr::new(key.client.into(), key.client_port),
            service: SocketAddr::new(key.service.into(), key.service_port),
            protocol: key.protocol,
        }
    }
}

impl From<Flow> for FlowKey {
    fn from(flow: Flow) -> Self {
        Self::between(flow.client, flow.service, flow.protocol)
    }
}
