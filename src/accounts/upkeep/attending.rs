//! Seeing to one account: what is due for it, done once among all workers and noted in its record. When that is to happen
//! is told by `plan` and `running`.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::plan::after;
use super::{Due, DueWork, SyncReason, Synced, Upkeep};
use crate::accounts::holding::{Holding, Refused, UPKEEP, UPKEEP_LEASE};
use crate::accounts::{AccountStatus, Accounts};
use crate::credentials::{AccountRecord, Revision, TokenSource};
use crate::error::{Action, Error, ErrorKind, Result};
use crate::model::AccountId;

/// What became of an account that was seen to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Attended {
    /// What was done.
    pub done: Vec<DueWork>,
    /// What failed. It is noted in the account's record, and told by an event.
    pub failed: Option<Error>,
    /// When the account is to be seen to next; never, if it cannot be used now or is gone.
    pub next: Option<DateTime<Utc>>,
    /// Set if nothing was done because another worker is at it, or the host itself: when to look again.
    pub elsewhere: Option<DateTime<Utc>>,
}

/// What was done for an account, to be noted in its record.
#[derive(Default)]
struct Notes {
    synced_at: Option<DateTime<Utc>>,
    audited_at: Option<DateTime<Utc>>,
    failed: Option<Error>,
}

impl Upkeep {
    /// Does what is due for this account now, unless another worker is at it, and notes it in the account's record.
    ///
    /// # Errors
    /// [`ErrorKind::CredentialStore`], and [`ErrorKind::Conflict`] if the store could not be reached for so long that another
    /// worker took over. What fails of the work itself is no error: [`Attended::failed`] tells it.
    pub async fn attend(&self, account: &AccountId) -> Result<Attended> {
        let attended = self.attend_until(account, None, pending()).await?;
        Ok(attended.unwrap_or_default())
    }

