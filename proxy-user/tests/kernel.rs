//! The kernel programs, run by `BPF_PROG_TEST_RUN`. Needs root.

use std::net::IpAddr;

use aya::programs::{TestRun, TestRunOptions};
use proxy_common::{
    outcome::Outcome,
    policy::{CidrFlags, Rules},
};
use proxy_user::{
    config::{Listen, ListenAddress},
    datapath::{Event, Generation, Maps, Programs, ServiceEntry, load},
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn generation(rules: Rules, cidrs: &[(&str, CidrFlags)]) -> Result<Generation> {
    let cidrs = cidrs.iter().map(|(p, f)| Ok((1, p.parse()?, *f))).collect::<Result<Vec<_>>>()?;
    Ok(Generation {
        global: Rules::OPEN,
        services: vec![ServiceEntry {
            name: "ssh".to_owned(),
            rules,
            listen: vec![Listen { address: ListenAddress::Any, port: 22 }],
            relayed: false,
            reset: false,
        }],
        cidrs,
        countries: None,
    })
}

fn syn(from: &str, to: &str, port: u16) -> Result<Vec<u8>> {
    let (from, to): (IpAddr, IpAddr) = (from.parse()?, to.parse()?);
    let mut frame = vec![0; 12];
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        _ => return Err("two families".into()),
    }
    frame.extend(40_000u16.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 7, 0, 0, 0, 0, 5 << 4, 2, 0xff, 0xff, 0, 0, 0, 0]);
    Ok(frame)
}

fn run(programs: &mut Programs, frame: &[u8]) -> Result<u32> {
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    Ok(programs.classifier("weir_ingress")?.test_run(options)?.return_value)
}

fn open() -> Result<(Programs, Maps)> {
    let (programs, mut maps) = load(None, 1024)?;
    maps.tables.set_locals(&["192.0.2.1/32".parse()?, "2001:db8::1/128".parse()?])?;
    Ok((programs, maps))
}

#[test]
fn a_blocked_source_is_dropped_once_and_told_once() -> Result {
    let (mut programs, mut maps) = open()?;
    let mut rules = Rules::OPEN;
    rules.cidrs = 1;
    maps.tables.install(&generation(rules, &[("198.51.100.0/24", CidrFlags::BLOCKED)])?)?;
    for _ in 0..5 {
        assert_eq!(run(&mut programs, &syn("198.51.100.77", "192.0.2.1", 22)?)?, 2);
    }
    assert_eq!(run(&mut programs, &syn("198.51.101.77", "192.0.2.1", 22)?)?, u32::MAX);
    assert_eq!(run(&mut programs, &syn("198.51.100.77", "192.0.2.9", 22)?)?, u32::MAX, "routed");
    assert_eq!(
        run(&mut programs, &syn("198.51.100.77", "192.0.2.1", 23)?)?,
        u32::MAX,
        "other port"
    );
    assert_eq!(
        run(&mut programs, &syn("2001:db8::7", "2001:db8::1", 22)?)?,
        u32::MAX,
        "other family"
    );
    let Some(Event::Denied(event)) = maps.events.take() else { return Err("no event".into()) };
    assert_eq!((event.ordinal, event.key.service_port, event.segment.sequence), (1, 22, 7));
    assert_eq!(maps.events.take(), None);
    let denials = maps.counters.denials([0])?;
    assert_eq!((denials.len(), denials[0].count.attempts, denials[0].count.packets), (1, 1, 5));
    let outcomes = maps.counters.outcomes()?;
    assert!(outcomes.contains(&(Outcome::Denied, 5)), "{outcomes:?}");
    Ok(())
}
