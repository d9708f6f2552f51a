//! From the first datagram of a client to a session.

use std::{net::SocketAddr, sync::Arc, time::Instant as Moment};

use proxy_common::address::{FlowKey, PROTOCOL_UDP};
use tokio::time::Instant;

use super::{
    listener::Peers, receive::Receiver, refusals::Refusal, session::Session, uplink::Uplink,
};
use crate::{
    config::Service,
    relay::{
        Admission, Opened, intake::Intake, published::Published, sensor::Sensor, session::Places,
        socket,
    },
};

impl Receiver {
    /// Judges who came at `now`, and starts a session or tells that there is none.
    pub(super) fn admit(
        &mut self,
        peers: Peers,
        now: Instant,
        intake: Intake,
    ) -> Option<Arc<Uplink>> {
        let owner = self.owner.load_full();
        let (service, flow, started) = (owner.settings(), self.flow(peers), now.into_std());
        if intake == Intake::Refuse {
            return self.refuse(flow, &owner, &service, started, Refusal::Intake);
        }
        let address = socket::client_address(peers.client);
        let entered = owner.enter(address.into());
        let judgement = self.shared.gate.judge(&service.name, address.into());
        if let Some(reason) = judgement.denied {
            return self.refuse(flow, &owner, &service, started, Refusal::Denied(reason));
        }
        let admission =
            Admission { observed: judgement.observed, country_exempt: judgement.country_exempt };
        let runtime = self.shared.runtimes.least_busy(self.home);
        let permit = self.shared.budget.take_file();
        let place = permit.and_then(|permit| {
            Some((permit, owner.counters().enter(service.max_connections.get())?))
        });
        let Some((permit, place)) = place else {
            return self.refuse(flow, &owner, &service, started, Refusal::OverLimit(admission));
        };
        let places = Places { _permit: permit, _service: place, _thread: runtime.enter() };
        let opened =
            Opened { flow, service: Arc::clone(&service), introduction: None, admission, started };
        let counters = Arc::clone(owner.counters());
        let sensor = Sensor::open(Arc::clone(&self.shared.journal), Arc::clone(&counters), opened);
        let listener = Arc::clone(&self.listener);
        let control = Arc::clone(entered.control());
        let uplink = Arc::new(Uplink::new(peers, listener, control, counters));
        let session = Session { service, uplink: Arc::clone(&uplink), entered, sensor, places };
        self.shared.sessions.spawn_on(session.run(), runtime.handle());
        Some(uplink)
    }

    /// Tells of who is turned away, once.
    fn refuse<T>(
        &mut self,
        flow: FlowKey,
        owner: &Published,
        service: &Arc<Service>,
        started: Moment,
        refusal: Refusal,
    ) -> Option<T> {
        if self.listener.common.attempts.is_new(&flow, started) {
            if let Refusal::Denied(reason) = refusal {
                owner.counters().deny(reason);
            }
            self.refusals.tell(flow, service, started, refusal);
        }
        None
    }

    fn flow(&self, peers: Peers) -> FlowKey {
        let service = SocketAddr::new(peers.local, self.listener.local().port());
        FlowKey::between(peers.client, service, PROTOCOL_UDP.into())
    }
}
