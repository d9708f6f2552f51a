//! Programs for benchmarks. `BPF_PROG_TEST_RUN` hands a program the same buffer in every
//! repeat, as the last one left it: each run writes the next client's address into it.

use aya_ebpf::{
    bindings::xdp_action,
    helpers::bpf_get_prandom_u32,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::{
    egress,
    exit::{TCX_NEXT, xdp_exit},
    ingress, xdp_inbound,
};

/// Another client's packet, judged.
#[xdp]
pub fn weir_bench_xdp(ctx: XdpContext) -> u32 {
    vary(ctx.data(), ctx.data_end(), Side::Source);
    xdp_exit(xdp_inbound(&ctx))
}

/// Another client's packet: what the other program's figure is net of.
#[xdp]
pub fn weir_bench_xdp_empty(ctx: XdpContext) -> u32 {
    vary(ctx.data(), ctx.data_end(), Side::Source);
    xdp_action::XDP_PASS
}

/// Another client's packet at TC.
#[classifier]
pub fn weir_bench_ingress(ctx: TcContext) -> i32 {
    vary(ctx.data(), ctx.data_end(), Side::Source);
    ingress(&ctx)
}

/// What the host answers another client.
#[classifier]
pub fn weir_bench_egress(ctx: TcContext) -> i32 {
    vary(ctx.data(), ctx.data_end(), Side::Destination);
    egress(&ctx)
}

/// Another client's packet at TC: what the other program's figure is net of.
#[classifier]
pub fn weir_bench_tc_empty(ctx: TcContext) -> i32 {
    vary(ctx.data(), ctx.data_end(), Side::Source);
    TCX_NEXT
}

/// Sends packets of random clients: live frames, of which each buffer is used again.
#[xdp]
pub fn weir_bench_send(ctx: XdpContext) -> u32 {
    let (start, end) = (ctx.data(), ctx.data_end());
    if start + SOURCE4 + 4 > end {
        return xdp_action::XDP_DROP;
    }
    // SAFETY: inside the packet, as just compared; the helper has no preconditions.
    unsafe {
        let mask = ((start + MASK) as *const u32).read_unaligned();
        let source = (start + SOURCE4) as *mut u32;
        source.write_unaligned(
            source.read_unaligned() & !mask.to_be() | (bpf_get_prandom_u32() & mask).to_be(),
        );
    }
    xdp_action::XDP_TX
}

/// Whose address is the client's.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

/// Where the mask of what varies lies, in the place of an address that nobody looks at: it
/// begins with Ethernet's destination.
const MASK: usize = 0;
/// Where the type of the frame lies.
const TYPE: usize = 12;
/// Behind Ethernet, IPv4's offset 12.
const SOURCE4: usize = 14 + 12;
/// Behind Ethernet, IPv6's offset 8.
const SOURCE6: usize = 14 + 8;

/// The next client of a full cycle over all that the mask holds (of IPv4), so that none comes
/// twice before; of IPv6, over 2^61 /64s.
#[inline(always)]
fn vary(start: usize, end: usize, side: Side) {
    if start + SOURCE6 + 32 > end {
        return;
    }
    // SAFETY: all of it is inside the packet, as just compared.
    unsafe {
        let behind = matches!(side, Side::Destination) as usize;
        if ((start + TYPE) as *const u16).read_unaligned() == 0x0800_u16.to_be() {
            let mask = ((start + MASK) as *const u32).read_unaligned();
            let client = (start + SOURCE4 + 4 * behind) as *mut u32;
            let known = u32::from_be(client.read_unaligned());
            // Knuth's multiplier, an odd increment.
            let next = known.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            client.write_unaligned((known & !mask | next & mask).to_be());
        } else {
            let client = (start + SOURCE6 + 16 * behind) as *mut u64;
            let lower = client.add(1);
            let next = lower
                .read_unaligned()
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            lower.write_unaligned(next);
            // 2000::/3
            client.write_unaligned((next >> 3 | 1 << 61).to_be());
        }
    }
}
