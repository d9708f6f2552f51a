//! One country database, whole in memory.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions, path};
use proxy_common::country::{Country, CountrySet};
use serde::de::IgnoredAny;

use crate::record::{Location, Timestamp};

type Found<'a> = LookupResult<'a, Vec<u8>>;

/// A country database in MaxMind's City or Country schema, or the flat one with
/// `country_code`.
pub struct Database {
    reader: Reader<Vec<u8>>,
    identity: u64,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file cannot be read.
    #[error("country database {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no database, or a damaged one.
    #[error("country database {path} is damaged or no MMDB file: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: MaxMindDbError,
    },
    /// It holds something else.
    #[error(
        "country database {path} yields no country for any prefix: its schema is {schema:?}; \
         MaxMind's City or Country, or a flat country_code, is needed"
    )]
    NoCountry {
        /// The file.
        path: PathBuf,
        /// Its own name for what it holds.
        schema: String,
    },
}

static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(1);

impl Database {
    /// Reads a database.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or knows no countries.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let bytes =
            fs::read(path).map_err(|source| GeoError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(bytes, path)
    }

    /// Takes a database that is in memory; `path` is for messages.
    pub(super) fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Self, GeoError> {
        let damaged = |source| GeoError::Damaged { path: path.to_owned(), source };
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        let database = Self { reader, identity: NEXT_IDENTITY.fetch_add(1, Relaxed) };
        if !database.has_countries().map_err(damaged)? {
            let schema = database.schema().to_owned();
            return Err(GeoError::NoCountry { path: path.to_owned(), schema });
        }
        Ok(database)
    }

    /// Reads every record once. The reader's own `verify` also wants metadata that
    /// databases in the field leave out, such as a description.
    fn has_countries(&self) -> Result<bool, MaxMindDbError> {
        let mut seen = HashSet::new();
        let mut has_countries = false;
        for found in self.reader.networks(WithinOptions::default())? {
            let found = found?;
            if found.offset().is_some_and(|offset| seen.insert(offset)) {
                found.decode::<IgnoredAny>()?;
                has_countries |= country_of(&found).is_some();
            }
        }
        Ok(has_countries)
    }

    /// Changes with each load.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// The database's own name for what it holds.
    pub fn schema(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built.
    pub fn built(&self) -> Timestamp {
        let seconds = i64::try_from(self.reader.metadata().build_epoch).unwrap_or(0);
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Where an address is: `country.iso_code`, never the registered one.
    pub fn locate(&self, address: IpAddr) -> Location {
        let Some(found) = self.find(address) else { return Location::default() };
        Location {
            country: country_of(&found),
            city: text(&found, &path!["city", "names", "en"]).unwrap_or("").into(),
            subdivision: text(&found, &path!["subdivisions", 0, "iso_code"]).unwrap_or("").into(),
        }
    }

    /// The country of an address.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        country_of(&self.find(address)?)
    }

    /// IPv4 and IPv6 never match each other: what a database holds at `::/96` is
    /// IPv4's.
    fn find(&self, address: IpAddr) -> Option<Found<'_>> {
        let address = address.to_canonical();
        if matches!(address, IpAddr::V6(v6) if low().contains(&v6)) {
            return None;
        }
        self.reader.lookup(address).ok().filter(LookupResult::has_data)
    }

    /// The prefixes that lie in one of `countries`, disjoint: an address is in one
    /// of them just where [`Self::country`] says so.
    pub fn prefixes_of(&self, countries: &CountrySet) -> Vec<(IpNet, Country)> {
        let mut known = HashMap::new();
        let mut prefixes = Vec::new();
        let all = WithinOptions::default().include_aliased_networks();
        for whole in [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())] {
            let Ok(range) = whole.to_string().parse() else { continue };
            // A database of IPv4 alone has nothing within ::/0.
            let Ok(networks) = self.reader.within(range, all) else { continue };
            for found in networks.flatten() {
                let country = *known
                    .entry(found.offset())
                    .or_insert_with(|| country_of(&found).filter(|c| countries.contains(*c)));
                let (Some(country), Ok(net)) = (country, found.network()) else { continue };
                let Ok(net) = IpNet::new(net.ip(), net.prefix()) else { continue };
                prefixes.extend(parts(net, whole).into_iter().map(|net| (net, country)));
            }
        }
        prefixes
    }
}

/// What of a network of the tree belongs to a family.
fn parts(net: IpNet, whole: IpNet) -> Vec<IpNet> {
    match (net, whole) {
        // One record for more than all of IPv4.
        (IpNet::V6(_), IpNet::V4(_)) => vec![whole],
        (IpNet::V4(_), IpNet::V6(_)) => Vec::new(),
        (IpNet::V6(v6), IpNet::V6(_)) if mapped().contains(&v6) || low().contains(&v6) => {
            Vec::new()
        }
        (IpNet::V6(v6), IpNet::V6(_)) if v6.contains(&low()) => around_low(v6),
        _ => vec![net],
    }
}

/// `net` less `::/96`, which it contains: one sibling for each bit between.
fn around_low(net: Ipv6Net) -> Vec<IpNet> {
    (net.prefix_len() + 1..=96)
        .filter_map(|length| {
            let sibling = Ipv6Addr::from(1u128 << (128 - length));
            Ipv6Net::new(sibling, length).ok().map(IpNet::V6)
        })
        .collect()
}

fn low() -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96)
}

fn mapped() -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96)
}

fn country_of(found: &Found<'_>) -> Option<Country> {
    let code = text(found, &path!["country", "iso_code"]);
    let code = code.or_else(|| text(found, &path!["country_code"]))?;
    Country::from_code(code.as_bytes())
}

/// A string of the record; one of another type is as good as none.
fn text<'a>(found: &Found<'a>, path: &[PathElement<'_>]) -> Option<&'a str> {
    found.decode_path::<&str>(path).ok().flatten()
}
