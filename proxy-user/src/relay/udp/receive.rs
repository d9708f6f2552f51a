//! The task that receives for a listening socket. It waits for no target and no session.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc::UnboundedReceiver, oneshot, watch},
    task::yield_now,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{
    aside::Aside,
    batch::{Arena, MOST, Train},
    listener::{Listener, Note, Peers},
    refusals::Refusals,
    table::Table,
};
use crate::relay::{
    control::Cut, intake::Intake, published::Published, receive::Shared, workers::Home,
};

/// Between two attempts to receive while memory runs short.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a session may take to let go of a socket, about.
const MOMENT: Duration = Duration::from_micros(100);
/// Batches that are read out of a socket that is about to be closed.
const LAST_BATCHES: usize = 64;

/// How the task is to end.
pub(super) enum Order {
    /// Nothing is received any more; sessions end by themselves.
    Drain,
    /// Others take its place, to whom the sessions of their addresses go. The rest is cut.
    Retire(Vec<Arc<Listener>>),
}

/// What the task works with.
pub(super) struct Receiver {
    pub(super) listener: Arc<Listener>,
    pub(super) home: Home,
    /// Whose sessions begin; a reload may change it.
    pub(super) owner: Arc<ArcSwap<Published>>,
    pub(super) shared: Arc<Shared>,
    pub(super) refusals: Refusals,
    notes: UnboundedReceiver<Note>,
    table: Table,
    aside: Aside,
    troubled: bool,
}

