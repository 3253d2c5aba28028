//! `users.messages.insert` and `users.messages.import`: mail filed without being sent.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/insert>,
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/import>

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::message::Mail;
use super::super::rewrite;
use super::call::Call;
use super::error::Failure;
use super::labels;
use super::mailbox::GmailMailbox;
use super::rendering::brief;
use super::sending::wanted_thread;

/// Like IMAP's APPEND: filed as it is.
pub(crate) fn insert(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let raw = traced(call, &call.message(&call.body)?);
    let mail = Arc::new(Mail::new(raw));
    check_deleted(call)?;
    let received = received(call, &mail, "receivedTime");
    call.with_mailbox(|mailbox, random| {
        let mut labels = wanted_labels(mailbox, call)?;
        let is_own = mail
            .parsed()
            .from
            .iter()
            .any(|from| from.address.eq_ignore_ascii_case(&call.account));
        if is_own {
            labels.insert("SENT".to_owned());
        }
        let thread = match wanted_thread(mailbox, &call.body, &mail)? {
            Some(thread) => Some(thread),
            None => mailbox.thread_of(&mail),
        };
        let id = mailbox.add(mail, labels, thread, received, random);
        Ok(mailbox.messages.get(&id).map(brief))
    })
}

/// Like mail that arrives: held against what is there, and refused without an author.
pub(crate) fn import(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let raw = traced(call, &call.message(&call.body)?);
    let mail = Arc::new(Mail::new(raw));
    check_deleted(call)?;
    if mail.parsed().from.is_empty() {
        return Err(Failure::invalid_argument("Invalid From header"));
    }
    let received = received(call, &mail, "dateHeader");
    call.with_mailbox(|mailbox, random| {
        let labels = wanted_labels(mailbox, call)?;
        let thread = match wanted_thread(mailbox, &call.body, &mail)? {
            Some(thread) => Some(thread),
            None => mailbox.thread_of(&mail),
        };
        // A message that is there already keeps its place and gets the labels:
        // https://github.com/google/import-mailbox-to-gmail/issues/56
        let message_id = &mail.parsed().message_id;
        let twin = mailbox
            .messages
            .values()
            .find(|known| message_id.is_some() && known.mail.parsed().message_id == *message_id)
            .map(|known| known.id);
        let id = match twin {
            Some(id) => {
                let labels: Vec<String> = labels.into_iter().collect();
                mailbox.change(id, &labels, &[], random);
                id
            }
            None => mailbox.add(mail, labels, thread, received, random),
        };
        Ok(mailbox.messages.get(&id).map(brief))
    })
}

/// The trace that both methods leave on a message.
fn traced(call: &Call<'_>, raw: &Bytes) -> Vec<u8> {
    let date = call.state.clock.now().to_rfc2822();
    let trace =
        format!("from 318250479861 named unknown by gmailapi.google.com with HTTPREST; {date}");
    rewrite::prepend_field(raw, "Received", &trace)
}

/// When the message counts as received. A `Date` that cannot be read is no date:
/// <https://github.com/google/import-mailbox-to-gmail/issues/55>.
fn received(call: &Call<'_>, mail: &Mail, default: &str) -> DateTime<Utc> {
    let now = call.state.clock.now();
    match call.parameter("internalDateSource").unwrap_or(default) {
        "dateHeader" => mail.parsed().date.unwrap_or(now),
        _ => now,
    }
}

/// Deleted mail that only an archive shows is for accounts of organisations.
fn check_deleted(call: &Call<'_>) -> Result<(), Failure> {
    if call.is_set("deleted") {
        Err(Failure::failed_precondition("Precondition check failed."))
    } else {
        Ok(())
    }
}

fn wanted_labels(mailbox: &GmailMailbox, call: &Call<'_>) -> Result<BTreeSet<String>, Failure> {
    let labels = call.texts("labelIds");
    for label in &labels {
        if !labels::exists(mailbox, label) || matches!(label.as_str(), "DRAFT" | "CHAT") {
            return Err(Failure::invalid_argument(format!("Invalid label: {label}")));
        }
    }
    Ok(labels.into_iter().collect())
}
