//! Seeing to one account: what is due for it, done once among all workers and noted in its record. When that is to happen
//! is told by `plan` and `running`.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::sync::Semaphore;

use super::hints::Hint;
use super::plan::after;
use super::{Due, DueWork, SyncReason, Synced, Upkeep, UpkeepPlan};
use crate::accounts::holding::{Holding, Refused, UPKEEP, UPKEEP_LEASE};
use crate::accounts::{AccountStatus, Accounts};
use crate::credentials::{AccountRecord, Failures, Revision, TokenSource, UpkeepRecord};
use crate::error::{Action, Error, ErrorKind, Result};
use crate::model::{Access, AccountId, Watch, WatchState};

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
    /// Set if not all was done because another worker is at it, or the host itself: when to look again.
    pub elsewhere: Option<DateTime<Utc>>,
    /// Whether there is no such account.
    is_gone: bool,
    /// Since when a sync that takes long is due, if there was no room for it.
    pub(super) crowded: Option<DateTime<Utc>>,
    /// By what its notifications are known, if that may have changed.
    pub(super) watches: Vec<Watch>,
}

/// What was done for an account, to be noted in its record.
#[derive(Default)]
struct Notes {
    hint: Hint,
    /// What was done or failed, beside watches.
    work: Option<DueWork>,
    failed: Option<Error>,
    /// When a sync was begun that came to its end, why, and what it found.
    synced: Option<(DateTime<Utc>, SyncReason, Synced)>,
    /// Whether watches were seen to.
    watched: bool,
    watch_failed: Option<Error>,
}

impl Upkeep {
    /// Does what is due for this account now, unless another worker is at it, and notes it in the account's record.
    ///
    /// # Errors
    /// [`ErrorKind::CredentialStore`], and [`ErrorKind::Conflict`] if the store could not be reached for so long that another
    /// worker took over. What fails of the work itself is no error: [`Attended::failed`] tells it.
    pub async fn attend(&self, account: &AccountId) -> Result<Attended> {
        let attended = self
            .attend_until(account, Hint::default(), None, pending())
            .await?;
        Ok(attended.unwrap_or_default())
    }

