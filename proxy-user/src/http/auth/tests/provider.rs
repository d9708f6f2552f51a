//! A provider of single sign-on that says what a test wants.

use std::sync::Arc;

use hyper::HeaderMap;
use parking_lot::Mutex;

use super::super::{Later, SignOn};
use crate::{
    config::SsoProvider,
    http::sso::{Arrival, Departure, SsoError, StateFault, User, Wish},
};

/// Stands for single sign-on: whoever comes to the callback is `user`.
pub(in crate::http) struct Provider {
    pub(in crate::http) user: Mutex<Result<User, SsoError>>,
    pub(in crate::http) asked: Mutex<u32>,
}

impl Provider {
    pub(super) fn new(user: Result<User, SsoError>) -> Self {
        Self { user: Mutex::new(user), asked: Mutex::new(0) }
    }

    fn answer(&self) -> Result<User, SsoError> {
        self.user.lock().clone()
    }
}

impl SignOn for Provider {
    fn begin<'a>(
        &'a self,
        provider: &'a Arc<SsoProvider>,
        wish: Wish<'a>,
        _: &'a HeaderMap,
    ) -> Later<'a, Departure> {
        Box::pin(async move {
            self.answer()?;
            Ok(Departure {
                url: format!("{}/authorize", provider.issuer),
                cookie_name: "__Host-weir-sso".into(),
                cookie: format!("{}|{}|{}", wish.origin, wish.service, wish.return_to),
                surplus: vec!["__Host-weir-sso-old".into()],
            })
        })
    }

    fn complete<'a>(
        &'a self,
        providers: &'a [Arc<SsoProvider>],
        _: &'a str,
        _: &'a str,
        cookies: &'a HeaderMap,
    ) -> Later<'a, Arrival> {
        Box::pin(async move {
            let lines = cookies.get_all("cookie").iter().map(|line| line.to_str().unwrap());
            let mut pairs = lines.flat_map(|line| line.split("; "));
            let state = pairs.find_map(|pair| pair.strip_prefix("__Host-weir-sso="));
            let parts: Vec<&str> = state.into_iter().flat_map(|state| state.split('|')).collect();
            let [origin, service, return_to] = parts[..] else {
                return Err(StateFault::Missing.into());
            };
            Ok(Arrival {
                provider: Arc::clone(&providers[0]),
                service: service.into(),
                origin: origin.into(),
                return_to: return_to.into(),
                user: self.answer()?,
                refresh: Some("first".into()),
                cookie_name: "__Host-weir-sso".into(),
            })
        })
    }

    fn confirm<'a>(
        &'a self,
        _: &'a Arc<SsoProvider>,
        _: &'a User,
        _: &'a str,
    ) -> Later<'a, (User, Option<String>)> {
        Box::pin(async move {
            *self.asked.lock() += 1;
            Ok((self.answer()?, None))
        })
    }
}
