//! The PROXY protocol (haproxy.org, doc/proxy-protocol.txt), versions 1 and 2, in and out.

use std::net::{IpAddr, SocketAddr};

use ppp::{PartialResult, v1, v2};

/// The longest header of version 1, bytes.
const MOST_V1: usize = 107;
/// The longest header of version 2 that is taken, bytes: addresses, and room for more TLVs
/// than load balancers send.
pub const MOST_BYTES: usize = 4096;
/// Signature, version, family and length of version 2.
const FIXED_V2: usize = 16;

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Whom the peer speaks for; `None`: for itself (LOCAL, UNKNOWN, or what is neither
    /// IPv4 nor IPv6 over TCP).
    pub ends: Option<Ends>,
    /// The header's length, bytes; payload follows.
    pub length: usize,
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who connected.
    pub client: SocketAddr,
    /// Which address it connected to.
    pub destination: SocketAddr,
}

/// Why bytes are no header.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Broken {
    /// They begin with something else.
    #[error("the connection begins with no PROXY header")]
    Missing,
    /// A header of version 1 that is none.
    #[error("PROXY header, version 1: {0}")]
    V1(v1::BinaryParseError),
    /// A header of version 2 that is none.
    #[error("PROXY header, version 2: {0}")]
    V2(v2::ParseError),
    /// Beyond [`MOST_BYTES`], or what version 1 may have.
    #[error("a PROXY header that is too long")]
    TooLong,
}

/// A version to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// Reads the header at the beginning of `bytes`, all that has arrived; `None`: it goes on.
///
/// # Errors
/// What is no header is told at the first byte that says so, or at the end of its line.
pub fn parse(bytes: &[u8]) -> Result<Option<Proxied>, Broken> {
    if begins(bytes, v2::PROTOCOL_PREFIX) {
        return parse_v2(bytes);
    }
    if begins(bytes, v1::PROTOCOL_PREFIX.as_bytes()) {
        return parse_v1(bytes);
    }
    Err(Broken::Missing)
}

/// Whether `bytes` begin with `prefix`, as far as they go.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(byte, wanted)| byte == wanted)
}

/// The parser takes some lines that are cut for wrong ones, so it gets whole lines.
fn parse_v1(bytes: &[u8]) -> Result<Option<Proxied>, Broken> {
    let Some(line_feed) = bytes.iter().take(MOST_V1).position(|byte| *byte == b'\n') else {
        return if bytes.len() < MOST_V1 { Ok(None) } else { Err(Broken::TooLong) };
    };
    let line = &bytes[..=line_feed];
    let header = v1::Header::try_from(line).map_err(Broken::V1)?;
    let ends = match header.addresses {
        v1::Addresses::Tcp4(ends) => Some(of_v4(&ends)),
        v1::Addresses::Tcp6(ends) => Some(of_v6(&ends)),
        v1::Addresses::Unknown => None,
    };
    Ok(Some(Proxied { ends, length: line.len() }))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Proxied>, Broken> {
    let header = match v2::Header::try_from(bytes) {
        Ok(header) => header,
        Err(error) if error.is_incomplete() && bytes.len() < MOST_BYTES => {
            return if told_length(bytes) > MOST_BYTES { Err(Broken::TooLong) } else { Ok(None) };
        }
        Err(error) if error.is_incomplete() => return Err(Broken::TooLong),
        Err(error) => return Err(Broken::V2(error)),
    };
    let length = header.len();
    if length > MOST_BYTES {
        return Err(Broken::TooLong);
    }
    let is_stream = header.protocol == v2::Protocol::Stream;
    let ends = match header.addresses {
        _ if header.command == v2::Command::Local || !is_stream => None,
        v2::Addresses::IPv4(ends) => Some(of_v4(&ends)),
        v2::Addresses::IPv6(ends) => Some(of_v6(&ends)),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    };
    if ends.is_some() {
        header.tlvs().try_for_each(|tlv| tlv.map(drop)).map_err(Broken::V2)?;
    }
    Ok(Some(Proxied { ends, length }))
}

/// How long a header of version 2 says to be; 0 before it does.
fn told_length(bytes: &[u8]) -> usize {
    match bytes.get(FIXED_V2 - 2..FIXED_V2) {
        Some(&[high, low]) => FIXED_V2 + usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    }
}

fn of_v4(ends: &v1::IPv4) -> Ends {
    Ends {
        client: (ends.source_address, ends.source_port).into(),
        destination: (ends.destination_address, ends.destination_port).into(),
    }
}

fn of_v6(ends: &v1::IPv6) -> Ends {
    Ends {
        client: (ends.source_address, ends.source_port).into(),
        destination: (ends.destination_address, ends.destination_port).into(),
    }
}

/// A header that says so.
pub fn write(version: Version, ends: Ends) -> Vec<u8> {
    let ends = alike(ends);
    match version {
        Version::V1 => v1::Addresses::from(ends).to_string().into_bytes(),
        Version::V2 => {
            let command = v2::Version::Two | v2::Command::Proxy;
            let header = v2::Builder::with_addresses(command, v2::Protocol::Stream, ends);
            // It fails only for more than fits: these are 52 bytes at most.
            header.build().unwrap_or_default()
        }
    }
}

/// Both of one family, as headers have them: mapped into IPv6 where they differ.
fn alike(ends: Ends) -> (SocketAddr, SocketAddr) {
    let mapped = |end: SocketAddr| match end.ip() {
        IpAddr::V4(ip) => SocketAddr::from((ip.to_ipv6_mapped(), end.port())),
        IpAddr::V6(_) => end,
    };
    if ends.client.is_ipv4() == ends.destination.is_ipv4() {
        (ends.client, ends.destination)
    } else {
        (mapped(ends.client), mapped(ends.destination))
    }
}

#[cfg(test)]
mod tests;
