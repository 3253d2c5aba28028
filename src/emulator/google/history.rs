//! `users.history.list`: what happened to messages since a history id, for as long as the service remembers. What is
//! remembered, and how, is `mailbox`'s.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.history/list>,
//! <https://developers.google.com/workspace/gmail/api/guides/sync>

use serde_json::{Map, Value, json};

use super::call::Call;
use super::error::Failure;
use super::labels;
use super::mailbox::{GmailMailbox, HistoryEntry, HistoryEvent, HistoryRecord, format_id};

/// What can be asked for: in the singular, unlike the fields of the answer
/// (<https://github.com/relaticle/relaticle/issues/612>).
pub(crate) const TYPES: &[&str] = &[
    "messageAdded",
    "messageDeleted",
    "labelAdded",
    "labelRemoved",
];

/// Pages are of 100 records unless asked otherwise, and of 500 at most.
const DEFAULT_PAGE: usize = 100;
const MAXIMUM_PAGE: usize = 500;

pub(crate) fn list(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let start: u64 = call
        .parameter("startHistoryId")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::invalid_argument("Missing required parameter: startHistoryId"))?;
    let kept = call.state.settings.history_kept;
    call.with_mailbox(|mailbox, random| {
        mailbox.forget_history(kept);
        if start < mailbox.history_begins {
            return Err(Failure::not_found());
        }
        // <https://github.com/rtCamp/frappe-gmail-thread/issues/37>
        let label = call.parameter("labelId");
        if label.is_some_and(|label| !labels::exists(mailbox, label)) {
            return Err(Failure::not_found());
        }
        let place = match call.parameter("pageToken") {
            Some(token) => Place::read(token)
                .filter(|place| place.start == start)
                .ok_or_else(|| Failure::invalid_argument("Invalid pageToken"))?,
            None => Place {
                start,
                after: start,
                again: start,
                number: 0,
            },
        };
        Ok(Some(page(call, mailbox, random, place, label)))
    })
}

/// How far a list has got.
#[derive(Clone, Copy)]
struct Place {
    start: u64,
    after: u64,
    /// After which record is told once more what was told already.
    again: u64,
    number: u64,
}

impl Place {
    fn read(token: &str) -> Option<Self> {
        let mut numbers = token.strip_prefix("h")?.split('-').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            start: next()?,
            after: next()?,
            again: next()?,
            number: next()?,
        })
    }

    fn write(self) -> String {
        format!(
            "h{}-{}-{}-{}",
            self.start, self.after, self.again, self.number
        )
    }
}

/// One page. Its `historyId` is the mailbox's own, whatever the page has got to: who stores it before the last page
/// loses the others (<https://github.com/Nine-Minds/alga-psa/issues/1322>). Every second page of several is empty
/// and not the last (<https://github.com/gauteh/lieer/issues/24>).
fn page(
    call: &Call<'_>,
    mailbox: &GmailMailbox,
    random: &mut fastrand::Rng,
    place: Place,
    label: Option<&str>,
) -> Value {
    let asked = call
        .parameter("maxResults")
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|number| *number > 0)
        .unwrap_or(DEFAULT_PAGE)
        .min(MAXIMUM_PAGE)
        .min(call.state.settings.longest_page.max(1));
    let types = call.parameters("historyTypes");
    let wanted = |entry: &HistoryEntry| {
        (types.is_empty() || types.contains(&entry.event.name()))
            && label.is_none_or(|label| entry.labels.contains(label))
    };
    let is_told = |record: &&HistoryRecord| {
        record.id > place.again && record.id <= place.after && record.entries.iter().any(wanted)
    };
    // Records stand in the order of their ids.
    let begin = place.again.min(place.after);
    let begin = mailbox.history.partition_point(|record| record.id <= begin);
    let told = mailbox.history.range(begin..).filter(is_told);
    let rest: Vec<&HistoryRecord> = mailbox
        .history
        .range(begin..)
        .filter(|record| record.id > place.after && record.entries.iter().any(wanted))
        .collect();
    let length = match (rest.len() > asked, place.number % 2) {
        (false, _) => rest.len(),
        (true, 1) => 0,
        (true, _) => asked - random.usize(0..=asked / 4).min(asked - 1),
    };
    let (shown, left) = rest.split_at(length);
    let mut answer = Map::new();
    if !shown.is_empty() {
        let records = told.chain(shown.iter().copied());
        let records = records.map(|record| show(record, &wanted)).collect();
        answer.insert("history".to_owned(), Value::Array(records));
    }
    if !left.is_empty() {
        let next = Place {
            after: shown.last().map_or(place.after, |record| record.id),
            again: match shown.len() {
                0 => place.again,
                length => {
                    let repeated = call.state.settings.repeated.of(length, 0, random);
                    let before = shown.split_at(length - repeated).0.last();
                    before.map_or(place.after, |record| record.id)
                }
            },
            number: place.number + 1,
            ..place
        };
        answer.insert("nextPageToken".to_owned(), json!(next.write()));
    }
    answer.insert(
        "historyId".to_owned(),
        json!(mailbox.history_id.to_string()),
    );
    Value::Object(answer)
}

fn show(record: &HistoryRecord, wanted: &impl Fn(&HistoryEntry) -> bool) -> Value {
    let mut messages = Vec::new();
    let mut kinds: [(&str, Vec<Value>); 4] = [
        ("messagesAdded", Vec::new()),
        ("messagesDeleted", Vec::new()),
        ("labelsAdded", Vec::new()),
        ("labelsRemoved", Vec::new()),
    ];
    for entry in record.entries.iter().filter(|entry| wanted(entry)) {
        let (id, thread) = (format_id(entry.message), format_id(entry.thread));
        let named = json!({"id": id, "threadId": thread});
        if !messages.contains(&named) {
            messages.push(named.clone());
        }
        let mut message = named;
        if let Some(object) = message.as_object_mut().filter(|_| !entry.labels.is_empty()) {
            object.insert("labelIds".to_owned(), json!(entry.labels));
        }
        let shown = match &entry.event {
            HistoryEvent::Added | HistoryEvent::Deleted => json!({"message": message}),
            HistoryEvent::LabelsAdded(labels) | HistoryEvent::LabelsRemoved(labels) => {
                json!({"message": message, "labelIds": labels})
            }
        };
        let kind = kinds
            .iter_mut()
            .find(|(name, _)| *name == entry.event.field());
        if let Some((_, list)) = kind {
            list.push(shown);
        }
    }
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(record.id.to_string()));
    object.insert("messages".to_owned(), Value::Array(messages));
    for (name, list) in kinds {
        if !list.is_empty() {
            object.insert(name.to_owned(), Value::Array(list));
        }
    }
    Value::Object(object)
}

impl HistoryEvent {
    /// How it is asked for.
    fn name(&self) -> &'static str {
        match self {
            Self::Added => "messageAdded",
            Self::Deleted => "messageDeleted",
            Self::LabelsAdded(_) => "labelAdded",
            Self::LabelsRemoved(_) => "labelRemoved",
        }
    }

    /// How it is told.
    fn field(&self) -> &'static str {
        match self {
            Self::Added => "messagesAdded",
            Self::Deleted => "messagesDeleted",
            Self::LabelsAdded(_) => "labelsAdded",
            Self::LabelsRemoved(_) => "labelsRemoved",
        }
    }
}
