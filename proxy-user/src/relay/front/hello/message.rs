//! The `ClientHello` itself, once all of it is there.

use super::{Broken, Hello};
use crate::{config::is_host_name, record::TlsVersion};

/// Message header: type and length.
const HEADER: usize = 4;
const RANDOM: usize = 32;
const MOST_SESSION_ID: usize = 32;

/// No host's name is longer (RFC 1035, 2.3.4).
const MOST_IN_NAME: usize = 255;

/// RFC 6066, 3.
const SERVER_NAME: usize = 0;
const HOST_NAME: usize = 0;
/// RFC 8446, 4.2.1.
const SUPPORTED_VERSIONS: usize = 43;

/// Reads the message, given with its header.
pub(super) fn parse(mut bytes: impl Iterator<Item = u8>) -> Result<Hello, Broken> {
    let header: usize = bytes.by_ref().take(HEADER).fold(0, |n, byte| n << 8 | usize::from(byte));
    let mut body = Cursor { bytes, left: header & 0x00ff_ffff };
    let legacy_version = body.number(2)?;
    body.skip(RANDOM)?;
    body.vector(1, session_id)?;
    body.vector(2, cipher_suites)?;
    body.vector(1, compression_methods)?;
    let mut found = Extensions::default();
    if body.left > 0 {
        body.vector(2, |extensions| found.read(extensions))?;
    }
    if body.left > 0 {
        return Err(Broken::Malformed);
    }
    let version = if found.lists_versions { found.version } else { of_legacy(legacy_version)? };
    Ok(Hello { server_name: found.name, version })
}

fn session_id(id: &mut Cursor<impl Iterator<Item = u8>>) -> Result<(), Broken> {
    if id.left <= MOST_SESSION_ID { id.rest() } else { Err(Broken::Malformed) }
}

fn cipher_suites(suites: &mut Cursor<impl Iterator<Item = u8>>) -> Result<(), Broken> {
    let are_pairs = suites.left > 0 && suites.left.is_multiple_of(2);
    if are_pairs { suites.rest() } else { Err(Broken::Malformed) }
}

fn compression_methods(methods: &mut Cursor<impl Iterator<Item = u8>>) -> Result<(), Broken> {
    if methods.left > 0 { methods.rest() } else { Err(Broken::Malformed) }
}

/// What is looked for among the extensions.
#[derive(Default)]
struct Extensions {
    names_server: bool,
    name: Option<String>,
    lists_versions: bool,
    version: Option<TlsVersion>,
}

impl Extensions {
    fn read(&mut self, extensions: &mut Cursor<impl Iterator<Item = u8>>) -> Result<(), Broken> {
        while extensions.left > 0 {
            match extensions.number(2)? {
                SERVER_NAME if self.names_server => return Err(Broken::TwoNames),
                SERVER_NAME => {
                    self.names_server = true;
                    self.name = extensions.vector(2, |data| data.vector(2, host_name))?;
                }
                SUPPORTED_VERSIONS => {
                    self.lists_versions = true;
                    self.version = extensions.vector(2, |data| data.vector(1, highest))?;
                }
                _ => extensions.vector(2, Cursor::rest)?,
            }
        }
        Ok(())
    }
}

/// The name of type `host_name` in a list of names.
fn host_name(list: &mut Cursor<impl Iterator<Item = u8>>) -> Result<Option<String>, Broken> {
    if list.left == 0 {
        return Err(Broken::Malformed);
    }
    let mut found = None;
    let mut host_names = 0;
    while list.left > 0 {
        let is_host_name = list.number(1)? == HOST_NAME;
        let name = list.vector(2, Cursor::host_name)?;
        if is_host_name {
            (found, host_names) = (name, host_names + 1);
        }
    }
    if host_names > 1 { Err(Broken::TwoNames) } else { Ok(found) }
}

/// The highest version of a list. Versions that are not known, those that are sent to
/// keep servers used to such (RFC 8701) among them, are passed over.
fn highest(versions: &mut Cursor<impl Iterator<Item = u8>>) -> Result<Option<TlsVersion>, Broken> {
    let mut highest = None;
    while versions.left > 0 {
        highest = highest.max(known(versions.number(2)?));
    }
    Ok(highest)
}

/// The version that a `ClientHello` without a list of versions asks for: 1.2 at most,
/// whatever it says (RFC 8446, 4.2.1).
fn of_legacy(version: usize) -> Result<Option<TlsVersion>, Broken> {
    match version {
        0x0300..=0x0303 => Ok(known(version)),
        0x0304..=0x03ff => Ok(Some(TlsVersion::Tls12)),
        _ => Err(Broken::Value),
    }
}

fn known(version: usize) -> Option<TlsVersion> {
    match version {
        0x0301 => Some(TlsVersion::Tls10),
        0x0302 => Some(TlsVersion::Tls11),
        0x0303 => Some(TlsVersion::Tls12),
        0x0304 => Some(TlsVersion::Tls13),
        _ => None,
    }
}

/// A place in the message.
struct Cursor<I> {
    bytes: I,
    /// Bytes to the end of the innermost vector.
    left: usize,
}

impl<I: Iterator<Item = u8>> Cursor<I> {
    fn byte(&mut self) -> Result<u8, Broken> {
        self.left = self.left.checked_sub(1).ok_or(Broken::Malformed)?;
        self.bytes.next().ok_or(Broken::Malformed)
    }

    /// An integer of `width` bytes.
    fn number(&mut self, width: usize) -> Result<usize, Broken> {
        (0..width).try_fold(0, |number, _| Ok(number << 8 | usize::from(self.byte()?)))
    }

    fn skip(&mut self, length: usize) -> Result<(), Broken> {
        (0..length).try_for_each(|_| self.byte().map(drop))
    }

    /// Passes over what is left.
    fn rest(&mut self) -> Result<(), Broken> {
        self.skip(self.left)
    }

    /// A vector behind its length of `width` bytes; `read` is to go to its last byte.
    fn vector<T>(
        &mut self,
        width: usize,
        read: impl FnOnce(&mut Self) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let length = self.number(width)?;
        let behind = self.left.checked_sub(length).ok_or(Broken::Malformed)?;
        self.left = length;
        let value = read(self)?;
        if self.left > 0 {
            return Err(Broken::Malformed);
        }
        self.left = behind;
        Ok(value)
    }

    /// What is left, as a host's name in lower case; `None` for what cannot be one.
    fn host_name(&mut self) -> Result<Option<String>, Broken> {
        if self.left > MOST_IN_NAME {
            return self.rest().map(|()| None);
        }
        let bytes: Vec<u8> = (0..self.left).map(|_| self.byte()).collect::<Result<_, _>>()?;
        let name = String::from_utf8(bytes).ok();
        Ok(name.filter(|name| is_host_name(name)).map(|name| name.to_ascii_lowercase()))
    }
}
