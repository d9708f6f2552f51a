//! URLs of what Weir itself talks to.

use std::net::IpAddr;

use hyper::Uri;

use super::fields::Fields;

/// Whether what comes from there is what was put there: over TLS, or from this host.
pub(super) fn is_trusted(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url.host().unwrap_or("").trim_matches(['[', ']']);
    let is_loopback = host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
    url.scheme_str() == Some("https") || is_loopback || host.eq_ignore_ascii_case("localhost")
}

/// An `http://` or `https://` URL.
pub(super) fn url(fields: &mut Fields<'_, '_>, key: &str) -> Option<String> {
    let (text, at) = fields.string(key)?;
    let uri =
        text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    if !matches!(scheme, Some("http" | "https")) {
        fields.report.fault(at, format!("{key} takes an http:// or https:// URL, not {text:?}"));
        return None;
    }
    Some(text.to_owned())
}

/// A URL of a server that has to prove who it is; a server of this host need not.
pub(super) fn trusted_url(fields: &mut Fields<'_, '_>, key: &str) -> Option<String> {
    let (text, at) = fields.string(key)?;
    let url = url(fields, key)?;
    if !is_trusted(&url) || text.contains(['#', '@']) {
        fields.report.fault(at, format!("{key} takes an https:// URL, not {text:?}"));
        return None;
    }
    Some(url)
}

/// Like [`trusted_url`], without anything behind the host and its port.
pub(super) fn trusted_origin(fields: &mut Fields<'_, '_>, key: &str) -> Option<String> {
    let (text, at) = fields.string(key)?;
    let url = trusted_url(fields, key)?;
    let origin = url.strip_suffix('/').unwrap_or(&url).to_ascii_lowercase();
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    if host.contains(['/', '?']) {
        let message = format!("{key} takes https://HOST or https://HOST:PORT, not {text:?}");
        fields.report.fault(at, message);
        return None;
    }
    Some(origin)
}
