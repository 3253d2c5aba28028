//! Messages as Gmail's JSON, in the four formats.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value, json};

use super::super::message::{Mail, Part};
use super::mailbox::{GmailMessage, format_id};

/// How much of a message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Minimal,
    Metadata,
    Full,
    Raw,
}

/// Text parts longer than this come as attachments.
const INLINE_TEXT: usize = 128 * 1024;

impl Format {
    pub(crate) fn read(parameter: Option<&str>) -> Self {
        match parameter {
            Some("minimal") => Self::Minimal,
            Some("metadata") => Self::Metadata,
            Some("raw") => Self::Raw,
            _ => Self::Full,
        }
    }

    /// The name that refusals give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minimal => "MINIMAL",
            Self::Metadata => "METADATA",
            Self::Full => "FULL",
            Self::Raw => "RAW",
        }
    }
}

/// What lists and changes answer with: ids and labels.
pub(crate) fn brief(message: &GmailMessage) -> Value {
    let mut object = ids(message);
    if !message.labels.is_empty() {
        object.insert("labelIds".to_owned(), json!(message.labels));
    }
    Value::Object(object)
}

fn ids(message: &GmailMessage) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(format_id(message.id)));
    object.insert("threadId".to_owned(), json!(format_id(message.thread)));
    object
}

/// A message in a format. `attachment` gives a new token for the attachment in a part.
pub(crate) fn message(
    message: &GmailMessage,
    format: Format,
    metadata_headers: &[&str],
    attachment: &mut impl FnMut(&Part) -> String,
) -> Value {
    let mut object = ids(message);
    if !message.labels.is_empty() {
        object.insert("labelIds".to_owned(), json!(message.labels));
    }
    let snippet = snippet(&message.mail);
    object.insert("snippet".to_owned(), json!(snippet));
    object.insert(
        "historyId".to_owned(),
        json!(message.history_id.to_string()),
    );
    object.insert(
        "internalDate".to_owned(),
        json!(message.received.timestamp_millis().to_string()),
    );
    object.insert("sizeEstimate".to_owned(), json!(message.mail.raw().len()));
    let root = &message.mail.parsed().root;
    match format {
        Format::Minimal => {}
        Format::Raw => {
            let raw = URL_SAFE.encode(message.mail.raw());
            object.insert("raw".to_owned(), json!(raw));
        }
        Format::Full => {
            object.insert("payload".to_owned(), part(root, attachment));
        }
        Format::Metadata => {
            let wanted = |name: &str| {
                metadata_headers.is_empty()
                    || metadata_headers
                        .iter()
                        .any(|wanted| wanted.eq_ignore_ascii_case(name))
            };
            let mut payload = Map::new();
            payload.insert("mimeType".to_owned(), json!(root.content_type));
            insert_headers(&mut payload, root, wanted);
            object.insert("payload".to_owned(), Value::Object(payload));
        }
    }
    Value::Object(object)
}

fn insert_headers(object: &mut Map<String, Value>, part: &Part, wanted: impl Fn(&str) -> bool) {
    let headers: Vec<Value> = part
        .headers
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    // Lists without elements are left out, here as everywhere.
    if !headers.is_empty() {
        object.insert("headers".to_owned(), Value::Array(headers));
    }
}

fn part(source: &Part, attachment: &mut impl FnMut(&Part) -> String) -> Value {
    let mut object = Map::new();
    object.insert("partId".to_owned(), json!(source.id));
    object.insert("mimeType".to_owned(), json!(source.content_type));
    object.insert(
        "filename".to_owned(),
        json!(source.file_name.as_deref().unwrap_or_default()),
    );
    insert_headers(&mut object, source, |_| true);
    let mut body = Map::new();
    if is_fetched_apart(source) {
        body.insert("attachmentId".to_owned(), json!(attachment(source)));
    }
    body.insert("size".to_owned(), json!(source.body.len()));
    if !is_fetched_apart(source) && !source.body.is_empty() {
        body.insert("data".to_owned(), json!(URL_SAFE.encode(&source.body)));
    }
    object.insert("body".to_owned(), Value::Object(body));
    if !source.children.is_empty() {
        let parts: Vec<Value> = source
            .children
            .iter()
            .map(|child| part(child, attachment))
            .collect();
        object.insert("parts".to_owned(), Value::Array(parts));
    }
    Value::Object(object)
}

/// Whether the body comes from `attachments.get` rather than with the message.
pub(crate) fn is_fetched_apart(part: &Part) -> bool {
    let is_body_text = part.text.is_some() && part.file_name.is_none();
    !part.is_multipart() && (!is_body_text || part.body.len() > INLINE_TEXT)
}

/// The beginning of the text on one line, escaped as in HTML.
pub(crate) fn snippet(mail: &Mail) -> String {
    let text = mail.parsed().text.as_deref().unwrap_or_default();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.chars().count() >= 200 {
            break;
        }
    }
    let line: String = line.chars().take(200).collect();
    html_escape::encode_quoted_attribute(&line).replace("&#x27;", "&#39;")
}
