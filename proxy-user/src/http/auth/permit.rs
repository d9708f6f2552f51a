//! Which of a provider's users a service lets in.

use super::sign_on::User;
use crate::config::SsoAllow;

/// Whether the user is on one of the lists. Groups are compared as they are, e-mails and
/// domains in any case; an e-mail that is not verified is none.
pub(super) fn permits(allow: &SsoAllow, user: &User) -> bool {
    let SsoAllow::Listed { groups, emails, domains } = allow else { return true };
    let email = user.email.as_deref().map(str::to_lowercase);
    let domain = email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, d)| d);
    user.groups.iter().any(|group| groups.contains(group))
        || email.as_ref().is_some_and(|email| emails.contains(email))
        || domain.is_some_and(|domain| domains.iter().any(|allowed| allowed == domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(email: Option<&str>, groups: &[&str]) -> User {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        User { id: "7".into(), email: email.map(str::to_owned), groups }
    }

    #[test]
    fn one_list_is_enough_and_near_misses_are_none() {
        let allow = SsoAllow::Listed {
            groups: vec!["admins".into()],
            emails: vec!["ann@example.org".into()],
            domains: vec!["example.com".into()],
        };
        for (email, groups, may) in [
            (Some("Ann@Example.ORG"), &[][..], true),
            (Some("bob@EXAMPLE.com"), &[], true),
            (None, &["users", "admins"], true),
            (None, &["Admins"], false),
            (None, &[], false),
            (Some("bob@example.org"), &["users"], false),
            (Some("bob@sub.example.com"), &[], false),
            (Some("bob@notexample.com"), &[], false),
            (Some("bob@example.com@evil.test"), &[], false),
            (Some("example.com"), &[], false),
        ] {
            assert_eq!(permits(&allow, &user(email, groups)), may, "{email:?} {groups:?}");
        }
        assert!(permits(&SsoAllow::AnyUser, &user(None, &[])));
    }
}
