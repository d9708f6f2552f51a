//! Restrictions that are more than the kernel's tables hold.

/// What the tables of a generation may take of the kernel's memory, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// Of that, ranges of IPv4 addresses.
pub(super) const MAX_BYTES4: usize = 32 << 20;
/// Classes of addresses that can be told apart.
pub const MAX_CLASSES: usize = 1 << 16;

/// Why a policy is not taken, and where most of it stands.
#[derive(Debug, thiserror::Error)]
#[error("{excess}; most prefixes are in [{table}]: {prefixes}")]
pub struct PolicyError {
    /// What is too much.
    #[source]
    pub(super) excess: Excess,
    /// The table of the configuration that has most prefixes.
    pub(super) table: String,
    /// How many.
    pub(super) prefixes: usize,
}

/// What of a policy is more than the kernel's tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// It is too large.
    #[error(
        "the restrictions take {total} MiB of the kernel's memory, of at most {}: {ranges4} \
         ranges of IPv4 addresses {v4} (of at most {}), {ranges6} of IPv6 {v6}, verdicts on \
         {classes} classes of addresses {verdicts}",
        MAX_BYTES >> 20, MAX_BYTES4 >> 20
    )]
    Memory {
        /// MiB in all.
        total: usize,
        /// Ranges of IPv4 addresses.
        ranges4: usize,
        /// MiB that they take.
        v4: usize,
        /// Ranges of IPv6 addresses.
        ranges6: usize,
        /// MiB that they take.
        v6: usize,
        /// Classes of addresses.
        classes: usize,
        /// MiB that the verdicts on them take.
        verdicts: usize,
    },
    /// It tells too many kinds of addresses apart.
    #[error(
        "the restrictions tell more than {MAX_CLASSES} classes of addresses apart, each with \
         another verdict at some service"
    )]
    Classes,
    /// To find out would take too much.
    #[error(
        "the restrictions overlap in too many ways: what {lists} lists say of addresses, one \
         with the others, takes more than {} MiB",
        MAX_BYTES >> 20
    )]
    Overlaps {
        /// Lists of prefixes, the country database among them.
        lists: usize,
    },
}
