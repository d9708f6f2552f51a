//! Sending: datagrams of equal size leave in one call as one packet that the kernel or
//! the card divides (`UDP_SEGMENT`, udp(7)). On its way through the host it is a single
//! packet, which is what it saves.

use std::{io, mem};

use super::batch::Train;

/// The kernel's `UDP_MAX_SEGMENTS`, before it was doubled.
const MOST_SEGMENTS: usize = 64;
/// Payload of a bundle: with every header it is less than the 65,535 bytes of a packet.
const MOST_BYTES: usize = 65_000;

/// A way that datagrams go.
pub(super) trait Way {
    /// Sends one, without blocking.
    fn send(&self, datagram: &[u8]) -> io::Result<()>;

    /// Sends several of `size` bytes; the last may be shorter.
    fn send_bundle(&self, bundle: &[u8], size: usize) -> io::Result<()>;
}

/// What became of datagrams.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Payload that was sent.
    pub(super) bytes: u64,
    /// Datagrams that were sent.
    pub(super) datagrams: u64,
    /// Datagrams that were not.
    pub(super) undelivered: u64,
    /// The other end says that nobody listens. Nothing was sent after that.
    pub(super) refused: Option<io::Error>,
}

/// How datagrams of one way are bundled.
#[derive(Debug)]
pub(super) struct Bundles {
    /// Larger ones leave one by one: as found out, they are larger than the path's MTU, and
    /// what is to be divided into packets cannot be divided into fragments.
    largest: usize,
}

impl Default for Bundles {
    fn default() -> Self {
        Self { largest: MOST_BYTES / 2 }
    }
}

impl Bundles {
    /// Sends all of them in their order. What a full buffer does not take, or the path, is
    /// dropped. `stage` has room for a bundle.
    pub(super) fn pass<'a>(
        &mut self,
        trains: impl Iterator<Item = Train<'a>>,
        stage: &mut [u8],
        way: &impl Way,
    ) -> Passed {
        let mut sending =
            Sending { bundles: self, way, stage, held: Held::None, passed: Passed::default() };
        for train in trains {
            if train.is_one() {
                sending.take(train.bytes());
            } else {
                sending.flush();
                sending.several(train);
            }
        }
        sending.flush();
        sending.passed
    }
}

/// What waits for more of its kind.
enum Held<'a> {
    None,
    One(&'a [u8]),
    /// So many bytes on the stage, in datagrams of `size`.
    Several {
        size: usize,
        length: usize,
    },
}

struct Sending<'a, 'b, W> {
    bundles: &'b mut Bundles,
    way: &'b W,
    stage: &'b mut [u8],
    held: Held<'a>,
    passed: Passed,
}

impl<'a, W: Way> Sending<'a, '_, W> {
    fn take(&mut self, datagram: &'a [u8]) {
        let (size, length) = match self.held {
            Held::None => return self.held = Held::One(datagram),
            Held::One(first) => (first.len(), first.len()),
            Held::Several { size, length } => (size, length),
        };
        if !self.fits(datagram, size, length) {
            self.flush();
            return self.held = Held::One(datagram);
        }
        if let Held::One(first) = self.held {
            self.stage[..length].copy_from_slice(first);
        }
        let end = length + datagram.len();
        self.stage[length..end].copy_from_slice(datagram);
        self.held = Held::Several { size, length: end };
        if datagram.len() < size {
            self.flush();
        }
    }

    fn fits(&self, datagram: &[u8], size: usize, length: usize) -> bool {
        !datagram.is_empty()
            && datagram.len() <= size
            && size <= self.bundles.largest
            && length < size * MOST_SEGMENTS
            && length + datagram.len() <= MOST_BYTES
    }

    fn flush(&mut self) {
        match mem::replace(&mut self.held, Held::None) {
            Held::None => {}
            Held::One(datagram) => self.single(datagram),
            Held::Several { size, length } => {
                let stage = mem::take(&mut self.stage);
                self.bundle(&stage[..length], size);
                self.stage = stage;
            }
        }
    }

    /// What came together leaves together.
    fn several(&mut self, train: Train<'_>) {
        let size = train.size();
        let together = (MOST_BYTES / size).clamp(1, MOST_SEGMENTS) * size;
        train.bytes().chunks(together).for_each(|bundle| self.bundle(bundle, size));
    }

    fn bundle(&mut self, bundle: &[u8], size: usize) {
        let together = bundle.len() > size && size <= self.bundles.largest;
        if together && self.passed.refused.is_none() {
            match self.way.send_bundle(bundle, size) {
                Err(error) if is_about_bundles(&error) => self.bundles.lower(&error, size),
                sent => return self.note(sent, bundle.len(), bundle.len().div_ceil(size)),
            }
        }
        bundle.chunks(size).for_each(|datagram| self.single(datagram));
    }

    fn single(&mut self, datagram: &[u8]) {
        if self.passed.refused.is_some() {
            self.passed.undelivered += 1;
            return;
        }
        let mut sent = self.way.send(datagram);
        if matches!(&sent, Err(error) if is_too_large(error)) {
            // It may be one before that the path did not take: told with the next.
            sent = self.way.send(datagram);
            self.passed.undelivered += u64::from(sent.is_ok());
        }
        self.note(sent, datagram.len(), 1);
    }

    fn note(&mut self, sent: io::Result<()>, bytes: usize, datagrams: usize) {
        match sent {
            Ok(()) => {
                self.passed.bytes += bytes as u64;
                self.passed.datagrams += datagrams as u64;
            }
            Err(error) => {
                self.passed.undelivered += datagrams as u64;
                if is_refusal(&error) {
                    self.passed.refused = Some(error);
                }
            }
        }
    }
}

