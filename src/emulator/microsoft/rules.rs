//! The rules of the inbox. They are kept and shown; arriving mail is not held against them.
//! <https://learn.microsoft.com/en-us/graph/api/resources/messagerule>

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Reply, field, only_fields, text_field, wrong_type};
use super::error::GraphError;
use super::mailbox::{OutlookMailbox, new_id};
use super::query;

const TYPE: &str = "microsoft.graph.messageRule";
const PROPERTIES: [&str; 9] = [
    "id",
    "displayName",
    "sequence",
    "isEnabled",
    "isReadOnly",
    "hasError",
    "conditions",
    "exceptions",
    "actions",
];

/// What a condition or an action takes.
#[derive(Clone, Copy)]
enum Kind {
    Texts,
    Boolean,
    Recipients,
    Text,
    Size,
    OneOf(&'static [&'static str]),
}

use Kind::{Boolean, OneOf, Recipients, Size, Text, Texts};

/// <https://learn.microsoft.com/en-us/graph/api/resources/messagerulepredicates>
const PREDICATES: &[(&str, Kind)] = &[
    ("bodyContains", Texts),
    ("bodyOrSubjectContains", Texts),
    ("categories", Texts),
    ("fromAddresses", Recipients),
    ("hasAttachments", Boolean),
    ("headerContains", Texts),
    ("importance", OneOf(&["low", "normal", "high"])),
    ("isApprovalRequest", Boolean),
    ("isAutomaticForward", Boolean),
    ("isAutomaticReply", Boolean),
    ("isEncrypted", Boolean),
    ("isMeetingRequest", Boolean),
    ("isMeetingResponse", Boolean),
    ("isNonDeliveryReport", Boolean),
    ("isPermissionControlled", Boolean),
    ("isReadReceipt", Boolean),
    ("isSigned", Boolean),
    ("isVoicemail", Boolean),
    ("messageActionFlag", Text),
    ("notSentToMe", Boolean),
    ("recipientContains", Texts),
    ("senderContains", Texts),
    (
        "sensitivity",
        OneOf(&["normal", "personal", "private", "confidential"]),
    ),
    ("sentCcMe", Boolean),
    ("sentOnlyToMe", Boolean),
    ("sentToAddresses", Recipients),
    ("sentToMe", Boolean),
    ("sentToOrCcMe", Boolean),
    ("subjectContains", Texts),
    ("withinSizeRange", Size),
];

/// <https://learn.microsoft.com/en-us/graph/api/resources/messageruleactions>
const ACTIONS: &[(&str, Kind)] = &[
    ("assignCategories", Texts),
    ("copyToFolder", Text),
    ("delete", Boolean),
    ("forwardAsAttachmentTo", Recipients),
    ("forwardTo", Recipients),
    ("markAsRead", Boolean),
    ("markImportance", OneOf(&["low", "normal", "high"])),
    ("moveToFolder", Text),
    ("permanentDelete", Boolean),
    ("redirectTo", Recipients),
    ("stopProcessingRules", Boolean),
];

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    id: String,
    display_name: String,
    sequence: i64,
    is_enabled: bool,
    conditions: Map<String, Value>,
    exceptions: Map<String, Value>,
    actions: Map<String, Value>,
}

/// Below `/mailFolders/{folder}/messageRules`.
pub(crate) fn route(call: &Call<'_>, folder: &str, rest: &[String]) -> Answer {
    call.mailbox(|mailbox, _| {
        let inbox = mailbox.well_known_id("inbox");
        match mailbox.folder(folder) {
            Some(folder) if folder.id == inbox => Ok(()),
            // Only the inbox has rules.
            Some(_) => Err(GraphError::bad_request(
                "ErrorInvalidRequest",
                "Rules are only supported on the Inbox folder.",
            )),
            None => Err(GraphError::folder_not_found()),
        }
    })?;
    match (call.method.as_str(), rest) {
        ("GET", []) => list(call),
        ("POST", []) => create(call),
        ("GET", [id]) => get(call, id),
        ("PATCH", [id]) => update(call, id),
        ("DELETE", [id]) => delete(call, id),
        (_, [] | [_]) => Err(GraphError::method_not_allowed()),
        (_, [.., last]) => Err(GraphError::no_such_segment(last)),
    }
}

fn need_read(call: &Call<'_>) -> Result<(), GraphError> {
    call.need(&["MailboxSettings.Read", "MailboxSettings.ReadWrite"])
}

fn list(call: &Call<'_>) -> Answer {
    need_read(call)?;
    let listing = query::listing(call, &PROPERTIES, TYPE, &[])?;
    let context = call.context("mailFolders('inbox')/messageRules");
    call.mailbox(|mailbox, _| {
        let mut rules: Vec<&Rule> = mailbox.rules.iter().collect();
        rules.sort_by_key(|rule| rule.sequence);
        let page = listing.page(call, rules).map(show);
        Ok(Reply::json(listing.answer(context, page)))
    })
}

fn get(call: &Call<'_>, id: &str) -> Answer {
    need_read(call)?;
    call.no_query()?;
    call.mailbox(|mailbox, _| find(mailbox, id).map(|rule| Reply::json(show(rule))))
}

fn find<'a>(mailbox: &'a mut OutlookMailbox, id: &str) -> Result<&'a mut Rule, GraphError> {
    let mut rules = mailbox.rules.iter_mut();
    rules
        .find(|rule| rule.id == id)
        .ok_or_else(GraphError::item_not_found)
}

