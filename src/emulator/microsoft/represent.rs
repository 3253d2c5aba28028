//! What a message looks like in an answer. Which properties are asked for is left to `query`.
//! <https://learn.microsoft.com/en-us/graph/api/resources/message>

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::super::message::{Address, Mail, Parsed};
use super::attachments;
use super::call::Call;
use super::html;
use super::mailbox::OutlookMessage;
use super::properties;
use super::query::Listing;

/// Every property of a message, in the order in which Graph sends them, with whether it comes unasked.
pub(crate) const PROPERTIES: [&str; 35] = [
    "id",
    "createdDateTime",
    "lastModifiedDateTime",
    "changeKey",
    "categories",
    "receivedDateTime",
    "sentDateTime",
    "hasAttachments",
    "internetMessageId",
    "subject",
    "bodyPreview",
    "importance",
    "parentFolderId",
    "conversationId",
    "conversationIndex",
    "isDeliveryReceiptRequested",
    "isReadReceiptRequested",
    "isRead",
    "isDraft",
    "webLink",
    "inferenceClassification",
    "body",
    "sender",
    "from",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "flag",
    "internetMessageHeaders",
    "uniqueBody",
    "attachments",
    "extensions",
    "singleValueExtendedProperties",
    "multiValueExtendedProperties",
];

/// What comes only when it is named.
const ON_REQUEST: [&str; 6] = [
    "internetMessageHeaders",
    "uniqueBody",
    "attachments",
    "extensions",
    "singleValueExtendedProperties",
    "multiValueExtendedProperties",
];

/// What a token for basic reading does not show.
/// <https://learn.microsoft.com/en-us/graph/permissions-reference#mailreadbasic>
const NOT_BASIC: [&str; 4] = ["body", "bodyPreview", "uniqueBody", "attachments"];

/// The type's name in errors.
pub(crate) const TYPE: &str = "microsoft.graph.message";

/// A message as an answer shows it.
pub(crate) fn message(call: &Call<'_>, message: &OutlookMessage, listing: &Listing) -> Value {
    let mut shown = Map::new();
    if is_invitation(message.mail.parsed()) {
        let kind = "#microsoft.graph.eventMessageRequest";
        shown.insert("@odata.type".to_owned(), json!(kind));
    }
    shown.insert("@odata.etag".to_owned(), json!(etag(message)));
    let basic = call.is_basic();
    for name in PROPERTIES {
        let wanted = name == "id" || listing.wants(name, !ON_REQUEST.contains(&name));
        if !wanted || (basic && NOT_BASIC.contains(&name)) {
            continue;
        }
        // Properties are shown only where an expansion names them.
        let is_extended = name == "singleValueExtendedProperties";
        if let Some(value) = property(call, message, name).filter(|_| !is_extended) {
            shown.insert(name.to_owned(), value);
        }
    }
    if let Some(expansion) = listing.expansion("attachments").filter(|_| !basic) {
        let attachments = attachments::all(message, &expansion.options);
        shown.insert("attachments".to_owned(), attachments);
    }
    if let Some(expansion) = listing.expansion("singleValueExtendedProperties") {
        shown.insert(
            "singleValueExtendedProperties".to_owned(),
            extended(
                message,
                properties::expanded(&expansion.options).ok().as_deref(),
            ),
        );
    }
    Value::Object(shown)
}

/// Which properties differ between two states of a message.
pub(crate) fn changed(
    call: &Call<'_>,
    before: &OutlookMessage,
    after: &OutlookMessage,
) -> BTreeSet<&'static str> {
    let differs = |name: &&str| property(call, before, name) != property(call, after, name);
    PROPERTIES.into_iter().filter(differs).collect()
}

/// The properties that a filter and an order are about.
pub(crate) fn for_filter(call: &Call<'_>, message: &OutlookMessage, listing: &Listing) -> Value {
    let mut shown = Map::new();
    for name in PROPERTIES {
        if listing.is_about(name)
            && let Some(value) = property(call, message, name)
        {
            shown.insert(name.to_owned(), value);
        }
    }
    Value::Object(shown)
}

/// The entity tag, which changes with the message.
pub(crate) fn etag(message: &OutlookMessage) -> String {
    format!("W/\"{}\"", change_key(message))
}

