//! The class of an address, by the tables of one generation.
//!
//! Each search is a global function to the verifier, as reading is (`read.rs`): it is gone
//! through by itself, once for each program.

use proxy_common::{
    address::Address,
    classes::{Chunk4, Chunk6, Chunks, Class, class_of_v4, class_of_v6},
};

use crate::maps::{CLASSES4, CLASSES6, ROOTS4, ROOTS6};

/// The class of `address` in a set of tables.
#[inline(always)]
pub fn class(set: u32, address: &Address) -> Option<Class> {
    let found = match address.as_v4() {
        Some(octets) => class_v4(set, u32::from_be_bytes(octets)),
        None => {
            let [upper, lower] = address.words();
            class_v6(set, u64::from_be(upper), u64::from_be(lower))
        }
    };
    Class::try_from(found).ok()
}

/// No class: words are missing.
const NONE: u32 = u32::MAX;

#[inline(never)]
#[unsafe(no_mangle)]
fn class_v4(set: u32, address: u32) -> u32 {
    let Some(roots) = ROOTS4.get(set) else { return NONE };
    class_of_v4(roots, &InKernel { set }, address).map_or(NONE, u32::from)
}

#[inline(never)]
#[unsafe(no_mangle)]
fn class_v6(set: u32, upper: u64, lower: u64) -> u32 {
    let Some(root) = ROOTS6.get(set) else { return NONE };
    class_of_v6(root, &InKernel { set }, [upper, lower]).map_or(NONE, u32::from)
}

/// The tables of one generation.
struct InKernel {
    set: u32,
}

impl Chunks for InKernel {
    #[inline(always)]
    fn chunk4(&self, number: u32) -> Option<&Chunk4> {
        CLASSES4.get_value(self.set, &number)
    }

    #[inline(always)]
    fn chunk6(&self, number: u32) -> Option<&Chunk6> {
        CLASSES6.get_value(self.set, &number)
    }
}
