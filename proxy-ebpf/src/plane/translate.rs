//! Packets of forwarded flows: rewritten, and sent on.

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, bpf_check_mtu_flags::BPF_MTU_CHK_SEGS,
        bpf_redir_neigh,
    },
    helpers::{
        bpf_check_mtu, bpf_l4_csum_replace, bpf_redirect, bpf_redirect_neigh, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use proxy_common::{
    address::{Address, Family, FlowKey, PROTOCOL_UDP},
    event::{KIND_PLANE, PlaneEvent, Plea},
    nat::Translation,
    outcome::Outcome,
    packet::{Packet, Segment},
    parse::Link,
};

use super::{mss::clamp, rate};
use crate::{
    exit::count,
    linear::{NETWORK, V4, V6, has_ethernet, load},
    maps::{EVENTS, NAT, QUIETLY},
};

const TCP_HEADER: u32 = 20;
/// Offsets of checksums in the headers of TCP and UDP.
const TCP_CHECKSUM: u32 = 16;
const UDP_CHECKSUM: u32 = 6;
/// `BPF_F_IPV6` (`include/uapi/linux/bpf.h`, from 6.16): the packet's own checksum stays
/// right where IPv6 addresses change.
pub const BPF_F_IPV6: u64 = 1 << 7;
/// As `bpf_redirect_neigh` takes it.
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// Whether packets of this 5-tuple are translated.
#[inline(always)]
pub fn is_translated(key: &FlowKey) -> bool {
    // SAFETY: a map value, valid for the program's run.
    unsafe { NAT.get(key) }.is_some()
}

/// Whether packets of this 5-tuple are what a target answers.
#[inline(always)]
pub fn is_of_target(key: &FlowKey) -> bool {
    // SAFETY: a map value, valid for the program's run.
    unsafe { NAT.get(key) }.is_some_and(|way| way.has(Translation::DOWN))
}

/// Why a packet cannot be sent on, if so.
#[inline(always)]
pub fn stays(packet: &Packet) -> Option<Outcome> {
    match packet.hops {
        0 => Some(Outcome::Untranslatable),
        1 => Some(Outcome::Expired),
        _ => None,
    }
}

/// Rewrites a packet of a forwarded flow and sends it on. One of no such flow is not Weir's.
#[inline(always)]
pub fn translate(skb: *mut __sk_buff, link: Link, packet: &Packet) -> Outcome {
    plane_translate(skb, packet, matches!(link, Link::Ethernet).into())
}

/// [`translate`], verified by itself.
#[inline(never)]
#[unsafe(no_mangle)]
fn plane_translate(skb: *mut __sk_buff, packet: *const Packet, link: u32) -> Outcome {
    // SAFETY: made from a reference that is held for the call.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return Outcome::NotOurs };
    let link = if link == 0 { Link::None } else { Link::Ethernet };
    // SAFETY: a map value, valid for the program's run.
    let Some(way) = (unsafe { NAT.get(&packet.key_inbound()) }) else { return Outcome::NotOurs };
    if let Some(outcome) = stays(packet) {
        return outcome;
    }
    let ctx = TcContext::new(skb);
    if !has_ethernet(&ctx, link) {
        return Outcome::Untranslatable;
    }
    let is_v6 = matches!(packet.source.family(), Family::V6);
    let transport = NETWORK + if is_v6 { V6 } else { V4 };
    if is_too_big(skb, packet, transport, way) {
        tell_too_big(packet, way);
        return Outcome::TooBig;
    }
    if packet.protocol != PROTOCOL_UDP && packet.segment.has(Segment::SYN) {
        clamp(&ctx, transport, way.mtu - (transport - NETWORK) - TCP_HEADER);
    }
    if is_v6 {
        rewrite6(&ctx, packet, way);
    } else {
        rewrite4(&ctx, packet, way);
    }
    send(skb, way);
    Outcome::Forwarded
}

/// Whether some segment is larger than the link on its way. What is small is not even
/// looked at twice.
#[inline(always)]
fn is_too_big(skb: *mut __sk_buff, packet: &Packet, transport: u32, way: &Translation) -> bool {
    if transport - NETWORK + TCP_HEADER * 3 + packet.segment.payload <= way.mtu {
        return false;
    }
    // SAFETY: the context's skb is valid for the program's whole run; the helper reads it and
    // one word, which it writes.
    unsafe {
        // Of segments each is looked at. Of one packet the length is that of IP: else it is
        // the frame's, and an interface without a link layer would seem to carry less.
        let (mut length, flags) = match (*skb).gso_size {
            0 => ((*skb).len - NETWORK, 0),
            _ => (0, BPF_MTU_CHK_SEGS.into()),
        };
        bpf_check_mtu(skb.cast(), way.interface, &mut length, 0, flags) > 0
    }
}

#[inline(never)]
fn tell_too_big(packet: &Packet, way: &Translation) {
    if !rate::may_plead() {
        return;
    }
    let Some(mut event) = EVENTS.reserve::<PlaneEvent>(0) else {
        count(Outcome::RingFull);
        return;
    };
    let down = way.has(Translation::DOWN);
    event.write(PlaneEvent {
        kind: KIND_PLANE,
        plea: Plea::TooBig as u8,
        down: down.into(),
        mtu: if way.mtu > 0xffff { u16::MAX } else { way.mtu as u16 },
        key: if down { way.partner(packet.protocol.into()) } else { packet.key_inbound() },
        segment: packet.segment,
    });
    event.submit(QUIETLY);
}

/// From the hops to the ports of an IPv4 header without options. Its own checksum is made up
/// for by hand (RFC 1624): one write in place of four.
#[inline(always)]
fn rewrite4(ctx: &TcContext, packet: &Packet, way: &Translation) {
    let changes = difference(packet, way);
    transport(ctx.skb.skb, packet, NETWORK + V4, way, (changes, 0));
    let Some(checksum) = load(ctx, NETWORK + 10) else { return };
    let fewer = packet.hops - 1;
    let hops = u16::from_ne_bytes([packet.hops, packet.protocol]);
    let hops = u32::from(u16::from_ne_bytes([fewer, packet.protocol])) + u32::from(!hops);
    let sum = u64::from(!u16::from_ne_bytes(checksum)) + u64::from(hops) + u64::from(changes);
    let [high, low] = (!fold16(sum)).to_ne_bytes();
    let [a, b, c, d] = v4(&way.source).to_ne_bytes();
    let [e, f, g, h] = v4(&way.destination).to_ne_bytes();
    let [i, j, k, l] = ports(way.source_port, way.destination_port).to_ne_bytes();
    let new = [fewer, packet.protocol, high, low, a, b, c, d, e, f, g, h, i, j, k, l];
    write(ctx, NETWORK + 8, &new);
}

/// From the hops to the ports of an IPv6 header without extensions.
#[inline(always)]
fn rewrite6(ctx: &TcContext, packet: &Packet, way: &Translation) {
    #[repr(C, packed)]
    struct New(u8, [Address; 2], u32);
    let changes = difference(packet, way);
    transport(ctx.skb.skb, packet, NETWORK + V6, way, (changes, BPF_F_IPV6));
    let ports = ports(way.source_port, way.destination_port);
    write(ctx, NETWORK + 7, &New(packet.hops - 1, [way.source, way.destination], ports));
}

/// Writes into a header.
#[inline(always)]
fn write<T>(ctx: &TcContext, at: u32, new: &T) {
    // SAFETY: the helper reads what is borrowed, and writes within the packet or fails.
    unsafe {
        bpf_skb_store_bytes(ctx.skb.skb, at, (&raw const *new).cast(), size_of::<T>() as u32, 0)
    };
}

/// What other addresses change of a sum over them (RFC 1624).
#[inline(always)]
fn difference(packet: &Packet, way: &Translation) -> u32 {
    let sum = add(&way.source, false) + add(&way.destination, false);
    fold32(sum + add(&packet.source, true) + add(&packet.destination, true))
}

/// The sum of an address's words, or of their complements.
#[inline(always)]
fn add(address: &Address, complement: bool) -> u64 {
    let flip = if complement { u64::MAX } else { 0 };
    let [a, b] = address.words().map(|word| word ^ flip);
    (a >> 32) + (a & u64::from(u32::MAX)) + (b >> 32) + (b & u64::from(u32::MAX))
}

#[inline(always)]
fn fold32(sum: u64) -> u32 {
    let sum = (sum >> 32) + (sum & u64::from(u32::MAX));
    ((sum >> 32) + sum) as u32
}

#[inline(always)]
fn fold16(sum: u64) -> u16 {
    let sum = fold32(sum);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + sum) as u16
}

