//! A browser, as far as a login needs one: curl for the provider's pages, and the cookies
//! that Weir sets.

use std::process::Command;

use hyper::{HeaderMap, header::COOKIE};
use tempfile::TempDir;

use super::idp::Idp;
use crate::http::sso::Departure;

/// More redirects than a login has.
const MOST: usize = 12;

pub(super) struct Browser {
    directory: TempDir,
    cookies: Vec<(String, String)>,
}

impl Browser {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), cookies: Vec::new() }
    }

    /// Does with cookies what Weir says.
    pub(super) fn keep(&mut self, departure: &Departure) {
        self.cookies.retain(|(name, _)| !departure.surplus.contains(name));
        self.cookies.push((departure.cookie_name.clone(), departure.cookie.clone()));
    }

    /// As they are sent to Weir.
    pub(super) fn cookies(&self) -> HeaderMap {
        let pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("theme=dark; {}", pairs.join("; ")).parse().unwrap());
        headers
    }

    /// Signs in where Weir sent it; the query of the callback to which that leads. Without
    /// a user, who sits there says no.
    pub(super) fn sign_in(&self, idp: &Idp, departure: &Departure, user: Option<&str>) -> String {
        self.sign_in_at(idp, departure.url.clone(), user)
    }

    /// The same, by the URL alone.
    pub(super) fn sign_in_at(&self, idp: &Idp, mut url: String, user: Option<&str>) -> String {
        for _ in 0..MOST {
            if let Some((_, query)) = url.split_once("/.weir/sso/callback?") {
                return query.to_owned();
            }
            if let Some(user) = user.filter(|_| url.contains("/interaction/")) {
                url = format!("{url}?user={user}");
            }
            url = self.redirect_of(idp, &url);
        }
        panic!("the login leads nowhere: {url}");
    }

    fn redirect_of(&self, idp: &Idp, url: &str) -> String {
        let jar = self.directory.path().join("jar");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]);
        curl.args(["--write-out", "\n%{redirect_url}", "--cacert"]).arg(idp.authority());
        curl.arg("--cookie-jar").arg(&jar).arg("--cookie").arg(&jar);
        let output = curl.arg(url).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let redirect = text.lines().last().filter(|line| line.starts_with("https://"));
        let error = String::from_utf8_lossy(&output.stderr);
        redirect.unwrap_or_else(|| panic!("{url} leads nowhere: {text}{error}")).to_owned()
    }
}