    /// The same until all are to stop; `None` then.
    pub(super) async fn attend_until(
        &self,
        account: &AccountId,
        told: Option<SyncReason>,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Option<Attended>> {
        let inner = &self.accounts.0;
        // Two that see to the same account exclude each other, in one process as well.
        let holder = Revision::random()?;
        let taking = Holding::take(
            Arc::clone(&inner.store),
            self.accounts.key(account).lease(UPKEEP),
            Arc::clone(&inner.clock),
            holder.as_str(),
            UPKEEP_LEASE,
        );
        let mut holding = match taking.await {
            Ok(holding) => holding,
            Err(Refused::Busy { remaining, .. }) => {
                return Ok(Some(Attended {
                    elsewhere: Some(after(inner.clock.now(), remaining)),
                    ..Attended::default()
                }));
            }
            Err(refused) => return Err(error_of(refused)),
        };
        let outcome = {
            let work = pin!(holding.during(self.work(account, told)));
            match select(work, pin!(stop)).await {
                Either::Left((outcome, _)) => Some(outcome),
                Either::Right(_) => None,
            }
        };
        if !matches!(outcome, Some(Ok(_))) {
            self.accounts.free_turn(account).await;
        }
        holding.give_back().await;
        match outcome {
            None => Ok(None),
            Some(Ok(outcome)) => outcome.map(Some),
            Some(Err(refused)) => Err(error_of(refused)),
        }
    }

    /// What is done under the lease.
    async fn work(&self, account: &AccountId, told: Option<SyncReason>) -> Result<Attended> {
        let clock = &self.accounts.0.clock;
        let Some(loaded) = self.accounts.load(account).await? else {
            return Ok(Attended::default());
        };
        let record = loaded.record;
        let now = clock.now();
        let mut due = self.due_for(&record, now);
        let (mut reason, mut renew) = (None, false);
        for Due { work, .. } in due.iter().filter(|due| due.at <= now) {
            match work {
                DueWork::RenewCredential => renew = true,
                DueWork::Sync(why) => reason = reason.max(Some(*why)),
            }
        }
        let rests = record.upkeep.failures.retry_at.is_some_and(|at| at > now);
        let can_sync = due.iter().any(|due| matches!(due.work, DueWork::Sync(_)));
        if told.is_some() && can_sync && !rests {
            reason = reason.max(told);
        }
        if !renew && reason.is_none() {
            due.truncate(1);
            return Ok(Attended {
                next: due.pop().map(|due| due.at),
                ..Attended::default()
            });
        }

        let mut attended = Attended::default();
        let mut notes = Notes::default();
        // A sync uses the grant as well.
        if renew && reason.is_none() {
            match self.accounts.use_grant(account, &record).await {
                Ok(()) => attended.done.push(DueWork::RenewCredential),
                Err(error) => notes.failed = Some(error),
            }
        }
        if let Some(reason) = reason {
            let begun = clock.now();
            match self.sync(account, &record, reason).await {
                Ok(_) => {
                    attended.done.push(DueWork::Sync(reason));
                    notes.synced_at = Some(begun);
                    // The first sync of all reads everything that is there.
                    let is_whole = matches!(reason, SyncReason::Audit | SyncReason::First);
                    notes.audited_at = is_whole.then_some(begun);
                }
                Err(error) if is_elsewhere(&error) => {
                    let wait = error.retry_after().unwrap_or(self.plan.look_every);
                    attended.elsewhere = Some(after(clock.now(), wait.min(self.plan.look_every)));
                    return Ok(attended);
                }
                Err(error) => notes.failed = Some(error),
            }
        }
        self.note(&record, notes, &mut attended).await?;
        Ok(attended)
    }

    async fn sync(
        &self,
        account: &AccountId,
        record: &AccountRecord,
        reason: SyncReason,
    ) -> Result<Synced> {
        let mailbox = self.accounts.open_with(account, record)?;
        let described = self.accounts.describe(record);
        let syncing = self.host.sync(&described, mailbox, reason);
        // One account's trouble must not become everybody's.
        let outcome = AssertUnwindSafe(syncing).catch_unwind().await;
        if outcome.is_err() {
            self.accounts.free_turn(account).await;
        }
        outcome.unwrap_or_else(|_| {
            Err(
                Error::new(ErrorKind::InvalidRequest, "the host's sync panicked")
                    .with_code("host_panicked")
                    .with_action(Action::DeveloperFixes),
            )
        })
    }

    /// Writes down what was done, and reckons what is next.
    async fn note(
        &self,
        before: &AccountRecord,
        notes: Notes,
        attended: &mut Attended,
    ) -> Result<()> {
        let account = &before.account;
        let now = self.accounts.0.clock.now();
        let noting = self.accounts.amend(account, |record| {
            let upkeep = &mut record.upkeep;
            upkeep.synced_at = upkeep.synced_at.max(notes.synced_at);
            upkeep.audited_at = upkeep.audited_at.max(notes.audited_at);
            match &notes.failed {
                Some(error) => self
                    .plan
                    .note_failure(&mut upkeep.failures, account, error, now),
                None => upkeep.try_again(),
            }
            true
        });
        let record = match noting.await {
            Ok((record, _)) => record,
            // It was disconnected meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        attended.next = self.due_for(&record, now).first().map(|due| due.at);
        let events = &self.accounts.0.events;
        match &notes.failed {
            // What an account needs that cannot be used is told by an event of its own.
            Some(error) if self.accounts.describe(&record).status == AccountStatus::Active => {
                events.upkeep_failing(account, error, record.upkeep.failures);
            }
            None if !before.upkeep.failures.is_none() => events.upkeep_recovered(account),
            _ => {}
        }
        attended.failed = notes.failed;
        Ok(())
    }
}

/// Whether somebody else syncs the mailbox at the moment, or did so faster.
fn is_elsewhere(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
        && matches!(error.code(), Some("sync_running" | "sync_overtaken"))
}

fn error_of(refused: Refused) -> Error {
    match refused {
        Refused::Store(error) => error.into(),
        Refused::Busy { .. } | Refused::Overtaken => Error::new(
            ErrorKind::Conflict,
            "another worker took the account's upkeep over",
        ),
    }
}

impl Accounts {
    /// Uses an account's grant, so that it does not end for being unused.
    async fn use_grant(&self, account: &AccountId, record: &AccountRecord) -> Result<()> {
        let configured = self.configuration(&record.configuration)?;
        let (_, tokens) = self.open_anew(account, record, configured)?;
        tokens.token().await.map(drop)
    }

    /// Ends the turn of a sync of this process that was cut off, so that other workers need not wait for its end.
    async fn free_turn(&self, account: &AccountId) {
        let mailbox = self.opened().get(account).map(|opened| opened.mailbox());
        if let Some(mailbox) = mailbox {
            mailbox.free_turn().await;
        }
    }
}
