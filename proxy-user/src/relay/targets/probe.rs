//! Active health: a look at a target without a client.

use std::sync::Weak;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::member::Member;
use crate::{config::Health, relay::first_words::FirstWords};

/// Connects to the target now and at every interval, until the target is gone. One
/// success is as good as one failure: what a probe finds, a client would find too.
pub(super) async fn probe(member: Weak<Member>, health: Health) {
    let mut ticks = interval(health.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(member) = member.upgrade() else { return };
        let deadline = Instant::now() + health.timeout;
        match member.connect(FirstWords::Unknown, deadline, &mut None).await {
            Ok(_) => member.worked(),
            Err(error) if error.is_ours() => {}
            Err(error) => member.failed(&error),
        }
    }
}
