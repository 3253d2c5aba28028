//! Staying in step with a mailbox: one page of a sync, from where it had got to. The history tells what happened; labels are
//! looked at beside it, since it does not tell of them; what was there before is listed and read a slice at a time; and if
//! the history is lost, the host's ids are compared with the service's.
//!
//! What keeps mail from being lost: the baseline is taken before anything is listed; a history id is adopted after the last
//! page of its round; what an answer does not mention is not gone, and what seems to be is asked for.
//!
//! Where it has got to is `sync/place.rs`'s, what the history says `sync/history.rs`'s, what was there before
//! `sync/listing.rs`'s, what is there `sync/census.rs`'s.

mod census;
mod history;
mod listing;
mod place;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use self::history::Effect;
use self::place::{Listing, Lost, Place, Round};
use super::api::Api;
use super::reading::{self, Listed};
use super::{batch, convert, wire};
use crate::error::{Action, Error, ErrorKind, Result};
use crate::http::{Answer, parse, protocol};
use crate::model::{
    Audit, AuditWindow, Detail, Folder, FolderId, Message, MessageId, Scope, Spent, SyncCursor,
    SyncPhase, Uncertainty,
};
use crate::provider::{Known, SyncChange, SyncPage};
use crate::sync::{self, Found, Guards, Mode, Refused, SyncRule, Terms, Unprobed, compare};

/// How many messages a page reads at most: at 20 units each, a third of a minute's units.
const SLICE: usize = 100;
/// The same for whole messages, which may be long.
const FULL_SLICE: usize = 50;

/// How many messages wait to be read before the history is left alone for a page.
const MUCH: usize = 500;

/// How many messages of each kind a comparison tells or leaves to be read before it is made once more: they stand on one page
/// or in the cursor.
const MOST_WAITING: usize = 5_000;

/// How often in a row a round of the history begins again because its next page is refused, before the history counts as lost;
/// and a listing that reads everything again, before the cursor is good for nothing.
const MOST_RESTARTS: u32 = 5;

/// How often a lost history may be made up for by comparing all ids, if nothing comes of it: some mailboxes are given
/// history ids that are then refused, for days (<https://github.com/gauteh/lieer/issues/203>).
const AGAIN_AFTER: TimeDelta = TimeDelta::hours(1);

/// One page of a sync. An audited round ends with comparing all ids.
pub(super) async fn page(
    api: &Api,
    cursor: Option<&SyncCursor>,
    scope: &Scope,
    known: &dyn Known,
    mode: Mode,
) -> Result<SyncPage> {
    census::check(scope)?;
    let mut api = api.clone();
    api.client = api.client.syncing();
    let before = api.client.limiter.spent();
    let step = match cursor {
        None => Step::begin(&api, scope, mode).await?,
        Some(cursor) => {
            let mut place = Place::read(cursor)?;
            if !place.is_under_way() {
                place.done = 0;
            }
            let mut step = Step::new(&api, place);
            step.rescope(scope);
            step.guards = mode.guards;
            if mode.audited {
                step.place.retry_unreadable();
                if mode.guards.hold(SyncRule::CountCheck) {
                    step.place.lost.get_or_insert_default();
                }
            }
            step.go_on(known).await?;
            step
        }
    };
    let cost = api.client.limiter.spent().since(before);
    Ok(step.finish(cursor, cost))
}

/// What an audit finds: the ids of all labels, against what the host has.
pub(super) async fn audit(
    api: &Api,
    scope: &Scope,
    window: AuditWindow,
    known: &dyn Known,
) -> Result<Audit> {
    census::check(scope)?;
    let before = api.client.limiter.spent();
    let labels = convert::labels(api.labels().await?);
    let mut census = census::take(api, scope, window, &labels).await?;
    let terms = sync::audit_terms(scope.detail, window);
    let probe = census::OneByOne { api, scope };
    let differences = compare(known, &mut census, |_| true, terms, &probe).await?;
    let cost = api.client.limiter.spent().since(before);
    Ok(sync::audited(differences, cost))
}