    /// The same until all are to stop; `None` then. Syncs that take long share the room that there is for them.
    pub(super) async fn attend_until(
        &self,
        account: &AccountId,
        hint: Hint,
        room: Option<&Semaphore>,
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
            let work = pin!(holding.during(self.work(account, hint, room)));
            match select(work, pin!(stop)).await {
                Either::Left((outcome, _)) => Some(outcome),
                Either::Right(_) => None,
            }
        };
        if !matches!(outcome, Some(Ok(_))) {
            self.accounts.free_turn(account).await;
        }
        match &outcome {
            Some(Ok(Ok(attended))) if attended.is_gone => holding.forget().await,
            _ => holding.give_back().await,
        }
        match outcome {
            None => Ok(None),
            Some(Ok(outcome)) => outcome.map(Some),
            Some(Err(refused)) => Err(error_of(refused)),
        }
    }

    /// What is done under the lease.
    async fn work(
        &self,
        account: &AccountId,
        hint: Hint,
        room: Option<&Semaphore>,
    ) -> Result<Attended> {
        let clock = &self.accounts.0.clock;
        let Some(loaded) = self.accounts.load(account).await? else {
            return Ok(Attended {
                is_gone: true,
                ..Attended::default()
            });
        };
        let record = loaded.record;
        let (now, due) = (clock.now(), self.due_for(&record, clock.now()));
        let (mut reason, mut renew, mut watch) = (None, false, false);
        // Why it would be synced if it were not for what takes long.
        let mut short = None;
        for Due { work, .. } in due.iter().filter(|due| due.at <= now) {
            match work {
                DueWork::RenewCredential => renew = true,
                DueWork::Watch => watch = true,
                DueWork::Sync(why) => {
                    reason = reason.max(Some(*why));
                    short = short.max(Some(*why).filter(|why| !why.is_long()));
                }
            }
        }
        let rests = |failures: Failures| failures.retry_at.is_some_and(|at| at > now);
        let may_sync = self.is_usable(&record)
            && record.granted.contains(Access::READ)
            && !rests(record.upkeep.failures);
        if may_sync {
            reason = reason.max(hint.sync);
            short = short.max(hint.sync);
            watch |= hint.renew && !rests(record.upkeep.watch_failures);
        }
        // While it rests: whoever sees to it afterwards was not told.
        self.owe(
            &record,
            Hint {
                sync: hint.sync.filter(|_| !may_sync),
                renew: hint.renew && !watch,
                removed: hint.removed && !watch,
                ..hint
            },
        )
        .await?;
        let is_long = reason.is_some_and(SyncReason::is_long);
        let place = room.filter(|_| is_long).map(Semaphore::try_acquire);
        let is_crowded = matches!(place, Some(Err(_)));
        let mut long = due.iter().filter(|due| due.work.is_long());
        if is_crowded {
            // A mailbox that never was synced has nothing to be kept in step.
            reason = short.filter(|_| reason != Some(SyncReason::First));
        }
        let mut attended = Attended {
            crowded: long.next().map(|due| due.at).filter(|_| is_crowded),
            ..Attended::default()
        };
        if !renew && !watch && reason.is_none() {
            attended.next = attended.next_of(&due);
            return Ok(attended);
        }

        let mut notes = Notes {
            hint,
            ..Notes::default()
        };
        if watch {
            let renew_all = hint.renew || record.upkeep.renewal_owed;
            match self.open_and_watch(&record, renew_all).await {
                Ok(owed) => {
                    attended.done.push(DueWork::Watch);
                    if owed && may_sync && !is_crowded {
                        reason = reason.max(Some(SyncReason::Missed));
                    }
                }
                Err(error) => notes.watch_failed = Some(error),
            }
            notes.watched = true;
        }
        // A sync uses the grant as well.
        if renew && reason.is_none() {
            notes.work = Some(DueWork::RenewCredential);
            match self.accounts.use_grant(account, &record).await {
                Ok(()) => attended.done.push(DueWork::RenewCredential),
                Err(error) => notes.failed = Some(error),
            }
        }
        if let Some(reason) = reason {
            let work = DueWork::Sync(reason);
            let begun = clock.now();
            match self.sync(&record, reason).await {
                Ok(synced) => {
                    attended.done.push(work);
                    notes.work = Some(work);
                    notes.synced = Some((begun, reason, synced));
                }
                Err(error) if is_elsewhere(&error) => {
                    let wait = error.retry_after().unwrap_or(self.plan.look_every);
                    attended.elsewhere = Some(after(clock.now(), wait.min(self.plan.look_every)));
                }
                Err(error) => {
                    notes.work = Some(work);
                    notes.failed = Some(error);
                }
            }
        }
        self.note(&record, notes, &mut attended).await?;
        Ok(attended)
    }

    /// Notes what was told and could not be done yet, so that it is when the account does not rest any more.
    async fn owe(&self, record: &AccountRecord, hint: Hint) -> Result<()> {
        let now = self.accounts.0.clock.now();
        let owing = |upkeep: &mut UpkeepRecord| {
            let before = upkeep.clone();
            upkeep.sync_owed |= hint.sync.is_some();
            upkeep.renewal_owed |= hint.renew;
            if let Some(health) = upkeep.watch_health.as_mut().filter(|_| hint.removed) {
                health.removed(now);
            }
            *upkeep != before
        };
        if !owing(&mut record.upkeep.clone()) {
            return Ok(());
        }
        let account = &record.account;
        let owing = self
            .accounts
            .amend(account, |record| owing(&mut record.upkeep));
        match owing.await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn open_and_watch(&self, record: &AccountRecord, renew_all: bool) -> Result<bool> {
        let mailbox = self.accounts.open_with(&record.account, record)?;
        self.watch(record, &mailbox, renew_all).await
    }

    fn is_usable(&self, record: &AccountRecord) -> bool {
        self.accounts.describe(record).status == AccountStatus::Active
    }

    async fn sync(&self, record: &AccountRecord, reason: SyncReason) -> Result<Synced> {
        let mailbox = self.accounts.open_with(&record.account, record)?;
        let described = self.accounts.describe(record);
        let syncing = self.host.sync(&described, mailbox, reason);
        // One account's trouble must not become everybody's.
        let outcome = AssertUnwindSafe(syncing).catch_unwind().await;
        if outcome.is_err() {
            self.accounts.free_turn(&record.account).await;
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
            notes.write_into(&mut record.upkeep, &self.plan, account, now);
            true
        });
        let record = match noting.await {
            Ok((record, _)) => record,
            // It was disconnected meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                attended.is_gone = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        attended.next = attended.next_of(&self.due_for(&record, now));
        attended.watches = super::watching::marks(&record);
        self.tell(before, &record, &notes, now);
        attended.failed = notes.failed.or(notes.watch_failed);
        Ok(())
    }

    /// Tells what an operator must see.
    fn tell(
        &self,
        before: &AccountRecord,
        record: &AccountRecord,
        notes: &Notes,
        now: DateTime<Utc>,
    ) {
        let (events, account) = (&self.accounts.0.events, &record.account);
        let (was, is) = (&before.upkeep, &record.upkeep);
        let watched = notes.watched.then_some(DueWork::Watch);
        let (was_sync, is_sync) = if notes.is_audit() {
            (was.audit_failures, is.audit_failures)
        } else {
            (was.failures, is.failures)
        };
        let outcomes = [
            (notes.work, &notes.failed, was_sync, is_sync),
            (
                watched,
                &notes.watch_failed,
                was.watch_failures,
                is.watch_failures,
            ),
        ];
        for (work, failed, was, is) in outcomes {
            match (work, failed) {
                // That a mailbox cannot be watched is no trouble. What an account needs that cannot be used is told otherwise.
                (Some(_), Some(error)) if error.kind() == ErrorKind::Unsupported => {}
                (Some(work), Some(error)) if self.is_usable(record) => {
                    events.upkeep_failing(account, work, error, is);
                }
                (Some(work), None) if !was.is_none() => events.upkeep_recovered(account, work),
                _ => {}
            }
        }
        let silent = |upkeep: &UpkeepRecord| match upkeep.watch_health.as_ref()?.state(now) {
            WatchState::Silent { since, .. } => Some(since),
            _ => None,
        };
        if let (None, Some(since)) = (silent(was), silent(is)) {
            events.watch_silent(account, since);
        }
    }
}

