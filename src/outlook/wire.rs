//! Microsoft Graph's JSON, exactly as it travels (<https://learn.microsoft.com/graph/api/resources/mail-api-overview>).
//! Everything that the service may leave out or set to null is optional; what it means is `convert.rs`'s.
//!
//! No type here is `Debug`: they hold mail.

mod composing;
mod settings;
mod watching;
mod words;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub(super) use composing::{
    AttachmentItem, DraftPatch, ExtendedProperty, NewAnswer, NewAttachment, NewHeader, NewMessage,
    NewUploadSession, Properties, ReadProperty, UploadSession,
};
pub(super) use settings::{
    AutomaticRepliesSetting, CategoryColor, DateTimeTimeZone, MailboxSettings, MessageRule,
    NewCategory, NewMessageRule, OutlookCategory, RuleActions, RulePredicates, SizeRange,
};
pub(super) use watching::{NewSubscription, Subscription, SubscriptionPatch};
pub(super) use words::{Timestamp, Word};

use crate::http::from_json;

/// An address that is empty leads nowhere.
fn link<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let link = Option::<String>::deserialize(deserializer)?;
    Ok(link.filter(|link| !link.is_empty()))
}

/// A page of a collection. Items are kept as text, so that one that cannot be read does not stop the page.
#[derive(Deserialize)]
pub(super) struct Collection {
    pub(super) value: Option<Vec<Box<RawValue>>>,
    #[serde(rename = "@odata.nextLink", default, deserialize_with = "link")]
    pub(super) next_link: Option<String>,
}

/// A page of messages: read in one go where all of them have the documented shape, which is the rule.
#[derive(Deserialize)]
pub(super) struct MessagePage {
    pub(super) value: Option<Vec<Option<Message>>>,
    #[serde(rename = "@odata.nextLink", default, deserialize_with = "link")]
    pub(super) next_link: Option<String>,
}

impl From<Collection> for MessagePage {
    /// What can be read of each message; none where it is no object.
    fn from(page: Collection) -> Self {
        let items = page.value.map(|items| {
            let items = items.into_iter();
            items.map(|item| salvage(item.get().as_bytes())).collect()
        });
        Self {
            value: items,
            next_link: page.next_link,
        }
    }
}

/// A page of changes (<https://learn.microsoft.com/graph/delta-query-messages>). It leads to the next page or, if it is the
/// last, to the next round.
#[derive(Deserialize)]
pub(super) struct Changes {
    pub(super) value: Option<Vec<Box<RawValue>>>,
    #[serde(rename = "@odata.nextLink", default, deserialize_with = "link")]
    pub(super) next_link: Option<String>,
    #[serde(rename = "@odata.deltaLink", default, deserialize_with = "link")]
    pub(super) delta_link: Option<String>,
}

/// An entry of such a page, as far as it tells that something is no longer where it was.
#[derive(Deserialize)]
pub(super) struct Removal {
    pub(super) id: Option<String>,
    #[serde(rename = "@removed")]
    pub(super) removed: Option<Value>,
}

/// <https://learn.microsoft.com/graph/api/resources/user>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub(super) display_name: Option<String>,
    pub(super) mail: Option<String>,
    pub(super) user_principal_name: Option<String>,
    pub(super) proxy_addresses: Option<Vec<Option<String>>>,
}

/// <https://learn.microsoft.com/graph/api/resources/mailfolder>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MailFolder {
    pub(super) id: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) parent_folder_id: Option<String>,
    pub(super) child_folder_count: Option<i64>,
    pub(super) total_item_count: Option<i64>,
    pub(super) unread_item_count: Option<i64>,
    pub(super) is_hidden: Option<bool>,
}

/// What a folder is to be called.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FolderName<'a> {
    pub(super) display_name: &'a str,
}

/// <https://learn.microsoft.com/graph/api/resources/message>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    #[serde(rename = "@odata.etag")]
    pub(super) etag: Option<String>,
    pub(super) id: Option<String>,
    pub(super) conversation_id: Option<String>,
    pub(super) parent_folder_id: Option<String>,
    pub(super) is_read: Option<bool>,
    pub(super) is_draft: Option<bool>,
    pub(super) flag: Option<Flag>,
    pub(super) importance: Option<Word>,
    pub(super) categories: Option<Vec<Option<String>>>,
    pub(super) received_date_time: Option<Timestamp>,
    pub(super) sent_date_time: Option<Timestamp>,
    pub(super) last_modified_date_time: Option<Timestamp>,
    pub(super) subject: Option<String>,
    pub(super) from: Option<Recipient>,
    pub(super) sender: Option<Recipient>,
    pub(super) reply_to: Option<Vec<Option<Recipient>>>,
    pub(super) to_recipients: Option<Vec<Option<Recipient>>>,
    pub(super) cc_recipients: Option<Vec<Option<Recipient>>>,
    pub(super) bcc_recipients: Option<Vec<Option<Recipient>>>,
    pub(super) internet_message_id: Option<String>,
    pub(super) internet_message_headers: Option<Vec<Option<InternetMessageHeader>>>,
    pub(super) body_preview: Option<String>,
    pub(super) body: Option<ItemBody>,
    pub(super) attachments: Option<Vec<Option<Attachment>>>,
    pub(super) single_value_extended_properties: Option<Vec<Option<ReadProperty>>>,
}

