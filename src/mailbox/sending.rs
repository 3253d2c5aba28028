//! Sending through a journal, so that the same key sends once: who may dispatch a ticket, when what the service says of a
//! lost send is believed, and what the journal knows. Where entries are kept is `journal`'s; many personal messages at
//! once are `sending_many`'s.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Mailbox;
use super::sending_many::Pace;
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::journal::{
    JournalEntry, MemoryJournal, Revision, Save, Saved, SendJournal, SendScope, SendState, Turns,
    failed,
};
use crate::model::{Access, Confirmation, Outgoing, SendKey, SendTicket, Sent};

/// For how long a service may still be at work on a send whose answer was lost. Until then, that it is not done does not
/// mean that it will not be. No service promises a time; their gateways give a request up after less than half of this.
///
/// Hosts that keep tickets themselves believe [`Confirmation::NotSent`] no sooner than this after they began to
/// [`dispatch`](Mailbox::dispatch); [`Mailbox::send_once`] and its kin do so by themselves.
pub const SETTLED_AFTER: Duration = Duration::from_secs(5 * 60);

/// For how long a first step is left to whoever began it. It is longer than Outlook keeps its hands off drafts that changed
/// lately, so that what a process left behind is cleared by the one that takes over.
const PREPARED_WITHIN: Duration = Duration::from_secs(12 * 60);

/// When to look again whether somebody else has prepared a message.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How often an entry may be changed by others while a call looks at it. Each time somebody else got on with it, so only a
/// journal that breaks its contract comes to the end of it.
const OVERTAKEN: usize = 20;

/// How many entries of a journal are read at a time.
const LISTED: usize = 200;

/// What the sends of one mailbox share.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    pub(super) journal: Arc<dyn SendJournal>,
    pub(super) scope: SendScope,
    turns: Arc<Turns>,
    pub(super) pace: Arc<Pace>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            journal: Arc::new(MemoryJournal::new()),
            scope: SendScope::new(),
            turns: Arc::default(),
            pace: Arc::default(),
        }
    }
}

impl Outbox {
    async fn get(&self, key: &SendKey) -> Result<Option<JournalEntry>> {
        let entry = self.journal.get(&self.scope.key(key)).await;
        entry.map_err(failed)
    }

    async fn put(&self, key: &SendKey, state: &SendState, save: Save) -> Result<Saved> {
        let saved = self.journal.put(&self.scope.key(key), state, save).await;
        saved.map_err(failed)
    }

    /// Removes an entry that nobody else has or needs.
    async fn remove(&self, key: &SendKey) {
        if self.journal.remove(&self.scope.key(key)).await.is_err() {
            tracing::warn!("what is known of a send could not be removed from the journal");
        }
    }

    /// Notes what is known already and does not hang on being noted: without it, the service is asked the next time.
    async fn note(&self, key: &SendKey, state: &SendState, save: Save) {
        if let Err(error) = self.put(key, state, save).await {
            tracing::warn!(kind = ?error.kind(), "what became of a send could not be noted in the journal");
        }
    }
}

/// What one look at an entry came to.
enum Step {
    /// Whether it was dispatched here, and what is known of it.
    Sent(bool, Sent),
    /// Somebody else changed the entry.
    Overtaken,
    /// The ticket is no longer good, and nothing was sent with it.
    Spoiled(Revision, Error),
}

impl Mailbox {
    /// Notes sends in the host's own journal, so that a key sends once also across a crash, and across the processes that
    /// share the journal. The journal is this mailbox's alone; [`with_journal_in`](Self::with_journal_in) is for one that
    /// several mailboxes share.
    #[must_use]
    pub fn with_journal(self, journal: Arc<dyn SendJournal>) -> Self {
        self.with_journal_in(journal, SendScope::new())
    }

    /// Notes sends in the host's own journal, where the keys of this scope are this mailbox's.
    /// [`AccountsBuilder::journal`](crate::AccountsBuilder::journal) does it for every account.
    #[must_use]
    pub fn with_journal_in(mut self, journal: Arc<dyn SendJournal>, scope: SendScope) -> Self {
        self.outbox.journal = journal;
        self.outbox.scope = scope;
        self
    }

    /// The same sends as another handle to this mailbox knows: a key that was sent through one is not sent through the
    /// other. Nor does one sync while the other does.
    pub(crate) fn continuing(mut self, earlier: &Self) -> Self {
        self.syncing = Arc::clone(&earlier.syncing);
        self.sending_as(earlier)
    }

