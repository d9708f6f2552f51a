//! What is had before the daemon is made of it: on its own, or from a process that runs.

use std::net::TcpListener;

use anyhow::{Context, Result};

use super::{
    handover::{self, Legacy, Predecessor},
    start::{Heritage, Prepared},
    succession::{Queue, Standing},
};
use crate::{api, config::Config, relay::Inherited};

/// All that may fail without harm, and what a process before left.
pub(super) struct Begun {
    pub(super) bound: api::Bound,
    pub(super) prepared: Prepared,
    pub(super) heritage: Heritage,
    pub(super) legacy: Option<Legacy>,
}

/// Begins by that configuration. `handed`: listening sockets that the service manager
/// kept.
pub(super) async fn begin(config: &Config, handed: Inherited) -> Result<Begun> {
    let Some(predecessor) = handover::find(config).await? else {
        return alone(config, handed).await;
    };
    let process = predecessor.process();
    let begun = succeed(config, &handed, predecessor).await;
    begun.with_context(|| format!("process {process} runs, and this one does not take over"))
}

async fn alone(config: &Config, listeners: Inherited) -> Result<Begun> {
    let bound = api::Bound::bind(config)?;
    let prepared = Prepared::alone(config).await?;
    let held: Vec<_> = listeners.addresses().collect();
    let standing =
        if held.is_empty() { Standing::Over } else { Standing::Queued(Queue::default()) };
    let heritage = Heritage { listeners, held, standing };
    Ok(Begun { bound, prepared, heritage, legacy: None })
}

/// An error leaves the predecessor as it is, but for the last step.
async fn succeed(config: &Config, handed: &Inherited, predecessor: Predecessor) -> Result<Begun> {
    let prepared = if predecessor.has_kernel() {
        Prepared::beside(config).await?
    } else {
        Prepared::alone(config).await?
    };
    let sockets = predecessor.take().await?;
    let mut listeners = sockets.relayed;
    listeners.complete(&config.services)?;
    let serves = |api: &TcpListener| api.local_addr().is_ok_and(|at| at == config.api.listen);
    let api = sockets.api.filter(serves).map_or_else(|| api::bind_tcp(config), Ok)?;
    let mut legacy = predecessor.succeed().await?;
    let bound = api::Bound::around(api, config)?;
    let standing = Standing::Served(legacy.bequest());
    let heritage = Heritage { listeners, held: handed.addresses().collect(), standing };
    Ok(Begun { bound, prepared, heritage, legacy: Some(legacy) })
}
