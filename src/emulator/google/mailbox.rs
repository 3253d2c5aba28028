//! A Gmail mailbox: messages with sets of labels in threads, drafts, and a history of what happened to
//! them. Requests are read in the files beside this one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::EmulatedMessage;
use super::super::message::{Mail, Part};
use super::super::world::{Arrival, Place};
use super::settings::Settings;
use super::watch::GmailWatch;

/// One mailbox.
#[derive(Debug)]
pub(crate) struct GmailMailbox {
    pub(crate) messages: BTreeMap<u64, GmailMessage>,
    /// The user's own labels.
    pub(crate) labels: Vec<Label>,
    /// Draft id to the message that holds its content now.
    pub(crate) drafts: BTreeMap<String, u64>,
    /// What happened, oldest first.
    pub(crate) history: VecDeque<HistoryRecord>,
    pub(crate) history_id: u64,
    /// The first id from which the history can still be told.
    pub(crate) history_begins: u64,
    /// What time it is, as of the last look at the mailbox.
    pub(crate) now: DateTime<Utc>,
    /// Whether what happens belongs to one record, and whether that one has begun.
    together: Option<bool>,
    /// Copies of sent messages that nobody sees yet; `None` where each is seen at once.
    late: Option<Vec<GmailMessage>>,
    pub(crate) attachments: AttachmentTokens,
    pub(crate) settings: Settings,
    pub(crate) watch: Option<GmailWatch>,
    next_label: u64,
}

/// The names under which attachments may be fetched: each holds for a while, and every look at a
/// message gives new ones, so that clients cannot keep them:
/// <https://github.com/taylorwilsdon/google_workspace_mcp/issues/237>.
#[derive(Debug, Default)]
pub(crate) struct AttachmentTokens {
    issued: BTreeMap<String, AttachmentToken>,
}

#[derive(Debug)]
struct AttachmentToken {
    message: u64,
    part: String,
    expires: Duration,
}

/// How long an attachment's name holds. The service publishes nothing; some last hours, some fail soon.
const ATTACHMENT_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

impl AttachmentTokens {
    /// A new name for the attachment in `part`.
    pub(crate) fn issue(
        &mut self,
        message: u64,
        part: &Part,
        now: Duration,
        random: &mut fastrand::Rng,
    ) -> String {
        self.issued.retain(|_, token| token.expires > now);
        let text: String = std::iter::repeat_with(|| random.alphanumeric())
            .take(120)
            .collect();
        let token = format!("ANGjdJ{text}");
        self.issued.insert(
            token.clone(),
            AttachmentToken {
                message,
                part: part.id.clone(),
                expires: now + ATTACHMENT_TOKEN_LIFETIME,
            },
        );
        token
    }

    /// Which part of the message a name stands for, if it still does.
    pub(crate) fn part(&self, token: &str, message: u64, now: Duration) -> Option<&str> {
        self.issued
            .get(token)
            .filter(|token| token.message == message && token.expires > now)
            .map(|token| token.part.as_str())
    }
}

/// A message and its labels.
#[derive(Clone, Debug)]
pub(crate) struct GmailMessage {
    pub(crate) id: u64,
    pub(crate) thread: u64,
    pub(crate) labels: BTreeSet<String>,
    /// Gmail's `internalDate`.
    pub(crate) received: DateTime<Utc>,
    pub(crate) history_id: u64,
    pub(crate) mail: Arc<Mail>,
}

/// A label that the user made.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) label_list_visibility: Option<String>,
    pub(crate) message_list_visibility: Option<String>,
    /// Background and text.
    pub(crate) color: Option<(String, String)>,
}

/// One record of the history: what one request did, to any number of messages and in any number of ways.
/// <https://github.com/activepieces/activepieces/pull/14057>
#[derive(Clone, Debug)]
pub(crate) struct HistoryRecord {
    pub(crate) id: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) entries: Vec<HistoryEntry>,
}

/// One thing that happened to one message.
#[derive(Clone, Debug)]
pub(crate) struct HistoryEntry {
    pub(crate) message: u64,
    pub(crate) thread: u64,
    /// The message's labels afterwards.
    pub(crate) labels: BTreeSet<String>,
    pub(crate) event: HistoryEvent,
}

/// What happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HistoryEvent {
    Added,
    Deleted,
    LabelsAdded(Vec<String>),
    LabelsRemoved(Vec<String>),
}

impl GmailMailbox {
    pub(crate) fn new(random: &mut fastrand::Rng) -> Self {
        let history_id = random.u64(1_000_000..9_000_000);
        Self {
            messages: BTreeMap::new(),
            labels: Vec::new(),
            drafts: BTreeMap::new(),
            history: VecDeque::new(),
            history_id,
            history_begins: history_id,
            now: DateTime::UNIX_EPOCH,
            together: None,
            late: None,
            attachments: AttachmentTokens::default(),
            settings: Settings::default(),
            watch: None,
            next_label: 1,
        }
    }

