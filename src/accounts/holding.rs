//! What goes on for longer than a moment and only once among all processes that share the store: a lease that is renewed
//! while it does, and the turns of an account's syncs, which are such leases. How a lease is kept is `credentials`'.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};

use crate::clock::Clock;
use crate::credentials::{
    Acquired, CredentialStore, Lease, LeaseTerms, RecordKey, StoreError, StoredTokens,
};
use crate::error::{Action, Error, ErrorKind, Result};
use crate::mailbox::{SyncTurn, SyncTurns};
use crate::model::AccountId;

/// What the lease of a sync is for.
pub(super) const SYNC: &str = "sync";

/// What the lease of an account's upkeep is for.
pub(super) const UPKEEP: &str = "upkeep";

/// For how long others wait for the upkeep of a process that died. It is renewed while something is done.
pub(super) const UPKEEP_LEASE: Duration = Duration::from_secs(2 * 60);

/// For how long a sync that nobody asks for its next page keeps others away, and for how long one of a process that died
/// does. A host has this long to store a page.
pub(super) const SYNC_LEASE: Duration = Duration::from_secs(5 * 60);

/// How a lease was lost, or not to be had.
pub(super) enum Refused {
    /// Somebody else has it.
    Busy {
        until: chrono::DateTime<chrono::Utc>,
        remaining: Duration,
    },
    /// It ended, and somebody else took it over or it was taken back.
    Overtaken,
    /// The store failed, and has for so long that the lease may have ended.
    Store(StoreError),
}

/// A lease that goes on for as long as somebody sees to it.
pub(super) struct Holding {
    lease: Lease,
    clock: Arc<dyn Clock>,
    length: Duration,
    /// When it was last asked for, on the monotonic clock: before the store began to count.
    asked_at: Duration,
    /// Whether nothing is left of it when it is given back.
    passes: bool,
}

impl Holding {
    pub(super) async fn take(
        store: Arc<dyn CredentialStore>,
        key: RecordKey,
        clock: Arc<dyn Clock>,
        holder: &str,
        length: Duration,
    ) -> Result<Self, Refused> {
        let asked_at = clock.monotonic();
        match Lease::acquire(store, key, holder, length).await {
            Ok(Acquired::Held(lease)) => Ok(Self {
                lease,
                clock,
                length,
                asked_at,
                passes: false,
            }),
            Ok(Acquired::Busy { until, remaining }) => Err(Refused::Busy { until, remaining }),
            Err(error) => Err(Refused::Store(error)),
        }
    }

    /// The same, of which nothing is left when it is given back: nobody could find it when the account goes.
    fn passing(self) -> Self {
        Self {
            passes: true,
            ..self
        }
    }

    /// Renews it if a third of it has passed. One that has ended is renewed as well, unless somebody else had it since:
    /// that nobody saw to it in time harms nobody then.
    pub(super) async fn keep(&mut self) -> Result<(), Refused> {
        let now = self.clock.monotonic();
        let held_for = now.saturating_sub(self.asked_at);
        if held_for < self.length / 3 {
            return Ok(());
        }
        let sixth = self.length / 6;
        let safe_for = (self.length - sixth).saturating_sub(held_for);
        let renewing = pin!(self.lease.renew(self.length));
        let waiting = pin!(self.clock.sleep(safe_for.max(sixth)));
        let Either::Left((renewed, _)) = select(renewing, waiting).await else {
            return Err(Refused::Store(StoreError::new(
                "the store did not answer until the lease had nearly ended",
            )));
        };
        match renewed {
            Ok(true) => {
                self.asked_at = now;
                Ok(())
            }
            Ok(false) => Err(Refused::Overtaken),
            // It may still be renewed later on.
            Err(error) if !safe_for.is_zero() => {
                tracing::debug!(%error, "a lease could not be renewed yet");
                Ok(())
            }
            Err(error) => Err(Refused::Store(error)),
        }
    }

    /// Sees to it until it is lost.
    pub(super) async fn lost(&mut self) -> Refused {
        loop {
            self.clock.sleep(self.length / 6).await;
            if let Err(refused) = self.keep().await {
                return refused;
            }
        }
    }

    /// Does something while it is held. If it is lost, that is given up.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = T> + Send,
    ) -> Result<T, Refused> {
        match select(pin!(work), pin!(self.lost())).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right((refused, _)) => Err(refused),
        }
    }

    /// Gives it back and leaves nothing, for an account that is gone.
    pub(super) async fn forget(self) {
        if let Err(error) = self.lease.forget().await {
            tracing::debug!(%error, "the lease of an account that is gone stays in the store");
        }
    }

    /// Gives it back. Whoever took it over meanwhile keeps it.
    pub(super) async fn give_back(self) {
        if self.passes {
            return self.forget().await;
        }
        if let Err(error) = self.lease.release().await {
            tracing::debug!(%error, "a lease was not given back and ends by itself");
        }
    }
}

/// The turns of one mailbox's syncs, among all processes that share the store.
///
/// They are taken by the name that the account's tokens go by. It is the same for all of the account's syncs here, so that one
/// which was dropped keeps no later one of this process waiting; that only one runs at a time is seen to in the process itself.
#[derive(Debug)]
pub(super) struct StoredTurns {
    tokens: StoredTokens,
    /// What stands for the account, for a mailbox beside its own.
    name: Option<Box<AccountId>>,
}

impl StoredTurns {
    pub(super) fn new(tokens: &StoredTokens) -> Self {
        Self {
            tokens: tokens.clone(),
            name: None,
        }
    }

    /// Those of another mailbox, by a name that no account has.
    #[cfg(feature = "outlook")]
    pub(super) fn named(self, name: AccountId) -> Self {
        Self {
            name: Some(Box::new(name)),
            ..self
        }
    }
}

#[async_trait]
impl SyncTurns for StoredTurns {
    async fn take(&self) -> Result<Box<dyn SyncTurn>> {
        let LeaseTerms {
            store,
            key,
            clock,
            holder,
        } = self.tokens.lease_terms();
        let mut key = key.lease(SYNC);
        if let Some(name) = &self.name {
            key.account = AccountId::clone(name);
        }
        match Holding::take(store, key, clock, holder, SYNC_LEASE).await {
            Ok(holding) if self.name.is_some() => Ok(Box::new(holding.passing())),
            Ok(holding) => Ok(Box::new(holding)),
            Err(refused) => Err(refusal(refused)),
        }
    }
}

#[async_trait]
impl SyncTurn for Holding {
    async fn keep(&mut self) -> Result<()> {
        Self::keep(self).await.map_err(refusal)
    }

    async fn lost(&mut self) -> Error {
        refusal(Self::lost(self).await)
    }

    async fn give_back(self: Box<Self>) {
        Self::give_back(*self).await;
    }

    async fn forget(self: Box<Self>) {
        Self::forget(*self).await;
    }
}

fn refusal(refused: Refused) -> Error {
    match refused {
        Refused::Busy { until, remaining } => Error::new(
            ErrorKind::Conflict,
            format!(
                "another process syncs this mailbox; unless it goes on, its turn ends at {}",
                until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            ),
        )
        .with_code("sync_running")
        .with_retry_after(remaining)
        .with_action(Action::Wait(Some(remaining))),
        Refused::Overtaken => Error::new(
            ErrorKind::Conflict,
            "nobody asked for the next page in time, and another process syncs this mailbox now",
        )
        .with_code("sync_overtaken")
        .with_action(Action::CorrectTheCall),
        Refused::Store(error) => error.into(),
    }
}
