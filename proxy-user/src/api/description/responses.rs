//! How requests fail, for the description: sets of answers that routes share.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder,
        schema::{ObjectBuilder, Type},
    },
};

use crate::api::model::ErrorBody;

type Responses = BTreeMap<String, RefOr<Response>>;

const BAD_REQUEST: (&str, &str) = (
    "400",
    "A parameter, header or body that is not understood, or a token in the URL; the message \
     names it.",
);
const UNAUTHORIZED: (&str, &str) = ("401", "No token, or one that is unknown, revoked or expired.");
const FORBIDDEN: (&str, &str) = (
    "403",
    "The client's address is not in api.allow, the token's scope does not reach this path, or \
     the path answers over the control socket only.",
);
const MISDIRECTED: (&str, &str) = ("421", "The Host is neither a loopback address nor api.domain.");

/// What comes before a route that needs no token.
pub(in crate::api) struct Turned;

/// What comes before every other route.
pub(in crate::api) struct Refused;

/// What can go wrong within.
pub(in crate::api) struct Failed;

/// There is no such thing.
pub(in crate::api) struct Missing;

/// Not in the present state.
pub(in crate::api) struct Conflicting;

/// The body is too large.
pub(in crate::api) struct TooLarge;

impl IntoResponses for Turned {
    fn responses() -> Responses {
        errors([BAD_REQUEST, FORBIDDEN, MISDIRECTED])
    }
}

impl IntoResponses for Refused {
    fn responses() -> Responses {
        let mut responses = errors([BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, MISDIRECTED]);
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        if let Some(RefOr::T(unauthorized)) = responses.get_mut(UNAUTHORIZED.0) {
            let challenge = HeaderBuilder::new().schema(Some(text)).build();
            unauthorized.headers.insert("WWW-Authenticate".to_owned(), challenge.into());
        }
        responses
    }
}

impl IntoResponses for Failed {
    fn responses() -> Responses {
        errors([("500", "A fault of Weir's; its log says more."), ("503", "Not now.")])
    }
}

impl IntoResponses for Missing {
    fn responses() -> Responses {
        errors([("404", "There is no such thing.")])
    }
}

impl IntoResponses for Conflicting {
    fn responses() -> Responses {
        errors([("409", "Not in the present state.")])
    }
}

impl IntoResponses for TooLarge {
    fn responses() -> Responses {
        errors([("413", "The body is larger than 64 KiB.")])
    }
}

fn errors<const N: usize>(told: [(&str, &str); N]) -> Responses {
    let error = |(status, description): (&str, &str)| {
        let body = Ref::from_schema_name(ErrorBody::name());
        let content = ContentBuilder::new().schema(Some(body)).build();
        let response =
            ResponseBuilder::new().description(description).content("application/json", content);
        (status.to_owned(), response.build().into())
    };
    told.into_iter().map(error).collect()
}
