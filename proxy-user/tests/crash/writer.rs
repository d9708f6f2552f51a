//! A process that writes as fast as it can, and tells how much is committed.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use proxy_common::address::{Address, FlowKey};
use proxy_user::{
    record::{
        Batch, Commit, Committing, Draft, FlowId, Ids, Location, Origin, Protocol, Record, Source,
        Timestamp, Verdict,
    },
    store::{Store, StoreOptions},
};
use weir_tests::wait::{SOON, holds};

/// Says where the process is to write.
const DIR: &str = "WEIR_TEST_STORE";
/// What its lines begin with, among those of the test harness.
const TOLD: &str = "committed ";

/// Blocks and partitions are begun often.
pub(crate) const OPTIONS: StoreOptions =
    StoreOptions { partition_bytes: 3 << 20, block_rows: 1500 };

/// Whether this process is the one that writes.
pub(crate) fn is_asked_for() -> bool {
    env::var_os(DIR).is_some()
}

/// Which record it is.
pub(crate) fn number(record: &Record) -> u64 {
    record.draft.bytes_upload
}

/// Goes on where the store ends, until it is killed.
pub(crate) fn write() {
    let dir = env::var_os(DIR).unwrap();
    let (store, mut commit) = Store::new(Path::new(&dir), OPTIONS);
    let mut ids = Ids::after(commit.open().unwrap());
    let mut next = store.stats().unwrap().iter().map(|series| series.records).sum();
    for size in [1, 7, 150, 40, 400].into_iter().cycle() {
        let now = Timestamp::now();
        let record = |number| Committing {
            record: Record { id: ids.next(now), draft: draft(number, now) },
            origin: if number.is_multiple_of(3) {
                Origin::Flow(flow(number))
            } else {
                Origin::Userspace
            },
        };
        let records = (next..next + size).map(record).collect();
        commit.commit(&Batch { records, forget: Vec::new() }).unwrap();
        next += size;
        let mut out = std::io::stdout().lock();
        // Whoever reads has killed this process, or is about to.
        let _ = writeln!(out, "{TOLD}{next}").and_then(|()| out.flush());
    }
}

fn flow(number: u64) -> FlowId {
    let [client, service] = [1, 2].map(|last| Address::v6([last; 16]));
    let key = FlowKey { client, service, client_port: 1, service_port: 2, protocol: 6 };
    FlowId { key, started: number }
}

/// Of one kind, so that which record is missing can be told.
fn draft(number: u64, now: Timestamp) -> Draft {
    Draft {
        service_id: "db".into(),
        timestamp: now,
        started_at: Timestamp(now.0 - 5),
        duration_ms: 5,
        protocol: Protocol::Tcp,
        verdict: Verdict::Allowed,
        host: "db.example.com".into(),
        listen_port: 5432,
        bytes_upload: number,
        bytes_download: number % 1000,
        packets_upload: 4,
        packets_download: 4,
        source: Source::Address([192, 0, 2, number.to_le_bytes()[0]].into()),
        source_port: 40_000,
        location: Location::default(),
        reason: None,
        observed_reason: None,
        close_reason: None,
        target: "10.0.0.5:5432".into(),
        tls_version: None,
        http: None,
        metadata: BTreeMap::new(),
    }
}

/// A writer that is going to be killed.
pub(crate) struct Killed {
    child: Child,
    committed: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Killed {
    /// This test again, in a process that writes below `dir`.
    pub(crate) fn start(test: &str, dir: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(DIR, dir);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let committed = Arc::new(AtomicU64::new(0));
        let (lines, told) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&committed));
        let reader = thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(count) = line.strip_prefix(TOLD) {
                    told.store(count.parse().unwrap(), Relaxed);
                }
            }
        });
        Self { child, committed, reader: Some(reader) }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Relaxed)
    }

    pub(crate) fn wait_for_first(&self) {
        assert!(holds(SOON, || self.committed() > 0), "the writer has not begun");
    }

    /// Kills it, and gives how many records it had told to be committed.
    pub(crate) fn kill(mut self) -> u64 {
        self.end();
        self.committed()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.end();
    }
}