/// A page in the making.
struct Step<'a> {
    api: &'a Api,
    place: Place,
    found: Found,
    phase: SyncPhase,
    uncertain: Option<Uncertainty>,
    guards: Guards,
}

impl<'a> Step<'a> {
    fn new(api: &'a Api, place: Place) -> Self {
        Self {
            api,
            place,
            found: Found::default(),
            phase: SyncPhase::Delta,
            uncertain: None,
            guards: Guards::default(),
        }
    }

    /// The first page: where the history stands is asked before anything is listed, so that nothing falls between.
    async fn begin(api: &'a Api, scope: &Scope, mode: Mode) -> Result<Self> {
        let asked = api.client.clock.now();
        let calls = vec![api.baseline(), api.label_list()];
        let mut answers = batch::send(api, calls).await.into_iter();
        let baseline = baseline(answers.next())?;
        let mut place = Place::new(scope.clone(), baseline.history, asked);
        place.first = true;
        place.listing = Some(Listing {
            expected: baseline.messages.filter(|_| !scope.names_folders()),
            ..Listing::default()
        });
        let is_compared = mode.audited && mode.guards.hold(SyncRule::CountCheck);
        place.lost = is_compared.then(Lost::default);
        let mut step = Self::new(api, place);
        step.guards = mode.guards;
        step.phase = SyncPhase::Snapshot;
        step.look_at_labels(answers.next())?;
        step.list().await?;
        step.read_slice().await?;
        Ok(step)
    }

    /// What another scope brings is told, and nothing else again: the history goes on.
    fn rescope(&mut self, scope: &Scope) {
        let place = &mut self.place;
        if place.scope == *scope {
            return;
        }
        let earlier = std::mem::replace(&mut place.scope, scope.clone());
        let only_less = Scope {
            detail: earlier.detail,
            ..scope.clone()
        } == earlier
            && scope.detail <= earlier.detail;
        if only_less {
            return;
        }
        let read_again =
            scope.detail > earlier.detail || place.listing.as_ref().is_some_and(|list| list.again);
        place.listing = read_again.then(Listing::again);
        place.compare_later();
        place.done = 0;
    }

    async fn go_on(&mut self, known: &dyn Known) -> Result<()> {
        if self.place.round.is_some() && self.place.backlog.len() > MUCH {
            return self.read_slice().await;
        }
        let asked = self.api.client.clock.now();
        let token = self.place.round.as_ref().map(|round| round.token.as_str());
        let calls = vec![
            self.api.history(self.place.history, token),
            self.api.label_list(),
        ];
        let mut answers = batch::send(self.api, calls).await.into_iter();
        let history = answers.next().unwrap_or_else(|| Err(unanswered()));
        self.look_at_labels(answers.next())?;
        match history {
            Ok(answer) => {
                let list: wire::HistoryList = parse("gmail.history.list", &answer.body)?;
                self.follow(list, asked)?;
            }
            Err(error)
                if is_refusal(&error)
                    && self.place.round.is_some()
                    && self.place.restarts < MOST_RESTARTS =>
            {
                // The page token is what is refused, or the history is lost. Nothing of this round was adopted, so it begins
                // again, and is not over.
                self.place.restarts += 1;
                self.place.round = None;
                self.place.again = true;
                return Ok(());
            }
            // <https://developers.google.com/workspace/gmail/api/guides/sync#full_synchronization>
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    || (is_refusal(&error) && self.place.round.is_some()) =>
            {
                if self.begin_again(error).await? {
                    return self.reconcile(known).await;
                }
            }
            Err(error) => return Err(error),
        }
        if self.place.round.is_none() && self.place.backlog.is_empty() {
            if self.place.listing.is_some() {
                self.list().await?;
            } else if self.place.lost.is_some() {
                self.reconcile(known).await?;
            }
        }
        self.read_slice().await
    }

