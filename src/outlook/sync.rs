//! Staying in step with a mailbox: one page of a sync, from where it had got to, and audits. Each folder tells what changed in
//! it since a token; together they are a round. What was there before is listed, newest first, once every folder has a
//! token; what the service forgets is made up for folder by folder.
//!
//! What keeps mail from being lost or deleted by mistake: what left a folder is held until the round is in; what is seen in
//! another folder has not gone; all else is asked for before it is called deleted. What the service itself forgets is found
//! by counting, in audited rounds.
//!
//! Where it has got to is `sync/place.rs`'s, what folders tell `sync/round.rs`'s, what becomes of folders `sync/tree.rs`'s, what
//! was there before `sync/listing.rs`'s, what is there `sync/census.rs`'s.

mod ahead;
mod backlog;
mod census;
mod listing;
mod place;
mod round;
mod tree;
mod unconfirmed;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use self::backlog::Waiting;
use self::census::Area;
use self::place::{Comparison, Listing, Place};
use super::api::Api;
use super::reading::{self, OwnFolders};
use super::{batch, convert};
use crate::error::{Error, ErrorKind, Result};
use crate::http::protocol;
use crate::model::{
    Audit, AuditWindow, Detail, FolderId, KnownMessage, Message, MessageId, Scope, SyncCursor,
    SyncPhase, Uncertainty,
};
use crate::provider::{Known, SyncChange, SyncPage};
use crate::sync::{self, Found, Guards, Mode, Probe, Refused, SyncRule, Terms, Unprobed, compare};

/// How many messages a page reads at most one by one: five batches.
const SLICE: usize = 100;

/// How many messages wait to be read before the folders are left alone for a page.
const MUCH: usize = 500;

/// How many messages of each kind a comparison tells or leaves to be read before it is made once more: they stand on one page
/// or in the cursor.
const MOST_WAITING: usize = 2_000;

/// How many of the host's messages are counted at once.
const KNOWN_PAGE: usize = 1_000;

/// One page of a sync. An audited round ends with a count.
pub(super) async fn page(
    api: &Api,
    own: &OwnFolders,
    cursor: Option<&SyncCursor>,
    scope: &Scope,
    known: &dyn Known,
    mode: Mode,
) -> Result<SyncPage> {
    check(scope)?;
    let mut api = api.clone();
    api.client = api.client.syncing();
    let before = api.client.limiter.spent();
    let mut step = match cursor {
        None => Step::begin(&api, own, scope).await?,
        Some(cursor) => {
            let mut place = Place::read(cursor)?;
            if !place.is_under_way() {
                (place.done, place.expected) = (0, None);
            }
            Step::new(&api, own, place)
        }
    };
    step.guards = mode.guards;
    if mode.audited {
        step.place.audited = true;
        // Of folders, too, more may have become of than the service tells.
        step.place.tree = None;
        step.place.retry_unreadable();
    }
    step.rescope(scope);
    step.go_on(known).await?;
    let cost = api.client.limiter.spent().since(before);
    if !mode.guards.hold(SyncRule::CursorLast) {
        step.place.backlog.clear();
    }
    step.place.first &= step.place.is_under_way();
    let mut page = SyncPage::new(step.phase, cursor.cloned(), step.place.write()?);
    page.changes = step.found.into_changes();
    page.more = step.place.is_under_way();
    page.uncertain = step.uncertain;
    page.progress = sync::progress(step.place.done, step.place.expected, cost);
    Ok(page)
}

/// Whether a scope can be had at all. Some roles are labels of Gmail's only.
fn check(scope: &Scope) -> Result<()> {
    sync::check_roles(scope, |role| convert::role_folder(role).is_some())
}

/// What an audit finds: the state of every message, folder by folder, against what the host has.
pub(super) async fn audit(
    api: &Api,
    own: &OwnFolders,
    scope: &Scope,
    window: AuditWindow,
    known: &dyn Known,
) -> Result<Audit> {
    check(scope)?;
    let before = api.client.limiter.spent();
    let folders = reading::folders(api, own).await?;
    let area = Area::new(scope, &folders);
    let covered: Vec<_> = area.covered().cloned().collect();
    let (mut census, refused) = census::take(api, scope, window, &covered).await?;
    still_gone(api, refused).await?;
    let terms = sync::audit_terms(scope.detail, window);
    let probe = OneByOne { api, area: &area };
    let differences = compare(known, &mut census, |_| true, terms, &probe).await?;
    let cost = api.client.limiter.spent().since(before);
    Ok(sync::audited(differences, cost))
}

