//! Where a sync of Gmail has got to, and how that is written as a cursor.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::gmail::reading::Listed;
use crate::model::{Folder, FolderId, MessageId, Scope, SyncCursor, ThreadId};
use crate::sync::Unreadable;

const PROVIDER: &str = "gmail";

/// Begins the names of the entries of labels.
const LABEL: &str = "label:";

/// Where a sync has got to.
pub(super) struct Place {
    pub(super) scope: Scope,
    /// Everything up to this id of the history was told.
    pub(super) history: u64,
    /// When the mailbox was asked for it.
    pub(super) asked: DateTime<Utc>,
    /// A round of the history with pages still to come.
    pub(super) round: Option<Round>,
    /// Whether a round took several pages, so that what happened meanwhile is still to be asked for.
    pub(super) again: bool,
    /// How often in a row a round began again.
    pub(super) restarts: u32,
    /// The labels, with what tells whether one changed.
    pub(super) labels: BTreeMap<FolderId, String>,
    /// Whether what was there before is being read for the first time.
    pub(super) first: bool,
    /// A listing with pages still to come.
    pub(super) listing: Option<Listing>,
    /// What is known to be there and still to be read, in that order.
    pub(super) backlog: VecDeque<Listed>,
    /// Of what waits to be read, what left which labels of the scope.
    pub(super) left: BTreeMap<MessageId, BTreeSet<FolderId>>,
    /// What could not be read, so that what the host has of it is perhaps of before.
    pub(super) unreadable: Unreadable,
    /// Whether what the host has is still to be compared with what is there.
    pub(super) lost: Option<Lost>,
    /// When that was done last, if the history was of no use since.
    pub(super) compared: Option<DateTime<Utc>>,
    /// How many messages were read.
    pub(super) done: u64,
}

/// A round of the history.
#[derive(Serialize, Deserialize)]
pub(super) struct Round {
    /// The next page.
    pub(super) token: String,
    /// How far the history is told after the last page.
    pub(super) reaches: u64,
    pub(super) asked: DateTime<Utc>,
}

/// A listing of what was there before.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Listing {
    /// Which of the scope's searches, of several one after the other.
    pub(super) search: usize,
    /// The next page.
    pub(super) token: Option<String>,
    /// Whether what the host has already is to be read again.
    pub(super) again: bool,
    /// How often it began again because its next page was refused.
    pub(super) restarts: u32,
    /// How many messages there may be.
    pub(super) expected: Option<u64>,
}

impl Listing {
    /// One that reads everything again, as more of each message is wanted.
    pub(super) fn again() -> Self {
        Self {
            again: true,
            ..Self::default()
        }
    }
}

/// A comparison that is still to be made.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Lost {
    /// Since when the history is lost; unset if it is not.
    pub(super) since: Option<DateTime<Utc>>,
    /// How many messages differed the last time.
    pub(super) differed: Option<u64>,
}

impl Place {
    pub(super) fn new(scope: Scope, history: u64, asked: DateTime<Utc>) -> Self {
        Self {
            scope,
            history,
            asked,
            round: None,
            again: false,
            restarts: 0,
            labels: BTreeMap::new(),
            first: false,
            listing: None,
            backlog: VecDeque::new(),
            left: BTreeMap::new(),
            unreadable: Unreadable::default(),
            lost: None,
            compared: None,
            done: 0,
        }
    }

    /// Whether there is more to tell already.
    pub(super) fn is_under_way(&self) -> bool {
        self.round.is_some()
            || self.again
            || self.listing.is_some()
            || self.lost.is_some()
            || !self.backlog.is_empty()
    }

    /// How many messages there may be to read in all.
    pub(super) fn expected(&self) -> Option<u64> {
        match &self.listing {
            Some(listing) => listing.expected,
            None => Some(self.done + u64::try_from(self.backlog.len()).ok()?),
        }
    }

    /// A message is to be read before all others.
    pub(super) fn next(&mut self, listed: Listed) {
        self.backlog.retain(|waiting| waiting.id != listed.id);
        self.backlog.push_front(listed);
    }

    /// What the host has is compared with what is there when there is time for it. Since there is more to compare, more may
    /// differ than the last time.
    pub(super) fn compare_later(&mut self) {
        self.lost.get_or_insert_default().differed = None;
    }

    /// What could not be read is tried once more; where nobody knows of all that it is, everything is.
    pub(super) fn retry_unreadable(&mut self) {
        let (ids, others) = self.unreadable.retry();
        for id in ids {
            self.next(Listed { id, thread: None });
        }
        if others {
            self.listing = Some(Listing::again());
        }
    }

