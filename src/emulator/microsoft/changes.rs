//! What a request says about a message: its JSON read property by property, each of the right type, and
//! applied to content and state. Which changes are allowed when is left to `messages` and `send`.
//! <https://learn.microsoft.com/en-us/graph/api/resources/message#properties>

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::super::message::Address;
use super::attachments;
use super::call::{field, only_fields, text_field, wrong_type};
use super::compose::{Content, Piece};
use super::error::GraphError;
use super::mailbox::OutlookMessage;
use super::properties;
use super::represent;

/// How many header fields of one's own a message may have.
const MOST_HEADERS: usize = 5;

/// Everything that a request may change; what it does not mention stays.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    subject: Option<String>,
    /// Whether it is HTML, and the text.
    body: Option<(bool, String)>,
    from: Option<Address>,
    sender: Option<Address>,
    reply_to: Option<Vec<Address>>,
    to: Option<Vec<Address>>,
    cc: Option<Vec<Address>>,
    bcc: Option<Vec<Address>>,
    message_id: Option<String>,
    wants_receipt: Option<bool>,
    headers: Option<Vec<(String, String)>>,
    attachments: Option<Vec<Piece>>,
    is_read: Option<bool>,
    flag: Option<Value>,
    importance: Option<String>,
    inference: Option<String>,
    categories: Option<Vec<String>>,
    /// Ids as they come back, and values.
    extended: Vec<(String, String)>,
}

impl Changes {
    pub(crate) fn read(
        object: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Self, GraphError> {
        let kind = object.get("@odata.type").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind.trim_start_matches('#') != represent::TYPE) {
            return Err(GraphError::body(
                "The type of the entry does not match the expected type 'microsoft.graph.message'.",
            ));
        }
        only_fields(object, &represent::PROPERTIES, represent::TYPE)?;
        let attachments = match list(object, "attachments")? {
            None => None,
            Some(items) => Some(
                items
                    .iter()
                    .map(|item| {
                        attachments::read(
                            item.as_object().ok_or_else(|| wrong_type("attachments"))?,
                            now,
                        )
                    })
                    .collect::<Result<_, _>>()?,
            ),
        };
        let message_id = text_field(object, "internetMessageId")?;
        Ok(Self {
            subject: text_field(object, "subject")?,
            body: body(object)?,
            from: recipient(object, "from")?,
            sender: recipient(object, "sender")?,
            reply_to: recipients(object, "replyTo")?,
            to: recipients(object, "toRecipients")?,
            cc: recipients(object, "ccRecipients")?,
            bcc: recipients(object, "bccRecipients")?,
            message_id: message_id.map(|id| id.trim_matches(['<', '>', ' ']).to_owned()),
            wants_receipt: truth(object, "isReadReceiptRequested")?,
            headers: headers(object)?,
            attachments,
            is_read: truth(object, "isRead")?,
            flag: flag(object)?,
            importance: word(object, "importance", &["low", "normal", "high"])?,
            inference: word(object, "inferenceClassification", &["focused", "other"])?,
            categories: categories(object)?,
            extended: extended(object)?,
        })
    }

    /// Whether anything is changed that only a draft may have changed.
    /// <https://learn.microsoft.com/en-us/graph/api/message-update#request-body>
    pub(crate) fn is_about_content(&self) -> bool {
        self.subject.is_some()
            || self.body.is_some()
            || self.from.is_some()
            || self.sender.is_some()
            || self.reply_to.is_some()
            || self.to.is_some()
            || self.cc.is_some()
            || self.bcc.is_some()
            || self.message_id.is_some()
            || self.wants_receipt.is_some()
            || self.headers.is_some()
            || self.attachments.is_some()
            || [
                properties::IN_REPLY_TO,
                properties::REFERENCES,
                properties::LIST_UNSUBSCRIBE,
            ]
            .iter()
            .any(|id| self.extended(id).is_some())
    }

    /// An extended property, if it is set.
    fn extended(&self, id: &str) -> Option<&str> {
        let mut properties = self.extended.iter();
        let found = properties.find(|(known, _)| known == id);
        found.map(|(_, value)| value.as_str())
    }

    /// When it says that it was sent.
    pub(crate) fn sent_at(&self) -> Option<DateTime<Utc>> {
        properties::instant(self.extended(properties::SUBMIT_TIME)?)
    }

    /// Whether the body is said.
    pub(crate) fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Whether header lines of the sender's own are said.
    pub(crate) fn has_headers(&self) -> bool {
        self.headers.is_some()
    }

    /// Whether anyone is named to write to.
    pub(crate) fn has_recipients(&self) -> bool {
        self.to.as_ref().is_some_and(|people| !people.is_empty())
    }

