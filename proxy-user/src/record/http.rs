//! What only the record of an HTTP request has.

use smol_str::SmolStr;
use uuid::Uuid;

/// The request's part of a record. Its texts are made by [`super::shown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPart {
    /// Made at the start of the request; also on error pages and at the target.
    pub request_id: Uuid,
    /// As sent; up to [`Self::MOST_METHOD`] bytes.
    pub method: SmolStr,
    /// As sent, without the query; up to [`Self::MOST_PATH`] bytes.
    pub path: SmolStr,
    /// Of the answer's head; 0 where none was sent.
    pub status_code: u16,
    /// The method used, attempted, or that opened the session.
    pub auth: AuthMethod,
    /// Whom the provider knows the user as, or ""; up to [`Self::MOST_USER`] bytes.
    pub user_id: SmolStr,
    /// The user's address, or ""; up to [`Self::MOST_USER`] bytes.
    pub user_email: SmolStr,
    /// Of the client's request; `None`: none was understood.
    pub http_version: Option<HttpVersion>,
    /// As sent, or ""; up to [`Self::MOST_USER_AGENT`] bytes.
    pub user_agent: SmolStr,
}

impl HttpPart {
    /// Bytes of a shown method.
    pub const MOST_METHOD: usize = 32;
    /// Bytes of a shown path.
    pub const MOST_PATH: usize = 2048;
    /// Bytes of a shown user agent.
    pub const MOST_USER_AGENT: usize = 512;
    /// Bytes of a shown user id or e-mail address.
    pub const MOST_USER: usize = 256;
}

/// `auth_method_used`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// None was asked for, or none was shown.
    #[default]
    None,
    /// A password.
    Password,
    /// A PIN.
    Pin,
    /// A header's secret.
    Header,
    /// Single sign-on.
    Oidc,
}

impl AuthMethod {
    /// Every method, in the order of its code in the store.
    pub const ALL: [Self; 5] = [Self::None, Self::Password, Self::Pin, Self::Header, Self::Oidc];

    /// As records show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::Pin => "pin",
            Self::Header => "header",
            Self::Oidc => "oidc",
        }
    }
}

/// `http_version`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// RFC 1945.
    Http10,
    /// RFC 9112.
    Http11,
    /// RFC 9113.
    Http2,
}

impl HttpVersion {
    /// Every version, in the order of its code in the store.
    pub const ALL: [Self; 3] = [Self::Http10, Self::Http11, Self::Http2];

    /// As records show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}
