//! Whole policies, as they are written in a file: the kernel programs and the daemon
//! say the same of every address, and what SPEC 3 says.

use std::{collections::BTreeMap, fs, net::IpAddr, sync::Arc};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config as Runs, TestRunner},
};
use proxy_common::{
    flow::{FlowId, FlowState},
    packet::Segment,
    reason::Reason,
    verdict::Judgement,
};
use proxy_user::{
    config::{Config, Mode},
    datapath::{Event, Generation},
    geo::Database,
    policy::{Policy, compile},
};

use crate::{
    frames::{Frame, syn},
    harness::{Action, HOOKS, HOST4, HOST6, Kernel, Result, frame_for},
    rows::{ROWS, Row},
    strategy::{Input, address, input, middle, net, probes},
};

/// The kernel with one policy after another.
struct Bench {
    kernel: Kernel,
    mode: Mode,
    attempts: u16,
}

impl Bench {
    fn new() -> Result<Self> {
        let kernel = Kernel::new(&proxy_user::policy::Rules::OPEN, &[])?;
        Ok(Self { kernel, mode: Mode::Tcp, attempts: 0 })
    }

    /// Brings a configuration in force; what the daemon judges by.
    fn install(
        &mut self,
        config: &Config,
        geo: Option<Arc<Database>>,
        gateways: &[IpAddr],
    ) -> Result<Policy> {
        self.mode = config.services[0].mode;
        let tables = &mut self.kernel.maps.tables;
        let policy = compile(config, geo, gateways, None)?;
        tables.install(&Generation::of(config, &policy, &BTreeMap::new()))?;
        Ok(policy)
    }

    /// An address's SYN or datagram: an attempt of its own. Long enough for `TEST_RUN`, which
    /// takes the source in a frame without a link layer for an `EtherType`.
    fn attempt(&mut self, from: IpAddr) -> Frame {
        let to = if from.is_ipv4() { HOST4 } else { HOST6 };
        let syn = syn(&from.to_string(), to);
        self.attempts = self.attempts.checked_add(1).unwrap_or(1);
        Frame { from_port: self.attempts, protocol: self.mode.transport(), payload: 40, ..syn }
    }

    /// What a hook does with an attempt: whether it is dropped, and why.
    fn ask(&mut self, hook: &'static str, from: IpAddr) -> Result<(Action, Option<Reason>)> {
        let frame = self.attempt(from);
        let action = self.kernel.run(hook, &frame_for(hook, &frame))?;
        self.flows()?;
        let reason = match self.kernel.events()[..] {
            [] => None,
            [Event::Denied(event)] => Reason::from_number(event.reason),
            ref events => return Err(format!("{hook} {from}: {events:?}").into()),
        };
        Ok((action, reason))
    }

    /// What a passing flow's record will say was observed, and whether it was exempt.
    fn noted(&mut self, from: IpAddr) -> Result<(Option<Reason>, bool)> {
        let client = self.attempt(from);
        self.kernel.receive(&client)?;
        if self.mode != Mode::Udp {
            self.kernel.send(&client.reply().segment(Segment::SYN | Segment::ACK, 9, 8, 0))?;
            self.kernel.receive(&client.segment(Segment::ACK, 8, 10, 0))?;
        }
        let flows = self.flows()?;
        let [state] = flows[..] else { return Err(format!("{from}: {flows:?}").into()) };
        Ok((state.observed(), state.has(FlowState::COUNTRY_EXEMPT)))
    }

    /// The flows there are, which go.
    fn flows(&mut self) -> Result<Vec<FlowState>> {
        let flows: Vec<_> = self.kernel.maps.flows.all().collect();
        for (key, state) in &flows {
            self.kernel.maps.flows.remove(&FlowId { key: *key, started: state.started })?;
        }
        Ok(flows.into_iter().map(|(_, state)| state).collect())
    }

    /// Holds every hook to what the daemon's tables say of the peer: its judgement, unless
    /// it must send a PROXY header.
    fn agrees(&mut self, policy: &Policy, from: IpAddr) -> Result<Judgement> {
        let judgement = policy.verdict("s", from).peer();
        let expected = match judgement.denied {
            Some(reason) => (Action::Drop, Some(reason)),
            None => (Action::Pass, None),
        };
        for hook in HOOKS {
            let said = self.ask(hook, from)?;
            if said != expected {
                return Err(format!("{hook} {from}: {said:?}, the daemon {judgement:?}").into());
            }
        }
        if judgement.denied.is_none() {
            let noted = self.noted(from)?;
            if noted != (judgement.observed, judgement.country_exempt) {
                return Err(format!("{from}: noted {noted:?}, the daemon {judgement:?}").into());
            }
        }
        Ok(judgement)
    }
}

fn sample<T: std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
    runner: &mut TestRunner,
) -> Result<T> {
    let tree = strategy.new_tree(runner).map_err(|reason| reason.message().to_owned())?;
    Ok(tree.current())
}

