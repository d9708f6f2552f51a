//! SPEC 3, a row each.

use proxy_common::reason::Reason::{self, CountryRestricted, GeoUnavailable, IpRestricted};

/// A policy and what it says of clients.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    /// Lines of `[global_access]`.
    pub(crate) global: &'static str,
    /// Lines of the service's `access`.
    pub(crate) own: &'static str,
    /// Whether the lab's database is loaded: `198.51.100.0/24` and `2001:db8:de::/48` are in
    /// Germany, `203.0.113.0/24` and `2001:db8:f0::/48` in France.
    pub(crate) database: bool,
    pub(crate) gateway: Option<&'static str>,
    pub(crate) clients: &'static [(&'static str, Said)],
}

/// What denies, and what is only observed.
pub(crate) type Said = (Option<Reason>, Option<Reason>);

const PASS: Said = (None, None);
const IP: Said = (Some(IpRestricted), None);
const COUNTRY: Said = (Some(CountryRestricted), None);
const GEO: Said = (Some(GeoUnavailable), None);

const ROW: Row = Row { what: "", global: "", own: "", database: true, gateway: None, clients: &[] };

pub(crate) const ROWS: [Row; 24] = [
    Row {
        what: "no restrictions",
        clients: &[("198.51.100.2", PASS), ("2001:db8:f0::2", PASS), ("9.9.9.9", PASS)],
        ..ROW
    },
    Row {
        what: "1: an allow list of prefixes",
        own: "allowed_cidrs = ['198.51.100.0/24', '203.0.113.7', '2001:db8:de::/48']",
        clients: &[
            ("198.51.100.0", PASS),
            ("198.51.100.77", PASS),
            ("198.51.100.255", PASS),
            ("198.51.101.0", IP),
            ("203.0.113.7", PASS),
            ("203.0.113.8", IP),
            ("2001:db8:de::77", PASS),
            ("2001:db8:df::", IP),
            ("10.0.0.1", IP),
        ],
        ..ROW
    },
    Row {
        what: "2: block beats allow, whichever is longer",
        own: "allowed_cidrs = ['198.51.0.0/16', '203.0.113.7/32']\n\
              blocked_cidrs = ['198.51.100.64/26', '203.0.113.0/24', '2001:db8:f0::/48']",
        clients: &[
            ("198.51.7.7", PASS),
            ("198.51.100.63", PASS),
            ("198.51.100.70", IP),
            ("198.51.100.128", PASS),
            ("203.0.113.7", IP),
            ("2001:db8:f0::1", IP),
        ],
        ..ROW
    },
    Row {
        what: "the families never match each other's prefixes",
        own: "blocked_cidrs = ['::/0']",
        clients: &[("198.51.100.2", PASS), ("2001:db8:de::2", IP), ("::1", IP)],
        ..ROW
    },
    Row {
        what: "nor the other way",
        own: "allowed_cidrs = ['0.0.0.0/0']",
        clients: &[("198.51.100.2", PASS), ("2001:db8:de::2", IP)],
        ..ROW
    },
    Row {
        what: "3: no database, an allow list of countries",
        own: "allowed_countries = ['DE']",
        database: false,
        clients: &[
            ("198.51.100.2", GEO),
            ("2001:db8:de::2", GEO),
            ("10.0.0.1", PASS),
            ("100.64.0.1", PASS),
            ("169.254.7.7", PASS),
            ("127.0.0.2", PASS),
            ("fd00::1", PASS),
            ("fe80::1", PASS),
        ],
        ..ROW
    },
    Row {
        what: "3: no database, a block list of countries",
        own: "blocked_countries = ['FR']",
        database: false,
        clients: &[("198.51.100.2", GEO), ("2001:db8:de::2", GEO), ("192.168.0.1", PASS)],
        ..ROW
    },
    Row {
        what: "1 and 2 come before 3",
        own: "allowed_cidrs = ['198.51.100.0/24']\nblocked_cidrs = ['198.51.100.64/26']\n\
              allowed_countries = ['DE']",
        database: false,
        clients: &[("203.0.113.2", IP), ("198.51.100.70", IP), ("198.51.100.2", GEO)],
        ..ROW
    },
    Row {
        what: "4: an allow list of countries, unknown is not in it",
        own: "allowed_countries = ['de']",
        clients: &[
            ("198.51.100.2", PASS),
            ("2001:db8:de::2", PASS),
            ("203.0.113.2", COUNTRY),
            ("2001:db8:f0::2", COUNTRY),
            ("9.9.9.9", COUNTRY),
            ("10.77.0.2", PASS),
        ],
        ..ROW
    },
    Row {
        what: "5: a block list of countries, unknown passes",
        own: "blocked_countries = ['FR']",
        clients: &[
            ("198.51.100.2", PASS),
            ("203.0.113.2", COUNTRY),
            ("2001:db8:f0::2", COUNTRY),
            ("9.9.9.9", PASS),
            ("10.77.0.2", PASS),
        ],
        ..ROW
    },
    Row {
        what: "4 and 5: a country in both lists is blocked",
        own: "allowed_countries = ['DE', 'FR']\nblocked_countries = ['FR']",
        clients: &[("198.51.100.2", PASS), ("203.0.113.2", COUNTRY), ("9.9.9.9", COUNTRY)],
        ..ROW
    },
    Row {
        what: "all: prefixes and countries must both pass",
        own: "allowed_cidrs = ['198.51.100.0/25', '203.0.113.0/24']\nallowed_countries = ['DE']",
        clients: &[("198.51.100.2", PASS), ("198.51.100.200", IP), ("203.0.113.2", COUNTRY)],
        ..ROW
    },
    Row {
        what: "any: an allowed prefix or an allowed country",
        own: "match = 'any'\nallowed_cidrs = ['203.0.113.7']\nallowed_countries = ['DE']",
        clients: &[
            ("198.51.100.2", PASS),
            ("203.0.113.7", PASS),
            ("203.0.113.8", IP),
            ("9.9.9.9", IP),
            ("10.0.0.1", PASS),
        ],
        ..ROW
    },
    Row {
        what: "any, countries alone",
        own: "match = 'any'\nallowed_countries = ['DE']",
        clients: &[("198.51.100.2", PASS), ("203.0.113.2", COUNTRY)],
        ..ROW
    },
    Row {
        what: "any: both block lists come first",
        own: "match = 'any'\nallowed_cidrs = ['203.0.113.0/24', '198.51.100.0/24']\n\
              blocked_cidrs = ['198.51.100.64/26']\nblocked_countries = ['FR']",
        clients: &[("198.51.100.2", PASS), ("198.51.100.70", IP), ("203.0.113.7", COUNTRY)],
        ..ROW
    },
    Row {
        what: "any, no database: an allowed prefix needs none",
        own: "match = 'any'\nallowed_cidrs = ['203.0.113.7']\nallowed_countries = ['DE']",
        database: false,
        clients: &[("203.0.113.7", PASS), ("198.51.100.2", GEO), ("192.168.7.7", PASS)],
        ..ROW
    },
    Row {
        what: "any, no database: a block list of countries needs one",
        own: "match = 'any'\nallowed_cidrs = ['203.0.113.7']\nblocked_countries = ['KP']",
        database: false,
        clients: &[("203.0.113.7", GEO), ("10.0.0.1", IP)],
        ..ROW
    },
    Row {
        what: "observe denies nothing and says what it would have",
        own: "mode = 'observe'\nallowed_countries = ['DE']\nblocked_cidrs = ['198.51.100.64/26']",
        clients: &[
            ("198.51.100.2", PASS),
            ("198.51.100.70", (None, Some(IpRestricted))),
            ("203.0.113.2", (None, Some(CountryRestricted))),
        ],
        ..ROW
    },
    Row {
        what: "both layers must pass",
        global: "blocked_countries = ['FR']",
        own: "allowed_cidrs = ['198.51.100.0/24', '203.0.113.0/24']",
        clients: &[("198.51.100.2", PASS), ("203.0.113.2", COUNTRY), ("9.9.9.9", IP)],
        ..ROW
    },
    Row {
        what: "an enforced denial of one layer beats an observed one of the other",
        global: "mode = 'observe'\nblocked_countries = ['FR']",
        own: "blocked_cidrs = ['203.0.113.64/26']",
        clients: &[
            ("203.0.113.2", (None, Some(CountryRestricted))),
            ("203.0.113.70", IP),
            ("198.51.100.2", PASS),
        ],
        ..ROW
    },
    Row {
        what: "never_deny_cidrs pass everything",
        global: "never_deny_cidrs = ['203.0.113.7', '2001:db8:f0::7']\n\
                 blocked_cidrs = ['203.0.113.0/24']",
        own: "allowed_countries = ['DE']",
        clients: &[("203.0.113.7", PASS), ("203.0.113.8", IP), ("2001:db8:f0::7", PASS)],
        ..ROW
    },
    Row {
        what: "a default gateway is never exempt",
        own: "allowed_countries = ['DE']",
        gateway: Some("10.77.0.1"),
        clients: &[("10.77.0.2", PASS), ("10.77.0.1", COUNTRY)],
        ..ROW
    },
    Row {
        what: "exempt prefixes of one's own",
        global: "country_exempt_cidrs = ['203.0.113.0/28']",
        own: "allowed_countries = ['DE']",
        clients: &[("203.0.113.2", PASS), ("203.0.113.20", COUNTRY), ("10.0.0.1", PASS)],
        ..ROW
    },
    Row {
        what: "exempt prefixes without the default ones",
        global: "country_exempt_defaults = false",
        own: "allowed_countries = ['DE']",
        clients: &[("10.0.0.1", COUNTRY), ("198.51.100.2", PASS)],
        ..ROW
    },
];
