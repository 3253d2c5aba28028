//! The one future of an upkeep: it waits for whatever comes first (time, a hint, an event, a look at the store, work that is
//! done) and starts what is due. It has one timer, however many accounts there are.

use std::collections::{BTreeMap, HashSet};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, Fuse, FusedFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, watch};

use super::agenda::Agenda;
use super::hints::{Hint, MOST_UNVERIFIED};
use super::plan::after;
use super::{Attended, DueWork, Looked, Upkeep};
use crate::accounts::{AccountEvent, AccountEvents};
use crate::error::Result;
use crate::model::{AccountId, SubscriptionId};
use crate::push::Unverified;

/// How soon a look at the store is repeated that failed, and work that the store kept from being done.
const STORE_PAUSE: Duration = Duration::from_secs(30);

/// How soon the same account is seen to again at the earliest, if nothing is told about it.
const SOONEST: Duration = Duration::from_secs(1);

/// How soon something that was told is tried again while another worker is at the account.
const BUSY_PAUSE: Duration = Duration::from_secs(10);

impl Upkeep {
    /// Runs until it is dropped. What is being done then is cut off, which loses nothing; but other workers wait for the
    /// leases to end. To stop without that, use [`run_until`](Self::run_until).
    pub async fn run(&self) {
        self.run_until(pending()).await;
    }

    /// Runs until `stop` is done. What is being done then is cut off, its leases are given back, and it returns.
    pub async fn run_until(&self, stop: impl Future<Output = ()> + Send) {
        let (stopping, stopped) = watch::channel(false);
        let mut round = Round::new(self, stopped);
        let mut stop = pin!(stop);
        loop {
            round.begin_what_is_due();
            match round.step(stop.as_mut()).await {
                Step::Stop => break,
                step => round.take(step),
            }
        }
        stopping.send_replace(true);
        while round.running.next().await.is_some() {}
    }
}

type Work<'a> = BoxFuture<'a, (AccountId, Hint, Result<Option<Attended>>)>;

/// What happened.
enum Step {
    Stop,
    Done(AccountId, Hint, Result<Option<Attended>>),
    Looked(Result<Vec<Looked>>),
    Event(AccountEvent),
    Told,
    Time,
}

/// Where an upkeep stands.
struct Round<'a> {
    upkeep: &'a Upkeep,
    events: AccountEvents,
    running: FuturesUnordered<Work<'a>>,
    /// The accounts that are being seen to.
    busy: HashSet<AccountId>,
    /// When each account's time comes.
    timed: Agenda,
    /// When the time of those comes about which something was told. They do not wait behind a long row of polls.
    hinted: Agenda,
    told: BTreeMap<AccountId, Hint>,
    /// Room for syncs that take long, where not all of it is for all: others go on beside them.
    long: Option<Arc<Semaphore>>,
    /// The accounts that wait for such room, and since when.
    crowded: Agenda,
    /// What was told about watches that nobody is known to have: perhaps another worker has just set them up.
    unknown: BTreeMap<SubscriptionId, Hint>,
    unverified: Vec<Unverified>,
    /// The same, for the look that runs.
    sought: (BTreeMap<SubscriptionId, Hint>, Vec<Unverified>),
    /// Whose turn it is if both have one.
    hinted_first: bool,
    looking: Fuse<BoxFuture<'a, Result<Vec<Looked>>>>,
    look_at: DateTime<Utc>,
    /// When the last look was begun.
    looked_at: DateTime<Utc>,
    /// What was seen to since the look began: the look may not know of that yet.
    seen_to: HashSet<AccountId>,
    stopped: watch::Receiver<bool>,
}

