//! The shapes of Gmail's JSON objects: what a request may hold, and what `fields` may select in an
//! answer. What the values mean is the methods' business.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest>

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use serde_json::{Map, Value};

use super::error::Failure;

/// An object and its fields.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) fields: &'static [(&'static str, Kind)],
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Boolean,
    /// An integer, on the wire a string if it has 64 bits.
    Integer,
    /// Base64 in the URL-safe alphabet.
    Bytes,
    OneOf(&'static [&'static str]),
    Object(&'static Schema),
    Texts,
    Objects(&'static Schema),
}

/// Reads what is sent to the service: URL-safe alphabet, padding or not.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) static EMPTY: Schema = Schema { fields: &[] };

pub(crate) static PROFILE: Schema = Schema {
    fields: &[
        ("emailAddress", Kind::Text),
        ("messagesTotal", Kind::Integer),
        ("threadsTotal", Kind::Integer),
        ("historyId", Kind::Integer),
    ],
};

pub(crate) static WATCH_REQUEST: Schema = Schema {
    fields: &[
        ("topicName", Kind::Text),
        ("labelIds", Kind::Texts),
        (
            "labelFilterBehavior",
            Kind::OneOf(&["include", "exclude", "INCLUDE", "EXCLUDE"]),
        ),
        (
            "labelFilterAction",
            Kind::OneOf(&["include", "exclude", "INCLUDE", "EXCLUDE"]),
        ),
    ],
};

pub(crate) static WATCH_RESPONSE: Schema = Schema {
    fields: &[("historyId", Kind::Integer), ("expiration", Kind::Integer)],
};

pub(crate) static MESSAGE: Schema = Schema {
    fields: &[
        ("id", Kind::Text),
        ("threadId", Kind::Text),
        ("labelIds", Kind::Texts),
        ("snippet", Kind::Text),
        ("historyId", Kind::Integer),
        ("internalDate", Kind::Integer),
        ("payload", Kind::Object(&MESSAGE_PART)),
        ("sizeEstimate", Kind::Integer),
        ("raw", Kind::Bytes),
        (
            "classificationLabelValues",
            Kind::Objects(&CLASSIFICATION_LABEL_VALUE),
        ),
    ],
};

static CLASSIFICATION_LABEL_VALUE: Schema = Schema {
    fields: &[
        ("labelId", Kind::Text),
        ("fields", Kind::Objects(&CLASSIFICATION_LABEL_FIELD_VALUE)),
    ],
};

static CLASSIFICATION_LABEL_FIELD_VALUE: Schema = Schema {
    fields: &[("fieldId", Kind::Text), ("selection", Kind::Text)],
};

static MESSAGE_PART: Schema = Schema {
    fields: &[
        ("partId", Kind::Text),
        ("mimeType", Kind::Text),
        ("filename", Kind::Text),
        ("headers", Kind::Objects(&MESSAGE_PART_HEADER)),
        ("body", Kind::Object(&MESSAGE_PART_BODY)),
        ("parts", Kind::Objects(&MESSAGE_PART)),
    ],
};

static MESSAGE_PART_HEADER: Schema = Schema {
    fields: &[("name", Kind::Text), ("value", Kind::Text)],
};

pub(crate) static MESSAGE_PART_BODY: Schema = Schema {
    fields: &[
        ("attachmentId", Kind::Text),
        ("size", Kind::Integer),
        ("data", Kind::Bytes),
    ],
};

pub(crate) static LIST_MESSAGES: Schema = Schema {
    fields: &[
        ("messages", Kind::Objects(&MESSAGE)),
        ("nextPageToken", Kind::Text),
        ("resultSizeEstimate", Kind::Integer),
    ],
};

pub(crate) static LIST_HISTORY: Schema = Schema {
    fields: &[
        ("history", Kind::Objects(&HISTORY)),
        ("nextPageToken", Kind::Text),
        ("historyId", Kind::Integer),
    ],
};

static HISTORY: Schema = Schema {
    fields: &[
        ("id", Kind::Integer),
        ("messages", Kind::Objects(&MESSAGE)),
        ("messagesAdded", Kind::Objects(&HISTORY_MESSAGE)),
        ("messagesDeleted", Kind::Objects(&HISTORY_MESSAGE)),
        ("labelsAdded", Kind::Objects(&HISTORY_LABELS)),
        ("labelsRemoved", Kind::Objects(&HISTORY_LABELS)),
    ],
};

static HISTORY_MESSAGE: Schema = Schema {
    fields: &[("message", Kind::Object(&MESSAGE))],
};

static HISTORY_LABELS: Schema = Schema {
    fields: &[
        ("message", Kind::Object(&MESSAGE)),
        ("labelIds", Kind::Texts),
    ],
};

pub(crate) static THREAD: Schema = Schema {
    fields: &[
        ("id", Kind::Text),
        ("snippet", Kind::Text),
        ("historyId", Kind::Integer),
        ("messages", Kind::Objects(&MESSAGE)),
    ],
};

pub(crate) static LIST_THREADS: Schema = Schema {
    fields: &[
        ("threads", Kind::Objects(&THREAD)),
        ("nextPageToken", Kind::Text),
        ("resultSizeEstimate", Kind::Integer),
    ],
};

pub(crate) static DRAFT: Schema = Schema {
    fields: &[("id", Kind::Text), ("message", Kind::Object(&MESSAGE))],
};

pub(crate) static LIST_DRAFTS: Schema = Schema {
    fields: &[
        ("drafts", Kind::Objects(&DRAFT)),
        ("nextPageToken", Kind::Text),
        ("resultSizeEstimate", Kind::Integer),
    ],
};

pub(crate) static LABEL: Schema = Schema {
    fields: &[
        ("id", Kind::Text),
        ("name", Kind::Text),
        ("messageListVisibility", Kind::OneOf(&["show", "hide"])),
        (
            "labelListVisibility",
            Kind::OneOf(&["labelShow", "labelShowIfUnread", "labelHide"]),
        ),
        ("type", Kind::OneOf(&["system", "user"])),
        ("messagesTotal", Kind::Integer),
        ("messagesUnread", Kind::Integer),
        ("threadsTotal", Kind::Integer),
        ("threadsUnread", Kind::Integer),
        ("color", Kind::Object(&LABEL_COLOR)),
    ],
};

static LABEL_COLOR: Schema = Schema {
    fields: &[("textColor", Kind::Text), ("backgroundColor", Kind::Text)],
};

pub(crate) static LIST_LABELS: Schema = Schema {
    fields: &[("labels", Kind::Objects(&LABEL))],
};

pub(crate) static MODIFY_MESSAGE: Schema = Schema {
    fields: &[
        ("addLabelIds", Kind::Texts),
        ("removeLabelIds", Kind::Texts),
        (
            "addClassificationLabels",
            Kind::Objects(&CLASSIFICATION_LABEL_VALUE),
        ),
        ("removeClassificationLabelIds", Kind::Texts),
    ],
};

pub(crate) static MODIFY_THREAD: Schema = Schema {
    fields: &[
        ("addLabelIds", Kind::Texts),
        ("removeLabelIds", Kind::Texts),
    ],
};

pub(crate) static BATCH_MODIFY: Schema = Schema {
    fields: &[
        ("ids", Kind::Texts),
        ("addLabelIds", Kind::Texts),
        ("removeLabelIds", Kind::Texts),
        (
            "addClassificationLabels",
            Kind::Objects(&CLASSIFICATION_LABEL_VALUE),
        ),
        ("removeClassificationLabelIds", Kind::Texts),
    ],
};

pub(crate) static BATCH_DELETE: Schema = Schema {
    fields: &[("ids", Kind::Texts)],
};

pub(crate) static FILTER: Schema = Schema {
    fields: &[
        ("id", Kind::Text),
        ("criteria", Kind::Object(&FILTER_CRITERIA)),
        ("action", Kind::Object(&FILTER_ACTION)),
    ],
};

static FILTER_CRITERIA: Schema = Schema {
    fields: &[
        ("from", Kind::Text),
        ("to", Kind::Text),
        ("subject", Kind::Text),
        ("query", Kind::Text),
        ("negatedQuery", Kind::Text),
        ("hasAttachment", Kind::Boolean),
        ("excludeChats", Kind::Boolean),
        ("size", Kind::Integer),
        (
            "sizeComparison",
            Kind::OneOf(&["unspecified", "smaller", "larger"]),
        ),
    ],
};

static FILTER_ACTION: Schema = Schema {
    fields: &[
        ("addLabelIds", Kind::Texts),
        ("removeLabelIds", Kind::Texts),
        ("forward", Kind::Text),
    ],
};

pub(crate) static LIST_FILTERS: Schema = Schema {
    fields: &[("filter", Kind::Objects(&FILTER))],
};

pub(crate) static SEND_AS: Schema = Schema {
    fields: &[
        ("sendAsEmail", Kind::Text),
        ("displayName", Kind::Text),
        ("replyToAddress", Kind::Text),
        ("signature", Kind::Text),
        ("isPrimary", Kind::Boolean),
        ("isDefault", Kind::Boolean),
        ("treatAsAlias", Kind::Boolean),
        ("smtpMsa", Kind::Object(&SMTP_MSA)),
        (
            "verificationStatus",
            Kind::OneOf(&["verificationStatusUnspecified", "accepted", "pending"]),
        ),
    ],
};

static SMTP_MSA: Schema = Schema {
    fields: &[
        ("host", Kind::Text),
        ("port", Kind::Integer),
        ("username", Kind::Text),
        ("password", Kind::Text),
        (
            "securityMode",
            Kind::OneOf(&["securityModeUnspecified", "none", "ssl", "starttls"]),
        ),
    ],
};

pub(crate) static LIST_SEND_AS: Schema = Schema {
    fields: &[("sendAs", Kind::Objects(&SEND_AS))],
};

pub(crate) static VACATION: Schema = Schema {
    fields: &[
        ("enableAutoReply", Kind::Boolean),
        ("responseSubject", Kind::Text),
        ("responseBodyPlainText", Kind::Text),
        ("responseBodyHtml", Kind::Text),
        ("restrictToContacts", Kind::Boolean),
        ("restrictToDomain", Kind::Boolean),
        ("startTime", Kind::Integer),
        ("endTime", Kind::Integer),
    ],
};

impl Schema {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Kind> {
        self.fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| kind)
    }

    /// Refuses what the object does not have or does not take.
    pub(crate) fn check(&self, object: &Map<String, Value>, at: &str) -> Result<(), Failure> {
        for (name, value) in object {
            let Some(kind) = self.field(name) else {
                let place = if at.is_empty() {
                    String::new()
                } else {
                    format!(" at '{at}'")
                };
                return Err(Failure::invalid_payload(
                    at,
                    format!(
                        "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find \
                         field."
                    ),
                ));
            };
            // Null means "not there", as everywhere in Protocol Buffers' JSON.
            if !value.is_null() {
                let at = if at.is_empty() {
                    snake_case(name)
                } else {
                    format!("{at}.{}", snake_case(name))
                };
                kind.check(value, &at)?;
            }
        }
        Ok(())
    }
}

