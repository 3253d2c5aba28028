//! One personal message to each of many, paced by what the account may send, and resumed by the journal. How one of them
//! is sent once is `sending`'s; what an account may send is each provider's own table.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};

use super::Mailbox;
use crate::error::{Action, Delivery, Error, ErrorKind, Result};
use crate::journal::{SendState, failed};
use crate::model::{Access, Outgoing, SendKey, SendingLimits, Sent};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// For how long a campaign waits rather than stops.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How often a message is tried that the service could not take at the moment, and what is waited for before the second
/// time; before each further one it is twice as long.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(15);

/// After so many outcomes in a row that nobody knows, something is wrong that more sends do not mend.
const UNKNOWN_IN_A_ROW: u32 = 5;

/// Many personal messages under one name: those that it sent already are not sent again.
///
/// The name, and a key of each recipient's, make the key that a message is noted by in the journal. With a journal that
/// lasts, a campaign that was interrupted is resumed by starting it again, with the same name and the same recipients.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Campaign {
    /// Its name, such as `invoices 2026-11`.
    pub name: String,
    /// What to keep to, in place of what [`Mailbox::sending_limits`] tells.
    pub limits: Option<SendingLimits>,
    /// For how long it waits for a limit at most; what takes longer stops it.
    pub patience: Duration,
}

impl Campaign {
    /// A campaign that keeps to what the account may send, and waits for ten minutes at most.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            limits: None,
            patience: PATIENCE,
        }
    }

    /// Keeps to these limits instead.
    #[must_use]
    pub fn with_limits(mut self, limits: SendingLimits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Waits so long for a limit at most: with a day or more, a daily limit does not stop it.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The key of the message to this recipient, for [`Mailbox::settle`] and its kin.
    #[must_use]
    pub fn key(&self, recipient: &str) -> SendKey {
        // With its length the name ends where it ends, whatever is in it.
        SendKey::new(format!("{}:{}/{recipient}", self.name.len(), self.name))
    }
}

/// What became of the message to one recipient.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// The recipient, as the host gave them.
    pub recipient: T,
    /// The key of the message in the journal.
    pub key: SendKey,
    /// Whether it was this call that sent the message; otherwise an earlier one did, or nobody.
    pub now: bool,
    /// What the service told of it; or why it is not sent, or not known to be: [`Error::delivery`] says which. Starting the
    /// campaign again tries what was not sent, and settles what is not known.
    pub result: Result<Sent>,
}

/// Why a campaign stopped before its end. Started again, it goes on where it stopped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stopped {
    /// What would stop every further message too.
    pub error: Error,
    /// When going on may help without anybody acting.
    pub go_on_at: Option<DateTime<Utc>>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no further messages can be sent")?;
        match self.go_on_at {
            Some(at) => write!(formatter, " before {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// How far a campaign has got: a handle that stays current while the campaign runs.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    sent_before: u64,
    not_sent: u64,
    unknown: u64,
    waiting_until: Option<DateTime<Utc>>,
}

impl Progress {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Numbers are whole whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages it sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts().sent
    }

    /// How many it found to have been sent before.
    #[must_use]
    pub fn sent_before(&self) -> u64 {
        self.counts().sent_before
    }

    /// How many it could not send.
    #[must_use]
    pub fn not_sent(&self) -> u64 {
        self.counts().not_sent
    }

    /// Of how many it is not known whether they were sent.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.counts().unknown
    }

    /// Until when it waits for a limit, if it does.
    #[must_use]
    pub fn waiting_until(&self) -> Option<DateTime<Utc>> {
        self.counts().waiting_until
    }

    fn count<T>(&self, outcome: &Outcome<T>) {
        let mut counts = self.counts();
        match &outcome.result {
            Ok(_) if outcome.now => counts.sent += 1,
            Ok(_) => counts.sent_before += 1,
            Err(error) if error.delivery() == Delivery::Unknown => counts.unknown += 1,
            Err(_) => counts.not_sent += 1,
        }
    }
}

/// A campaign that runs; see [`Mailbox::send_many`].
#[must_use = "streams do nothing unless polled"]
pub struct SendMany<T> {
    outcomes: BoxStream<'static, Result<Outcome<T>, Stopped>>,
    progress: Progress,
}

impl<T> SendMany<T> {
    /// How far it has got, also while it is polled.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl<T> Stream for SendMany<T> {
    type Item = Result<Outcome<T>, Stopped>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.outcomes.as_mut().poll_next(context)
    }
}

