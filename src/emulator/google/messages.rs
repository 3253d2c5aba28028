//! The methods of `users.messages` that read and change what is there. Sending is in `sending`, filing
//! in `insertion`.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::call::Call;
use super::error::Failure;
use super::labels;
use super::listing::{page, position, selected};
use super::mailbox::{GmailMailbox, GmailMessage, format_id};
use super::rendering::{self, Format, brief};

/// What one call may name.
const MAXIMUM_IDS: usize = 1_000;

pub(crate) fn list(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let entries = selected(call, mailbox)?
            .into_iter()
            .map(|message| (position(message), message))
            .collect();
        let show = |message: &GmailMessage| {
            json!({
                "id": format_id(message.id),
                "threadId": format_id(message.thread),
            })
        };
        page(call, random, "messages", entries, show).map(Some)
    })
}

pub(crate) fn get(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let format = allowed_format(call)?;
    let headers = call.parameters("metadataHeaders");
    let now = call.state.clock.monotonic();
    call.with_mailbox(|mailbox, random| {
        let message = known(mailbox, call.value("id"))?.clone();
        let mut attachment = |part: &_| mailbox.attachments.issue(message.id, part, now, random);
        Ok(Some(rendering::message(
            &message,
            format,
            &headers,
            &mut attachment,
        )))
    })
}

/// The format asked for, if the token allows it.
pub(crate) fn allowed_format(call: &Call<'_>) -> Result<Format, Failure> {
    let format = Format::read(call.parameter("format"));
    if call.is_metadata_only() && matches!(format, Format::Full | Format::Raw) {
        return Err(Failure::metadata_scope(&format!(
            "Metadata scope doesn't allow format {}",
            format.name()
        )));
    }
    Ok(format)
}

pub(crate) fn attachment(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    if call.is_metadata_only() {
        return Err(Failure::insufficient_scope(call.method.scopes));
    }
    let now = call.state.clock.monotonic();
    call.with_mailbox(|mailbox, _| {
        let message = known(mailbox, call.value("messageId"))?;
        let part = mailbox
            .attachments
            .part(call.value("id"), message.id, now)
            .and_then(|part| message.mail.parsed().root.by_id(part))
            .ok_or_else(|| Failure::invalid_argument("Invalid attachment token"))?;
        // Without padding, unlike the other bytes: https://github.com/googleworkspace/cli/issues/774
        Ok(Some(json!({
            "size": part.body.len(),
            "data": URL_SAFE_NO_PAD.encode(&part.body),
        })))
    })
}

pub(crate) fn modify(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let (add, remove) = (call.texts("addLabelIds"), call.texts("removeLabelIds"));
    call.with_mailbox(|mailbox, random| {
        let message = known(mailbox, call.value("id"))?;
        labels::check_change(mailbox, &add, &remove)?;
        check_draft(message)?;
        let id = message.id;
        mailbox.change(id, &add, &remove, random);
        known(mailbox, call.value("id")).map(|message| Some(brief(message)))
    })
}

/// Drafts carry `DRAFT` and no other label.
/// <https://developers.google.com/workspace/gmail/api/guides/drafts>
pub(crate) fn check_draft(message: &GmailMessage) -> Result<(), Failure> {
    if message.labels.contains("DRAFT") {
        Err(Failure::failed_precondition("Precondition check failed."))
    } else {
        Ok(())
    }
}

pub(crate) fn batch_modify(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let (add, remove) = (call.texts("addLabelIds"), call.texts("removeLabelIds"));
    let ids = batch_ids(call)?;
    call.with_mailbox(|mailbox, random| {
        labels::check_change(mailbox, &add, &remove)?;
        // Nothing is said of messages that are not there.
        mailbox.together(|mailbox| {
            for id in &ids {
                mailbox.change(*id, &add, &remove, random);
            }
        });
        Ok(None)
    })
}

pub(crate) fn batch_delete(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let ids = batch_ids(call)?;
    call.with_mailbox(|mailbox, random| {
        mailbox.together(|mailbox| {
            for id in &ids {
                mailbox.delete(*id, random);
            }
        });
        Ok(None)
    })
}

fn batch_ids(call: &Call<'_>) -> Result<Vec<u64>, Failure> {
    let ids = call.texts("ids");
    if ids.is_empty() {
        return Err(Failure::invalid_argument("No message ids specified"));
    }
    if ids.len() > MAXIMUM_IDS {
        return Err(Failure::invalid_argument(format!(
            "Too many message ids: {} (maximum {MAXIMUM_IDS})",
            ids.len()
        )));
    }
    ids.iter().map(|id| read_id(id)).collect()
}

pub(crate) fn trash(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let id = known(mailbox, call.value("id"))?.id;
        to_trash(mailbox, id, random);
        known(mailbox, call.value("id")).map(|message| Some(brief(message)))
    })
}

/// Into the trash, as one who has read it: simulators of the real service measured that both labels go.
pub(crate) fn to_trash(mailbox: &mut GmailMailbox, id: u64, random: &mut fastrand::Rng) {
    let gone = ["INBOX".to_owned(), "UNREAD".to_owned()];
    mailbox.change(id, &["TRASH".to_owned()], &gone, random);
}

pub(crate) fn untrash(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let id = known(mailbox, call.value("id"))?.id;
        mailbox.change(id, &[], &["TRASH".to_owned()], random);
        known(mailbox, call.value("id")).map(|message| Some(brief(message)))
    })
}

pub(crate) fn delete(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, random| {
        let id = known(mailbox, call.value("id"))?.id;
        mailbox.delete(id, random);
        Ok(None)
    })
}

/// The message with this id.
pub(crate) fn known<'a>(mailbox: &'a GmailMailbox, id: &str) -> Result<&'a GmailMessage, Failure> {
    let id = read_id(id)?;
    mailbox.messages.get(&id).ok_or_else(Failure::not_found)
}

/// Ids are hexadecimal; those of the web interface are not, and are refused as no ids at all.
pub(crate) fn read_id(text: &str) -> Result<u64, Failure> {
    let is_hexadecimal = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    if !is_hexadecimal {
        return Err(Failure::invalid_argument("Invalid id value"));
    }
    u64::from_str_radix(text, 16).map_err(|_| Failure::invalid_argument("Invalid id value"))
}
