//! UDP, from a client's first datagram to its record's figures.

use std::time::{Duration, Instant};

use proxy_common::{
    address::{FlowKey, PROTOCOL_UDP},
    flow::{FlowId, FlowState},
    outcome::Outcome,
    packet::Segment,
};
use proxy_user::{
    datapath::Event,
    policy::{CidrFlags, Rules},
};

use crate::{
    frames::{Frame, datagram, syn},
    harness::{Action, HOOKS, HOST4, HOST6, Kernel, Result, frame_for, generation},
};

const CLIENTS: [(&str, &str); 2] = [("198.51.100.7", HOST4), ("2001:db8:bad::7", HOST6)];
const BLOCKED: [(&str, CidrFlags); 2] =
    [("198.51.100.0/24", CidrFlags::BLOCKED), ("2001:db8:bad::/48", CidrFlags::BLOCKED)];
const BLOCKING: Rules = Rules::OPEN;

fn open() -> Result<Kernel> {
    Kernel::new(&Rules::OPEN, &[])
}

fn blocking() -> Result<Kernel> {
    Kernel::new(&BLOCKING, &BLOCKED)
}

/// Brings the policy that blocks into force.
fn block(kernel: &mut Kernel) -> Result {
    Ok(kernel.maps.tables.install(&generation(&BLOCKING, &BLOCKED)?)?)
}

fn key(client: &Frame) -> FlowKey {
    FlowKey {
        client: client.from.into(),
        service: client.to.into(),
        client_port: client.from_port,
        service_port: client.to_port,
        protocol: PROTOCOL_UDP.into(),
    }
}

fn flow(kernel: &Kernel, client: &Frame) -> Result<FlowState> {
    kernel.maps.flows.get(&key(client))?.ok_or_else(|| "no flow".into())
}

fn flows(kernel: &Kernel) -> usize {
    kernel.maps.flows.all().count()
}

#[test]
fn a_flow_counts_every_datagram_both_ways() -> Result {
    let mut kernel = open()?;
    for (ingress, egress, from_port) in
        [("weir_ingress", "weir_egress", 1), ("weir_ingress_l3", "weir_egress_l3", 2)]
    {
        for (from, to) in CLIENTS {
            let client = Frame { from_port, ..datagram(from, to) };
            for payload in [0, 40, 1_400, 3_000] {
                let action = kernel.run(ingress, &frame_for(ingress, &client.with(payload)))?;
                assert_eq!(action, Action::Pass);
            }
            assert!(!flow(&kernel, &client)?.has(FlowState::ESTABLISHED), "nothing answers yet");
            for payload in [1, 500] {
                let answer = client.reply().with(payload);
                assert_eq!(kernel.run(egress, &frame_for(egress, &answer))?, Action::Pass);
            }
            let state = flow(&kernel, &client)?;
            assert_eq!((state.up.payload(), state.up.packets), (4_440, 4), "{ingress} {from}");
            assert_eq!((state.down.payload(), state.down.packets), (501, 2), "{egress} {from}");
            assert!(state.has(FlowState::ESTABLISHED) && !state.has(FlowState::RELAYED));
        }
    }
    assert_eq!(kernel.outcome(Outcome::Opened)?, 4);
    assert_eq!(kernel.outcome(Outcome::Admitted)?, 4);
    assert_eq!(kernel.events(), []);
    Ok(())
}

/// What the kernel merged is as many datagrams as came or will go.
#[test]
fn merged_datagrams_are_counted_one_by_one() -> Result {
    let mut kernel = open()?;
    let client = datagram("198.51.100.7", HOST4);
    kernel.run_merged("weir_ingress", &client.with(2_500).bytes(), (3, 1_000))?;
    kernel.run_merged("weir_ingress", &client.with(2_500).bytes(), (0, 1_000))?;
    kernel.run_merged("weir_egress", &client.reply().with(2_700).bytes(), (9, 300))?;
    let state = flow(&kernel, &client)?;
    assert_eq!((state.up.payload(), state.up.packets), (5_000, 6));
    assert_eq!((state.down.payload(), state.down.packets), (2_700, 9));
    Ok(())
}

