//! Gmail's JSON, exactly as it travels (<https://developers.google.com/workspace/gmail/api/reference/rest>). Everything
//! that the service may leave out or set to null is optional; what it means is `convert.rs`'s.
//!
//! No type here is `Debug`: they hold mail.

mod settings;
mod syncing;
mod watching;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub(super) use settings::{
    Filter, FilterAction, FilterCriteria, FilterList, NewFilter, SendAs, SendAsList, Vacation,
};
pub(super) use syncing::{Changed, History, HistoryList};
pub(super) use watching::{WatchRequest, WatchResponse};

/// `users.getProfile`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Profile {
    pub(super) email_address: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(super) messages_total: Option<i64>,
    /// Where the history stands. Unsigned, and far from what a signed number holds.
    #[serde(deserialize_with = "number")]
    pub(super) history_id: Option<i64>,
}

/// `users.labels.list`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LabelList {
    pub(super) labels: Option<Vec<Option<Label>>>,
}

/// A label. Lists tell of it without counts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Label {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    /// `system` or `user`.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// `show` or `hide`.
    pub(super) message_list_visibility: Option<String>,
    /// `labelShow`, `labelShowIfUnread` or `labelHide`.
    pub(super) label_list_visibility: Option<String>,
    pub(super) color: Option<LabelColor>,
    #[serde(deserialize_with = "number")]
    pub(super) messages_total: Option<i64>,
    #[serde(deserialize_with = "number")]
    pub(super) messages_unread: Option<i64>,
}

/// The two colours of a label.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LabelColor {
    pub(super) background_color: Option<String>,
    pub(super) text_color: Option<String>,
}

/// What `labels.create`, `labels.patch` and `labels.update` take.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelChange<'a> {
    /// Only `labels.update` wants it, which says it in its path as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_list_visibility: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label_list_visibility: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) color: Option<LabelColor>,
}

/// `users.messages.list`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MessageList {
    /// Absent when there are none.
    pub(super) messages: Option<Vec<Option<Message>>>,
    pub(super) next_page_token: Option<String>,
}

/// A message, as far as the `format` asked for goes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Message {
    pub(super) id: Option<String>,
    pub(super) thread_id: Option<String>,
    /// Absent when there are none.
    pub(super) label_ids: Option<Vec<Option<String>>>,
    /// Plain text, escaped as HTML.
    pub(super) snippet: Option<String>,
    /// Milliseconds since 1970.
    #[serde(deserialize_with = "number")]
    pub(super) internal_date: Option<i64>,
    #[serde(deserialize_with = "number")]
    pub(super) size_estimate: Option<i64>,
    pub(super) payload: Option<Part>,
}

/// A part of a message's MIME tree, parsed by the service.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part {
    /// Empty for the root.
    pub(super) part_id: Option<String>,
    pub(super) mime_type: Option<String>,
    /// Empty when there is none.
    pub(super) filename: Option<String>,
    pub(super) headers: Option<Vec<Option<Header>>>,
    pub(super) body: Option<PartBody>,
    pub(super) parts: Option<Vec<Option<Self>>>,
}

/// One header line, not decoded.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
}

/// A part's bytes, or the token to fetch them with. Also the answer of `users.messages.attachments.get`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PartBody {
    /// Valid only for a while; differs from one `messages.get` to the next.
    pub(super) attachment_id: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(super) size: Option<i64>,
    /// The bytes, in their own charset; base64url as they travel.
    #[serde(deserialize_with = "bytes")]
    pub(super) data: Option<Vec<u8>>,
}

/// `users.threads.list`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ThreadList {
    /// Absent when there are none.
    pub(super) threads: Option<Vec<Option<Thread>>>,
    pub(super) next_page_token: Option<String>,
}

/// `users.threads.get`, and an entry of the list, which has no messages.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Thread {
    pub(super) id: Option<String>,
    /// Plain text, escaped as HTML.
    pub(super) snippet: Option<String>,
    pub(super) messages: Option<Vec<Option<Message>>>,
}

/// `users.drafts.list`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DraftList {
    /// Absent when there are none. Each has only ids.
    pub(super) drafts: Option<Vec<Option<Draft>>>,
    pub(super) next_page_token: Option<String>,
}