    pub(super) fn read(cursor: &SyncCursor) -> Result<Self> {
        cursor.entries().and_then(read).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "the cursor is not one of a sync of Gmail",
            )
        })
    }

    pub(super) fn write(&self) -> SyncCursor {
        let mut entries = vec![
            ("provider".to_owned(), PROVIDER.to_owned()),
            ("history".to_owned(), self.history.to_string()),
            ("asked".to_owned(), json(&self.asked)),
            ("scope".to_owned(), json(&self.scope)),
        ];
        let mut add = |name: &str, value: Option<String>| {
            entries.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("again", self.again.then(|| json(&true)));
        let restarts = (self.restarts > 0).then(|| self.restarts.to_string());
        add("restarts", restarts);
        add("first", self.first.then(|| json(&true)));
        add("round", self.round.as_ref().map(json));
        add("listing", self.listing.as_ref().map(json));
        add("lost", self.lost.as_ref().map(json));
        add("compared", self.compared.as_ref().map(json));
        add("done", (self.done > 0).then(|| self.done.to_string()));
        let backlog = (!self.backlog.is_empty()).then(|| write_backlog(&self.backlog));
        add("backlog", backlog);
        let is_unreadable = self.unreadable != Unreadable::default();
        add("unreadable", is_unreadable.then(|| json(&self.unreadable)));
        add("left", (!self.left.is_empty()).then(|| json(&self.left)));
        for (id, print) in &self.labels {
            entries.push((format!("{LABEL}{id}"), print.clone()));
        }
        SyncCursor::from_entries(entries)
    }
}

fn read(mut entries: BTreeMap<String, String>) -> Option<Place> {
    if entries.remove("provider")? != PROVIDER {
        return None;
    }
    let scope = serde_json::from_str(&entries.remove("scope")?).ok()?;
    let history = entries.remove("history")?.parse().ok()?;
    let asked = serde_json::from_str(&entries.remove("asked")?).ok()?;
    let mut place = Place::new(scope, history, asked);
    place.again = optional(entries.remove("again"))?.unwrap_or_default();
    place.restarts = optional(entries.remove("restarts"))?.unwrap_or_default();
    place.first = optional(entries.remove("first"))?.unwrap_or_default();
    place.round = optional(entries.remove("round"))?;
    place.listing = optional(entries.remove("listing"))?;
    place.lost = optional(entries.remove("lost"))?;
    place.compared = optional(entries.remove("compared"))?;
    place.done = optional(entries.remove("done"))?.unwrap_or_default();
    place.backlog = read_backlog(&entries.remove("backlog").unwrap_or_default());
    place.left = optional(entries.remove("left"))?.unwrap_or_default();
    place.unreadable = optional(entries.remove("unreadable"))?.unwrap_or_default();
    for (name, print) in entries {
        let id = FolderId::from(name.strip_prefix(LABEL)?);
        place.labels.insert(id, print);
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

/// Ids, each with its conversation where that is another id.
fn write_backlog(backlog: &VecDeque<Listed>) -> String {
    let mut text = String::new();
    for listed in backlog {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(listed.id.as_str());
        match &listed.thread {
            Some(thread) if thread.as_str() == listed.id.as_str() => text.push('='),
            Some(thread) => _ = write!(text, "/{thread}"),
            None => {}
        }
    }
    text
}

fn read_backlog(text: &str) -> VecDeque<Listed> {
    let words = text.split(' ').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (id, thread) = match (word.strip_suffix('='), word.split_once('/')) {
                (Some(id), _) => (id, Some(id)),
                (None, Some((id, thread))) => (id, Some(thread)),
                (None, None) => (word, None),
            };
            Listed {
                id: MessageId::from(id),
                thread: thread.map(ThreadId::from),
            }
        })
        .collect()
}

/// What tells whether a label changed. It is the same in every version of this crate, or all labels would be told again.
pub(super) fn fingerprint(folder: &Folder) -> String {
    let color = folder.color.as_ref();
    let parts = [
        folder.name.as_str(),
        folder.parent.as_ref().map_or("", FolderId::as_str),
        if folder.hidden { "hidden" } else { "" },
        color.map_or("", |color| color.background.as_str()),
        color.map_or("", |color| color.text.as_str()),
    ];
    let hash = Sha256::digest(parts.join("\u{0}"));
    let start = hash.iter().take(6);
    start.map(|byte| format!("{byte:02x}")).collect()
}
