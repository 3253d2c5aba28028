//! Where a sync of Outlook has got to, and how that is written as a cursor: one entry for each folder, beside a few others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ahead::Ahead;
use super::backlog::{Backlog, Waiting};
use super::census::Area;
use super::unconfirmed::Unconfirmed;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Folder, FolderId, FolderRole, MessageId, Scope, SyncCursor};
use crate::sync::Unreadable;

const PROVIDER: &str = "outlook";

/// Begins the names of the entries of folders.
const FOLDER: &str = "folder:";

/// How many messages that left folders are remembered one by one: they stand in the cursor.
const MOST_HELD: usize = 2_000;

/// Where a sync has got to.
pub(super) struct Place {
    pub(super) scope: Scope,
    /// The service's own folders.
    pub(super) roles: Vec<(FolderRole, FolderId)>,
    /// The address of what changes of folders.
    pub(super) tree: Option<String>,
    pub(super) folders: BTreeMap<FolderId, Kept>,
    /// Whether some folders of the round were asked and others are still to be.
    pub(super) round: bool,
    /// Whether a round took several pages, so that what happened meanwhile is still to be asked for.
    pub(super) again: bool,
    /// When the last round that is over began, and the one that is under way.
    pub(super) asked: DateTime<Utc>,
    pub(super) begun: DateTime<Utc>,
    /// What left folders in this round, and which: no more than that is known of it.
    pub(super) held: BTreeMap<MessageId, Vec<FolderId>>,
    /// What is to be read, in that order.
    pub(super) backlog: Backlog,
    /// What could not be read, so that what the host has of it is perhaps of before.
    pub(super) unreadable: Unreadable,
    /// What was found where no change has told of it.
    pub(super) unconfirmed: Unconfirmed,
    /// A listing with pages still to come.
    pub(super) listing: Option<Listing>,
    /// What was told ahead of its turn.
    pub(super) ahead: Option<Ahead>,
    /// Whether what the host has is still to be compared with what is there.
    pub(super) comparison: Option<Comparison>,
    /// Whether this round ends with a count.
    pub(super) audited: bool,
    /// Whether what was there before is being read for the first time.
    pub(super) first: bool,
    /// How many messages were read, and how many there may be.
    pub(super) done: u64,
    pub(super) expected: Option<u64>,
}

/// A folder, and where its changes have got to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    pub(super) parent: Option<FolderId>,
    /// What tells whether it changed.
    pub(super) print: String,
    /// What to ask next; nothing if the folder is still to be walked through, or not covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
    /// Where the round under way began, for when an address within it rots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<String>,
    /// Whether the round is over here.
    pub(super) ready: bool,
    /// Whether the first walk is over.
    pub(super) walked: bool,
    /// Whether the first walk tells of what it finds, since nothing else will.
    pub(super) tells: bool,
    /// How many messages the walk found so far, how many there should be, and whether it was begun again for that.
    pub(super) found: u64,
    pub(super) total: u64,
    pub(super) again: u32,
    /// Whether the folder was said not to be there the last time, although it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) refused: bool,
    /// Whether a listing of it was refused, so that it is compared in the next round.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unlisted: bool,
    /// Whether the service has forgotten something that lies here.
    pub(super) torn: bool,
}

/// A listing of what was there before, newest first.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Listing {
    /// Of the folders that the scope names, the one that is being listed; the first if unset.
    pub(super) folder: Option<FolderId>,
    /// When the last message was received, and which were received in that second.
    pub(super) until: Option<DateTime<Utc>>,
    pub(super) edge: Vec<MessageId>,
    /// What follows within that second, where it has more messages than a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
    /// How many pages of that second were asked for so, and how often it was begun again.
    pub(super) further: u32,
    pub(super) again: u32,
    /// Whether anything was asked for so, and whether something left folders since.
    pub(super) counted: bool,
    pub(super) shifted: bool,
    /// Whether all was listed, so that only what left meanwhile is still to be told.
    pub(super) over: bool,
    /// Whether what the host has already is to be read again, as more of each message is wanted, and how often it was refused.
    pub(super) anew: bool,
    pub(super) refused: u32,
}

impl Listing {
    /// Whether nothing was listed yet, so that all of it is still to come.
    pub(super) fn is_new(&self) -> bool {
        self.folder.is_none() && self.until.is_none() && self.link.is_none() && !self.over
    }

    /// The same from another folder's beginning.
    pub(super) fn of(&self, folder: Option<FolderId>) -> Self {
        Self {
            folder,
            counted: self.counted,
            shifted: self.shifted,
            anew: self.anew,
            ..Self::default()
        }
    }
}

/// A comparison that is still to be made.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Comparison {
    /// The folders that it is about; all if empty.
    pub(super) folders: BTreeSet<FolderId>,
    pub(super) all: bool,
    /// How many messages differed the last time.
    pub(super) differed: Option<u64>,
}

