//! Fetches a newer country database when it is time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::{config::GeoipUpdate, geo};

const POLL: Duration = Duration::from_secs(1);
/// Until the next attempt after the first that failed; doubled by each further one.
const SHORTEST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_hours(1);

/// Fetches from where the configuration in force says, until `stop`, which waits for
/// no download.
pub(super) async fn update(core: Arc<Core>, stop: CancellationToken) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut schedule = None;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        schedule = Schedule::follow(&core, schedule);
        let Some(schedule) = &mut schedule else { continue };
        if schedule.due > Instant::now() {
            continue;
        }
        if stop.run_until_cancelled(schedule.attempt(&core)).await.is_none() {
            return;
        }
    }
}

/// What is fetched to where, and when.
struct Schedule {
    update: GeoipUpdate,
    path: PathBuf,
    due: Instant,
    /// Attempts that failed since one did not.
    failures: u32,
}

impl Schedule {
    /// The schedule of the configuration in force: `known`, unless that changed.
    fn follow(core: &Core, known: Option<Self>) -> Option<Self> {
        let config = core.config.load();
        let wanted = config.geoip.as_ref().and_then(|g| Some((g.update.clone()?, &g.database)));
        let same = |known: &Self| {
            wanted.as_ref().is_some_and(|(u, path)| known.update == *u && known.path == **path)
        };
        if let Some(known) = known.filter(same) {
            return Some(known);
        }
        let mut faults = core.geo_faults.lock();
        faults.update = None;
        let (update, path) = wanted.map(|(update, path)| (update, path.clone()))?;
        // A file that cannot be used is as good as none.
        let age = faults.file.is_none().then(|| age(&path)).flatten();
        let due = Instant::now() + first(age, update.every);
        Some(Self { update, path, due, failures: 0 })
    }

    /// Fetches in a thread of its own, which ends with the process where nobody waits
    /// any more.
    async fn fetch(&self) -> Result<(), String> {
        let (sender, done) = oneshot::channel();
        let (update, path) = (self.update.clone(), self.path.clone());
        let fetch = move || drop(sender.send(geo::update(&update, &path)));
        thread::Builder::new()
            .name("geoip-update".into())
            .spawn(fetch)
            .map_err(|error| error.to_string())?;
        match done.await {
            Ok(done) => done.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err("the attempt ended unexpectedly".into()),
        }
    }

    async fn attempt(&mut self, core: &Core) {
        let fault = self.fetch().await.err();
        if let Some(fault) = &fault {
            tracing::warn!("the country database cannot be updated: {fault}");
        }
        self.failures = if fault.is_some() { self.failures.saturating_add(1) } else { 0 };
        self.due = Instant::now() + next(self.failures, self.update.every);
        core.geo_faults.lock().update = fault;
    }
}

/// How long ago the file was written.
fn age(path: &Path) -> Option<Duration> {
    let written = fs::metadata(path).ok()?.modified().ok()?;
    // A clock that was set back: as good as now.
    Some(written.elapsed().unwrap_or_default())
}

/// Until the first attempt: a missing file is fetched at once, one from before this
/// start when its time has come.
fn first(age: Option<Duration>, every: Duration) -> Duration {
    age.map_or(Duration::ZERO, |age| every.saturating_sub(age))
}

/// Until the next attempt.
fn next(failures: u32, every: Duration) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return every };
    SHORTEST_RETRY.saturating_mul(1 << doublings.min(16)).min(LONGEST_RETRY).min(every)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{io::Write, net::TcpListener};

    use weir_tests::mmdb::{Place, Schema, build};

    use super::*;
    use crate::daemon::tests::{Daemon, Place as Directory};

    const WEEK: Duration = Duration::from_hours(7 * 24);

    #[test]
    fn the_age_of_the_file_counts_over_restarts() {
        assert_eq!(first(None, WEEK), Duration::ZERO);
        assert_eq!(first(Some(Duration::ZERO), WEEK), WEEK);
        assert_eq!(first(Some(WEEK / 4), WEEK), WEEK / 4 * 3);
        assert_eq!(first(Some(2 * WEEK), WEEK), Duration::ZERO);
    }

    #[test]
    fn attempts_that_fail_are_made_again_within_seconds_and_then_rarely() {
        let waits: Vec<u64> = (0..13).map(|failures| next(failures, WEEK).as_secs()).collect();
        assert_eq!(waits[..4], [WEEK.as_secs(), 5, 10, 20]);
        assert_eq!(waits[12], 3600);
        assert_eq!(next(u32::MAX, WEEK), LONGEST_RETRY);
        assert_eq!(next(9, Duration::from_mins(1)), Duration::from_mins(1));
    }

    /// Answers one request after another with these, then no more.
    fn serve(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let head = if answer.is_empty() { "404 Not Found" } else { "200 OK" };
                let length = answer.len();
                write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n").unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        format!("http://{address}/")
    }

    fn updated(place: &Directory, url: &str) -> String {
        let database = place.path("geo.mmdb");
        format!(
            "[geoip]\ndatabase = '{}'\nupdate = {{ url = '{url}', every = '7d' }}\n",
            database.display()
        )
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_fault_of_an_attempt_is_gone_with_the_next_good_one() {
        let places = [("198.51.100.0/24".parse().unwrap(), Place::country("DE"))];
        let url = serve(vec![Vec::new(), build(Schema::Country, &places, 1_700_000_000)]);
        let daemon = Daemon::start(|place| updated(place, &url)).await;
        let mut schedule = Schedule::follow(&daemon.core, None).unwrap();
        assert!(schedule.due <= Instant::now(), "a missing database waits");
        schedule.attempt(&daemon.core).await;
        assert!(daemon.core.geo_faults.lock().update.as_ref().unwrap().contains("404"));
        assert!(schedule.due <= Instant::now() + SHORTEST_RETRY);
        schedule.attempt(&daemon.core).await;
        assert_eq!(daemon.core.geo_faults.lock().update, None);
        assert!(schedule.due > Instant::now() + LONGEST_RETRY);
        assert!(daemon.path("geo.mmdb").exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reload_adds_changes_and_removes_the_schedule() {
        let daemon = Daemon::start(|_| String::new()).await;
        assert!(Schedule::follow(&daemon.core, None).is_none());
        daemon.reload(&updated(&daemon.place, "http://127.0.0.1:9/a"), None).await.unwrap();
        let first = Schedule::follow(&daemon.core, None).unwrap();
        let due = first.due;
        let same = Schedule::follow(&daemon.core, Some(first)).unwrap();
        assert_eq!(same.due, due);
        daemon.reload(&updated(&daemon.place, "http://127.0.0.1:9/b"), None).await.unwrap();
        let changed = Schedule::follow(&daemon.core, Some(same)).unwrap();
        assert!(changed.update.url.ends_with("/b"));
        daemon.reload("", None).await.unwrap();
        assert!(Schedule::follow(&daemon.core, Some(changed)).is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stop_waits_for_no_download() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let daemon = Daemon::start(|place| updated(place, &url)).await;
        let stop = CancellationToken::new();
        let updating = tokio::spawn(update(Arc::clone(&daemon.core), stop.clone()));
        let asked = silent.accept().await.unwrap();
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), updating).await.unwrap().unwrap();
        drop(asked);
    }
}
