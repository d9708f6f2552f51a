//! What stands before the services of a socket: by whom a connection comes (PROXY
//! protocol), and for which name (TLS).

pub mod header;
pub mod hello;

mod failure;
mod introduction;
mod newcomer;
mod reader;
mod routes;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

pub(super) use introduction::Visit;
pub(super) use newcomer::Newcomer;
use routes::Lead;
pub(crate) use routes::{Routes, Web};

use super::roll::Roll;

/// What is to be reached on a socket, and who has not been led there yet.
pub(crate) struct Front {
    routes: ArcSwap<Routes>,
    roll: Arc<Roll>,
}

impl Front {
    pub(super) fn new(routes: Routes) -> Arc<Self> {
        Arc::new(Self { routes: ArcSwap::from_pointee(routes), roll: Arc::default() })
    }

    /// The routes in force.
    pub(super) fn routes(&self) -> Guard<Arc<Routes>> {
        self.routes.load()
    }

    /// Puts new routes in force, for who is to be led, too.
    pub(super) fn lead(&self, routes: Routes) {
        self.routes.store(Arc::new(routes));
    }

    /// Those that were not led to a service yet.
    pub(super) fn roll(&self) -> &Arc<Roll> {
        &self.roll
    }
}
