//! Follows the records of a `ClientHello` as its bytes arrive.

use std::iter;

use super::{Broken, Hello, MOST_BYTES, message};

/// Type, legacy version and length (RFC 8446, 5.1).
const RECORD_HEADER: usize = 5;
const HANDSHAKE: u8 = 22;
const MAJOR_VERSION: u8 = 3;
const MOST_IN_RECORD: usize = 1 << 14;

/// Type and length (RFC 8446, 4).
const MESSAGE_HEADER: usize = 4;
const CLIENT_HELLO: u8 = 1;

/// Reads a `ClientHello`. Each byte is looked at once as it arrives, and once when the last
/// one is there, however small the pieces are.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes that were looked at.
    seen: usize,
    record: Record,
    message: Message,
}

/// Where in a record the next byte is.
#[derive(Debug)]
enum Record {
    Header { seen: usize, length: usize },
    Payload { left: usize },
}

impl Default for Record {
    fn default() -> Self {
        Self::Header { seen: 0, length: 0 }
    }
}

/// The handshake message that the records carry.
#[derive(Debug, Default)]
struct Message {
    seen: usize,
    /// Of what follows its header; complete once that is.
    length: usize,
}

impl Reader {
    /// Looks at all bytes of the connection that have arrived: those of the last call, and
    /// more behind them. `None`: the `ClientHello` goes on. What follows it is not looked at.
    ///
    /// # Errors
    /// What is no `ClientHello` is told at the first byte that says so; what contradicts
    /// itself within the message, once all of it is there.
    pub fn look(&mut self, bytes: &[u8]) -> Result<Option<Hello>, Broken> {
        for byte in bytes.get(self.seen..).unwrap_or_default() {
            if self.message.left() == Some(0) {
                break;
            }
            self.seen += 1;
            self.take(*byte)?;
        }
        match self.message.left() {
            Some(0) => message::parse(payload(bytes)).map(Some),
            _ if self.seen >= MOST_BYTES => Err(Broken::TooLong),
            _ => Ok(None),
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Broken> {
        match &mut self.record {
            Record::Header { seen, length } => {
                check_header(*seen, byte)?;
                *seen += 1;
                *length = (*length << 8 | usize::from(byte)) & 0xffff;
                if *seen == RECORD_HEADER {
                    let left = *length;
                    if left == 0 || left > MOST_IN_RECORD {
                        return Err(Broken::RecordLength);
                    }
                    self.record = Record::Payload { left };
                }
                Ok(())
            }
            Record::Payload { left } => {
                let left = *left - 1;
                self.record = if left == 0 { Record::default() } else { Record::Payload { left } };
                self.message.take(byte)?;
                self.check_length(left)
            }
        }
    }

    /// Whether the message ends with a record, and within [`MOST_BYTES`].
    fn check_length(&self, record_left: usize) -> Result<(), Broken> {
        match self.message.left() {
            Some(left) if left < record_left => Err(Broken::Trailing),
            Some(left) if self.seen + left > MOST_BYTES => Err(Broken::TooLong),
            _ => Ok(()),
        }
    }
}

/// Whether a record's header may have that byte at that place.
fn check_header(place: usize, byte: u8) -> Result<(), Broken> {
    match place {
        0 if byte != HANDSHAKE => Err(Broken::NoHandshake),
        1 if byte != MAJOR_VERSION => Err(Broken::NoHandshake),
        _ => Ok(()),
    }
}

impl Message {
    fn take(&mut self, byte: u8) -> Result<(), Broken> {
        match self.seen {
            0 if byte != CLIENT_HELLO => return Err(Broken::NoClientHello),
            1..MESSAGE_HEADER => self.length = self.length << 8 | usize::from(byte),
            _ => {}
        }
        self.seen += 1;
        Ok(())
    }

    /// Bytes that are yet to come, once its header is there.
    fn left(&self) -> Option<usize> {
        (self.seen >= MESSAGE_HEADER).then(|| MESSAGE_HEADER + self.length - self.seen)
    }
}

/// What the records of `bytes` carry, without their headers.
fn payload(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    let payloads = iter::from_fn(move || {
        let (header, behind) = rest.split_at_checked(RECORD_HEADER)?;
        let length = u16::from_be_bytes([header[3], header[4]]);
        let (payload, behind) = behind.split_at_checked(length.into())?;
        rest = behind;
        Some(payload)
    });
    payloads.flatten().copied()
}
