//! JSON of messages that are being written: drafts, their attachments and extended properties.

use serde::{Deserialize, Serialize};

use super::{Flag, ItemBody, Recipient};
use crate::secret::Secret;

/// A message to be created from JSON, or what a draft is to be from now on.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct NewMessage {
    pub(in crate::outlook) subject: String,
    pub(in crate::outlook) body: Option<ItemBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) from: Option<Recipient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) sender: Option<Recipient>,
    pub(in crate::outlook) to_recipients: Vec<Recipient>,
    pub(in crate::outlook) cc_recipients: Vec<Recipient>,
    pub(in crate::outlook) bcc_recipients: Vec<Recipient>,
    pub(in crate::outlook) reply_to: Vec<Recipient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) importance: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) is_read_receipt_requested: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::outlook) internet_message_headers: Vec<NewHeader>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) internet_message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) is_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) flag: Option<Flag>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::outlook) categories: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::outlook) single_value_extended_properties: Vec<ExtendedProperty>,
}

/// A header line of the sender's own.
#[derive(Serialize)]
pub(in crate::outlook) struct NewHeader {
    pub(in crate::outlook) name: String,
    pub(in crate::outlook) value: String,
}

/// What an answer is made with: the service fills in the rest.
#[derive(Serialize)]
pub(in crate::outlook) struct NewAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) message: Option<Properties>,
}

/// A change of what a draft says. What is not there stays.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct DraftPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) body: Option<ItemBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) from: Option<Recipient>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) to_recipients: Option<Vec<Recipient>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) cc_recipients: Option<Vec<Recipient>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) bcc_recipients: Option<Vec<Recipient>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) reply_to: Option<Vec<Recipient>>,
}

/// <https://learn.microsoft.com/graph/api/resources/singlevaluelegacyextendedproperty>
#[derive(Serialize)]
pub(in crate::outlook) struct ExtendedProperty {
    pub(in crate::outlook) id: &'static str,
    pub(in crate::outlook) value: String,
}

/// A small attachment to be added to a draft.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct NewAttachment {
    #[serde(rename = "@odata.type")]
    pub(in crate::outlook) odata_type: &'static str,
    pub(in crate::outlook) name: String,
    pub(in crate::outlook) content_type: String,
    pub(in crate::outlook) is_inline: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) content_id: Option<String>,
    pub(in crate::outlook) content_bytes: String,
}

/// What is asked for when an upload session is created.
#[derive(Serialize)]
pub(in crate::outlook) struct NewUploadSession {
    #[serde(rename = "AttachmentItem")]
    pub(in crate::outlook) attachment_item: AttachmentItem,
}

/// <https://learn.microsoft.com/graph/api/resources/attachmentitem>
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct AttachmentItem {
    pub(in crate::outlook) attachment_type: &'static str,
    pub(in crate::outlook) name: String,
    pub(in crate::outlook) size: u64,
    pub(in crate::outlook) content_type: String,
    pub(in crate::outlook) is_inline: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) content_id: Option<String>,
}

/// <https://learn.microsoft.com/graph/api/resources/uploadsession>. Its address is all that is needed to write to it,
/// and the case of the names differs between the answers.
#[derive(Deserialize)]
pub(in crate::outlook) struct UploadSession {
    #[serde(rename = "uploadUrl", alias = "UploadUrl")]
    pub(in crate::outlook) upload_url: Option<Secret>,
    #[serde(rename = "nextExpectedRanges", alias = "NextExpectedRanges")]
    pub(in crate::outlook) next_expected_ranges: Option<Vec<String>>,
}

/// Extended properties to be set on a message, and nothing else.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct Properties {
    pub(in crate::outlook) single_value_extended_properties: Vec<ExtendedProperty>,
}

/// An extended property as an answer has it. Its id comes back in lower case.
#[derive(Deserialize)]
pub(in crate::outlook) struct ReadProperty {
    pub(in crate::outlook) id: Option<String>,
    pub(in crate::outlook) value: Option<String>,
}
