//! Who signed in, and whom a service lets pass.

use crate::config::SsoAllow;

/// Whom a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct User {
    /// The subject, which the provider gives to nobody else (OpenID Connect Core, 2).
    pub id: String,
    /// Only one that the provider has verified.
    pub email: Option<String>,
    /// As the provider calls them.
    pub groups: Vec<String>,
}

impl User {
    /// What people call them.
    pub fn name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.id)
    }
}

/// Whether a user is on one of a service's lists.
pub fn permits(allow: &SsoAllow, user: &User) -> bool {
    let SsoAllow::Listed { groups, emails, domains } = allow else { return true };
    if user.groups.iter().any(|group| groups.contains(group)) {
        return true;
    }
    let Some(email) = &user.email else { return false };
    let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
    let has = |list: &[String], own: &str| list.iter().any(|one| one.eq_ignore_ascii_case(own));
    has(emails, email) || has(domains, domain)
}
