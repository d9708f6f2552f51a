//! What a provider tells of a user, in an ID token or by its userinfo endpoint.

use openidconnect::EndUserEmail;
use serde_json::Value;

use super::{
    oidc::{Claims, IdTokenClaims, UserInfo},
    user::User,
};

/// Of a user's groups the first so many count.
const MOST_GROUPS: usize = 500;
/// A group of a longer name is none.
const LONGEST_GROUP: usize = 256;
/// RFC 5321, 4.5.3.1: 64 bytes, the `@`, 255.
const LONGEST_EMAIL: usize = 320;
/// OpenID Connect Core, 2.
const LONGEST_ID: usize = 255;

/// What one answer tells.
pub(super) struct Told {
    email: Email,
    /// `None`: nothing about groups.
    groups: Option<Vec<String>>,
}

enum Email {
    Verified(String),
    Unverified,
    /// Nothing, or not whether it is verified.
    Untold,
}

impl Told {
    pub(super) fn by_token(claims: &IdTokenClaims, groups: &str) -> Self {
        Self {
            email: Email::of(claims.email(), claims.email_verified()),
            groups: groups_in(claims.additional_claims(), groups),
        }
    }

    pub(super) fn by_userinfo(claims: &UserInfo, groups: &str) -> Self {
        Self {
            email: Email::of(claims.email(), claims.email_verified()),
            groups: groups_in(claims.additional_claims(), groups),
        }
    }

    pub(super) fn nothing() -> Self {
        Self { email: Email::Untold, groups: None }
    }

    /// Whether there is nothing more to ask for.
    pub(super) fn is_whole(&self) -> bool {
        self.groups.is_some() && !matches!(self.email, Email::Untold)
    }

    /// With what another answer tells beyond it.
    pub(super) fn or(self, other: Self) -> Self {
        let email = if matches!(self.email, Email::Untold) { other.email } else { self.email };
        Self { email, groups: self.groups.or(other.groups) }
    }

    /// The user of that subject; `None` where that cannot be a subject.
    pub(super) fn user(self, id: &str) -> Option<User> {
        let is_id = !id.is_empty() && id.len() <= LONGEST_ID && !id.chars().any(char::is_control);
        let email = match self.email {
            Email::Verified(email) => Some(email),
            Email::Unverified | Email::Untold => None,
        };
        is_id.then(|| User { id: id.to_owned(), email, groups: self.groups.unwrap_or_default() })
    }
}

impl Email {
    fn of(email: Option<&EndUserEmail>, verified: Option<bool>) -> Self {
        match (email, verified) {
            (Some(email), Some(true)) if is_email(email) => Self::Verified(email.to_string()),
            (Some(_), Some(_)) => Self::Unverified,
            (Some(_), None) | (None, _) => Self::Untold,
        }
    }
}

fn is_email(text: &str) -> bool {
    let has_both = text.rsplit_once('@').is_some_and(|(own, at)| !own.is_empty() && !at.is_empty());
    has_both && text.len() <= LONGEST_EMAIL && !text.chars().any(char::is_control)
}

/// A text or a list of texts.
fn groups_in(claims: &Claims, name: &str) -> Option<Vec<String>> {
    let texts = match claims.others.get(name)? {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => vec![text.as_str()],
        _ => Vec::new(),
    };
    let fits = |text: &&str| !text.is_empty() && text.len() <= LONGEST_GROUP;
    Some(texts.into_iter().filter(fits).take(MOST_GROUPS).map(str::to_owned).collect())
}
