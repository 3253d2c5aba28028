//! The JSON of Gmail's settings, exactly as it travels.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::number;

/// `users.settings.filters.list`; the list has the singular as its name.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::gmail) struct FilterList {
    pub(in crate::gmail) filter: Option<Vec<Option<Filter>>>,
}

/// A filter. What this crate does not know of is kept, to be shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::gmail) struct Filter {
    pub(in crate::gmail) id: Option<String>,
    pub(in crate::gmail) criteria: Option<Map<String, Value>>,
    pub(in crate::gmail) action: Option<Map<String, Value>>,
}

/// What `users.settings.filters.create` takes.
#[derive(Serialize)]
pub(in crate::gmail) struct NewFilter<'a> {
    pub(in crate::gmail) criteria: &'a FilterCriteria,
    pub(in crate::gmail) action: &'a FilterAction,
}

/// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters#Criteria>
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gmail) struct FilterCriteria {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) has_attachment: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) size_comparison: Option<&'static str>,
}

/// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters#Action>
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::gmail) struct FilterAction {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::gmail) add_label_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::gmail) remove_label_ids: Vec<String>,
}

/// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/VacationSettings>
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::gmail) struct Vacation {
    pub(in crate::gmail) enable_auto_reply: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) response_subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) response_body_plain_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::gmail) response_body_html: Option<String>,
    pub(in crate::gmail) restrict_to_contacts: Option<bool>,
    pub(in crate::gmail) restrict_to_domain: Option<bool>,
    /// Milliseconds since 1970, as text.
    #[serde(
        deserialize_with = "number",
        serialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub(in crate::gmail) start_time: Option<i64>,
    #[serde(
        deserialize_with = "number",
        serialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub(in crate::gmail) end_time: Option<i64>,
}

/// 64-bit numbers travel as text.
#[allow(clippy::ref_option, reason = "serde gives it so")]
fn text<S: serde::Serializer>(number: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => serializer.collect_str(number),
        None => serializer.serialize_none(),
    }
}

/// `users.settings.sendAs.list`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::gmail) struct SendAsList {
    pub(in crate::gmail) send_as: Option<Vec<Option<SendAs>>>,
}

/// An author that mail can be sent as.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::gmail) struct SendAs {
    pub(in crate::gmail) send_as_email: Option<String>,
    pub(in crate::gmail) display_name: Option<String>,
    pub(in crate::gmail) reply_to_address: Option<String>,
    /// HTML.
    pub(in crate::gmail) signature: Option<String>,
    pub(in crate::gmail) is_primary: Option<bool>,
    pub(in crate::gmail) is_default: Option<bool>,
    /// `accepted` or `pending`; only custom authors have one.
    pub(in crate::gmail) verification_status: Option<String>,
}
