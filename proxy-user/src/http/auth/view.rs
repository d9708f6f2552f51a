//! The configuration, as far as authentication looks things up in it.

use std::sync::Arc;

use super::{
    secrets::Fingerprint,
    session::{Holder, Session},
};
use crate::{
    config::{Auth, Service, SsoProvider, SsoRule},
    record::KeyedMap,
};

/// Services that ask who comes, by name.
#[derive(Default)]
pub(super) struct View(KeyedMap<String, Arc<Service>>);

impl View {
    pub(super) fn new(services: &[Arc<Service>]) -> Self {
        let asks = |service: &&Arc<Service>| service.web().is_some_and(|web| web.auth.is_some());
        let named = |service: &Arc<Service>| (service.name.clone(), Arc::clone(service));
        Self(services.iter().filter(asks).map(named).collect())
    }

    pub(super) fn auth(&self, service: &str) -> Option<&Auth> {
        self.0.get(service)?.web()?.auth.as_ref()
    }

    /// Every provider, once.
    pub(super) fn providers(&self) -> Vec<Arc<SsoProvider>> {
        let services = self.0.values().filter_map(|service| service.web()?.auth.as_ref());
        let mut providers: Vec<Arc<SsoProvider>> = services
            .filter_map(|auth| auth.sso.as_ref())
            .map(|rule| Arc::clone(&rule.provider))
            .collect();
        providers.sort_by(|a, b| a.name.cmp(&b.name));
        providers.dedup_by(|a, b| a.name == b.name);
        providers
    }

    /// Whether a provider has its common callback at that host.
    pub(super) fn is_callback_host(&self, host: &str) -> bool {
        let providers = self.providers();
        let mut hosts = providers.iter().filter_map(|provider| provider.callback_host());
        hosts.any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// Whether what opened the session still is what opens the service.
pub(super) fn opens(auth: &Auth, session: &Session) -> bool {
    let secret = match session.holder {
        Holder::Password => auth.password.as_ref().map(Fingerprint::of_secret),
        Holder::Pin => auth.pin.as_ref().map(Fingerprint::of_secret),
        Holder::User(_) => provider(auth).map(|provider| Fingerprint::of_provider(provider)),
    };
    secret == Some(session.facts.secret)
}

/// Who signs users in, where somebody does.
pub(super) fn provider(auth: &Auth) -> Option<&Arc<SsoProvider>> {
    auth.sso.as_ref().map(|SsoRule { provider, .. }| provider)
}
