//! The first look, at what most packets of a router are: not to a service.
//!
//! It reads a few bytes where they lie, and stands before everything else so that such
//! packets meet little code and memory. A packet that it cannot tell for sure is parsed.

use aya_ebpf::programs::TcContext;
use proxy_common::{parse::Link, plain::Glance};

use crate::{
    linear::Headers,
    lookup::{is_answer, is_served, policy},
};

/// Which of a packet's ports may be a service's.
#[derive(Clone, Copy)]
pub enum Side {
    Source,
    Destination,
}

/// Whether a packet is certainly not Weir's.
#[inline(always)]
pub fn passes_by(ctx: &TcContext, link: Link, side: Side) -> bool {
    match (Headers::of(ctx, link).glance(), side) {
        (Glance::Whole { protocol, source_port: port, .. }, Side::Source) => {
            // Without a generation there is more to be said.
            policy().is_some() && !is_served(protocol, port)
        }
        (Glance::Whole { protocol, source_port, destination_port }, Side::Destination) => policy()
            .is_some_and(|policy| {
                !is_served(protocol, destination_port)
                    && !is_answer(policy.root, protocol, source_port, destination_port)
            }),
        (Glance::Unclear, _) => false,
    }
}
