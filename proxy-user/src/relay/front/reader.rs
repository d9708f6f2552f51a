//! Reads the first bytes of a connection, for as long as they are waited for.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use bytes::BufMut;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::{
    record::CloseReason,
    relay::{
        control::{Control, Cut},
        copy::End,
    },
};

/// Room that is made at first: most handshakes fit.
const ROOM: usize = 2048;

/// Bytes that a client has sent and nobody has taken.
pub(super) struct Reader<'a> {
    client: &'a TcpStream,
    control: &'a Control,
    deadline: Instant,
    bytes: Vec<u8>,
}

/// Why what was waited for did not come.
#[derive(Debug)]
pub(super) enum Stop<E> {
    /// Something else came.
    Broken(E),
    /// The client ended the connection.
    Ended(CloseReason),
    /// The time is over.
    Silent,
    /// The connection was ended from outside.
    Cut(Cut),
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a TcpStream, control: &'a Control, deadline: Instant) -> Self {
        Self { client, control, deadline, bytes: Vec::new() }
    }

    /// Waits until `parse` finds what it looks for in the bytes that have come, or says
    /// that they are something else; the latter at the latest when there are `most`.
    pub(super) async fn find<T, E>(
        &mut self,
        most: usize,
        mut parse: impl FnMut(&[u8]) -> Result<Option<T>, E>,
    ) -> Result<T, Stop<E>> {
        loop {
            if let Some(found) = parse(&self.bytes).map_err(Stop::Broken)? {
                return Ok(found);
            }
            self.wait(most).await?;
        }
    }

    /// Whether nothing came.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Passes over the first `length` bytes.
    pub(super) fn skip(&mut self, length: usize) {
        self.bytes.drain(..length);
    }

    /// What came and is to go on.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    async fn wait<E>(&mut self, most: usize) -> Result<(), Stop<E>> {
        let (control, deadline) = (self.control, self.deadline);
        let more = poll_fn(|cx| match control.poll_cut(cx) {
            Poll::Ready(cut) => Poll::Ready(Err(Stop::Cut(cut))),
            Poll::Pending => self.poll_read(cx, most).map(|read| match read {
                Ok(0) => Err(Stop::Ended(CloseReason::ClientClosed)),
                Ok(_) => Ok(()),
                Err(error) => Err(Stop::Ended(End::of_client(&error).into())),
            }),
        });
        timeout_at(deadline, more).await.unwrap_or(Err(Stop::Silent))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.client.poll_read_ready(cx))?;
            let length = self.bytes.len();
            if length == self.bytes.capacity() {
                self.bytes.reserve_exact(length.max(ROOM).min(most - length));
            }
            let room = (self.bytes.capacity() - length).min(most - length);
            match self.client.try_read_buf(&mut (&mut self.bytes).limit(room)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }
}
