//! What an error says to the loop beside its kind: markers that stand below it as its cause, so that they reach whoever has
//! to act on them, and people too.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Delivery, Error, ErrorKind};

/// A limit that is not the mailbox's own.
#[derive(Debug)]
struct OfRegistration;

impl fmt::Display for OfRegistration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the limit is that of all mailboxes of the application together")
    }
}

impl StdError for OfRegistration {}

/// The same error, about a limit that all mailboxes of a registration share.
pub(crate) fn of_registration(error: Error) -> Error {
    error.with_source(OfRegistration)
}

pub(super) fn is_of_registration(error: &Error) -> bool {
    has::<OfRegistration>(error)
}

/// An answer that was not read to its end.
#[derive(Debug)]
pub(super) struct TooLong;

impl TooLong {
    pub(super) fn error() -> Error {
        super::protocol("the answer is longer than any that is documented").with_source(Self)
    }

    pub(super) fn is(error: &Error) -> bool {
        has::<Self>(error)
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what is asked for is too much for one answer")
    }
}

impl StdError for TooLong {}

/// A batch that would run more of its parts at the same time than there are places for.
#[derive(Debug)]
pub(super) struct TooNarrow;

impl TooNarrow {
    pub(super) fn error() -> Error {
        Error::new(
            ErrorKind::RateLimited,
            "fewer requests may be under way than were meant to be",
        )
        .with_delivery(Delivery::NotSent)
        .with_source(Self)
    }

    pub(super) fn is(error: &Error) -> bool {
        has::<Self>(error)
    }
}

impl fmt::Display for TooNarrow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("streams that are being read take the other places")
    }
}

impl StdError for TooNarrow {}

/// A service that failed again and again was not asked at all.
#[derive(Debug)]
pub(super) struct LeftAlone;

impl LeftAlone {
    pub(super) fn is(error: &Error) -> bool {
        has::<Self>(error)
    }
}

impl fmt::Display for LeftAlone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nothing was asked of the service")
    }
}

impl StdError for LeftAlone {}

fn has<T: StdError + 'static>(error: &Error) -> bool {
    StdError::source(error).is_some_and(|source| source.is::<T>())
}
