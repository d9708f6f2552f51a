//! Addresses of pages: the parameters in them, one more or one less.

use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a value, beside letters and digits: what is easily read.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// A value as a URL holds it.
pub(super) fn encode(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

/// The parameters of a page, in their order, without empty ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Those of a request.
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let given = pairs.filter(|(_, value)| !value.is_empty());
        let pairs: Vec<(String, String)> = given.map(|(n, v)| (n.into(), v.into())).collect();
        if pairs.iter().any(|(name, _)| name == "user_email") {
            return Self(pairs);
        }
        let renamed = pairs.into_iter().map(|(name, value)| match &*name {
            // The API's other name for it; pages have one.
            "user_name" => ("user_email".to_owned(), value),
            _ => (name, value),
        });
        Self(renamed.collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of a name.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The first value of a name.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Without any value of these names.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        let others = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        Self(others.cloned().collect())
    }

    /// Without this value of a name.
    pub(super) fn less(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(n, v)| (n.as_str(), v.as_str()) != (name, value));
        Self(others.cloned().collect())
    }

    /// With one more.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this as the only value of the name.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        self.without(&[name]).and(name, value)
    }

    /// As they follow `?`.
    pub(super) fn query(&self) -> String {
        let pairs = self.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The address of a page with these.
    pub(super) fn to(&self, path: &str) -> String {
        if self.0.is_empty() { path.to_owned() } else { format!("{path}?{}", self.query()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn parameters_come_and_go_and_nothing_breaks_out() {
        let uri: Uri = "/?reason=a&reason=b&search=&path=%22%3E%3Cscript%3E".parse().unwrap();
        let pairs = Pairs::of(&uri);
        assert_eq!(pairs.all("reason").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(pairs.less("reason", "a").all("reason").collect::<Vec<_>>(), ["b"]);
        assert_eq!(pairs.without(&["reason", "path"]).to("/x"), "/x");
        assert_eq!(pairs.with("reason", "c&d").to("/x"), "/x?path=%22%3E%3Cscript%3E&reason=c%26d");
    }
}
