//! What a web server does with what both services post, in axum's terms: it answers at once, and passes on what is worth while.
//! The examples `push_receiver` and `mail sync --follow --listen` have it in common; what is told leads to is theirs.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, post};
use http::{HeaderMap, StatusCode};
use postroom::push::{GraphPost, Notification, PubSubEndpoint, Rejected, Unverified};

/// Whom the server tells. It must be quick: the services wait a few seconds for an answer.
pub(crate) trait Hints: Clone + Send + Sync + 'static {
    /// Takes what is believed.
    fn notified(&self, notification: &Notification);

    /// Takes what Graph posted if it is believed, which takes the watch that it is about.
    fn told(&self, told: &Unverified) -> Result<(), Rejected>;
}

/// Google Cloud Pub/Sub pushes here.
pub(crate) fn from_google<H: Hints>(endpoint: PubSubEndpoint, hints: H) -> MethodRouter {
    post(google::<H>).with_state((Arc::new(endpoint), hints))
}

/// Microsoft Graph posts here: what happened in mailboxes, and what becomes of watches.
pub(crate) fn from_microsoft<H: Hints>(hints: H) -> MethodRouter {
    any(microsoft::<H>).with_state(hints)
}

async fn google<H: Hints>(
    State((endpoint, hints)): State<(Arc<PubSubEndpoint>, H)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    match endpoint.receive(&headers, &body).await {
        Ok(notification) => {
            hints.notified(&notification);
            StatusCode::NO_CONTENT
        }
        Err(rejected) => refused(&rejected),
    }
}

async fn microsoft<H: Hints>(
    State(hints): State<H>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    match GraphPost::read(query.as_deref(), &body) {
        // While a watch is being set up: is anybody there?
        Ok(GraphPost::Validation(answer)) => answer.into_response(),
        Ok(GraphPost::Notifications(notifications)) => {
            for told in notifications {
                // It is believed if it knows what only Graph was told of the account's watch.
                if let Err(rejected) = hints.told(&told) {
                    eprintln!("{rejected}");
                }
            }
            StatusCode::ACCEPTED.into_response()
        }
        Ok(_) => StatusCode::ACCEPTED.into_response(),
        Err(rejected) => refused(&rejected).into_response(),
    }
}

fn refused(rejected: &Rejected) -> StatusCode {
    eprintln!("{rejected}");
    StatusCode::from_u16(rejected.status()).unwrap_or(StatusCode::BAD_REQUEST)
}