/// `users.drafts.create`, `update` and `get`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Draft {
    pub(super) id: Option<String>,
    pub(super) message: Option<Message>,
}

/// Takes a number however it came: 64-bit numbers travel as text, and a wrong type is no reason to lose the message.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_any(Lenient(|given: Given<'_>| match given {
        Given::Number(number) => Some(number),
        Given::Text(text) => text.parse().ok(),
    }))
}

/// Takes bytes that travel as base64url; what is none is as good as nothing. They are decoded where they stand, and not
/// looked at as text before: bodies are most of what travels.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    struct Base64Url(Option<Vec<u8>>);

    impl<'de> Deserialize<'de> for Base64Url {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Reader;

            impl Visitor<'_> for Reader {
                type Value = Base64Url;

                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("bytes as base64url")
                }

                fn visit_bytes<E>(self, text: &[u8]) -> Result<Self::Value, E> {
                    Ok(Base64Url(base64url(text)))
                }

                fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                    Ok(Base64Url(base64url(text.as_bytes())))
                }
            }

            deserializer.deserialize_bytes(Reader)
        }
    }

    let bytes = Option::<Base64Url>::deserialize(deserializer)?;
    Ok(bytes.and_then(|Base64Url(bytes)| bytes))
}

/// A value of one of the types that mean something.
enum Given<'a> {
    Number(i64),
    Text(&'a str),
}

/// Takes a value for what it means, and nothing for what means nothing.
struct Lenient<F>(F);

impl<'de, T, F: FnOnce(Given<'_>) -> Option<T>> Visitor<'de> for Lenient<F> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok((self.0)(Given::Text(text)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok((self.0)(Given::Number(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        let number = i64::try_from(number).ok();
        Ok(number.and_then(|number| (self.0)(Given::Number(number))))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Gmail pads sometimes and sometimes not.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes that travelled as base64url, padded or not. Some come in the other alphabet or in lines
/// (<https://github.com/googleworkspace/cli/issues/774>).
pub(super) fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok().or_else(|| {
        let usual = |byte: &u8| match byte {
            b'+' => Some(b'-'),
            b'/' => Some(b'_'),
            byte if byte.is_ascii_whitespace() => None,
            byte => Some(*byte),
        };
        let text: Vec<u8> = text.iter().filter_map(usual).collect();
        BASE64URL.decode(text).ok()
    })
}

/// What `messages.modify` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Modification {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) add_label_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remove_label_ids: Vec<String>,
}

/// What `messages.batchModify` takes.
#[derive(Serialize)]
pub(super) struct BatchModification<'a> {
    pub(super) ids: Vec<&'a str>,
    #[serde(flatten)]
    pub(super) modification: &'a Modification,
}

/// What `messages.batchDelete` takes.
#[derive(Serialize)]
pub(super) struct BatchDeletion<'a> {
    pub(super) ids: Vec<&'a str>,
}

/// What an upload of a message says beside it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread_id: Option<&'a str>,
    /// Only what is imported takes labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) label_ids: Vec<&'a str>,
}

/// What an upload of a draft says beside it.
#[derive(Serialize)]
pub(super) struct DraftMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<MessageMetadata<'a>>,
}

/// What `drafts.send` takes.
#[derive(Serialize)]
pub(super) struct DraftReference<'a> {
    pub(super) id: &'a str,
}

/// The body of an unsuccessful answer (<https://docs.cloud.google.com/apis/design/errors>).
#[derive(Deserialize)]
pub(super) struct ErrorAnswer {
    pub(super) error: Option<ErrorObject>,
}

/// What is wrong. The fields are of any type, since what is no text is no code.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorObject {
    pub(super) message: Option<Value>,
    pub(super) status: Option<Value>,
    pub(super) errors: Option<Vec<Option<ErrorItem>>>,
    pub(super) details: Option<Vec<Option<ErrorDetail>>>,
}

/// The older form of a reason.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorItem {
    pub(super) reason: Option<Value>,
}

/// The newer form, `google.rpc.ErrorInfo`, or `google.rpc.RequestInfo`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ErrorDetail {
    pub(super) reason: Option<Value>,
    pub(super) request_id: Option<Value>,
    pub(super) metadata: Option<Value>,
}
