//! Frames, built so that a test names only what differs.

use std::net::IpAddr;

use proxy_common::{
    address::{PROTOCOL_TCP, PROTOCOL_UDP},
    packet::Segment,
};

/// A TCP or UDP frame.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) from_port: u16,
    pub(crate) to_port: u16,
    /// IP protocol number.
    pub(crate) protocol: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) flags: u8,
    pub(crate) payload: usize,
    /// Of the datagram's payload, what is not in this fragment.
    pub(crate) absent: usize,
    /// VLAN tags, outermost first.
    pub(crate) tags: Vec<u16>,
    /// IPv4 options, or IPv6 extension headers with their numbers.
    pub(crate) options: Vec<u8>,
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    /// IPv4 fragment field: flags and offset.
    pub(crate) fragment: u16,
    /// Without a link layer.
    pub(crate) bare: bool,
}

/// A SYN from `from` to port 22 of `to`.
pub(crate) fn syn(from: &str, to: &str) -> Frame {
    Frame {
        from: from.parse().expect("an address"),
        to: to.parse().expect("an address"),
        from_port: 40_000,
        to_port: 22,
        protocol: PROTOCOL_TCP,
        sequence: 7,
        acknowledgment: 0,
        flags: Segment::SYN,
        payload: 0,
        absent: 0,
        tags: Vec::new(),
        options: Vec::new(),
        extensions: Vec::new(),
        fragment: 0,
        bare: false,
    }
}

/// A datagram from `from` to port 53 of `to`, without payload.
pub(crate) fn datagram(from: &str, to: &str) -> Frame {
    Frame { to_port: 53, protocol: PROTOCOL_UDP, ..syn(from, to) }
}

impl Frame {
    /// The same flow, the other way.
    pub(crate) fn reply(&self) -> Self {
        Self {
            from: self.to,
            to: self.from,
            from_port: self.to_port,
            to_port: self.from_port,
            ..self.clone()
        }
    }

    /// With so much payload.
    pub(crate) fn with(&self, payload: usize) -> Self {
        Self { payload, ..self.clone() }
    }

    /// With these TCP fields.
    pub(crate) fn segment(
        &self,
        flags: u8,
        sequence: u32,
        acknowledgment: u32,
        payload: usize,
    ) -> Self {
        Self { sequence, acknowledgment, flags, payload, ..self.clone() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        let kind = if self.from.is_ipv4() { 0x0800u16 } else { 0x86dd };
        if !self.bare {
            frame.extend([0; 12]);
            for tag in &self.tags {
                frame.extend(tag.to_be_bytes());
                frame.extend([0, 5]);
            }
            frame.extend(kind.to_be_bytes());
        }
        let transport = self.transport();
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let header = 20 + self.options.len();
                frame.push(0x40 | u8::try_from(header / 4).expect("short"));
                frame.push(0);
                frame.extend(u16::try_from(header + transport.len()).expect("short").to_be_bytes());
                frame.extend([0, 0]);
                frame.extend(self.fragment.to_be_bytes());
                frame.extend([64, self.protocol, 0, 0]);
                frame.extend(from.octets());
                frame.extend(to.octets());
                frame.extend(&self.options);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let (first, extensions) = self.chain();
                frame.extend([0x60, 0, 0, 0]);
                frame.extend(
                    u16::try_from(extensions.len() + transport.len()).expect("short").to_be_bytes(),
                );
                frame.extend([first, 64]);
                frame.extend(from.octets());
                frame.extend(to.octets());
                frame.extend(extensions);
            }
            _ => panic!("two families in one frame"),
        }
        frame.extend(transport);
        frame
    }

    /// The first next-header number, and the extension headers linked.
    fn chain(&self) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        for (index, (_, body)) in self.extensions.iter().enumerate() {
            bytes.push(self.extensions.get(index + 1).map_or(self.protocol, |(number, _)| *number));
            bytes.extend(body);
        }
        (self.extensions.first().map_or(self.protocol, |(number, _)| *number), bytes)
    }

    /// Header and payload.
    fn transport(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.from_port.to_be_bytes());
        bytes.extend(self.to_port.to_be_bytes());
        if self.protocol == PROTOCOL_UDP {
            let length = u16::try_from(8 + self.payload + self.absent).expect("short");
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, 0]);
        } else {
            bytes.extend(self.sequence.to_be_bytes());
            bytes.extend(self.acknowledgment.to_be_bytes());
            bytes.extend([5 << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        }
        bytes.resize(bytes.len() + self.payload, 0xaa);
        bytes
    }
}
