//! One target of a service, with all that is known of it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use proxy_common::balance::affinity;
use sha2::{Digest, Sha256};
use tokio::{net::TcpStream, runtime::Handle, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{
    condition::Condition,
    names::Names,
    order::Candidate,
    pool::{TargetPlace, TargetState},
    probe::probe,
};
use crate::{
    config::{Health, Target},
    relay::{
        connect::{DialError, connect, share},
        contract::{Examination, Lookout},
        first_words::FirstWords,
    },
};

/// A target. It outlives reloads that keep it.
pub(crate) struct Member {
    target: Target,
    /// Where the target is a name.
    names: Option<Names>,
    /// What [`affinity`] knows it by, on every host and in every run.
    number: u64,
    condition: Condition,
    sessions: AtomicU32,
    service: Arc<str>,
    lookout: Arc<dyn Lookout>,
    watch: Mutex<Option<Watch>>,
}

/// How often a target is looked at, and how besides connecting to it.
pub(super) type Look = (Health, Option<Examination>);

/// Active health, until it is dropped.
struct Watch {
    look: Look,
    _task: AbortOnDropHandle<()>,
}

/// A target's addresses.
pub(super) enum Addresses {
    One(SocketAddr),
    Several(Arc<[SocketAddr]>),
}

impl Addresses {
    pub(super) fn as_slice(&self) -> &[SocketAddr] {
        match self {
            Self::One(address) => std::slice::from_ref(address),
            Self::Several(addresses) => addresses,
        }
    }
}

impl Member {
    /// A target that nothing is known of, and that is therefore up.
    pub(super) fn new(
        target: &Target,
        service: &Arc<str>,
        lookout: &Arc<dyn Lookout>,
        runtime: &Handle,
    ) -> Arc<Self> {
        let names = match target {
            Target::Address(_) => None,
            Target::Name { host, port } => Some(Names::follow(host, *port, runtime)),
        };
        Arc::new(Self {
            target: target.clone(),
            names,
            number: number(target),
            condition: Condition::new(),
            sessions: AtomicU32::new(0),
            service: Arc::clone(service),
            lookout: Arc::clone(lookout),
            watch: Mutex::default(),
        })
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Has the target looked at, or no longer. A look under way goes on where nothing
    /// changes.
    pub(super) fn watch(self: &Arc<Self>, look: Option<Look>, runtime: &Handle) {
        let mut watch = self.watch.lock();
        let what =
            |(health, examination): &Look| (*health, examination.as_ref().map(|e| e.of.clone()));
        if watch.as_ref().map(|watch| what(&watch.look)) == look.as_ref().map(what) {
            return;
        }
        *watch = look.map(|look| {
            let task = runtime.spawn(probe(Arc::downgrade(self), look.clone()));
            Watch { look, _task: AbortOnDropHandle::new(task) }
        });
    }

    /// One session more.
    pub(super) fn enter(&self) {
        self.sessions.fetch_add(1, Relaxed);
    }

    /// One session less.
    pub(super) fn leave(&self) {
        self.sessions.fetch_sub(1, Relaxed);
    }

    /// The target did not do what it is there for.
    pub(super) fn failed(&self, error: &dyn fmt::Display) {
        if let Some(names) = &self.names {
            names.look_again();
        }
        let tell = |error: &str| self.lookout.target_down(&self.service, &self.target, error);
        self.condition.failed(error, tell);
    }

    /// The target did.
    pub(super) fn worked(&self) {
        self.condition.worked(|| self.lookout.target_up(&self.service, &self.target));
    }

    /// Its place among others, for `client`.
    pub(super) fn candidate(&self, watched: bool, client: IpAddr) -> Candidate {
        Candidate {
            standing: self.condition.standing(watched),
            sessions: self.sessions.load(Relaxed),
            affinity: affinity(self.number, &client.into()),
        }
    }

    pub(super) fn state(&self) -> TargetState {
        let (since, error) = self.condition.snapshot();
        let sessions = self.sessions.load(Relaxed);
        TargetState { target: self.target.clone(), since, sessions, error }
    }

    /// What the kernel plane needs to know of it.
    pub(super) fn place(&self) -> TargetPlace {
        let addresses = match (&self.target, &self.names) {
            (Target::Address(address), _) => vec![*address],
            (Target::Name { .. }, Some(names)) => {
                names.known().map(|known| known.to_vec()).unwrap_or_default()
            }
            (Target::Name { .. }, None) => Vec::new(),
        };
        let is_up = self.condition.snapshot().1.is_none();
        TargetPlace { target: self.target.clone(), addresses, number: self.number, is_up }
    }

    /// Where it is now, by `deadline`.
    pub(super) async fn addresses(&self, deadline: Instant) -> Result<Addresses, DialError> {
        match (&self.target, &self.names) {
            (Target::Name { .. }, Some(names)) => {
                names.addresses(deadline).await.map(Addresses::Several)
            }
            (Target::Address(address), _) => Ok(Addresses::One(*address)),
            (Target::Name { .. }, None) => Err(DialError::no_address()),
        }
    }

    /// Dials its addresses in the resolver's order until one answers. An address that
    /// stays silent leaves its share of the time to each address after it. `tried` tells
    /// the last address that was dialled.
    pub(crate) async fn connect(
        &self,
        words: FirstWords,
        deadline: Instant,
        tried: &mut Option<SocketAddr>,
    ) -> Result<(TcpStream, SocketAddr), DialError> {
        let addresses = self.addresses(deadline).await?;
        let addresses = addresses.as_slice();
        let mut error = DialError::no_address();
        for (index, address) in addresses.iter().enumerate() {
            *tried = Some(*address);
            match connect(*address, words, share(deadline, addresses.len() - index)).await {
                Ok(stream) => return Ok((stream, *address)),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }
}

/// The same for the same text; SHA-256 since it will not change with a library.
pub(super) fn number(target: &Target) -> u64 {
    let digest = Sha256::digest(target.to_string());
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
