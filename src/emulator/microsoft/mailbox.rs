//! An Outlook mailbox: folders in a tree, each message in exactly one of them, with two ids: one that
//! changes with every move and one that never does.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use chrono::{DateTime, Utc};

use super::super::EmulatedMessage;
use super::super::message::Mail;
use super::super::world::{Arrival, Place};

/// One mailbox.
#[derive(Debug)]
pub(crate) struct OutlookMailbox {
    pub(crate) messages: BTreeMap<u64, OutlookMessage>,
    pub(crate) folders: Vec<Folder>,
}

/// A folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) id: String,
    /// The name that works in every language, such as `inbox`.
    pub(crate) well_known: Option<&'static str>,
    pub(crate) display_name: String,
    pub(crate) parent: Option<String>,
    pub(crate) is_hidden: bool,
}

/// A message in its folder.
#[derive(Clone, Debug)]
pub(crate) struct OutlookMessage {
    pub(crate) key: u64,
    /// Changes when the message moves.
    pub(crate) id: String,
    /// Stays while the message is in this mailbox.
    pub(crate) immutable_id: String,
    pub(crate) folder: String,
    pub(crate) conversation_id: String,
    pub(crate) change_key: u64,
    pub(crate) is_read: bool,
    pub(crate) is_draft: bool,
    /// `notFlagged`, `flagged` or `complete`.
    pub(crate) flag: &'static str,
    pub(crate) importance: String,
    pub(crate) categories: Vec<String>,
    pub(crate) received: DateTime<Utc>,
    pub(crate) modified: DateTime<Utc>,
    pub(crate) mail: Arc<Mail>,
}

/// The folders of a new mailbox. The root comes first: it is the parent of the others.
const FOLDERS: [(&str, &str); 8] = [
    ("msgfolderroot", "Top of Information Store"),
    ("inbox", "Inbox"),
    ("drafts", "Drafts"),
    ("sentitems", "Sent Items"),
    ("deleteditems", "Deleted Items"),
    ("junkemail", "Junk Email"),
    ("archive", "Archive"),
    ("outbox", "Outbox"),
];

impl OutlookMailbox {
    pub(crate) fn new(random: &mut fastrand::Rng) -> Self {
        let mut folders: Vec<Folder> = Vec::new();
        for (well_known, display_name) in FOLDERS {
            folders.push(Folder {
                id: new_id("AQMk", random),
                well_known: Some(well_known),
                display_name: display_name.to_owned(),
                parent: folders.first().map(|root| root.id.clone()),
                is_hidden: false,
            });
        }
        Self {
            messages: BTreeMap::new(),
            folders,
        }
    }

    /// The folder with this well-known name.
    pub(crate) fn well_known(&self, name: &str) -> Option<&Folder> {
        self.folders
            .iter()
            .find(|folder| folder.well_known == Some(name))
    }

    /// Puts an arriving message into its folder and returns its key.
    pub(crate) fn store(&mut self, arrival: Arrival, random: &mut fastrand::Rng) -> u64 {
        let folder = match arrival.place {
            Place::Inbox => "inbox",
            Place::Archive => "archive",
            Place::Sent => "sentitems",
            Place::Junk => "junkemail",
            Place::Trash => "deleteditems",
            Place::Drafts => "drafts",
        };
        let folder = self
            .well_known(folder)
            .map_or_else(String::new, |folder| folder.id.clone());
        let key = self.messages.last_key_value().map_or(1, |(key, _)| key + 1);
        let conversation_id = self
            .conversation(&arrival.mail)
            .unwrap_or_else(|| new_id("AAQk", random));
        self.messages.insert(
            key,
            OutlookMessage {
                key,
                id: new_id("AQMk", random),
                immutable_id: new_id("AAkA", random),
                folder,
                conversation_id,
                change_key: 1,
                is_read: arrival.seen,
                is_draft: arrival.place == Place::Drafts,
                flag: if arrival.flagged {
                    "flagged"
                } else {
                    "notFlagged"
                },
                importance: "normal".to_owned(),
                categories: Vec::new(),
                received: arrival.received,
                modified: arrival.received,
                mail: arrival.mail,
            },
        );
        key
    }

    /// The conversation of a message that this one answers.
    fn conversation(&self, mail: &Mail) -> Option<String> {
        let references = &mail.parsed().references;
        self.messages
            .values()
            .find(|known| {
                let id = &known.mail.parsed().message_id;
                id.as_ref().is_some_and(|id| references.contains(id))
            })
            .map(|known| known.conversation_id.clone())
    }

    /// What a test may look at.
    pub(crate) fn truth(&self) -> Vec<EmulatedMessage> {
        self.messages
            .values()
            .map(|message| {
                let folder = self
                    .folders
                    .iter()
                    .find(|folder| folder.id == message.folder);
                EmulatedMessage {
                    id: message.id.clone(),
                    thread: message.conversation_id.clone(),
                    raw: message.mail.raw().to_vec(),
                    folders: folder
                        .map(|folder| {
                            let known = folder.well_known.map(str::to_owned);
                            known.unwrap_or_else(|| folder.display_name.clone())
                        })
                        .into_iter()
                        .collect(),
                    keywords: message.categories.clone(),
                    seen: message.is_read,
                    flagged: message.flag == "flagged",
                    draft: message.is_draft,
                    received: message.received,
                }
            })
            .collect()
    }
}

/// A new id in the shape of Exchange's: base64url, where upper and lower case matter.
pub(crate) fn new_id(prefix: &str, random: &mut fastrand::Rng) -> String {
    let mut bytes = [0_u8; 48];
    random.fill(&mut bytes);
    format!("{prefix}{}", URL_SAFE.encode(bytes))
}
