//! Paths of routes.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a path does not have as it is (RFC 3986, 3.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A prefix of paths, of which only that is percent-encoded which has to be, as clients
/// send it; a `/` at its end says nothing and is left out.
///
/// # Errors
/// What a request's path, as routes compare it, never begins with.
pub(super) fn route_path(text: &str) -> Result<String, String> {
    let refuse = |why: &str| Err(format!("path {text:?} {why}"));
    if !text.starts_with('/') {
        return refuse("does not begin with \"/\"");
    }
    if let Some(c) = text.chars().find(|c| matches!(c, '?' | '#' | '\\' | ' ') || c.is_control()) {
        return refuse(&format!("holds {c:?}, which no path does"));
    }
    if !escapes_are_whole(text) {
        return refuse("has a \"%\" that two hexadecimal digits do not follow");
    }
    let lower = text.to_ascii_lowercase();
    if let Some(escaped) = ["%2f", "%5c"].into_iter().find(|escaped| lower.contains(escaped)) {
        return refuse(&format!("holds {escaped}: requests with it are never routed"));
    }
    let Ok(decoded) = percent_decode_str(text).decode_utf8() else {
        return refuse("is not UTF-8 when decoded");
    };
    if decoded.chars().any(char::is_control) {
        return refuse("holds a control character when decoded");
    }
    if decoded.contains("//") {
        return refuse("holds \"//\"");
    }
    if decoded.split('/').any(|segment| matches!(segment, "." | "..")) {
        return refuse("holds a segment \".\" or \"..\"");
    }
    let whole = decoded.strip_suffix('/').filter(|path| !path.is_empty());
    Ok(utf8_percent_encode(whole.unwrap_or(&decoded), ENCODED).to_string())
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.bytes().take(2);
        digits.filter(u8::is_ascii_hexdigit).count() == 2
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_path_has_one_form_as_it_is_sent_and_without_a_slash_at_its_end() {
        assert_eq!(route_path("/"), Ok("/".into()));
        assert_eq!(route_path("/api/"), Ok("/api".into()));
        for same in ["/caf%C3%A9/v1.0", "/caf%c3%a9/v1.0/", "/café/v1.0", "/%63afé/v1.0"] {
            assert_eq!(route_path(same), Ok("/caf%C3%A9/v1.0".into()), "{same}");
        }
        assert_eq!(route_path("/a%20b"), Ok("/a%20b".into()));
        assert_eq!(route_path("/100%25"), Ok("/100%25".into()));
        assert_eq!(route_path("/~a-b_c!$&'()*+,;=:@"), Ok("/~a-b_c!$&'()*+,;=:@".into()));
        assert_eq!(route_path("/.well-known"), Ok("/.well-known".into()));
    }

    #[test]
    fn what_no_request_has_is_refused() {
        for bad in [
            "",
            "api",
            "//",
            "/a//b",
            "/a//",
            "/.",
            "/a/..",
            "/a/../b",
            "/%2e%2E/b",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a\n",
            "/%0a",
            "/%",
            "/%2",
            "/%zz",
            "/%ff",
        ] {
            assert!(route_path(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_is_taken_is_plain(text in "/[a%2eEfF./]{0,12}|.{0,20}") {
            if let Ok(path) = route_path(&text) {
                prop_assert!(path.starts_with('/') && !path.contains("//"));
                prop_assert!(path == "/" || !path.ends_with('/'));
            }
        }
    }
}