impl<T> fmt::Debug for SendMany<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SendMany")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl Mailbox {
    /// How much may be sent from this mailbox, as far as its provider knows: what [`send_many`](Self::send_many) keeps to.
    #[must_use]
    pub fn sending_limits(&self) -> Option<SendingLimits> {
        self.provider.sending_limits()
    }

    /// Sends a personal message to each of many recipients, one after the other, no faster than the account may send.
    ///
    /// Recipients come with a key of the host's each, such as their primary key, and `compose` writes the message for one.
    /// Every outcome is told as it comes; what one message cannot do (an address that the service refuses, an attachment that
    /// is gone) is its own outcome, and what would stop all of them ends the stream with [`Stopped`], which says when to go
    /// on. Dropping the stream stops it too. Whatever stopped it, calling this again with the same name and recipients goes
    /// on: a message that was sent is found in the journal and not even composed, one that may have been sent is looked for.
    ///
    /// It waits for limits by the minute, and stops at those by the day: both are counted over everything that this mailbox's
    /// handles sent, and what the journal has of other processes and earlier runs. Mail that the user sends elsewhere counts
    /// at the service and is not seen here. The host sees to it that recipients asked for their mail, and can leave
    /// (`List-Unsubscribe`): accounts that do not are blocked sooner than at any of these limits.
    ///
    /// ```no_run
    /// # async fn example(mailbox: postroom::Mailbox) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::{StreamExt, stream};
    /// use postroom::{Campaign, Outgoing};
    ///
    /// let customers = stream::iter([("17", "billing@shop.example"), ("23", "support@desk.example")]);
    /// let mut sends = mailbox.send_many(
    ///     Campaign::new("invoices 2026-11"),
    ///     customers.map(|(id, address)| (id.to_owned(), address.to_owned())),
    ///     |address| {
    ///         let to = address.parse().map_err(|_| {
    ///             postroom::Error::new(postroom::ErrorKind::InvalidRequest, "this is no address")
    ///         })?;
    ///         Ok(Outgoing::new().to(to).subject("Your invoice").text("It is attached."))
    ///     },
    /// );
    /// while let Some(outcome) = sends.next().await {
    ///     let outcome = outcome?;
    ///     if let Err(error) = outcome.result {
    ///         eprintln!("{}: {error}", outcome.key.as_str());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_many<T, R, C>(&self, campaign: Campaign, recipients: R, compose: C) -> SendMany<T>
    where
        T: Send + 'static,
        R: Stream<Item = (String, T)> + Send + 'static,
        C: Fn(&T) -> Result<Outgoing> + Send + Sync + 'static,
    {
        let progress = Progress::default();
        let run = Run {
            mailbox: self.clone(),
            limits: campaign.limits.clone().or_else(|| self.sending_limits()),
            campaign,
            progress: progress.clone(),
            unknown_in_a_row: 0,
        };
        let state = Some((run, recipients.boxed(), compose));
        let outcomes = stream::unfold(state, |state| async move {
            let (mut run, mut recipients, compose): (Run, BoxStream<'_, (String, T)>, C) = state?;
            if let Err(stopped) = run.may_go_on() {
                return Some((Err(stopped), None));
            }
            let (key, recipient) = recipients.next().await?;
            let key = run.campaign.key(&key);
            let known = run.known(&key).await;
            let sent = match known {
                Ok(Some(sent)) => Ok((false, Ok(sent))),
                Ok(None) => match compose(&recipient).and_then(|one| run.within_limits(one)) {
                    Ok(outgoing) => run.send(&key, &outgoing).await,
                    Err(error) => Ok((false, Err(error.with_delivery(Delivery::NotSent)))),
                },
                Err(stopped) => Err(stopped),
            };
            run.progress.counts().waiting_until = None;
            Some(match sent {
                Ok((now, result)) => {
                    let outcome = Outcome {
                        recipient,
                        key,
                        now,
                        result,
                    };
                    run.progress.count(&outcome);
                    (Ok(outcome), Some((run, recipients, compose)))
                }
                Err(stopped) => (Err(stopped), None),
            })
        });
        SendMany {
            outcomes: outcomes.boxed(),
            progress,
        }
    }
}

struct Run {
    mailbox: Mailbox,
    campaign: Campaign,
    limits: Option<SendingLimits>,
    progress: Progress,
    unknown_in_a_row: u32,
}

