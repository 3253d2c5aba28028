//! The sign-in pages and token endpoints of both vendors.

use std::sync::Arc;

use super::State;

/// Google's `/o/oauth2/v2/auth`, `/token` and `/revoke`.
pub(crate) fn google(state: &Arc<State>) -> axum::Router {
    let _ = state;
    axum::Router::new()
}

/// Microsoft's `/{tenant}/oauth2/v2.0/...`.
pub(crate) fn microsoft(state: &Arc<State>) -> axum::Router {
    let _ = state;
    axum::Router::new()
}
