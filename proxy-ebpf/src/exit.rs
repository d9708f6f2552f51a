//! The one counted exit of every program.

use aya_ebpf::bindings::xdp_action;
use proxy_common::outcome::Outcome;

use crate::{log, maps::OUTCOME_COUNTS};

/// Go on with the next program (`include/uapi/linux/bpf.h`).
pub const TCX_NEXT: i32 = -1;
/// Drop.
const TCX_DROP: i32 = 2;
/// Send where the helper said that was called last.
const TCX_REDIRECT: i32 = 7;

/// Counts one outcome.
#[inline(always)]
pub fn count(outcome: Outcome) {
    if let Some(cell) = OUTCOME_COUNTS.get_ptr_mut(outcome as u32) {
        // SAFETY: a map value of this CPU's, valid for the program's run, during which
        // no other program runs here: softirqs are disabled.
        unsafe { *cell += 1 };
    }
}

/// Counts the outcome and turns it into TC's action.
#[cfg_attr(feature = "log", inline(never))]
#[cfg_attr(not(feature = "log"), inline(always))]
pub fn tc_exit(outcome: Outcome) -> i32 {
    count(outcome);
    log::line(outcome);
    match outcome {
        Outcome::Forwarded => TCX_REDIRECT,
        outcome if drops(outcome) => TCX_DROP,
        _ => TCX_NEXT,
    }
}

/// Counts the outcome and turns it into XDP's action.
#[inline(always)]
pub fn xdp_exit(outcome: Outcome) -> u32 {
    if drops(outcome) {
        // What passes here is counted at TC ingress.
        count(outcome);
        log::line(outcome);
        xdp_action::XDP_DROP
    } else {
        xdp_action::XDP_PASS
    }
}

#[inline(always)]
fn drops(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Denied
            | Outcome::Cut
            | Outcome::TooBig
            | Outcome::Expired
            | Outcome::Untranslatable
            | Outcome::TargetRefused
    )
}
