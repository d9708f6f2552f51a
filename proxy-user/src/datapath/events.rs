//! Events out of the ring buffer.

use aya::maps::{MapData, RingBuf};
use proxy_common::event::{
    ClosedEvent, CutEvent, DeniedEvent, KIND_CLOSED, KIND_CUT, KIND_DENIED, KIND_PLANE, PlaneEvent,
};

/// What the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A denied attempt.
    Denied(DeniedEvent),
    /// A flow ended.
    Closed(ClosedEvent),
    /// A new policy denies an established flow.
    Cut(CutEvent),
    /// The kernel plane asks for something.
    Plane(PlaneEvent),
}

/// The reading end of the ring buffer. There is one reader.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// The next event, if there is one.
    pub fn take(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            if let Some(event) = decode(&item) {
                return Some(event);
            }
            tracing::error!(bytes = item.len(), "the kernel told an event of an unknown kind");
        }
    }
}

fn decode(bytes: &[u8]) -> Option<Event> {
    let kind = u32::from_ne_bytes(*bytes.first_chunk()?);
    match kind {
        KIND_DENIED => read(bytes).map(Event::Denied),
        KIND_CLOSED => read(bytes).map(Event::Closed),
        KIND_CUT => read(bytes).map(Event::Cut),
        KIND_PLANE => read(bytes).map(Event::Plane),
        _ => None,
    }
}

/// Layouts that the ring buffer carries.
trait Layout: Copy {}
impl Layout for DeniedEvent {}
impl Layout for ClosedEvent {}
impl Layout for CutEvent {}
impl Layout for PlaneEvent {}

fn read<T: Layout>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: long enough, and every bit pattern is a value of a `Layout`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
