//! Debug logging: what became of each packet, in builds with the feature `log`. Others
//! hold nothing of it.
//!
//! A line takes as much of the stack as a verdict. So with the feature a verdict is a
//! function of its own, which notes the packet in a map, and the line is put together
//! from there when that has returned.

#[cfg(not(feature = "log"))]
pub use none::{line, note};
#[cfg(feature = "log")]
pub use some::{line, note};

#[cfg(not(feature = "log"))]
mod none {
    use proxy_common::{outcome::Outcome, packet::Packet};

    #[inline(always)]
    pub fn note(_packet: &Packet) {}

    #[inline(always)]
    pub fn line(_outcome: Outcome) {}
}

#[cfg(feature = "log")]
mod some {
    use core::{hint::black_box, str::from_utf8_unchecked};

    use aya_ebpf::{macros::map, maps::PerCpuArray};
    use aya_log_ebpf::debug;
    use proxy_common::{address::PROTOCOL_UDP, outcome::Outcome, packet::Packet};

    /// The packet under way.
    #[map]
    static PACKET: PerCpuArray<Packet> = PerCpuArray::with_max_entries(1, 0);

    /// Length of a name. All are of one: the verifier follows every length that a line can
    /// have to its end.
    const WIDTH: usize = 16;

    /// Names of all outcomes, and empty ones where the number's bits lead further.
    static NAMES: [[u8; WIDTH]; 32] = {
        let mut names = [[b' '; WIDTH]; 32];
        let mut number = 0;
        while number < Outcome::ALL.len() {
            let name = Outcome::ALL[number].as_str().as_bytes();
            names[number].split_at_mut(name.len()).0.copy_from_slice(name);
            number += 1;
        }
        names
    };

    /// Keeps a packet for its line.
    #[inline(always)]
    pub fn note(packet: &Packet) {
        if let Some(noted) = PACKET.get_ptr_mut(0) {
            // SAFETY: this CPU's own map value, valid for the program's run.
            unsafe { noted.write(*packet) };
        }
    }

    /// Logs what became of the packet that was noted, if it was Weir's.
    #[inline(always)]
    pub fn line(outcome: Outcome) {
        // Of what is no packet none was noted.
        if matches!(outcome, Outcome::NotOurs | Outcome::LaterFragment | Outcome::NoTransport) {
            return;
        }
        let Some(packet) = PACKET.get(0) else { return };
        debug!(
            (),
            target: "weir_ebpf",
            "{} {} {:i} port {} to {:i} port {}, flags 0x{:x}",
            name(outcome),
            protocol(packet),
            packet.source.octets(),
            packet.source_port,
            packet.destination.octets(),
            packet.destination_port,
            packet.segment.flags
        );
    }

    /// Names of one length, as those of outcomes.
    #[inline(always)]
    fn protocol(packet: &Packet) -> &'static str {
        if packet.protocol == PROTOCOL_UDP { "udp" } else { "tcp" }
    }

    #[inline(always)]
    fn name(outcome: Outcome) -> &'static str {
        // LLVM would leave out a bound that it can prove, and the verifier needs it.
        let number = black_box(outcome as usize) & 31;
        // SAFETY: names are ASCII.
        unsafe { from_utf8_unchecked(&NAMES[number]) }
    }
}
