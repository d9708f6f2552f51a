//! Frames as the kernel hands them over.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::bpf_hdr_start_off::BPF_HDR_START_NET,
    helpers::generated::{
        bpf_skb_load_bytes, bpf_skb_load_bytes_relative, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
    },
    programs::{TcContext, XdpContext},
};
use proxy_common::parse::{Bytes, Frame, Link};

/// Length of an Ethernet header.
const ETHERNET: u32 = 14;
/// Offset of its type field.
const ETHERTYPE: u32 = 12;

/// A socket buffer.
///
/// Offsets are those of the frame on the wire. The link-layer header itself is not
/// relied on: behind generic XDP the kernel hands TC a copy that begins at the IP
/// header (`skb_pp_cow_data` copies no `mac_len`), and the rest is found from the
/// network header.
pub struct SkbFrame<'a> {
    ctx: &'a TcContext,
    link: Link,
}

impl<'a> SkbFrame<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a TcContext, link: Link) -> Self {
        Self { ctx, link }
    }

    /// From where the program's view of the buffer begins, also outside its linear
    /// part. Whether `room` was filled.
    #[inline(always)]
    fn read_any<const N: usize>(&self, offset: u32, room: &mut MaybeUninit<Bytes<N>>) -> bool {
        let skb = self.ctx.skb.skb.cast();
        // SAFETY: the helper writes N bytes to the room for as many.
        unsafe { bpf_skb_load_bytes(skb, offset, room.as_mut_ptr().cast(), N as u32) == 0 }
    }

    /// From the network header on, in the linear part only. Whether `room` was filled.
    #[inline(always)]
    fn read_network<const N: usize>(&self, offset: u32, room: &mut MaybeUninit<Bytes<N>>) -> bool {
        let (start, size) = (BPF_HDR_START_NET, N as u32);
        let skb = self.ctx.skb.skb.cast();
        let to = room.as_mut_ptr().cast();
        // SAFETY: the helper writes N bytes to the room for as many.
        unsafe { bpf_skb_load_bytes_relative(skb, offset, to, size, start) == 0 }
    }
}

impl Frame for SkbFrame<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<Bytes<N>> {
        if matches!(self.link, Link::Ethernet) && offset == ETHERTYPE && N == 2 {
            // SAFETY: the context's skb is valid for the program's whole run.
            let protocol = unsafe { (*self.ctx.skb.skb).protocol } as u16;
            // SAFETY: N is 2.
            return Some(Bytes(unsafe { core::mem::transmute_copy(&protocol) }));
        }
        // One for both: the stack is small.
        let mut bytes = MaybeUninit::uninit();
        let filled = match self.link {
            Link::None => self.read_any(offset, &mut bytes),
            // Copies are linear as far as headers go: what is not linear is no copy.
            Link::Ethernet => {
                self.read_network(offset - ETHERNET, &mut bytes)
                    || self.read_any(offset, &mut bytes)
            }
        };
        // SAFETY: filled by the helper.
        filled.then(|| unsafe { bytes.assume_init() })
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        self.ctx.len()
    }

    #[inline(always)]
    fn merged(&self, payload: u32) -> u16 {
        // SAFETY: the context's skb is valid for the program's whole run.
        let (segments, size) =
            unsafe { ((*self.ctx.skb.skb).gso_segs, (*self.ctx.skb.skb).gso_size) };
        if segments > 1 {
            return segments as u16;
        }
        // Drivers of virtual machines leave the number of segments out.
        if size > 0 && payload > size { payload.div_ceil(size) as u16 } else { 1 }
    }
}

/// An XDP buffer: read by helper, so that fragmented ones are read alike.
pub struct XdpFrame<'a> {
    ctx: &'a XdpContext,
}

impl<'a> XdpFrame<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<Bytes<N>> {
        let mut bytes = MaybeUninit::<Bytes<N>>::uninit();
        // SAFETY: the helper writes all N bytes or fails.
        unsafe {
            match bpf_xdp_load_bytes(self.ctx.ctx, offset, bytes.as_mut_ptr().cast(), N as u32) {
                0 => Some(bytes.assume_init()),
                _ => None,
            }
        }
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is valid for the program's whole run.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as u32 }
    }

    #[inline(always)]
    fn merged(&self, _payload: u32) -> u16 {
        1
    }
}
