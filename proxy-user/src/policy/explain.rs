//! The policy's answer for an address, and why.

use std::{fmt, net::IpAddr};

use proxy_common::{reason::Reason, verdict::Judgement};
use serde::{Deserialize, Serialize};

use super::{
    Policy,
    reasons::{Place, holder, layer},
};
use crate::config::{Access, AccessMode};

/// The answer for one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// v4-mapped addresses unwrapped.
    pub address: IpAddr,
    /// By the database, where it knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub country: Option<String>,
    /// Build date of the database; absent where none is loaded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub database_built: Option<String>,
    /// Why country rules do not apply, or that nothing denies it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exception: Option<String>,
    /// Where the URL leads that was asked about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<Lead>,
    /// For each service that was asked about.
    pub answers: Vec<Answer>,
}

/// Where a URL leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// The service of its host.
    pub service: String,
    /// What it meets there: a route, mostly.
    pub way: String,
    /// Where the route ends.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub targets: Vec<String>,
    /// How one signs in, in the order in which it is tried.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub authentication: Vec<String>,
}

/// The answer for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its name.
    pub service: String,
    /// Whether the address may reach it.
    pub allowed: bool,
    /// The enforced denial's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What a layer in `observe` mode would have denied for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed_reason: Option<String>,
    /// What each layer says, in the order of evaluation.
    pub because: Vec<String>,
}

impl Explanation {
    /// Whether every service that was asked about lets the address pass.
    pub fn allowed(&self) -> bool {
        self.answers.iter().all(|answer| answer.allowed)
    }
}

impl Policy {
    /// Explains the verdict for an address: for one service, or for each. `None`:
    /// there is no such service.
    pub fn explain(&self, service: Option<&str>, address: IpAddr) -> Option<Explanation> {
        let address = address.to_canonical();
        let asked: Vec<&(String, Access)> = match service {
            Some(name) => vec![self.accesses.iter().find(|(known, _)| known == name)?],
            None => self.accesses.iter().collect(),
        };
        let geo = self.geo.as_ref();
        let place = Place {
            address,
            exempt: self.exempting(address).is_some(),
            database: geo.is_some(),
            country: geo.and_then(|geo| geo.country(address)),
        };
        Some(Explanation {
            address,
            country: place.country.map(|country| country.to_string()),
            database_built: geo.map(|geo| geo.built().to_string()),
            exception: self.exception(address),
            url: None,
            answers: asked.into_iter().map(|(name, own)| self.answer(name, own, &place)).collect(),
        })
    }

    fn exempting(&self, address: IpAddr) -> Option<ipnet::IpNet> {
        let global = self.global_access.as_ref()?;
        let exempt = holder(&global.country_exempt, address)?;
        (!self.gateways.contains(&address)).then_some(exempt)
    }

    fn exception(&self, address: IpAddr) -> Option<String> {
        let global = self.global_access.as_ref()?;
        if let Some(net) = holder(&global.never_deny, address) {
            return Some(format!("never_deny_cidrs has {net}: nothing denies it"));
        }
        if let Some(net) = self.exempting(address) {
            return Some(format!("country_exempt_cidrs has {net}: country rules do not apply"));
        }
        holder(&global.country_exempt, address)?;
        Some("the address of a default gateway: never exempt from country rules".to_owned())
    }

    fn answer(&self, name: &str, own: &Access, place: &Place) -> Answer {
        let Judgement { denied, observed, .. } = self.judge(name, place.address);
        let text = |reason: Option<Reason>| reason.map(|reason| reason.as_str().to_owned());
        Answer {
            service: name.to_owned(),
            allowed: denied.is_none(),
            reason: text(denied),
            observed_reason: text(observed),
            because: self.because(name, own, place),
        }
    }

    fn because(&self, name: &str, own: &Access, place: &Place) -> Vec<String> {
        let Some(global) = &self.global_access else { return Vec::new() };
        if holder(&global.never_deny, place.address).is_some() {
            return Vec::new();
        }
        [("global_access".to_owned(), &global.access), (format!("service {name}"), own)]
            .iter()
            .map(|(shown, access)| {
                let (reason, why) = layer(access, place);
                let effect = match (reason, access.mode) {
                    (None, _) => String::new(),
                    (Some(reason), AccessMode::Enforce) => format!(" -> {}", reason.as_str()),
                    (Some(reason), AccessMode::Observe) => {
                        format!(" -> {}, only observed", reason.as_str())
                    }
                };
                format!("{shown}: {why}{effect}")
            })
            .collect()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let country = self.country.as_deref().unwrap_or("country unknown");
        match &self.database_built {
            Some(built) => writeln!(f, "{} ({country}; database of {built})", self.address)?,
            None => writeln!(f, "{} (no country database is loaded)", self.address)?,
        }
        if let Some(exception) = &self.exception {
            writeln!(f, "  {exception}")?;
        }
        if let Some(lead) = &self.url {
            writeln!(f, "  the URL leads to service {}, {}", lead.service, lead.way)?;
            if !lead.targets.is_empty() {
                writeln!(f, "  targets: {}", lead.targets.join(", "))?;
            }
            if !lead.authentication.is_empty() {
                writeln!(f, "  authentication: {}", lead.authentication.join(", "))?;
            }
        }
        for answer in &self.answers {
            match (&answer.reason, &answer.observed_reason) {
                (Some(reason), _) => writeln!(f, "{}: denied, {reason}", answer.service)?,
                (None, Some(observed)) => {
                    writeln!(f, "{}: allowed, observed {observed}", answer.service)?;
                }
                (None, None) => writeln!(f, "{}: allowed", answer.service)?,
            }
            for line in &answer.because {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}
