//! Which route a path takes, and whether everybody would agree on it.

use std::borrow::Cow;

/// The path can be read in ways that lead to different routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

/// The place of the route that `path`, as sent, takes among those of `routes`, the longest
/// first and percent-encoded where they have to be; `None`: none takes it.
///
/// # Errors
/// A target that decodes the path would see it on another route.
pub(super) fn choose<'a>(
    path: &str,
    mut routes: impl Iterator<Item = &'a str> + Clone,
) -> Result<Option<usize>, Ambiguous> {
    let as_sent = routes.clone().position(|route| is_below(path, route));
    let Some(resolved) = resolved(path) else { return Ok(as_sent) };
    let as_decoded = routes.position(|route| is_decoded_below(&resolved, route));
    if as_sent == as_decoded { Ok(as_sent) } else { Err(Ambiguous) }
}

/// Whether `path`, as sent, is `route` or goes on behind it with another segment.
fn is_below(path: &str, route: &str) -> bool {
    let rest = if route == "/" { return path.starts_with('/') } else { behind(path, route) };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The same of a path that is decoded.
fn is_decoded_below(path: &str, route: &str) -> bool {
    let Cow::Owned(route) = decoded(route.as_bytes()) else { return is_below(path, route) };
    let rest = path.as_bytes().strip_prefix(&*route);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// What is left of `path`, as sent, behind `route`; a path again.
pub(super) fn stripped<'a>(path: &'a str, route: &str) -> &'a str {
    let rest = behind(path, route.trim_end_matches('/')).unwrap_or(path);
    if rest.is_empty() { "/" } else { rest }
}

/// What follows `route` in `path`, as sent. What the route has encoded may be so in digits
/// of any case, or sent as it is, as some clients do.
fn behind<'a>(path: &'a str, route: &str) -> Option<&'a str> {
    if !route.contains('%') {
        return path.strip_prefix(route);
    }
    let (mut at, mut wanted) = (0, route.as_bytes());
    while let [byte, more @ ..] = wanted {
        let here = path.as_bytes().get(at..)?;
        let code = wanted.get(..3).filter(|_| *byte == b'%');
        let sent = code.filter(|c| here.get(..3).is_some_and(|own| own.eq_ignore_ascii_case(c)));
        let plain = match code {
            Some(code) => *decoded(code).first()?,
            None => *byte,
        };
        if sent.is_none() && here.first() != Some(&plain) {
            return None;
        }
        at += sent.map_or(1, <[u8]>::len);
        wanted = code.map_or(more, |code| &wanted[code.len()..]);
    }
    path.get(at..)
}

/// The path as one who decodes it first sees it: percent-decoded, `\` as `/`, without dot
/// segments (RFC 3986, 5.2.4), empty ones or parameters. `None`: it is the same.
fn resolved(path: &str) -> Option<String> {
    let plain = !path.contains(['%', '\\', ';']) && !path.contains("/.") && !path.contains("//");
    if plain {
        return None;
    }
    let decoded = decoded(path.as_bytes());
    let text = String::from_utf8_lossy(&decoded);
    let mut segments: Vec<&str> = Vec::new();
    let mut last = "";
    for segment in text.split(['/', '\\']) {
        // Servers of Java cut off what follows a semicolon.
        let name = segment.split(';').next().unwrap_or_default();
        match name {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(name),
        }
        last = name;
    }
    let mut resolved = format!("/{}", segments.join("/"));
    if matches!(last, "" | "." | "..") && !segments.is_empty() {
        resolved.push('/');
    }
    Some(resolved)
}