/// An instant as Graph writes it.
pub(crate) fn instant(instant: DateTime<Utc>) -> Value {
    json!(instant.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn property(call: &Call<'_>, message: &OutlookMessage, name: &str) -> Option<Value> {
    let mail = message.mail.parsed();
    Some(match name {
        "id" => json!(id(call, message)),
        "createdDateTime" => instant(message.created),
        "lastModifiedDateTime" => instant(message.modified),
        "changeKey" => json!(change_key(message)),
        "categories" => json!(message.categories),
        "receivedDateTime" => instant(message.received),
        "sentDateTime" => instant(mail.date.unwrap_or(message.received)),
        "hasAttachments" => json!(
            attachments::parts(&message.mail)
                .iter()
                .any(|part| !part.is_inline())
        ),
        "internetMessageId" => json!(internet_message_id(message)),
        "subject" => json!(mail.subject),
        "bodyPreview" => json!(preview(mail)),
        "importance" => json!(message.importance),
        "parentFolderId" => json!(message.folder),
        "conversationId" => json!(message.conversation_id),
        "conversationIndex" => json!(conversation_index(message)),
        "isDeliveryReceiptRequested" => Value::Null,
        "isReadReceiptRequested" => {
            json!(mail.root.header("Disposition-Notification-To").is_some())
        }
        "isRead" => json!(message.is_read),
        "isDraft" => json!(message.is_draft),
        "webLink" => json!(format!(
            "https://outlook.live.com/owa/?ItemID={}&exvsurl=1&viewmodel=ReadMessageItem",
            url::form_urlencoded::byte_serialize(message.id.as_bytes()).collect::<String>()
        )),
        "inferenceClassification" => json!(message.inference),
        "body" => body(call, message, false),
        "uniqueBody" => body(call, message, true),
        "sender" => recipient(mail.sender.first().or_else(|| mail.from.first())?),
        "from" => recipient(mail.from.first()?),
        "toRecipients" => recipients(&mail.to),
        "ccRecipients" => recipients(&mail.cc),
        "bccRecipients" => recipients(&mail.bcc),
        "replyTo" => recipients(&mail.reply_to),
        "flag" => message.flag.clone(),
        "internetMessageHeaders" => headers(message)?,
        "extensions" | "multiValueExtendedProperties" | "attachments" => return None,
        "singleValueExtendedProperties" => extended(message, None),
        _ => return None,
    })
}

/// The id that the request wants to see.
pub(crate) fn id(call: &Call<'_>, message: &OutlookMessage) -> String {
    if call.prefer.immutable_ids {
        message.immutable_id.clone()
    } else {
        message.id.clone()
    }
}

fn change_key(message: &OutlookMessage) -> String {
    let key = [message.key.to_be_bytes(), message.change_key.to_be_bytes()].concat();
    format!("CQAAAB{}", STANDARD.encode(key))
}

fn conversation_index(message: &OutlookMessage) -> String {
    let start: Vec<u8> = message.conversation_id.bytes().take(14).collect();
    let time = message.received.timestamp().to_be_bytes();
    STANDARD.encode([&[1][..], &time[3..], &start].concat())
}

/// A message that has no id gets one from Exchange.
pub(crate) fn internet_message_id(message: &OutlookMessage) -> String {
    match &message.mail.parsed().message_id {
        Some(id) => format!("<{id}>"),
        None => {
            let start: String = message.immutable_id.chars().skip(4).take(20).collect();
            format!("<{start}@outlook.example>")
        }
    }
}

/// The first 255 characters of the text.
fn preview(mail: &Parsed) -> String {
    let text = mail.text.as_deref().unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\r\n").chars().take(255).collect()
}

/// HTML unless text is preferred. A draft that was written as text stays text.
/// <https://learn.microsoft.com/en-us/graph/api/message-get#request-headers>
fn body(call: &Call<'_>, message: &OutlookMessage, unique: bool) -> Value {
    let mail = message.mail.parsed();
    let text = mail.text.as_deref().unwrap_or_default();
    let stays_text = message.is_draft && mail.html.is_none() && !call.prefer.html_body;
    if call.prefer.text_body || stays_text {
        let text = match unique {
            true => text
                .lines()
                .filter(|line| !line.starts_with('>'))
                .collect::<Vec<_>>()
                .join("\r\n"),
            false => text.to_owned(),
        };
        return json!({"contentType": "text", "content": text});
    }
    let content = match &mail.html {
        Some(html) if call.prefer.unsafe_html => html.clone(),
        Some(html) => html::without_scripts(html),
        None if text.is_empty() => String::new(),
        None => html::from_text(text),
    };
    let content = if unique {
        html::unique(&content)
    } else {
        content
    };
    json!({"contentType": "html", "content": content})
}

/// A name that is missing is the address once more.
fn recipient(person: &Address) -> Value {
    let name = person.name.as_ref().unwrap_or(&person.address);
    json!({"emailAddress": {"name": name, "address": person.address}})
}

fn recipients(people: &[Address]) -> Value {
    people.iter().map(recipient).collect()
}

/// Drafts have no header yet: <https://github.com/microsoftgraph/microsoft-graph-docs/issues/3066>.
fn headers(message: &OutlookMessage) -> Option<Value> {
    if message.is_draft {
        return None;
    }
    // A message that was put here as received says what its header was.
    let told = message
        .extended
        .iter()
        .find(|(id, _)| id == properties::TRANSPORT_HEADERS);
    if let Some((_, told)) = told {
        let told = Mail::new(format!("{}\r\n\r\n", told.trim_end()));
        let fields = told.parsed().root.headers.iter();
        return Some(
            fields
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect(),
        );
    }
    let fields = &message.mail.parsed().root.headers;
    Some(
        fields
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect(),
    )
}

/// The extended properties with these ids, or all; ids come back in lower case.
fn extended(message: &OutlookMessage, asked: Option<&[String]>) -> Value {
    message
        .extended
        .iter()
        .filter(|(id, _)| asked.is_none_or(|asked| asked.contains(id)))
        .map(|(id, value)| json!({"id": id, "value": value}))
        .collect()
}

/// Whether the message asks for a meeting: such a message is of a type of its own.
/// <https://learn.microsoft.com/en-us/graph/api/resources/eventmessagerequest>
pub(crate) fn is_invitation(mail: &Parsed) -> bool {
    mail.root
        .find(&|part| {
            let method = part
                .header("Content-Type")
                .unwrap_or_default()
                .to_ascii_lowercase();
            part.content_type == "text/calendar" && method.contains("method=request")
        })
        .is_some()
}
