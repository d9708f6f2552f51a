//! What records say of a connection that was led to no service.

use std::{fmt::Display, time::Duration};

use proxy_common::reason::Reason;

use super::reader::Stop;
use crate::flow::Failure;

/// What was waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// A PROXY header.
    Header,
    /// A TLS handshake.
    Hello,
}

impl Stage {
    fn reason(self) -> Reason {
        match self {
            Self::Header => Reason::BadRequest,
            Self::Hello => Reason::TlsHandshakeFailed,
        }
    }

    fn awaited(self) -> &'static str {
        match self {
            Self::Header => "PROXY header",
            Self::Hello => "ClientHello",
        }
    }

    /// What did not come within `patience`; `heard`: a part of it did.
    pub(super) fn failure<E: Display>(
        self,
        stop: Stop<E>,
        heard: bool,
        patience: Duration,
    ) -> Failure {
        let awaited = self.awaited();
        let (error, close_reason) = match stop {
            Stop::Ended(why) if !heard => {
                let close_reason = Some(why);
                return Failure { close_reason, ..Failure::of(Reason::ClientAborted) };
            }
            Stop::Ended(why) => (format!("the connection ended within its {awaited}"), Some(why)),
            Stop::Broken(error) => (error.to_string(), None),
            Stop::Silent => (format!("no {awaited} within {patience:?}"), None),
            Stop::Cut(cut) => (String::new(), Some(cut.into())),
        };
        Failure { error, close_reason, ..Failure::of(self.reason()) }
    }
}