#[test]
fn a_datagram_in_fragments_is_counted_whole_by_its_first() -> Result {
    let mut kernel = open()?;
    let v4 = datagram("198.51.100.7", HOST4);
    let v6 = datagram("2001:db8:bad::7", HOST6);
    let first4 = Frame { fragment: 0x2000, absent: 2_528, ..v4.with(1_472) };
    let first6 = Frame {
        extensions: vec![(44, vec![0, 0, 1, 0, 0, 0, 9])],
        absent: 2_528,
        ..v6.with(1_472)
    };
    let later4 = Frame { fragment: 0x2000 + 185, ..v4.with(1_472) };
    let later6 = Frame { extensions: vec![(44, vec![0, 5, 0xc9, 0, 0, 0, 9])], ..v6.with(1_472) };
    for (client, first, later) in [(v4, first4, later4), (v6, first6, later6)] {
        kernel.receive(&first)?;
        assert_eq!(kernel.receive(&later)?, Action::Pass);
        kernel.send(&first.reply())?;
        let state = flow(&kernel, &client)?;
        // 4,008 bytes of UDP in pieces of 1,480.
        assert_eq!((state.up.payload(), state.up.packets), (4_000, 3));
        assert_eq!((state.down.payload(), state.down.packets), (4_000, 3));
    }
    assert_eq!(kernel.outcome(Outcome::LaterFragment)?, 2);
    Ok(())
}

/// Keepalives without payload do not keep a flow from being idle.
#[test]
fn the_last_payload_is_that_of_a_datagram_that_has_any() -> Result {
    let mut kernel = open()?;
    let client = datagram("198.51.100.7", HOST4);
    kernel.receive(&client.with(10))?;
    let begin = flow(&kernel, &client)?;
    assert_eq!(begin.last_payload, begin.started);
    let deadline = Instant::now() + Duration::from_secs(5);
    let until = |kernel: &mut Kernel, frame: &Frame, done: fn(&FlowState) -> bool| -> Result {
        while !done(&flow(kernel, &client)?) {
            assert!(Instant::now() < deadline, "the clock stands");
            kernel.run("weir_egress", &frame.bytes())?;
        }
        Ok(())
    };
    let answer = client.reply();
    until(&mut kernel, &answer, |state| state.last_packet > state.started)?;
    assert_eq!(flow(&kernel, &client)?.last_payload, begin.last_payload);
    until(&mut kernel, &answer.with(1), |state| state.last_payload > state.started)
}

#[test]
fn a_denied_5_tuple_is_one_attempt_at_each_hook() -> Result {
    let mut kernel = blocking()?;
    for (hook, from_port) in HOOKS.into_iter().zip([1, 3, 5, 7]) {
        for (from, to) in CLIENTS {
            let first = Frame { from_port, ..datagram(from, to) };
            let second = Frame { from_port: from_port + 1, ..first.clone() };
            for frame in [&first, &second, &first, &second.with(30), &first.with(900)] {
                assert_eq!(kernel.run(hook, &frame_for(hook, frame))?, Action::Drop, "{hook}");
            }
            let events = kernel.events();
            let [Event::Denied(one), Event::Denied(other)] = events[..] else {
                return Err(format!("{hook}: {events:?}").into());
            };
            assert_eq!((one.key, other.key), (key(&first), key(&second)));
            assert_eq!(other.ordinal, one.ordinal + 1);
        }
    }
    let denials = kernel.maps.counters.denials([1])?;
    let attempts: u64 = denials.iter().map(|denial| denial.count.attempts).sum();
    let packets: u64 = denials.iter().map(|denial| denial.count.packets).sum();
    assert_eq!((attempts, packets), (16, 40));
    assert_eq!(flows(&kernel), 0);
    Ok(())
}

/// XDP and what is not ours leave no flow behind.
#[test]
fn only_what_is_admitted_at_tc_is_followed() -> Result {
    let mut kernel = open()?;
    let client = datagram("198.51.100.7", HOST4);
    let cases = [
        ("weir_xdp", client.clone()),
        ("weir_xdp_frags", client.clone()),
        ("weir_ingress", Frame { to: "192.0.2.9".parse()?, ..client.clone() }),
        ("weir_ingress", Frame { to_port: 22, ..client.clone() }),
    ];
    for (hook, frame) in cases {
        assert_eq!(kernel.run(hook, &frame.bytes())?, Action::Pass);
    }
    assert_eq!(flows(&kernel), 0);
    Ok(())
}

