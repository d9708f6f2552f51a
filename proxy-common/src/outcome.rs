//! What became of a packet: the counted exit of every kernel program.

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What a program did with a packet, or could not do. Append-only.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Outcome { $($(#[$doc])* $name = $number,)* }

        impl Outcome {
            /// Every outcome, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name that status and metrics show.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

outcomes! {
    /// Not IP, or not to a service of ours: passed untouched.
    NotOurs = 0, "not_ours";
    /// Belongs to an accepted flow.
    Flow = 1, "flow";
    /// No flow yet, and the policy lets it in.
    Admitted = 2, "admitted";
    /// Denied and dropped.
    Denied = 3, "denied";
    /// Of a flow that a new policy denies: dropped.
    Cut = 4, "cut";
    /// A later fragment: passed, nothing is delivered without the first.
    LaterFragment = 5, "later_fragment";
    /// IP whose transport header cannot be found: passed, the relay stands behind.
    NoTransport = 6, "no_transport";
    /// No generation is in force yet: passed.
    NoPolicy = 7, "no_policy";
    /// The ring buffer was full; the sweep or the counters find the event.
    RingFull = 8, "ring_full";
    /// The flow map was full; the flow is not counted in the kernel.
    FlowsFull = 9, "flows_full";
    /// A handshake that the service refused.
    Refused = 10, "refused";
    /// A connection was established.
    Opened = 11, "opened";
    /// A connection ended.
    Closed = 12, "closed";
    /// There was no room for an ended flow whose place a new connection takes: that
    /// one is counted from where the entry is gone.
    ParkedFull = 13, "parked_full";
    /// Sent on to a target, or from one to its client.
    Forwarded = 14, "forwarded";
    /// The kernel plane could not take a new flow, and the relay serves it: no port, no
    /// room, or no target of the client's family.
    NotForwarded = 15, "not_forwarded";
    /// Of a forwarded flow, and larger than what its way carries: dropped, and its sender
    /// is told.
    TooBig = 16, "too_big";
    /// Of a forwarded flow, with no hops left: dropped.
    Expired = 17, "expired";
    /// Of a forwarded flow, in pieces or with headers that are not translated: dropped.
    Untranslatable = 18, "untranslatable";
    /// A target refused a client for whom there are others: dropped, so that the client
    /// tries again and gets another.
    TargetRefused = 19, "target_refused";
}

/// Number of outcomes.
#[expect(clippy::cast_possible_truncation, reason = "a few dozen")]
pub const OUTCOMES: u32 = Outcome::ALL.len() as u32;