/// Folders that were deleted while others were listed have no messages. Of one that is there and is not listed nothing is
/// known, and an audit that has not seen it must not say that all is well.
async fn still_gone(api: &Api, refused: BTreeSet<FolderId>) -> Result<()> {
    let calls = refused.iter().map(|id| api.folder(id.as_str())).collect();
    for answer in batch::send(api, calls).await {
        match answer {
            Err(error) if is_refusal(error.kind()) => {}
            Err(error) => return Err(error),
            Ok(_) => {
                let message = "the service does not list a folder that is there";
                return Err(
                    Error::new(ErrorKind::Unavailable, message).with_operation(listing::LIST)
                );
            }
        }
    }
    Ok(())
}

/// Asks for messages one by one.
struct OneByOne<'a> {
    api: &'a Api,
    area: &'a Area,
}

impl Probe for OneByOne<'_> {
    async fn gone(&self, extra: Vec<KnownMessage>) -> Result<Vec<KnownMessage>> {
        let ids: Vec<MessageId> = extra.iter().map(|extra| extra.id.clone()).collect();
        let found = reading::get(self.api, &ids, Detail::Ids).await?;
        let mut gone = Vec::new();
        for (extra, found) in extra.into_iter().zip(found) {
            match found {
                Ok(message) if message.folders.is_none() || self.area.covers(&message) => {}
                Ok(_) => gone.push(extra),
                Err(error) if is_refusal(error.kind()) => gone.push(extra),
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }
}

/// Whether the service says that what was named is not there, or no name at all.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::InvalidRequest)
}

/// Whether the service gives nothing of a folder, which may be there: it is not to be found, its changes cannot be asked for, or
/// this user must not read it.
fn is_closed(kind: ErrorKind) -> bool {
    is_refusal(kind) || kind == ErrorKind::PermissionDenied
}

/// Whether the service says in so many words that there is no such message. It says so of what is there, too, where a gateway
/// does not find the mailbox (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/2914>).
fn is_gone(error: &Error) -> bool {
    let names = [
        "ErrorItemNotFound",
        "ItemNotFound",
        "ErrorInvalidIdMalformed",
    ];
    error.code().is_some_and(|code| names.contains(&code))
}

/// A page in the making.
struct Step<'a> {
    api: &'a Api,
    own: &'a OwnFolders,
    place: Place,
    found: Found,
    phase: SyncPhase,
    uncertain: Option<Uncertainty>,
    guards: Guards,
}

impl<'a> Step<'a> {
    fn new(api: &'a Api, own: &'a OwnFolders, place: Place) -> Self {
        Self {
            api,
            own,
            phase: if place.first {
                SyncPhase::Snapshot
            } else {
                SyncPhase::Delta
            },
            place,
            found: Found::default(),
            uncertain: None,
            guards: Guards::default(),
        }
    }

    /// The first page begins with the tree of folders.
    async fn begin(api: &'a Api, own: &'a OwnFolders, scope: &Scope) -> Result<Self> {
        let now = api.client.clock.now();
        let roles = own.roles(api).await?;
        let mut place = Place::new(scope.clone(), roles.pairs(), now);
        place.first = true;
        place.listing = Some(Listing::default());
        let mut step = Self::new(api, own, place);
        let tree = batch::send(api, vec![api.folder_changes()]).await.pop();
        step.look_at_tree(tree.unwrap_or_else(|| Err(unanswered())))
            .await?;
        let area = step.place.area();
        let covered = area.covered().filter_map(|id| step.place.folders.get(id));
        let total = covered.map(|kept| kept.total).sum();
        step.place.expected = scope.since.is_none().then_some(total);
        Ok(step)
    }

