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
    /// Leave everything where it is, datagrams of open sessions too: another process is
    /// about to take it.
    Pause,
    /// Accept and reset: records cannot be written, and the configuration wants no
    /// traffic without them.
    Refuse,
}

impl Intake {
    /// Whether connections are taken out of their queue.
    pub(super) fn takes(self) -> bool {
        matches!(self, Self::Accept | Self::Refuse)
    }
}
