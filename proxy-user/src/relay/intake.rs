//! Whether connections are accepted.

/// What accept loops do with what arrives. Sessions that are open go on in any
/// case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intake {
    /// Accept.
    #[default]
    Accept,
    /// Leave connections in the kernel's queue until this changes: records come
    /// faster than they can be written.
    Hold,
    /// Accept and reset: records cannot be written, and the configuration wants no
    /// traffic without them.
    Refuse,
}
