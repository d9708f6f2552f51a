//! Odd frames, each with its outcome, at each hook.

use proxy_common::outcome::Outcome;

use proxy_user::policy::{CidrFlags, Rules};

use crate::{
    frames::{Frame, syn},
    harness::{Action, HOOKS, HOST4, HOST6, Kernel, Result, frame_for},
};

fn everything_blocked() -> Result<Kernel> {
    let all = [("0.0.0.0/0", CidrFlags::BLOCKED), ("::/0", CidrFlags::BLOCKED)];
    Kernel::new(&Rules::OPEN, &all)
}

#[test]
fn headers_before_tcp_are_followed_to_the_verdict() -> Result {
    let v4 = syn("198.51.100.7", HOST4);
    let v6 = syn("2001:db8:9::7", HOST6);
    let eight = vec![0; 7];
    let cases = [
        ("options", Frame { options: vec![1; 12], ..v4.clone() }),
        ("first fragment", Frame { fragment: 0x2000, ..v4.clone() }),
        ("VLAN", Frame { tags: vec![0x8100], ..v4.clone() }),
        ("VLAN in VLAN", Frame { tags: vec![0x88a8, 0x8100], ..v6.clone() }),
        (
            "hop-by-hop, routing, destination",
            Frame {
                extensions: vec![
                    (0, [vec![0], vec![0; 6]].concat()),
                    (43, [vec![1], vec![0; 14]].concat()),
                    (60, [vec![0], vec![0; 6]].concat()),
                ],
                ..v6.clone()
            },
        ),
        (
            "authentication",
            Frame { extensions: vec![(51, [vec![4], vec![0; 22]].concat())], ..v6.clone() },
        ),
        (
            "first IPv6 fragment",
            Frame { extensions: vec![(44, vec![0, 0, 1, 0, 0, 0, 9])], ..v6.clone() },
        ),
        ("whole IPv6 fragment", Frame { extensions: vec![(44, eight)], ..v6 }),
    ];
    for hook in HOOKS {
        let mut kernel = everything_blocked()?;
        for (what, frame) in &cases {
            if hook.ends_with("_l3") && !frame.tags.is_empty() {
                continue;
            }
            assert_eq!(kernel.run(hook, &frame_for(hook, frame))?, Action::Drop, "{hook}: {what}");
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_judged_passes_and_is_counted() -> Result {
    let v4 = syn("198.51.100.7", HOST4);
    let v6 = syn("2001:db8:9::7", HOST6);
    // More than fit into 1,500 bytes.
    let endless = (0..185).map(|_| (60, vec![0; 7])).collect();
    let cases = [
        (Outcome::LaterFragment, Frame { fragment: 100, ..v4 }),
        (
            Outcome::LaterFragment,
            Frame { extensions: vec![(44, vec![0, 1, 0, 0, 0, 0, 9])], ..v6.clone() },
        ),
        (Outcome::NoTransport, Frame { extensions: endless, ..v6 }),
    ];
    for hook in HOOKS {
        for (outcome, frame) in &cases {
            let mut kernel = everything_blocked()?;
            let action = kernel.run(hook, &frame_for(hook, frame))?;
            assert_eq!(action, Action::Pass, "{hook}: {outcome:?}");
            // What XDP passes is counted at TC ingress.
            let counted = u64::from(!hook.starts_with("weir_xdp"));
            assert_eq!(kernel.outcome(*outcome)?, counted, "{hook}: {outcome:?}");
        }
    }
    Ok(())
}

/// The host puts fragments together: a SYN in pieces is a SYN.
#[test]
fn a_first_fragment_that_ends_within_the_header_is_judged_by_its_ports() -> Result {
    let v4 = Frame { fragment: 0x2000, ..syn("198.51.100.7", HOST4) };
    let v6 =
        Frame { extensions: vec![(44, vec![0, 0, 1, 0, 0, 0, 9])], ..syn("2001:db8:9::7", HOST6) };
    for hook in HOOKS {
        for frame in [&v4, &v6] {
            let mut kernel = everything_blocked()?;
            let other = Frame { to_port: 23, ..frame.clone() };
            // All but the last 12 bytes of the TCP header.
            let pieces = [frame, &other].map(|frame| {
                let mut bytes = frame_for(hook, frame);
                bytes.truncate(bytes.len() - 12);
                bytes
            });
            assert_eq!(kernel.run(hook, &pieces[0])?, Action::Drop, "{hook} {}", frame.from);
            assert_eq!(kernel.run(hook, &pieces[1])?, Action::Pass, "{hook} {}", frame.from);
        }
    }
    Ok(())
}

/// The host follows any number of extension headers.
#[test]
fn many_extension_headers_hide_nothing() -> Result {
    for hook in HOOKS {
        let mut kernel = everything_blocked()?;
        for count in [9, 60, 177] {
            let extensions = (0..count).map(|_| (60, vec![0; 7])).collect();
            let frame = Frame { extensions, ..syn("2001:db8:9::7", HOST6) };
            assert_eq!(
                kernel.run(hook, &frame_for(hook, &frame))?,
                Action::Drop,
                "{hook}: {count}"
            );
        }
    }
    Ok(())
}

#[test]
fn truncated_frames_pass_at_every_length() -> Result {
    let mut kernel = everything_blocked()?;
    let deep = Frame {
        extensions: vec![(0, vec![0; 7]), (44, vec![0, 0, 1, 0, 0, 0, 9])],
        ..syn("2001:db8:9::7", HOST6)
    };
    for frame in
        [Frame { tags: vec![0x8100], options: vec![1; 8], ..syn("198.51.100.7", HOST4) }, deep]
    {
        let whole = frame.bytes();
        // A first fragment with its ports is judged by them.
        let judged = if frame.extensions.is_empty() { whole.len() } else { whole.len() - 12 };
        for hook in ["weir_ingress", "weir_xdp", "weir_xdp_frags", "weir_egress"] {
            // TEST_RUN itself wants the Ethernet header, and of a socket buffer the IP
            // header too.
            let least = if hook.starts_with("weir_xdp") { 14 } else { 14 + 4 + 40 };
            for length in least..whole.len() {
                let action = kernel.run(hook, &whole[..length])?;
                let drops = length >= judged && hook != "weir_egress";
                assert_eq!(action == Action::Drop, drops, "{hook} {length}");
            }
        }
        assert_eq!(kernel.run("weir_ingress", &whole)?, Action::Drop);
    }
    Ok(())
}

#[test]
fn other_protocols_are_nobody_s() -> Result {
    let mut kernel = everything_blocked()?;
    let arp = [vec![0xff; 12], vec![0x08, 0x06], vec![0; 28]].concat();
    let mut sctp = syn("198.51.100.7", HOST4).bytes();
    sctp[23] = 132;
    let mut icmp6 = syn("2001:db8:9::7", HOST6).bytes();
    icmp6[20] = 58;
    for frame in [arp, sctp, icmp6] {
        for hook in ["weir_ingress", "weir_xdp", "weir_egress"] {
            assert_eq!(kernel.run(hook, &frame)?, Action::Pass);
        }
    }
    assert_eq!(kernel.outcome(Outcome::Denied)?, 0);
    Ok(())
}
