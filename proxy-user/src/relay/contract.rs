//! What the relay needs from those who use it.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use proxy_common::{reason::Reason, verdict::Judgement};

use super::{Ended, Opened};
use tokio::net::TcpStream;

use crate::config::{Service, Target};

/// The policy in force.
pub trait Gate: Send + Sync + 'static {
    /// Judges `client` for the service of that name.
    fn judge(&self, service: &str, client: Client) -> Judgement;
}

/// Whom a gate is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// A v4-mapped address unwrapped.
    pub address: IpAddr,
    /// Whether nobody else stands behind it: where somebody may, no address is exempt from
    /// country rules.
    pub is_itself: bool,
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self { address, is_itself: true }
    }
}

/// Looks at a target.
pub trait Examiner: Send + Sync + 'static {
    /// Whether the target at the other end of `stream`, connected to at `address`, serves;
    /// else why not, in words.
    fn examine(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
}

/// What a look at a target is besides a connection.
#[derive(Clone)]
pub struct Examination {
    /// Two looks are the same where this is.
    pub of: String,
    /// Who looks.
    pub by: Arc<dyn Examiner>,
}

/// Who hears of sessions. Its methods are called from the tasks that serve traffic and
/// must not block.
pub trait Journal: Send + Sync + 'static {
    /// A connection passed the gate and the limits; its target is dialled next.
    /// [`Self::ended`] follows for it.
    fn opened(&self, session: &Opened);

    /// An accepted connection, or a session of datagrams, is over. Called exactly once
    /// for each, opened or not.
    fn ended(&self, session: Ended);

    /// So many clients' datagrams were turned away, each client counted once, in the
    /// second that is over: those that came too fast for [`Self::ended`].
    fn refused(&self, service: &Arc<Service>, reason: Reason, attempts: u64);
}

/// Who hears of targets. Both methods are called from the tasks that serve traffic and
/// must not block. For one target of a service they are called in turns, beginning with
/// [`Self::target_down`]: it is taken to be up before anything is known.
pub trait Lookout: Send + Sync + 'static {
    /// A dial, a probe or a session found that the target cannot be reached.
    fn target_down(&self, service: &str, target: &Target, error: &str);

    /// The target works again.
    fn target_up(&self, service: &str, target: &Target);
}
