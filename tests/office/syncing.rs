//! How the provider of `custom_provider.rs` syncs: it notes what changed whenever somebody asks, tells that and then, two messages
//! a page, what was there before. Its cursors say how far both have got; when their scope changes, what the host has is compared.

use std::collections::{BTreeMap, BTreeSet};

use postroom::{
    Audit, AuditWindow, Detail, Error, ErrorKind, Folder, FolderId, FolderRole, Keyword, Known,
    KnownMessage, MessageId, MessageUpdate, Result, Scope, SyncChange, SyncCursor, SyncPage,
    SyncPhase,
};
use serde::{Deserialize, Serialize};

use super::message;
use crate::{Kept, Shelf};

/// How many older messages a page tells.
const PAGE: usize = 2;

/// What the office knows of the changes of one mailbox.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Messages as they were when somebody last looked.
    seen: BTreeMap<String, (String, BTreeSet<Keyword>)>,
    /// Which message changed, in order, and which folder it lay in before.
    changed: Vec<(String, Option<String>)>,
}

impl Journal {
    fn note(&mut self, kept: &[Kept]) {
        let now: BTreeMap<_, _> = kept
            .iter()
            .map(|kept| {
                (
                    kept.id.clone(),
                    (kept.folder.clone(), kept.keywords.clone()),
                )
            })
            .collect();
        let is_news = |id: &&String| self.seen.get(*id) != now.get(*id);
        let ids: BTreeSet<_> = self.seen.keys().chain(now.keys()).collect();
        let before = |id: &String| self.seen.get(id).map(|(folder, _)| folder.clone());
        let news = ids.into_iter().filter(is_news);
        let news: Vec<_> = news.map(|id| (id.clone(), before(id))).collect();
        self.changed.extend(news);
        self.seen = now;
    }
}

/// What a cursor says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Place {
    scope: Scope,
    /// How many changes were told.
    told: usize,
    /// Before which message older ones are still to be told; empty to begin with the newest.
    listing: Option<String>,
    /// Whether the host's messages must be compared with what is there.
    compare: bool,
    /// Whether the first listing goes on.
    first: bool,
    folders: BTreeMap<FolderId, (String, Option<FolderId>)>,
}

impl Place {
    fn read(cursor: &SyncCursor) -> Result<Self> {
        serde_json::from_str(cursor.as_str())
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "this is no cursor of the office"))
    }

    fn write(&self) -> SyncCursor {
        SyncCursor::new(serde_json::to_string(self).unwrap())
    }
}

fn covers(scope: &Scope, kept: &Kept) -> bool {
    let is_old = |since| kept.received_at < since;
    covers_folder(scope, &kept.folder) && !scope.since.is_some_and(is_old)
}

fn covers_folder(scope: &Scope, folder: &str) -> bool {
    let is = |role: &FolderRole| role.as_str() == folder;
    let hidden = [FolderRole::Trash, FolderRole::Junk].iter().any(is);
    let mut named = scope.folders.iter().map(FolderId::as_str);
    (scope.junk_and_trash || !hidden)
        && (!scope.names_folders() || named.any(|id| id == folder) || scope.roles.iter().any(is))
}

