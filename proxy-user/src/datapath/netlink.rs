//! Netlink requests that are answered at once (netlink(7)).

use std::{io, os::fd::OwnedFd};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, netlink, recv, send, socket,
};

/// `include/uapi/linux/netlink.h`
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLA_TYPE_MASK: u16 = 0x3fff;

const HEADER: usize = 16;
/// The kernel fills no larger buffer with a dump (`netlink_dump`).
const BUFFER: usize = 32 << 10;

/// A netlink socket.
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// To the network's configuration.
    pub(super) fn route() -> io::Result<Self> {
        // NETLINK_ROUTE is 0, the default.
        Self::open(None)
    }

    /// To the sockets.
    pub(super) fn sock_diag() -> io::Result<Self> {
        Self::open(Some(netlink::SOCK_DIAG))
    }

    /// To netfilter.
    pub(super) fn netfilter() -> io::Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        Ok(Self(socket(AddressFamily::NETLINK, SocketType::RAW, protocol)?))
    }

    /// Has the kernel do something.
    pub(super) fn act(&self, kind: u16, body: &[u8]) -> io::Result<()> {
        // Acknowledgements are of the one type that is never an answer.
        self.get(kind, body, NLMSG_ERROR).map(drop)
    }

    /// Has the kernel tell one thing: bodies of the messages of type `answer`.
    pub(super) fn get(&self, kind: u16, body: &[u8], answer: u16) -> io::Result<Vec<Vec<u8>>> {
        self.ask(&message(kind, NLM_F_REQUEST | NLM_F_ACK, body), answer)
    }

    /// Has the kernel tell all that there is, as [`Self::get`].
    pub(super) fn dump(&self, kind: u16, body: &[u8], answer: u16) -> io::Result<Vec<Vec<u8>>> {
        self.ask(&message(kind, NLM_F_REQUEST | NLM_F_DUMP, body), answer)
    }

    fn ask(&self, message: &[u8], answer: u16) -> io::Result<Vec<Vec<u8>>> {
        send(&self.0, message, SendFlags::empty())?;
        let mut found = Vec::new();
        let mut take = |kind, body: &[u8]| {
            if kind == answer {
                found.push(body.to_vec());
            }
        };
        while !self.receive(&mut take)? {}
        Ok(found)
    }

    /// One datagram. True: it is the last.
    fn receive(&self, mut take: impl FnMut(u16, &[u8])) -> io::Result<bool> {
        let mut buffer = vec![0; BUFFER];
        let (length, _) = recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = split(rest) {
            match kind {
                NLMSG_DONE => return Ok(true),
                NLMSG_ERROR => return acknowledged(body).map(|()| true),
                _ => take(kind, body),
            }
            rest = after;
        }
        Ok(false)
    }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence and port: one request at a time, and the kernel knows the port.
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

/// Type and body of the first message, and what follows it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// `struct nlmsgerr`: a negative error number, or 0.
fn acknowledged(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "a netlink error without a number")),
    }
}

/// The value of an attribute of type `wanted` among `bytes`.
pub(super) fn find(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        if kind & NLA_TYPE_MASK == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn attributes_are_found_behind_padded_ones() {
        let bytes = [attribute(1, b"bpf\0\0"), attribute(2 | 0x8000, &[7])].concat();
        assert_eq!(find(&bytes, 2), Some(&[7][..]));
        assert_eq!(find(&bytes, 3), None);
    }

    #[test]
    fn cut_messages_are_none() {
        let whole = message(24, 0, &[1, 2, 3, 4]);
        assert_eq!(split(&whole), Some((24, &[1, 2, 3, 4][..], &[][..])));
        for length in 0..whole.len() {
            assert_eq!(split(&whole[..length]), None);
        }
        for bytes in [&[0u8; 4][..], &[3, 0, 1, 0], &[0xff; 8]] {
            assert_eq!(find(bytes, 9), None);
        }
    }
}
