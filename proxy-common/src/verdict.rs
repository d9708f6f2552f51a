//! What is said of an address at a service, as the daemon works it out and the kernel
//! programs read it.

use crate::reason::Reason;

/// What was decided about an address, and what an observing layer would have
/// decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The enforced denial.
    pub denied: Option<Reason>,
    /// What a layer in `observe` mode would have denied for.
    pub observed: Option<Reason>,
    /// A country rule was asked and did not apply to this address.
    pub country_exempt: bool,
}

/// What is said of every address of a class at one service, in a number.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Verdict(pub u16);

/// Bits of a reason, of those that the kernel denies for.
const REASON_BITS: u32 = crate::reason::KERNEL_REASONS.ilog2();
const REASON_MASK: u16 = (1 << REASON_BITS) - 1;
const OBSERVED: u32 = REASON_BITS;
const OF_PROXY: u32 = 2 * REASON_BITS;
const EXEMPT: u16 = 1 << (4 * REASON_BITS);
const MUST_INTRODUCE: u16 = EXEMPT << 1;

impl Verdict {
    /// From the judgement of a client; that of an address that others stand behind, which is
    /// never exempt from country rules; and whether a peer there must send a PROXY header.
    pub const fn new(client: Judgement, proxy: Judgement, must_introduce: bool) -> Self {
        let exempt = if client.country_exempt { EXEMPT } else { 0 };
        let introduced = if must_introduce { MUST_INTRODUCE } else { 0 };
        Self(both(client) | both(proxy) << OF_PROXY | exempt | introduced)
    }

    /// Of a client.
    #[inline(always)]
    pub const fn client(self) -> Judgement {
        Judgement { country_exempt: self.0 & EXEMPT != 0, ..self.at(0) }
    }

    /// Of an address that others stand behind.
    #[inline(always)]
    pub const fn proxy(self) -> Judgement {
        self.at(OF_PROXY)
    }

    /// What the kernel programs say of a peer: as [`Self::client`], but one that must send a
    /// PROXY header passes. It is not the client: the relay judges the address that its header
    /// names.
    #[inline(always)]
    pub const fn peer(self) -> Judgement {
        if self.0 & MUST_INTRODUCE != 0 {
            return Judgement { denied: None, observed: None, country_exempt: false };
        }
        self.client()
    }

    #[inline(always)]
    const fn at(self, bit: u32) -> Judgement {
        Judgement {
            denied: reason(self.0 >> bit),
            observed: reason(self.0 >> (bit + OBSERVED)),
            country_exempt: false,
        }
    }
}

#[inline(always)]
const fn reason(bits: u16) -> Option<Reason> {
    Reason::from_number((bits & REASON_MASK) as u8)
}

const fn both(judgement: Judgement) -> u16 {
    number(judgement.denied) | number(judgement.observed) << OBSERVED
}

/// No policy denies for another reason than the kernel's.
const fn number(reason: Option<Reason>) -> u16 {
    match reason {
        Some(reason) => reason as u16 & REASON_MASK,
        None => 0,
    }
}