impl Attended {
    /// When the first of this is to be done, beside what waits for room.
    fn next_of(&self, due: &[Due]) -> Option<DateTime<Utc>> {
        let mut due = due.iter();
        let next = due.find(|due| !(self.crowded.is_some() && due.work.is_long()))?;
        Some(next.at)
    }
}

impl Notes {
    fn is_audit(&self) -> bool {
        self.work == Some(DueWork::Sync(SyncReason::Audit))
    }

    fn write_into(
        &self,
        upkeep: &mut UpkeepRecord,
        plan: &UpkeepPlan,
        account: &AccountId,
        now: DateTime<Utc>,
    ) {
        if let Some((begun, reason, _)) = self.synced {
            upkeep.synced_at = upkeep.synced_at.max(Some(begun));
            upkeep.sync_owed = false;
            // The first sync of all reads everything that is there.
            if matches!(reason, SyncReason::Audit | SyncReason::First) {
                upkeep.audited_at = upkeep.audited_at.max(Some(begun));
            }
        }
        match &self.failed {
            // What keeps every sync from being done keeps the next one, too.
            Some(error) if self.is_audit() => {
                plan.note_failure(&mut upkeep.audit_failures, account, error, now);
            }
            Some(error) => plan.note_failure(&mut upkeep.failures, account, error, now),
            None if self.work.is_some() => {
                upkeep.failures = Failures::default();
                if self.is_audit() {
                    upkeep.audit_failures = Failures::default();
                }
            }
            None => {}
        }
        upkeep.sync_owed |= self.failed.is_some() && self.hint.sync.is_some();
        match &self.watch_failed {
            Some(error) => plan.note_failure(&mut upkeep.watch_failures, account, error, now),
            None if self.watched => {
                upkeep.watch_failures = Failures::default();
                upkeep.renewal_owed = false;
            }
            None => {}
        }
        upkeep.renewal_owed |= self.watch_failed.is_some() && self.hint.renew;
        let Some(health) = &mut upkeep.watch_health else {
            return;
        };
        if self.hint.sync.is_some() && self.hint.by_watch {
            health.notified(now);
        }
        if self.hint.removed && self.watch_failed.is_some() {
            health.removed(now);
        }
        if let Some((_, SyncReason::Poll, synced)) = self.synced {
            health.synced(synced == Synced::Changed, now);
        }
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
        let token = tokens.token().await?;
        let used = self
            .load(account)
            .await?
            .map(|loaded| loaded.record.credential.obtained_at);
        if used == Some(record.credential.obtained_at) {
            // The token that it has is still good, or nobody knows better. Only a new one uses the grant.
            tokens.reject(&token).await;
            tokens.token().await?;
        }
        Ok(())
    }

    /// Ends the turn of a sync of this process that was cut off, so that other workers need not wait for its end.
    async fn free_turn(&self, account: &AccountId) {
        let mailbox = self.opened().get(account).map(|opened| opened.mailbox());
        if let Some(mailbox) = mailbox {
            mailbox.free_turn().await;
        }
    }
}
