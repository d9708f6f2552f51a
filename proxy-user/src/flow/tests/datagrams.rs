//! UDP in the simulated world: a kernel that counts datagrams, and a relay whose words
//! reach the tracker late.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use proxy_common::{
    address::FlowKey,
    event::{CutEvent, KIND_CUT},
    flow::FlowState,
};

use super::world::{UDP_RELAY, World, service};
use crate::{
    flow::{Admission, Bytes, Ended, Fate, Outcome},
    record::{CloseReason, FlowId},
};

/// Port of a target that served no session; those of sessions are their numbers.
const NOBODY: u16 = 0;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// Payload bytes that the kernel counted, up and down, by flow.
    pub(super) counted: BTreeMap<FlowId, (u64, u64)>,
    /// Datagrams in the relay's socket.
    socket: VecDeque<Arrived>,
    /// Sessions that the relay has open.
    sessions: BTreeMap<FlowKey, Session>,
    /// Those that the process before has, or several did.
    before: Vec<(FlowKey, Session)>,
    /// Sessions that were ever opened, and were not lost by a crash.
    pub(super) begun: Vec<u16>,
    /// Whose session the relay ever refused.
    pub(super) refused: BTreeSet<FlowKey>,
    /// Reports on their way to the tracker.
    told: VecDeque<Told>,
    last: u16,
}

#[derive(Debug)]
struct Arrived {
    key: FlowKey,
    bytes: u64,
    milliseconds: u64,
}

#[derive(Debug)]
struct Session {
    number: u16,
    began: std::time::Instant,
    bytes: Bytes,
}

#[derive(Debug)]
enum Told {
    Opened(FlowKey),
    Ended(Ended),
}

impl Datagrams {
    pub(super) fn crash(&mut self) {
        self.socket.clear();
        self.sessions.clear();
        self.before.clear();
        self.begun.clear();
        self.told.clear();
    }

    /// Another process has the socket, and this one's sessions go on.
    pub(super) fn take_over(&mut self) {
        self.before.extend(std::mem::take(&mut self.sessions));
    }

    /// The process before is killed; gives whose sessions end with it.
    pub(super) fn kill_before(&mut self) -> Vec<FlowKey> {
        let lost = std::mem::take(&mut self.before);
        self.begun.retain(|number| lost.iter().all(|(_, session)| session.number != *number));
        lost.into_iter().map(|(key, _)| key).collect()
    }
}

impl World {
    /// A client's datagram; with `arrives`, one that the relay's socket has room for.
    pub(super) fn datagram(&mut self, key: FlowKey, service: u16, bytes: u64, arrives: bool) {
        let time = self.now().monotonic;
        let relayed = if service == UDP_RELAY { FlowState::RELAYED } else { 0 };
        let state = self.table.entry(key).or_insert(FlowState {
            started: time,
            last_payload: time,
            flags: relayed,
            service,
            ..FlowState::default()
        });
        if state.has(FlowState::CUT) {
            return;
        }
        state.up.packets += 1;
        state.up.acked += bytes;
        state.last_packet = time;
        if bytes > 0 {
            state.last_payload = time;
        }
        let flow = FlowId { key, started: state.started };
        self.udp.counted.entry(flow).or_default().0 += bytes;
        if service == UDP_RELAY && arrives {
            let milliseconds = self.milliseconds;
            self.udp.socket.push_back(Arrived { key, bytes, milliseconds });
        }
    }

    /// The host answers a client.
    pub(super) fn answer(&mut self, key: FlowKey, bytes: u64) {
        let time = self.now().monotonic;
        if let Some(session) = self.udp.sessions.get_mut(&key) {
            session.bytes.down += bytes;
        }
        let Some(state) = self.table.get_mut(&key) else { return };
        state.down.packets += 1;
        state.down.acked += bytes;
        state.flags |= FlowState::ESTABLISHED;
        (state.last_packet, state.last_payload) = (time, time);
        let flow = FlowId { key, started: state.started };
        self.udp.counted.entry(flow).or_default().1 += bytes;
    }

