//! The relay's report of a connection between processes.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use proxy_common::reason::Reason;
use serde::{Deserialize, Serialize};

use super::{flow::Flow, name::Named};
use crate::{
    config::{Access, Denial, Destination, Forwarding, Mode, ProxyProtocol, Service},
    flow::{Admission, Bytes, Datagrams, Ended, Failure, Fate, Introduction, Now, Outcome},
    record::{CloseReason, Protocol, TlsVersion},
};

/// As [`Ended`]. Times are the kernel's: `CLOCK_MONOTONIC`, nanoseconds, which is the same
/// in every process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    flow: Flow,
    service: Option<Served>,
    introduction: Option<Introduced>,
    started: u64,
    ended: u64,
    outcome: Upshot,
}

/// What a record tells of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Served {
    name: String,
    host: String,
    protocol: Named<Mode>,
    idle_timeout: Duration,
}

/// As [`Introduction`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Introduced {
    client: Option<SocketAddr>,
    header: u32,
    server_name: Option<String>,
    tls_version: Option<Named<TlsVersion>>,
}

/// As [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Upshot {
    Unserved {
        reason: Named<Reason>,
        protocol: Option<Named<Protocol>>,
        error: String,
        close_reason: Option<Named<CloseReason>>,
    },
    Denied(Named<Reason>),
    Refused,
    Admitted {
        observed: Option<Named<Reason>>,
        country_exempt: bool,
        fate: End,
    },
    Recorded,
}

/// As [`Fate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    ConnectionLimit,
    BackendUnreachable { target: String, error: String },
    BackendTimeout { target: String },
    Abandoned { target: String, close_reason: Named<CloseReason> },
    Served { target: SocketAddr, bytes: Both, datagrams: Counts, close_reason: Named<CloseReason> },
}

/// As [`Bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Both {
    up: u64,
    down: u64,
}

/// As [`Datagrams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    up: u64,
    down: u64,
    undelivered: u64,
}

impl Report {
    /// What another process is told.
    pub(super) fn of(ended: &Ended, now: &Now) -> Self {
        Self {
            flow: ended.flow.into(),
            service: ended.service.as_deref().map(Served::of),
            introduction: ended.introduction.as_deref().map(Introduced::of),
            started: now.monotonic_at(ended.started),
            ended: now.monotonic_at(ended.ended),
            outcome: Upshot::of(&ended.outcome),
        }
    }

    /// What another process told.
    pub(super) fn read(self, now: &Now) -> Ended {
        Ended {
            flow: self.flow.into(),
            service: self.service.map(|service| Arc::new(service.read())),
            introduction: self.introduction.map(|told| Box::new(told.read())),
            started: instant(self.started, now),
            ended: instant(self.ended, now),
            outcome: self.outcome.read(),
        }
    }
}

/// The instant of a time that is past; of one before this process's clock, now.
fn instant(monotonic: u64, now: &Now) -> Instant {
    let ago = Duration::from_nanos(now.monotonic.saturating_sub(monotonic));
    now.instant.checked_sub(ago).unwrap_or(now.instant)
}

impl Served {
    pub(super) fn of(service: &Service) -> Self {
        Self {
            name: service.name.clone(),
            host: service.host().to_owned(),
            protocol: Named(service.mode),
            idle_timeout: service.idle_timeout,
        }
    }

    /// The other process's service, as far as records tell of it: nothing reaches it here.
    pub(super) fn read(self) -> Service {
        let Self { name, host, protocol: Named(mode), idle_timeout } = self;
        Service {
            domain: (host != name).then_some(host),
            name,
            mode,
            listen: Vec::new(),
            destination: Destination::Host,
            access: Access::OPEN,
            deny: Denial::Drop,
            connect_timeout: Duration::ZERO,
            idle_timeout,
            max_connections: NonZeroU32::MIN,
            proxy_protocol: ProxyProtocol::default(),
            forwarding: Forwarding::default(),
        }
    }
}

impl Introduced {
    fn of(introduction: &Introduction) -> Self {
        let Introduction { client, header, server_name, tls_version } = introduction;
        Self {
            client: *client,
            header: *header,
            server_name: server_name.clone(),
            tls_version: tls_version.map(Named),
        }
    }

    fn read(self) -> Introduction {
        let Self { client, header, server_name, tls_version } = self;
        let tls_version = tls_version.map(|Named(version)| version);
        Introduction { client, header, server_name, tls_version }
    }
}

impl Upshot {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Unserved(Failure { reason, protocol, error, close_reason }) => {
                Self::Unserved {
                    reason: Named(*reason),
                    protocol: protocol.map(Named),
                    error: error.clone(),
                    close_reason: close_reason.map(Named),
                }
            }
            Outcome::Denied(reason) => Self::Denied(Named(*reason)),
            Outcome::Refused => Self::Refused,
            Outcome::Recorded => Self::Recorded,
            Outcome::Admitted { admission: Admission { observed, country_exempt }, fate } => {
                Self::Admitted {
                    observed: observed.map(Named),
                    country_exempt: *country_exempt,
                    fate: End::of(fate.clone()),
                }
            }
        }
    }

    fn read(self) -> Outcome {
        match self {
            Self::Unserved { reason: Named(reason), protocol, error, close_reason } => {
                let protocol = protocol.map(|Named(protocol)| protocol);
                let close_reason = close_reason.map(|Named(reason)| reason);
                Outcome::Unserved(Failure { reason, protocol, error, close_reason })
            }
            Self::Denied(Named(reason)) => Outcome::Denied(reason),
            Self::Refused => Outcome::Refused,
            Self::Recorded => Outcome::Recorded,
            Self::Admitted { observed, country_exempt, fate } => {
                let observed = observed.map(|Named(reason)| reason);
                let admission = Admission { observed, country_exempt };
                Outcome::Admitted { admission, fate: fate.read() }
            }
        }
    }
}

impl End {
    fn of(fate: Fate) -> Self {
        match fate {
            Fate::ConnectionLimit => Self::ConnectionLimit,
            Fate::BackendUnreachable { target, error } => {
                Self::BackendUnreachable { target, error }
            }
            Fate::BackendTimeout { target } => Self::BackendTimeout { target },
            Fate::Abandoned { target, close_reason } => {
                Self::Abandoned { target, close_reason: Named(close_reason) }
            }
            Fate::Served { target, bytes, datagrams, close_reason } => {
                let (Bytes { up, down }, close_reason) = (bytes, Named(close_reason));
                let bytes = Both { up, down };
                let Datagrams { up, down, undelivered } = datagrams;
                Self::Served {
                    target,
                    bytes,
                    datagrams: Counts { up, down, undelivered },
                    close_reason,
                }
            }
        }
    }

    fn read(self) -> Fate {
        match self {
            Self::ConnectionLimit => Fate::ConnectionLimit,
            Self::BackendUnreachable { target, error } => {
                Fate::BackendUnreachable { target, error }
            }
            Self::BackendTimeout { target } => Fate::BackendTimeout { target },
            Self::Abandoned { target, close_reason: Named(close_reason) } => {
                Fate::Abandoned { target, close_reason }
            }
            Self::Served { target, bytes, datagrams, close_reason: Named(close_reason) } => {
                let (Both { up, down }, Counts { up: sent, down: answers, undelivered }) =
                    (bytes, datagrams);
                let datagrams = Datagrams { up: sent, down: answers, undelivered };
                Fate::Served { target, bytes: Bytes { up, down }, datagrams, close_reason }
            }
        }
    }
}
