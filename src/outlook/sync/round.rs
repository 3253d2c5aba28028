//! A round over the folders of a scope: what changed in each, and of the folders themselves. What left a folder is held until
//! all of them have told, because it may have come into another; what a folder's walk misses is noticed by counting.

use std::collections::BTreeMap;

use super::place::Kept;
use super::{Step, census, is_closed, terms};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, ApiRequest, protocol};
use crate::model::{Detail, FolderId, Keyword, KnownMessage, MessageId};
use crate::outlook::reading::{self, no_list};
use crate::outlook::{batch, convert, wire};
use crate::provider::{Known, SyncChange, Trail};
use crate::sync::{SyncRule, Terms, Unprobed, compare};

const CHANGES: &str = "outlook.messages.delta";
const FOLDERS: &str = "outlook.mailFolders.delta";
const FOLDER: &str = "outlook.mailFolders.get";

/// How often a first walk through a folder is begun again, because its addresses rot or it ends early.
const MOST_WALKS: u32 = 3;

/// What a walk through some folders found.
struct Walked {
    states: census::States,
    /// How many messages were told of in each, some perhaps twice.
    found: BTreeMap<FolderId, u64>,
    /// How many of them are not compared: they are older than the scope goes back, or have no id.
    beside: BTreeMap<FolderId, u64>,
    links: BTreeMap<FolderId, String>,
}

