//! The sessions of a socket.

use std::sync::Arc;

use super::{listener::Peers, uplink::Uplink};
use crate::record::KeyedMap;

/// Below this the table keeps its room.
const LEAST: usize = 1024;

/// Sessions by who speaks to whom.
#[derive(Default)]
pub(super) struct Table(KeyedMap<Peers, Arc<Uplink>>);

impl Table {
    pub(super) fn get(&self, peers: &Peers) -> Option<&Arc<Uplink>> {
        self.0.get(peers)
    }

    /// In place of one that is over.
    pub(super) fn insert(&mut self, uplink: Arc<Uplink>) {
        self.0.insert(uplink.peers, uplink);
    }

    /// Removes this one, unless another has taken its place. Room that is hardly used is
    /// given back.
    pub(super) fn remove(&mut self, uplink: &Arc<Uplink>) {
        if self.0.get(&uplink.peers).is_some_and(|known| Arc::ptr_eq(known, uplink)) {
            self.0.remove(&uplink.peers);
        }
        if self.0.capacity() > LEAST && self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to(self.0.capacity() / 2);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Arc<Uplink>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::relay::{
        control::Control,
        udp::{
            listener::{Common, Listener},
            socket,
        },
    };

    #[tokio::test]
    async fn what_many_sessions_took_is_given_back() {
        let (socket, common) = (socket::listen("127.0.0.1:0".parse().unwrap()), Common::new());
        let (notes, _heard) = unbounded_channel();
        let listener = Listener::new(socket.unwrap(), notes, Arc::new(common.unwrap())).unwrap();
        let listener = Arc::new(listener);
        let session = |number: u32| {
            let client = std::net::Ipv4Addr::from(number).into();
            let peers = Peers { client: (client, 53).into(), local: client };
            let control = Arc::new(Control::new(client.into()));
            Arc::new(Uplink::new(peers, Arc::clone(&listener), control, Arc::default()))
        };
        let sessions: Vec<_> = (0..20_000).map(session).collect();
        let mut table = Table::default();
        for session in &sessions {
            table.insert(Arc::clone(session));
        }
        // One that is over does not take another's place with it.
        table.remove(&session(7));
        assert!(sessions.iter().all(|session| table.get(&session.peers).is_some()));
        assert!(table.0.capacity() >= 20_000);
        for session in &sessions {
            table.remove(session);
        }
        assert!(table.is_empty());
        assert!(table.0.capacity() <= LEAST, "{}", table.0.capacity());
    }
}