    /// Tells of labels that are new, changed or gone.
    fn look_at_labels(&mut self, answer: Option<Result<Answer>>) -> Result<()> {
        let answer = answer.unwrap_or_else(|| Err(unanswered()))?;
        let labels = convert::labels(parse("gmail.labels.list", &answer.body)?);
        // Gmail's own labels are always there: an answer without any tells nothing.
        if labels.is_empty() {
            return Ok(());
        }
        let folders = convert::folders(&labels);
        let (new, gone) = self.place.note_labels(&folders);
        let changed = folders
            .into_iter()
            .filter(|folder| new.contains(&folder.id));
        self.found.extend(changed.map(SyncChange::Folder));
        self.found
            .extend(gone.into_iter().map(SyncChange::FolderDeleted));
        Ok(())
    }

    /// Takes in one page of the history.
    fn follow(&mut self, list: wire::HistoryList, asked: DateTime<Utc>) -> Result<()> {
        let told = list.history_id.and_then(|id| u64::try_from(id).ok());
        let earlier = self.place.round.take();
        // The id of the first page: by the last one, more may have happened than the pages say.
        let (reached, asked) = match &earlier {
            Some(round) => (round.reaches, round.asked),
            None => (told.unwrap_or(self.place.history), asked),
        };
        let effects = history::effects(list.history.unwrap_or_default());
        if self.place.first && effects.is_empty() {
            self.phase = SyncPhase::Snapshot;
        }
        for (id, effect) in effects {
            self.take(id, effect);
        }
        match list.next_page_token.filter(|token| !token.is_empty()) {
            Some(token) if self.guards.hold(SyncRule::CursorLast) => {
                if earlier.is_some_and(|earlier| earlier.token == token) {
                    return Err(protocol("a page of the history leads to itself"));
                }
                self.place.round = Some(Round {
                    token,
                    reaches: reached,
                    asked,
                });
            }
            _ => {
                self.place.again = earlier.is_some();
                self.place.restarts = 0;
                self.place.history = reached;
                self.place.asked = asked;
                self.place.compared = None;
            }
        }
        Ok(())
    }

    /// What a message's history means for the scope. Whether it is within it can often only be told by looking.
    fn take(&mut self, id: MessageId, effect: Effect) {
        match effect {
            Effect::Deleted => {
                self.place.backlog.retain(|waiting| waiting.id != id);
                self.place.left.remove(&id);
                self.place.unreadable.forget(&id);
                self.found.push(SyncChange::Deleted(id));
            }
            Effect::Look(thread) => self.place.next(Listed { id, thread }),
            Effect::Updated(update, thread) => {
                let scope = &self.place.scope;
                let hides = |folder: &FolderId| matches!(folder.as_str(), "SPAM" | "TRASH");
                let labels = census::labels(scope);
                let is_one = |folder: &FolderId| labels.iter().any(|one| one == folder.as_str());
                let hidden = !scope.junk_and_trash && update.into.iter().any(hides);
                let left = labels.len() == 1 && update.out_of.iter().any(is_one);
                let mut touched = update.into.iter().chain(&update.out_of);
                let unclear = touched
                    .any(|folder| is_one(folder) || (!scope.junk_and_trash && hides(folder)));
                let unclear = unclear || self.place.unreadable.contains(&id);
                if hidden || left {
                    self.place.unreadable.forget(&id);
                    self.found.push(SyncChange::OutOfScope(id));
                } else if unclear {
                    let left: BTreeSet<_> = update.out_of.into_iter().filter(is_one).collect();
                    if !left.is_empty() {
                        self.place.left.entry(id.clone()).or_default().extend(left);
                    }
                    self.place.next(Listed { id, thread });
                } else {
                    self.found.push(SyncChange::Updated(update));
                }
            }
        }
    }