    /// The same sends as a handle to another mailbox of the same account knows.
    pub(crate) fn sending_as(mut self, other: &Self) -> Self {
        self.outbox = other.outbox.clone();
        self
    }

    /// Sends a message once. To be able to repeat a send whose outcome is unknown, use
    /// [`send_once`](Self::send_once).
    ///
    /// # Errors
    /// See [`Error::delivery`] before repeating: [`Delivery::Unknown`] means that it may have been sent.
    pub async fn send(&self, outgoing: &Outgoing) -> Result<Sent> {
        let key = random_key()?;
        let sent = self.send_once(&key, outgoing).await;
        self.close(&key, sent).await
    }

    /// Forgets a send that is settled, under a key that nobody knows and could repeat. What is left of one that failed would
    /// be sent by whoever goes on with the journal's entries, beside what the host sends in its place.
    pub(super) async fn close(&self, key: &SendKey, sent: Result<Sent>) -> Result<Sent> {
        let is_settled = |error: &Error| error.delivery() != Delivery::Unknown;
        if sent.as_ref().err().is_none_or(is_settled) {
            self.outbox.remove(key).await;
        }
        sent
    }

    /// Sends a message under a key of the host's. The same key never sends twice: a send that was noted in the journal as
    /// done is answered from there, one that may have been done is looked for first. Calls with the same key, through this
    /// handle and its clones, take turns; of several processes that share the journal, one at a time dispatches.
    ///
    /// What is sent is what the key was first prepared with, whatever `outgoing` a later call has.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`ErrorKind::SendJournal`]. After [`Delivery::Unknown`], the same call with the same key
    /// is safe, and is answered once the service tells. If the service says that the message was not sent, that is believed,
    /// and the message sent, only five minutes after it was tried: until then the service may still be at it.
    pub async fn send_once(&self, key: &SendKey, outgoing: &Outgoing) -> Result<Sent> {
        let sent = self.send_now(key, outgoing).await;
        sent.map(|(_, sent)| sent)
    }

    /// The same; also whether it was this call that sent it.
    pub(super) async fn send_now(
        &self,
        key: &SendKey,
        outgoing: &Outgoing,
    ) -> Result<(bool, Sent)> {
        self.require(Access::SEND)?;
        let recipients = u32::try_from(outgoing.recipients().count()).unwrap_or(u32::MAX);
        self.send_prepared(key, recipients, || self.prepare(outgoing, key))
            .await
    }

    /// A send under a key, whose first step is `prepare` unless it was taken before; whether it was dispatched here, and what is
    /// known of it.
    pub(super) async fn send_prepared<F>(
        &self,
        key: &SendKey,
        recipients: u32,
        prepare: impl Fn() -> F + Send + Sync,
    ) -> Result<(bool, Sent)>
    where
        F: Future<Output = Result<SendTicket>> + Send,
    {
        let _turn = self.outbox.turns.take(key).await;
        let mut renewed = false;
        for _ in 0..OVERTAKEN {
            let (state, revision) = match self.outbox.get(key).await? {
                Some(JournalEntry {
                    state: SendState::Preparing { by, since },
                    revision,
                    ..
                }) => {
                    if let Some(error) = self.is_prepared_by_others(&by, since)? {
                        return Err(error);
                    }
                    let over = Save::IfRevision(revision);
                    match self.take_first_step(key, over, &prepare).await? {
                        Some(prepared) => prepared,
                        None => continue,
                    }
                }
                Some(entry) => (entry.state, entry.revision),
                None => match self.take_first_step(key, Save::IfAbsent, &prepare).await? {
                    Some(prepared) => prepared,
                    None => continue,
                },
            };
            match self.advance(key, state, revision, recipients).await? {
                Step::Sent(here, sent) => return Ok((here, sent)),
                Step::Overtaken => {}
                // Once: what was just prepared is as good as it gets.
                Step::Spoiled(_, error) if renewed => return Err(error),
                Step::Spoiled(revision, _) => {
                    renewed = true;
                    let ticket = prepare().await?;
                    let over = Save::IfRevision(revision);
                    self.note_prepared(key, ticket, over).await?;
                }
            }
        }
        Err(overtaken())
    }