impl Run {
    fn may_go_on(&self) -> Result<(), Stopped> {
        let stopped = |error| Stopped {
            error,
            go_on_at: None,
        };
        self.mailbox.require(Access::SEND).map_err(stopped)?;
        if self.unknown_in_a_row >= UNKNOWN_IN_A_ROW {
            let error = Error::new(
                ErrorKind::Unavailable,
                "what becomes of messages is not told any more",
            );
            return Err(Stopped {
                go_on_at: Some(self.mailbox.clock.now() + PATIENCE),
                error,
            });
        }
        Ok(())
    }

    /// What the journal knows to have been sent.
    async fn known(&self, key: &SendKey) -> Result<Option<Sent>, Stopped> {
        let outbox = &self.mailbox.outbox;
        let known = outbox.journal.get(&outbox.scope.key(key)).await;
        let known = known.map_err(|error| stopped(failed(error)))?;
        Ok(match known.map(|entry| entry.state) {
            Some(SendState::Sent { sent, .. }) => Some(sent),
            _ => None,
        })
    }

    /// One message: whether this call sent it, and what became of it.
    async fn send(
        &mut self,
        key: &SendKey,
        outgoing: &Outgoing,
    ) -> Result<(bool, Result<Sent>), Stopped> {
        let mut tries = 1;
        loop {
            let pace = Arc::clone(&self.mailbox.outbox.pace);
            // One at a time, or two campaigns would both take the last place.
            let _turn = pace.turn.lock().await;
            self.keep_pace(outgoing).await?;
            let error = match self.mailbox.send_now(key, outgoing).await {
                Ok((now, sent)) => {
                    self.unknown_in_a_row = 0;
                    return Ok((now, Ok(sent)));
                }
                Err(error) => error,
            };
            if error.delivery() == Delivery::Unknown {
                self.unknown_in_a_row += 1;
                return Ok((false, Err(error)));
            }
            // What is refused in so many words is told.
            if error.status().is_some() {
                self.unknown_in_a_row = 0;
            }
            match self.judge(&error, tries) {
                Verdict::Next => return Ok((false, Err(error))),
                Verdict::Stop(go_on_at) => return Err(Stopped { error, go_on_at }),
                Verdict::Again(wait) => self.wait(wait).await,
            }
            tries += 1;
        }
    }

    fn within_limits(&self, outgoing: Outgoing) -> Result<Outgoing> {
        let limit = self
            .limits
            .as_ref()
            .and_then(|limits| limits.recipients_per_message);
        match limit {
            Some(limit) if outgoing.recipients().count() > limit as usize => Err(Error::new(
                ErrorKind::InvalidRequest,
                "the message has more recipients than the account may send one to",
            )),
            _ => Ok(outgoing),
        }
    }

    /// What an error about one message says of the others.
    fn judge(&self, error: &Error, tries: u32) -> Verdict {
        let now = self.mailbox.clock.now();
        match error.kind() {
            ErrorKind::InvalidRequest
            | ErrorKind::Content
            | ErrorKind::Conflict
            | ErrorKind::NotFound
            | ErrorKind::Unsupported => Verdict::Next,
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Network => {
                let backoff = PAUSE * 2_u32.saturating_pow(tries - 1);
                let wait = error.retry_after().unwrap_or(backoff).max(backoff);
                if tries < TRIES && wait <= self.campaign.patience {
                    Verdict::Again(wait)
                } else {
                    Verdict::Stop(Some(now + wait))
                }
            }
            // A sending limit, if time helps; a full mailbox otherwise.
            ErrorKind::QuotaExceeded => match error.action() {
                Action::Wait(wait) => Verdict::Stop(Some(now + wait.unwrap_or(DAY))),
                _ => Verdict::Stop(None),
            },
            _ => Verdict::Stop(None),
        }
    }

    /// Waits until the account may send another message, or says when it may.
    async fn keep_pace(&self, outgoing: &Outgoing) -> Result<(), Stopped> {
        let Some(limits) = &self.limits else {
            return Ok(());
        };
        let recipients = u32::try_from(outgoing.recipients().count()).unwrap_or(u32::MAX);
        loop {
            self.read_journal().await?;
            let now = self.mailbox.clock.now();
            let pace = &self.mailbox.outbox.pace;
            let Some(wait) = pace.wait(limits, now, recipients) else {
                return Ok(());
            };
            if wait > self.campaign.patience {
                let error = Error::new(
                    ErrorKind::QuotaExceeded,
                    "the account has sent as much as it may for now",
                );
                return Err(Stopped {
                    error: error.with_retry_after(wait),
                    go_on_at: Some(now + wait),
                });
            }
            self.wait(wait).await;
        }
    }