/// A port is a service's for its protocol alone.
#[test]
fn the_other_protocol_s_port_is_nobody_s() -> Result {
    let mut kernel = blocking()?;
    for hook in HOOKS {
        for (from, to) in CLIENTS {
            let udp = Frame { to_port: 22, ..datagram(from, to) };
            let tcp = Frame { to_port: 53, ..syn(from, to) };
            for frame in [udp, tcp] {
                assert_eq!(kernel.run(hook, &frame_for(hook, &frame))?, Action::Pass, "{hook}");
            }
        }
    }
    assert_eq!(kernel.events(), []);
    Ok(())
}

#[test]
fn first_fragments_are_judged_and_cut_headers_pass() -> Result {
    let mut kernel = blocking()?;
    for hook in HOOKS {
        let v4 = Frame { fragment: 0x2000, absent: 100, ..datagram("198.51.100.7", HOST4) };
        let v6 = Frame {
            extensions: vec![(60, vec![0; 7]), (44, vec![0, 0, 1, 0, 0, 0, 9])],
            absent: 100,
            ..datagram("2001:db8:bad::7", HOST6)
        };
        for frame in [v4, v6] {
            let whole = frame_for(hook, &frame);
            assert_eq!(kernel.run(hook, &whole)?, Action::Drop, "{hook} {}", frame.from);
            let cut = &whole[..whole.len() - 1];
            if cut.len() >= 14 + 4 + 40 {
                assert_eq!(kernel.run(hook, cut)?, Action::Pass, "{hook} {}", frame.from);
            }
        }
    }
    Ok(())
}

#[test]
fn a_new_policy_cuts_exactly_the_flows_that_it_denies() -> Result {
    let mut kernel = open()?;
    let denied = datagram("198.51.100.7", HOST4).with(10);
    let kept = datagram("203.0.113.5", HOST4).with(10);
    for client in [&denied, &kept] {
        kernel.receive(client)?;
        kernel.send(&client.reply())?;
    }
    block(&mut kernel)?;
    for _ in 0..2 {
        assert_eq!(kernel.receive(&denied)?, Action::Drop);
        assert_eq!(kernel.receive(&kept)?, Action::Pass);
    }
    assert_eq!(kernel.run("weir_xdp", &denied.bytes())?, Action::Drop);
    let events = kernel.events();
    let [Event::Cut(event)] = events[..] else { return Err(format!("{events:?}").into()) };
    assert_eq!(event.key, key(&denied));
    assert_eq!(kernel.outcome(Outcome::Cut)?, 3);
    assert_eq!(flow(&kernel, &denied)?.up.payload(), 10);
    assert_eq!(flow(&kernel, &kept)?.up.payload(), 30);
    Ok(())
}

/// The daemon ends a flow: nothing that was counted is lost, what comes later is another's.
#[test]
fn a_flow_that_is_taken_waits_for_its_record() -> Result {
    let mut kernel = open()?;
    let client = datagram("198.51.100.7", HOST4).with(10);
    assert_eq!(kernel.maps.flows.take(&key(&client))?, None);
    kernel.receive(&client)?;
    let seen = flow(&kernel, &client)?;
    kernel.receive(&client)?;
    let taken = kernel.maps.flows.take(&key(&client))?.ok_or("no flow")?;
    assert_eq!((taken.started, taken.up.payload(), taken.up.packets), (seen.started, 20, 2));
    kernel.receive(&client)?;
    let next = flow(&kernel, &client)?;
    assert_eq!(next.up.payload(), 10);
    assert!(next.started > taken.started);
    // A daemon that was killed with what it took finds both.
    let ended = FlowState { flags: taken.flags | FlowState::ENDED, ..taken };
    let all: Vec<_> = kernel.maps.flows.all().map(|(_, state)| state).collect();
    assert_eq!(all, [next, ended]);
    kernel.maps.flows.remove(&FlowId { key: key(&client), started: taken.started })?;
    assert_eq!(flows(&kernel), 1);
    kernel.maps.flows.remove(&FlowId { key: key(&client), started: next.started })?;
    assert_eq!(flows(&kernel), 0);
    Ok(())
}

