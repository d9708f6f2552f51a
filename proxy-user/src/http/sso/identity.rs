//! From tokens to the user: the ID token is verified (OpenID Connect Core, 3.1.3.7), and
//! what it does not tell is asked for.

use std::sync::Arc;

use chrono::DateTime;
use openidconnect::{
    ClaimsVerificationError, Nonce, NonceVerifier as _, OAuth2TokenResponse as _,
    SignatureVerificationError, SubjectIdentifier, TokenResponse as _, UserInfoError,
};

use super::{
    error::SsoError,
    issuer::Issuer,
    known::Known,
    oidc::{IdToken, IdTokenClaims, Tokens, UserInfo},
    told::Told,
    user::User,
    web::WebError,
};
use crate::{config::SsoProvider, record::Timestamp};

/// By which the provider's clock may be behind.
const LEEWAY_MS: i64 = 60_000;

/// What tokens must be about.
#[derive(Clone, Copy)]
pub(super) enum Expected<'a> {
    /// A login with that nonce.
    Login(&'a Nonce),
    /// That user, whom a refresh token confirms (OpenID Connect Core, 12.2).
    User(&'a User),
}

/// Whom the tokens are of.
pub(super) async fn identify(
    issuer: &Issuer,
    known: Arc<Known>,
    tokens: &Tokens,
    expected: Expected<'_>,
) -> Result<User, SsoError> {
    let invalid = |why: &str| SsoError::invalid(&issuer.provider, why);
    let groups = &issuer.provider.groups_claim;
    let (told, id) = match (tokens.id_token(), expected) {
        (Some(token), _) => {
            let claims = verified(issuer, &known, token, expected).await?;
            (Told::by_token(claims, groups), claims.subject().to_string())
        }
        (None, Expected::User(user)) if known.has_userinfo => (Told::nothing(), user.id.clone()),
        // There is no place to hear anything new.
        (None, Expected::User(user)) => return Ok(user.clone()),
        (None, Expected::Login(_)) => return Err(invalid("no ID token")),
    };
    if matches!(expected, Expected::User(user) if user.id != id) {
        return Err(invalid("it is about another user"));
    }
    let told = if told.is_whole() || !known.has_userinfo {
        told
    } else {
        let info = userinfo(issuer, &known, tokens, &id).await?;
        told.or(Told::by_userinfo(&info, groups))
    };
    told.user(&id).ok_or_else(|| invalid("a subject that is none"))
}

async fn verified<'t>(
    issuer: &Issuer,
    known: &Arc<Known>,
    token: &'t IdToken,
    expected: Expected<'_>,
) -> Result<&'t IdTokenClaims, SsoError> {
    let failed =
        |error: ClaimsVerificationError| SsoError::invalid(&issuer.provider, because(&error));
    match claims(known, token, expected) {
        Err(error) if is_of_unknown_key(&error) => {
            let newer = issuer.other_than(known).await?.ok_or_else(|| failed(error))?;
            claims(&newer, token, expected).map_err(failed)
        }
        verified => verified.map_err(failed),
    }
}

/// What the token says, where it is the provider's word for this client.
pub(super) fn claims<'t>(
    known: &Known,
    token: &'t IdToken,
    expected: Expected<'_>,
) -> Result<&'t IdTokenClaims, ClaimsVerificationError> {
    let now = DateTime::from_timestamp_millis(Timestamp::now().0 - LEEWAY_MS).unwrap_or_default();
    let verifier = known
        .client
        .id_token_verifier()
        .set_allowed_algs(known.algorithms.clone())
        .set_time_fn(|| now)
        // Looked at below: the authorized party tells whether they matter.
        .set_other_audience_verifier_fn(|_| true);
    let nonce = |own: Option<&Nonce>| match expected {
        Expected::Login(nonce) => nonce.verify(own),
        Expected::User(_) => Ok(()),
    };
    let claims = token.claims(&verifier, nonce)?;
    let party = claims.authorized_party().map(|party| party.as_str());
    let is_ours =
        party.map_or(claims.audiences().len() == 1, |p| p == known.client.client_id().as_str());
    let other = || ClaimsVerificationError::InvalidAudience("issued to another client".to_owned());
    is_ours.then_some(claims).ok_or_else(other)
}

/// Or one that the provider replaced by another of the same name.
fn is_of_unknown_key(error: &ClaimsVerificationError) -> bool {
    use SignatureVerificationError as Fault;
    let ClaimsVerificationError::SignatureVerification(fault) = error else { return false };
    matches!(fault, Fault::NoMatchingKey | Fault::CryptoError(_) | Fault::AmbiguousKeyId(_))
}

async fn userinfo(
    issuer: &Issuer,
    known: &Known,
    tokens: &Tokens,
    id: &str,
) -> Result<UserInfo, SsoError> {
    let subject = SubjectIdentifier::new(id.to_owned());
    let request = known
        .client
        .user_info(tokens.access_token().clone(), Some(subject))
        .map_err(|error| SsoError::invalid(&issuer.provider, error))?;
    request.request_async(&known.web).await.map_err(|error| untold(&issuer.provider, error))
}

fn untold(provider: &SsoProvider, error: UserInfoError<WebError>) -> SsoError {
    let why = match error {
        UserInfoError::Request(error) => return SsoError::unreachable(provider, error),
        UserInfoError::Response(status, _, _) => format!("its userinfo endpoint answers {status}"),
        UserInfoError::Parse(error) => {
            let at = format!("userinfo cannot be read at {}", error.path());
            return SsoError::unreachable(provider, at);
        }
        UserInfoError::ClaimsVerification(error) => because(&error),
        _ => "userinfo cannot be read".to_owned(),
    };
    SsoError::invalid(provider, why)
}

fn because(error: &ClaimsVerificationError) -> String {
    match error {
        ClaimsVerificationError::SignatureVerification(fault) => format!("{error}: {fault}"),
        other => other.to_string(),
    }
}
