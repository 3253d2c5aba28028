//! Microsoft Graph's mail API v1.0 over the mail world.

pub(crate) mod mailbox;

use std::sync::Arc;

use super::State;

/// Everything below `/v1.0` and the upload sessions.
pub(crate) fn router(state: &Arc<State>) -> axum::Router {
    let _ = state;
    axum::Router::new()
}
