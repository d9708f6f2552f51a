//! What 100,000 open flows to 8 targets take of the host's memory.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Sub,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::{
    lab::{SERVER4, assign},
    ns::Namespace,
    wait::holds,
};

use super::{
    super::{
        load::{Running, wait_for},
        proxies::{Served, Started},
    },
    records::of_weir,
    ways::{Place, Standing, Way},
};

const FLOWS: u32 = 100_000;
/// Targets, and processes that connect.
const ENDS: u16 = 8;
/// A relay has two files for each, and may have 20,000; HAProxy has pipes beside.
const OF_A_RELAY: u32 = 7_200;
/// Where the first target listens.
const PORT: u16 = 9000;
const OPENED: Duration = Duration::from_mins(2);
/// What a socket of a process takes beside what waits in it.
const SOCKET: [&str; 4] = ["TCP", "sock_inode_cache", "filp", "dentry"];

/// Bytes.
#[derive(Clone, Copy)]
struct Held {
    /// Memory that processes have resident
    resident: i64,
    /// Maps of BPF
    maps: i64,
    /// Entries of connection tracking
    conntrack: i64,
    /// Sockets in the host's namespace
    sockets: i64,
}

pub(super) fn measure(place: &Place) -> Result<Vec<Value>> {
    for end in 0..ENDS {
        assign(&place.lab.clients, "net0", &[&format!("{}/24", client(end))])?;
        assign(&place.lab.neighbours, "net0", &[&format!("{}/24", target(end))])?;
    }
    println!("memory of the host, MiB: at rest, with so many flows, with {FLOWS}; bytes a flow");
    let each = Way::ALL.into_iter().map(|way| hold(way, place).with_context(|| way.name()));
    each.collect()
}

fn client(end: u16) -> IpAddr {
    address([192, 0, 2, 0], end)
}

fn target(end: u16) -> IpAddr {
    address([198, 18, 0, 0], end)
}

fn address(network: [u8; 4], end: u16) -> IpAddr {
    IpAddr::V4((u32::from(Ipv4Addr::from(network)) + 11 + u32::from(end)).into())
}

fn hold(way: Way, place: &Place) -> Result<Value> {
    let flows = if way.is_relay() { OF_A_RELAY } else { FLOWS };
    let targets: Vec<IpAddr> = (0..ENDS).map(target).collect();
    let ports: Vec<u16> = (PORT..PORT + ENDS).collect();
    let served = Served {
        tcp: if way.ends_here() { &ports } else { &[PORT] },
        udp: &[],
        targets: &targets,
        connections: OF_A_RELAY + 300,
    };
    let _targets = accepting(way, place)?;
    let standing = way.start(place, &served)?;
    let rest = standing.held(place)?;
    let clients = connecting(way, place, flows)?;
    let open = standing.held(place)?;
    drop(clients);
    let recorded = match &standing.started {
        Some(Started::Weir(weir)) => Some(of_weir(weir, flows.into(), OPENED)?.json()),
        _ => None,
    };
    standing.stop()?;
    Ok(shown(way, flows, [rest, open], recorded.as_ref()))
}

/// Starts the targets.
fn accepting(way: Way, place: &Place) -> Result<Vec<Running>> {
    let mut all = Vec::new();
    for end in 0..ENDS {
        let (namespace, at) = if way.ends_here() {
            (&place.lab.server, SocketAddr::new(SERVER4, PORT + end))
        } else {
            (&place.lab.neighbours, SocketAddr::new(target(end), PORT))
        };
        all.push(start(namespace, &["accept", &at.to_string()])?);
        wait_for(namespace, at.port())?;
    }
    Ok(all)
}

/// Opens flows, and waits until all are.
fn connecting(way: Way, place: &Place, flows: u32) -> Result<Vec<Running>> {
    let Place { lab, .. } = place;
    let count = (flows / u32::from(ENDS)).to_string();
    let mut all = Vec::new();
    for end in 0..ENDS {
        let to = match way {
            Way::Direct | Way::Guard => SocketAddr::new(SERVER4, PORT + end),
            Way::Routing => SocketAddr::new(target(end), PORT),
            _ => SocketAddr::new(SERVER4, PORT),
        };
        let from = client(end).to_string();
        all.push(start(&lab.clients, &["connect", &from, &to.to_string(), &count])?);
    }
    let accepts = if way.ends_here() { &lab.server } else { &lab.neighbours };
    let open = || Some(sockets(&lab.clients).ok()?.min(sockets(accepts).ok()?));
    let all_open = holds(OPENED, || open() >= Some(flows.into()));
    ensure!(all_open, "{:?} of {flows} are open", open());
    Ok(all)
}

