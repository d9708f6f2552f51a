//! The pages that Weir itself shows. They need nothing from outside and no script, and
//! who does not ask for HTML gets their text.

mod moved;
mod problem;
mod response;
mod sign_in;
#[cfg(test)]
mod tests;

pub use moved::redirect;
pub use problem::{Hop, Link, Problem, denied, problem};
pub(super) use response::{respond, retry_after};
pub(super) use sign_in::{FieldKind, Login, Logout, Refused, SignOn, SignedOut, SsoButton};

/// In every page, word for word: the content security policy names its hash.
const STYLE: &str = include_str!("../../../templates/style.css");
