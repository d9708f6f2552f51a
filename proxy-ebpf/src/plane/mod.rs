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

use aya_ebpf::Global;

pub use begin::{answered_anew, dialled, open, replaced, take_on};
pub use dial::Pair;
pub use end::{ended, established, give_up, is_cut, plead_cut, refused};
pub use errors::error;
pub use rate::Pleas;
pub use sessions::began;
pub use translate::{is_of_target, is_translated, stays, translate};

/// Whether the plane is used at all: not on kernels before 6.12. The loader says so before
/// anything is verified, and to the verifier it is a constant: what only the plane needs is
/// passed over, and takes none of the little stack that 6.1 has for a chain of calls.
#[unsafe(no_mangle)]
static PLANE: Global<u32> = Global::new(1);

#[inline(always)]
fn is_used() -> bool {
    PLANE.load() != 0
}
