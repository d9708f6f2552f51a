//! How a running session is told to end.

use std::{
    sync::OnceLock,
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

use super::contract::Client;
use crate::record::CloseReason;

/// Why a session is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    PolicyChanged,
    ServiceRemoved,
    Shutdown,
}

impl From<Cut> for CloseReason {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::PolicyChanged => Self::PolicyChanged,
            Cut::ServiceRemoved => Self::ServiceRemoved,
            Cut::Shutdown => Self::Shutdown,
        }
    }
}

/// The line to one session.
#[derive(Debug)]
pub(crate) struct Control {
    client: Client,
    cut: OnceLock<Cut>,
    waker: AtomicWaker,
}

impl Control {
    pub(super) fn new(client: Client) -> Self {
        Self { client, cut: OnceLock::new(), waker: AtomicWaker::new() }
    }

    /// Who is served.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// Orders the session to end. The first order stands.
    pub(super) fn cut(&self, cut: Cut) {
        let _ = self.cut.set(cut);
        self.waker.wake();
    }

    /// Makes the session look at its settings again.
    pub(super) fn nudge(&self) {
        self.waker.wake();
    }

    /// The order to end, where there is one.
    pub(crate) fn order(&self) -> Option<Cut> {
        self.cut.get().copied()
    }

    /// Ready with the order to end, once there is one.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<Cut> {
        self.waker.register(cx.waker());
        match self.cut.get() {
            Some(cut) => Poll::Ready(*cut),
            None => Poll::Pending,
        }
    }
}