/// Each row of SPEC 3, for a guard and for a relayed service that resets, of TCP and of
/// UDP.
#[test]
fn spec_3_row_by_row_in_the_kernel_and_in_the_daemon() -> Result {
    let mut bench = Bench::new()?;
    let directory = tempfile::tempdir()?;
    for service in [
        "mode = 'tcp'\ntarget = 'host'",
        "mode = 'tcp'\ntarget = '192.0.2.9:5432'\naccess.deny = 'reset'",
        "mode = 'udp'\ntarget = 'host'",
        "mode = 'udp'\ntarget = '192.0.2.9:5432'\naccess.deny = 'reset'",
    ] {
        for row in &ROWS {
            let config = configuration(directory.path(), row, service)?;
            let geo = row.database.then(|| database(directory.path())).transpose()?;
            let gateways: Vec<IpAddr> =
                row.gateway.map(str::parse).transpose()?.into_iter().collect();
            let policy = bench.install(&config, geo, &gateways)?;
            for (from, expected) in row.clients {
                let judgement = bench
                    .agrees(&policy, from.parse()?)
                    .map_err(|error| format!("{}: {error}", row.what))?;
                let said = (judgement.denied, judgement.observed);
                assert_eq!(said, *expected, "{}: {from} to {service}", row.what);
            }
        }
    }
    Ok(())
}

fn configuration(directory: &std::path::Path, row: &Row, service: &str) -> Result<Config> {
    let path = directory.join("weir.toml");
    let text = format!(
        "include = []\n[global_access]\n{}\n[service.s]\nlisten = 22\n{service}\n{}\n",
        row.global,
        row.own.lines().fold(String::new(), |lines, line| lines + "access." + line + "\n"),
    );
    fs::write(&path, &text)?;
    proxy_user::config::load(&path)
        .map(|loaded| loaded.config)
        .map_err(|faults| format!("{}: {faults}\n{text}", row.what).into())
}

/// The lab's countries.
fn database(directory: &std::path::Path) -> Result<Arc<Database>> {
    let path = directory.join("geo.mmdb");
    weir_tests::geo::write(&path)?;
    Ok(Arc::new(Database::open(&path)?))
}

#[test]
fn random_policies_are_the_same_in_the_kernel_and_in_the_daemon() -> Result {
    let mut bench = Bench::new()?;
    let mut runner = TestRunner::new(Runs::default());
    let mut denied = 0;
    for mode in [Mode::Tcp, Mode::Udp].into_iter().cycle().take(150) {
        let mut input: Input = sample(input(), &mut runner)?;
        Arc::make_mut(&mut input.config.services[0]).mode = mode;
        let policy = bench.install(&input.config, input.database(), &input.gateways)?;
        let mut clients = probes(&input);
        for _ in 0..10 {
            clients.push(sample(address(), &mut runner)?);
        }
        for client in clients {
            let judgement =
                bench.agrees(&policy, client).map_err(|error| format!("{error}: {input:#?}"))?;
            denied += u32::from(judgement.denied.is_some());
        }
    }
    assert!(denied > 500, "{denied} denials are no test");
    Ok(())
}

/// Nested and overlapping, both families, both kinds of lists.
#[test]
fn a_hundred_thousand_prefixes_are_the_same_in_the_kernel_and_in_the_daemon() -> Result {
    let mut bench = Bench::new()?;
    let mut runner = TestRunner::new(Runs::default());
    let mut prefixes = Vec::new();
    while prefixes.len() < 100_000 {
        let net = sample(net(), &mut runner)?;
        // Wide ones in a list would leave nothing to tell apart.
        if net.prefix_len() >= if net.addr().is_ipv4() { 20 } else { 56 } {
            prefixes.push(net);
        }
    }
    let mut input: Input = sample(input(), &mut runner)?;
    let service = Arc::make_mut(&mut input.config.services[0]);
    service.access = proxy_user::config::Access::OPEN;
    input.config.global.access = proxy_user::config::Access::OPEN;
    input.config.global.never_deny.clear();
    let (allowed, blocked) = prefixes.split_at(80_000);
    service.access.allowed_cidrs = Some(allowed.to_vec());
    service.access.blocked_cidrs = blocked.to_vec();
    let policy = bench.install(&input.config, None, &[])?;
    let size = bench.kernel.maps.tables.size();
    assert!(size.ranges4 > 30_000 && size.ranges6 > 10_000, "{size:?}");
    let (mut denied, mut passed) = (0, 0);
    for net in prefixes.iter().step_by(200) {
        for client in [net.network(), middle(net), net.broadcast()] {
            match bench.agrees(&policy, client)?.denied {
                Some(_) => denied += 1,
                None => passed += 1,
            }
        }
    }
    assert!(denied > 100 && passed > 100, "{denied} denied, {passed} passed");
    Ok(())
}