/// Percent-decoded; what is no encoding stays.
fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return Cow::Borrowed(path);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        let encoded = (digit(path.get(at + 1)), digit(path.get(at + 2)));
        match (*byte, encoded) {
            (b'%', (Some(high), Some(low))) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (byte, _) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const ROUTES: [&str; 4] = ["/api/v2", "/admin", "/api", "/"];

    fn chosen(path: &str) -> Result<Option<&'static str>, Ambiguous> {
        choose(path, ROUTES.into_iter()).map(|place| place.map(|place| ROUTES[place]))
    }

    #[test]
    fn the_longest_prefix_wins_and_ends_at_a_segment() {
        for (path, route) in [
            ("/", "/"),
            ("/api", "/api"),
            ("/api/", "/api"),
            ("/api/x", "/api"),
            ("/apix", "/"),
            ("/api/v2", "/api/v2"),
            ("/api/v2x", "/api"),
            ("/x/api", "/"),
            ("/API", "/"),
        ] {
            assert_eq!(chosen(path), Ok(Some(route)), "{path}");
        }
        assert_eq!(choose("/x", ["/api"].into_iter()), Ok(None));
        assert_eq!(choose("*", ROUTES.into_iter()), Ok(None));
    }

    /// A target decodes what Weir does not: who is let in by one route must not be served
    /// by another.
    #[test]
    fn a_path_that_can_be_read_as_another_routes_is_refused() {
        for path in [
            "/x/../admin",
            "/x/%2e%2e/admin",
            "/x/%2E./admin/",
            "/%61dmin",
            "/admin%2Fx/../../api",
            "/x%2f..%2fadmin",
            "/x\\..\\admin",
            "/x%5c..%5cadmin",
            "/./admin",
            "//admin",
            "/;a/admin",
            "/admin/../x",
            "/admin/..",
            "/api/%2e%2e/admin",
            "/api%2fv2",
            "/x/..;/admin",
            "/admin;x",
        ] {
            assert_eq!(chosen(path), Err(Ambiguous), "{path}");
        }
    }

    #[test]
    fn what_is_encoded_and_leads_to_the_same_route_passes() {
        for (path, route) in [
            ("/api/a%2Fb", "/api"),
            ("/api/a%20b", "/api"),
            ("/%", "/"),
            ("/100%zz", "/"),
            ("/api/x/../y", "/api"),
            ("/wiki/C%2B%2B", "/"),
            ("/api//x", "/api"),
            ("/.well-known/x", "/"),
            ("/%ff", "/"),
        ] {
            assert_eq!(chosen(path), Ok(Some(route)), "{path}");
        }
    }

    #[test]
    fn a_route_that_has_to_be_encoded_is_found_however_it_is_sent() {
        const ROUTES: [&str; 4] = ["/caf%C3%A9", "/100%25", "/a%20b", "/"];
        let chosen = |path| choose(path, ROUTES.into_iter()).map(|place| ROUTES[place.unwrap()]);
        for (path, route) in [
            ("/caf%C3%A9", "/caf%C3%A9"),
            ("/caf%c3%A9/x", "/caf%C3%A9"),
            ("/café/x", "/caf%C3%A9"),
            ("/caf%C3%A9e", "/"),
            ("/caf%C3", "/"),
            ("/caf", "/"),
            ("/a%20b/%2F", "/a%20b"),
            ("/a%20bc", "/"),
            ("/a+b", "/"),
            ("/100%25/x", "/100%25"),
            ("/100%/x", "/100%25"),
            ("/100%2525", "/"),
        ] {
            assert_eq!(chosen(path), Ok(route), "{path}");
        }
        for path in ["/%63afé", "/x/../caf%C3%A9", "/a%20b/..", "/x%2F..%2Fa%20b", "/a%20b%2Fc"] {
            assert_eq!(chosen(path), Err(Ambiguous), "{path}");
        }
        assert_eq!(stripped("/caf%c3%a9/x%2Fy", "/caf%C3%A9"), "/x%2Fy");
        assert_eq!(stripped("/café", "/caf%C3%A9"), "/");
    }

    #[test]
    fn what_is_left_of_a_path_is_a_path() {
        assert_eq!(stripped("/api", "/api"), "/");
        assert_eq!(stripped("/api/x%2Fy", "/api"), "/x%2Fy");
        assert_eq!(stripped("/x", "/"), "/x");
        assert_eq!(stripped("/api/", "/api"), "/");
    }
}
