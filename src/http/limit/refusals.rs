//! What callers are told when nothing is asked of a service for a while.

use std::time::Duration;

use crate::error::{Delivery, Error, ErrorKind};
use crate::http::refusal::LeftAlone;

pub(super) fn paused(wait: Duration) -> Error {
    Error::new(
        ErrorKind::RateLimited,
        "the service wants to be left alone for a while",
    )
    .with_delivery(Delivery::NotSent)
    .with_retry_after(wait)
}

/// Nothing is sent before the next day, the service's or the last 24 hours.
pub(super) fn used_up(wait: Duration) -> Error {
    Error::new(
        ErrorKind::QuotaExceeded,
        "what the service allows for a day is used up",
    )
    .with_delivery(Delivery::NotSent)
    .with_retry_after(wait)
}

pub(super) fn failing(wait: Duration) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the service failed again and again and is left alone for a while",
    )
    .with_delivery(Delivery::NotSent)
    .with_retry_after(wait)
    .with_source(LeftAlone)
}
