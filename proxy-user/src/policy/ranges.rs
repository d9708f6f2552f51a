//! Prefixes as ranges: where each run of equal answers begins.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address of one family as a number.
pub(super) trait Place: Copy + Ord {
    /// The family's first.
    const FIRST: Self;
    /// The address after this one, if there is one.
    fn after(self) -> Option<Self>;
}

impl Place for u32 {
    const FIRST: Self = 0;

    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Place for u128 {
    const FIRST: Self = 0;

    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Runs of equal answers, 0 where there is none: where each begins. The first begins at the
/// family's first address.
pub(super) type Runs<P> = Vec<(P, u16)>;

/// The answers for every address of both families, from prefixes as [`super::union::union`]
/// gives them: of several that contain an address, the longest one's.
pub(super) fn runs(entries: impl Iterator<Item = (IpNet, u16)>) -> (Runs<u32>, Runs<u128>) {
    let (mut v4, mut v6) = (Flattening::new(), Flattening::new());
    for (net, answer) in entries {
        match (net.network(), net.broadcast()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => v4.add(first.into(), last.into(), answer),
            (IpAddr::V6(first), IpAddr::V6(last)) => v6.add(first.into(), last.into(), answer),
            _ => {}
        }
    }
    (v4.done(), v6.done())
}

struct Flattening<P> {
    runs: Runs<P>,
    /// Prefixes that are open, with their last address.
    around: Vec<(P, u16)>,
}

impl<P: Place> Flattening<P> {
    fn new() -> Self {
        Self { runs: vec![(P::FIRST, 0)], around: Vec::new() }
    }

    fn add(&mut self, first: P, last: P, answer: u16) {
        self.close(Some(first));
        self.begin(first, answer);
        self.around.push((last, answer));
    }

    /// Ends prefixes that end before `next`: what is around them holds again.
    fn close(&mut self, next: Option<P>) {
        while let Some((last, _)) = self.around.last().copied() {
            if next.is_some_and(|next| last >= next) {
                return;
            }
            self.around.pop();
            let Some(after) = last.after() else { continue };
            self.begin(after, self.around.last().map_or(0, |(_, answer)| *answer));
        }
    }

    /// What was said last of where this begins is of a prefix around.
    fn begin(&mut self, first: P, answer: u16) {
        if self.runs.last().is_some_and(|(known, _)| *known == first) {
            self.runs.pop();
        }
        if self.runs.last().is_none_or(|(_, before)| *before != answer) {
            self.runs.push((first, answer));
        }
    }

    fn done(mut self) -> Runs<P> {
        self.close(None);
        self.runs
    }
}
