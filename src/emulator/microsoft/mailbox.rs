//! An Outlook mailbox: folders in a tree, each message in exactly one of them, with two ids: one that
//! changes with every move and one that never does. Requests are read in the files beside this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::EmulatedMessage;
use super::super::message::Mail;
use super::super::world::{Arrival, Place};
use super::journal::{Journal, Kind};
use super::rules::Rule;
use super::settings::AutomaticReplies;

/// One mailbox.
#[derive(Debug)]
pub(crate) struct OutlookMailbox {
    pub(crate) messages: BTreeMap<u64, OutlookMessage>,
    pub(crate) folders: Vec<Folder>,
    pub(crate) categories: Vec<Category>,
    /// The rules of the inbox.
    pub(crate) rules: Vec<Rule>,
    pub(crate) automatic_replies: AutomaticReplies,
    /// Attachments on their way up, by the secret in their URL.
    pub(crate) uploads: BTreeMap<String, Upload>,
    last_key: u64,
    /// Which message has or had an id, of either kind.
    keys: BTreeMap<String, u64>,
    /// The messages on their way out.
    leaving: BTreeSet<u64>,
    /// What happened in folders.
    pub(crate) journal: Box<Journal>,
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
    /// A `followupFlag`, as it is sent.
    pub(crate) flag: Value,
    /// `low`, `normal` or `high`.
    pub(crate) importance: String,
    /// `focused` or `other`.
    pub(crate) inference: String,
    pub(crate) categories: Vec<String>,
    pub(crate) received: DateTime<Utc>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) modified: DateTime<Utc>,
    pub(crate) mail: Arc<Mail>,
    /// One for each attachment of `mail`, in its order.
    pub(crate) attachment_ids: Vec<String>,
    /// Extended properties: id, as it comes back, and value.
    pub(crate) extended: Vec<(String, String)>,
    /// Set while the message lies in the outbox.
    pub(crate) leaving: Option<Leaving>,
}

/// What becomes of a message in the outbox, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// How many more requests see it in the outbox.
    pub(crate) requests: u32,
    /// Whether a copy goes to the sent items.
    pub(crate) save: bool,
    /// Until when it is held back.
    pub(crate) until: Option<DateTime<Utc>>,
    /// Whether not even the id that never changes is the same afterwards.
    pub(crate) changes_id: bool,
}

/// An entry of the list of categories.
#[derive(Clone, Debug)]
pub(crate) struct Category {
    pub(crate) id: String,
    pub(crate) display_name: String,
    /// `none` or `preset0` to `preset24`.
    pub(crate) color: String,
}

/// An attachment of which a part has come.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// The message it belongs to.
    pub(crate) message: u64,
    pub(crate) name: String,
    pub(crate) content_type: Option<String>,
    pub(crate) is_inline: bool,
    pub(crate) content_id: Option<String>,
    pub(crate) size: usize,
    pub(crate) received: Vec<u8>,
    /// On the emulator's monotonic clock.
    pub(crate) expires: Duration,
    pub(crate) expires_at: DateTime<Utc>,
}

/// The folders of a new mailbox: well-known name, display name, and how deep they lie. The root comes
/// first. There are more than a first page of ten shows, some lie in others, one is hidden.
const FOLDERS: [(Option<&str>, &str, usize); 14] = [
    (Some("msgfolderroot"), "Top of Information Store", 0),
    (Some("archive"), "Archive", 1),
    (None, "Clients", 1),
    (None, "Shop", 2),
    (Some("conversationhistory"), "Conversation History", 1),
    (Some("deleteditems"), "Deleted Items", 1),
    (Some("drafts"), "Drafts", 1),
    (Some("inbox"), "Inbox", 1),
    (Some("junkemail"), "Junk Email", 1),
    (None, "Newsletters", 1),
    (Some("outbox"), "Outbox", 1),
    (None, "Receipts", 1),
    (Some("sentitems"), "Sent Items", 1),
    (None, HIDDEN, 1),
];

/// The display name of the hidden folder.
const HIDDEN: &str = "PersonMetadata";

