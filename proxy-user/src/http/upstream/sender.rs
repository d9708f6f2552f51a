//! A connection to a target that requests are sent over.

use std::sync::Arc;

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};

use smol_str::SmolStr;

use crate::{http::body::Upload, relay::Member};

/// A connection, ready for a request.
pub(in crate::http) struct Sender {
    pub(super) speaks: Speaks,
    /// Where it leads.
    pub(super) address: SmolStr,
    /// Whether an answer has come over it before.
    pub(super) used: bool,
    /// Whose connection it is.
    pub(super) member: Arc<Member>,
}

/// Which protocol it is.
pub(in crate::http) enum Speaks {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

/// A request was not answered.
pub(in crate::http) struct Unsent {
    pub(in crate::http) error: hyper::Error,
    /// The request, where nothing of it was sent.
    pub(in crate::http) request: Option<Request<Upload>>,
}

/// The head of an answer.
pub(in crate::http) type Sent = Result<Response<Incoming>, Box<Unsent>>;

impl Sender {
    pub(in crate::http) fn address(&self) -> &SmolStr {
        &self.address
    }

    /// Whether a failure may be that of a connection that the target was about to close.
    pub(in crate::http) fn is_used(&self) -> bool {
        self.used
    }

    /// Whether requests name the host in their target, as HTTP/2 does.
    pub(in crate::http) fn is_http2(&self) -> bool {
        self.speaks.is_http2()
    }

    /// Whether it takes a request at once.
    pub(super) fn is_ready(&self) -> bool {
        match &self.speaks {
            Speaks::Http1(sender) => sender.is_ready(),
            Speaks::Http2(sender) => sender.is_ready(),
        }
    }

    /// Whether it never will again.
    pub(super) fn is_closed(&self) -> bool {
        match &self.speaks {
            Speaks::Http1(sender) => sender.is_closed(),
            Speaks::Http2(sender) => sender.is_closed(),
        }
    }

    /// Another sender of the same connection, where it takes several requests at a time.
    pub(in crate::http) fn shared(&self) -> Option<Self> {
        let Speaks::Http2(sender) = &self.speaks else { return None };
        Some(Self {
            speaks: Speaks::Http2(sender.clone()),
            address: self.address.clone(),
            used: true,
            member: Arc::clone(&self.member),
        })
    }

    /// Sends a request, and waits for the head of the answer.
    pub(in crate::http) async fn send(&mut self, request: Request<Upload>) -> Sent {
        self.speaks.send(request).await
    }
}

impl Speaks {
    pub(in crate::http) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    pub(in crate::http) async fn send(&mut self, request: Request<Upload>) -> Sent {
        let sent = match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut unsent: TrySendError<Request<Upload>>| {
            let request = unsent.take_message();
            Box::new(Unsent { error: unsent.into_error(), request })
        })
    }
}
