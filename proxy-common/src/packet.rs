//! What the parser finds in a frame.

use crate::address::{Address, FlowKey};

/// What policy and accounting read of a TCP segment, or of a UDP datagram: of that, its
/// payload and packets, and the rest is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number, host byte order (RFC 9293, 3.1).
    pub sequence: u32,
    /// Acknowledgment number, host byte order; meaningful with [`Segment::ACK`].
    pub acknowledgment: u32,
    /// Payload bytes, over all wire packets of a merged one; a datagram's over all of its
    /// fragments.
    pub payload: u32,
    /// Packets on the wire: more than one where the kernel merged them, or where a
    /// datagram is in fragments, of which this is the first.
    pub packets: u16,
    /// The low eight flag bits of the TCP header.
    pub flags: u8,
    /// Zero.
    pub pad: u8,
}

impl Segment {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 1 << 1;
    /// Reset the connection.
    pub const RST: u8 = 1 << 2;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 1 << 4;

    /// Whether all of `flags` are set.
    #[inline(always)]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Whether this opens a connection: SYN without ACK.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK | Self::RST) == Self::SYN
    }

    /// Sequence space that the segment takes: payload, SYN and FIN.
    #[inline(always)]
    pub const fn space(&self) -> u32 {
        self.payload + self.has(Self::SYN) as u32 + self.has(Self::FIN) as u32
    }
}

/// One TCP or UDP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Host byte order.
    pub source_port: u16,
    /// Host byte order.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Hops that are left of a packet that can be sent on as it is: whole, its IP header
    /// without options or extensions. Of others 0.
    pub hops: u8,
    /// The transport's part.
    pub segment: Segment,
}

impl Packet {
    /// The flow, for a packet on its way in.
    #[inline(always)]
    pub const fn key_inbound(&self) -> FlowKey {
        FlowKey {
            client: self.source,
            service: self.destination,
            client_port: self.source_port,
            service_port: self.destination_port,
            protocol: self.protocol as u32,
        }
    }

    /// The flow, for a packet on its way out.
    #[inline(always)]
    pub const fn key_outbound(&self) -> FlowKey {
        FlowKey {
            client: self.destination,
            service: self.source,
            client_port: self.destination_port,
            service_port: self.source_port,
            protocol: self.protocol as u32,
        }
    }
}