/// All that a host has.
async fn all_known(known: &dyn Known) -> Result<Vec<KnownMessage>> {
    let mut all: Vec<KnownMessage> = Vec::new();
    loop {
        let page = known.page(all.last().map(|last| &last.id), PAGE).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// What differs of a message that both have, if anything does.
fn difference(known: &KnownMessage, kept: &Kept) -> Option<MessageUpdate> {
    let folder = FolderId::new(kept.folder.as_str());
    let had: BTreeSet<_> = known.keywords.iter().cloned().collect();
    if known.folders == [folder.clone()] && had == kept.keywords {
        return None;
    }
    let mut update = MessageUpdate::new(known.id.clone());
    update.folders = Some(vec![folder]);
    for keyword in had.union(&kept.keywords) {
        update.has(keyword.clone(), kept.keywords.contains(keyword));
    }
    Some(update)
}

/// The changes of a page: of each message the last.
#[derive(Default)]
struct Changes(Vec<SyncChange>);

impl Changes {
    fn tell(&mut self, change: SyncChange) {
        let id = change.message_id().cloned();
        self.0
            .retain(|told| id.is_none() || told.message_id() != id.as_ref());
        self.0.push(change);
    }
}

impl Shelf {
    pub(crate) async fn page_of_sync(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        let mut place = match cursor {
            Some(cursor) => Place::read(cursor)?,
            None => Place {
                scope: scope.clone(),
                told: usize::MAX,
                listing: Some(String::new()),
                first: true,
                ..Place::default()
            },
        };
        if place.scope != *scope {
            if scope.detail > place.scope.detail || place.listing.is_some() {
                place.listing = Some(String::new());
            }
            place.compare = true;
            place.scope = scope.clone();
        }
        let mut changes = Changes::default();
        self.tell_folders(&mut place, &mut changes);
        let kept = self.kept();
        self.tell_changes(&kept, &mut place, &mut changes);
        if std::mem::take(&mut place.compare) {
            self.tell_differences(&kept, &place, known, &mut changes)
                .await?;
        } else if let Some(before) = place.listing.take() {
            let older = kept
                .iter()
                .rev()
                .filter(|kept| covers(scope, kept) && (before.is_empty() || kept.id < before));
            let page: Vec<&Kept> = older.take(PAGE).collect();
            for kept in &page {
                changes.tell(told(kept, scope.detail));
            }
            if page.len() == PAGE {
                place.listing = page.last().map(|last| last.id.clone());
            }
        }
        let phase = if place.first {
            SyncPhase::Snapshot
        } else {
            SyncPhase::Delta
        };
        place.first &= place.listing.is_some();
        let mut page = SyncPage::new(phase, cursor.cloned(), place.write());
        page.changes = changes.0;
        page.more = place.listing.is_some() || place.compare;
        Ok(page)
    }

    fn tell_folders(&self, place: &mut Place, changes: &mut Changes) {
        let folders = self.all_folders();
        let print = |folder: &Folder| (folder.name.clone(), folder.parent.clone());
        for folder in &folders {
            if place.folders.get(&folder.id) != Some(&print(folder)) {
                changes.tell(SyncChange::Folder(folder.clone()));
            }
        }
        let now: BTreeMap<_, _> = folders
            .iter()
            .map(|one| (one.id.clone(), print(one)))
            .collect();
        for gone in place.folders.keys().filter(|id| !now.contains_key(*id)) {
            changes.tell(SyncChange::FolderDeleted(gone.clone()));
        }
        place.folders = now;
    }

    /// Tells what changed since the cursor. A cursor that has told nothing yet begins here.
    fn tell_changes(&self, kept: &[Kept], place: &mut Place, changes: &mut Changes) {
        let scope = &place.scope;
        let mut journals = self.office.journals.lock().unwrap();
        let journal = journals.entry(self.address.clone()).or_default();
        journal.note(kept);
        let news = || journal.changed.iter().skip(place.told);
        for (id, _) in news() {
            changes.tell(match kept.iter().find(|kept| kept.id == *id) {
                Some(kept) if covers(&place.scope, kept) => {
                    let left = news().filter(|(moved, _)| moved == id);
                    let left = left.filter_map(|(_, folder)| folder.as_deref());
                    let is_left =
                        |folder: &&str| *folder != kept.folder && covers_folder(scope, folder);
                    moved(kept, left.filter(is_left), scope.detail)
                }
                Some(_) => SyncChange::OutOfScope(MessageId::new(id.as_str())),
                None => SyncChange::Deleted(MessageId::new(id.as_str())),
            });
        }
        place.told = journal.changed.len();
    }

    async fn tell_differences(
        &self,
        kept: &[Kept],
        place: &Place,
        known: &dyn Known,
        changes: &mut Changes,
    ) -> Result<()> {
        let known = all_known(known).await?;
        for known in &known {
            let there = kept.iter().find(|kept| kept.id == known.id.as_str());
            match there {
                None => changes.tell(SyncChange::Deleted(known.id.clone())),
                Some(kept) if !covers(&place.scope, kept) => {
                    changes.tell(SyncChange::OutOfScope(known.id.clone()));
                }
                Some(kept) => {
                    if let Some(update) = difference(known, kept) {
                        changes.tell(SyncChange::Updated(update));
                    }
                }
            }
        }
        let has = |kept: &Kept| known.iter().any(|known| known.id.as_str() == kept.id);
        for kept in kept {
            if covers(&place.scope, kept) && !has(kept) {
                changes.tell(told(kept, place.scope.detail));
            }
        }
        Ok(())
    }

    pub(crate) async fn audit_of(
        &self,
        scope: &Scope,
        window: AuditWindow,
        known: &dyn Known,
    ) -> Result<Audit> {
        let mut kept = self.kept();
        kept.retain(|kept| {
            covers(scope, kept)
                && window.from.is_none_or(|from| kept.received_at >= from)
                && window.until.is_none_or(|until| kept.received_at < until)
        });
        let known = all_known(known).await?;
        let mut audit = Audit::default();
        audit.checked = kept.len() as u64;
        for known in &known {
            match kept.iter().find(|kept| kept.id == known.id.as_str()) {
                Some(kept) => audit.stale.extend(difference(known, kept)),
                None => audit.extra.push(known.id.clone()),
            }
        }
        let has = |kept: &Kept| known.iter().any(|known| known.id.as_str() == kept.id);
        kept.retain(|kept| !has(kept));
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.received_at));
        let missing = kept.iter().map(|kept| MessageId::new(kept.id.as_str()));
        audit.missing = missing.collect();
        let most = window.most_told();
        audit.untold.missing = shortened(&mut audit.missing, most);
        audit.untold.extra = shortened(&mut audit.extra, most);
        audit.untold.stale = shortened(&mut audit.stale, most);
        Ok(audit)
    }
}

/// Leaves only the first ones, and says how many others there were.
fn shortened<T>(all: &mut Vec<T>, most: usize) -> u64 {
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    more as u64
}

/// A message that left these folders, if it left any.
fn moved<'a>(kept: &Kept, left: impl Iterator<Item = &'a str>, detail: Detail) -> SyncChange {
    let out_of: BTreeSet<FolderId> = left.map(FolderId::new).collect();
    if out_of.is_empty() {
        return told(kept, detail);
    }
    SyncChange::Moved {
        message: Box::new(message(kept, detail)),
        out_of,
    }
}

fn told(kept: &Kept, detail: Detail) -> SyncChange {
    SyncChange::Message(Box::new(message(kept, detail)))
}