impl OutlookMailbox {
    pub(crate) fn new(random: &mut fastrand::Rng) -> Self {
        let mut folders: Vec<Folder> = Vec::new();
        let mut above: Vec<String> = Vec::new();
        for (well_known, display_name, depth) in FOLDERS {
            above.truncate(depth);
            let id = new_id("AQMk", random);
            folders.push(Folder {
                id: id.clone(),
                well_known,
                display_name: display_name.to_owned(),
                parent: above.last().cloned(),
                is_hidden: display_name == HIDDEN,
            });
            above.push(id);
        }
        let categories = [("Red category", "preset0"), ("Green category", "preset4")]
            .map(|(name, color)| Category {
                id: new_id("", random),
                display_name: name.to_owned(),
                color: color.to_owned(),
            })
            .to_vec();
        Self {
            messages: BTreeMap::new(),
            folders,
            categories,
            rules: Vec::new(),
            automatic_replies: AutomaticReplies::default(),
            uploads: BTreeMap::new(),
            last_key: 0,
            keys: BTreeMap::new(),
            leaving: BTreeSet::new(),
            journal: Box::default(),
        }
    }

    /// The folder with this well-known name.
    pub(crate) fn well_known(&self, name: &str) -> Option<&Folder> {
        self.folders
            .iter()
            .find(|folder| folder.well_known == Some(name))
    }

    /// The id of the folder with this well-known name, which every mailbox has.
    pub(crate) fn well_known_id(&self, name: &str) -> String {
        self.well_known(name)
            .map_or_else(String::new, |folder| folder.id.clone())
    }

