//! Read-modify-write on map values.
//!
//! BPF has the instructions (v3), core's atomic types do not offer them on this
//! target. Where the value before is used the ordering is AcqRel, never Relaxed:
//! LLVM 22 drops the fetch of a relaxed one (llvm#210280).

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_or, atomic_xadd, atomic_xchg};

use proxy_common::tcp::Cells;

/// How often a raise is tried against other CPUs raising the same cell. Each
/// failure is another CPU's success, on another packet of the same direction.
const RAISE_ATTEMPTS: u32 = 8;

/// Cells of map values, shared by all CPUs.
pub struct Shared;

/// Adds; the value before.
#[inline(always)]
pub fn fetch_add(cell: &mut u64, value: u64) -> u64 {
    // SAFETY: a valid, aligned cell of a map value.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(cell, value) }
}

/// Exchanges; the value before.
#[inline(always)]
pub fn exchange(cell: *mut u64, value: u64) -> u64 {
    // SAFETY: a valid, aligned cell of a map value.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::AcqRel }>(cell, value) }
}

/// Stores `value` where the cell holds `seen`; the value before, and whether it did.
#[inline(always)]
fn replace(cell: &mut u64, seen: u64, value: u64) -> (u64, bool) {
    // SAFETY: a valid, aligned cell of a map value.
    unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::AcqRel }, { AtomicOrdering::Acquire }>(
            cell, seen, value,
        )
    }
}

/// The further attempts of [`Cells::raise`], out of the way of packets that need none.
#[inline(never)]
fn raise_again(cell: &mut u64, mut seen: u64, value: u64) -> bool {
    let mut attempts = 1;
    while seen < value {
        let (before, stored) = replace(cell, seen, value);
        if stored {
            return true;
        }
        seen = before;
        // The bound stands last: the verifier of 6.1 knows no loop whose last step is
        // not a branch.
        attempts += 1;
        if attempts >= RAISE_ATTEMPTS {
            return false;
        }
    }
    false
}

impl Cells for Shared {
    #[inline(always)]
    fn add(cell: &mut u64, value: u64) {
        fetch_add(cell, value);
    }

    #[inline(always)]
    fn raise(cell: &mut u64, value: u64) -> bool {
        let seen = *cell;
        if seen >= value {
            return false;
        }
        let (before, stored) = replace(cell, seen, value);
        stored || raise_again(cell, before, value)
    }

    #[inline(always)]
    fn set(cell: &mut u32, bits: u32) -> u32 {
        // SAFETY: a valid, aligned cell of a map value.
        unsafe { atomic_or::<u32, u32, { AtomicOrdering::AcqRel }>(cell, bits) }
    }
}
