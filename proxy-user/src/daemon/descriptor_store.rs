//! Listening sockets that the service manager holds while no daemon runs, so that clients
//! wait instead of being refused: `FileDescriptorStoreMax=` of systemd.service(5),
//! `FDSTORE=1` of `sd_notify(3)`, `sd_listen_fds(3)`.

use std::{collections::BTreeSet, env, net::SocketAddr, os::fd::AsFd};

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::relay::{Descriptor, Inherited, Transport};

/// What the service manager holds of this daemon's.
#[derive(Debug)]
pub(super) struct DescriptorStore {
    /// How many it may hold; 0: there is no store.
    most: usize,
    held: BTreeSet<(Transport, SocketAddr)>,
}

/// Takes what the service manager hands over at the start. To be called before there is
/// a second thread: it removes variables from the environment.
pub(super) fn handed_over() -> Inherited {
    let (mut handed, mut inherited) = (ListenFd::from_env(), Inherited::default());
    for at in 0..handed.len() {
        // What is neither was put there by somebody else.
        if let Ok(Some(listener)) = handed.take_tcp_listener(at) {
            inherited.add_stream(listener);
        } else if let Ok(Some(socket)) = handed.take_udp_socket(at) {
            inherited.add_datagrams(socket);
        }
    }
    inherited
}

impl DescriptorStore {
    /// The store of this process, which holds sockets of these addresses.
    pub(super) fn of_process(held: impl IntoIterator<Item = (Transport, SocketAddr)>) -> Self {
        // Set by systemd from version 254 on, and by the unit before.
        let most = env::var("FDSTORE").ok().and_then(|most| most.parse().ok());
        let manager = env::var_os("NOTIFY_SOCKET");
        let most = manager.and(most).unwrap_or(0);
        Self { most, held: held.into_iter().collect() }
    }

    /// Whether sockets outlive this process.
    pub(super) fn is_open(&self) -> bool {
        self.most > 0
    }

    /// Has it hold exactly these sockets.
    pub(super) fn follow(&mut self, sockets: &[Descriptor]) {
        if !self.is_open() {
            return;
        }
        if sockets.len() > self.most {
            let (listeners, most) = (sockets.len(), self.most);
            tracing::warn!(
                listeners,
                most,
                "the service manager does not hold every listening socket: a restart refuses \
                 clients (FileDescriptorStoreMax=, and FDSTORE= beside it)"
            );
        }
        let wanted: BTreeSet<_> = sockets.iter().map(Descriptor::place).collect();
        for gone in self.held.difference(&wanted) {
            let name = name(*gone);
            let told = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name)]);
            warn(&name, told);
        }
        for socket in sockets.iter().filter(|socket| !self.held.contains(&socket.place())) {
            let name = name(socket.place());
            let state = [NotifyState::FdStore, NotifyState::FdName(&name)];
            warn(&name, sd_notify::notify_with_fds(&state, &[socket.as_fd()]));
        }
        self.held = wanted;
    }
}

/// Names may hold no colon.
fn name((transport, address): (Transport, SocketAddr)) -> String {
    let transport = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    format!("{transport}-{}", address.to_string().replace(':', "-"))
}

fn warn(name: &str, told: std::io::Result<()>) {
    if let Err(error) = told {
        tracing::warn!(name, %error, "the service manager's descriptor store is not up to date");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_no_colon_and_differ() {
        let addresses = ["0.0.0.0:22", "0.0.0.0:222", "[::]:22", "[::2]:22", "[2001:db8::]:22"];
        let places = addresses.map(|text| text.parse().expect("an address")).into_iter();
        let places = places.flat_map(|at| [(Transport::Tcp, at), (Transport::Udp, at)]);
        let names: Vec<String> = places.map(name).collect();
        assert!(names.iter().all(|name| !name.contains(':')), "{names:?}");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 2 * addresses.len());
    }
}
