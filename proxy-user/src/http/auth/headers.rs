//! What a target learns of who asks, and what it does not.

use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{config::Auth, http::sso::User};

/// The longest list of groups, bytes. What goes beyond is left out: who has so many
/// groups may do less, never more.
const LONGEST: usize = 8192;
/// Encoded in a value, besides what is not ASCII: so that it can be read back, `%` too.
const IN_VALUE: &AsciiSet = &CONTROLS.add(b'%');
/// Of a group also the comma, which stands between them, and white space at its ends.
const IN_GROUP: &AsciiSet = &IN_VALUE.add(b',').add(b' ');

/// The headers that hold secrets: no target gets them.
pub fn credential_headers(auth: &Auth) -> impl Iterator<Item = &HeaderName> {
    auth.headers.iter().map(|secret| &secret.name)
}

/// Who the user is, for the target: `X-Weir-User`, `-Email`, and `-Groups` with commas
/// between them. What does not fit into a header, and `%`, is percent-encoded; in a group
/// the comma and the space as well.
pub fn identity_headers(user: &User) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let plain = |text: &str| utf8_percent_encode(text, IN_VALUE).to_string();
    let all = [
        ("x-weir-user", Some(plain(&user.id))),
        ("x-weir-email", user.email.as_deref().map(plain)),
        ("x-weir-groups", Some(groups(&user.groups)).filter(|groups| !groups.is_empty())),
    ];
    all.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::try_from(value?).ok()?))
    })
}

fn groups(groups: &[String]) -> String {
    let mut list = String::new();
    for group in groups {
        let group = utf8_percent_encode(group, IN_GROUP).to_string();
        if list.len() + group.len() >= LONGEST {
            break;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&group);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(user: &User) -> Vec<(String, String)> {
        let text = |value: HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        identity_headers(user).map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn a_target_learns_who_asks_in_values_that_fit_a_header() {
        let user = User {
            id: "a\r\nX-Weir-User: root%".into(),
            email: Some("j\u{f6}rg@example.com".into()),
            groups: vec!["dev".into(), "a,b c".into()],
        };
        let all = [
            ("x-weir-user", "a%0D%0AX-Weir-User: root%25"),
            ("x-weir-email", "j%C3%B6rg@example.com"),
            ("x-weir-groups", "dev,a%2Cb%20c"),
        ];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(sent(&user), all);
    }

    #[test]
    fn what_a_user_does_not_have_is_not_sent() {
        let user = User { id: "7".into(), email: None, groups: Vec::new() };
        assert_eq!(sent(&user), [("x-weir-user".to_owned(), "7".to_owned())]);
        let many = User { groups: vec!["g".repeat(100); 500], ..user };
        let (_, list) = sent(&many).pop().unwrap_or_default();
        assert!(list.len() <= LONGEST && list.split(',').all(|group| group.len() == 100));
    }
}