    /// Goes on with a send that the journal has, without its message: dispatches what is prepared, and looks for what may
    /// have been sent, as [`send_once`](Self::send_once) does.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the journal does not have it, or has it as one that was never prepared; otherwise as
    /// [`send_once`](Self::send_once).
    pub async fn resume(&self, key: &SendKey) -> Result<Sent> {
        self.require(Access::SEND)?;
        let _turn = self.outbox.turns.take(key).await;
        for _ in 0..OVERTAKEN {
            let entry = self.outbox.get(key).await?.ok_or_else(unheard_of)?;
            match self.advance(key, entry.state, entry.revision, 1).await? {
                Step::Sent(_, sent) => return Ok(sent),
                Step::Overtaken => {}
                Step::Spoiled(_, error) => return Err(error),
            }
        }
        Err(overtaken())
    }

    /// Finds out what became of a send that the journal has, and notes it there. It sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the journal does not have it; otherwise as [`confirm`](Self::confirm).
    pub async fn settle(&self, key: &SendKey) -> Result<Confirmation> {
        self.require(Access::SEND)?;
        let _turn = self.outbox.turns.take(key).await;
        let entry = self.outbox.get(key).await?.ok_or_else(unheard_of)?;
        let (ticket, since) = match entry.state {
            SendState::Sent { sent, .. } => return Ok(Confirmation::Sent(sent)),
            SendState::Preparing { .. } | SendState::Prepared { .. } => {
                return Ok(Confirmation::NotSent);
            }
            SendState::Dispatching { ticket, since } => (ticket, since),
        };
        match self.confirm(&ticket).await? {
            Confirmation::Sent(sent) => {
                let sent = self.note_sent(key, sent, since, 1).await;
                Ok(Confirmation::Sent(sent))
            }
            Confirmation::NotSent => match self.settles_in(since) {
                None => {
                    let at = self.clock.now();
                    let state = SendState::Prepared { ticket, at };
                    let over = Save::IfRevision(entry.revision);
                    match self.outbox.put(key, &state, over).await? {
                        Saved::Written(_) => Ok(Confirmation::NotSent),
                        // Somebody dispatched it since.
                        Saved::Superseded => Ok(Confirmation::StillUnknown {
                            ask_again_at: Some(at),
                        }),
                    }
                }
                Some(wait) => Ok(Confirmation::StillUnknown {
                    ask_again_at: Some(self.clock.now() + wait),
                }),
            },
            unknown @ Confirmation::StillUnknown { .. } => Ok(unknown),
        }
    }

    /// What the journal knows of this mailbox's sends, in an order of the journal's own. Entries hold tickets, which are
    /// secrets.
    pub fn outbox(&self) -> OutboxEntries {
        if let Err(error) = self.require(Access::SEND) {
            return OutboxEntries(stream::once(async { Err(error) }).boxed());
        }
        let outbox = self.outbox.clone();
        let pages = stream::try_unfold(Some(None), move |state: Option<Option<SendKey>>| {
            let outbox = outbox.clone();
            async move {
                let Some(after) = state else { return Ok(None) };
                let page = outbox
                    .journal
                    .list(&outbox.scope, after.as_ref(), LISTED)
                    .await
                    .map_err(failed)?;
                let last = page.get(LISTED - 1).map(|entry| Some(entry.key.clone()));
                let page = stream::iter(page.into_iter().map(Ok));
                Ok::<_, Error>(Some((page, last)))
            }
        });
        OutboxEntries(pages.try_flatten().boxed())
    }

    /// Forgets a send of the journal's, whose key then sends again. What was prepared at the service stays there, as a
    /// draft, say.
    ///
    /// # Errors
    /// [`ErrorKind::SendJournal`].
    pub async fn forget(&self, key: &SendKey) -> Result<()> {
        self.require(Access::SEND)?;
        let _turn = self.outbox.turns.take(key).await;
        let key = self.outbox.scope.key(key);
        self.outbox.journal.remove(&key).await.map_err(failed)
    }

    /// The first step of a send, for hosts that keep tickets themselves; see
    /// [`MailProvider::prepare`](crate::MailProvider::prepare).
    ///
    /// # Errors
    /// As [`MailProvider`](crate::MailProvider) says. Nothing was sent.
    pub async fn prepare(&self, outgoing: &Outgoing, key: &SendKey) -> Result<SendTicket> {
        self.require(Access::SEND)?;
        let prepared = self.provider.prepare(outgoing, key).await;
        // Whatever of it was done at the service, nobody received anything.
        prepared.map_err(|error| error.with_delivery(Delivery::NotSent))
    }