    /// Reads some of the messages that wait for it.
    async fn read_slice(&mut self) -> Result<()> {
        let detail = self.place.scope.detail;
        let slice = if detail == Detail::Full {
            FULL_SLICE
        } else {
            SLICE
        };
        let count = self.place.backlog.len().min(slice);
        let wanted: Vec<Listed> = self.place.backlog.drain(..count).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let read = reading::hydrate(self.api, &wanted, detail).await;
        let (answered, tells) = (sync::is_answered(&read), !self.found.is_empty());
        let mut waits = Vec::new();
        for (listed, outcome) in wanted.into_iter().zip(read) {
            let change = match outcome {
                Ok(message) => self.read(message),
                Err(error) if census::is_no_message(&error) => {
                    SyncChange::Deleted(listed.id.clone())
                }
                Err(error) => {
                    let unreadable = &mut self.place.unreadable;
                    match unreadable.refuse(&listed.id, &error, answered, tells) {
                        Refused::Told => {
                            self.place.left.remove(&listed.id);
                            self.note_done(1);
                            self.found.push(SyncChange::Unreadable(listed.id, error));
                        }
                        Refused::PutOff => self.place.backlog.push_back(listed),
                        Refused::Waits => waits.push(listed),
                        Refused::All => return Err(error),
                    }
                    continue;
                }
            };
            self.place.left.remove(&listed.id);
            self.place.unreadable.forget(&listed.id);
            self.note_done(1);
            self.found.push(change);
        }
        for listed in waits.into_iter().rev() {
            self.place.backlog.push_front(listed);
        }
        Ok(())
    }

    /// What a message that was read means for the scope.
    fn read(&self, message: Message) -> SyncChange {
        if census::covers(&self.place.scope, &message) {
            let left = self.place.left.get(&message.id);
            SyncChange::of(message, left.into_iter().flatten().cloned())
        } else {
            SyncChange::OutOfScope(message.id)
        }
    }

    fn note_done(&mut self, count: usize) {
        self.place.done += u64::try_from(count).unwrap_or_default();
    }

    /// The history is lost: it goes on from where the mailbox is now, which is asked before anything is compared.
    ///
    /// Not so if it is nowhere else than the id that was refused: then nothing has happened since.
    async fn begin_again(&mut self, error: Error) -> Result<bool> {
        let place = &mut self.place;
        let now = self.api.client.clock.now();
        let baseline = baseline(batch::send(self.api, vec![self.api.baseline()]).await.pop())?;
        let waited = place.compared.map(|compared| now - compared);
        // <https://github.com/gauteh/lieer/issues/203>
        if baseline.history == place.history {
            place.asked = now;
            place.round = None;
            place.again = false;
            place.restarts = 0;
            return Ok(false);
        }
        if let Some(waited) = waited.filter(|waited| *waited < AGAIN_AFTER) {
            let message = "Gmail lost the mailbox's history again, right after it was made up for";
            let rest = (AGAIN_AFTER - waited).to_std().unwrap_or_default();
            return Err(expired(error, message)
                .with_retry_after(rest)
                .with_action(Action::Wait(Some(rest))));
        }
        let since = place.lost.as_ref().and_then(|lost| lost.since);
        place.lost = Some(Lost {
            since: since.or(Some(place.asked)),
            ..Lost::default()
        });
        place.history = baseline.history;
        place.asked = now;
        place.compared = Some(now);
        place.round = None;
        place.again = false;
        place.restarts = 0;
        place.backlog.clear();
        place.left.clear();
        let again = place.listing.as_ref().is_some_and(|listing| listing.again);
        place.listing = again.then(Listing::again);
        Ok(true)
    }

    /// Compares the host's ids with the service's, and leaves to be read only what is missing.
    async fn reconcile(&mut self, known: &dyn Known) -> Result<()> {
        let Some(lost) = self.place.lost.take() else {
            return Ok(());
        };
        if let Some(since) = lost.since {
            self.uncertain = Some(Uncertainty {
                since: Some(since),
                ..Uncertainty::default()
            });
        }
        let labels = convert::labels(self.api.labels().await?);
        let scope = self.place.scope.clone();
        let mut census = census::take(self.api, &scope, AuditWindow::all(), &labels).await?;
        let terms = Terms {
            most: MOST_WAITING,
            states: scope.detail != Detail::Ids,
            reads: true,
            // A draft that is rewritten has another id.
            drafts: false,
        };
        let differences = compare(known, &mut census, |_| true, terms, &Unprobed).await?;
        let count = differences.count();
        // What this page has told already is not stored yet.
        let told = u64::try_from(self.found.len()).unwrap_or(u64::MAX);
        let is_no_less = |before: u64| count >= before.saturating_add(told);
        if lost.differed.is_some_and(is_no_less) {
            return Err(sync::no_progress());
        }
        if differences.more.total() > 0 {
            self.place.lost = Some(Lost {
                since: lost.since,
                differed: Some(count),
            });
        }
        let stale = differences.stale.into_iter();
        self.found.extend(stale.map(SyncChange::Updated));
        let extra = differences.extra.into_iter();
        let missing = differences.missing.into_iter().map(|missing| Listed {
            id: missing.id,
            thread: missing.thread,
        });
        if scope.detail == Detail::Ids {
            let told = missing.map(message);
            self.found
                .extend(told.map(|message| SyncChange::Message(Box::new(message))));
        } else {
            self.place.backlog.extend(missing);
        }
        self.probe(extra.map(|extra| extra.id).collect()).await
    }

