//! One direction of a session.

use std::{
    io, mem,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::{io::Interest, net::TcpStream};

use super::{
    buffer::{BUFFER_BYTES, Buffer},
    pipe::{Lease, PipePool},
};

/// Reads in one poll, so that one fast sender does not starve other sessions.
const ROUNDS: usize = 32;

/// A splice that moves less costs more than a copy.
const WORTH_SPLICING: usize = BUFFER_BYTES / 2;

/// Which socket failed.
#[derive(Debug)]
pub(super) enum Fault {
    Source(io::Error),
    Sink(io::Error),
}

/// One direction: from a source's socket to a sink's.
#[derive(Debug)]
pub(super) struct Direction {
    pipes: Arc<PipePool>,
    held: Held,
    /// The last read was large: the next is spliced.
    bulk: bool,
    next: Next,
}

/// What follows the bytes in flight.
#[derive(Debug)]
enum Next {
    Unknown,
    End,
    Fault(io::Error),
}

/// Bytes in flight, and what carries them.
#[derive(Debug)]
enum Held {
    Nothing,
    /// What was read before, and how much of it is written.
    Ahead(Vec<u8>, usize),
    Buffer(Buffer),
    Pipe(Lease),
}

impl Direction {
    pub(super) fn new(pipes: Arc<PipePool>) -> Self {
        Self { pipes, held: Held::Nothing, bulk: false, next: Next::Unknown }
    }

    /// One that hands on `ahead` first, which was read of the source already.
    pub(super) fn behind(ahead: Vec<u8>, pipes: Arc<PipePool>) -> Self {
        let held = if ahead.is_empty() { Held::Nothing } else { Held::Ahead(ahead, 0) };
        Self { held, ..Self::new(pipes) }
    }

    /// Whether it waits for the source, and thereby hears of its reset.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.held, Held::Nothing)
    }

    /// Copies until the source's stream ends and all of it is handed on. `moved`
    /// grows by what the sink took. While it waits for the source it holds nothing.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
        sink: &TcpStream,
        moved: &mut u64,
    ) -> Poll<Result<(), Fault>> {
        for _ in 0..ROUNDS {
            ready!(self.poll_flush(cx, sink, moved)).map_err(Fault::Sink)?;
            match mem::replace(&mut self.next, Next::Unknown) {
                Next::Unknown => {}
                Next::End => return Poll::Ready(Ok(())),
                Next::Fault(error) => return Poll::Ready(Err(Fault::Source(error))),
            }
            if ready!(self.poll_fill(cx, source)).map_err(Fault::Source)? == 0 {
                self.held = Held::Nothing;
                return Poll::Ready(Ok(()));
            }
            self.look_ahead(cx, source);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, source: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            match self.fill(source) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.held = Held::Nothing;
                    ready!(source.poll_read_ready(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Where the end of the stream came with the bytes, they are sent with it: a packet
    /// less each way for a connection that ends with its answer.
    fn look_ahead(&mut self, cx: &mut Context<'_>, source: &TcpStream) {
        let Held::Buffer(buffer) = &mut self.held else { return };
        // A read that emptied the socket leaves it ready only for its end.
        if self.bulk || source.poll_read_ready(cx).is_pending() {
            return;
        }
        match read(source, buffer.rest()) {
            Ok(0) => self.next = Next::End,
            Ok(more) => buffer.grown(more),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // What was read before is handed on first.
            Err(error) => self.next = Next::Fault(error),
        }
    }

    fn fill(&mut self, source: &TcpStream) -> io::Result<usize> {
        if self.bulk
            && let Some(mut lease) = self.lease()
        {
            let moved = source.try_io(Interest::READABLE, || lease.fill(source))?;
            self.bulk = moved >= WORTH_SPLICING;
            self.held = Held::Pipe(lease);
            return Ok(moved);
        }
        let mut buffer = self.buffer();
        let read = read(source, buffer.room())?;
        buffer.filled(read);
        self.bulk = read == BUFFER_BYTES;
        self.held = Held::Buffer(buffer);
        Ok(read)
    }

    /// The buffer that is held, or the thread's.
    fn buffer(&mut self) -> Buffer {
        match mem::replace(&mut self.held, Held::Nothing) {
            Held::Buffer(buffer) => buffer,
            Held::Nothing | Held::Ahead(..) | Held::Pipe(_) => Buffer::take(),
        }
    }

    /// The pipe to splice through, where that is worth it. What was held besides
    /// goes back.
    fn lease(&mut self) -> Option<Lease> {
        match (mem::replace(&mut self.held, Held::Nothing), self.bulk) {
            (Held::Pipe(lease), true) => Some(lease),
            (_, true) => self.pipes.take(),
            (_, false) => None,
        }
    }

    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        sink: &TcpStream,
        moved: &mut u64,
    ) -> Poll<io::Result<()>> {
        let flags = match self.next {
            Next::End => SendFlags::NOSIGNAL | SendFlags::MORE,
            Next::Unknown | Next::Fault(_) => SendFlags::NOSIGNAL,
        };
        loop {
            let result = match &mut self.held {
                Held::Ahead(bytes, written) if *written < bytes.len() => {
                    let taken = write(sink, &bytes[*written..], flags);
                    *written += taken.as_ref().map_or(0, |taken| *taken);
                    taken
                }
                Held::Buffer(buffer) if !buffer.unwritten().is_empty() => {
                    let taken = write(sink, buffer.unwritten(), flags);
                    buffer.written(taken.as_ref().map_or(0, |taken| *taken));
                    taken
                }
                Held::Pipe(lease) if lease.filled() != 0 => {
                    sink.try_io(Interest::WRITABLE, || lease.drain(sink))
                }
                _ => return Poll::Ready(Ok(())),
            };
            match result {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(taken) => *moved += taken as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(sink.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// One read. One that does not fill the buffer has emptied the socket (see epoll(7)
/// on edge-triggered use), which tokio is told by "would block": it saves the read
/// that would find nothing.
fn read(source: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    let size = room.len();
    let mut read = None;
    let result = source.try_io(Interest::READABLE, || {
        let (_, length) = recv(source, &mut *room, RecvFlags::empty())?;
        read = Some(length);
        if 0 < length && length < size {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    match read {
        Some(length) => Ok(length),
        None => result.map(|()| 0),
    }
}

/// One write. One that is not taken whole has filled the socket; see [`read`].
fn write(sink: &TcpStream, bytes: &[u8], flags: SendFlags) -> io::Result<usize> {
    let mut written = None;
    let result = sink.try_io(Interest::WRITABLE, || {
        let length = send(sink, bytes, flags)?;
        written = Some(length);
        if 0 < length && length < bytes.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    match written {
        Some(length) => Ok(length),
        None => result.map(|()| 0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::future::poll_fn;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (dialled, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn an_idle_direction_holds_neither_buffer_nor_pipe() {
        let (mut sender, source) = pair().await;
        let (sink, mut receiver) = pair().await;
        let pipes = PipePool::new(1);
        let mut direction = Direction::new(Arc::clone(&pipes));
        let mut moved = 0;
        let payload = vec![7; 4 << 20];
        let mut arrived = vec![0; payload.len()];
        let copy = poll_fn(|cx| {
            assert!(direction.poll(cx, &source, &sink, &mut moved).is_pending());
            if moved == payload.len() as u64 { Poll::Ready(()) } else { Poll::Pending }
        });
        let (sent, got, ()) =
            tokio::join!(sender.write_all(&payload), receiver.read_exact(&mut arrived), copy);
        sent.unwrap();
        got.unwrap();
        assert!(arrived == payload);
        poll_fn(|cx| {
            assert!(direction.poll(cx, &source, &sink, &mut moved).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(matches!(direction.held, Held::Nothing));
        assert_eq!(pipes.idle(), 1, "so much is worth a pipe, and it is back");
    }
}
