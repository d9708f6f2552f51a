//! How often the daemon is asked to answer somebody: what a client sends must not fill the
//! ring buffer, which holds the ends of flows as well.

use crate::{lookup::now, maps::PLEAS};

/// Pleas of one CPU within a window of 2^24 ns, some 17 ms.
const MOST: u64 = 64;
const WINDOW: u32 = 24;

/// This CPU's pleas of late.
#[repr(C)]
pub struct Pleas {
    window: u64,
    count: u64,
}

/// Whether there may be another.
#[inline(always)]
pub fn may_plead() -> bool {
    let Some(pleas) = PLEAS.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's own map value, which no other program uses meanwhile.
    let pleas: &mut Pleas = unsafe { &mut *pleas };
    let window = now() >> WINDOW;
    if pleas.window != window {
        *pleas = Pleas { window, count: 0 };
    }
    pleas.count += 1;
    pleas.count <= MOST
}
