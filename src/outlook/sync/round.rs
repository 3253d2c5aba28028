//! A round over the folders of a scope: what changed in each, and of the folders themselves. What left a folder is held until
//! all of them have told, because it may have come into another; what a folder's walk misses is noticed by counting.

use std::collections::BTreeMap;

use super::place::{Kept, Listing, fingerprint};
use super::{Step, census, is_refusal, terms, unanswered};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, ApiRequest, protocol};
use crate::model::{Detail, FolderId, Keyword, KnownMessage, MessageId};
use crate::outlook::api::Api;
use crate::outlook::reading::{self, no_list};
use crate::outlook::{batch, convert, wire};
use crate::provider::{Known, SyncChange};
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
            self.place.compare_unlisted();
        }
        let is_open = |id: &FolderId| self.place.folders.get(id).is_some_and(|kept| !kept.ready);
        covered.retain(is_open);
        let mut calls: Vec<Result<ApiRequest>> = covered.iter().map(|id| self.call(id)).collect();
        if begins {
            calls.push(match &self.place.tree {
                Some(link) => self.api.following(FOLDERS, link),
                None => self.api.folder_changes(),
            });
        }
        let mut answers = batch::send(self.api, calls).await;
        let tree = if begins { answers.pop() } else { None };
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
                Err(error) => {
                    if self.recover(id, error)? {
                        lost.push(id.clone());
                    }
                }
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
        if let Some(kept) = self.place.folders.get_mut(id) {
            kept.ready = kept.refused;
            kept.refused = true;
        }
    }

    /// A folder whose changes cannot be asked for. Whether the service has forgotten where they had got to.
    fn recover(&mut self, id: &FolderId, error: Error) -> Result<bool> {
        if error.kind() != ErrorKind::CursorExpired {
            return Err(error);
        }
        let Some(kept) = self.place.folders.get_mut(id) else {
            return Ok(false);
        };
        match kept.base.take() {
            // Only the address of a page has rotted: the round begins again here.
            Some(base) if kept.link.as_ref() != Some(&base) => kept.link = Some(base),
            Some(_) => return Ok(true),
            None if kept.walked => return Ok(true),
            None => {
                kept.again += 1;
                if kept.again > MOST_WALKS {
                    return Err(error);
                }
                kept.link = None;
                kept.found = 0;
            }
        }
        Ok(false)
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
            let is_about = |message: &KnownMessage| {
                let mut folders = message.folders.iter();
                folders.any(|folder| ids.contains(folder))
            };
            let terms = Terms {
                drafts: true,
                ..terms(self.place.scope.detail)
            };
            let differences =
                compare(known, &mut walked.states, is_about, terms, &Unprobed).await?;
            // A walk that ended early looks like one that has not.
            let numbers = self.numbers_in(ids).await?;
            let is_short = |(id, number): (&FolderId, &u64)| {
                walked.found.get(id).copied().unwrap_or_default() < *number
            };
            let all: u64 = numbers.values().sum();
            let beside: u64 = walked.beside.values().sum();
            let is_whole = !numbers.iter().any(is_short) && differences.checked + beside >= all;
            if is_whole || tries >= MOST_WALKS {
                break (differences, walked.links);
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
        for gone in differences.extra {
            for folder in gone.folders.iter().filter(|folder| ids.contains(folder)) {
                self.place.note_left(gone.id.clone(), folder);
            }
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
        let mut open: Vec<(&FolderId, Option<String>)> = ids.iter().map(|id| (id, None)).collect();
        while !open.is_empty() {
            let waiting = open.split_off(open.len().min(batch::LARGEST));
            let calls = open
                .iter()
                .map(|(id, link)| match link {
                    Some(link) => self.api.following(CHANGES, link),
                    None => self.api.changes(id.as_str()),
                })
                .collect();
            let answers = batch::send(self.api, calls).await;
            let mut next = Vec::new();
            for ((id, link), answer) in open.into_iter().zip(answers) {
                let page: wire::Changes = match answer {
                    Ok(answer) => reading::read(CHANGES, &answer)?,
                    // Deleted since, which the tree tells.
                    Err(error) if link.is_none() && error.kind() == ErrorKind::NotFound => continue,
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
                        next.push((id, None));
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
                    (Some(following), _) if link.as_ref() != Some(&following) => {
                        next.push((id, Some(following)));
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

    /// How many messages lie in each of these folders now; nothing of those that are gone.
    pub(super) async fn numbers_in(&self, folders: &[FolderId]) -> Result<BTreeMap<FolderId, u64>> {
        let calls = folders.iter().map(|id| self.api.folder(id.as_str()));
        let answers = batch::send(self.api, calls.collect()).await;
        let mut numbers = BTreeMap::new();
        for (id, answer) in folders.iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    let folder = reading::read(FOLDER, &answer)?;
                    numbers.insert(id.clone(), total(&folder));
                }
                Err(error) if is_refusal(error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(numbers)
    }

    /// A first walk that found fewer messages than lie in the folder has ended early, and looks like one that has not
    /// (<https://learn.microsoft.com/graph/delta-query-messages>): it is made once more. What that one lacks, or found twice,
    /// a comparison tells.
    async fn count_walks(&mut self) -> Result<()> {
        let ended = |kept: &&Kept| kept.ready && !kept.walked;
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
            if !kept.ready || kept.walked {
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

    /// All folders that there are; those that it lacks are gone.
    async fn read_whole_tree(&mut self) -> Result<()> {
        self.place.tree = None;
        let tree = batch::send(self.api, vec![self.api.folder_changes()]).await;
        let tree = tree.into_iter().next();
        self.look_at_tree(tree.unwrap_or_else(|| Err(unanswered())))
            .await
    }

    /// Everything that changed of folders.
    pub(super) async fn look_at_tree(&mut self, answer: Result<Answer>) -> Result<()> {
        let is_whole;
        let (listed, gone, link) = match answer {
            Ok(answer) => {
                is_whole = self.place.tree.is_none();
                read_tree(self.api, &answer).await?
            }
            Err(error) if error.kind() == ErrorKind::CursorExpired => {
                is_whole = true;
                let mut answers = batch::send(self.api, vec![self.api.folder_changes()]).await;
                let answer = answers.pop().unwrap_or(Err(error))?;
                read_tree(self.api, &answer).await?
            }
            Err(error) => return Err(error),
        };
        self.place.tree = Some(link);
        let before = self.place.area();
        let totals: BTreeMap<FolderId, u64> = listed
            .iter()
            .filter_map(|folder| Some((FolderId::from(folder.id.as_deref()?), total(folder))))
            .collect();
        let mut roles: convert::Roles = self.place.roles.iter().cloned().collect();
        let mut folders = convert::folders_among(listed, &roles, |id| {
            self.place.folders.contains_key(id) || totals.contains_key(id)
        });
        if !folders.is_empty() && self.place.roles.len() < convert::roles().count() {
            // The archive is made when it is first used.
            roles = self.own.roles(self.api).await?;
            self.place.roles = roles.pairs();
            for folder in &mut folders {
                folder.role = roles.of(&folder.id);
            }
        }
        let mut lost: Vec<FolderId> = gone.into_iter().map(FolderId::from).collect();
        if is_whole {
            let missing = self
                .place
                .folders
                .keys()
                .filter(|id| !totals.contains_key(*id));
            lost.extend(missing.cloned());
        }
        for folder in folders {
            let kept = self.place.folders.entry(folder.id.clone()).or_default();
            kept.parent.clone_from(&folder.parent);
            kept.total = totals.get(&folder.id).copied().unwrap_or_default();
            let print = fingerprint(&folder);
            if kept.print != print {
                kept.print = print;
                self.found.push(SyncChange::Folder(folder));
            }
        }
        for id in lost {
            self.forget_folder(&id);
        }
        self.cover(&before);
        Ok(())
    }

    /// Folders that came into the scope tell of all that is in them; what the host has of those that left it is looked at.
    pub(super) fn cover(&mut self, before: &census::Area) {
        let after = self.place.area();
        // A listing that is still to come tells of it, and of nothing twice.
        let is_listed = self.place.listing.as_ref().is_some_and(Listing::is_new);
        for id in after.covered().filter(|id| !before.contains(id)) {
            if let Some(kept) = self.place.folders.get_mut(id) {
                *kept = Kept {
                    parent: kept.parent.take(),
                    print: std::mem::take(&mut kept.print),
                    total: kept.total,
                    tells: !is_listed,
                    ..Kept::default()
                };
            }
        }
        for id in before.covered().filter(|id| !after.contains(id)) {
            if let Some(kept) = self.place.folders.get_mut(id) {
                kept.link = None;
                kept.walked = false;
                self.place.compare_later(id);
            }
        }
    }

    fn forget_folder(&mut self, id: &FolderId) {
        if self.place.folders.remove(id).is_some() {
            self.found.push(SyncChange::FolderDeleted(id.clone()));
            self.place.note_shift();
            self.place.compare_later(id);
        }
    }
}

/// The id in an entry that says that something left.
fn removed(item: &[u8]) -> Option<MessageId> {
    let entry: wire::Removal = wire::salvage(item)?;
    entry.removed?;
    entry.id.map(MessageId::from)
}

fn total(folder: &wire::MailFolder) -> u64 {
    let total = folder.total_item_count.unwrap_or_default();
    u64::try_from(total).unwrap_or_default()
}

/// Folders that are new or changed, ids of those that are gone, and the address of what changes from then on.
async fn read_tree(
    api: &Api,
    answer: &Answer,
) -> Result<(Vec<wire::MailFolder>, Vec<String>, String)> {
    let (mut listed, mut gone) = (Vec::new(), Vec::new());
    let mut page: wire::Changes = reading::read(FOLDERS, answer)?;
    let mut last = None;
    loop {
        for item in page.value.ok_or_else(|| no_list(FOLDERS))? {
            let item = item.get().as_bytes();
            match removed(item) {
                Some(id) => gone.push(id.as_str().to_owned()),
                None => listed.extend(wire::salvage::<wire::MailFolder>(item)),
            }
        }
        match (page.next_link, page.delta_link) {
            (Some(next), _) if last.as_ref() != Some(&next) => {
                page = api.client.json(api.following(FOLDERS, &next)?).await?;
                last = Some(next);
            }
            (None, Some(link)) => return Ok((listed, gone, link)),
            _ => {
                return Err(protocol("a page of changes leads nowhere").with_operation(FOLDERS));
            }
        }
    }
}
