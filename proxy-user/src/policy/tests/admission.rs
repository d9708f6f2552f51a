//! A peer that must send a PROXY header is let in, and judged like everyone else.

use std::net::IpAddr;

use proxy_common::{address::Address, reason::Reason, verdict::Judgement};

use crate::policy::{CidrFlags, Classes, Layer, Rules};

const DENIED: Judgement =
    Judgement { denied: Some(Reason::IpRestricted), observed: None, country_exempt: false };

#[test]
fn only_admission_knows_of_proxies() {
    let address = Address::from("198.51.100.7".parse::<IpAddr>().unwrap());
    let says = |flags: u32, said: CidrFlags| {
        let rules = Rules { flags, ..Rules::OPEN };
        let own = Layer { rules, cidrs: vec![("198.51.100.0/24".parse().unwrap(), said)] };
        let verdict = Classes::of(&Layer::OPEN, &[own], None).unwrap().verdict(0, &address);
        (verdict.peer(), verdict.client())
    };
    let blocked = CidrFlags::BLOCKED;
    let proxy = blocked.with(CidrFlags::PROXY);
    assert_eq!(says(Rules::PROXIES, proxy), (Judgement::default(), DENIED));
    assert_eq!(says(Rules::PROXIES, blocked), (DENIED, DENIED));
    assert_eq!(says(0, proxy), (DENIED, DENIED));
    let default = Judgement::default();
    assert_eq!(says(Rules::PROXIES, CidrFlags::PROXY), (default, default));
}
