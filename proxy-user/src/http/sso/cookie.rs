//! The cookies of logins under way: one for each, named after its state, so that tabs do
//! not disturb each other.

use hyper::HeaderMap;

use crate::http::auth::cookies::{self, pairs};

/// Name and value together. Browsers take 4,096 bytes, attributes with them (RFC 6265, 6.1).
pub(super) const LONGEST: usize = 4000;
const PREFIX: &str = "weir-sso-";
/// The state is 128 bits in base64.
const STATE: usize = 22;
/// Of logins that were begun and not finished, in one browser.
const MOST: usize = 8;
const MOST_BYTES: usize = 8 << 10;

/// What the login with that state is kept by; `None` where that is no state of ours.
pub(super) fn name(state: &str, secure: bool) -> Option<String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_state = state.len() == STATE && state.bytes().all(known);
    is_state.then(|| cookies::name(&format!("{PREFIX}{state}"), secure))
}

fn is_of_login(name: &str) -> bool {
    cookies::base(name).starts_with(PREFIX)
}

/// The value of a cookie.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    pairs(headers).find_map(|(own, value)| (own == name).then_some(value))
}

/// Which cookies give way to one more: the oldest, which browsers name first (RFC 6265,
/// 5.4).
pub(super) fn surplus(headers: &HeaderMap) -> Vec<String> {
    let (mut count, mut bytes) = (1, LONGEST);
    let mut own: Vec<_> = pairs(headers).filter(|(name, _)| is_of_login(name)).collect();
    own.reverse();
    let mut stays = |(name, value): &(&str, &str)| {
        count += 1;
        bytes += name.len() + value.len();
        count <= MOST && bytes <= MOST_BYTES
    };
    let kept = own.iter().take_while(|pair| stays(pair)).count();
    own.split_off(kept).into_iter().map(|(name, _)| name.to_owned()).collect()
}
