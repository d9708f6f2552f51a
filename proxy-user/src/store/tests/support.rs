//! What the tests of the store share: records to write, and what comes back.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use proxy_common::{
    address::{Address, Family, FlowKey},
    country::Country,
    reason::Reason,
};
use uuid::Uuid;

use crate::{
    record::{
        Accounted, AuthMethod, Batch, CloseReason, Commit, Committing, CounterId, Draft, Entry,
        FlowId, HttpPart, Ids, Location, Origin, Protocol, Record, Source, Timestamp, Verdict,
        tests::draft,
    },
    store::{Filter, Store, StoreError, StoreOptions, StoreWriter},
};

/// 2023-11-14 12:00 UTC.
pub(super) const NOON: Timestamp = Timestamp(1_699_963_200_000);
pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;

/// Small, so that there are several.
const BLOCK: usize = 150;

/// Partitions end with their day only.
pub(super) const BY_DAY: StoreOptions =
    StoreOptions { partition_bytes: u64::MAX, block_rows: BLOCK };
/// Every commit begins a partition.
pub(super) const BY_COMMIT: StoreOptions = StoreOptions { partition_bytes: 0, block_rows: BLOCK };

/// A store, its writer and the ids that the writer would give.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) writer: StoreWriter,
    pub(super) ids: Ids,
}

pub(super) fn open(dir: &Path, options: StoreOptions) -> Opened {
    let opened = try_open(dir, options).unwrap();
    let damaged = opened.store.damaged();
    assert!(damaged.is_empty(), "{damaged:?}");
    opened
}

pub(super) fn try_open(dir: &Path, options: StoreOptions) -> Result<Opened, StoreError> {
    let (store, writer) = Store::new(dir, options);
    store.shared.open()?;
    let ids = Ids::after(store.last_id()?);
    Ok(Opened { store, writer, ids })
}

impl Opened {
    /// The entries with ids of their own times.
    pub(super) fn batch(&mut self, entries: Vec<Entry>) -> Batch {
        let number = |entry: Entry| Committing {
            record: Record { id: self.ids.next(entry.draft.timestamp), draft: entry.draft },
            origin: entry.origin,
        };
        Batch { records: entries.into_iter().map(number).collect(), forget: Vec::new() }
    }

    /// Commits the entries, and gives their records.
    pub(super) fn commit(&mut self, entries: Vec<Entry>) -> Vec<Record> {
        let batch = self.batch(entries);
        self.writer.commit(&batch).unwrap();
        batch.records.into_iter().map(|committing| committing.record).collect()
    }

    pub(super) fn forget(&mut self, flows: &[FlowId]) {
        let batch = Batch { records: Vec::new(), forget: flows.to_vec() };
        self.writer.commit(&batch).unwrap();
    }
}

/// Every record, in the order of ids.
pub(super) fn all(store: &Store) -> Vec<Record> {
    store.after(None, Uuid::max(), &Filter::default(), usize::MAX).unwrap()
}

/// A record of the main kind.
pub(super) fn served(timestamp: Timestamp) -> Entry {
    let started_at = Timestamp(timestamp.0 - 1500);
    Entry { draft: Draft { timestamp, started_at, ..draft() }, origin: Origin::Userspace }
}

/// A record of the noise that settles these attempts.
pub(super) fn denied(timestamp: Timestamp, accounted: Vec<Accounted>) -> Entry {
    let reason = Some(Reason::IpRestricted);
    let draft = Draft { verdict: Verdict::Denied, reason, ..served(timestamp).draft };
    Entry { draft, origin: Origin::Denied { accounted, flows: Vec::new() } }
}

/// That entry, as the record of a flow.
pub(super) fn of_flow(entry: Entry, port: u16) -> Entry {
    Entry { origin: Origin::Flow(flow(port)), ..entry }
}

