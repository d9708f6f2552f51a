//! The parameters as they came, taken one name after the other.

use axum::{
    extract::{FromRequestParts, Query},
    http::{Uri, request::Parts},
};

use crate::api::error::ApiError;

/// A list in a query may hold so many values.
const MAX_VALUES: usize = 100;

/// The parameters that nobody has asked for yet.
#[derive(Debug)]
pub(in crate::api) struct Params(Vec<(String, String)>);

impl Params {
    /// Those of a request.
    pub(in crate::api) fn of(uri: &Uri) -> Result<Self, ApiError> {
        Query::try_from_uri(uri)
            .map(|Query(pairs)| Self(pairs))
            .map_err(|error| ApiError::bad_request(error.body_text()))
    }

    /// The value of `name`, which may be given once; an empty one is absent.
    pub(in crate::api) fn take(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut values = self.drain(name);
        let value = values.next();
        match values.next() {
            Some(_) => Err(ApiError::bad_request(format!("{name}: given more than once"))),
            None => Ok(value),
        }
    }

    /// Every value of `name`; empty ones are absent.
    pub(in crate::api) fn take_all(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let values: Vec<String> = self.drain(name).collect();
        if values.len() > MAX_VALUES {
            let message = format!("{name}: given more than {MAX_VALUES} times");
            return Err(ApiError::bad_request(message));
        }
        Ok(values)
    }

    /// Fails if something is left that nobody asked for.
    pub(in crate::api) fn finish(self) -> Result<(), ApiError> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(ApiError::bad_request(format!("unknown parameter {name:?}"))),
            None => Ok(()),
        }
    }

    fn drain(&mut self, name: &str) -> impl Iterator<Item = String> + use<> {
        let values: Vec<(String, String)> =
            self.0.extract_if(.., |(given, _)| given == name).collect();
        values.into_iter().map(|(_, value)| value).filter(|value| !value.is_empty())
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.uri)
    }
}