impl Step<'_> {
    /// Asks every folder whose round is not over, and the tree of folders where a round begins.
    pub(super) async fn ask_folders(&mut self, known: &dyn Known) -> Result<()> {
        let begins = !self.place.round;
        let mut covered: Vec<FolderId> = self.place.area().covered().cloned().collect();
        if begins {
            self.place.begun = self.api.client.clock.now();
            for kept in self.place.folders.values_mut() {
                kept.ready = false;
                kept.base.clone_from(&kept.link);
            }
            self.place.unconfirmed.begin_round();
        }
        let is_open = |id: &FolderId| self.place.folders.get(id).is_some_and(|kept| !kept.ready);
        covered.retain(is_open);
        // Of walks no more than a batch at a time: each answers with as much as a page holds.
        let is_quick = |id: &FolderId| {
            let kept = self.place.folders.get(id);
            begins && kept.is_some_and(|kept| kept.link.is_some())
        };
        let mut walks = 0;
        covered.retain(|id| {
            walks += usize::from(!is_quick(id));
            is_quick(id) || walks <= batch::LARGEST
        });
        let mut calls: Vec<Result<ApiRequest>> = covered.iter().map(|id| self.call(id)).collect();
        if begins {
            calls.push(match &self.place.tree {
                Some(link) => self.api.following(FOLDERS, link),
                None => self.api.folder_changes(),
            });
        }
        let mut answers = batch::send(self.api, calls).await;
        let tree = if begins { answers.pop() } else { None };
        let answered = answers.iter().any(Result::is_ok);
        self.place.round = true;
        // Where each message was seen on this page. What is seen somewhere has not gone, wherever it has left.
        let mut seen: BTreeMap<MessageId, FolderId> = BTreeMap::new();
        let mut lost = Vec::new();
        let mut refused = false;
        for (id, answer) in covered.iter().zip(answers) {
            match answer {
                Ok(answer) => self.follow(id, &answer, &mut seen)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    refused = true;
                    self.pass_over(id);
                }
                Err(error) if self.is_expired(id, &error) => {
                    if self.recover(id) {
                        lost.push(id.clone());
                    }
                }
                // One folder keeps no other from being told.
                Err(error) if answered && (is_closed(error.kind()) || error.is_failure()) => {
                    self.leave_out(id);
                }
                Err(error) => return Err(error),
            }
        }
        self.make_up(&lost, known).await?;
        if refused {
            self.read_whole_tree().await?;
        } else if let Some(tree) = tree {
            self.look_at_tree(tree).await?;
        }
        self.count_walks().await?;
        let area = self.place.area();
        let is_over = area
            .covered()
            .all(|id| self.place.folders.get(id).is_none_or(|kept| kept.ready));
        if is_over {
            self.place.round = false;
            self.place.again = !begins;
            self.place.asked = self.place.begun;
            for id in self.place.unconfirmed.end_round() {
                self.place.note_torn(&id);
            }
            self.place.compare_unlisted();
            self.release();
        }
        Ok(())
    }

    fn call(&self, id: &FolderId) -> Result<ApiRequest> {
        match self
            .place
            .folders
            .get(id)
            .and_then(|kept| kept.link.as_deref())
        {
            Some(link) => self.api.following(CHANGES, link),
            None => self.api.changes(id.as_str()),
        }
    }

    /// Takes in one page of a folder's changes.
    fn follow(
        &mut self,
        id: &FolderId,
        answer: &Answer,
        seen: &mut BTreeMap<MessageId, FolderId>,
    ) -> Result<()> {
        let page: wire::Changes = reading::read(CHANGES, answer)?;
        let items = page.value.ok_or_else(|| no_list(CHANGES))?;
        let kept = self.place.folders.get(id).cloned().unwrap_or_default();
        let mut found = 0;
        for item in items {
            let item = item.get().as_bytes();
            if let Some(gone) = removed(item) {
                self.leave(gone, id, seen);
                continue;
            }
            let Some(message) = wire::salvage::<wire::Message>(item) else {
                continue;
            };
            let Some(message_id) = message.id.as_deref().map(MessageId::new) else {
                continue;
            };
            found += 1;
            self.place.unconfirmed.confirm(&message_id, id);
            seen.insert(message_id.clone(), id.clone());
            if kept.walked || kept.tells {
                self.come(message_id, &message, id);
            }
        }
        let told = page.next_link.as_ref().or(page.delta_link.as_ref());
        if told.is_none_or(|link| kept.link.as_ref() == Some(link) && page.next_link.is_some()) {
            return Err(protocol("a page of changes leads nowhere").with_operation(CHANGES));
        }
        if let Some(kept) = self.place.folders.get_mut(id) {
            kept.found += if kept.walked { 0 } else { found };
            kept.ready = page.next_link.is_none();
            kept.link = page.next_link.or(page.delta_link);
            kept.refused = false;
            if kept.ready {
                kept.base = None;
            }
        }
        Ok(())
    }

    /// A message left a folder: moved, or deleted. Which of them is not told.
    fn leave(
        &mut self,
        id: MessageId,
        folder: &FolderId,
        seen: &mut BTreeMap<MessageId, FolderId>,
    ) {
        self.place.unconfirmed.confirm(&id, folder);
        let elsewhere = seen.get(&id).filter(|seen| *seen != folder);
        if !self.guards.hold(SyncRule::HeldRemovals)
            || (elsewhere.is_some() && !self.guards.hold(SyncRule::PresenceBeatsRemoval))
        {
            self.place.backlog.remove(&id);
            self.found.push(SyncChange::Deleted(id));
            return;
        }
        if elsewhere.is_some() {
            // It is somewhere else, and is read to tell where.
            self.place.look(id.clone(), elsewhere.cloned());
        } else {
            seen.remove(&id);
        }
        self.place.note_left(id, folder);
    }

    /// A message is in a folder: it is new there, or some of its state changed.
    fn come(&mut self, id: MessageId, message: &wire::Message, folder: &FolderId) {
        let is_whole = message.received_date_time.is_some()
            && message.parent_folder_id.is_some()
            && message.is_read.is_some();
        let update = convert::update(message).filter(|_| {
            !is_whole && !self.place.is_drafts(folder) && message.is_draft != Some(true)
        });
        if is_whole && self.is_older(message) {
            self.place.held.remove(&id);
            return;
        }
        let is_held = self.place.held.contains_key(&id);
        let waits = self.place.backlog.contains(&id) || self.place.unreadable.contains(&id);
        match update {
            Some(mut update) if !self.guards.hold(SyncRule::UnknownIsNotAbsent) => {
                if message.is_read.is_none() {
                    update.has(Keyword::Seen, false);
                }
                self.found.push(SyncChange::Updated(update));
            }
            Some(update) if !is_held && !waits => self.found.push(SyncChange::Updated(update)),
            _ => self.place.look(id, Some(folder.clone())),
        }
    }

    /// Whether a message is older than the scope goes back.
    fn is_older(&self, message: &wire::Message) -> bool {
        let received = message.received_date_time;
        let received = received.and_then(|wire::Timestamp(received)| received);
        match (self.place.scope.since, received) {
            (Some(since), Some(received)) => received.timestamp() < since.timestamp(),
            _ => false,
        }
    }

    /// A folder that is said not to be there. Anything on the way may say so: only the whole tree tells that it is gone. If it
    /// is there it is asked once more, and then not before the next round.
    fn pass_over(&mut self, id: &FolderId) {
        let Some(kept) = self.place.folders.get_mut(id) else {
            return;
        };
        if kept.refused {
            self.leave_out(id);
        } else {
            kept.refused = true;
        }
    }

    /// A folder that tells nothing in this round. Each one asks for its changes again; the first in which it answers compares what
    /// the host has of it.
    fn leave_out(&mut self, id: &FolderId) {
        self.note_uncertainty(id);
        if let Some(kept) = self.place.folders.get_mut(id) {
            kept.ready = true;
            kept.refused = true;
            kept.unlisted = true;
        }
    }

    /// Whether the service has forgotten where the changes of a folder had got to. It also says so of its own address that there
    /// is something wrong with it (`ErrorInvalidUrlQuery`).
    fn is_expired(&self, id: &FolderId, error: &Error) -> bool {
        let has_link = |kept: &Kept| kept.link.is_some();
        error.kind() == ErrorKind::CursorExpired
            || (error.kind() == ErrorKind::InvalidRequest
                && self.place.folders.get(id).is_some_and(has_link))
    }

    /// A folder whose changes cannot be asked for any longer. Whether the service has forgotten where they had got to.
    fn recover(&mut self, id: &FolderId) -> bool {
        let Some(kept) = self.place.folders.get_mut(id) else {
            return false;
        };
        match kept.base.take() {
            // Only the address of a page has rotted: the round begins again here.
            Some(base) if kept.link.as_ref() != Some(&base) => kept.link = Some(base),
            Some(_) => return true,
            None if kept.walked => return true,
            None => {
                kept.again += 1;
                kept.link = None;
                kept.found = 0;
                if kept.again > MOST_WALKS {
                    kept.again = 0;
                    self.leave_out(id);
                }
            }
        }
        false
    }

    /// The service has forgotten where the changes of some folders had got to: they are walked through anew, side by side and
    /// to the end, and what is there is compared with what the host has of them.
    pub(super) async fn make_up(&mut self, ids: &[FolderId], known: &dyn Known) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut tries = 0;
        let (differences, links) = loop {
            tries += 1;
            let mut walked = self.walk(ids).await?;
            let links = walked.links;
            let is_about = |message: &KnownMessage| {
                let mut folders = message.folders.iter();
                folders.any(|folder| links.contains_key(folder))
            };
            let terms = Terms {
                drafts: true,
                ..terms(self.place.scope.detail)
            };
            let differences =
                compare(known, &mut walked.states, is_about, terms, &Unprobed).await?;
            // A walk that ended early looks like one that has not.
            let mut numbers = self.numbers_in(ids).await?;
            numbers.retain(|id, _| links.contains_key(id));
            let is_short = |(id, number): (&FolderId, &u64)| {
                walked.found.get(id).copied().unwrap_or_default() < *number
            };
            let all: u64 = numbers.values().sum();
            let beside: u64 = walked.beside.values().sum();
            let is_whole = !numbers.iter().any(is_short) && differences.checked + beside >= all;
            if is_whole || tries >= MOST_WALKS {
                break (differences, links);
            }
        };
        if differences.more.total() > 0 {
            for id in ids {
                self.place.compare_later(id);
            }
        }
        for missing in differences.missing.into_iter().rev() {
            self.place.look(missing.id, None);
        }
        for draft in differences.drafts {
            self.place.look(draft, None);
        }
        let stale = differences.stale.into_iter();
        self.found.extend(stale.map(SyncChange::Updated));
        let is_walked = |folder: &&FolderId| links.contains_key(*folder);
        for gone in differences.extra {
            for folder in gone.folders.iter().filter(is_walked) {
                self.place.note_left(gone.id.clone(), folder);
            }
        }
        for id in ids.iter().filter(|id| !links.contains_key(*id)) {
            self.leave_out(id);
        }
        for (id, link) in links {
            self.note_uncertainty(&id);
            self.place.unconfirmed.confirm_all(&id);
            if let Some(kept) = self.place.folders.get_mut(&id) {
                kept.link = Some(link);
                kept.base = None;
                kept.ready = true;
                kept.walked = true;
                kept.tells = false;
                kept.torn = false;
            }
        }
        Ok(())
    }

    /// Everything that lies in some folders, and the addresses of what changes from then on.
    async fn walk(&self, ids: &[FolderId]) -> Result<Walked> {
        let mut there = census::Counting::new();
        let mut found: BTreeMap<FolderId, u64> = BTreeMap::new();
        let mut beside: BTreeMap<FolderId, u64> = BTreeMap::new();
        let mut links = BTreeMap::new();
        let mut rotted: BTreeMap<&FolderId, u32> = BTreeMap::new();
        let begin = |id| (id, None, Trail::default());
        let mut open: Vec<(&FolderId, Option<String>, Trail)> = ids.iter().map(begin).collect();
        while !open.is_empty() {
            let waiting = open.split_off(open.len().min(batch::LARGEST));
            let calls = open
                .iter()
                .map(|(id, link, _)| match link {
                    Some(link) => self.api.following(CHANGES, link),
                    None => self.api.changes(id.as_str()),
                })
                .collect();
            let answers = batch::send(self.api, calls).await;
            let mut next = Vec::new();
            for ((id, link, mut trail), answer) in open.into_iter().zip(answers) {
                let page: wire::Changes = match answer {
                    Ok(answer) => reading::read(CHANGES, &answer)?,
                    // Deleted since, which the tree tells, or not to be had now.
                    Err(error) if link.is_none() && is_closed(error.kind()) => continue,
                    Err(error) if link.is_some() && error.kind() == ErrorKind::CursorExpired => {
                        // Only the address of a page has rotted: this folder is begun again, and no other.
                        let times = rotted.entry(id).or_default();
                        *times += 1;
                        if *times >= MOST_WALKS {
                            return Err(error);
                        }
                        there.forget(id);
                        found.remove(id);
                        beside.remove(id);
                        next.push(begin(id));
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                for item in page.value.ok_or_else(|| no_list(CHANGES))? {
                    let item = item.get().as_bytes();
                    if let Some(id) = removed(item) {
                        there.note_gone(id).await?;
                        continue;
                    }
                    *found.entry(id.clone()).or_default() += 1;
                    match reading::message(item, Detail::Ids) {
                        Ok(message) if !self.is_too_old(&message) => there.note(message).await?,
                        // What has not even an id cannot be compared, and holds up nothing else.
                        _ => *beside.entry(id.clone()).or_default() += 1,
                    }
                }
                match (page.next_link, page.delta_link) {
                    (Some(following), _) => {
                        let goes_on = trail.go_on(&following);
                        goes_on.map_err(|error| error.with_operation(CHANGES))?;
                        next.push((id, Some(following), trail));
                    }
                    (None, Some(link)) => _ = links.insert(id.clone(), link),
                    _ => {
                        let message = "a page of changes leads nowhere";
                        return Err(protocol(message).with_operation(CHANGES));
                    }
                }
            }
            next.extend(waiting);
            open = next;
        }
        Ok(Walked {
            states: there.sorted().await?,
            found,
            beside,
            links,
        })
    }

    /// How many messages lie in each of these folders now; nothing of those of which the service does not say.
    pub(super) async fn numbers_in(&self, folders: &[FolderId]) -> Result<BTreeMap<FolderId, u64>> {
        let calls = folders.iter().map(|id| self.api.folder(id.as_str()));
        let answers = batch::send(self.api, calls.collect()).await;
        let mut numbers = BTreeMap::new();
        for (id, answer) in folders.iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    let folder: wire::MailFolder = reading::read(FOLDER, &answer)?;
                    let number = folder
                        .total_item_count
                        .and_then(|count| u64::try_from(count).ok());
                    numbers.extend(number.map(|number| (id.clone(), number)));
                }
                Err(error) if is_closed(error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(numbers)
    }

    /// A first walk that found fewer messages than lie in the folder has ended early, and looks like one that has not
    /// (<https://learn.microsoft.com/graph/delta-query-messages>): it is made once more. What that one lacks, or found twice,
    /// a comparison tells.
    async fn count_walks(&mut self) -> Result<()> {
        let ended = |kept: &Kept| kept.ready && !kept.walked && kept.link.is_some();
        let unsure: Vec<FolderId> = self
            .place
            .folders
            .iter()
            .filter(|(_, kept)| ended(kept) && kept.found != kept.total)
            .map(|(id, _)| id.clone())
            .collect();
        let numbers = self.numbers_in(&unsure).await?;
        let mut unlike = Vec::new();
        for (id, kept) in &mut self.place.folders {
            if !ended(kept) {
                continue;
            }
            let number = numbers.get(id).copied().unwrap_or(kept.found);
            if kept.found < number && kept.again == 0 {
                kept.again += 1;
                kept.ready = false;
                kept.link = None;
                kept.found = 0;
                continue;
            }
            kept.walked = true;
            if std::mem::take(&mut kept.tells) && kept.found != number {
                unlike.push(id.clone());
            }
        }
        for id in unlike {
            self.place.compare_later(&id);
        }
        Ok(())
    }
}

/// The id in an entry that says that something left.
pub(super) fn removed(item: &[u8]) -> Option<MessageId> {
    let entry: wire::Removal = wire::salvage(item)?;
    entry.removed?;
    entry.id.map(MessageId::from)
}
