//! Staying in step with a mailbox: the stream of a sync's pages, one at a time for each mailbox, and audits. What changed,
//! and how a service tells, is the provider's.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use tokio::sync::OwnedMutexGuard;

use super::Mailbox;
use crate::error::{Action, Error, ErrorKind, Result};
use crate::model::{Access, Audit, AuditWindow, Scope, SyncCursor};
use crate::provider::{Known, MailProvider, SyncPage};

/// How many pages in a row may say nothing, get no further, and lead to a further one. A service that goes on so leads nowhere.
const MOST_EMPTY: usize = 10_000;

/// Whose turn it is to sync a mailbox, beyond the handles of one process that know of each other.
#[async_trait]
pub(crate) trait SyncTurns: std::fmt::Debug + Send + Sync {
    /// Takes the turn, or says until when somebody else has it.
    async fn take(&self) -> Result<Box<dyn SyncTurn>>;
}

/// The turn of one sync. It ends by itself some time after nobody saw to it any more.
#[async_trait]
pub(crate) trait SyncTurn: Send + Sync {
    /// Sees that it goes on. An error says that somebody else has it now.
    async fn keep(&mut self) -> Result<()>;

    /// Sees to it until somebody else has it.
    async fn lost(&mut self) -> Error;

    /// Ends it.
    async fn give_back(self: Box<Self>);

    /// Ends it, and leaves nothing of it.
    async fn forget(self: Box<Self>);
}

/// Where the stream of pages stands.
enum State {
    Begin(Option<SyncCursor>),
    At(Turn, SyncCursor, Idle),
    Over(Option<Box<dyn SyncTurn>>),
}

/// How far the pages have got, and how many of them got no further.
#[derive(Clone, Copy, Default)]
struct Idle {
    done: u64,
    pages: usize,
}

impl Idle {
    fn after(self, page: &SyncPage) -> Self {
        let done = page.progress.done.max(self.done);
        let pages = match page.changes.is_empty() && done <= self.done {
            true => self.pages + 1,
            false => 0,
        };
        Self { done, pages }
    }
}

/// The right to sync: in this process, and beyond it where that is told.
struct Turn {
    here: OwnedMutexGuard<()>,
    beyond: Option<Box<dyn SyncTurn>>,
}

impl Turn {
    async fn take(
        syncing: Arc<tokio::sync::Mutex<()>>,
        turns: Option<&dyn SyncTurns>,
    ) -> Result<Self> {
        let here = syncing.try_lock_owned().map_err(|_| busy())?;
        let beyond = match turns {
            Some(turns) => Some(turns.take().await?),
            None => None,
        };
        Ok(Self { here, beyond })
    }

    /// Makes a page, and sees to the turn meanwhile.
    async fn page(
        &mut self,
        making: impl Future<Output = Result<SyncPage>> + Send,
    ) -> Result<SyncPage> {
        let Some(beyond) = &mut self.beyond else {
            return making.await;
        };
        beyond.keep().await?;
        match select(pin!(making), pin!(beyond.lost())).await {
            Either::Left((page, _)) => page,
            Either::Right((error, _)) => Err(error),
        }
    }

    /// What is left when all was told: the process goes on, and others as soon as the last page is stored.
    fn over(self) -> State {
        drop(self.here);
        State::Over(self.beyond)
    }
}

async fn give_back(turn: Option<Box<dyn SyncTurn>>) {
    if let Some(turn) = turn {
        turn.give_back().await;
    }
}