fn start(namespace: &Namespace, arguments: &[&str]) -> Result<Running> {
    let program = env::current_exe()?;
    Running::start(namespace, &program.to_string_lossy(), &[&["hold"], arguments].concat())
}

impl Standing<'_> {
    fn held(&self, place: &Place) -> Result<Held> {
        let host = &place.lab.server;
        let process = self.started.as_ref().map(Started::id).transpose()?;
        let sockets = if self.way.is_relay() { sockets(host)? } else { 0 };
        let tracked = if self.way == Way::Nftables { tracked(host)? } else { 0 };
        Ok(Held {
            resident: process.map_or(Ok(0), resident)?,
            maps: process.map_or(Ok(0), maps)?,
            conntrack: tracked * slab(&["nf_conntrack"])?,
            sockets: sockets * slab(&SOCKET)?,
        })
    }
}

/// Memory of a process and its children.
fn resident(process: u32) -> Result<i64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let own = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok());
    let mut sum = own.context(status)? << 10;
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    for child in children.split_whitespace() {
        sum += resident(child.parse()?)?;
    }
    Ok(sum)
}

/// Maps that a process has open (`proc_pid_fdinfo(5)`).
fn maps(process: u32) -> Result<i64> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{process}/fdinfo"))? {
        // A file may have been closed meanwhile.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let field =
            |name| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Ok(maps.values().sum())
}

/// TCP sockets that are open in a namespace.
fn sockets(namespace: &Namespace) -> Result<i64> {
    let text = namespace.within(|| fs::read_to_string("/proc/thread-self/net/sockstat"))??;
    let count = text.lines().find_map(|line| line.strip_prefix("TCP: inuse ")?.split(' ').next());
    count.and_then(|count| count.parse().ok()).context(text)
}

/// Entries that connection tracking has for a namespace.
fn tracked(namespace: &Namespace) -> Result<i64> {
    let path = "/proc/sys/net/netfilter/nf_conntrack_count";
    let count = namespace.within(|| fs::read_to_string(path))?.context(path)?;
    Ok(count.trim().parse()?)
}

/// Bytes of one object of each of the kernel's caches.
fn slab(names: &[&str]) -> Result<i64> {
    let text = fs::read_to_string("/proc/slabinfo").context("/proc/slabinfo")?;
    let size = |name: &&str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line?.split_whitespace().nth(3)?.parse::<i64>().ok()
    };
    names.iter().map(|name| size(name).with_context(|| format!("no {name} in slabinfo"))).sum()
}

impl Held {
    const fn total(self) -> i64 {
        self.resident + self.maps + self.conntrack + self.sockets
    }

    fn json(self) -> Value {
        json!({
            "resident": self.resident,
            "maps": self.maps,
            "conntrack": self.conntrack,
            "sockets": self.sockets,
        })
    }
}

impl Sub for Held {
    type Output = i64;

    fn sub(self, other: Self) -> i64 {
        self.total() - other.total()
    }
}

fn shown(way: Way, flows: u32, [rest, open]: [Held; 2], recorded: Option<&Value>) -> Value {
    let each = (open - rest) / i64::from(flows);
    let all = rest.total() + each * i64::from(FLOWS);
    let mib = |bytes: i64| bytes >> 20;
    println!(
        "  {:9} {:>5}  {:>5} with {flows}  {:>5}  {each:>5} bytes a flow",
        way.name(),
        mib(rest.total()),
        mib(open.total()),
        mib(all)
    );
    json!({
        "way": way.name(),
        "flows": flows,
        "at_rest": rest.json(),
        "open": open.json(),
        "bytes_a_flow": each,
        "bytes_at_100000": all,
        "records": recorded,
    })
}
