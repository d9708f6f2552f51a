//! Active health: a look at a target without a client.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
};

use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::member::{Look, Member};
use crate::relay::{contract::Examiner, first_words::FirstWords};

/// Connects to the target now and at every interval, until the target is gone. One
/// success is as good as one failure: what a probe finds, a client would find too.
pub(super) async fn probe(member: Weak<Member>, (health, examination): Look) {
    let mut ticks = interval(health.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(member) = member.upgrade() else { return };
        let deadline = Instant::now() + health.timeout;
        match member.connect(FirstWords::Unknown, deadline, &mut None).await {
            Ok((stream, address)) => {
                let look = examination.as_ref().map(|look| Arc::clone(&look.by));
                match examined(look, stream, address, deadline).await {
                    Ok(()) => member.worked(),
                    Err(error) => member.failed(&error),
                }
            }
            Err(error) if error.is_ours() => {}
            Err(error) => member.failed(&error),
        }
    }
}

async fn examined(
    look: Option<Arc<dyn Examiner>>,
    stream: TcpStream,
    address: SocketAddr,
    deadline: Instant,
) -> Result<(), String> {
    let Some(look) = look else { return Ok(()) };
    let looked = timeout_at(deadline, look.examine(stream, address)).await;
    looked.unwrap_or_else(|_| Err("health.timeout passed".to_owned()))
}