impl Mailbox {
    /// What changed within `scope` since `cursor`, page by page, until nothing is left to tell; with no cursor, all that is
    /// there, newest first, and what happens meanwhile.
    ///
    /// Store each page's changes and its cursor in one transaction, where the stored cursor is still the page's `after`.
    /// What each change does to a copy is told at [`SyncChange`](crate::SyncChange).
    /// After a crash, go on with the cursor that is stored: some changes may come again, none is left out.
    ///
    /// `known` is asked only while reconciling: after the service lost the cursor, after the scope was changed, where a scope
    /// names several of Gmail's labels, so that a message that has two of them is read once, or where mail left Outlook's folders
    /// while so much of one second was listed that it took several pages. It is read while pages are still
    /// being made, so that every page must be stored before the next is asked for.
    ///
    /// The example `mirror` is a host that keeps such a copy in SQLite, tables and all: `cargo run --example mirror` shows it at
    /// work, and `examples/mirror/database.rs` is what it takes.
    ///
    /// # One at a time
    /// Only one sync runs for a mailbox. As long as its stream lives, another one that is begun through this handle, its
    /// clones, or any that [`Accounts`](crate::Accounts) opens for the account, is refused with [`ErrorKind::Conflict`].
    ///
    /// For mailboxes that [`Accounts`](crate::Accounts) opened that holds for all processes that share its store: the one that
    /// is refused learns with [`Error::retry_after`] how long the other's turn lasts unless it goes on. It does for as long
    /// as pages are asked for: each has five minutes to be stored before the next, however long the service takes to tell it. A
    /// host that takes longer keeps its turn if nobody else wants it; otherwise its next page is a
    /// [`Conflict`](ErrorKind::Conflict) with the code `sync_overtaken`, and so that what it stores late overwrites nothing newer,
    /// it stores a page only where its cursor is still the page's `after`, as said above. No lease can do that for it.
    ///
    /// Read the stream to its end, which gives the turn back: `while let Some(page) = pages.next().await`. If it is dropped
    /// before, or its process dies, other processes wait for what is left of the five minutes; this process does not.
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
        let source = Source {
            provider: Arc::clone(&self.provider),
            syncing: Arc::clone(&self.syncing),
            turns: self.turns.clone(),
            scope,
            known,
            audited,
        };
        let pages = stream::try_unfold((source, State::Begin(cursor)), |(source, state)| async {
            let next = source.next(state).await?;
            Ok(next.map(|(page, state)| (page, (source, state))))
        });
        SyncPages(pages.boxed())
    }

    /// Ends what is left of the turn of a sync that was dropped, unless another one runs.
    pub(crate) async fn free_turn(&self) {
        if let (Ok(_here), Some(turns)) = (self.syncing.try_lock(), &self.turns)
            && let Ok(turn) = turns.take().await
        {
            turn.give_back().await;
        }
    }

    /// Compares what the service has with what the host has, message by message: what to run nightly to *know* that a copy is
    /// complete. It changes nothing, here or there.
    ///
    /// `known` gives the host's messages within `scope` and `window`. Audit after a round of a sync is complete: what the
    /// sync has not told yet is found as missing, extra or stale.
    ///
    /// It takes no more memory for a large mailbox than for a small one, and none for a copy that is wrong from end to end: of each
    /// kind of difference at most [`Audit::MOST_TOLD`] are told, or [as many as are wanted](AuditWindow::telling), and the others
    /// [counted](Audit::untold). To see all of them, audit window by window; to have them mended, run
    /// [`sync_audited`](Self::sync_audited), which tells a part of them at a time.
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

/// What the pages of a sync are made from.
struct Source {
    provider: Arc<dyn MailProvider>,
    syncing: Arc<tokio::sync::Mutex<()>>,
    turns: Option<Arc<dyn SyncTurns>>,
    scope: Scope,
    known: Arc<dyn Known>,
    audited: bool,
}

impl Source {
    async fn next(&self, state: State) -> Result<Option<(SyncPage, State)>> {
        let (mut turn, cursor, idle, audited) = match state {
            State::Begin(cursor) => {
                let turn = Turn::take(Arc::clone(&self.syncing), self.turns.as_deref());
                (turn.await?, cursor, Idle::default(), self.audited)
            }
            State::At(turn, cursor, idle) => (turn, Some(cursor), idle, false),
            State::Over(turn) => {
                give_back(turn).await;
                return Ok(None);
            }
        };
        let (after, known) = (cursor.as_ref(), self.known.as_ref());
        let made = if audited {
            let making = self.provider.sync_audited(after, &self.scope, known);
            turn.page(making).await
        } else {
            let making = self.provider.sync(after, &self.scope, known);
            turn.page(making).await
        };
        let checked = made.and_then(|page| {
            let idle = idle.after(&page);
            if page.more && (cursor.as_ref() == Some(&page.cursor) || idle.pages > MOST_EMPTY) {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "a page of a sync leads to itself",
                ));
            }
            Ok((page, idle))
        });
        match checked {
            Ok((page, idle)) => {
                let state = if page.more {
                    State::At(turn, page.cursor.clone(), idle)
                } else {
                    turn.over()
                };
                Ok(Some((page, state)))
            }
            Err(error) => {
                match turn.beyond {
                    // Perhaps the account was disconnected, of which nothing is to be left.
                    Some(beyond) if error.kind() == ErrorKind::NotFound => beyond.forget().await,
                    beyond => give_back(beyond).await,
                }
                Err(error)
            }
        }
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
    .with_code("sync_running")
    .with_action(Action::CorrectTheCall)
}
