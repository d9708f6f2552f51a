//! Names of headers that users may set or check.

use hyper::header::HeaderName;

/// What belongs to one connection (RFC 9110, 7.6.1), or says how a message is delimited.
const OF_THE_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header that requests to targets may be given.
pub(super) fn to_target(text: &str) -> Result<HeaderName, String> {
    let name = usable(text)?;
    if name == "host" {
        return Err(format!("header {text:?}: pass_host_header says which Host a target gets"));
    }
    Ok(name)
}

/// A header that may hold a secret.
pub(super) fn with_secret(text: &str) -> Result<HeaderName, String> {
    let name = usable(text)?;
    if matches!(name.as_str(), "host" | "cookie") {
        return Err(format!("header {text:?} has a meaning of its own, and can be no secret"));
    }
    Ok(name)
}

fn usable(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("{text:?} is no name of a header"))?;
    if OF_THE_CONNECTION.contains(&name.as_str()) {
        return Err(format!("header {text:?} belongs to a connection, and goes no further"));
    }
    // Targets may read "_" as "-".
    if name.as_str().replace('_', "-").starts_with("x-weir-") {
        return Err(format!("header {text:?}: X-Weir- headers are Weir's own"));
    }
    Ok(name)
}
