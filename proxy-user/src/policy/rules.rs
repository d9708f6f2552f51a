//! Restrictions in the form that the verdict reads.

use ipnet::IpNet;
use proxy_common::country::CountrySet;

/// What the prefixes of one layer say of an address: the union over every prefix that
/// contains it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CidrFlags(pub u16);

impl CidrFlags {
    /// No prefix contains the address.
    pub const NONE: Self = Self(0);
    /// In `allowed_cidrs`.
    pub const ALLOWED: Self = Self(1);
    /// In `blocked_cidrs`.
    pub const BLOCKED: Self = Self(1 << 1);
    /// Country rules do not apply (`country_exempt_cidrs`, less default gateways).
    pub const EXEMPT: Self = Self(1 << 2);
    /// In `never_deny_cidrs`.
    pub const NEVER_DENY: Self = Self(1 << 3);
    /// In `proxy_protocol.accept_from`.
    pub const PROXY: Self = Self(1 << 4);

    /// Whether every flag of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These flags less `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One layer of restrictions, but for its prefixes: the global one, or a service's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// See the constants of this type.
    pub flags: u32,
    /// `allowed_countries`.
    pub allowed_countries: CountrySet,
    /// `blocked_countries`.
    pub blocked_countries: CountrySet,
}

impl Rules {
    /// `allowed_cidrs` is set.
    pub const ALLOWED_CIDRS: u32 = 1;
    /// `allowed_countries` is set.
    pub const ALLOWED_COUNTRIES: u32 = 1 << 1;
    /// `blocked_countries` is set.
    pub const BLOCKED_COUNTRIES: u32 = 1 << 2;
    /// `match = "any"`.
    pub const MATCH_ANY: u32 = 1 << 3;
    /// `mode = "observe"`.
    pub const OBSERVE: u32 = 1 << 4;
    /// `proxy_protocol.accept_from` is set. Nothing is denied by it.
    pub const PROXIES: u32 = 1 << 5;

    /// Restricts nothing.
    pub const OPEN: Self = Self {
        flags: 0,
        allowed_countries: CountrySet::EMPTY,
        blocked_countries: CountrySet::EMPTY,
    };

    /// Whether any of `flags` is set.
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Whether a country list is set.
    pub const fn asks_country(&self) -> bool {
        self.has(Self::ALLOWED_COUNTRIES | Self::BLOCKED_COUNTRIES)
    }
}

/// A layer whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What it asks.
    pub rules: Rules,
    /// Its prefixes, in any order. Of several that contain an address the longest one answers.
    pub cidrs: Vec<(IpNet, CidrFlags)>,
}

impl Layer {
    /// Restricts nothing.
    pub const OPEN: Self = Self { rules: Rules::OPEN, cidrs: Vec::new() };
}
