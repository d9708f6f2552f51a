//! Certificates that nobody vouches for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{civil::Date, tz::TimeZone};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::{TlsError, kept::Kept, names::cover, pair::Pair};
use crate::record::Timestamp;

/// Of a new one.
const DAYS: i64 = 365;
/// What is left when it is replaced.
const REPLACED: Duration = Duration::from_hours(30 * 24);
/// Longest common name (RFC 5280, appendix A.1).
const LONGEST_NAME: usize = 64;

/// One for each domain that has no other, kept so that it is the same after a restart:
/// clients pin them.
#[derive(Debug)]
pub(super) struct SelfSigned {
    kept: Kept,
    pairs: HashMap<String, Arc<Pair>>,
    /// Why they could not be made or kept.
    fault: Option<String>,
}

impl SelfSigned {
    pub(super) fn new(kept: Kept) -> Self {
        Self { kept, pairs: HashMap::new(), fault: None }
    }

    /// Has one for each of these domains, and forgets the others.
    pub(super) fn provide(&mut self, domains: &[&str], now: Timestamp) {
        self.fault = None;
        let mut known = std::mem::take(&mut self.pairs);
        for domain in domains {
            let known = known.remove(*domain);
            if let Some(pair) = self.have(domain, known, now) {
                self.pairs.insert((*domain).to_owned(), pair);
            }
        }
    }

    /// By domain.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &Arc<Pair>)> {
        self.pairs.iter().map(|(domain, pair)| (domain.as_str(), pair))
    }

    /// That of a domain.
    pub(super) fn get(&self, domain: &str) -> Option<&Arc<Pair>> {
        self.pairs.get(domain)
    }

    /// Why one could not be made or kept.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn have(
        &mut self,
        domain: &str,
        known: Option<Arc<Pair>>,
        now: Timestamp,
    ) -> Option<Arc<Pair>> {
        let known = known.or_else(|| self.kept.load(domain).map(Arc::new));
        if let Some(pair) = known.filter(|pair| is_good(pair, domain, now)) {
            return Some(pair);
        }
        match self.make(domain, now) {
            Ok(pair) => Some(Arc::new(pair)),
            Err(error) => {
                self.fault = Some(error.to_string());
                None
            }
        }
    }

    /// One that cannot be kept is good until the next start.
    fn make(&mut self, domain: &str, now: Timestamp) -> Result<Pair, TlsError> {
        let pem =
            make(domain, now).map_err(|source| TlsError::Make { domain: domain.into(), source })?;
        self.fault = self.kept.put(domain, &pem).err().map(|error| error.to_string());
        self.kept.parse(domain, &pem)
    }
}

fn is_good(pair: &Pair, domain: &str, now: Timestamp) -> bool {
    let replaced = i64::try_from(REPLACED.as_millis()).unwrap_or(i64::MAX);
    let last = pair.validity.not_after.0.saturating_sub(replaced);
    cover(&pair.names, domain) && pair.validity.not_before <= now && now.0 < last
}

/// A certificate and its key (ECDSA, P-256), as PEM.
fn make(domain: &str, now: Timestamp) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    if domain.len() <= LONGEST_NAME {
        params.distinguished_name.push(DnType::CommonName, domain);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // From the day before: clocks of clients differ.
    [params.not_before, params.not_after] = [-1, DAYS].map(|days| {
        let date = date(now, days);
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    });
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// So many days from now.
fn date(now: Timestamp, days: i64) -> Date {
    let moment = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let today = moment.to_zoned(TimeZone::UTC).date();
    today.saturating_add(jiff::SignedDuration::from_hours(24 * days))
}
