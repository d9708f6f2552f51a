//! The kernel plane: flows whose packets go on to a target, and back to their client,
//! without meeting the host's stack.
//!
//! It lies beneath what counts: a client's packet is judged and counted on its way in, and
//! then translated and sent on; what the target answers is translated where it comes in,
//! and counted on its way out to the client, as if this host had sent it.

mod begin;
mod dial;
mod end;
mod errors;
mod mss;
mod rate;
mod sessions;
mod translate;
mod ways;

pub use begin::{answered_anew, dialled, open, replaced, take_on};
pub use dial::Pair;
pub use end::{ended, established, give_up, is_cut, plead_cut, refused};
pub use errors::error;
pub use rate::Pleas;
pub use sessions::began;
pub use translate::{is_of_target, is_translated, stays, translate};
