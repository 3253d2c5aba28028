//! A host's copy of a mailbox, as small as one can be: what every page of a sync does to it, in one step with the cursor.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use postroom::emulator::{EmulatedMessage, Emulator};
use postroom::{
    Error, Folder, FolderId, FolderRole, Keyword, Known, KnownMessage, Mailbox, MessageId, Scope,
    SyncChange, SyncCursor, SyncPage, SyncPages,
};
use std::sync::Arc;

/// A message as the host has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) folders: BTreeSet<String>,
    pub(crate) keywords: BTreeSet<Keyword>,
}

#[derive(Clone, Debug, Default)]
struct Stored {
    cursor: Option<SyncCursor>,
    messages: BTreeMap<MessageId, Copy>,
    /// Those of which it was last told that they cannot be read.
    unreadable: BTreeSet<MessageId>,
    folders: BTreeMap<FolderId, Folder>,
    /// How often the host was asked what it has.
    asked: usize,
}

/// The host's storage.
#[derive(Debug, Default)]
pub(crate) struct Mirror(Mutex<Stored>);

impl Mirror {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A copy of the copy, which goes its own way.
    pub(crate) fn fork(&self) -> Arc<Self> {
        Arc::new(Self(Mutex::new(self.0.lock().unwrap().clone())))
    }

    pub(crate) fn cursor(&self) -> Option<SyncCursor> {
        self.0.lock().unwrap().cursor.clone()
    }

    pub(crate) fn messages(&self) -> BTreeMap<MessageId, Copy> {
        self.0.lock().unwrap().messages.clone()
    }

    pub(crate) fn unreadable(&self) -> BTreeSet<MessageId> {
        self.0.lock().unwrap().unreadable.clone()
    }

    /// Names of all folders, by id.
    pub(crate) fn folders(&self) -> BTreeMap<String, String> {
        let stored = self.0.lock().unwrap();
        let name = |folder: &Folder| (folder.id.to_string(), folder.name.clone());
        stored.folders.values().map(name).collect()
    }

    pub(crate) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    /// Loses a message, as a host with a mistake in it does.
    pub(crate) fn forget(&self, id: &MessageId) {
        self.0.lock().unwrap().messages.remove(id);
    }

    /// Loses everything.
    pub(crate) fn begin_again(&self) {
        *self.0.lock().unwrap() = Stored::default();
    }

    pub(crate) fn put(&self, id: MessageId, copy: Copy) {
        self.0.lock().unwrap().messages.insert(id, copy);
    }

    /// Stores changes and cursor together, where the cursor is still the one that the page follows.
    pub(crate) fn store(&self, page: &SyncPage) -> bool {
        let mut stored = self.0.lock().unwrap();
        if stored.cursor != page.after {
            return false;
        }
        let mut seen = BTreeSet::new();
        for change in &page.changes {
            if let Some(id) = change.message_id() {
                assert!(seen.insert(id.clone()), "{id} is told twice on one page");
            }
            match change {
                SyncChange::Message(message) | SyncChange::Moved { message, .. } => {
                    let folders = message.folders.iter().flatten();
                    let copy = Copy {
                        folders: folders.map(ToString::to_string).collect(),
                        keywords: message.keywords.clone().unwrap_or_default(),
                    };
                    stored.messages.insert(message.id.clone(), copy);
                    stored.unreadable.remove(&message.id);
                }
                SyncChange::Updated(update) => {
                    if let Some(copy) = stored.messages.get_mut(&update.id) {
                        let folders = copy.folders.iter().map(|id| FolderId::from(id.as_str()));
                        let mut folders = folders.collect();
                        update.apply(&mut folders, &mut copy.keywords);
                        copy.folders = folders.iter().map(ToString::to_string).collect();
                    }
                }
                SyncChange::Unreadable(id, _) => {
                    stored.messages.entry(id.clone()).or_default();
                    stored.unreadable.insert(id.clone());
                }
                SyncChange::OutOfScope(id) | SyncChange::Deleted(id) => {
                    stored.messages.remove(id);
                    stored.unreadable.remove(id);
                }
                SyncChange::Folder(folder) => {
                    stored.folders.insert(folder.id.clone(), folder.clone());
                }
                SyncChange::FolderDeleted(id) => {
                    stored.folders.remove(id);
                }
                other => panic!("a change that hosts do not know: {other:?}"),
            }
        }
        stored.cursor = Some(page.cursor.clone());
        true
    }

    /// Syncs until nothing is left to tell, and returns the pages.
    pub(crate) async fn follow(
        self: &Arc<Self>,
        mailbox: &Mailbox,
        scope: &Scope,
    ) -> Result<Vec<SyncPage>, Error> {
        let pages = mailbox.sync(self.cursor(), scope.clone(), self.clone());
        self.take(pages).await
    }

    /// The same in an audited round.
    pub(crate) async fn follow_audited(
        self: &Arc<Self>,
        mailbox: &Mailbox,
        scope: &Scope,
    ) -> Result<Vec<SyncPage>, Error> {
        let pages = mailbox.sync_audited(self.cursor(), scope.clone(), self.clone());
        self.take(pages).await
    }