impl<'a> Round<'a> {
    fn new(upkeep: &'a Upkeep, stopped: watch::Receiver<bool>) -> Self {
        let half = upkeep.plan.at_once / 2;
        Self {
            upkeep,
            events: upkeep.accounts.events(),
            running: FuturesUnordered::new(),
            busy: HashSet::new(),
            timed: Agenda::default(),
            hinted: Agenda::default(),
            told: BTreeMap::new(),
            long: (half > 0).then(|| Arc::new(Semaphore::new(half.min(Semaphore::MAX_PERMITS)))),
            crowded: Agenda::default(),
            unknown: BTreeMap::new(),
            unverified: Vec::new(),
            sought: (BTreeMap::new(), Vec::new()),
            hinted_first: true,
            looking: Fuse::terminated(),
            look_at: upkeep.accounts.0.clock.now(),
            looked_at: DateTime::<Utc>::MIN_UTC,
            seen_to: HashSet::new(),
            stopped,
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.upkeep.accounts.0.clock.now()
    }

    fn begin_what_is_due(&mut self) {
        let now = self.now();
        if self.looking.is_terminated() && self.look_at <= now {
            let upkeep = self.upkeep;
            self.looked_at = now;
            self.seen_to.clear();
            // What comes meanwhile may ask for another one.
            self.look_at = DateTime::<Utc>::MAX_UTC;
            self.sought = (
                std::mem::take(&mut self.unknown),
                std::mem::take(&mut self.unverified),
            );
            self.looking = upkeep.look(now).boxed().fuse();
        }
        let room = self.long.as_ref();
        let mut room = room.map_or(0, |long| long.available_permits());
        while self.running.len() < self.upkeep.plan.at_once {
            // Since when they wait was told by a clock that may have been put back.
            let waiting = self.crowded.next().filter(|_| room > 0);
            let account = if waiting.is_some() {
                room -= 1;
                self.crowded.pop(DateTime::<Utc>::MAX_UTC)
            } else if self.hinted_first {
                let hinted = self.hinted.pop(now);
                hinted.or_else(|| self.timed.pop(now))
            } else {
                let timed = self.timed.pop(now);
                timed.or_else(|| self.hinted.pop(now))
            };
            let Some(account) = account else { break };
            self.hinted_first = !self.hinted_first;
            self.timed.remove(&account);
            self.hinted.remove(&account);
            self.crowded.remove(&account);
            let hint = self.told.remove(&account).unwrap_or_default();
            self.busy.insert(account.clone());
            self.running.push(self.attend(account, hint));
        }
    }

    fn attend(&self, account: AccountId, hint: Hint) -> Work<'a> {
        let upkeep = self.upkeep;
        let mut stopped = self.stopped.clone();
        let room = self.long.clone();
        Box::pin(async move {
            let stop = async move {
                // Nobody is left to stop it if this fails.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let outcome = upkeep.attend_until(&account, hint, room.as_deref(), stop);
            let outcome = outcome.await;
            (account, hint, outcome)
        })
    }

    /// When time alone gives something to do.
    fn next(&self) -> Option<DateTime<Utc>> {
        let look = self.looking.is_terminated().then_some(self.look_at);
        let has_room = self.running.len() < self.upkeep.plan.at_once;
        let work = self.timed.next().into_iter().chain(self.hinted.next());
        work.filter(|_| has_room).chain(look).min()
    }

    async fn step(&mut self, mut stop: Pin<&mut (impl Future<Output = ()> + Send)>) -> Step {
        let now = self.now();
        // Wall clocks jump: one that was put back must not keep everybody waiting for hours.
        let wait = self.next().map_or(self.upkeep.plan.look_every, |next| {
            let wait = (next - now).to_std().unwrap_or_default();
            wait.min(self.upkeep.plan.look_every)
        });
        let mut time = pin!(self.upkeep.accounts.0.clock.sleep(wait));
        let mut news = pin!(self.upkeep.hints.news());
        poll_fn(|context| {
            if stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(Step::Stop);
            }
            if let Poll::Ready(Some((account, hint, outcome))) =
                self.running.poll_next_unpin(context)
            {
                return Poll::Ready(Step::Done(account, hint, outcome));
            }
            if !self.looking.is_terminated()
                && let Poll::Ready(looked) = self.looking.poll_unpin(context)
            {
                return Poll::Ready(Step::Looked(looked));
            }
            if let Poll::Ready(Some(event)) = self.events.poll_next_unpin(context) {
                return Poll::Ready(Step::Event(event));
            }
            if news.as_mut().poll(context).is_ready() {
                return Poll::Ready(Step::Told);
            }
            time.as_mut().poll(context).map(|()| Step::Time)
        })
        .await
    }

    fn take(&mut self, step: Step) {
        let now = self.now();
        match step {
            Step::Stop | Step::Time => {}
            Step::Done(account, hint, outcome) => self.done(&account, hint, outcome),
            Step::Looked(Ok(looked)) => {
                self.look_at = self.look_at.min(after(now, self.upkeep.plan.look_every));
                self.looked(looked);
            }
            Step::Looked(Err(error)) => {
                tracing::warn!(%error, "the accounts could not be looked through for what is due");
                self.look_at = after(now, STORE_PAUSE);
                let (unknown, unverified) = std::mem::take(&mut self.sought);
                for (watch, hint) in unknown {
                    self.unknown.entry(watch).or_default().add(hint);
                }
                self.unverified.splice(..0, unverified);
                self.unverified.truncate(MOST_UNVERIFIED);
            }
            Step::Event(event) => self.event(&event),
            Step::Told => {
                let told = self.upkeep.hints.take();
                for (account, hint) in told.accounts {
                    self.hint(account, hint);
                }
                for (watch, hint) in told.watches {
                    if !self.hint_watched(&watch, hint) {
                        self.unknown.entry(watch).or_default().add(hint);
                    }
                }
                let room = MOST_UNVERIFIED.saturating_sub(self.unverified.len());
                self.unverified
                    .extend(told.unverified.into_iter().take(room));
                if !self.unknown.is_empty() || !self.unverified.is_empty() {
                    // Whoever tells nonsense does not have all accounts read each time.
                    self.look_at = self.look_at.min(after(self.looked_at, STORE_PAUSE));
                }
            }
        }
    }

