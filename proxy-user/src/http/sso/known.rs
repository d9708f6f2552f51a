//! What is known of a provider: its endpoints and keys, and how to ask it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use openidconnect::{
    AuthType, ClientId, ClientSecret, DiscoveryError, IssuerUrl,
    core::{CoreClientAuthMethod, CoreJwsSigningAlgorithm, CoreProviderMetadata},
};
use tokio::task::spawn_blocking;

use super::{
    error::SsoError,
    oidc::Client,
    web::{Web, WebError},
};
use crate::config::SsoProvider;

const FRESH: Duration = Duration::from_hours(24);

/// What a provider says of itself (OpenID Connect Discovery, 4).
pub(super) struct Known {
    pub(super) client: Client,
    pub(super) web: Web,
    /// With what ID tokens may be signed.
    pub(super) algorithms: Vec<CoreJwsSigningAlgorithm>,
    pub(super) has_userinfo: bool,
    fetched: Instant,
}

impl Known {
    /// Asks the provider.
    pub(super) async fn fetch(provider: &Arc<SsoProvider>) -> Result<Self, SsoError> {
        let url = IssuerUrl::new(provider.issuer.clone())
            .map_err(|error| SsoError::invalid(provider, error))?;
        let owned = Arc::clone(provider);
        let built = spawn_blocking(move || Web::new(&owned)).await;
        let built = built.map_err(|error| SsoError::Host(error.to_string()))?;
        let web = built.map_err(|error| SsoError::unreachable(provider, error))?;
        let metadata = CoreProviderMetadata::discover_async(url, &web)
            .await
            .map_err(|error| undiscovered(provider, error))?;
        Self::new(provider, web, metadata)
    }

    /// What a provider that says this of itself is asked with.
    pub(super) fn new(
        provider: &SsoProvider,
        web: Web,
        metadata: CoreProviderMetadata,
    ) -> Result<Self, SsoError> {
        let token = metadata.token_endpoint().cloned();
        let token = token.ok_or_else(|| SsoError::invalid(provider, "it has no token endpoint"))?;
        let algorithms = algorithms(&metadata);
        let has_userinfo = metadata.userinfo_endpoint().is_some();
        let auth_type = auth_type(&metadata);
        let client = openidconnect::Client::from_provider_metadata(
            metadata,
            ClientId::new(provider.client_id.clone()),
            Some(ClientSecret::new(provider.client_secret.clone())),
        );
        let client = client.set_token_uri(token).set_auth_type(auth_type);
        Ok(Self { client, web, algorithms, has_userinfo, fetched: Instant::now() })
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.fetched) < FRESH
    }
}

/// Those of the provider's that need its private key: with the client's secret everyone
/// who knows it could sign.
fn algorithms(metadata: &CoreProviderMetadata) -> Vec<CoreJwsSigningAlgorithm> {
    use CoreJwsSigningAlgorithm as Alg;
    let own = metadata.id_token_signing_alg_values_supported().iter();
    let symmetric =
        |alg: &Alg| matches!(alg, Alg::HmacSha256 | Alg::HmacSha384 | Alg::HmacSha512 | Alg::None);
    own.filter(|alg| !symmetric(alg)).cloned().collect()
}

/// How the secret is told: as the provider wants it, by HTTP Basic where it does not say
/// (OpenID Connect Core, 9).
fn auth_type(metadata: &CoreProviderMetadata) -> AuthType {
    let methods = metadata.token_endpoint_auth_methods_supported();
    let has = |wanted| methods.is_none_or(|methods| methods.contains(&wanted));
    let post = !has(CoreClientAuthMethod::ClientSecretBasic)
        && has(CoreClientAuthMethod::ClientSecretPost);
    if post { AuthType::RequestBody } else { AuthType::BasicAuth }
}

fn undiscovered(provider: &SsoProvider, error: DiscoveryError<WebError>) -> SsoError {
    match error {
        DiscoveryError::Request(error) => SsoError::unreachable(provider, error),
        DiscoveryError::Response(_, _, why) => SsoError::unreachable(provider, why),
        DiscoveryError::Parse(error) => {
            SsoError::unreachable(provider, format!("its configuration cannot be read: {error}"))
        }
        DiscoveryError::Validation(why) => SsoError::invalid(provider, why),
        other => SsoError::invalid(provider, other),
    }
}
