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

impl Cells for Shared {
    #[inline(always)]
    fn add(cell: &mut u64, value: u64) {
        fetch_add(cell, value);
    }

    #[inline(always)]
    fn raise(cell: &mut u64, value: u64) -> bool {
        let mut seen = *cell;
        for _ in 0..RAISE_ATTEMPTS {
            if seen >= value {
                return false;
            }
            // SAFETY: a valid, aligned cell of a map value.
            let (before, stored) = unsafe {
                atomic_cxchg::<u64, { AtomicOrdering::AcqRel }, { AtomicOrdering::Acquire }>(
                    cell, seen, value,
                )
            };
            if stored {
                return true;
            }
            seen = before;
        }
        false
    }

    #[inline(always)]
    fn set(cell: &mut u32, bits: u32) -> u32 {
        // SAFETY: a valid, aligned cell of a map value.
        unsafe { atomic_or::<u32, u32, { AtomicOrdering::AcqRel }>(cell, bits) }
    }
}
