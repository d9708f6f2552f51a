//! What netfilter does on this host that packets of the kernel plane never meet.

use std::{fs, io};

use super::netlink::{Netlink, find};

/// `include/uapi/linux/netfilter/nfnetlink.h`, `nf_tables.h`
const NEW_CHAIN: u16 = NFTABLES << 8 | 3;
const GET_CHAIN: u16 = NFTABLES << 8 | 4;
const NFTABLES: u16 = 10;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_USE: u16 = 6;
const HOOK_NUMBER: u16 = 1;
/// `include/uapi/linux/netfilter.h`
const DROP: u32 = 0;
const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_NETDEV: u8 = 5;
const NFPROTO_IPV6: u8 = 10;
/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;

/// Base chains on the way of packets that come in or go through, which have rules or drop:
/// each in words.
///
/// # Errors
/// The kernel does not tell. One without nftables has none.
pub fn foreign_chains() -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    match Netlink::netfilter().and_then(|link| link.dump(GET_CHAIN, &[0; HEADER], NEW_CHAIN)) {
        Ok(chains) => found.extend(chains.iter().filter_map(|chain| told(chain))),
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error),
    }
    for family in ["ip", "ip6"] {
        // Tables of the older interface exist from when somebody first asked for one.
        let names = fs::read_to_string(format!("/proc/net/{family}_tables_names"));
        let names = names.unwrap_or_default();
        found.extend(names.split_whitespace().map(|name| format!("{family}tables' {name}")));
    }
    Ok(found)
}

fn is_absent(error: &io::Error) -> bool {
    let absent = [libc::EINVAL, libc::EPROTONOSUPPORT, libc::EOPNOTSUPP, libc::ENOENT];
    error.raw_os_error().is_some_and(|number| absent.contains(&number))
}

/// Of a `struct nfgenmsg` and its attributes, where it is such a chain.
fn told(chain: &[u8]) -> Option<String> {
    let (family, attributes) = (*chain.first()?, chain.get(HEADER..)?);
    let word = |value: &[u8]| value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let hook = find(find(attributes, CHAIN_HOOK)?, HOOK_NUMBER).and_then(word)?;
    let (family, hook) = match (family, hook) {
        (NFPROTO_NETDEV, 0) => ("netdev", "ingress"),
        (NFPROTO_INET, hook) => ("inet", on_the_way(hook)?),
        (NFPROTO_IPV4, hook) => ("ip", on_the_way(hook)?),
        (NFPROTO_IPV6, hook) => ("ip6", on_the_way(hook)?),
        _ => return None,
    };
    let drops = find(attributes, CHAIN_POLICY).and_then(word) == Some(DROP);
    let rules = find(attributes, CHAIN_USE).and_then(word).unwrap_or(0);
    if !drops && rules == 0 {
        return None;
    }
    let text = |value: Option<&[u8]>| {
        let bytes = value.unwrap_or_default();
        String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
    };
    let (table, name) = (find(attributes, CHAIN_TABLE), find(attributes, CHAIN_NAME));
    Some(format!("{family} {} {} ({hook})", text(table), text(name)))
}

fn on_the_way(hook: u32) -> Option<&'static str> {
    match hook {
        PREROUTING => Some("prerouting"),
        INPUT => Some("input"),
        FORWARD => Some("forward"),
        _ => None,
    }
}
