//! Ids in three parts, of which two are mostly small and one is mostly the same.

use uuid::Uuid;

/// Bits of the node.
const NODE_BITS: u32 = 42;
/// Bits of count and node: what is below the time of a `UUIDv7`.
const TIME_FROM: u32 = 80;

/// Any 128 bits; how they are divided suits the ids that [`crate::record::Ids`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    /// Milliseconds.
    pub(super) time: u64,
    pub(super) count: u64,
    pub(super) node: u64,
}

impl From<Uuid> for Id {
    fn from(id: Uuid) -> Self {
        let part = |from: u32, to: u32| {
            let bits = id.as_u128() >> from & ((1 << (to - from)) - 1);
            u64::try_from(bits).unwrap_or(u64::MAX)
        };
        Self {
            time: part(TIME_FROM, u128::BITS),
            count: part(NODE_BITS, TIME_FROM),
            node: part(0, NODE_BITS),
        }
    }
}

impl From<Id> for Uuid {
    fn from(id: Id) -> Self {
        let place = |part: u64, from: u32| u128::from(part) << from;
        Self::from_u128(
            place(id.time, TIME_FROM) | place(id.count, NODE_BITS) | u128::from(id.node),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_comes_back(id in any::<u128>()) {
            let id = Uuid::from_u128(id);
            prop_assert_eq!(Uuid::from(Id::from(id)), id);
        }
    }
}