    /// Sees to it that a round follows what was told: after the one that runs, if one does.
    fn hint(&mut self, account: AccountId, hint: Hint) {
        self.told.entry(account.clone()).or_default().add(hint);
        if hint.sync.is_some() && self.crowded.has(&account) {
            self.hurry(&account);
        }
        if !self.busy.contains(&account) {
            let at = after(self.now(), self.upkeep.plan.settling);
            self.hinted.put_by(&account, at);
        }
    }

    /// The same for all who have this watch; `false` if nobody is known to.
    fn hint_watched(&mut self, watch: &SubscriptionId, hint: Hint) -> bool {
        let accounts = self.upkeep.hints.accounts_of(watch);
        let is_known = accounts.is_some();
        for account in accounts.into_iter().flatten() {
            self.hint(account, hint);
        }
        is_known
    }

    /// Where something was told, nobody waits behind a long row of others for room either.
    fn hurry(&mut self, account: &AccountId) {
        self.crowded.put(account, DateTime::<Utc>::MIN_UTC);
    }

    fn done(&mut self, account: &AccountId, hint: Hint, outcome: Result<Option<Attended>>) {
        let now = self.now();
        self.busy.remove(account);
        self.seen_to.insert(account.clone());
        let told_again = self.told.contains_key(account);
        match outcome {
            Ok(Some(attended)) => {
                self.upkeep.hints.has_watches(account, attended.watches);
                if let Some(since) = attended.crowded {
                    self.crowded.put(account, since);
                    if hint.sync.is_some() {
                        self.hurry(account);
                    }
                }
                if let Some(until) = attended.elsewhere {
                    self.timed.put(account, until);
                    let mut hint = hint;
                    if attended.done.contains(&DueWork::Watch) {
                        (hint.renew, hint.removed) = (false, false);
                    }
                    // Whoever is at it may have begun before what was told happened.
                    if hint.sync.is_some() || hint.renew {
                        self.told.entry(account.clone()).or_default().add(hint);
                        self.hinted
                            .put_by(account, after(now, BUSY_PAUSE).min(until));
                    }
                } else if let Some(next) = attended.next {
                    // Whatever is due again although it was just done must not keep a processor busy.
                    self.timed.put(account, next.max(after(now, SOONEST)));
                }
            }
            Err(error) => {
                tracing::warn!(%account, %error, "an account could not be seen to");
                if hint != Hint::default() {
                    self.told.entry(account.clone()).or_default().add(hint);
                }
                self.timed.put(account, after(now, STORE_PAUSE));
            }
            Ok(None) => {}
        }
        if told_again {
            self.hinted
                .put_by(account, after(now, self.upkeep.plan.settling));
        }
    }

    fn looked(&mut self, looked: Vec<Looked>) {
        let mut there = HashSet::with_capacity(looked.len());
        let mut found = Vec::with_capacity(looked.len());
        for Looked {
            account,
            watches,
            due,
        } in looked
        {
            found.push((account.clone(), watches));
            if !self.busy.contains(&account) && !self.seen_to.contains(&account) {
                let waits = self.crowded.has(&account);
                match due.iter().find(|due| !(waits && due.work.is_long())) {
                    Some(due) => self.timed.put(&account, due.at),
                    None => self.timed.remove(&account),
                }
            }
            there.insert(account);
        }
        let (seen_to, busy) = (&self.seen_to, &self.busy);
        self.upkeep.hints.has_only_watches(found, |account| {
            seen_to.contains(account) || busy.contains(account)
        });
        self.timed
            .retain(|account| there.contains(account) || seen_to.contains(account));
        self.crowded
            .retain(|account| there.contains(account) || seen_to.contains(account));
        let (unknown, unverified) = std::mem::take(&mut self.sought);
        for (watch, hint) in unknown {
            if !self.hint_watched(&watch, hint) {
                tracing::debug!("something was told about a watch that no account has");
            }
        }
        for told in unverified {
            match self.upkeep.hints.verify(&told) {
                Some(Ok(notification)) => self.upkeep.hints.notified(&notification),
                _ => tracing::debug!("something was told that cannot be believed"),
            }
        }
    }

    /// What this process does to an account need not wait for the next look at the store.
    fn event(&mut self, event: &AccountEvent) {
        let now = self.now();
        match event {
            AccountEvent::Connected { account, .. } | AccountEvent::Resumed { account }
                if !self.busy.contains(account) =>
            {
                self.seen_to.insert(account.clone());
                self.timed.put_by(account, now);
            }
            AccountEvent::Disconnected { account, .. }
            | AccountEvent::Suspended { account }
            | AccountEvent::NeedsSignIn { account, .. } => {
                self.seen_to.insert(account.clone());
                self.timed.remove(account);
                self.crowded.remove(account);
                self.hinted.remove(account);
                self.told.remove(account);
            }
            AccountEvent::Missed { .. } => self.look_at = now,
            _ => {}
        }
    }
}
