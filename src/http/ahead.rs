//! A request that goes on by itself while somebody reads what came before it. What is read ahead, and how much of it, is
//! known by the streams that own such requests.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::error::{Error, ErrorKind, Result};

/// A request under way. It holds a place and a turn among those who wait for one, so it must not depend on somebody who
/// polls it: a host that works with the mailbox between two messages would wait for itself. Dropped, it ends.
pub(crate) struct Ahead<T>(JoinHandle<T>);

impl<T: Send + 'static> Ahead<T> {
    pub(crate) fn start(request: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(request.in_current_span()))
    }
}

impl<T> Future for Ahead<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|outcome| {
            outcome.map_err(|error| {
                if let Ok(panic) = error.try_into_panic() {
                    // It belongs to whoever reads.
                    std::panic::resume_unwind(panic);
                }
                Error::new(
                    ErrorKind::Unavailable,
                    "the runtime on which this was read ended",
                )
            })
        })
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