/// What the host goes on to send to a client whose flow is over opens no door for it.
#[test]
fn a_client_that_was_cut_is_not_let_in_by_what_the_host_sends() -> Result {
    let mut kernel = open()?;
    let client = datagram("198.51.100.7", HOST4).with(10);
    kernel.receive(&client)?;
    block(&mut kernel)?;
    kernel.maps.flows.take(&key(&client))?.ok_or("no flow")?;
    kernel.send(&client.reply())?;
    assert_eq!(kernel.receive(&client)?, Action::Drop);
    assert_eq!(kernel.outcome(Outcome::Denied)?, 1);
    Ok(())
}

/// A flood from forged addresses takes no place of TCP's, and opens none either.
#[test]
fn a_full_map_lets_pass_what_the_policy_does_and_touches_no_connection() -> Result {
    let mut kernel = Kernel::of(&generation(&Rules::OPEN, &[])?, 1)?;
    let [first, second] = ["203.0.113.5", "198.51.100.7"].map(|from| datagram(from, HOST4));
    for _ in 0..2 {
        assert_eq!(kernel.receive(&first)?, Action::Pass);
        assert_eq!(kernel.receive(&second)?, Action::Pass);
    }
    assert_eq!(kernel.outcome(Outcome::FlowsFull)?, 2);
    assert_eq!((kernel.outcome(Outcome::Opened)?, flows(&kernel)), (1, 1));
    let client = syn("203.0.113.6", HOST4);
    kernel.receive(&client)?;
    kernel.send(&client.reply().segment(Segment::SYN | Segment::ACK, 100, 8, 0))?;
    kernel.receive(&client.segment(Segment::ACK, 8, 101, 0))?;
    assert_eq!((kernel.outcome(Outcome::Opened)?, flows(&kernel)), (2, 2));
    // It is a client still, not one whom the host asked.
    kernel.send(&second.reply())?;
    block(&mut kernel)?;
    assert_eq!(kernel.receive(&second)?, Action::Drop);
    Ok(())
}

/// `ntpd` asks from the port that it serves.
#[test]
fn the_host_has_the_answer_to_what_it_asks() -> Result {
    let mut kernel = blocking()?;
    for (hook, from_port) in HOOKS.into_iter().zip([1, 3, 5, 7]) {
        for (from, to) in CLIENTS {
            let server = Frame { from_port, ..datagram(from, to) };
            kernel.send(&server.reply())?;
            for _ in 0..2 {
                assert_eq!(kernel.run(hook, &frame_for(hook, &server))?, Action::Pass, "{hook}");
            }
            let other = Frame { from_port: from_port + 1, ..server };
            assert_eq!(kernel.run(hook, &frame_for(hook, &other))?, Action::Drop, "{hook}");
        }
    }
    assert_eq!(flows(&kernel), 0);
    assert_eq!(kernel.maps.half_open.count(), 0);
    assert_eq!(kernel.outcome(Outcome::Denied)?, 8);
    Ok(())
}

/// The relay only answers, and what is routed is another's.
#[test]
fn only_a_guarded_port_of_this_host_asks() -> Result {
    let mut services = generation(&BLOCKING, &BLOCKED)?;
    services.services[1].relayed = true;
    let mut kernel = Kernel::of(&services, 16)?;
    let client = datagram("198.51.100.7", HOST4);
    kernel.send(&client.reply())?;
    assert_eq!(kernel.receive(&client)?, Action::Drop);
    services.services[1].relayed = false;
    kernel.maps.tables.set_locals(&["192.0.2.9/32".parse()?])?;
    kernel.maps.tables.install(&services)?;
    kernel.send(&client.reply())?;
    kernel.maps.tables.set_locals(&[format!("{HOST4}/32").parse()?])?;
    assert_eq!(kernel.receive(&client)?, Action::Drop);
    Ok(())
}

#[test]
fn a_relayed_flow_says_so() -> Result {
    let mut services = generation(&Rules::OPEN, &[])?;
    services.services[1].relayed = true;
    let mut kernel = Kernel::of(&services, 16)?;
    let client = datagram("198.51.100.7", HOST4);
    kernel.receive(&client)?;
    let state = flow(&kernel, &client)?;
    assert!(state.has(FlowState::RELAYED));
    assert_eq!(state.service, 1);
    Ok(())
}
