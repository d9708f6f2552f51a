//! A connection to one address, and why there is none.

use std::{io, net::SocketAddr};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::first_words::FirstWords;

/// Why there is no connection to a target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The name has no address, or the last address refused.
    #[error(transparent)]
    Unreachable(#[from] io::Error),
    /// The time for it passed.
    #[error("connect_timeout passed")]
    Timeout,
}

impl DialError {
    pub(crate) fn no_address() -> Self {
        Self::Unreachable(io::Error::other("the target has no address"))
    }

    /// Whether it says something of this host alone: files, memory or ports run short.
    pub(crate) fn is_ours(&self) -> bool {
        let Self::Unreachable(error) = self else { return false };
        let short = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL];
        error.raw_os_error().is_some_and(|number| short.contains(&number))
    }
}

/// No target answered.
#[derive(Debug)]
pub(super) struct Failed {
    /// The last one tried: its address, or as configured where it has none.
    pub(super) target: String,
    /// Why it did not.
    pub(super) error: DialError,
}

impl Failed {
    /// There is no target.
    pub(super) fn nowhere() -> Self {
        Self { target: String::new(), error: DialError::no_address() }
    }
}

/// Connects to one address by `deadline`.
pub(super) async fn connect(
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

/// The end of an equal share of the time left, for the first of `left`.
pub(crate) fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_short_here_is_nothing_against_a_target() {
        let failed = |number| DialError::from(io::Error::from_raw_os_error(number)).is_ours();
        assert!([libc::EMFILE, libc::EADDRNOTAVAIL].into_iter().all(failed));
        assert!(![libc::ECONNREFUSED, libc::EHOSTUNREACH].into_iter().any(failed));
        assert!(!DialError::Timeout.is_ours());
    }
}