    /// The folder with this id or well-known name. Ids are compared to the letter, names are not.
    pub(crate) fn folder(&self, id: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| {
            let named = folder
                .well_known
                .is_some_and(|name| name.eq_ignore_ascii_case(id));
            named || folder.id == id
        })
    }

    /// The folders that lie directly in `parent`.
    pub(crate) fn children(&self, parent: &str) -> impl Iterator<Item = &Folder> {
        self.folders
            .iter()
            .filter(move |folder| folder.parent.as_deref() == Some(parent))
    }

    /// Whether `folder` is `ancestor` or lies somewhere in it.
    pub(crate) fn lies_in(&self, folder: &str, ancestor: &str) -> bool {
        let mut current = Some(folder);
        while let Some(id) = current {
            if id == ancestor {
                return true;
            }
            current = self
                .folders
                .iter()
                .find(|folder| folder.id == id)
                .and_then(|folder| folder.parent.as_deref());
        }
        false
    }

    /// The message with this id, of either kind.
    pub(crate) fn find(&self, id: &str) -> Option<&OutlookMessage> {
        let message = self.messages.get(self.keys.get(id)?)?;
        (message.id == id || message.immutable_id == id).then_some(message)
    }

    /// Puts an arriving message into its folder and returns its key.
    pub(crate) fn store(&mut self, arrival: Arrival, random: &mut fastrand::Rng) -> u64 {
        let folder = self.well_known_id(match arrival.place {
            Place::Inbox => "inbox",
            Place::Archive => "archive",
            Place::Sent => "sentitems",
            Place::Junk => "junkemail",
            Place::Trash => "deleteditems",
            Place::Drafts => "drafts",
        });
        let flag = if arrival.flagged {
            "flagged"
        } else {
            "notFlagged"
        };
        let is_draft = arrival.place == Place::Drafts;
        let key = self.add(arrival.mail, folder, arrival.received, is_draft, random);
        if let Some(message) = self.messages.get_mut(&key) {
            message.is_read = arrival.seen;
            message.flag = json!({"flagStatus": flag});
        }
        key
    }

    /// Puts a message into a folder and returns its key. It is read, as what one writes oneself is.
    pub(crate) fn add(
        &mut self,
        mail: Arc<Mail>,
        folder: String,
        received: DateTime<Utc>,
        is_draft: bool,
        random: &mut fastrand::Rng,
    ) -> u64 {
        let key = self.next_key();
        let conversation_id = self
            .conversation(&mail)
            .unwrap_or_else(|| new_id("AAQk", random));
        let root = &mail.parsed().root;
        let urgent = root
            .header("Importance")
            .map(str::to_ascii_lowercase)
            .filter(|word| matches!(word.as_str(), "low" | "normal" | "high"));
        let bulk = root.header("List-Unsubscribe").is_some();
        self.messages.insert(
            key,
            OutlookMessage {
                key,
                id: new_id("AQMk", random),
                immutable_id: new_id("AAkA", random),
                folder,
                conversation_id,
                change_key: random.u64(1..1 << 40),
                is_read: true,
                is_draft,
                flag: json!({"flagStatus": "notFlagged"}),
                importance: urgent.unwrap_or_else(|| "normal".to_owned()),
                inference: if bulk { "other" } else { "focused" }.to_owned(),
                categories: Vec::new(),
                received,
                created: received,
                modified: received,
                attachment_ids: Vec::new(),
                extended: Vec::new(),
                leaving: None,
                mail: Arc::clone(&mail),
            },
        );
        self.replace(key, mail, random);
        self.index(key);
        self.note(key, Kind::Entered);
        key
    }

    /// Notes what happened to a message where it lies.
    fn note(&mut self, key: u64, kind: Kind) {
        if let Some(message) = self.messages.get(&key) {
            let ids = (message.id.as_str(), message.immutable_id.as_str());
            self.journal.note(&message.folder, key, ids, kind);
        }
    }

    /// Deletes a message for good.
    pub(crate) fn remove(&mut self, key: u64) {
        self.note(key, Kind::Left);
        self.messages.remove(&key);
    }

    /// A key that no message had before: what is noted of one that is gone is never taken for another's.
    fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    /// Makes a message be found by its ids.
    fn index(&mut self, key: u64) {
        if let Some(message) = self.messages.get(&key) {
            self.keys.insert(message.id.clone(), key);
            self.keys.insert(message.immutable_id.clone(), key);
        }
    }

    /// Sends a message on its way.
    pub(crate) fn leave(&mut self, key: u64, leaving: Leaving) {
        if let Some(message) = self.messages.get_mut(&key) {
            message.leaving = Some(leaving);
            self.leaving.insert(key);
        }
    }

    /// Gives a message other content. Attachments keep their ids by position.
    pub(crate) fn replace(&mut self, key: u64, mail: Arc<Mail>, random: &mut fastrand::Rng) {
        if let Some(message) = self.messages.get_mut(&key) {
            let count = super::attachments::parts(&mail).len();
            message.attachment_ids.truncate(count);
            while message.attachment_ids.len() < count {
                message.attachment_ids.push(new_id("AAMkAttach", random));
            }
            message.mail = mail;
        }
    }

    /// Notes that a message was changed.
    pub(crate) fn touch(&mut self, key: u64, now: DateTime<Utc>) {
        if let Some(message) = self.messages.get_mut(&key) {
            message.change_key += 1;
            message.modified = now;
        }
        self.note(key, Kind::Changed(None));
    }

    /// Moves a message, which gets another id but for the one that never changes.
    pub(crate) fn move_to(
        &mut self,
        key: u64,
        folder: String,
        now: DateTime<Utc>,
        random: &mut fastrand::Rng,
    ) {
        self.note(key, Kind::Left);
        if let Some(message) = self.messages.get_mut(&key) {
            message.folder = folder;
            message.id = new_id("AQMk", random);
        }
        self.index(key);
        self.note(key, Kind::Entered);
        self.touch(key, now);
    }

    /// Copies a message and returns the copy's key. The copy shares no id with it.
    pub(crate) fn copy_to(
        &mut self,
        key: u64,
        folder: String,
        now: DateTime<Utc>,
        random: &mut fastrand::Rng,
    ) -> Option<u64> {
        let mut copy = self.messages.get(&key)?.clone();
        copy.key = self.next_key();
        copy.id = new_id("AQMk", random);
        copy.immutable_id = new_id("AAkA", random);
        copy.folder = folder;
        copy.created = now;
        copy.leaving = None;
        for id in &mut copy.attachment_ids {
            *id = new_id("AAMkAttach", random);
        }
        let key = copy.key;
        self.messages.insert(key, copy);
        self.index(key);
        self.note(key, Kind::Entered);
        self.touch(key, now);
        Some(key)
    }

    /// Lets mail in the outbox go on its way: a copy turns up among the sent items some requests after
    /// it was sent, as sending is done in the background.
    /// <https://learn.microsoft.com/en-us/graph/outlook-things-to-know-about-send-mail>
    pub(crate) fn advance(&mut self, now: DateTime<Utc>, random: &mut fastrand::Rng) {
        let mut gone = Vec::new();
        for key in &self.leaving {
            match self
                .messages
                .get_mut(key)
                .map(|message| &mut message.leaving)
            {
                Some(Some(leaving)) if leaving.until.is_some() => {}
                Some(Some(leaving)) if leaving.requests > 0 => leaving.requests -= 1,
                _ => gone.push(*key),
            }
        }
        for key in gone {
            self.finish_sending(key, now, random);
        }
    }

    /// Everything in the outbox goes on its way now.
    pub(crate) fn release(&mut self, now: DateTime<Utc>, random: &mut fastrand::Rng) {
        let leaving: Vec<u64> = self.leaving.iter().copied().collect();
        for key in leaving {
            let message = self.messages.get(&key);
            let is_held = message
                .and_then(|message| message.leaving)
                .is_some_and(|leaving| leaving.until.is_some());
            if !is_held {
                self.finish_sending(key, now, random);
            }
        }
    }

    /// What was held back until now and goes out: it is on its way from here on. What is not in the outbox any more was
    /// called back, and is a draft like others.
    pub(crate) fn due(&mut self, now: DateTime<Utc>) -> Vec<Arc<Mail>> {
        let outbox = self.well_known_id("outbox");
        let mut due = Vec::new();
        let mut called_back = Vec::new();
        for key in &self.leaving {
            let Some(message) = self.messages.get_mut(key) else {
                called_back.push(*key);
                continue;
            };
            let Some(until) = message.leaving.and_then(|leaving| leaving.until) else {
                continue;
            };
            if message.folder != outbox {
                message.leaving = None;
                called_back.push(*key);
            } else if until <= now {
                if let Some(leaving) = &mut message.leaving {
                    leaving.until = None;
                }
                due.push(Arc::clone(&message.mail));
            }
        }
        for key in called_back {
            self.leaving.remove(&key);
        }
        due
    }

    /// The user throws away every draft.
    pub(crate) fn discard_drafts(&mut self, now: DateTime<Utc>, random: &mut fastrand::Rng) {
        let (drafts, bin) = (
            self.well_known_id("drafts"),
            self.well_known_id("deleteditems"),
        );
        let is_draft = |message: &&OutlookMessage| message.is_draft && message.folder == drafts;
        let discarded = self.messages.values().filter(is_draft);
        let keys: Vec<u64> = discarded.map(|message| message.key).collect();
        for key in keys {
            self.move_to(key, bin.clone(), now, random);
        }
    }

    fn finish_sending(&mut self, key: u64, now: DateTime<Utc>, random: &mut fastrand::Rng) {
        let sent = self.well_known_id("sentitems");
        self.leaving.remove(&key);
        // It may have been moved or deleted on its way.
        let message = self.messages.get_mut(&key);
        let Some((message, leaving)) =
            message.and_then(|message| message.leaving.take().map(|leaving| (message, leaving)))
        else {
            return;
        };
        let save = leaving.save;
        message.is_draft = false;
        if leaving.changes_id {
            message.immutable_id = new_id("AAkA", random);
        }
        if save {
            self.move_to(key, sent, now, random);
        } else {
            self.remove(key);
        }
    }

    /// The conversation of a message that this one answers.
    fn conversation(&self, mail: &Mail) -> Option<String> {
        let references = &mail.parsed().references;
        if references.is_empty() {
            return None;
        }
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
                    immutable_id: message.immutable_id.clone(),
                    folder_ids: vec![message.folder.clone()],
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
                    important: message.importance.eq_ignore_ascii_case("high"),
                    seen: message.is_read,
                    flagged: message.flag.get("flagStatus") == Some(&json!("flagged")),
                    draft: message.is_draft,
                    received: message.received,
                }
            })
            .collect()
    }
}

/// A new id in the shape of Exchange's: base64url, where upper and lower case matter.
pub(crate) fn new_id(prefix: &str, random: &mut fastrand::Rng) -> String {
    // Not a multiple of three, so that ids end in the sign that a careless client forgets to encode.
    let mut bytes = [0_u8; 50];
    random.fill(&mut bytes);
    format!("{prefix}{}", URL_SAFE.encode(bytes))
}
