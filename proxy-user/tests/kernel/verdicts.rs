//! Denials at each hook: dropped, counted, told once.

use proxy_common::{event::Hook, outcome::Outcome, reason::Reason};
use proxy_user::{
    datapath::Event,
    policy::{CidrFlags, Rules},
};

use crate::{
    frames::{Frame, syn},
    harness::{Action, HOOKS, HOST4, HOST6, Kernel, Result, frame_for, generation},
};

const BLOCKED: [(&str, CidrFlags); 2] =
    [("198.51.100.0/24", CidrFlags::BLOCKED), ("2001:db8:bad::/48", CidrFlags::BLOCKED)];

#[test]
fn each_hook_drops_a_blocked_source_and_tells_it_once() -> Result {
    for hook in HOOKS {
        let mut kernel = Kernel::new(&Rules::OPEN, &BLOCKED)?;
        for (from, to) in [("198.51.100.77", HOST4), ("2001:db8:bad::77", HOST6)] {
            for _ in 0..5 {
                assert_eq!(
                    kernel.run(hook, &frame_for(hook, &syn(from, to)))?,
                    Action::Drop,
                    "{hook} {from}"
                );
            }
            let events = kernel.events();
            let [Event::Denied(event)] = events[..] else {
                return Err(format!("{hook}: {events:?}").into());
            };
            assert_eq!(event.key.client, from.parse::<std::net::IpAddr>()?.into());
            assert_eq!((event.key.service_port, event.segment.sequence), (22, 7));
            assert_eq!(event.reason, Reason::IpRestricted as u8);
            let expected = if hook.starts_with("weir_xdp") { Hook::Xdp } else { Hook::Tc };
            assert_eq!(event.hook, expected as u8);
        }
        let denials = kernel.maps.counters.denials([0])?;
        let attempts: u64 = denials.iter().map(|denial| denial.count.attempts).sum();
        let packets: u64 = denials.iter().map(|denial| denial.count.packets).sum();
        assert_eq!((attempts, packets), (2, 10), "{hook}");
        assert_eq!(kernel.outcome(Outcome::Denied)?, 10, "{hook}");
    }
    Ok(())
}

#[test]
fn what_is_not_the_service_s_passes_untouched() -> Result {
    for hook in HOOKS {
        let mut kernel = Kernel::new(&Rules::OPEN, &BLOCKED)?;
        let cases = [
            ("a middle address of another /24", syn("198.51.101.77", HOST4)),
            ("routed through this host", syn("198.51.100.77", "192.0.2.9")),
            ("another port", Frame { to_port: 23, ..syn("198.51.100.77", HOST4) }),
            ("the other family", syn("2001:db8::77", HOST6)),
        ];
        for (what, frame) in cases {
            assert_eq!(kernel.run(hook, &frame_for(hook, &frame))?, Action::Pass, "{hook}: {what}");
        }
        assert_eq!(kernel.events(), [], "{hook}");
    }
    Ok(())
}

#[test]
fn another_initial_sequence_number_is_another_attempt() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &BLOCKED)?;
    let first = syn("198.51.100.77", HOST4);
    for sequence in [7, 8, 7, 8] {
        kernel.receive(&Frame { sequence, ..first.clone() })?;
    }
    let ordinals: Vec<u64> = kernel
        .events()
        .iter()
        .filter_map(
            |event| if let Event::Denied(event) = event { Some(event.ordinal) } else { None },
        )
        .collect();
    assert_eq!(ordinals.len(), 2);
    Ok(())
}

#[test]
fn a_packet_in_the_middle_of_nothing_is_judged_too() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &BLOCKED)?;
    let ack = syn("198.51.100.77", HOST4).segment(0x10, 100, 200, 10);
    assert_eq!(kernel.receive(&ack)?, Action::Drop);
    Ok(())
}

#[test]
fn a_generation_takes_effect_whole_and_the_last_one_s_entries_go() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &BLOCKED)?;
    let frame = syn("198.51.100.77", HOST4);
    assert_eq!(kernel.receive(&frame)?, Action::Drop);
    let mut next = generation(&Rules::OPEN, &[("203.0.113.0/24", CidrFlags::BLOCKED)])?;
    kernel.maps.tables.install(&next)?;
    assert_eq!(kernel.receive(&frame)?, Action::Pass);
    assert_eq!(kernel.receive(&syn("203.0.113.9", HOST4))?, Action::Drop);
    assert_eq!(kernel.maps.tables.size(), next.classes.size());
    next.services.clear();
    kernel.maps.tables.install(&next)?;
    assert_eq!(kernel.receive(&syn("203.0.113.9", HOST4))?, Action::Pass, "a removed service");
    Ok(())
}
