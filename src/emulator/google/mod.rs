//! Gmail's REST API v1 over the mail world.

pub(crate) mod mailbox;

use std::sync::Arc;

use super::State;

/// Everything below `/gmail`, `/upload/gmail` and `/batch`.
pub(crate) fn router(state: &Arc<State>) -> axum::Router {
    let _ = state;
    axum::Router::new()
}
