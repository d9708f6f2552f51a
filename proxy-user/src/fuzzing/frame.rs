//! Frames, as the kernel programs read them.

#[path = "../../../proxy-common/tests/slice/mod.rs"]
mod slice;

use proxy_common::{
    packet::Packet,
    parse::{Link, Parsed, parse},
    plain::{read4, read6},
};
use slice::Slice;

/// Reads a frame with and without a link layer. What is read at a glance is what the parser
/// reads.
///
/// # Panics
/// Where it is not.
pub fn frame(bytes: &[u8]) {
    let _ = parse(&Slice(bytes), Link::Ethernet);
    let parsed = parse(&Slice(bytes), Link::None);
    let mut packet = Packet::default();
    let is_plain = match bytes.first().map(|first| first >> 4) {
        Some(4) => bytes.first_chunk().is_some_and(|h| read4(&Slice(bytes), h, &mut packet)),
        Some(6) => bytes.first_chunk().is_some_and(|h| read6(&Slice(bytes), h, &mut packet)),
        _ => false,
    };
    if is_plain {
        assert_eq!(parsed, Parsed::Packet(packet));
    }
}
