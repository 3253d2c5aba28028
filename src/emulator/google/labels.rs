//! The methods of `users.labels`, and the rules by which labels may be put on messages.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/labels>

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::error::Failure;
use super::mailbox::{GmailMailbox, Label};
use super::palette;

/// System labels, and whether a client may put them on messages.
const SYSTEM: [(&str, bool); 14] = [
    ("CHAT", false),
    ("SENT", false),
    ("INBOX", true),
    ("IMPORTANT", true),
    ("TRASH", true),
    ("DRAFT", false),
    ("SPAM", true),
    ("CATEGORY_FORUMS", true),
    ("CATEGORY_UPDATES", true),
    ("CATEGORY_PERSONAL", true),
    ("CATEGORY_PROMOTIONS", true),
    ("CATEGORY_SOCIAL", true),
    ("STARRED", true),
    ("UNREAD", true),
];

const MAXIMUM_LABELS: usize = 10_000;
const MAXIMUM_CHANGES: usize = 100;
const MAXIMUM_NAME: usize = 225;

pub(crate) fn exists(mailbox: &GmailMailbox, id: &str) -> bool {
    is_system(id) || mailbox.labels.iter().any(|label| label.id == id)
}

pub(crate) fn is_system(id: &str) -> bool {
    SYSTEM.iter().any(|(known, _)| *known == id)
}

/// Refuses a change of a message's labels that changes nothing, is too long, or names a label that is
/// not there or not for clients to set.
pub(crate) fn check_change(
    mailbox: &GmailMailbox,
    add: &[String],
    remove: &[String],
) -> Result<(), Failure> {
    if add.is_empty() && remove.is_empty() {
        return Err(Failure::invalid_argument(
            "No label add or removes specified",
        ));
    }
    if add.len() > MAXIMUM_CHANGES || remove.len() > MAXIMUM_CHANGES {
        return Err(Failure::invalid_argument(format!(
            "Too many labels: at most {MAXIMUM_CHANGES} may be added or removed"
        )));
    }
    for label in add.iter().chain(remove) {
        check_settable(mailbox, label)?;
    }
    if add.iter().any(|label| remove.contains(label)) {
        return Err(Failure::invalid_argument(
            "Cannot both add and remove the same label",
        ));
    }
    Ok(())
}

fn check_settable(mailbox: &GmailMailbox, id: &str) -> Result<(), Failure> {
    let system = SYSTEM.iter().find(|(known, _)| *known == id);
    let may_be_set = match system {
        Some((_, may_be_set)) => *may_be_set,
        None => mailbox.labels.iter().any(|label| label.id == id),
    };
    if may_be_set {
        Ok(())
    } else {
        Err(Failure::invalid_argument(format!("Invalid label: {id}")))
    }
}

pub(crate) fn list(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| {
        let mut labels: Vec<Value> = SYSTEM.iter().map(|(id, _)| system(id)).collect();
        labels.extend(mailbox.labels.iter().map(user));
        Ok(Some(json!({ "labels": labels })))
    })
}

pub(crate) fn get(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let id = call.value("id");
    call.with_mailbox(|mailbox, _| {
        let label = match SYSTEM.iter().find(|(known, _)| *known == id) {
            Some((id, _)) => system(id),
            None => user(known(mailbox, id)?),
        };
        Ok(Some(counted(mailbox, id, label)))
    })
}

pub(crate) fn create(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| {
        if mailbox.labels.len() >= MAXIMUM_LABELS {
            return Err(Failure::invalid_argument("Too many labels"));
        }
        let name = checked_name(mailbox, &call.body, None)?
            .ok_or_else(|| Failure::invalid_argument("Invalid label name"))?;
        let mut label = Label {
            id: String::new(),
            name,
            label_list_visibility: None,
            message_list_visibility: None,
            color: None,
        };
        edit(&mut label, &call.body)?;
        label.id = mailbox.new_label_id();
        let answer = user(&label);
        mailbox.labels.push(label);
        Ok(Some(answer))
    })
}

/// Replaces the label: what the body does not say is gone.
pub(crate) fn update(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    change(call, true)
}

/// Changes what the body says.
pub(crate) fn patch(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    change(call, false)
}

fn change(call: &Call<'_>, replaces: bool) -> Result<Option<Value>, Failure> {
    let id = call.value("id");
    call.with_mailbox(|mailbox, _| {
        check_user(id)?;
        let mut label = known(mailbox, id)?.clone();
        let in_body = call.body.get("id").and_then(Value::as_str);
        if in_body.is_some_and(|in_body| in_body != id) {
            return Err(Failure::invalid_argument("Invalid label id"));
        }
        if replaces {
            label.label_list_visibility = None;
            label.message_list_visibility = None;
            label.color = None;
        }
        match checked_name(mailbox, &call.body, Some(id))? {
            Some(name) => label.name = name,
            None if replaces => return Err(Failure::invalid_argument("Invalid label name")),
            None => {}
        }
        edit(&mut label, &call.body)?;
        let answer = user(&label);
        if let Some(known) = mailbox.labels.iter_mut().find(|known| known.id == id) {
            *known = label;
        }
        Ok(Some(answer))
    })
}