    /// What another scope brings is told, and nothing else again: the folders' tokens hold for every scope.
    fn rescope(&mut self, scope: &Scope) {
        if self.place.scope == *scope {
            return;
        }
        let before = self.place.area();
        let earlier = std::mem::replace(&mut self.place.scope, scope.clone());
        self.cover(&before);
        let reaches = |scope: &Scope| scope.since.map_or(i64::MIN, |since| since.timestamp());
        if scope.since != earlier.since {
            let is_further = reaches(scope) < reaches(&earlier);
            let is_one_listing = !scope.names_folders() && !earlier.names_folders();
            match &self.place.listing {
                // It goes on as far as is wanted now.
                Some(listing) if is_further && is_one_listing && !listing.over => {}
                None if is_further && is_one_listing => {
                    self.place.listing = Some(Listing {
                        until: earlier.since.map(|since| since - TimeDelta::seconds(1)),
                        ..Listing::default()
                    });
                }
                _ => self.place.compare_all_later(),
            }
        }
        // One that is under way goes on, unless it went through the folders in another way.
        let is_other = scope.names_folders() != earlier.names_folders();
        let anew = self.place.listing.as_ref().is_some_and(|list| list.anew);
        if scope.detail > earlier.detail || (self.place.listing.is_some() && is_other) {
            self.place.listing = Some(Listing {
                // The first one reads everything for the first time.
                anew: anew || !self.place.first,
                ..Listing::default()
            });
        }
    }

    async fn go_on(&mut self, known: &dyn Known) -> Result<()> {
        if !self.place.round || self.place.backlog.len() <= MUCH {
            self.ask_folders(known).await?;
        }
        self.look_ahead().await?;
        if !self.place.round && self.place.backlog.is_empty() {
            if self.place.listing.is_some() {
                self.list().await?;
            } else if self.place.comparison.is_some() {
                self.reconcile(known).await?;
            } else if self.place.audited {
                self.count(known).await?;
            }
        }
        self.settle_ahead();
        self.read_slice().await
    }

    /// The round is in: what left a folder and was seen in no other is asked for.
    fn release(&mut self) {
        for (id, left) in std::mem::take(&mut self.place.held) {
            if !self.guards.hold(SyncRule::Probe) {
                self.found.push(SyncChange::Deleted(id));
            } else {
                self.place.backlog.put_last(Waiting {
                    left,
                    ..Waiting::new(id)
                });
            }
        }
    }