fn show(rule: &Rule) -> Value {
    let mut shown = json!({
        "id": rule.id,
        "displayName": rule.display_name,
        "sequence": rule.sequence,
        "isEnabled": rule.is_enabled,
        "hasError": false,
        "isReadOnly": false,
        "conditions": rule.conditions,
        "actions": rule.actions,
    });
    if let Some(shown) = shown
        .as_object_mut()
        .filter(|_| !rule.exceptions.is_empty())
    {
        shown.insert("exceptions".to_owned(), json!(rule.exceptions));
    }
    shown
}

/// <https://learn.microsoft.com/en-us/graph/api/mailfolder-post-messagerules>
fn create(call: &Call<'_>) -> Answer {
    call.need(&["MailboxSettings.ReadWrite"])?;
    call.no_query()?;
    let body = call.json()?;
    let name = text_field(&body, "displayName")?.filter(|name| !name.is_empty());
    let (Some(display_name), Some(_)) = (name, field(&body, "sequence")) else {
        return Err(invalid("DisplayName and Sequence are required."));
    };
    call.mailbox(|mailbox, random| {
        let mut rule = Rule {
            id: new_id("AQAA", random),
            display_name,
            sequence: 0,
            is_enabled: true,
            conditions: Map::new(),
            exceptions: Map::new(),
            actions: Map::new(),
        };
        change(mailbox, &mut rule, &body)?;
        if rule.actions.is_empty() {
            return Err(invalid("A rule needs at least one action."));
        }
        let shown = show(&rule);
        mailbox.rules.push(rule);
        Ok(Reply::created(shown))
    })
}

fn update(call: &Call<'_>, id: &str) -> Answer {
    call.need(&["MailboxSettings.ReadWrite"])?;
    call.no_query()?;
    let body = call.json()?;
    call.mailbox(|mailbox, _| {
        let mut rule = find(mailbox, id)?.clone();
        change(mailbox, &mut rule, &body)?;
        let shown = show(&rule);
        *find(mailbox, id)? = rule;
        Ok(Reply::json(shown))
    })
}

fn delete(call: &Call<'_>, id: &str) -> Answer {
    call.need(&["MailboxSettings.ReadWrite"])?;
    call.no_query()?;
    call.mailbox(|mailbox, _| {
        find(mailbox, id)?;
        mailbox.rules.retain(|rule| rule.id != id);
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}

fn invalid(message: &'static str) -> GraphError {
    GraphError::bad_request("ErrorInvalidRequest", message)
}

/// Takes what the body says.
fn change(
    mailbox: &OutlookMailbox,
    rule: &mut Rule,
    body: &Map<String, Value>,
) -> Result<(), GraphError> {
    only_fields(body, &PROPERTIES, TYPE)?;
    if let Some(name) = text_field(body, "displayName")? {
        rule.display_name = name;
    }
    match field(body, "sequence") {
        None => {}
        Some(Value::Number(number)) => match number.as_i64().filter(|number| *number > 0) {
            Some(sequence) => rule.sequence = sequence,
            None => return Err(invalid("Sequence has to be greater than zero.")),
        },
        Some(_) => return Err(wrong_type("sequence")),
    }
    match field(body, "isEnabled") {
        None => {}
        Some(Value::Bool(enabled)) => rule.is_enabled = *enabled,
        Some(_) => return Err(wrong_type("isEnabled")),
    }
    for (name, known, into) in [
        ("conditions", PREDICATES, &mut rule.conditions),
        ("exceptions", PREDICATES, &mut rule.exceptions),
        ("actions", ACTIONS, &mut rule.actions),
    ] {
        match field(body, name) {
            None => {}
            Some(Value::Object(values)) => *into = read(values, known)?,
            Some(_) => return Err(wrong_type(name)),
        }
    }
    for name in ["moveToFolder", "copyToFolder"] {
        let folder = rule.actions.get(name).and_then(Value::as_str);
        if folder.is_some_and(|folder| mailbox.folder(folder).is_none()) {
            return Err(GraphError::bad_request(
                "ErrorInvalidIdMalformed",
                "Id is malformed.",
            ));
        }
    }
    Ok(())
}

fn read(
    values: &Map<String, Value>,
    known: &[(&'static str, Kind)],
) -> Result<Map<String, Value>, GraphError> {
    let mut read = Map::new();
    for (name, value) in values {
        let Some((name, kind)) = known
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            return Err(GraphError::body(format!(
                "The property '{name}' does not exist on this type. Make sure to only use property names that are \
                 defined by the type or mark the type as open type."
            )));
        };
        if value.is_null() {
            continue;
        }
        let fits = match (kind, value) {
            (Texts, Value::Array(items)) => items.iter().all(Value::is_string),
            (Boolean, Value::Bool(_)) | (Text, Value::String(_)) => true,
            (Recipients, Value::Array(items)) => items
                .iter()
                .all(|item| item.pointer("/emailAddress/address").is_some()),
            (Size, Value::Object(range)) => {
                let bounds = ["minimumSize", "maximumSize"];
                only_fields(range, &bounds, "microsoft.graph.sizeRange")?;
                range.values().all(|size| size.is_null() || size.is_i64())
            }
            (OneOf(known), Value::String(text)) => {
                known.iter().any(|known| known.eq_ignore_ascii_case(text))
            }
            _ => false,
        };
        if !fits {
            return Err(wrong_type(name));
        }
        read.insert((*name).to_owned(), value.clone());
    }
    Ok(read)
}