impl Bundles {
    fn lower(&mut self, error: &io::Error, size: usize) {
        // No bundle at all leaves by a path that encrypts (IPsec): the kernel's EIO.
        let is_path = error.raw_os_error() == Some(libc::EIO);
        self.largest = if is_path { 0 } else { self.largest.min(size - 1) };
    }
}

/// Larger than the path's MTU, by which kernel it ever is, or a path without bundles.
fn is_about_bundles(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::EINVAL | libc::EIO))
}

/// Whether a datagram, this or one before, is larger than can be sent.
pub(super) fn is_too_large(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// Whether a connected socket says that nobody is there: what ICMP tells it (the kernel's
/// `icmp_err_convert` and `icmpv6_err_convert`), or the routing table.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EACCES
        )
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::cell::RefCell;

    use super::*;

    /// Notes what is sent, and refuses bundles of datagrams above `mtu`.
    struct Notes {
        mtu: usize,
        sent: RefCell<Vec<Vec<u8>>>,
        calls: RefCell<u32>,
    }

    impl Notes {
        fn new(mtu: usize) -> Self {
            Self { mtu, sent: RefCell::default(), calls: RefCell::default() }
        }
    }

    impl Way for Notes {
        fn send(&self, datagram: &[u8]) -> io::Result<()> {
            *self.calls.borrow_mut() += 1;
            self.sent.borrow_mut().push(datagram.to_vec());
            Ok(())
        }

        fn send_bundle(&self, bundle: &[u8], size: usize) -> io::Result<()> {
            *self.calls.borrow_mut() += 1;
            if size > self.mtu {
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            assert!(bundle.len() > size && bundle.len() <= MOST_BYTES);
            assert!(bundle.len().div_ceil(size) <= MOST_SEGMENTS);
            self.sent.borrow_mut().extend(bundle.chunks(size).map(<[u8]>::to_vec));
            Ok(())
        }
    }

    fn datagrams(sizes: &[usize]) -> Vec<Vec<u8>> {
        sizes
            .iter()
            .enumerate()
            .map(|(i, size)| vec![u8::try_from(i % 251).unwrap(); *size])
            .collect()
    }

    fn pass(bundles: &mut Bundles, datagrams: &[Vec<u8>], way: &Notes) -> Passed {
        let trains = datagrams.iter().map(|datagram| Train::of_one(datagram));
        bundles.pass(trains, &mut vec![0; 1 << 16], way)
    }

    proptest::proptest! {
        #[test]
        fn order_and_borders_are_kept(
            sizes in proptest::collection::vec(
                proptest::prop_oneof![0usize..4, 1200..1203usize, 0..2000usize, 0..65_508usize],
                0..40,
            ),
            mtu in proptest::prop_oneof![proptest::strategy::Just(0usize), 500..70_000usize],
        ) {
            let (datagrams, way) = (datagrams(&sizes), Notes::new(mtu));
            let passed = pass(&mut Bundles::default(), &datagrams, &way);
            assert_eq!(passed.datagrams, datagrams.len() as u64);
            assert_eq!(passed.bytes, sizes.iter().sum::<usize>() as u64);
            assert_eq!(passed.undelivered, 0);
            assert!(*way.sent.borrow() == datagrams);
        }
    }

    #[test]
    fn equal_ones_leave_in_few_calls() {
        let (datagrams, way) = (datagrams(&[1200; 32]), Notes::new(1500));
        pass(&mut Bundles::default(), &datagrams, &way);
        assert_eq!(*way.calls.borrow(), 1);
    }

    #[test]
    fn a_size_that_was_refused_is_not_tried_again() {
        let (datagrams, way) = (datagrams(&[2000, 2000, 2000]), Notes::new(1500));
        let mut bundles = Bundles::default();
        pass(&mut bundles, &datagrams, &way);
        assert_eq!(*way.calls.borrow(), 4);
        pass(&mut bundles, &datagrams, &way);
        assert_eq!(*way.calls.borrow(), 7);
        pass(&mut bundles, &[vec![0; 1000], vec![0; 1000]], &way);
        assert_eq!(*way.calls.borrow(), 8);
    }
}