    /// The relay reads its socket; what is of no session begins one, or is refused.
    pub(super) fn serve(&mut self, refuses: bool) {
        while let Some(Arrived { key, bytes, .. }) = self.udp.socket.pop_front() {
            let began = self.now().instant;
            if let Some(session) = self.udp.sessions.get_mut(&key) {
                session.bytes.up += bytes;
            } else if refuses {
                let session = Session { number: NOBODY, began, bytes: Bytes::default() };
                self.udp.refused.insert(key);
                self.tell_end(key, &session, Fate::ConnectionLimit);
            } else {
                self.udp.last += 1;
                let number = self.udp.last;
                self.udp.begun.push(number);
                let session = Session { number, began, bytes: Bytes { up: bytes, down: 0 } };
                self.udp.sessions.insert(key, session);
                self.udp.told.push_back(Told::Opened(key));
            }
        }
    }

    /// The relay reads its socket, unless it need not within so many milliseconds more,
    /// and the tracker hears it.
    pub(super) fn keep_up(&mut self, milliseconds: u64) {
        let until = self.milliseconds + milliseconds;
        if self.udp.socket.front().is_some_and(|oldest| until - oldest.milliseconds > 5_000) {
            self.serve(false);
        }
        self.hear();
    }

    /// The relay ends a session.
    pub(super) fn end_session(&mut self, key: FlowKey) {
        if let Some(session) = self.udp.sessions.remove(&key) {
            self.tell_served(key, &session);
        }
    }

    /// The process before ends a session.
    pub(super) fn end_before(&mut self, key: FlowKey) {
        if let Some(at) = self.udp.before.iter().position(|(flow, _)| *flow == key) {
            let (_, session) = self.udp.before.remove(at);
            self.tell_served(key, &session);
        }
    }

    /// The process before is killed, if there is one.
    pub(super) fn kill_before(&mut self) {
        self.hear();
        let now = self.now();
        for key in self.udp.kill_before() {
            self.tracker.lost(key, &mut self.table, &now);
        }
        self.act();
    }

    fn tell_served(&mut self, key: FlowKey, session: &Session) {
        let fate = Fate::Served {
            target: ([192, 0, 2, 9], session.number).into(),
            bytes: session.bytes,
            datagrams: crate::flow::Datagrams::default(),
            close_reason: CloseReason::IdleTimeout,
        };
        self.tell_end(key, session, fate);
    }

    /// The relay ends every session.
    pub(super) fn end_sessions(&mut self) {
        let keys: Vec<FlowKey> = self.udp.sessions.keys().copied().collect();
        for key in keys {
            self.end_session(key);
        }
        while let Some((key, _)) = self.udp.before.first() {
            self.end_before(*key);
        }
    }

    fn tell_end(&mut self, flow: FlowKey, session: &Session, fate: Fate) {
        self.udp.told.push_back(Told::Ended(Ended {
            flow,
            service: Some(Arc::new(service(UDP_RELAY))),
            introduction: None,
            started: session.began,
            ended: self.now().instant,
            outcome: Outcome::Admitted { admission: Admission::default(), fate },
        }));
    }

    /// The tracker hears what the relay told.
    pub(super) fn hear(&mut self) {
        let now = self.now();
        while let Some(told) = self.udp.told.pop_front() {
            match told {
                Told::Opened(key) => self.tracker.opened(key),
                Told::Ended(report) => self.tracker.ended(report, &mut self.table, &now),
            }
        }
        self.act();
    }

    /// A new policy denies a flow, and its client sends on. The event may be lost.
    pub(super) fn cut(&mut self, key: FlowKey, lost: bool) {
        let Some(state) = self.table.get_mut(&key) else { return };
        state.flags |= FlowState::CUT;
        if !lost {
            let now = self.now();
            let event = CutEvent { kind: KIND_CUT, pad: 0, key };
            self.tracker.cut(&event, &mut self.table, &now);
            self.act();
        }
    }
}
