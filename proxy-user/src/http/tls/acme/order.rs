//! One order: from asking for a certificate to having it (RFC 8555, 7.4).

use std::{sync::Arc, time::Duration};

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeHandle, ChallengeType, Error,
    Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::{
    config::AcmeChallenge,
    http::tls::{
        TlsError,
        challenges::{Challenges, Presented},
    },
};

/// For the authority to look at us, and for it to sign: some look from several places, and
/// try again before they give up.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_mins(2)).backoff(1.5);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error(transparent)]
    Authority(#[from] Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the request cannot be made: {0}")]
    Request(#[from] rcgen::Error),
    #[error("the authority offers no challenge of type {0}")]
    NoChallenge(&'static str),
    #[error("the authority could not validate the domain: {0}")]
    Invalid(String),
    #[error("the authority's digest has another length")]
    Digest,
}

/// Orders a certificate for a domain: key and chain, as PEM.
pub(super) async fn order(
    account: &Account,
    domain: &str,
    kind: AcmeChallenge,
    challenges: &Arc<Challenges>,
) -> Result<String, OrderError> {
    let identifiers = [Identifier::Dns(domain.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let presented = authorize(&mut order, domain, kind, challenges).await?;
    if order.state().status != OrderStatus::Ready {
        let status = order.poll_ready(&PATIENCE).await;
        if !matches!(status, Ok(OrderStatus::Ready)) {
            return Err(reason(&mut order, status).await);
        }
    }
    drop(presented);
    let key = KeyPair::generate()?;
    order.finalize_csr(&request(domain, &key)?).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

/// Presents answers and says that they are there. They are as long as what is returned.
async fn authorize(
    order: &mut Order,
    domain: &str,
    kind: AcmeChallenge,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Presented>, OrderError> {
    let (wanted, name) = match kind {
        AcmeChallenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
        AcmeChallenge::Http01 => (ChallengeType::Http01, "http-01"),
    };
    let mut presented = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization: AuthorizationHandle<'_> = authorization?;
        // One that an earlier order went through is good for a while.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let challenge = authorization.challenge(wanted.clone());
        let mut challenge = challenge.ok_or(OrderError::NoChallenge(name))?;
        presented.push(present(&challenge, domain, kind, challenges)?);
        challenge.set_ready().await?;
    }
    Ok(presented)
}

fn present(
    challenge: &ChallengeHandle<'_>,
    domain: &str,
    kind: AcmeChallenge,
    challenges: &Arc<Challenges>,
) -> Result<Presented, OrderError> {
    let authorization = challenge.key_authorization();
    match kind {
        AcmeChallenge::Http01 => {
            Ok(challenges.present_token(&challenge.token, authorization.as_str()))
        }
        AcmeChallenge::TlsAlpn01 => {
            let digest = authorization.digest();
            let digest = digest.as_ref().try_into().map_err(|_| OrderError::Digest)?;
            Ok(challenges.present_certificate(domain, digest)?)
        }
    }
}

/// What the authority found, which the order itself does not say.
async fn reason(order: &mut Order, status: Result<OrderStatus, Error>) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(found) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref())
        {
            return OrderError::Invalid(found.to_string());
        }
    }
    match status {
        Err(error) => OrderError::Authority(error),
        Ok(status) => OrderError::Invalid(format!("the order is {status:?}")),
    }
}

fn request(domain: &str, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new(vec![domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
