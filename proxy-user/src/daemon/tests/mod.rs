//! The daemon without a kernel's side: the relay alone enforces.
#![allow(clippy::unwrap_used, reason = "tests")]

mod certificates;
mod database;
mod reload;
mod requests;
mod sign_in;
mod status;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    core::Core,
    inbox::{Message, Queues},
    phase::Phase,
    reload::ReloadError,
    start::{Heritage, Prepared, Running, start},
};
use crate::{
    api::{Gate, model::Status},
    config,
};

/// Longer than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A running daemon in a directory of its own.
pub(super) struct Daemon {
    pub(super) core: Arc<Core>,
    pub(super) place: Place,
}

/// Its directory.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, tables: &str) {
        let directory = self.0.path().display();
        // bpffs in a directory that is not there cannot be had.
        let text = format!(
            "data_dir = '{directory}/data'\nruntime_dir = '{directory}/run'\n\
             [kernel]\nrequired = false\nbpffs = '{directory}/absent/weir'\n{tables}\n"
        );
        fs::write(self.path("weir.toml"), text).unwrap();
    }
}

impl Daemon {
    /// Starts one with these tables.
    pub(super) async fn start(tables: impl FnOnce(&Place) -> String) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        place.write(&tables(&place));
        let path = place.path("weir.toml");
        let loaded = config::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
        let gate = Arc::new(Gate::new(&loaded.config.api));
        // What keeps the threads is not watched here.
        let prepared = Prepared::alone(&loaded.config).await.unwrap();
        let begun = (prepared, Heritage::default());
        let Running { core, .. } =
            Box::pin(start(&path, loaded.config, begun, gate)).await.unwrap();
        core.enter(Phase::Running);
        Self { core, place }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// Writes other tables and reloads.
    pub(super) async fn reload(
        &self,
        tables: &str,
        confirm: Option<Duration>,
    ) -> Result<Vec<String>, ReloadError> {
        self.place.write(tables);
        self.core.reload("a test", confirm).await
    }

    async fn status(&self) -> Status {
        let core = Arc::clone(&self.core);
        tokio::task::spawn_blocking(move || core.status()).await.unwrap().unwrap()
    }

    fn audited(&self) -> Vec<String> {
        let (entries, _) = self.core.audit.list(0, 100).unwrap();
        entries.into_iter().map(|entry| entry.details["message"].clone()).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.core.inbox.tell(Message::Finish(Queues::Closed));
        self.core.writer.close();
    }
}

/// A relayed service that a client on loopback reaches at that port.
pub(super) fn service(name: &str, port: u16, target: SocketAddr, access: &str) -> String {
    format!(
        "[service.{name}]\nmode = 'tcp'\nlisten = '127.0.0.1:{port}'\ntarget = '{target}'\n\
         [service.{name}.access]\n{access}\n"
    )
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind((LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until a condition holds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not: {what}"));
}
