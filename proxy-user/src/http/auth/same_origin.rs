//! Whether a form was sent from a page of ours.

use hyper::{HeaderMap, header::ORIGIN};

/// Whether the browser says that the request comes from a page of `origin`. It says so
/// by `Origin` (RFC 6454, 7) or by `Sec-Fetch-Site` (Fetch Metadata), neither of which a
/// page of another origin can choose. `Origin` may be `null`, where a page of the target
/// is strict about referrers, and wrong where a proxy in front told the wrong scheme:
/// then the other has to say it.
pub(super) fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => headers.get(ORIGIN).is_some_and(|from| from.as_bytes() == origin.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_form_of_another_site_signs_nobody_in() {
        let ours = "https://wiki.example.com";
        for (origin, site, same) in [
            (Some(ours), None, true),
            (Some(ours), Some("same-origin"), true),
            (None, Some("same-origin"), true),
            (Some("null"), Some("same-origin"), true),
            (None, None, false),
            (Some("null"), None, false),
            (Some("https://evil.test"), None, false),
            (Some("http://wiki.example.com"), None, false),
            (Some("https://wiki.example.com:444"), None, false),
            (Some(ours), Some("same-site"), false),
            (Some(ours), Some("cross-site"), false),
            (Some(ours), Some("none"), false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_same_origin(&headers, ours), same, "{origin:?} {site:?}");
        }
    }
}