    async fn take(&self, mut pages: SyncPages) -> Result<Vec<SyncPage>, Error> {
        let mut stored = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page?;
            assert!(self.store(&page));
            assert!(stored.len() < 5_000, "a sync comes to no end");
            stored.push(page);
        }
        Ok(stored)
    }
}

#[async_trait]
impl Known for Mirror {
    async fn page(
        &self,
        after: Option<&MessageId>,
        limit: usize,
    ) -> postroom::Result<Vec<KnownMessage>> {
        let mut stored = self.0.lock().unwrap();
        stored.asked += 1;
        let following = stored
            .messages
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| *id > after));
        Ok(following
            .take(limit)
            .map(|(id, copy)| {
                let folders = copy.folders.iter().map(|id| FolderId::from(id.as_str()));
                let keywords = copy.keywords.iter().cloned();
                KnownMessage::new(id.clone(), folders.collect(), keywords.collect())
            })
            .collect())
    }
}

/// Whether a message is as recent as a scope wants, in whole seconds.
fn is_recent(scope: &Scope, message: &EmulatedMessage) -> bool {
    let since = scope.since.map(|since| since.timestamp());
    since.is_none_or(|since| message.received.timestamp() >= since)
}

/// What Gmail really has within a scope.
pub(crate) fn gmail_truth(
    emulator: &Emulator,
    address: &str,
    scope: &Scope,
) -> BTreeMap<MessageId, Copy> {
    let messages = emulator.messages(address).into_iter();
    let within = |labels: &[String]| {
        let hidden = |label: &String| label == "SPAM" || label == "TRASH";
        let named = |label: &String| scope.folders.iter().any(|named| named.as_str() == label);
        (scope.junk_and_trash || !labels.iter().any(hidden))
            && (scope.folders.is_empty() || labels.iter().any(named))
    };
    messages
        .filter(|message| within(&message.folders) && is_recent(scope, message))
        .map(|message| {
            let mut keywords = BTreeSet::new();
            let mut folders: BTreeSet<String> = message.folders.into_iter().collect();
            if !folders.remove("UNREAD") {
                keywords.insert(Keyword::Seen);
            }
            for (label, keyword) in [
                ("STARRED", Keyword::Flagged),
                ("DRAFT", Keyword::Draft),
                ("IMPORTANT", Keyword::Important),
            ] {
                if folders.contains(label) {
                    keywords.insert(keyword);
                }
            }
            (MessageId::from(message.id), Copy { folders, keywords })
        })
        .collect()
}

/// What Outlook really has within a scope, given the folders that lie in junk and trash, or are these.
pub(crate) fn outlook_truth(
    emulator: &Emulator,
    address: &str,
    scope: &Scope,
    hidden: &BTreeSet<String>,
) -> BTreeMap<MessageId, Copy> {
    let messages = emulator.messages(address).into_iter();
    messages
        .filter(|message| {
            let folder = &message.folder_ids[0];
            let is_named = scope.folders.iter().any(|named| named.as_str() == folder);
            (scope.junk_and_trash || !hidden.contains(folder))
                && is_recent(scope, message)
                && (scope.folders.is_empty() || is_named)
        })
        .map(|message| {
            let states = [
                (message.seen, Keyword::Seen),
                (message.flagged, Keyword::Flagged),
                (message.draft, Keyword::Draft),
                (message.important, Keyword::Important),
            ];
            let states = states
                .into_iter()
                .filter_map(|(set, keyword)| set.then_some(keyword));
            let custom = message.keywords.into_iter().map(Keyword::Custom);
            let copy = Copy {
                folders: message.folder_ids.into_iter().collect(),
                keywords: states.chain(custom).collect(),
            };
            (MessageId::from(message.immutable_id), copy)
        })
        .collect()
}

/// The folders that lie in junk and trash, and these themselves.
pub(crate) async fn hidden_folders(mailbox: &Mailbox) -> BTreeSet<String> {
    let folders = mailbox.folders().await.unwrap();
    let mut hidden: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = hidden.len();
        for folder in &folders {
            let in_hidden = folder
                .parent
                .as_ref()
                .is_some_and(|parent| hidden.contains(parent.as_str()));
            if in_hidden || matches!(folder.role, Some(FolderRole::Junk | FolderRole::Trash)) {
                hidden.insert(folder.id.to_string());
            }
        }
        if hidden.len() == before {
            return hidden;
        }
    }
}

/// What some pages of a sync tell.
pub(crate) fn changes(pages: &[SyncPage]) -> impl Iterator<Item = &SyncChange> {
    pages.iter().flat_map(|page| &page.changes)
}

/// The subjects of the messages that came whole with them.
pub(crate) fn messages(pages: &[SyncPage]) -> Vec<&str> {
    let mut subjects = Vec::new();
    for change in changes(pages) {
        let message = change.message();
        subjects.extend(message.and_then(|message| message.subject.as_deref()));
    }
    subjects
}
