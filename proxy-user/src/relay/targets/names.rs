//! The addresses of a name. It is resolved again and again whether clients come or not,
//! so that none of them waits for a resolver once there was an answer, and none gets one
//! that is old.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    net::lookup_host,
    runtime::Handle,
    sync::{Notify, watch},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::relay::connect::DialError;

/// More addresses of one name are left out.
const MOST_ADDRESSES: usize = 32;

/// How often a name is resolved.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// After an answer.
    pub(super) answered: Duration,
    /// After a failure, and between two answers at least, when asked to look again.
    pub(super) failed: Duration,
}

pub(super) const PACE: Pace =
    Pace { answered: Duration::from_secs(30), failed: Duration::from_secs(1) };

type Addresses = Arc<[SocketAddr]>;
/// The last good answer, or the last error while there was none.
type Answer = Result<Addresses, Arc<str>>;
/// Asks the resolver.
pub(super) type Lookup = Box<dyn Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send>;

/// A name that is being resolved, until it is dropped.
pub(super) struct Names {
    answer: watch::Receiver<Option<Answer>>,
    again: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Names {
    /// Starts resolving by the host's resolver.
    pub(super) fn follow(host: &str, port: u16, runtime: &Handle) -> Self {
        let host: Arc<str> = host.into();
        let lookup = move || -> BoxFuture<'static, _> {
            let host = Arc::clone(&host);
            Box::pin(async move { Ok(lookup_host((&*host, port)).await?.collect()) })
        };
        Self::ask(Box::new(lookup), PACE, runtime)
    }

    /// Starts asking `lookup`.
    pub(super) fn ask(lookup: Lookup, pace: Pace, runtime: &Handle) -> Self {
        let (sender, answer) = watch::channel(None);
        let again = Arc::new(Notify::new());
        let task = runtime.spawn(resolve(lookup, pace, sender, Arc::clone(&again)));
        Self { answer, again, _task: AbortOnDropHandle::new(task) }
    }

    /// The addresses as they are known; only the first answer is waited for, until
    /// `deadline`.
    pub(super) async fn addresses(&self, deadline: Instant) -> Result<Addresses, DialError> {
        let known = self.answer.borrow().clone();
        let answer = match known {
            Some(answer) => answer,
            None => self.first(deadline).await?,
        };
        answer.map_err(|error| DialError::Unreachable(io::Error::other(error.to_string())))
    }

    /// The addresses as they are known, first of all none.
    pub(super) fn known(&self) -> Option<Addresses> {
        self.answer.borrow().as_ref().and_then(|answer| answer.as_ref().ok().cloned())
    }

    async fn first(&self, deadline: Instant) -> Result<Answer, DialError> {
        let mut answer = self.answer.clone();
        let waited = timeout_at(deadline, answer.wait_for(Option::is_some)).await;
        let answer = waited.map_err(|_| DialError::Timeout)?.ok().and_then(|answer| answer.clone());
        // Without one nobody resolves any more: the relay ends.
        answer.ok_or_else(DialError::no_address)
    }

    /// Has the name resolved sooner: its addresses do not answer.
    pub(super) fn look_again(&self) {
        self.again.notify_one();
    }
}

async fn resolve(
    lookup: Lookup,
    pace: Pace,
    sender: watch::Sender<Option<Answer>>,
    again: Arc<Notify>,
) {
    let mut failing = false;
    loop {
        let answered = take(lookup().await, &sender, &mut failing);
        sleep(pace.failed).await;
        if answered {
            tokio::select! {
                () = sleep(pace.answered.saturating_sub(pace.failed)) => {}
                () = again.notified() => {}
            }
        }
    }
}

