//! The crate's types, with the claims that Weir reads.

use std::collections::HashMap;

use openidconnect::{
    AdditionalClaims, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IdTokenFields, StandardErrorResponse, StandardTokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Claims that OpenID Connect does not name, such as groups.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Claims {
    #[serde(flatten)]
    pub(super) others: HashMap<String, Value>,
}

impl AdditionalClaims for Claims {}

/// What the token endpoint answers.
pub(super) type Tokens = StandardTokenResponse<
    IdTokenFields<
        Claims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

/// An ID token.
pub(super) type IdToken = openidconnect::IdToken<
    Claims,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What an ID token says.
pub(super) type IdTokenClaims = openidconnect::IdTokenClaims<Claims, CoreGenderClaim>;

/// What the userinfo endpoint says.
pub(super) type UserInfo = openidconnect::UserInfoClaims<Claims, CoreGenderClaim>;

/// How the token endpoint says no.
pub(super) type Refusal = StandardErrorResponse<CoreErrorResponseType>;

/// Weir, as a provider knows it.
pub(super) type Client = openidconnect::Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    Refusal,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointMaybeSet,
>;
