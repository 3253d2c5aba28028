//! The methods of `users.threads`.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.threads>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::Call;
use super::error::Failure;
use super::labels;
use super::listing::{page, position, selected};
use super::mailbox::{GmailMailbox, GmailMessage, format_id};
use super::messages::{allowed_format, read_id, to_trash};
use super::rendering::{self, brief, snippet};

/// A thread is in the list if any message of it is selected: search is not thread-wide.
/// <https://developers.google.com/workspace/gmail/api/guides/filtering>
pub(crate) fn list(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let mut threads: BTreeMap<u64, Vec<&GmailMessage>> = BTreeMap::new();
        for message in mailbox.messages.values() {
            threads.entry(message.thread).or_default().push(message);
        }
        let mut entries = Vec::new();
        for message in selected(call, mailbox)? {
            // The newest selected message gives the thread its place; the others find it taken.
            let Some(mut messages) = threads.remove(&message.thread) else {
                continue;
            };
            messages.sort_by_key(|message| position(message));
            let entry = json!({
                "id": format_id(message.thread),
                "snippet": messages.last().map(|last| snippet(&last.mail)),
                "historyId": history_id(&messages),
            });
            entries.push((position(message), entry));
        }
        page(call, random, "threads", entries, |entry| entry).map(Some)
    })
}

fn history_id(messages: &[&GmailMessage]) -> String {
    let newest = messages.iter().map(|message| message.history_id).max();
    newest.unwrap_or_default().to_string()
}

pub(crate) fn get(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let format = allowed_format(call)?;
    let headers = call.parameters("metadataHeaders");
    let now = call.state.clock.monotonic();
    call.with_mailbox(|mailbox, random| {
        let thread = known(mailbox, call)?;
        let messages: Vec<GmailMessage> = mailbox.thread(thread).into_iter().cloned().collect();
        let history_id = history_id(&messages.iter().collect::<Vec<_>>());
        let rendered: Vec<Value> = messages
            .iter()
            .map(|message| {
                let mut attachment =
                    |part: &_| mailbox.attachments.issue(message.id, part, now, random);
                rendering::message(message, format, &headers, &mut attachment)
            })
            .collect();
        Ok(Some(json!({
            "id": format_id(thread),
            "historyId": history_id,
            "messages": rendered,
        })))
    })
}

pub(crate) fn modify(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let (add, remove) = (call.texts("addLabelIds"), call.texts("removeLabelIds"));
    call.with_mailbox(|mailbox, random| {
        let thread = known(mailbox, call)?;
        labels::check_change(mailbox, &add, &remove)?;
        mailbox.together(|mailbox| {
            for id in ids(mailbox, thread) {
                mailbox.change(id, &add, &remove, random);
            }
        });
        Ok(Some(changed(mailbox, thread)))
    })
}

pub(crate) fn trash(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let thread = known(mailbox, call)?;
        for id in ids(mailbox, thread) {
            to_trash(mailbox, id, random);
        }
        Ok(Some(changed(mailbox, thread)))
    })
}

pub(crate) fn untrash(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let thread = known(mailbox, call)?;
        for id in ids(mailbox, thread) {
            mailbox.change(id, &[], &["TRASH".to_owned()], random);
        }
        Ok(Some(changed(mailbox, thread)))
    })
}

pub(crate) fn delete(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let thread = known(mailbox, call)?;
        for id in ids(mailbox, thread) {
            mailbox.delete(id, random);
        }
        Ok(None)
    })
}

fn known(mailbox: &GmailMailbox, call: &Call<'_>) -> Result<u64, Failure> {
    let id = read_id(call.value("id"))?;
    if mailbox.thread(id).is_empty() {
        return Err(Failure::not_found());
    }
    Ok(id)
}

fn ids(mailbox: &GmailMailbox, thread: u64) -> Vec<u64> {
    let messages = mailbox.thread(thread);
    // Drafts in the thread keep their one label.
    messages
        .iter()
        .filter(|message| !message.labels.contains("DRAFT"))
        .map(|message| message.id)
        .collect()
}

fn changed(mailbox: &GmailMailbox, thread: u64) -> Value {
    let messages: Vec<Value> = mailbox.thread(thread).into_iter().map(brief).collect();
    json!({"id": format_id(thread), "messages": messages})
}