/// The checksum over the ports and addresses: what these change of it, and with which flag.
/// `at`: where the header is.
#[inline(always)]
fn transport(
    skb: *mut __sk_buff,
    packet: &Packet,
    at: u32,
    way: &Translation,
    (addresses, family): (u32, u64),
) {
    let is_udp = packet.protocol == PROTOCOL_UDP;
    let checksum = at + if is_udp { UDP_CHECKSUM } else { TCP_CHECKSUM };
    // No checksum at all is one of UDP's.
    let mangled = if is_udp { u64::from(BPF_F_MARK_MANGLED_0) } else { 0 };
    let old = ports(packet.source_port, packet.destination_port);
    let new = ports(way.source_port, way.destination_port);
    // SAFETY: the helpers write within the packet or fail.
    unsafe {
        replace_addresses(skb, checksum, addresses.into(), family | mangled);
        bpf_l4_csum_replace(skb, checksum, old.into(), new.into(), 4 | mangled);
    }
}

/// Takes other addresses into a checksum over a pseudo-header.
///
/// # Safety
/// The checksum of the transport is there.
#[inline(always)]
pub unsafe fn replace_addresses(skb: *mut __sk_buff, checksum: u32, addresses: u64, flags: u64) {
    let flags = flags | u64::from(BPF_F_PSEUDO_HDR);
    // SAFETY: the helper writes within the packet or fails.
    unsafe {
        // A kernel that does not know the flag refuses it.
        if bpf_l4_csum_replace(skb, checksum, 0, addresses, flags) < 0 && flags & BPF_F_IPV6 != 0 {
            bpf_l4_csum_replace(skb, checksum, 0, addresses, flags & !BPF_F_IPV6);
        }
    }
}

