//! A request that Weir answers itself.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::{HeaderMap, Response, StatusCode};
use proxy_common::reason::Reason;
use uuid::Uuid;

use super::pages::{self, Hop};

/// Why, and what the client is told.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What is recorded; `None`: it is no refusal at all.
    pub(super) reason: Option<Reason>,
    /// More of it for the record, or "".
    pub(super) error: String,
    /// What the client gets.
    pub(super) answer: Answer,
}

/// What the client gets.
#[derive(Debug)]
pub(super) enum Answer {
    /// A page that tells which hop failed.
    Problem(StatusCode, Hop, Cow<'static, str>),
    /// The page of a client that restrictions do not let pass.
    Denied,
    /// One that is made already.
    Made(Box<Response<Bytes>>),
}

impl Refusal {
    /// The request is the problem.
    pub(super) fn bad_request(text: &'static str) -> Self {
        Self::of(Reason::BadRequest, StatusCode::BAD_REQUEST, Hop::Client, text)
    }

    /// As the parts say.
    pub(super) fn of(
        reason: Reason,
        status: StatusCode,
        hop: Hop,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let answer = Answer::Problem(status, hop, text.into());
        Self { reason: Some(reason), error: String::new(), answer }
    }

    /// The target is the problem.
    pub(super) fn of_target(reason: Reason, error: &dyn std::fmt::Display) -> Self {
        let (status, text) = match reason {
            Reason::BackendTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "The service behind Weir did not answer in time.")
            }
            Reason::BackendUnreachable => {
                (StatusCode::BAD_GATEWAY, "The service behind Weir cannot be reached.")
            }
            _ => (StatusCode::BAD_GATEWAY, "The service behind Weir broke off its answer."),
        };
        Self { error: error.to_string(), ..Self::of(reason, status, Hop::Target, text) }
    }

    /// An answer that is made already.
    pub(super) fn made(reason: Option<Reason>, response: Response<Bytes>) -> Self {
        Self { reason, error: String::new(), answer: Answer::Made(Box::new(response)) }
    }

    /// Restrictions do not let the client pass.
    pub(super) fn denied(reason: Reason) -> Self {
        Self { reason: Some(reason), error: String::new(), answer: Answer::Denied }
    }

    /// With more of it for the record.
    pub(super) fn because(self, error: impl Into<String>) -> Self {
        Self { error: error.into(), ..self }
    }

    /// What the client gets, as it accepts it.
    pub(super) fn into_response(self, id: Uuid, accept: &HeaderMap) -> Response<Bytes> {
        match self.answer {
            Answer::Problem(status, hop, text) => pages::problem(status, hop, &text, id, accept),
            Answer::Denied => pages::denied(id, accept),
            Answer::Made(response) => *response,
        }
    }
}
