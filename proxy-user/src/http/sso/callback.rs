//! What a provider sends the browser back with (RFC 6749, 4.1.2; RFC 9207).

use openidconnect::url::form_urlencoded;

/// The parameters of a callback.
#[derive(Default)]
pub(super) struct Callback {
    pub(super) state: Option<String>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    pub(super) description: Option<String>,
    /// Who says so.
    pub(super) issuer: Option<String>,
}

impl Callback {
    /// Of parameters that come twice the first counts.
    pub(super) fn parse(query: &str) -> Self {
        let mut own = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut own.state,
                "code" => &mut own.code,
                "error" => &mut own.error,
                "error_description" => &mut own.description,
                "iss" => &mut own.issuer,
                _ => continue,
            };
            place.get_or_insert(value.into_owned());
        }
        own
    }
}