impl Place {
    pub(super) fn new(
        scope: Scope,
        roles: Vec<(FolderRole, FolderId)>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            scope,
            roles,
            tree: None,
            folders: BTreeMap::new(),
            round: false,
            again: false,
            asked: now,
            begun: now,
            held: BTreeMap::new(),
            backlog: Backlog::default(),
            unreadable: Unreadable::default(),
            unconfirmed: Unconfirmed::default(),
            listing: None,
            ahead: None,
            comparison: None,
            audited: false,
            first: false,
            done: 0,
            expected: None,
        }
    }

    /// Whether there is more to tell already.
    pub(super) fn is_under_way(&self) -> bool {
        self.round
            || self.again
            || self.listing.is_some()
            || self.comparison.is_some()
            || self.audited
            || !self.held.is_empty()
            || !self.backlog.is_empty()
    }

    /// The folders that the scope covers, as the tree is now.
    pub(super) fn area(&self) -> Area {
        let folders: Vec<Folder> = self
            .folders
            .iter()
            .map(|(id, kept)| {
                let mut folder = Folder::new(id.clone(), "");
                folder.parent.clone_from(&kept.parent);
                let role = self.roles.iter().find(|(_, known)| known == id);
                folder.role = role.map(|(role, _)| *role);
                folder
            })
            .collect();
        Area::new(&self.scope, &folders)
    }

    pub(super) fn is_drafts(&self, folder: &FolderId) -> bool {
        self.roles.contains(&(FolderRole::Drafts, folder.clone()))
    }

    /// What could not be read is tried once more; where nobody knows of all that it is, everything is compared.
    pub(super) fn retry_unreadable(&mut self) {
        let (ids, others) = self.unreadable.retry();
        for id in ids {
            self.look(id, None);
        }
        if others {
            self.compare_all_later();
        }
    }

    /// A message is to be read before others, perhaps since a folder told that it came. What is known to be there waits no
    /// longer to be asked for.
    pub(super) fn look(&mut self, id: MessageId, came: Option<FolderId>) {
        let left = self.held.remove(&id).unwrap_or_default();
        self.note_turn(&id);
        self.backlog.put_first(Waiting {
            left,
            came,
            ..Waiting::new(id)
        });
    }

    /// A message is said to have left a folder.
    pub(super) fn note_left(&mut self, id: MessageId, folder: &FolderId) {
        self.note_shift();
        self.note_turn(&id);
        match self.backlog.get_mut(&id) {
            Some(waiting) => {
                waiting.came.take_if(|came| came == folder);
                waiting.left.push(folder.clone());
            }
            None => self.held.entry(id).or_default().push(folder.clone()),
        }
        if self.held.len() > MOST_HELD {
            self.let_go();
        }
    }

    /// A message that was told ahead of its turn is about to be told again, or asked for.
    pub(super) fn note_turn(&mut self, id: &MessageId) {
        if let Some(ahead) = &mut self.ahead {
            ahead.note_turn(id);
        }
    }

    /// What follows in a listing has moved up.
    pub(super) fn note_shift(&mut self) {
        if let Some(listing) = &mut self.listing {
            listing.shifted |= listing.counted;
        }
    }

    /// So much left some folders that it is no longer remembered one by one: what the host has of them is compared with what
    /// is there. That does not tell what came back, and what the service forgets of it.
    fn let_go(&mut self) {
        let left = std::mem::take(&mut self.held).into_values();
        for id in left.flatten().collect::<BTreeSet<FolderId>>() {
            self.note_torn(&id);
            self.compare_later(&id);
        }
    }

    /// The service has forgotten something that lies in a folder.
    pub(super) fn note_torn(&mut self, folder: &FolderId) {
        if let Some(kept) = self.folders.get_mut(folder) {
            kept.torn = true;
        }
    }

    /// A message was found in a folder that has not told of it.
    pub(super) fn note_unconfirmed(&mut self, id: &MessageId, folder: &FolderId) {
        if !self.unconfirmed.note(id, folder) {
            self.note_torn(folder);
        }
    }

    /// What the host has of a folder is compared with what lies there when there is time for it. Since there is more to
    /// compare, more may differ than the last time.
    pub(super) fn compare_later(&mut self, id: &FolderId) {
        let comparison = self.comparison.get_or_insert_with(Comparison::default);
        comparison.folders.insert(id.clone());
        comparison.differed = None;
    }

    /// The same for all that the host has.
    pub(super) fn compare_all_later(&mut self) {
        let comparison = self.comparison.get_or_insert_with(Comparison::default);
        comparison.all = true;
        comparison.differed = None;
    }

    /// What could not be listed before this round is compared after it, if it answers now.
    pub(super) fn compare_unlisted(&mut self) {
        let folders = self.folders.iter_mut().filter(|(_, kept)| !kept.refused);
        let unlisted =
            folders.filter_map(|(id, kept)| std::mem::take(&mut kept.unlisted).then(|| id.clone()));
        for id in unlisted.collect::<Vec<_>>() {
            self.compare_later(&id);
        }
    }

    pub(super) fn read(cursor: &SyncCursor) -> Result<Self> {
        cursor.entries().and_then(read).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "the cursor is not one of a sync of Outlook",
            )
        })
    }

    /// Only what can be read again is written.
    pub(super) fn write(&self) -> Result<SyncCursor> {
        let mut entries = vec![
            ("provider".to_owned(), PROVIDER.to_owned()),
            ("scope".to_owned(), json(&self.scope)),
            ("roles".to_owned(), json(&self.roles)),
            ("asked".to_owned(), json(&(self.asked, self.begun))),
        ];
        let mut add = |name: &str, value: Option<String>| {
            entries.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("tree", self.tree.clone());
        add("round", self.round.then(|| json(&true)));
        add("again", self.again.then(|| json(&true)));
        add("audited", self.audited.then(|| json(&true)));
        add("first", self.first.then(|| json(&true)));
        add("listing", self.listing.as_ref().map(json));
        add("ahead", self.ahead.as_ref().map(json));
        add("comparison", self.comparison.as_ref().map(json));
        add("done", (self.done > 0).then(|| json(&self.done)));
        add("expected", self.expected.as_ref().map(json));
        add("held", (!self.held.is_empty()).then(|| json(&self.held)));
        let backlog: Vec<_> = self.backlog.iter().collect();
        add("backlog", (!backlog.is_empty()).then(|| json(&backlog)));
        let nothing = Unreadable::default();
        add(
            "unreadable",
            (self.unreadable != nothing).then(|| json(&self.unreadable)),
        );
        let nothing = Unconfirmed::default();
        add(
            "unconfirmed",
            (self.unconfirmed != nothing).then(|| json(&self.unconfirmed)),
        );
        for (id, kept) in &self.folders {
            entries.push((format!("{FOLDER}{id}"), json(kept)));
        }
        let cursor = SyncCursor::from_entries(entries);
        if cursor.is_readable() {
            return Ok(cursor);
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "there are more folders than a cursor can hold",
        ))
    }
}