    /// The second step of a send; see [`MailProvider::dispatch`](crate::MailProvider::dispatch).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn dispatch(&self, ticket: &SendTicket) -> Result<Sent> {
        self.require(Access::SEND)?;
        self.provider.dispatch(ticket).await
    }

    /// Whether a ticket was sent; see [`MailProvider::confirm`](crate::MailProvider::confirm).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the grant does not allow to look. Whatever failed, [`Error::delivery`] is
    /// [`Delivery::Unknown`]: the message may have been sent.
    pub async fn confirm(&self, ticket: &SendTicket) -> Result<Confirmation> {
        self.require(Access::SEND)?;
        // Whatever keeps it from being known, it may have been sent.
        let confirmed = self.provider.confirm(ticket).await;
        confirmed.map_err(|error| error.with_delivery(Delivery::Unknown))
    }

    /// Prepares a message, after a note that keeps others from doing the same. `None`: somebody else noted something.
    async fn take_first_step<F>(
        &self,
        key: &SendKey,
        save: Save,
        prepare: impl Fn() -> F + Send + Sync,
    ) -> Result<Option<(SendState, Revision)>>
    where
        F: Future<Output = Result<SendTicket>> + Send,
    {
        let since = self.clock.now();
        let by = self.outbox.turns.word().map_err(failed)?.to_owned();
        let preparing = SendState::Preparing { by, since };
        let Saved::Written(revision) = self.outbox.put(key, &preparing, save).await? else {
            return Ok(None);
        };
        match prepare().await {
            Ok(ticket) => {
                let over = Save::IfRevision(revision);
                self.note_prepared(key, ticket, over).await
            }
            Err(error) => {
                let passed = (self.clock.now() - since).to_std().unwrap_or_default();
                // A journal removes whatever is there. For so long that is the note, and later it may be another's.
                if passed < PREPARED_WITHIN / 2 {
                    self.outbox.remove(key).await;
                }
                Err(error)
            }
        }
    }

    /// Why a message is not prepared here, while somebody else may be at it. Who had this turn before is not.
    fn is_prepared_by_others(&self, by: &str, since: DateTime<Utc>) -> Result<Option<Error>> {
        if by == self.outbox.turns.word().map_err(failed)? {
            return Ok(None);
        }
        let passed = (self.clock.now() - since).to_std().unwrap_or_default();
        let wait = PREPARED_WITHIN
            .checked_sub(passed)
            .filter(|wait| !wait.is_zero());
        Ok(wait.map(|wait| {
            Error::new(
                ErrorKind::Unavailable,
                "another process is preparing this message",
            )
            // It may send it at any moment.
            .with_delivery(Delivery::Unknown)
            .with_retry_after(wait.min(LOOK_AGAIN))
        }))
    }

    /// Notes a message as prepared. `None`: somebody else noted something before, and what was prepared is taken back.
    async fn note_prepared(
        &self,
        key: &SendKey,
        ticket: SendTicket,
        save: Save,
    ) -> Result<Option<(SendState, Revision)>> {
        let at = self.clock.now();
        let state = SendState::Prepared { ticket, at };
        Ok(match self.outbox.put(key, &state, save).await? {
            Saved::Written(revision) => Some((state, revision)),
            Saved::Superseded => {
                let ticket = state.ticket();
                if let Some(ticket) = ticket
                    && let Err(error) = self.provider.abandon(ticket).await
                {
                    tracing::warn!(kind = ?error.kind(), "what was prepared for nothing could not be taken back");
                }
                None
            }
        })
    }

    /// Gets an entry as far as it goes.
    async fn advance(
        &self,
        key: &SendKey,
        state: SendState,
        revision: Revision,
        recipients: u32,
    ) -> Result<Step> {
        let ticket = match state {
            SendState::Sent { sent, .. } => return Ok(Step::Sent(false, sent)),
            SendState::Preparing { by, since } => {
                return Err(self
                    .is_prepared_by_others(&by, since)?
                    .unwrap_or_else(unprepared));
            }
            SendState::Prepared { ticket, .. } => ticket,
            SendState::Dispatching { ticket, since } => match self.confirm(&ticket).await? {
                Confirmation::Sent(sent) => {
                    return Ok(Step::Sent(
                        false,
                        self.note_sent(key, sent, since, recipients).await,
                    ));
                }
                Confirmation::NotSent => match self.settles_in(since) {
                    None => ticket,
                    Some(wait) => return Err(still_unknown().with_retry_after(wait)),
                },
                Confirmation::StillUnknown { ask_again_at } => {
                    let wait = ask_again_at.and_then(|at| (at - self.clock.now()).to_std().ok());
                    return Err(match wait {
                        Some(wait) => still_unknown().with_retry_after(wait),
                        None => still_unknown(),
                    });
                }
            },
        };
        // Whoever writes this may dispatch, and nobody else. Even one who was held up until others took over can only dispatch
        // the same ticket, which the service takes once.
        let since = self.clock.now();
        let dispatching = SendState::Dispatching {
            ticket: ticket.clone(),
            since,
        };
        let over = Save::IfRevision(revision);
        let Saved::Written(revision) = self.outbox.put(key, &dispatching, over).await? else {
            return Ok(Step::Overtaken);
        };
        match self.provider.dispatch(&ticket).await {
            Ok(sent) => Ok(Step::Sent(
                true,
                self.note_sent(key, sent, since, recipients).await,
            )),
            Err(error) if !is_settled(&error) => {
                let error = error.with_delivery(Delivery::Unknown);
                // The answer was lost; often the service can say at once that it did send. That it did not is too early
                // to say.
                match self.provider.confirm(&ticket).await {
                    Ok(Confirmation::Sent(sent)) => Ok(Step::Sent(
                        true,
                        self.note_sent(key, sent, since, recipients).await,
                    )),
                    _ => {
                        self.outbox.pace.sent(since, recipients);
                        Err(error)
                    }
                }
            }
            Err(error) => {
                let at = self.clock.now();
                let prepared = SendState::Prepared { ticket, at };
                let over = Save::IfRevision(revision.clone());
                // The revision that a renewal goes by.
                let noted = self.outbox.put(key, &prepared, over).await;
                match noted {
                    Ok(Saved::Written(revision)) if is_about_ticket(&error) => {
                        Ok(Step::Spoiled(revision, error))
                    }
                    Ok(_) => Err(error),
                    Err(failure) => {
                        tracing::warn!(kind = ?failure.kind(), "that a send was refused could not be noted in the journal");
                        Err(error)
                    }
                }
            }
        }
    }

    /// Notes a message as sent. It is, whether or not that can be noted: the host must not take it for unsent.
    async fn note_sent(
        &self,
        key: &SendKey,
        sent: Sent,
        at: DateTime<Utc>,
        recipients: u32,
    ) -> Sent {
        self.outbox.pace.sent(at, recipients);
        let state = SendState::Sent {
            sent: sent.clone(),
            at,
        };
        // Over whatever others wrote meanwhile, because nothing can be truer.
        self.outbox.note(key, &state, Save::Always).await;
        sent
    }

    /// How long it takes until a send that began at `since` is over at the service, whatever became of it.
    fn settles_in(&self, since: DateTime<Utc>) -> Option<Duration> {
        // A clock that was set back since then must not make the wait longer than it can be.
        let passed = (self.clock.now() - since).to_std().unwrap_or_default();
        SETTLED_AFTER
            .checked_sub(passed)
            .filter(|wait| !wait.is_zero())
    }
}