/// <https://learn.microsoft.com/graph/api/resources/followupflag>
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Flag {
    pub(super) flag_status: Option<Word>,
}

/// <https://learn.microsoft.com/graph/api/resources/recipient>
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recipient {
    pub(super) email_address: Option<EmailAddress>,
}

/// <https://learn.microsoft.com/graph/api/resources/emailaddress>
#[derive(Deserialize, Serialize)]
pub(super) struct EmailAddress {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
}

/// <https://learn.microsoft.com/graph/api/resources/internetmessageheader>
#[derive(Deserialize)]
pub(super) struct InternetMessageHeader {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
}

/// <https://learn.microsoft.com/graph/api/resources/itembody>
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemBody {
    pub(super) content_type: Option<String>,
    pub(super) content: Option<String>,
}

/// <https://learn.microsoft.com/graph/api/resources/attachment>, and what
/// <https://learn.microsoft.com/graph/api/resources/fileattachment> adds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attachment {
    #[serde(rename = "@odata.type")]
    pub(super) odata_type: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) size: Option<i64>,
    pub(super) content_id: Option<String>,
}

/// An attachment with the item that it is, of which no more than its type is read
/// (<https://learn.microsoft.com/graph/api/resources/itemattachment>).
#[derive(Deserialize)]
pub(super) struct ItemAttachment {
    pub(super) item: Option<Item>,
}

/// <https://learn.microsoft.com/graph/api/resources/outlookitem>
#[derive(Deserialize)]
pub(super) struct Item {
    #[serde(rename = "@odata.type")]
    pub(super) odata_type: Option<String>,
}

/// What `move` is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Destination<'a> {
    pub(super) destination_id: &'a str,
}

/// A change of what may be changed on a message that is not a draft.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessagePatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flag: Option<Flag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) importance: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) categories: Option<Vec<String>>,
}

/// <https://learn.microsoft.com/graph/json-batching>
#[derive(Serialize)]
pub(super) struct Batch<'a> {
    pub(super) requests: Vec<BatchRequest<'a>>,
}

/// One request of a batch.
#[derive(Serialize)]
pub(super) struct BatchRequest<'a> {
    pub(super) id: String,
    pub(super) method: &'a str,
    pub(super) url: String,
    pub(super) headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Box<RawValue>>,
}

/// The answer to a batch: its parts in any order.
#[derive(Deserialize)]
pub(super) struct BatchAnswer {
    pub(super) responses: Option<Vec<Option<BatchResponse>>>,
}

/// The answer to one part of a batch.
#[derive(Deserialize)]
pub(super) struct BatchResponse {
    pub(super) id: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) headers: Option<Map<String, Value>>,
    pub(super) body: Option<Box<RawValue>>,
}

/// <https://learn.microsoft.com/graph/errors>. Messages may quote mail: they are compared and never repeated.
#[derive(Deserialize)]
pub(super) struct ErrorAnswer {
    pub(super) error: Option<Fault>,
}

/// An error, or an inner one, which says it more exactly.
#[derive(Deserialize)]
pub(super) struct Fault {
    pub(super) code: Option<String>,
    pub(super) message: Option<Value>,
    #[serde(rename = "innerError", alias = "innererror")]
    pub(super) inner_error: Option<Box<Self>>,
    #[serde(rename = "request-id")]
    pub(super) request_id: Option<String>,
}

/// Reads an object. If it does not have the documented shape, the members that do are read and the others left out;
/// `None` if it is no object at all.
pub(super) fn salvage<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    if let Ok(whole) = from_json(json) {
        return Some(whole);
    }
    let mut members: BTreeMap<String, Box<RawValue>> = from_json(json).ok()?;
    let object = |members: &BTreeMap<String, Box<RawValue>>| serde_json::to_vec(members).ok();
    members.retain(|name, value| {
        let alone = BTreeMap::from([(name.clone(), value.clone())]);
        object(&alone).is_some_and(|alone| from_json::<T>(&alone).is_ok())
    });
    from_json(&object(&members)?).ok()
}
