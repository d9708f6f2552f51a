//! A provider that takes requests and does not answer, beside one that does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use hyper::HeaderMap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use weir_tests::wait::SOON;

use super::{
    super::{
        Later, Lease, SignOn,
        now::later,
        recheck::AT_A_TIME,
        secrets::Fingerprint,
        session::{Facts, Opener},
    },
    support::*,
};
use crate::{
    config::SsoProvider,
    http::sso::{Arrival, Departure, User, Wish},
    record::Timestamp,
};

const SICK: &str = "sick";

/// Knows nobody any more, except of the provider [`SICK`]: that does not answer until it
/// is given up.
struct Providers {
    asked: AtomicUsize,
    waiting: AtomicUsize,
    most: AtomicUsize,
    given_up: Semaphore,
}

impl SignOn for Providers {
    fn begin<'a>(
        &'a self,
        _: &'a Arc<SsoProvider>,
        _: Wish<'a>,
        _: &'a HeaderMap,
    ) -> Later<'a, Departure> {
        Box::pin(async { Err(unreachable()) })
    }

    fn complete<'a>(
        &'a self,
        _: &'a [Arc<SsoProvider>],
        _: &'a str,
        _: &'a str,
        _: &'a HeaderMap,
    ) -> Later<'a, Arrival> {
        Box::pin(async { Err(unreachable()) })
    }

    fn confirm<'a>(
        &'a self,
        provider: &'a Arc<SsoProvider>,
        _: &'a User,
        _: &'a str,
    ) -> Later<'a, (User, Option<String>)> {
        Box::pin(async move {
            if provider.name != SICK {
                return Err(refused());
            }
            self.asked.fetch_add(1, SeqCst);
            self.most.fetch_max(self.waiting.fetch_add(1, SeqCst) + 1, SeqCst);
            let _answer = self.given_up.acquire().await;
            self.waiting.fetch_sub(1, SeqCst);
            Err(unreachable())
        })
    }
}

fn at(name: &str) -> SsoProvider {
    SsoProvider { name: name.to_owned(), ..provider() }
}

/// A stream of a user who was confirmed two hours ago; the service is named after the
/// provider.
fn held(world: &World, provider: &str, id: usize) -> Lease {
    let opened = Timestamp(Timestamp::now().0 - 2 * 3_600_000);
    let facts = Facts {
        service: provider.to_owned(),
        host: HOST.to_owned(),
        client: [192, 0, 2, 1].into(),
        opened,
        expires: later(opened, 24 * HOUR),
        secret: Fingerprint::of_provider(&at(provider)),
    };
    let user = User { id: id.to_string(), ..user(&["dev"]) };
    let by = Opener::User(user, Some("token".to_owned()));
    world.authenticator.sessions.open(facts, by).unwrap().1.lease()
}

async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("it does not come about");
}

#[tokio::test]
async fn a_provider_that_hangs_holds_up_nobody_else() {
    let providers = Arc::new(Providers {
        asked: AtomicUsize::new(0),
        waiting: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        given_up: Semaphore::new(0),
    });
    let world = World::signing_on_by(Arc::<Providers>::clone(&providers), auth());
    let services = [SICK, "well"].map(|name| service(name, &sso(at(name))));
    world.authenticator.reload(&services);
    let many = 2 * AT_A_TIME;
    let sick: Vec<_> = (0..many).map(|id| held(&world, SICK, id)).collect();
    let well = held(&world, "well", 0);
    let stop = CancellationToken::new();
    let upkeep = tokio::spawn(Arc::clone(&world.authenticator).keep_up(stop.clone()));

    ended(well).await;
    until(|| world.authenticator.sessions.is_loaded()).await;
    until(|| providers.waiting.load(SeqCst) == AT_A_TIME).await;
    providers.given_up.add_permits(1);
    until(|| providers.asked.load(SeqCst) == many).await;
    assert_eq!(providers.most.load(SeqCst), AT_A_TIME);
    // Two hours are more than the provider has to answer.
    for lease in sick {
        ended(lease).await;
    }
    stop.cancel();
    upkeep.await.unwrap();
}