    /// Applies what concerns the content.
    pub(crate) fn apply(&self, content: &mut Content) {
        fn set<T: Clone>(target: &mut T, change: Option<&T>) {
            if let Some(change) = change {
                target.clone_from(change);
            }
        }
        set(&mut content.subject, self.subject.as_ref());
        if let Some((is_html, body)) = &self.body {
            content.is_html = *is_html;
            content.body.clone_from(body);
        }
        if self.from.is_some() {
            content.from.clone_from(&self.from);
        }
        if self.sender.is_some() {
            content.sender.clone_from(&self.sender);
        }
        set(&mut content.reply_to, self.reply_to.as_ref());
        set(&mut content.to, self.to.as_ref());
        set(&mut content.cc, self.cc.as_ref());
        set(&mut content.bcc, self.bcc.as_ref());
        if self.message_id.is_some() {
            content.message_id.clone_from(&self.message_id);
        }
        set(&mut content.wants_receipt, self.wants_receipt.as_ref());
        set(&mut content.headers, self.headers.as_ref());
        set(&mut content.attachments, self.attachments.as_ref());
        if self.importance.is_some() {
            content.importance.clone_from(&self.importance);
        }
        // What cannot be set as a header is a property.
        if let Some(id) = self.extended(properties::IN_REPLY_TO) {
            content.in_reply_to = ids(id).next();
        }
        if let Some(list) = self.extended(properties::REFERENCES) {
            content.references = ids(list).collect();
        }
        if let Some(places) = self.extended(properties::LIST_UNSUBSCRIBE) {
            content.list_unsubscribe = Some(places.to_owned());
        }
    }

    /// Applies what concerns the message in its mailbox.
    pub(crate) fn apply_state(&self, message: &mut OutlookMessage) {
        if let Some(is_read) = self.is_read {
            message.is_read = is_read;
        }
        if let Some(flag) = &self.flag {
            message.flag = flag.clone();
        }
        if let Some(importance) = &self.importance {
            message.importance.clone_from(importance);
        }
        if let Some(inference) = &self.inference {
            message.inference.clone_from(inference);
        }
        if let Some(categories) = &self.categories {
            message.categories.clone_from(categories);
        }
        for (id, value) in &self.extended {
            message.extended.retain(|(known, _)| known != id);
            message.extended.push((id.clone(), value.clone()));
        }
    }

    /// Applies what only a message that is being made can be told: that it is no draft, and when it came.
    /// <https://github.com/mguessan/davmail/pull/517>
    pub(crate) fn apply_origin(&self, message: &mut OutlookMessage) {
        const UNSENT: i64 = 8;
        let flags = self.extended(properties::MESSAGE_FLAGS);
        if let Some(flags) = flags.and_then(|flags| flags.parse::<i64>().ok()) {
            message.is_draft = flags & UNSENT != 0;
            message.is_read = flags & 1 != 0;
        }
        let arrived = self.extended(properties::DELIVERY_TIME);
        if let Some(arrived) = arrived.and_then(properties::instant) {
            message.received = arrived;
        }
    }
}

fn list<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a Vec<Value>>, GraphError> {
    match field(object, name) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => Err(wrong_type(name)),
    }
}

fn truth(object: &Map<String, Value>, name: &str) -> Result<Option<bool>, GraphError> {
    match field(object, name) {
        None => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(_) => Err(wrong_type(name)),
    }
}

/// One of the words of an enumeration, whose case does not matter.
fn word(
    object: &Map<String, Value>,
    name: &str,
    words: &[&str],
) -> Result<Option<String>, GraphError> {
    let Some(text) = text_field(object, name)? else {
        return Ok(None);
    };
    words
        .iter()
        .find(|known| known.eq_ignore_ascii_case(&text))
        .map(|known| Some((*known).to_owned()))
        .ok_or_else(|| {
            GraphError::body(format!(
                "Requested value '{text}' was not found for the property '{name}'."
            ))
        })
}

fn body(object: &Map<String, Value>) -> Result<Option<(bool, String)>, GraphError> {
    let Some(value) = field(object, "body") else {
        return Ok(None);
    };
    let body = value.as_object().ok_or_else(|| wrong_type("body"))?;
    only_fields(
        body,
        &["contentType", "content"],
        "microsoft.graph.itemBody",
    )?;
    let kind = word(body, "contentType", &["text", "html"])?;
    let content = text_field(body, "content")?.unwrap_or_default();
    Ok(Some((kind.as_deref() == Some("html"), content)))
}

/// The recipients under a name.
pub(crate) fn recipients(
    object: &Map<String, Value>,
    name: &str,
) -> Result<Option<Vec<Address>>, GraphError> {
    match list(object, name)? {
        None => Ok(None),
        Some(items) => items
            .iter()
            .map(|item| one_recipient(item, name))
            .collect::<Result<_, _>>()
            .map(Some),
    }
}

