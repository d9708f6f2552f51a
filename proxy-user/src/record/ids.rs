//! Ids in the order of the store: `UUIDv7` (RFC 9562, 5.7), strictly increasing even
//! if the clock steps back.

use uuid::Uuid;

use super::Timestamp;

/// Bits below the time: 12 of `rand_a`, 62 of `rand_b`.
const BELOW_TIME: u32 = 74;
const RAND_B_BITS: u32 = 62;
/// The lowest bits say who gives the ids (RFC 9562, 6.2 and 6.4): they are random once, so
/// that a store need not keep them with each record.
const NODE_BITS: u32 = 42;
const NODE_MASK: u128 = (1 << NODE_BITS) - 1;
const VERSION_7: u128 = 0x7 << 76;
const VARIANT_RFC: u128 = 0b10 << RAND_B_BITS;

/// Gives ids, each above the one before.
#[derive(Debug)]
pub struct Ids {
    node: u128,
    /// Milliseconds and a 32-bit counter within them, of the last id, as one number.
    last: u128,
}

impl Ids {
    /// Ids above `last`, the highest that there is.
    pub fn after(last: Option<Uuid>) -> Self {
        Self { node: random() & NODE_MASK, last: last.map_or(0, counted) }
    }

    /// The next id: in a new millisecond the counter begins at 0, within one it goes up.
    pub fn next(&mut self, now: Timestamp) -> Uuid {
        let milliseconds = u128::try_from(now.0).unwrap_or(0) & 0xffff_ffff_ffff;
        self.last = (milliseconds << (BELOW_TIME - NODE_BITS)).max(self.last + 1);
        assemble(self.last << NODE_BITS | self.node)
    }
}

fn assemble(ordinal: u128) -> Uuid {
    let milliseconds = ordinal >> BELOW_TIME;
    let rand_a = ordinal >> RAND_B_BITS & 0xfff;
    let rand_b = ordinal & ((1 << RAND_B_BITS) - 1);
    Uuid::from_u128(milliseconds << 80 | VERSION_7 | rand_a << 64 | VARIANT_RFC | rand_b)
}

/// Milliseconds and counter of an id.
fn counted(id: Uuid) -> u128 {
    let id = id.as_u128();
    let (milliseconds, rand_a) = (id >> 80, id >> 64 & 0xfff);
    let rand_b = id & ((1 << RAND_B_BITS) - 1);
    (milliseconds << BELOW_TIME | rand_a << RAND_B_BITS | rand_b) >> NODE_BITS
}

/// Where the kernel gives no randomness the node is 0: ids are unique all the same.
fn random() -> u128 {
    let mut bytes = [0; 16];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u128::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_rise_whatever_the_clock_does(times in prop::collection::vec(0i64..5, 1..200)) {
            let mut ids = Ids::after(None);
            let mut before = Uuid::nil();
            for time in times {
                let id = ids.next(Timestamp(1_700_000_000_000 + time));
                prop_assert!(id > before);
                prop_assert_eq!(id.get_version_num(), 7);
                before = id;
            }
        }

        #[test]
        fn a_new_writer_goes_on_above_the_last(ahead in 0i64..1000) {
            let now = Timestamp(1_700_000_000_000);
            let last = Ids::after(None).next(Timestamp(now.0 + ahead));
            prop_assert!(Ids::after(Some(last)).next(now) > last);
        }
    }
}
