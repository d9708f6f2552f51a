//! Which route a path takes, and whether everybody would agree on it.

use std::borrow::Cow;

/// The path can be read in ways that lead to different routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

/// The place of the route that `path`, as sent, takes among those of `routes`, the longest
/// first; `None`: none takes it.
///
/// # Errors
/// A target that decodes the path would see it on another route.
pub(super) fn choose<'a>(
    path: &str,
    routes: impl Iterator<Item = &'a str> + Clone,
) -> Result<Option<usize>, Ambiguous> {
    let as_sent = find(path, routes.clone());
    match resolved(path) {
        None => Ok(as_sent),
        Some(resolved) if find(&resolved, routes) == as_sent => Ok(as_sent),
        Some(_) => Err(Ambiguous),
    }
}

fn find<'a>(path: &str, mut routes: impl Iterator<Item = &'a str>) -> Option<usize> {
    routes.position(|route| is_below(path, route))
}

/// Whether `path` is `route` or goes on behind it with another segment.
fn is_below(path: &str, route: &str) -> bool {
    let rest = if route == "/" { return path.starts_with('/') } else { path.strip_prefix(route) };
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is left of `path`, as sent, behind `route`; a path again.
pub(super) fn stripped<'a>(path: &'a str, route: &str) -> &'a str {
    let rest = path.strip_prefix(route.trim_end_matches('/')).unwrap_or(path);
    if rest.is_empty() { "/" } else { rest }
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
    fn what_is_left_of_a_path_is_a_path() {
        assert_eq!(stripped("/api", "/api"), "/");
        assert_eq!(stripped("/api/x%2Fy", "/api"), "/x%2Fy");
        assert_eq!(stripped("/x", "/"), "/x");
        assert_eq!(stripped("/api/", "/api"), "/");
    }
}
