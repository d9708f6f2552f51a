//! How a session ends by itself.

use std::io;

use crate::record::CloseReason;

/// What ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum End {
    /// Both streams ended; the client's first.
    ClientClosed,
    /// Both streams ended; the target's first.
    TargetClosed,
    /// The client sent RST.
    ClientReset,
    /// The target sent RST.
    TargetReset,
    /// One of the two vanished without a word: its host does not answer.
    Lost,
}

impl End {
    /// The end that an error on the client's socket means.
    pub(in crate::relay) fn of_client(error: &io::Error) -> Self {
        if is_reset(error) { Self::ClientReset } else { Self::Lost }
    }

    /// The end that an error on the target's socket means.
    pub(in crate::relay) fn of_target(error: &io::Error) -> Self {
        if is_reset(error) { Self::TargetReset } else { Self::Lost }
    }
}

fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionReset | BrokenPipe | ConnectionAborted | NotConnected)
}

impl From<End> for CloseReason {
    fn from(end: End) -> Self {
        match end {
            End::ClientClosed => Self::ClientClosed,
            End::TargetClosed => Self::TargetClosed,
            End::ClientReset => Self::ClientReset,
            End::TargetReset => Self::TargetReset,
            End::Lost => Self::Interrupted,
        }
    }
}
