//! The way back to a client.

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_skb_load_bytes, maps::lpm_trie::Key};
use proxy_common::{
    address::{Address, Family},
    nat::{Route, Translation},
    parse::Link,
};

use crate::maps::{ROUTES4, ROUTES6};

/// More than any link carries: where no route tells, what the other direction carries is the
/// limit.
const UNKNOWN_MTU: u32 = u16::MAX as u32;

/// Fills in how packets reach `client`: by the host's route to it, else by the link and the
/// neighbour by which its packet came.
#[inline(never)]
pub fn back(skb: *mut __sk_buff, link: Link, client: &Address, down: &mut Translation) {
    if let Some(route) = route(client) {
        down.interface = route.interface;
        down.mtu = route.mtu;
        down.next_hop = if is_unspecified(&route.next_hop) { *client } else { route.next_hop };
        return;
    }
    // SAFETY: the context's skb is valid for the program's whole run.
    down.interface = unsafe { (*skb).ifindex };
    down.mtu = UNKNOWN_MTU;
    down.next_hop = *client;
    if matches!(link, Link::Ethernet) {
        by_link(skb, down);
    }
}

/// The addresses of the Ethernet header, the other way round.
#[inline(always)]
fn by_link(skb: *mut __sk_buff, down: &mut Translation) {
    let room = down.link.as_mut_ptr();
    // SAFETY: twelve bytes of room, half of which each call fills.
    let read = unsafe {
        bpf_skb_load_bytes(skb.cast(), 6, room.cast(), 6) == 0
            && bpf_skb_load_bytes(skb.cast(), 0, room.add(6).cast(), 6) == 0
    };
    if read {
        down.flags |= Translation::BY_LINK;
    }
}

#[inline(always)]
fn route(client: &Address) -> Option<&'static Route> {
    match client.as_v4() {
        Some(octets) => ROUTES4.get(Key::new(32, octets)),
        None => ROUTES6.get(Key::new(128, client.octets())),
    }
}

#[inline(always)]
fn is_unspecified(address: &Address) -> bool {
    *address == Address::unspecified(Family::V4) || *address == Address::unspecified(Family::V6)
}
