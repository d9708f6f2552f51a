//! What the two processes tell each other.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use proxy_common::reason::Reason;
use serde::{Deserialize, Serialize};

use super::{
    flow::Flow,
    name::Named,
    past::{FlowPast, RefusedByNumber},
    report::{Report, Served},
    request::Request,
};

/// Of what follows [`Frame::Hello`]. Any change of it takes another number: two
/// versions of Weir may talk.
pub(super) const VERSION: u32 = 2;

/// Flows in one frame: it stays well below what a datagram may hold.
pub(super) const MOST_FLOWS: usize = 200;

/// One message, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Frame {
    /// The first of each side, and the only one that is the same in every version.
    Hello {
        /// [`VERSION`]
        version: u32,
        /// What the predecessor has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        estate: Option<Estate>,
    },
    /// Everything is prepared; the predecessor is to accept no more.
    Take,
    /// Listening sockets, a descriptor with each.
    Sockets(Vec<Socket>),
    /// There are no more of them.
    Offered,
    /// Nothing is missing: the predecessor is to let go.
    Ready,
    /// Connections of which a report is still to come.
    Expected(Vec<Flow>),
    /// What is recorded of UDP already, by 5-tuple.
    Past(Vec<FlowPast>),
    /// As well, of a service.
    RefusedByNumber(RefusedByNumber),
    /// The predecessor has let go.
    Yours,
    /// A connection ended.
    Report(Box<Report>),
    /// A request of HTTP is over.
    Request(Request),
    /// So many clients' datagrams were turned away.
    Refused {
        /// By this service, of the predecessor's configuration.
        service: Served,
        /// Why.
        reason: Named<Reason>,
        /// How many.
        attempts: u64,
    },
    /// Connections of which no report comes any more.
    Lost(Vec<Flow>),
    /// All is reported.
    Done,
}

/// What a process keeps its state in. Two that hand over have the same: what another would
/// find is not what the first has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::daemon) struct Estate {
    /// Where its maps are pinned, of this layout, where it has any.
    pub(super) maps: Option<PathBuf>,
    /// Where its store is.
    pub(super) data_dir: PathBuf,
}

impl Estate {
    /// Of a daemon with that `data_dir`.
    pub(in crate::daemon) fn new(maps: Option<PathBuf>, data_dir: &Path) -> Self {
        // One that is not there has no other name.
        let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
        Self { maps, data_dir }
    }

    /// # Errors
    /// It is not the `own`.
    pub(super) fn must_be(&self, own: &Self) -> Result<()> {
        let shown = |maps: &Option<PathBuf>| {
            maps.as_deref().unwrap_or(Path::new("none")).display().to_string()
        };
        ensure!(
            self.maps == own.maps,
            "its maps are at {}, those of this one would be at {}: the version, kernel.bpffs or \
             the network namespace is another, so it has to be stopped first",
            shown(&self.maps),
            shown(&own.maps)
        );
        ensure!(
            self.data_dir == own.data_dir,
            "its data_dir is {}, that of this one {}: it has to be stopped first",
            self.data_dir.display(),
            own.data_dir.display()
        );
        Ok(())
    }
}

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Socket {
    /// What it is for.
    pub(super) purpose: Purpose,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// Connections of relayed services.
    Streams,
    /// Datagrams of relayed services.
    Datagrams,
    /// The API.
    Api,
}
