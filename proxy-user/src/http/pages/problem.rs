//! What went wrong, and where.

use askama::Template;
use bytes::Bytes;
use hyper::{HeaderMap, Response, StatusCode};
use uuid::Uuid;

use super::respond;

/// Where a request failed, on its way from the client to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// What the client sent, or did not wait for.
    Client,
    /// Weir itself.
    Weir,
    /// The service's target.
    Target,
    /// The provider of single sign-on.
    Provider,
}

/// How a hop did.
#[derive(Clone, Copy)]
enum State {
    Works,
    Failed,
    /// The request did not come so far.
    Unknown,
}

impl State {
    fn class(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Failed => "failed here",
            Self::Unknown => "not asked",
        }
    }
}

struct Station {
    name: &'static str,
    state: State,
}

/// Where the page leads on to.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// A path, or a URL.
    pub href: &'a str,
    /// What it says.
    pub text: &'a str,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'a> {
    request_id: Uuid,
    title: &'static str,
    status: u16,
    way: Option<[Station; 3]>,
    text: &'a str,
    link: Option<Link<'a>>,
}

/// A page about a failure.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Of the answer.
    pub status: StatusCode,
    /// Where it failed; `None` where nothing did, and the answer is no.
    pub hop: Option<Hop>,
    /// For the user: what happened, and what helps.
    pub text: &'a str,
    /// Where to go on.
    pub link: Option<Link<'a>>,
    /// As in the record.
    pub request_id: Uuid,
}

impl Problem<'_> {
    /// The answer. `headers`: the request's.
    pub fn respond(&self, headers: &HeaderMap) -> Response<Bytes> {
        let title = title(self.status);
        let status = self.status.as_u16();
        let page = Page {
            request_id: self.request_id,
            title,
            status,
            way: self.hop.map(way),
            text: self.text,
            link: self.link,
        };
        let hop = self.hop.map_or("", hop_in_words);
        let text = format!("{status} {title}\n{}{hop}\nRequest {}", self.text, self.request_id);
        respond(self.status, headers, &page, &text)
    }
}

/// A page about a failure at `hop`. `headers`: the request's, which tell whether it is
/// HTML or text.
pub fn problem(
    status: StatusCode,
    hop: Hop,
    text: &str,
    request_id: Uuid,
    headers: &HeaderMap,
) -> Response<Bytes> {
    Problem { status, hop: Some(hop), text, link: None, request_id }.respond(headers)
}

/// The page for an address that a restriction denies.
pub fn denied(request_id: Uuid, headers: &HeaderMap) -> Response<Bytes> {
    let text = "This site does not answer to the network that you come from.";
    let status = StatusCode::FORBIDDEN;
    Problem { status, hop: None, text, link: None, request_id }.respond(headers)
}

fn way(failed: Hop) -> [Station; 3] {
    use State::{Failed, Unknown, Works};
    let last = if failed == Hop::Provider { "Sign-in service" } else { "Site" };
    let states = match failed {
        Hop::Client => [Failed, Works, Unknown],
        Hop::Weir => [Works, Failed, Unknown],
        Hop::Target | Hop::Provider => [Works, Works, Failed],
    };
    let [client, weir, target] = states;
    [
        Station { name: "You", state: client },
        Station { name: "Weir", state: weir },
        Station { name: last, state: target },
    ]
}

fn hop_in_words(hop: Hop) -> &'static str {
    match hop {
        Hop::Client => "\nFailed at: client",
        Hop::Weir => "\nFailed at: Weir",
        Hop::Target => "\nFailed at: target",
        Hop::Provider => "\nFailed at: sign-in service",
    }
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "This request makes no sense",
        401 => "Sign in first",
        403 => "No access",
        404 => "Nothing is here",
        405 => "Not by this method",
        408 => "The request took too long",
        413 => "This is too large",
        421 => "This site is not served here",
        429 => "Too many tries",
        431 => "The request's head is too large",
        499 => "The request was given up",
        502 => "The site gave no good answer",
        503 => "Not available just now",
        504 => "The site took too long",
        508 => "The request goes in circles",
        _ => status.canonical_reason().unwrap_or("Something went wrong"),
    }
}
