//! Connections that wait for another request. Each thread has its own: a connection lives
//! where it was made, and no lock is taken.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::{connect::Reach, sender::Sender, tls::ClientTls};
use crate::{config::Scheme, record::KeyedMap, relay::Member};

/// How long a connection may wait: less than most servers do.
pub(super) const WAITS: Duration = Duration::from_secs(30);
/// How many may wait for a target, on each thread.
const MOST: usize = 128;

/// What a connection is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) struct Key {
    /// The target's place in memory, which no other can have while a connection to it waits.
    member: usize,
    scheme: Scheme,
    verified: bool,
}

impl Key {
    /// For requests to that target, spoken to so.
    pub(in crate::http) fn of(member: &Arc<Member>, scheme: Scheme, verified: bool) -> Self {
        Self { member: Arc::as_ptr(member).addr(), scheme, verified }
    }

    /// How the target is spoken to.
    pub(in crate::http) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// How a new connection of the kind is made.
    pub(in crate::http) fn reach<'a>(&self, upgrades: bool, tls: &'a ClientTls) -> Reach<'a> {
        Reach { scheme: self.scheme, verify: self.verified, upgrades, tls }
    }
}

/// By how long they wait, the longest first.
type Waiting = VecDeque<(Instant, Sender)>;

thread_local! {
    static WAITING: RefCell<KeyedMap<Key, Waiting>> = RefCell::default();
    /// Whether somebody looks after them.
    static SWEPT: Cell<bool> = const { Cell::new(false) };
}

/// A connection that takes a request at once.
pub(in crate::http) fn take(key: &Key) -> Option<Sender> {
    WAITING.with_borrow_mut(|all| {
        let waiting = all.get_mut(key)?;
        let now = Instant::now();
        while waiting.front().is_some_and(|(since, sender)| is_over(*since, now, sender)) {
            waiting.pop_front();
        }
        // One that was given back just now is not ready before its end is read.
        let ready = waiting.iter().rposition(|(_, sender)| sender.is_ready());
        if let Some((since, shared)) = ready.and_then(|at| waiting.get_mut(at))
            && let Some(shared) = shared.shared()
        {
            *since = now;
            return Some(shared);
        }
        let taken = ready.and_then(|at| waiting.remove(at)).map(|(_, sender)| sender);
        if waiting.is_empty() {
            all.remove(key);
        }
        taken
    })
}

/// Keeps a connection for the next request; one of HTTP/2 as soon as it is there, one of
/// HTTP/1.1 when its answer has been read.
pub(in crate::http) fn keep(key: Key, mut sender: Sender) {
    sender.used = true;
    WAITING.with_borrow_mut(|all| {
        let waiting = all.entry(key).or_default();
        if waiting.len() >= MOST {
            waiting.pop_front();
        }
        waiting.push_back((Instant::now(), sender));
    });
    // While a runtime ends, there is none.
    if let Ok(runtime) = Handle::try_current()
        && !SWEPT.replace(true)
    {
        runtime.spawn(sweep());
    }
}

/// Lets those go that have waited for too long, whether or not another request comes: their
/// target may be gone from the configuration. Ends when none is left.
async fn sweep() {
    while !prune(Instant::now()) {
        tokio::time::sleep(WAITS / 2).await;
    }
    SWEPT.set(false);
}

/// Lets those go that have waited for too long by `now`. Whether none is left.
pub(super) fn prune(now: Instant) -> bool {
    WAITING.with_borrow_mut(|all| {
        all.retain(|_, waiting| {
            waiting.retain(|(since, sender)| !is_over(*since, now, sender));
            !waiting.is_empty()
        });
        all.is_empty()
    })
}

fn is_over(since: Instant, now: Instant, sender: &Sender) -> bool {
    sender.is_closed() || now.saturating_duration_since(since) > WAITS
}