    /// Reads some of the messages that wait for it. What is not there is deleted, whatever was said of it.
    async fn read_slice(&mut self) -> Result<()> {
        let wanted = self.place.backlog.take(SLICE);
        if wanted.is_empty() {
            return Ok(());
        }
        let ids: Vec<MessageId> = wanted.iter().map(|waiting| waiting.id.clone()).collect();
        let read = reading::get(self.api, &ids, self.place.scope.detail).await?;
        let area = self.place.area();
        let (answered, tells) = (sync::is_answered(&read), !self.found.is_empty());
        let mut waits = Vec::new();
        for (waiting, outcome) in wanted.into_iter().zip(read) {
            let change = match outcome.and_then(placed) {
                Ok(message) => {
                    self.note_whereabouts(&waiting, &message);
                    if message.id != waiting.id {
                        // One that has another id now.
                        self.found.push(SyncChange::Deleted(waiting.id));
                    }
                    let left = waiting.left;
                    // What is back where it was has not moved, whatever it left meanwhile.
                    let is_back = left.iter().any(|folder| message.is_in(folder));
                    let is_had = self.was_told(&message) && !is_back;
                    match self.told(message, &area) {
                        SyncChange::Message(message) if is_had => SyncChange::of(*message, left),
                        told => told,
                    }
                }
                // Not of this message in so many words: it is asked for once more.
                Err(error)
                    if error.kind() == ErrorKind::NotFound
                        && !is_gone(&error)
                        && self.place.unreadable.doubt(&waiting.id) =>
                {
                    self.place.backlog.put_last(waiting);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::NotFound || is_gone(&error) => {
                    self.place.unreadable.forget(&waiting.id);
                    SyncChange::Deleted(waiting.id)
                }
                Err(error) => {
                    let unreadable = &mut self.place.unreadable;
                    match unreadable.refuse(&waiting.id, &error, answered, tells) {
                        Refused::Told => {}
                        Refused::PutOff => {
                            self.place.backlog.put_last(waiting);
                            continue;
                        }
                        Refused::Waits => {
                            waits.push(waiting);
                            continue;
                        }
                        Refused::All => return Err(error),
                    }
                    // Where it is now nobody knows: it may have come back, too.
                    for folder in &waiting.left {
                        self.place.note_torn(folder);
                    }
                    SyncChange::Unreadable(waiting.id, error)
                }
            };
            self.found.push(change);
        }
        for waiting in waits.into_iter().rev() {
            self.place.backlog.put_first(waiting);
        }
        Ok(())
    }

    /// A message that is where it is said to have left has come back meanwhile, and the service has forgotten it there
    /// (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/21752>). One that is where nothing was said of it has either
    /// just come or been forgotten there, too.
    fn note_whereabouts(&mut self, waiting: &Waiting, message: &Message) {
        for folder in message.folders.iter().flatten() {
            if waiting.left.contains(folder) {
                self.place.note_torn(folder);
            } else if waiting.is_unexpected(folder) {
                self.place.note_unconfirmed(&waiting.id, folder);
            }
        }
    }

    fn told(&mut self, message: Message, area: &Area) -> SyncChange {
        self.place.unreadable.forget(&message.id);
        if !area.covers(&message) || self.is_too_old(&message) {
            return SyncChange::OutOfScope(message.id);
        }
        self.place.done += 1;
        SyncChange::Message(Box::new(message))
    }

    /// Whether the listing has come by a message, so that the host has it.
    fn was_told(&self, message: &Message) -> bool {
        self.place.listing.as_ref().is_none_or(|listing| {
            let named = self.place.scope.names_folders();
            let is_past = message.received_at > listing.until && listing.until.is_some();
            listing.over || (!named && is_past)
        })
    }

    fn is_too_old(&self, message: &Message) -> bool {
        match (self.place.scope.since, message.received_at) {
            (Some(since), Some(received)) => received.timestamp() < since.timestamp(),
            _ => false,
        }
    }

    /// Compares what the host has of some folders with what is in them, and leaves to be read only what differs.
    async fn reconcile(&mut self, known: &dyn Known) -> Result<()> {
        let Some(comparison) = self.place.comparison.take() else {
            return Ok(());
        };
        let area = self.place.area();
        let is_compared = |id: &&FolderId| comparison.all || comparison.folders.contains(*id);
        let folders: Vec<FolderId> = area.covered().filter(is_compared).cloned().collect();
        let scope = self.place.scope.clone();
        let window = AuditWindow::all();
        let (mut census, refused) = census::take(self.api, &scope, window, &folders).await?;
        self.list_later(&refused);
        let is_about = |message: &KnownMessage| {
            let is_in = |folders: &BTreeSet<FolderId>| {
                let mut of_message = message.folders.iter();
                of_message.any(|folder| folders.contains(folder))
            };
            (comparison.all || is_in(&comparison.folders)) && !is_in(&refused)
        };
        let terms = terms(scope.detail);
        let differences = compare(known, &mut census, is_about, terms, &Unprobed).await?;
        let count = differences.count();
        if comparison.differed.is_some_and(|before| count >= before) {
            return Err(sync::no_progress());
        }
        if differences.more.total() > 0 {
            self.place.comparison = Some(Comparison {
                differed: Some(count),
                ..comparison
            });
        }
        for stale in &differences.stale {
            for folder in &stale.into {
                self.place.note_unconfirmed(&stale.id, folder);
            }
        }
        let stale = differences.stale.into_iter();
        self.found.extend(stale.map(SyncChange::Updated));
        let missing = differences.missing.into_iter().map(|missing| Waiting {
            counted: true,
            ..Waiting::new(missing.id)
        });
        // What lay in folders that are not covered any longer, and lies in no other, is out of scope without being asked for.
        let is_left = |extra: &KnownMessage| {
            let is_there =
                |id: &FolderId| self.place.folders.contains_key(id) && !area.contains(id);
            !extra.folders.is_empty() && extra.folders.iter().all(is_there)
        };
        let extra = differences.extra.into_iter();
        let (left, extra): (Vec<_>, Vec<_>) = extra.partition(is_left);
        let left = left.into_iter().map(|left| SyncChange::OutOfScope(left.id));
        self.found.extend(left);
        let extra = extra.into_iter().map(|extra| Waiting::new(extra.id));
        self.place.backlog.extend(missing.chain(extra));
        Ok(())
    }

    /// The end of an audited round: folders in which the service has forgotten something are walked through anew, and of the
    /// others those are compared that hold another number of messages than the host has of them.
    async fn count(&mut self, known: &dyn Known) -> Result<()> {
        self.place.audited = false;
        if !self.guards.hold(SyncRule::CountCheck) {
            return Ok(());
        }
        let area = self.place.area();
        let is_torn = |id: &&FolderId| self.place.folders.get(*id).is_some_and(|kept| kept.torn);
        let torn: Vec<FolderId> = area.covered().filter(is_torn).cloned().collect();
        self.make_up(&torn, known).await?;
        self.release();
        let mut comparison = self.place.comparison.take().unwrap_or_default();
        if self.place.scope.since.is_some() {
            // How many of a folder's messages are recent enough is not told.
            comparison.all = true;
        } else {
            let (had, unplaced) = count_known(known).await?;
            for id in unplaced {
                // This round has tried those of which that is known.
                if !self.place.unreadable.contains(&id) {
                    self.place.look(id, None);
                }
            }
            let folders: Vec<FolderId> = area.covered().cloned().collect();
            let numbers = self.numbers_in(&folders).await?;
            for id in folders {
                // One that is said not to be there is perhaps there all the same.
                let number = numbers.get(&id).copied();
                let had = had.get(&id).copied().unwrap_or_default();
                if number != Some(had) && !torn.contains(&id) {
                    comparison.folders.insert(id);
                }
            }
            // What the host has of folders that are none.
            let strange = had.into_keys().filter(|id| !area.contains(id));
            comparison.folders.extend(strange);
        }
        if comparison.all || !comparison.folders.is_empty() {
            self.place.comparison = Some(comparison);
        }
        Ok(())
    }

    /// Folders that are said not to be there are compared in the next round, which tells whether they are gone: anything on the
    /// way may say so.
    fn list_later<'b>(&mut self, refused: impl IntoIterator<Item = &'b FolderId>) {
        for id in refused {
            if let Some(kept) = self.place.folders.get_mut(id) {
                kept.unlisted = true;
            }
        }
    }

