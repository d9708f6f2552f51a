//! What the relay tells of a session.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use proxy_common::{address::FlowKey, reason::Reason};

use crate::{
    config::Service,
    record::{CloseReason, Protocol, TlsVersion},
};

/// A session whose target is about to be dialled.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Client, and the local address of the accepted socket.
    pub flow: FlowKey,
    /// The service, as configured when it was chosen.
    pub service: Arc<Service>,
    /// What the connection began with, where that was read.
    pub introduction: Option<Box<Introduction>>,
    /// What the gate said beside "pass".
    pub admission: Admission,
    /// When the connection was accepted.
    pub started: Instant,
}

/// What was told of a connection before its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// For whom the peer speaks, by a PROXY header.
    pub client: Option<SocketAddr>,
    /// Bytes of the PROXY header, which are no payload.
    pub header: u32,
    /// The server name that the client asked for.
    pub server_name: Option<String>,
    /// The highest TLS version that it asked for.
    pub tls_version: Option<TlsVersion>,
}

/// What a judgement that lets a client pass leaves to be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// What an observing layer would have denied for.
    pub observed: Option<Reason>,
    /// Country rules were asked and did not apply.
    pub country_exempt: bool,
}

/// The one report of an accepted connection.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Client, and the local address of the accepted socket.
    pub flow: FlowKey,
    /// The service, as configured when it was chosen; `None`: none was.
    pub service: Option<Arc<Service>>,
    /// What the connection began with, where that was read.
    pub introduction: Option<Box<Introduction>>,
    /// When the connection was accepted.
    pub started: Instant,
    /// When the relay was done with it.
    pub ended: Instant,
    /// What became of it.
    pub outcome: Outcome,
}

impl Ended {
    /// Says for what reason it was cut, where it was served or to be.
    pub(super) fn cut(&mut self, why: CloseReason) {
        if let Outcome::Admitted {
            fate: Fate::Abandoned { close_reason, .. } | Fate::Served { close_reason, .. },
            ..
        } = &mut self.outcome
        {
            *close_reason = why;
        }
    }
}

/// What became of an accepted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended before anybody could be judged.
    Unserved(Failure),
    /// The gate denied it: reset before a byte went on.
    Denied(Reason),
    /// [`super::Intake::Refuse`] was in force: reset unjudged.
    Refused,
    /// The gate let it pass.
    Admitted {
        /// What else the gate said.
        admission: Admission,
        /// How it went on.
        fate: Fate,
    },
    /// It was led to HTTP, and its requests have made their records: it makes none.
    Recorded,
}

/// Why a connection ended before its client was judged for a service, or before its first
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub reason: Reason,
    /// What the record calls it, where that is not what the service speaks: of a listener
    /// that HTTP shares, a connection may fail as one of TLS. `None`: what the service
    /// speaks; where there is none, what its listener does.
    pub protocol: Option<Protocol>,
    /// More of it in words, or "".
    pub error: String,
    /// How it ended, where Weir was not the first to end it for that reason.
    pub close_reason: Option<CloseReason>,
}

impl Failure {
    /// One of which nothing else is to be said.
    pub fn of(reason: Reason) -> Self {
        Self { reason, protocol: None, error: String::new(), close_reason: None }
    }
}

/// What became of a connection that the gate let pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Over the service's `max_connections`, or over what the file-descriptor
    /// limit carries: reset.
    ConnectionLimit,
    /// No address of any target accepted a connection.
    BackendUnreachable {
        /// The address dialled last; the target as configured where none was.
        target: String,
        /// What the resolver or the last dial said.
        error: String,
    },
    /// `connect_timeout` passed.
    BackendTimeout {
        /// The address dialled last; the target as configured where none was.
        target: String,
    },
    /// It ended while the target was being dialled.
    Abandoned {
        /// The address dialled last; the target as configured where none was.
        target: String,
        /// Why.
        close_reason: CloseReason,
    },
    /// A target served it.
    Served {
        /// The address that was dialled.
        target: SocketAddr,
        /// Payload that the relay passed on.
        bytes: Bytes,
        /// Datagrams, where it is a session of them.
        datagrams: Datagrams,
        /// How it ended.
        close_reason: CloseReason,
    },
}

/// Datagrams of a session; of a stream there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// Client to target.
    pub up: u64,
    /// Target to client.
    pub down: u64,
    /// Either way: a buffer was full, or they were too large for the path.
    pub undelivered: u64,
}

/// Payload bytes, counted when handed to the receiving side's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Client to target.
    pub up: u64,
    /// Target to client.
    pub down: u64,
}
