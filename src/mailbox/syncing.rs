//! Staying in step with a mailbox: the stream of a sync's pages, one at a time for each mailbox, and audits. What changed,
//! and how a service tells, is the provider's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::OwnedMutexGuard;

use super::Mailbox;
use crate::error::{Action, Error, ErrorKind, Result};
use crate::model::{Access, Audit, AuditWindow, Scope, SyncCursor};
use crate::provider::{Known, SyncPage};

/// How many pages in a row may say nothing and lead to a further one. A service that goes on so leads nowhere.
const MOST_EMPTY: usize = 10_000;

/// Where the stream of pages stands.
enum State {
    Begin(Option<SyncCursor>),
    At(OwnedMutexGuard<()>, SyncCursor, usize),
    Over,
}

impl Mailbox {
    /// What changed within `scope` since `cursor`, page by page, until nothing is left to tell; with no cursor, all that is
    /// there, newest first, and what happens meanwhile.
    ///
    /// Store each page's changes and its cursor in one transaction, where the stored cursor is still the page's `after`.
    /// After a crash, go on with the cursor that is stored: some changes may come again, none is left out.
    ///
    /// `known` is asked only while reconciling: after the service lost the cursor, or after the scope was changed. It is read
    /// while pages are still being made, so that every page must be stored before the next is asked for.
    ///
    /// The example `mirror` is a host that keeps such a copy in SQLite, tables and all: `cargo run --example mirror` shows it at
    /// work, and `examples/mirror/database.rs` is what it takes.
    ///
    /// Only one sync runs for a mailbox. As long as its stream lives, another one that is begun through this handle, its
    /// clones, or any that [`Accounts`](crate::Accounts) opens for the account, is refused with [`ErrorKind::Conflict`].
    pub fn sync(
        &self,
        cursor: Option<SyncCursor>,
        scope: Scope,
        known: Arc<dyn Known>,
    ) -> SyncPages {
        self.pages(cursor, scope, known, false)
    }

    /// The same, with what the service itself has forgotten to tell: Graph loses messages that leave a folder and come back, and
    /// says nothing of them any longer. Messages are counted, and what differs is compared with what the host has. What to run
    /// nightly in place of a [`sync`](Self::sync), so that a copy mends itself; [`audit`](Self::audit) only says what is
    /// wrong.
    pub fn sync_audited(
        &self,
        cursor: Option<SyncCursor>,
        scope: Scope,
        known: Arc<dyn Known>,
    ) -> SyncPages {
        self.pages(cursor, scope, known, true)
    }

    fn pages(
        &self,
        cursor: Option<SyncCursor>,
        scope: Scope,
        known: Arc<dyn Known>,
        audited: bool,
    ) -> SyncPages {
        if let Err(error) = self.require(Access::READ) {
            return SyncPages(stream::once(async { Err(error) }).boxed());
        }
        let provider = Arc::clone(&self.provider);
        let turn = Arc::clone(&self.syncing);
        let pages = stream::try_unfold(State::Begin(cursor), move |state| {
            let (provider, scope, known) =
                (Arc::clone(&provider), scope.clone(), Arc::clone(&known));
            let turn = Arc::clone(&turn);
            async move {
                let begins = matches!(state, State::Begin(_));
                let (guard, cursor, empty) = match state {
                    State::Begin(cursor) => (turn.try_lock_owned().map_err(|_| busy())?, cursor, 0),
                    State::At(guard, cursor, empty) => (guard, Some(cursor), empty),
                    State::Over => return Ok(None),
                };
                let (after, known) = (cursor.as_ref(), known.as_ref());
                let page = if begins && audited {
                    provider.sync_audited(after, &scope, known).await?
                } else {
                    provider.sync(after, &scope, known).await?
                };
                if !page.more {
                    return Ok(Some((page, State::Over)));
                }
                let empty = if page.changes.is_empty() {
                    empty + 1
                } else {
                    0
                };
                if cursor.as_ref() == Some(&page.cursor) || empty > MOST_EMPTY {
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        "a page of a sync leads to itself",
                    ));
                }
                let next = page.cursor.clone();
                Ok(Some((page, State::At(guard, next, empty))))
            }
        });
        SyncPages(pages.boxed())
    }

    /// Compares what the service has with what the host has, message by message: what to run nightly to *know* that a copy is
    /// complete. It changes nothing, here or there.
    ///
    /// `known` gives the host's messages within `scope` and `window`. Audit after a round of a sync is complete: what the
    /// sync has not told yet is found as missing, extra or stale.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where [`audit`](crate::Capabilities::audit) is not claimed; else as
    /// [`MailProvider`](crate::MailProvider) says.
    pub async fn audit(
        &self,
        scope: &Scope,
        window: AuditWindow,
        known: &dyn Known,
    ) -> Result<Audit> {
        self.require(Access::READ)?;
        self.provider.audit(scope, window, known).await
    }
}

/// The pages of a sync; see [`Mailbox::sync`]. An error ends the stream; syncing again from the last stored cursor goes on.
#[must_use = "streams do nothing unless polled"]
pub struct SyncPages(BoxStream<'static, Result<SyncPage>>);

impl Stream for SyncPages {
    type Item = Result<SyncPage>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for SyncPages {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SyncPages")
    }
}

fn busy() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "a sync of this mailbox is running already",
    )
    .with_action(Action::CorrectTheCall)
}