fn read(mut entries: BTreeMap<String, String>) -> Option<Place> {
    if entries.remove("provider")? != PROVIDER {
        return None;
    }
    let scope = serde_json::from_str(&entries.remove("scope")?).ok()?;
    let roles = serde_json::from_str(&entries.remove("roles")?).ok()?;
    let (asked, begun) = serde_json::from_str(&entries.remove("asked")?).ok()?;
    let mut place = Place::new(scope, roles, asked);
    place.begun = begun;
    place.tree = entries.remove("tree");
    place.round = optional(entries.remove("round"))?.unwrap_or_default();
    place.again = optional(entries.remove("again"))?.unwrap_or_default();
    place.audited = optional(entries.remove("audited"))?.unwrap_or_default();
    place.first = optional(entries.remove("first"))?.unwrap_or_default();
    place.listing = optional(entries.remove("listing"))?;
    place.ahead = optional(entries.remove("ahead"))?;
    place.comparison = optional(entries.remove("comparison"))?;
    place.done = optional(entries.remove("done"))?.unwrap_or_default();
    place.expected = optional(entries.remove("expected"))?;
    place.held = optional(entries.remove("held"))?.unwrap_or_default();
    let backlog: Option<Vec<Waiting>> = optional(entries.remove("backlog"))?;
    place.backlog.extend(backlog.unwrap_or_default());
    place.unreadable = optional(entries.remove("unreadable"))?.unwrap_or_default();
    place.unconfirmed = optional(entries.remove("unconfirmed"))?.unwrap_or_default();
    for (name, kept) in entries {
        let id = FolderId::from(name.strip_prefix(FOLDER)?);
        place.folders.insert(id, serde_json::from_str(&kept).ok()?);
    }
    Some(place)
}

/// What is not there is nothing; what is there must be read.
fn optional<T: DeserializeOwned>(text: Option<String>) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => serde_json::from_str(&text).ok().map(Some),
    }
}

fn json(value: &impl Serialize) -> String {
    // None of these values can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// What tells whether a folder changed. It is the same in every version of this crate, or all folders would be told again.
pub(super) fn fingerprint(folder: &Folder) -> String {
    let parts = [
        folder.name.as_str(),
        folder.parent.as_ref().map_or("", FolderId::as_str),
        if folder.hidden { "hidden" } else { "" },
    ];
    let hash = Sha256::digest(parts.join("\u{0}"));
    let start = hash.iter().take(6);
    start.map(|byte| format!("{byte:02x}")).collect()
}