/// What a journal knows; see [`Mailbox::outbox`]. An error ends the stream.
#[must_use = "streams do nothing unless polled"]
pub struct OutboxEntries(BoxStream<'static, Result<JournalEntry>>);

impl Stream for OutboxEntries {
    type Item = Result<JournalEntry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for OutboxEntries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("OutboxEntries")
    }
}

/// Whether a failed dispatch surely sent nothing. A conflict that the service answers may be one with the same send.
fn is_settled(error: &Error) -> bool {
    match error.delivery() {
        Delivery::NotSent => true,
        Delivery::Answered => error.kind() != ErrorKind::Conflict,
        Delivery::Unknown => false,
    }
}

/// Whether the provider itself found that the ticket is no longer good.
fn is_about_ticket(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict && error.delivery() == Delivery::NotSent
}

fn still_unknown() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "it is still not known whether this message was sent",
    )
    .with_delivery(Delivery::Unknown)
}

fn unprepared() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "the message was never prepared: send it again under its key",
    )
}

fn unheard_of() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "the journal knows of no send by this key",
    )
}

fn overtaken() -> Error {
    Error::new(
        ErrorKind::SendJournal,
        "the journal's entry of this send does not stay as it is written",
    )
    // Each of the others may have sent it.
    .with_delivery(Delivery::Unknown)
}

pub(super) fn random_key() -> Result<SendKey> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Content, "the system gives no random numbers").with_source(error)
    })?;
    Ok(SendKey::unrepeated(bytes))
}