    /// What only the host has is asked for before it is called gone: messages that move while labels are listed one after the
    /// other may be in none of the lists.
    async fn probe(&mut self, ids: Vec<MessageId>) -> Result<()> {
        if !self.guards.hold(SyncRule::Probe) {
            self.found.extend(ids.into_iter().map(SyncChange::Deleted));
            return Ok(());
        }
        let elsewhere = census::elsewhere(self.api, &self.place.scope, &ids).await?;
        for id in ids {
            if elsewhere.contains(&id) {
                self.found.push(SyncChange::OutOfScope(id));
            } else {
                self.place.backlog.push_back(Listed { id, thread: None });
            }
        }
        Ok(())
    }

    fn finish(mut self, cursor: Option<&SyncCursor>, cost: Spent) -> SyncPage {
        if !self.guards.hold(SyncRule::CursorLast) {
            self.place.backlog.clear();
        }
        self.place.first &= self.place.is_under_way();
        let mut page = SyncPage::new(self.phase, cursor.cloned(), self.place.write());
        page.changes = self.found.into_changes();
        page.more = self.place.is_under_way();
        page.uncertain = self.uncertain;
        page.progress = sync::progress(self.place.done, self.place.expected(), cost);
        page
    }
}

/// Where a mailbox's history stands, and how many messages it has.
struct Baseline {
    history: u64,
    messages: Option<u64>,
}

fn baseline(answer: Option<Result<Answer>>) -> Result<Baseline> {
    let answer = answer.unwrap_or_else(|| Err(unanswered()))?;
    let profile: wire::Profile = parse("gmail.users.getProfile", &answer.body)?;
    let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    Ok(Baseline {
        history: number(profile.history_id)
            .ok_or_else(|| protocol("the profile does not say where the history stands"))?,
        messages: number(profile.messages_total),
    })
}

/// Whether the service says that what was named is not there, or no name at all.
fn is_refusal(error: &Error) -> bool {
    error.status().is_some()
        && matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::InvalidRequest
        )
}

fn expired(error: Error, message: &'static str) -> Error {
    Error::new(ErrorKind::CursorExpired, message)
        .with_operation("gmail.history.list")
        .with_source(error)
}

fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the service did not answer all that was asked",
    )
}

fn listed(message: wire::Message) -> Option<Listed> {
    convert::listed(message)
        .ok()
        .map(|message| Listed::new(&message))
}

/// A message of which only ids are wanted.
fn message(listed: Listed) -> Message {
    let mut message = Message::new(listed.id);
    message.thread = listed.thread;
    message
}

impl Place {
    /// Which labels are new or changed since they were last looked at, and which are gone.
    fn note_labels(&mut self, folders: &[Folder]) -> (Vec<FolderId>, Vec<FolderId>) {
        let now = folders
            .iter()
            .map(|folder| (folder.id.clone(), place::fingerprint(folder)))
            .collect();
        let before = std::mem::replace(&mut self.labels, now);
        let is_new = |(id, print): &(&FolderId, &String)| before.get(*id) != Some(*print);
        let new = self.labels.iter().filter(is_new).map(|(id, _)| id.clone());
        let gone = before.keys().filter(|id| !self.labels.contains_key(*id));
        (new.collect(), gone.cloned().collect())
    }
}
