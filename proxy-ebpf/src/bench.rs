//! Programs for benchmarks. `BPF_PROG_TEST_RUN` hands XDP the same buffer in every
//! repeat, as the last one left it: each run writes the next source address into it.

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

use crate::{exit::xdp_exit, xdp_inbound};

/// Where the source address lies: Ethernet, then IPv4's offset 12.
const SOURCE: usize = 14 + 12;

/// Varies the source and judges it.
#[xdp]
pub fn weir_bench_verdict(ctx: XdpContext) -> u32 {
    vary(&ctx);
    xdp_exit(xdp_inbound(&ctx))
}

/// Varies the source only: what the other program's figure is net of.
#[xdp]
pub fn weir_bench_empty(ctx: XdpContext) -> u32 {
    vary(&ctx);
    xdp_action::XDP_PASS
}

/// The next source of a full cycle over 2^32 (Knuth's multiplier, odd increment),
/// so that no source comes twice in a run.
#[inline(always)]
fn vary(ctx: &XdpContext) {
    let source = ctx.data() + SOURCE;
    if source + 4 <= ctx.data_end() {
        // SAFETY: inside the packet, as just compared.
        unsafe {
            let source = source as *mut u32;
            let next = source.read_unaligned().wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            source.write_unaligned(next);
        }
    }
}