    /// Files an arriving message and returns its id.
    pub(crate) fn store(&mut self, arrival: Arrival, random: &mut fastrand::Rng) -> u64 {
        let mut labels = BTreeSet::new();
        match arrival.place {
            Place::Inbox => labels.insert("INBOX".to_owned()),
            Place::Archive => false,
            Place::Sent => labels.insert("SENT".to_owned()),
            Place::Junk => labels.insert("SPAM".to_owned()),
            Place::Trash => labels.insert("TRASH".to_owned()),
            Place::Drafts => labels.insert("DRAFT".to_owned()),
        };
        if !arrival.seen {
            labels.insert("UNREAD".to_owned());
        }
        if arrival.flagged {
            labels.insert("STARRED".to_owned());
        }
        let thread = self.thread_of(&arrival.mail);
        let id = self.add(arrival.mail, labels, thread, arrival.received, random);
        if arrival.place == Place::Drafts {
            let draft = new_draft_id(random);
            self.drafts.insert(draft, id);
        }
        id
    }

    /// Adds a message, in `thread` or in one of its own, and returns its id.
    pub(crate) fn add(
        &mut self,
        mail: Arc<Mail>,
        labels: BTreeSet<String>,
        thread: Option<u64>,
        received: DateTime<Utc>,
        random: &mut fastrand::Rng,
    ) -> u64 {
        let message = self.new_message(mail, labels, thread, received, random);
        self.file(message, random)
    }

    /// A message that is not in the mailbox yet.
    pub(crate) fn new_message(
        &self,
        mail: Arc<Mail>,
        labels: BTreeSet<String>,
        thread: Option<u64>,
        received: DateTime<Utc>,
        random: &mut fastrand::Rng,
    ) -> GmailMessage {
        // Ids are 16 hexadecimal digits that grow with time, and say no more than that.
        let time = u64::try_from(received.timestamp_millis()).unwrap_or_default() << 20;
        let last = self.messages.range(time..time + (1 << 20)).next_back();
        let mut id = last.map_or(time, |(last, _)| *last) + random.u64(1..1 << 10);
        let is_late = |id: u64| {
            let mut late = self.late.iter().flatten();
            late.any(|message| message.id == id)
        };
        while self.messages.contains_key(&id) || is_late(id) {
            id += 1;
        }
        GmailMessage {
            id,
            thread: thread.unwrap_or(id),
            labels,
            received,
            history_id: 0,
            mail,
        }
    }

    /// Files the copy of a sent message, which may appear late: lists, threads and the history do not know of it until then.
    pub(crate) fn file_copy(&mut self, copy: GmailMessage, random: &mut fastrand::Rng) {
        match &mut self.late {
            Some(late) => late.push(copy),
            None => {
                self.file(copy, random);
            }
        }
    }

    /// From now on copies of sent messages appear late.
    pub(crate) fn hold_copies(&mut self) {
        self.late.get_or_insert_default();
    }

    /// Every copy appears, and those to come do so at once.
    pub(crate) fn release_copies(&mut self, random: &mut fastrand::Rng) {
        for copy in self.late.take().into_iter().flatten() {
            self.file(copy, random);
        }
    }

    /// Deletes every draft for good.
    pub(crate) fn discard_drafts(&mut self, random: &mut fastrand::Rng) {
        let drafts: Vec<u64> = self.drafts.values().copied().collect();
        for draft in drafts {
            self.delete(draft, random);
        }
    }

    fn file(&mut self, message: GmailMessage, random: &mut fastrand::Rng) -> u64 {
        let id = message.id;
        self.messages.insert(id, message);
        self.record(id, HistoryEvent::Added, random);
        id
    }

    /// The thread that a new message continues: that of a message it refers to, if the subject is the
    /// same but for `Re:` and `Fwd:`.
    /// <https://developers.google.com/workspace/gmail/api/guides/threads>
    pub(crate) fn thread_of(&self, mail: &Mail) -> Option<u64> {
        let parsed = mail.parsed();
        if parsed.references.is_empty() {
            return None;
        }
        let subject = base_subject(parsed.subject.as_deref());
        self.messages
            .values()
            .find(|known| {
                let known = known.mail.parsed();
                let is_referred = known
                    .message_id
                    .as_ref()
                    .is_some_and(|id| parsed.references.contains(id));
                is_referred && base_subject(known.subject.as_deref()) == subject
            })
            .map(|known| known.thread)
    }

    /// Whether a message that is sent into `thread` really continues it: it answers one of its messages
    /// under the same subject.
    pub(crate) fn continues(&self, mail: &Mail, thread: u64) -> bool {
        let parsed = mail.parsed();
        let subject = base_subject(parsed.subject.as_deref());
        self.thread(thread).iter().any(|known| {
            let known = known.mail.parsed();
            let id = known.message_id.as_ref();
            id.is_some_and(|id| parsed.references.contains(id))
                && base_subject(known.subject.as_deref()) == subject
        })
    }

