//! The life of one session, from its judgement on.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    answers::{Answers, Refused},
    listener::Note,
    uplink::Uplink,
    upstream::Upstream,
};
use crate::{
    config::Service,
    record::CloseReason,
    relay::{
        Bytes, Datagrams,
        connect::{DialError, Failed},
        control::{Control, Cut},
        published::Entered,
        sensor::Sensor,
        session::Places,
        targets::{Choice, Seat},
    },
};

/// How long a session lasts at least whose target cannot be reached: a client that goes on
/// sending makes no more records than that.
const LINGER: Duration = Duration::from_millis(250);

/// An opened session.
pub(super) struct Session {
    pub(super) service: Arc<Service>,
    pub(super) uplink: Arc<Uplink>,
    pub(super) entered: Entered,
    pub(super) sensor: Sensor,
    pub(super) places: Places,
}

/// How a session ends.
enum End {
    Closed(CloseReason),
    /// No target was reached.
    Failed(Failed),
}

impl Session {
    /// Serves the client to the end.
    pub(super) async fn run(self) {
        // In reverse order of dropping: what the session counted against is given back
        // after the report.
        let Self { places: _places, entered, sensor, uplink, service } = self;
        let began = Instant::now();
        let mut course = Course { sensor, count: Datagrams::default(), leaving: Leaving(uplink) };
        match course.run(&service, &entered).await {
            End::Closed(reason) => course.sensor.closed(reason),
            End::Failed(failed) => {
                course.sensor.failed(failed);
                course.leaving.0.deafen();
                // It is over in any case.
                let _ = or_cut(entered.control(), sleep_until(began + LINGER)).await;
            }
        }
    }
}

/// A session under way. Dropped, it closes the uplink, makes the report and tells the task
/// that receives, in this order.
struct Course {
    sensor: Sensor,
    /// What the session's own task counts: answers, and what it hears of datagrams lost.
    count: Datagrams,
    leaving: Leaving,
}

impl Course {
    /// Tries as many targets as there are, until one does not refuse.
    async fn run(&mut self, service: &Service, entered: &Entered) -> End {
        let mut failed = Failed::nowhere();
        for _ in service.targets() {
            let control = entered.control();
            let pool = entered.published().pool();
            let choice = pool.choose(control.client().address, service.connect_timeout);
            let Choice { address, seat } = match or_cut(control, choice).await {
                Ok(Ok(choice)) => choice,
                Ok(Err(failed)) => return End::Failed(failed),
                Err(cut) => return End::Closed(cut.into()),
            };
            let error = match self.converse(address, &seat, entered).await {
                Ok(reason) => return End::Closed(reason),
                Err(Refused::AfterAnswers(error)) => {
                    seat.failed(&error);
                    return End::Closed(CloseReason::TargetReset);
                }
                Err(Refused::Unanswered(error)) => DialError::from(error),
            };
            if !error.is_ours() {
                seat.failed(&error);
            }
            failed = Failed { target: address.to_string(), error };
            self.leaving.0.wait();
        }
        End::Failed(failed)
    }

    /// Serves the client by one target.
    async fn converse(
        &mut self,
        target: SocketAddr,
        seat: &Seat,
        entered: &Entered,
    ) -> Result<CloseReason, Refused> {
        let uplink = &*self.leaving.0;
        let common = Arc::clone(&uplink.listener().common);
        let upstream = Upstream::connect(target, common).map_err(Refused::Unanswered)?;
        let upstream = Arc::new(upstream);
        self.sensor.connected(target);
        uplink.open(&upstream);
        let (sensor, count) = (&mut self.sensor, &mut self.count);
        Answers::new(uplink, &upstream, entered, sensor, count, seat).relay().await
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        let up = self.leaving.0.close();
        self.sensor.add(Bytes { up: up.bytes, down: 0 });
        self.sensor.datagrams(Datagrams {
            up: up.datagrams,
            down: self.count.down,
            undelivered: up.undelivered + self.count.undelivered,
        });
    }
}

/// Tells, when dropped, that the session is over.
struct Leaving(Arc<Uplink>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let notes = self.0.listener().notes().clone();
        // A task that has ended needs no telling.
        let _ = notes.send(Note::Gone(Arc::clone(&self.0)));
    }
}

/// Waits for `work`, unless the session is cut meanwhile.
async fn or_cut<T>(control: &Control, work: impl Future<Output = T>) -> Result<T, Cut> {
    let mut work = pin!(work);
    poll_fn(|cx| match control.poll_cut(cx) {
        Poll::Ready(cut) => Poll::Ready(Err(cut)),
        Poll::Pending => work.as_mut().poll(cx).map(Ok),
    })
    .await
}