impl Receiver {
    pub(super) fn new(
        (listener, notes): (Arc<Listener>, UnboundedReceiver<Note>),
        home: Home,
        owner: Arc<ArcSwap<Published>>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            refusals: Refusals::new(Arc::clone(&shared.journal)),
            aside: Aside::new(Arc::clone(&listener.common)),
            table: Table::default(),
            troubled: false,
            listener,
            home,
            owner,
            shared,
            notes,
        }
    }

    /// Receives until it is told to end, and then until no session is left.
    pub(super) async fn run(mut self, mut order: oneshot::Receiver<Order>) {
        let listener = Arc::clone(&self.listener);
        let mut intake = self.shared.intake.subscribe();
        let mut turns = self.shared.intake.subscribe();
        loop {
            let pauses = *turns.borrow_and_update() == Intake::Pause;
            tokio::select! {
                biased;
                // The sender outlives the task.
                _ = turns.changed() => {}
                order = &mut order => {
                    drop(listener);
                    // Without an order everything ends.
                    let Ok(order) = order else { return };
                    return self.end(order).await;
                }
                Some(note) = self.notes.recv() => self.take(note),
                () = self.refusals.due() => self.refusals.turn(Instant::now().into_std()),
                () = resumed(&mut intake), if !self.aside.is_empty() => self.admit_waiting(),
                ready = listener.socket().readable(), if !pauses => {
                    let Ok(mut ready) = ready else { return };
                    let intake = *self.shared.intake.borrow();
                    match self.receive(intake) {
                        Ok(Fill::Full) => yield_now().await,
                        Ok(Fill::Part) => ready.clear_ready(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            ready.clear_ready();
                        }
                        Err(error) => self.pause(&error).await,
                    }
                }
            }
        }
    }

    /// Passes one batch on.
    fn receive(&mut self, intake: Intake) -> io::Result<Fill> {
        let listener = Arc::clone(&self.listener);
        Arena::lend(|arena| {
            let (socket, io) = (listener.socket().get_ref(), &listener.common.io);
            let (batch, stage) = arena.receive(socket, io, MOST)?;
            let now = Instant::now();
            for (client, local, run) in batch.runs() {
                let local = local.unwrap_or(listener.local().ip());
                if is_of_one_host(local) {
                    self.pass(Peers { client, local }, run.trains(), stage, now, intake);
                }
            }
            self.recovered();
            Ok(if batch.len() == MOST { Fill::Full } else { Fill::Part })
        })
    }

    fn pass<'a>(
        &mut self,
        peers: Peers,
        trains: impl Iterator<Item = Train<'a>> + Clone,
        stage: &mut [u8],
        now: Instant,
        intake: Intake,
    ) {
        let known = self.table.get(&peers);
        if known.is_some_and(|uplink| uplink.forward(trains.clone(), stage, now)) {
            return;
        }
        if !intake.takes() {
            return self.aside.push(peers, trains, now);
        }
        if let Some(uplink) = self.admit(peers, now, intake) {
            uplink.forward(trains, stage, now);
            self.table.insert(uplink);
        }
    }

    /// Begins the sessions that could not begin before.
    fn admit_waiting(&mut self) {
        let intake = *self.shared.intake.borrow();
        Arena::lend(|arena| {
            for first in self.aside.take() {
                self.pass(first.peers, first.train(), arena.stage(), first.came, intake);
            }
        });
    }

    fn take(&mut self, note: Note) {
        match note {
            // It may have ended on its way.
            Note::Joined(uplink) if uplink.is_closed() => {}
            Note::Joined(uplink) => self.table.insert(uplink),
            Note::Gone(uplink) => self.table.remove(&uplink),
            Note::Waits(first) => self.aside.push(first.peers, first.train(), first.came),
        }
    }

    async fn end(mut self, order: Order) {
        let Order::Retire(successors) = order else { return self.last_session().await };
        self.read_out();
        self.hand_over(&successors);
        self.last_session().await;
        self.read_out();
        self.leave_waiting(&successors);
    }

    /// Waits until no session is left that has the socket.
    async fn last_session(&mut self) {
        while !self.table.is_empty()
            && let Some(note) = self.notes.recv().await
        {
            self.take(note);
        }
        // One that has moved, or has just said that it is over, may hold it a moment longer.
        while Arc::strong_count(&self.listener) > 1 {
            sleep(MOMENT).await;
        }
    }

    /// What came before the socket is closed. Whose session has not begun waits for the
    /// next socket.
    fn read_out(&mut self) {
        for _ in 0..LAST_BATCHES {
            if !matches!(self.receive(Intake::Hold), Ok(Fill::Full)) {
                break;
            }
        }
    }

    /// Moves sessions to those that listen on their addresses from now on.
    fn hand_over(&mut self, successors: &[Arc<Listener>]) {
        let sessions: Vec<_> = self.table.sessions().cloned().collect();
        for uplink in sessions {
            match self.successor(uplink.peers, successors) {
                Some(successor) if uplink.move_to(successor) => {
                    self.table.remove(&uplink);
                    // It has not begun to receive, and reads this first.
                    let _ = successor.notes().send(Note::Joined(uplink));
                }
                _ => uplink.cut(Cut::ServiceRemoved),
            }
        }
        self.leave_waiting(successors);
    }

    fn leave_waiting(&mut self, successors: &[Arc<Listener>]) {
        for first in self.aside.take() {
            if let Some(successor) = self.successor(first.peers, successors) {
                let _ = successor.notes().send(Note::Waits(first));
            }
        }
    }

    fn successor<'a>(
        &self,
        peers: Peers,
        successors: &'a [Arc<Listener>],
    ) -> Option<&'a Arc<Listener>> {
        let port = self.listener.local().port();
        successors.iter().find(|successor| successor.hears(peers.local, port))
    }

    async fn pause(&mut self, error: &io::Error) {
        if !self.troubled {
            let address = self.listener.local();
            warn!(%address, %error, "cannot receive datagrams, trying again");
        }
        self.troubled = true;
        sleep(PAUSE).await;
    }

    fn recovered(&mut self) {
        if self.troubled {
            self.troubled = false;
            info!(address = %self.listener.local(), "datagrams are received again");
        }
    }
}

/// Whether an answer may come from there.
fn is_of_one_host(local: IpAddr) -> bool {
    !local.is_multicast() && local != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Waits until sessions may begin.
async fn resumed(intake: &mut watch::Receiver<Intake>) {
    // The sender outlives the task, so waiting for it does not fail.
    let _ = intake.wait_for(|intake| intake.takes()).await;
}

/// Whether there may be more to receive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Full,
    /// The socket was empty.
    Part,
}