/// Deletes the label and takes it off every message.
pub(crate) fn delete(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let id = call.value("id");
    call.with_mailbox(|mailbox, random| {
        check_user(id)?;
        known(mailbox, id)?;
        let labelled: Vec<u64> = mailbox
            .messages
            .values()
            .filter(|message| message.labels.contains(id))
            .map(|message| message.id)
            .collect();
        mailbox.together(|mailbox| {
            for message in labelled {
                mailbox.change(message, &[], &[id.to_owned()], random);
            }
        });
        mailbox.labels.retain(|label| label.id != id);
        mailbox.settings.forget_label(id);
        Ok(None)
    })
}

fn check_user(id: &str) -> Result<(), Failure> {
    if is_system(id) {
        Err(Failure::invalid_argument(format!("Invalid label: {id}")))
    } else {
        Ok(())
    }
}

fn known<'a>(mailbox: &'a GmailMailbox, id: &str) -> Result<&'a Label, Failure> {
    mailbox
        .labels
        .iter()
        .find(|label| label.id == id)
        .ok_or_else(Failure::not_found)
}

/// The body's name, if it gives one that this label may have.
fn checked_name(
    mailbox: &GmailMailbox,
    body: &Map<String, Value>,
    own: Option<&str>,
) -> Result<Option<String>, Failure> {
    let Some(name) = body.get("name").and_then(Value::as_str) else {
        return Ok(None);
    };
    let is_reserved = SYSTEM
        .iter()
        .any(|(known, _)| known.eq_ignore_ascii_case(name));
    if name.trim().is_empty() || name.chars().count() > MAXIMUM_NAME || is_reserved {
        return Err(Failure::invalid_argument("Invalid label name"));
    }
    let lower = name.to_lowercase();
    let is_taken = mailbox
        .labels
        .iter()
        .any(|label| own != Some(label.id.as_str()) && label.name.to_lowercase() == lower);
    if is_taken {
        return Err(Failure::already_exists("Label name exists or conflicts"));
    }
    Ok(Some(name.to_owned()))
}

fn edit(label: &mut Label, body: &Map<String, Value>) -> Result<(), Failure> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(visibility) = text("labelListVisibility") {
        label.label_list_visibility = Some(visibility);
    }
    if let Some(visibility) = text("messageListVisibility") {
        label.message_list_visibility = Some(visibility);
    }
    if let Some(color) = body.get("color").and_then(Value::as_object) {
        let part = |name: &str| color.get(name).and_then(Value::as_str);
        let (Some(background), Some(text)) = (part("backgroundColor"), part("textColor")) else {
            return Err(Failure::invalid_argument(
                "Label color must have both a background and a text color",
            ));
        };
        for color in [background, text] {
            if !palette::allows(color) {
                return Err(Failure::invalid_argument(format!(
                    "Label color {color} is not on the allowed color palette"
                )));
            }
        }
        label.color = Some((background.to_owned(), text.to_owned()));
    }
    Ok(())
}

fn system(id: &str) -> Value {
    let mut label = json!({"id": id, "name": id, "type": "system"});
    // What the web interface does not list says so.
    let is_unlisted = id == "CHAT" || id.starts_with("CATEGORY_");
    if let Some(label) = label.as_object_mut().filter(|_| is_unlisted) {
        label.insert("messageListVisibility".to_owned(), json!("hide"));
        label.insert("labelListVisibility".to_owned(), json!("labelHide"));
    }
    label
}

fn user(label: &Label) -> Value {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(label.id));
    object.insert("name".to_owned(), json!(label.name));
    object.insert("type".to_owned(), json!("user"));
    if let Some(visibility) = &label.message_list_visibility {
        object.insert("messageListVisibility".to_owned(), json!(visibility));
    }
    if let Some(visibility) = &label.label_list_visibility {
        object.insert("labelListVisibility".to_owned(), json!(visibility));
    }
    if let Some((background, text)) = &label.color {
        object.insert(
            "color".to_owned(),
            json!({"backgroundColor": background, "textColor": text}),
        );
    }
    Value::Object(object)
}

fn counted(mailbox: &GmailMailbox, id: &str, mut label: Value) -> Value {
    let labelled = || {
        mailbox
            .messages
            .values()
            .filter(|message| message.labels.contains(id))
    };
    let unread = || labelled().filter(|message| message.labels.contains("UNREAD"));
    let threads: BTreeSet<u64> = labelled().map(|message| message.thread).collect();
    let unread_threads: BTreeSet<u64> = unread().map(|message| message.thread).collect();
    if let Some(label) = label.as_object_mut() {
        label.insert("messagesTotal".to_owned(), json!(labelled().count()));
        label.insert("messagesUnread".to_owned(), json!(unread().count()));
        label.insert("threadsTotal".to_owned(), json!(threads.len()));
        label.insert("threadsUnread".to_owned(), json!(unread_threads.len()));
    }
    label
}