    /// Learns what others sent from this account, once a minute.
    async fn read_journal(&self) -> Result<(), Stopped> {
        let outbox = &self.mailbox.outbox;
        let now = self.mailbox.clock.monotonic();
        if !outbox.pace.is_outdated(now) {
            return Ok(());
        }
        let since = self.mailbox.clock.now() - DAY;
        let times = outbox.journal.sent_since(&outbox.scope, since).await;
        let times = times.map_err(|error| stopped(failed(error)))?;
        outbox.pace.learn(&times, now);
        Ok(())
    }

    async fn wait(&self, wait: Duration) {
        let clock = &self.mailbox.clock;
        self.progress.counts().waiting_until = Some(clock.now() + wait);
        clock.sleep(wait).await;
    }
}

fn stopped(error: Error) -> Stopped {
    Stopped {
        error,
        go_on_at: None,
    }
}

enum Verdict {
    /// It is about this message only.
    Next,
    /// It passes.
    Again(Duration),
    /// It stops all of them.
    Stop(Option<DateTime<Utc>>),
}

/// When messages were sent from a mailbox, as far back as limits reach.
#[derive(Debug, Default)]
pub(super) struct Pace {
    sent: Mutex<Sends>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Sends {
    /// How many messages, and to how many recipients, in which millisecond: what a journal of any precision agrees on.
    times: BTreeMap<i64, (u32, u32)>,
    /// When the journal was read.
    learned: Option<Duration>,
}

impl Pace {
    fn sends(&self) -> MutexGuard<'_, Sends> {
        // One insertion at a time leaves nothing half-done.
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message.
    pub(super) fn sent(&self, at: DateTime<Utc>, recipients: u32) {
        let mut sends = self.sends();
        let oldest = (at - DAY).timestamp_millis();
        sends.times = sends.times.split_off(&oldest);
        let (messages, everybody) = sends.times.entry(at.timestamp_millis()).or_default();
        *messages += 1;
        *everybody += recipients;
    }

    fn is_outdated(&self, now: Duration) -> bool {
        let learned = self.sends().learned;
        learned.is_none_or(|learned| now.saturating_sub(learned) >= MINUTE)
    }

    /// Counts what the journal has and was not counted yet. To how many recipients a message went it does not say.
    fn learn(&self, times: &[DateTime<Utc>], now: Duration) {
        let mut counts: BTreeMap<i64, u32> = BTreeMap::new();
        for at in times {
            *counts.entry(at.timestamp_millis()).or_default() += 1;
        }
        let mut sends = self.sends();
        for (at, count) in counts {
            let (messages, recipients) = sends.times.entry(at).or_default();
            *messages = count.max(*messages);
            *recipients = count.max(*recipients);
        }
        sends.learned = Some(now);
    }

    /// How long it takes until a message to so many may be sent; `None`: it may be now.
    fn wait(
        &self,
        limits: &SendingLimits,
        now: DateTime<Utc>,
        recipients: u32,
    ) -> Option<Duration> {
        let sends = self.sends();
        let messages = |(messages, _): (u32, u32)| messages;
        let everybody = |(_, recipients): (u32, u32)| recipients;
        let waits = [
            sends.until(limits.messages_per_minute, MINUTE, now, 1, messages),
            sends.until(limits.messages_per_day, DAY, now, 1, messages),
            sends.until(limits.recipients_per_day, DAY, now, recipients, everybody),
        ];
        waits.into_iter().flatten().max()
    }
}

impl Sends {
    /// How long it takes until `more` fit a limit on what is counted within any `window`.
    fn until(
        &self,
        limit: Option<u32>,
        window: Duration,
        now: DateTime<Utc>,
        more: u32,
        counted: impl Fn((u32, u32)) -> u32,
    ) -> Option<Duration> {
        let limit = u64::from(limit?);
        let begin = (now - window).timestamp_millis();
        let within = self.times.range(begin + 1..);
        let mut count: u64 = within
            .clone()
            .map(|(_, sent)| u64::from(counted(*sent)))
            .sum();
        // One that is over the limit by itself goes when nothing else is in the way.
        let room = limit.saturating_sub(u64::from(more));
        for (at, sent) in within {
            if count <= room {
                break;
            }
            count -= u64::from(counted(*sent));
            if count <= room {
                let milliseconds = u64::try_from(at - begin).unwrap_or_default();
                return Some(Duration::from_millis(milliseconds));
            }
        }
        None
    }
}
