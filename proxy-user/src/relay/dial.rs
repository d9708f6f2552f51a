//! Connects to a service's target.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Duration, Instant, timeout_at},
};

use super::first_words::FirstWords;
use crate::config::Target;

/// Why there is no connection to the target.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The name has no address, or the last address refused.
    #[error(transparent)]
    Unreachable(#[from] io::Error),
    /// `connect_timeout` passed.
    #[error("connect_timeout passed")]
    Timeout,
}

/// A target as it is configured.
pub(super) fn name(target: &Target) -> String {
    match target {
        Target::Host => "host".to_owned(),
        Target::Address(address) => address.to_string(),
        Target::Name { host, port } => format!("{host}:{port}"),
    }
}

/// Dials the target's addresses in the resolver's order until one answers.
/// `limit` bounds all of it; an address that stays silent leaves its share of the
/// rest to each address after it.
pub(super) async fn dial(
    target: &Target,
    limit: Duration,
    words: FirstWords,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let deadline = Instant::now() + limit;
    let addresses = match target {
        Target::Address(address) => vec![*address],
        Target::Name { host, port } => resolve(host, *port, deadline).await?,
        // A guarded service is never published here.
        Target::Host => Vec::new(),
    };
    let mut error = DialError::Unreachable(io::Error::other("the target has no address"));
    for (index, address) in addresses.iter().enumerate() {
        match connect(*address, words, share(deadline, addresses.len() - index)).await {
            Ok(stream) => return Ok((stream, *address)),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

async fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, DialError> {
    match timeout_at(deadline, lookup_host((host, port))).await {
        Ok(found) => Ok(found?.collect()),
        Err(_) => Err(DialError::Timeout),
    }
}

async fn connect(
    address: SocketAddr,
    words: FirstWords,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let socket = words.towards(address)?;
    match timeout_at(deadline, socket.connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(DialError::Timeout),
        Ok(Err(error)) => Err(DialError::Unreachable(error)),
        Err(_) => Err(DialError::Timeout),
    }
}

/// The end of an equal share of the time left, for the first of `left` addresses.
fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / left
}
