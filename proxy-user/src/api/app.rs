//! What the routes share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Backend, Failure, Gate, dashboard::Dashboard, error::ApiError};

/// The state of every route.
#[derive(Clone)]
pub(super) struct App {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) gate: Arc<Gate>,
    pub(super) dashboard: Arc<Dashboard>,
    /// Ends what would go on for ever.
    pub(super) shutdown: CancellationToken,
}

impl App {
    /// Asks the daemon, from a thread that may block.
    pub(super) async fn ask<T, F>(&self, question: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Backend) -> Result<T, Failure> + Send + 'static,
    {
        let backend = Arc::clone(&self.backend);
        tokio::task::spawn_blocking(move || question(backend.as_ref()))
            .await
            .unwrap_or_else(|panicked| Err(Failure::Internal(panicked.into())))
            .map_err(ApiError::from)
    }
}