/// Whether there is a good answer, which is the one that holds from now on. One from
/// before holds until there is.
fn take(
    found: io::Result<Vec<SocketAddr>>,
    sender: &watch::Sender<Option<Answer>>,
    failing: &mut bool,
) -> bool {
    let error = match found {
        Ok(addresses) if !addresses.is_empty() => {
            *failing = false;
            sender.send_replace(Some(Ok(addresses.into_iter().take(MOST_ADDRESSES).collect())));
            return true;
        }
        Ok(_) => io::Error::other("the name has no address"),
        Err(error) => error,
    };
    sender.send_if_modified(|answer| {
        let holds = matches!(answer, Some(Ok(_)));
        if holds && !*failing {
            warn!(%error, "a target's name cannot be resolved, its addresses are those of before");
        }
        if !holds {
            *answer = Some(Err(error.to_string().into()));
        }
        !holds
    });
    *failing = true;
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use parking_lot::Mutex;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const OFTEN: Pace =
        Pace { answered: Duration::from_millis(5), failed: Duration::from_millis(1) };
    /// Never in a test's life, unless it is asked for.
    const SELDOM: Pace = Pace { answered: Duration::from_hours(1), ..OFTEN };

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 7], port).into()
    }

    /// A resolver whose answer a test sets: a port of an address, an error, or silence.
    #[derive(Clone, Default)]
    struct Resolver(Arc<Mutex<Option<Result<u16, &'static str>>>>);

    impl Resolver {
        fn says(&self, answer: Option<Result<u16, &'static str>>) {
            *self.0.lock() = answer;
        }

        fn names(&self, pace: Pace) -> Names {
            let this = self.clone();
            let lookup = move || -> BoxFuture<'static, _> {
                let answer = *this.0.lock();
                Box::pin(async move {
                    match answer {
                        Some(Ok(port)) => Ok(vec![address(port)]),
                        Some(Err(error)) => Err(io::Error::other(error)),
                        None => std::future::pending().await,
                    }
                })
            };
            Names::ask(Box::new(lookup), pace, &Handle::current())
        }
    }

    async fn port(names: &Names) -> u16 {
        names.addresses(Instant::now() + PATIENCE).await.unwrap()[0].port()
    }

    async fn until(names: &Names, wanted: u16) {
        let there = async {
            while port(names).await != wanted {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, there).await.unwrap();
    }

    #[tokio::test]
    async fn a_changed_answer_takes_the_place_of_the_one_before() {
        let resolver = Resolver::default();
        resolver.says(Some(Ok(1)));
        let names = resolver.names(OFTEN);
        assert_eq!(port(&names).await, 1);
        resolver.says(Some(Ok(2)));
        until(&names, 2).await;
    }

    #[tokio::test]
    async fn addresses_hold_while_the_resolver_fails_or_says_nothing() {
        let resolver = Resolver::default();
        resolver.says(Some(Ok(1)));
        let names = resolver.names(OFTEN);
        assert_eq!(port(&names).await, 1);
        for mute in [Some(Err("no")), None] {
            resolver.says(mute);
            for _ in 0..20 {
                let at_once = names.addresses(Instant::now()).await;
                assert_eq!(at_once.unwrap()[..], [address(1)]);
                sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[tokio::test]
    async fn without_an_answer_so_far_a_client_hears_why_and_the_next_try_counts() {
        let resolver = Resolver::default();
        resolver.says(Some(Err("no such name")));
        let names = resolver.names(OFTEN);
        let error = names.addresses(Instant::now() + PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("no such name"), "{error}");
        resolver.says(Some(Ok(3)));
        let there = async {
            while names.addresses(Instant::now() + PATIENCE).await.is_err() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, there).await.unwrap();
        assert_eq!(port(&names).await, 3);
    }

    #[tokio::test]
    async fn the_first_answer_is_waited_for_no_longer_than_the_deadline() {
        let names = Resolver::default().names(OFTEN);
        let waited = names.addresses(Instant::now() + Duration::from_millis(20)).await;
        assert!(matches!(waited, Err(DialError::Timeout)), "{waited:?}");
    }

    #[tokio::test]
    async fn a_name_whose_addresses_fail_is_resolved_at_once() {
        let resolver = Resolver::default();
        resolver.says(Some(Ok(1)));
        let names = resolver.names(SELDOM);
        assert_eq!(port(&names).await, 1);
        resolver.says(Some(Ok(2)));
        names.look_again();
        until(&names, 2).await;
    }
}