impl Kind {
    fn check(&self, value: &Value, at: &str) -> Result<(), Failure> {
        match (self, value) {
            (Self::Text, Value::String(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Integer, Value::Number(_)) => Ok(()),
            (Self::Integer, Value::String(text)) if text.parse::<i64>().is_ok() => Ok(()),
            (Self::Bytes, Value::String(text)) => match BASE64.decode(text) {
                Ok(_) => Ok(()),
                Err(_) => Err(invalid_value(at, "TYPE_BYTES", "Base64 decoding failed")),
            },
            (Self::OneOf(known), Value::String(text)) if known.contains(&text.as_str()) => Ok(()),
            (Self::Object(schema), Value::Object(object)) => schema.check(object, at),
            (Self::Texts, Value::Array(items)) => items
                .iter()
                .enumerate()
                .try_for_each(|(index, item)| Self::Text.check(item, &format!("{at}[{index}]"))),
            (Self::Objects(schema), Value::Array(items)) => {
                items.iter().enumerate().try_for_each(|(index, item)| {
                    Self::Object(schema).check(item, &format!("{at}[{index}]"))
                })
            }
            _ => Err(invalid_value(at, self.type_name(), &value.to_string())),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Text | Self::Texts => "TYPE_STRING",
            Self::Boolean => "TYPE_BOOL",
            Self::Integer => "TYPE_INT64",
            Self::Bytes => "TYPE_BYTES",
            Self::OneOf(_) => "TYPE_ENUM",
            Self::Object(_) | Self::Objects(_) => "TYPE_MESSAGE",
        }
    }
}

/// The refusal of a value of the wrong type.
pub(crate) fn invalid_value(at: &str, kind: &str, what: &str) -> Failure {
    Failure::invalid_payload(at, format!("Invalid value at '{at}' ({kind}), {what}"))
}

/// Field names as the service's messages give them.
pub(crate) fn snake_case(name: &str) -> String {
    let mut result = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            result.push('_');
        }
        result.push(character.to_ascii_lowercase());
    }
    result
}
