//! The size of segments that a SYN asks for (RFC 9293, 3.7.1): no more than the way carries.

use aya_ebpf::{
    helpers::{bpf_l4_csum_replace, bpf_skb_store_bytes},
    programs::TcContext,
};

use super::sessions::forget;
use crate::linear::load;

/// Where the options begin.
const OPTIONS: u32 = 20;
/// Offset of the byte that tells the header's length.
const DATA_OFFSET: u32 = 12;
const CHECKSUM: u32 = 16;
/// Kinds of options.
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;
/// Options that fit in a header of 60 bytes.
const MOST_OPTIONS: u32 = 20;

/// Lowers the option to `most` where it asks for more. `transport`: where TCP's header is.
#[inline(always)]
pub fn clamp(ctx: &TcContext, transport: u32, most: u32) {
    let Some([data_offset]) = load::<1>(ctx, transport + DATA_OFFSET) else { return };
    let end = transport + u32::from(data_offset >> 4) * 4;
    let mut at = transport + OPTIONS;
    for _ in 0..MOST_OPTIONS {
        if at + 4 > end {
            return;
        }
        let Some([kind, length, high, low]) = load::<4>(ctx, at) else { return };
        match kind {
            END => return,
            NOTHING => at += 1,
            MSS => return lower(ctx, transport, at + 2, [high, low], most),
            _ if length < 2 => return,
            _ => at += u32::from(length),
        }
        at = forget(at.into()) as u32;
    }
}

#[inline(always)]
fn lower(ctx: &TcContext, transport: u32, at: u32, asked: [u8; 2], most: u32) {
    if u32::from(u16::from_be_bytes(asked)) <= most {
        return;
    }
    let skb = ctx.skb.skb;
    let granted = (most as u16).to_be_bytes();
    // An option may begin at an odd byte: its number then lies across two of the words that
    // are summed, each of whose halves changes places.
    let is_odd = (at - transport) % 2 == 1;
    let word = |[high, low]: [u8; 2]| {
        u64::from(u16::from_ne_bytes(if is_odd { [low, high] } else { [high, low] }))
    };
    // SAFETY: the helpers write within the packet or fail.
    unsafe {
        bpf_l4_csum_replace(skb, transport + CHECKSUM, word(asked), word(granted), 2);
        bpf_skb_store_bytes(skb, at, granted.as_ptr().cast(), 2, 0);
    }
}