    fn note_uncertainty(&mut self, folder: &FolderId) {
        let since = Some(self.place.asked);
        let uncertain = self.uncertain.get_or_insert_with(|| Uncertainty {
            since,
            ..Uncertainty::default()
        });
        uncertain.folders.push(folder.clone());
    }
}

/// What of the differences is told at once.
fn terms(detail: Detail) -> Terms {
    Terms {
        most: MOST_WAITING,
        states: detail != Detail::Ids,
        reads: true,
        drafts: false,
    }
}

/// How many messages the host has of each folder, and some of those that it has in none, since they could not be read: these
/// are read again.
async fn count_known(known: &dyn Known) -> Result<(BTreeMap<FolderId, u64>, Vec<MessageId>)> {
    let mut counts = BTreeMap::new();
    let mut unplaced = Vec::new();
    let mut last: Option<MessageId> = None;
    loop {
        let page = known.page(last.as_ref(), KNOWN_PAGE).await?;
        let is_last = page.len() < KNOWN_PAGE;
        for message in &page {
            if message.folders.is_empty() && unplaced.len() < MOST_WAITING {
                unplaced.push(message.id.clone());
            }
            for folder in &message.folders {
                *counts.entry(folder.clone()).or_default() += 1;
            }
        }
        let next = page.last().map(|message| message.id.clone());
        if is_last || next == last {
            return Ok((counts, unplaced));
        }
        last = next;
    }
}

/// A message of which it is told where it lies: within the scope or not.
fn placed(message: Message) -> Result<Message> {
    if message.folders.is_some() {
        return Ok(message);
    }
    let error = protocol("the service does not say where a message lies");
    Err(error.with_operation("outlook.messages.get"))
}

fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the service did not answer all that was asked",
    )
}