fn recipient(object: &Map<String, Value>, name: &str) -> Result<Option<Address>, GraphError> {
    field(object, name)
        .map(|value| one_recipient(value, name))
        .transpose()
}

fn one_recipient(value: &Value, name: &str) -> Result<Address, GraphError> {
    let recipient = value.as_object().ok_or_else(|| wrong_type(name))?;
    only_fields(recipient, &["emailAddress"], "microsoft.graph.recipient")?;
    let address = field(recipient, "emailAddress")
        .and_then(Value::as_object)
        .ok_or_else(|| wrong_type("emailAddress"))?;
    only_fields(
        address,
        &["name", "address"],
        "microsoft.graph.emailAddress",
    )?;
    Ok(Address {
        name: text_field(address, "name")?.filter(|name| !name.is_empty()),
        address: text_field(address, "address")?.unwrap_or_default(),
    })
}

/// Header fields of one's own. Others cannot be set.
/// <https://learn.microsoft.com/en-us/graph/api/resources/internetmessageheader>
fn headers(object: &Map<String, Value>) -> Result<Option<Vec<(String, String)>>, GraphError> {
    let Some(items) = list(object, "internetMessageHeaders")? else {
        return Ok(None);
    };
    if items.len() > MOST_HEADERS {
        return Err(GraphError::bad_request(
            "InvalidInternetMessageHeaderCollection",
            "Maximum number of headers in one message should be less than or equal to 5.",
        ));
    }
    let mut headers = Vec::new();
    for item in items {
        let header = item
            .as_object()
            .ok_or_else(|| wrong_type("internetMessageHeaders"))?;
        only_fields(
            header,
            &["name", "value"],
            "microsoft.graph.internetMessageHeader",
        )?;
        let name = text_field(header, "name")?.unwrap_or_default();
        let value = text_field(header, "value")?.unwrap_or_default();
        let starts = name
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-"));
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !starts || !plain || value.chars().any(char::is_control) {
            return Err(GraphError::bad_request(
                "InvalidInternetMessageHeader",
                format!(
                    "The internet message header name '{name}' should start with 'x-' or 'X-'."
                ),
            ));
        }
        headers.push((name, value));
    }
    Ok(Some(headers))
}

fn flag(object: &Map<String, Value>) -> Result<Option<Value>, GraphError> {
    let Some(value) = field(object, "flag") else {
        return Ok(None);
    };
    let flag = value.as_object().ok_or_else(|| wrong_type("flag"))?;
    let dates = ["completedDateTime", "dueDateTime", "startDateTime"];
    let names = [&["flagStatus"][..], &dates[..]].concat();
    only_fields(flag, &names, "microsoft.graph.followupFlag")?;
    let status = word(flag, "flagStatus", &["notFlagged", "complete", "flagged"])?;
    let mut kept = Map::new();
    kept.insert(
        "flagStatus".to_owned(),
        json!(status.as_deref().unwrap_or("notFlagged")),
    );
    for name in dates {
        if let Some(date) = field(flag, name) {
            kept.insert(name.to_owned(), date.clone());
        }
    }
    // A date by which something is due needs one on which it begins.
    // <https://learn.microsoft.com/en-us/graph/api/resources/followupflag>
    if kept.contains_key("dueDateTime") && !kept.contains_key("startDateTime") {
        return Err(GraphError::bad_request(
            "ErrorPropertyValidationFailure",
            "The property 'startDateTime' is required together with 'dueDateTime'.",
        ));
    }
    Ok(Some(Value::Object(kept)))
}

fn categories(object: &Map<String, Value>) -> Result<Option<Vec<String>>, GraphError> {
    match list(object, "categories")? {
        None => Ok(None),
        Some(items) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong_type("categories"))
            })
            .collect::<Result<_, _>>()
            .map(Some),
    }
}

/// Message ids in angle brackets, one after the other.
fn ids(text: &str) -> impl Iterator<Item = String> {
    text.split(['<', '>'])
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
}

fn extended(object: &Map<String, Value>) -> Result<Vec<(String, String)>, GraphError> {
    let Some(items) = list(object, "singleValueExtendedProperties")? else {
        return Ok(Vec::new());
    };
    let mut read = Vec::new();
    for item in items {
        let property = item
            .as_object()
            .ok_or_else(|| wrong_type("singleValueExtendedProperties"))?;
        only_fields(
            property,
            &["id", "value"],
            "microsoft.graph.singleValueLegacyExtendedProperty",
        )?;
        let id = text_field(property, "id")?.ok_or_else(|| wrong_type("id"))?;
        let id = properties::id(&id)?;
        let value = text_field(property, "value")?.unwrap_or_default();
        if !properties::fits(&id, &value) {
            return Err(GraphError::bad_request(
                "ErrorInvalidProperty",
                "The value of an extended property is not of the property's type.",
            ));
        }
        read.push((id, value));
    }
    Ok(read)
}
