//! Receiving: many datagrams in one call, into buffers that a thread's sockets share.

use std::{
    array,
    cell::Cell,
    io::{self, IoSliceMut},
    iter,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};

/// What one call takes at most: so many messages, each a datagram or several.
pub(super) const MOST: usize = quinn_udp::BATCH_SIZE;
/// Room for the largest datagram, or for what the kernel joins (`UDP_GRO`, udp(7)).
const ROOM: usize = 1 << 16;

/// Datagrams of one peer that came as one message: of equal size, but for the last, which
/// may be shorter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Train<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl<'a> Train<'a> {
    pub(super) fn of_one(datagram: &'a [u8]) -> Self {
        Self { bytes: datagram, size: datagram.len().max(1) }
    }

    /// All payload.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Payload of each datagram but the last.
    pub(super) fn size(self) -> usize {
        self.size
    }

    pub(super) fn is_one(self) -> bool {
        self.bytes.len() <= self.size
    }

    /// One by one. Without payload it is still one.
    pub(super) fn datagrams(self) -> impl Iterator<Item = &'a [u8]> {
        let empty = self.bytes.is_empty().then_some(self.bytes);
        empty.into_iter().chain(self.bytes.chunks(self.size))
    }
}

/// The buffers of one thread. What is received is passed on before the thread turns to
/// the next socket, so that one set is enough.
pub(super) struct Arena {
    buffers: Box<[u8]>,
    meta: [RecvMeta; MOST],
    stage: Box<[u8]>,
}

thread_local! {
    static SPARE: Cell<Option<Box<Arena>>> = const { Cell::new(None) };
}

impl Arena {
    /// Lends the thread's buffers to `work`.
    pub(super) fn lend<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut arena = spare.unwrap_or_else(|| Box::new(Self::new()));
        let result = work(&mut arena);
        // The thread may be ending: then they are freed.
        let _ = SPARE.try_with(|spare| spare.set(Some(arena)));
        result
    }

    fn new() -> Self {
        let room = |messages| vec![0; messages * ROOM].into_boxed_slice();
        Self { buffers: room(MOST), meta: [RecvMeta::default(); MOST], stage: room(1) }
    }

    /// Room in which datagrams are put together that are to leave together.
    pub(super) fn stage(&mut self) -> &mut [u8] {
        &mut self.stage
    }

    /// Receives at most `most` messages, and gives [`Self::stage`] with them. It does not
    /// block.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        io: &UdpSocketState,
        most: usize,
    ) -> io::Result<(Batch<'_>, &mut [u8])> {
        let mut rooms = self.buffers.chunks_exact_mut(ROOM);
        let mut slices: [_; MOST] =
            array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        let most = most.min(MOST);
        let count = io.recv(UdpSockRef::from(socket), &mut slices[..most], &mut self.meta)?;
        let batch = Batch { buffers: &self.buffers, meta: &self.meta[..count] };
        Ok((batch, &mut self.stage))
    }
}

/// Messages in the order in which they came.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    buffers: &'a [u8],
    meta: &'a [RecvMeta],
}

impl<'a> Batch<'a> {
    pub(super) fn len(&self) -> usize {
        self.meta.len()
    }

    pub(super) fn trains(self) -> impl Iterator<Item = Train<'a>> + Clone {
        let train = |(room, meta): (&'a [u8], &'a RecvMeta)| Train {
            bytes: room.get(..meta.len).unwrap_or_default(),
            size: meta.stride.max(1),
        };
        self.buffers.chunks_exact(ROOM).zip(self.meta).map(train)
    }

    /// Divided wherever the sender or the address that it wrote to changes.
    pub(super) fn runs(mut self) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, Self)> {
        iter::from_fn(move || {
            let first = self.meta.first()?;
            let ends = (first.addr, first.dst_ip);
            let length = self.meta.iter().take_while(|m| (m.addr, m.dst_ip) == ends).count();
            let (meta, rest) = self.meta.split_at(length);
            let run = Batch { buffers: self.buffers, meta };
            self = Batch { buffers: self.buffers.get(length * ROOM..)?, meta: rest };
            Some((ends.0, ends.1, run))
        })
    }
}