pub(super) fn flow(port: u16) -> FlowId {
    let address = Address::unspecified(Family::V6);
    let key = FlowKey {
        client: address,
        service: address,
        client_port: port,
        service_port: 1,
        protocol: 6,
    };
    FlowId { key, started: 1 }
}

/// Attempts of a counter of these maps.
pub(super) fn attempts(epoch: u64, service: u16, attempts: u64) -> Accounted {
    Accounted { counter: CounterId { epoch, service, reason: 1, cpu: 3 }, attempts }
}

/// What `accounted` should answer.
pub(super) fn accounts<const N: usize>(parts: [Accounted; N]) -> BTreeMap<CounterId, u64> {
    parts.map(|part| (part.counter, part.attempts)).into()
}

/// The files of records below a data directory, by name.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("records")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some());
    files.sort();
    files
}

/// Numbers that look random and are the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// splitmix64
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// Records that differ in every field, and agree in each with some others.
pub(super) fn varied(dice: &mut Dice, timestamp: Timestamp) -> Entry {
    let duration = dice.below(4) * 1_800_000;
    let verdict = dice.pick(&Verdict::ALL);
    let reasons = [None, Some(Reason::ConnectionLimit), Some(Reason::BackendTimeout)];
    let observed = [None, None, Some(Reason::CountryRestricted), Some(Reason::IpRestricted)];
    let v4 = Ipv4Addr::from_octets([dice.pick(&[9, 10, 198]), 51, 100, dice.pick(&[2, 30])]);
    let source = match dice.below(8) {
        0 => Source::Many,
        1 => Source::Address("2001:db8::7".parse().unwrap()),
        2 => Source::Address("2001:db9::7".parse().unwrap()),
        _ => Source::Address(IpAddr::V4(v4)),
    };
    let metadata = match dice.below(3) {
        0 => BTreeMap::from([("suppressed".into(), dice.below(900).to_string())]),
        _ => BTreeMap::new(),
    };
    let http = (dice.below(2) == 0).then(|| Box::new(asked(dice)));
    let draft = Draft {
        service_id: dice.pick(&["db", "web", "ssh", ""]).into(),
        timestamp,
        started_at: Timestamp(timestamp.0 - i64::try_from(duration).unwrap()),
        duration_ms: duration,
        protocol: if http.is_some() { Protocol::Http } else { Protocol::Tcp },
        verdict,
        host: dice.pick(&["db.example.com", "Web.Example.com", "ssh", "web.test"]).into(),
        listen_port: dice.pick(&[22, 443, 5432]),
        bytes_upload: dice.pick(&[0, 9, 10, 1 << 40]),
        bytes_download: dice.below(1000),
        packets_upload: dice.below(9),
        packets_download: dice.below(9),
        source,
        source_port: 40_000,
        location: Location {
            country: dice.pick(&[None, Country::from_code(b"DE"), Country::from_code(b"FR")]),
            ..Location::default()
        },
        reason: match verdict {
            Verdict::Denied => Some(dice.pick(&[Reason::IpRestricted, Reason::GeoUnavailable])),
            _ => dice.pick(&reasons),
        },
        observed_reason: dice.pick(&observed),
        close_reason: Some(dice.pick(&CloseReason::ALL)),
        target: "10.0.0.5:5432".into(),
        tls_version: None,
        http,
        metadata,
    };
    Entry { draft, origin: Origin::Userspace }
}

fn asked(dice: &mut Dice) -> HttpPart {
    HttpPart {
        request_id: Uuid::from_u128(u128::from(dice.below(3)) << 120 | 7),
        method: dice.pick(&["GET", "POST", "brew"]).into(),
        path: dice.pick(&["/", "/Index.html", "/a/b", ""]).into(),
        status_code: dice.pick(&[0, 200, 302, 404, 502]),
        auth: dice.pick(&AuthMethod::ALL),
        user_id: dice.pick(&["", "U-17", "u-18"]).into(),
        user_email: dice.pick(&["", "Ann@example.com", "bob@test"]).into(),
        http_version: None,
        user_agent: "".into(),
    }
}