/// As they lie in the header.
#[inline(always)]
pub fn ports(source: u16, destination: u16) -> u32 {
    let [a, b] = source.to_be_bytes();
    let [c, d] = destination.to_be_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// As it lies in the header.
#[inline(always)]
pub fn v4(address: &Address) -> u32 {
    let [_, word] = address.words();
    #[cfg(target_endian = "little")]
    let word = word >> 32;
    word as u32
}

/// Has the packet leave by its way. It begins with an Ethernet header.
#[inline(always)]
pub fn send(skb: *mut __sk_buff, way: &Translation) {
    if way.has(Translation::BY_LINK) {
        // SAFETY: the helpers write within the packet or fail.
        unsafe {
            bpf_skb_store_bytes(skb, 0, way.link.as_ptr().cast(), 12, 0);
            bpf_redirect(way.interface, 0);
        }
        return;
    }
    let mut hop: bpf_redir_neigh =
        // SAFETY: zeros are one.
        unsafe { core::mem::zeroed() };
    // A router may be of the other family (RFC 5549).
    if matches!(way.next_hop.family(), Family::V6) {
        hop.nh_family = AF_INET6;
        // SAFETY: an address has the size of what it is written to.
        unsafe { hop.__bindgen_anon_1.ipv6_nh = core::mem::transmute(way.next_hop) };
    } else {
        hop.nh_family = AF_INET;
        hop.__bindgen_anon_1.ipv4_nh = v4(&way.next_hop);
    }
    let size = size_of::<bpf_redir_neigh>() as i32;
    // SAFETY: the helper reads the parameters before it returns.
    unsafe { bpf_redirect_neigh(way.interface, &mut hop, size, 0) };
}
