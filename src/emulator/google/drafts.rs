//! The methods of `users.drafts`: a draft keeps its id while the message in it is replaced.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/drafts>

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::super::message::Mail;
use super::super::world::World;
use super::call::Call;
use super::error::Failure;
use super::listing::{page, position, selected};
use super::mailbox::{GmailMailbox, format_id, new_draft_id};
use super::rendering::{self, Format, brief};
use super::sending::{asked_thread, completed, dispatch, wanted_thread};

pub(crate) fn list(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    if call.is_metadata_only() {
        return Err(Failure::insufficient_scope(call.method.scopes));
    }
    call.with_mailbox(|mailbox, random| {
        let mut entries = Vec::new();
        for message in selected(call, mailbox)? {
            let draft = mailbox.drafts.iter().find(|(_, id)| **id == message.id);
            if let Some((draft, _)) = draft {
                let entry = json!({
                    "id": draft,
                    "message": {
                        "id": format_id(message.id),
                        "threadId": format_id(message.thread),
                    },
                });
                entries.push((position(message), entry));
            }
        }
        page(call, random, "drafts", entries, |entry| entry).map(Some)
    })
}

pub(crate) fn get(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    if call.is_metadata_only() {
        return Err(Failure::insufficient_scope(call.method.scopes));
    }
    let format = Format::read(call.parameter("format"));
    let now = call.state.clock.monotonic();
    call.with_mailbox(|mailbox, random| {
        let id = known(mailbox, call.value("id"))?;
        let message = mailbox
            .messages
            .get(&id)
            .ok_or_else(Failure::not_found)?
            .clone();
        let mut attachment = |part: &_| mailbox.attachments.issue(id, part, now, random);
        let rendered = rendering::message(&message, format, &[], &mut attachment);
        Ok(Some(json!({"id": call.value("id"), "message": rendered})))
    })
}

pub(crate) fn create(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let metadata = metadata(call);
    let raw = call.message(&metadata)?;
    call.with_world(|world| {
        let message = put(world, &call.account, &raw, &metadata)?;
        let (mailbox, random) = world.gmail(&call.account).ok_or_else(Failure::not_found)?;
        let draft = new_draft_id(random);
        mailbox.drafts.insert(draft.clone(), message);
        Ok(Some(answer(mailbox, &draft, message)))
    })
}

/// Replaces everything: the thread too has to be said again.
pub(crate) fn update(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let metadata = metadata(call);
    let draft = call.value("id");
    let raw = call.message(&metadata)?;
    call.with_world(|world| {
        let (mailbox, _) = world.gmail(&call.account).ok_or_else(Failure::not_found)?;
        let old = known(mailbox, draft)?;
        let message = put(world, &call.account, &raw, &metadata)?;
        let (mailbox, random) = world.gmail(&call.account).ok_or_else(Failure::not_found)?;
        // Each time a draft is saved, one message goes and another comes.
        mailbox.delete(old, random);
        mailbox.drafts.insert(draft.to_owned(), message);
        Ok(Some(answer(mailbox, draft, message)))
    })
}

/// Sends the draft of this id, with new content if there is some. The draft is gone afterwards; what
/// was sent is another message.
pub(crate) fn send(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let draft = call.body.get("id").and_then(Value::as_str);
    let metadata = metadata(call);
    let content = if call.media.is_some() || metadata.contains_key("raw") {
        Some(call.message(&metadata)?)
    } else {
        None
    };
    call.with_world(|world| {
        let (mailbox, _) = world.gmail(&call.account).ok_or_else(Failure::not_found)?;
        let stored = match draft.filter(|draft| !draft.is_empty()) {
            Some(draft) => {
                let id = known(mailbox, draft)?;
                Some(mailbox.messages.get(&id).ok_or_else(Failure::not_found)?)
            }
            None => None,
        };
        let stored = stored.map(|message| (message.id, message.thread, message.mail.raw().clone()));
        let old = stored.as_ref().map(|(id, ..)| *id);
        let (raw, thread) = match (content, stored) {
            (Some(content), _) => {
                let thread = asked_thread(world, &call.account, &content, &metadata)?;
                (content, thread)
            }
            // The stored draft is in its thread already, and what is sent stays there.
            (None, Some((_, thread, raw))) => (raw, Some(thread)),
            (None, None) => {
                return Err(Failure::invalid_argument("Missing draft message"));
            }
        };
        let sent = dispatch(world, &call.account, &raw, thread)?;
        let (mailbox, random) = world.gmail(&call.account).ok_or_else(Failure::not_found)?;
        if let Some(old) = old {
            mailbox.delete(old, random);
        }
        Ok(Some(sent))
    })
}

pub(crate) fn delete(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let id = known(mailbox, call.value("id"))?;
        mailbox.delete(id, random);
        Ok(None)
    })
}

/// The `Message` inside the request's `Draft`.
fn metadata(call: &Call<'_>) -> Map<String, Value> {
    call.body
        .get("message")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// Files the content of a draft and returns its message's id.
fn put(
    world: &mut World,
    account: &str,
    raw: &Bytes,
    metadata: &Map<String, Value>,
) -> Result<u64, Failure> {
    let mail = Arc::new(Mail::new(completed(world, account, raw)));
    let now = world.clock.now();
    let (mailbox, random) = world.gmail(account).ok_or_else(Failure::not_found)?;
    let thread = wanted_thread(mailbox, metadata, &mail)?;
    let labels = BTreeSet::from(["DRAFT".to_owned()]);
    Ok(mailbox.add(mail, labels, thread, now, random))
}

fn known(mailbox: &GmailMailbox, draft: &str) -> Result<u64, Failure> {
    mailbox
        .drafts
        .get(draft)
        .copied()
        .ok_or_else(Failure::not_found)
}

fn answer(mailbox: &GmailMailbox, draft: &str, message: u64) -> Value {
    let message = mailbox.messages.get(&message).map(brief);
    json!({"id": draft, "message": message})
}
