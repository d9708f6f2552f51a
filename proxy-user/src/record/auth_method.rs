//! How who made a request showed who they are (SPEC 4, `auth_method_used`).

/// The method used or attempted, or that opened the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// Nobody had to sign in.
    None,
    /// The service's password.
    Password,
    /// The service's PIN.
    Pin,
    /// A secret in a header.
    Header,
    /// Single sign-on by `OpenID` Connect.
    Oidc,
}

impl AuthMethod {
    /// As records call it.
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