    /// Changes labels. Returns false if there is no such message.
    pub(crate) fn change(
        &mut self,
        id: u64,
        add: &[String],
        remove: &[String],
        random: &mut fastrand::Rng,
    ) -> bool {
        let Some(message) = self.messages.get_mut(&id) else {
            return false;
        };
        let removed: Vec<String> = remove
            .iter()
            .filter(|label| !add.contains(label) && message.labels.remove(*label))
            .cloned()
            .collect();
        let added: Vec<String> = add
            .iter()
            .filter(|label| message.labels.insert((*label).clone()))
            .cloned()
            .collect();
        let outer = self.together;
        self.together.get_or_insert(false);
        if !added.is_empty() {
            self.record(id, HistoryEvent::LabelsAdded(added), random);
        }
        if !removed.is_empty() {
            self.record(id, HistoryEvent::LabelsRemoved(removed), random);
        }
        // Both are one step, which may be part of a greater one.
        self.together = outer.and(self.together);
        true
    }

    /// Deletes a message for good. Returns false if there is no such message.
    pub(crate) fn delete(&mut self, id: u64, random: &mut fastrand::Rng) -> bool {
        let known = self.messages.contains_key(&id);
        if known {
            self.record(id, HistoryEvent::Deleted, random);
            self.messages.remove(&id);
            self.drafts.retain(|_, message| *message != id);
        }
        known
    }

    /// The messages of a thread, oldest first.
    pub(crate) fn thread(&self, thread: u64) -> Vec<&GmailMessage> {
        let mut messages: Vec<&GmailMessage> = self
            .messages
            .values()
            .filter(|message| message.thread == thread)
            .collect();
        messages.sort_by_key(|message| (message.received, message.id));
        messages
    }

    /// A new label's id.
    pub(crate) fn new_label_id(&mut self) -> String {
        let id = format!("Label_{}", self.next_label);
        self.next_label += 1;
        id
    }

    /// Does something that is one step to the history, however many messages it changes.
    pub(crate) fn together<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.together.get_or_insert(false);
        let done = work(self);
        self.together = None;
        done
    }

    fn record(&mut self, id: u64, event: HistoryEvent, random: &mut fastrand::Rng) {
        if self.together != Some(true) {
            // History ids grow with gaps.
            self.history_id += random.u64(1..40);
            self.history.push_back(HistoryRecord {
                id: self.history_id,
                at: self.now,
                entries: Vec::new(),
            });
        }
        self.together = self.together.map(|_| true);
        let (Some(message), Some(record)) = (self.messages.get_mut(&id), self.history.back_mut())
        else {
            return;
        };
        message.history_id = record.id;
        record.entries.push(HistoryEntry {
            message: id,
            thread: message.thread,
            labels: message.labels.clone(),
            event,
        });
    }

    /// Forgets what happened longer ago than it is kept.
    pub(crate) fn forget_history(&mut self, kept: Duration) {
        let now = self.now;
        let is_old =
            |record: &HistoryRecord| (now - record.at).to_std().is_ok_and(|age| age > kept);
        while self.history.front().is_some_and(is_old) {
            if let Some(record) = self.history.pop_front() {
                self.history_begins = record.id;
            }
        }
    }

    /// Forgets everything that happened until now: no id that was given out is of use any longer.
    pub(crate) fn expire_history(&mut self, random: &mut fastrand::Rng) {
        self.history.clear();
        self.history_id += random.u64(1..40);
        self.history_begins = self.history_id;
    }

    /// What a test may look at.
    pub(crate) fn truth(&self) -> Vec<EmulatedMessage> {
        self.messages
            .values()
            .map(|message| EmulatedMessage {
                id: format_id(message.id),
                immutable_id: format_id(message.id),
                folder_ids: message.labels.iter().cloned().collect(),
                thread: format_id(message.thread),
                raw: message.mail.raw().to_vec(),
                folders: message.labels.iter().cloned().collect(),
                keywords: Vec::new(),
                important: message.labels.contains("IMPORTANT"),
                seen: !message.labels.contains("UNREAD"),
                flagged: message.labels.contains("STARRED"),
                draft: message.labels.contains("DRAFT"),
                received: message.received,
            })
            .collect()
    }
}

/// An id as the API writes it.
pub(crate) fn format_id(id: u64) -> String {
    format!("{id:016x}")
}

/// A new draft's id.
pub(crate) fn new_draft_id(random: &mut fastrand::Rng) -> String {
    format!(
        "r{}",
        random.u64(1_000_000_000_000_000..9_000_000_000_000_000_000)
    )
}

/// The subject without what replies and forwards put before it.
fn base_subject(subject: Option<&str>) -> String {
    let mut rest = subject.unwrap_or_default().trim();
    loop {
        let lower = rest.to_lowercase();
        let Some(prefix) = ["re:", "fwd:", "fw:"]
            .iter()
            .find(|prefix| lower.starts_with(**prefix))
        else {
            return lower;
        };
        rest = rest.get(prefix.len()..).unwrap_or_default().trim_start();
    }
}
