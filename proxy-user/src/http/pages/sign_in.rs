//! Pages for signing in and out.

use askama::Template;
use uuid::Uuid;

/// Which secret a field of the login page asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum FieldKind {
    Password,
    Pin,
}

impl FieldKind {
    /// Of the form's field.
    pub(in crate::http) fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Pin => "pin",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Password => "Password",
            Self::Pin => "PIN",
        }
    }

    fn is_pin(self) -> bool {
        self == Self::Pin
    }
}

struct Field {
    kind: FieldKind,
    error: Option<&'static str>,
    focus: bool,
}

/// Leads to the provider of single sign-on.
pub(in crate::http) struct SsoButton<'a> {
    pub(in crate::http) provider: &'a str,
    /// Where signing on begins.
    pub(in crate::http) start: String,
}

/// Asks for whatever opens the service.
#[derive(Template)]
#[template(path = "login.html")]
pub(in crate::http) struct Login<'a> {
    request_id: Uuid,
    host: &'a str,
    return_to: &'a str,
    fields: Vec<Field>,
    sso: Option<SsoButton<'a>>,
}

impl<'a> Login<'a> {
    /// `wrong`: what was just tried in vain, and why.
    pub(in crate::http) fn new(
        (host, request_id): (&'a str, Uuid),
        return_to: &'a str,
        kinds: &[FieldKind],
        sso: Option<SsoButton<'a>>,
        wrong: Option<(FieldKind, &'static str)>,
    ) -> Self {
        let error = |kind| wrong.filter(|(wrong, _)| *wrong == kind).map(|(_, error)| error);
        let focus = wrong.map(|(kind, _)| kind).or(kinds.first().copied());
        let field = |&kind| Field { kind, error: error(kind), focus: focus == Some(kind) };
        Self { request_id, host, return_to, fields: kinds.iter().map(field).collect(), sso }
    }
}

/// Goes on to the provider by itself.
#[derive(Template)]
#[template(path = "sign_on.html")]
pub(in crate::http) struct SignOn<'a> {
    pub(in crate::http) request_id: Uuid,
    pub(in crate::http) host: &'a str,
    pub(in crate::http) provider: &'a str,
    pub(in crate::http) start: &'a str,
}

/// For who is signed in, and is on none of the service's lists.
#[derive(Template)]
#[template(path = "refused.html")]
pub(in crate::http) struct Refused<'a> {
    pub(in crate::http) request_id: Uuid,
    pub(in crate::http) host: &'a str,
    /// Whom the provider knows the user as.
    pub(in crate::http) name: &'a str,
}

/// Asks whether to sign out.
#[derive(Template)]
#[template(path = "logout.html")]
pub(in crate::http) struct Logout<'a> {
    pub(in crate::http) request_id: Uuid,
    pub(in crate::http) host: &'a str,
}

/// After signing out.
#[derive(Template)]
#[template(path = "signed_out.html")]
pub(in crate::http) struct SignedOut<'a> {
    pub(in crate::http) request_id: Uuid,
    pub(in crate::http) host: &'a str,
    /// Where the user may still be signed in.
    pub(in crate::http) provider: Option<&'a str>,
}
