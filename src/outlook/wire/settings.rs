//! The JSON of Outlook's rules, automatic replies and categories, exactly as it travels.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// <https://learn.microsoft.com/graph/api/resources/messagerule>. What this crate does not know of is kept, to be shown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct MessageRule {
    pub(in crate::outlook) id: Option<String>,
    pub(in crate::outlook) display_name: Option<String>,
    pub(in crate::outlook) sequence: Option<i32>,
    pub(in crate::outlook) is_enabled: Option<bool>,
    pub(in crate::outlook) has_error: Option<bool>,
    pub(in crate::outlook) conditions: Option<Map<String, Value>>,
    pub(in crate::outlook) exceptions: Option<Map<String, Value>>,
    pub(in crate::outlook) actions: Option<Map<String, Value>>,
}

/// A rule to be made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct NewMessageRule {
    pub(in crate::outlook) display_name: String,
    pub(in crate::outlook) sequence: i32,
    pub(in crate::outlook) is_enabled: bool,
    pub(in crate::outlook) conditions: RulePredicates,
    pub(in crate::outlook) actions: RuleActions,
}

/// <https://learn.microsoft.com/graph/api/resources/messagerulepredicates>
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct RulePredicates {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::outlook) sender_contains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::outlook) recipient_contains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::outlook) subject_contains: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::outlook) body_or_subject_contains: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) has_attachments: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) within_size_range: Option<SizeRange>,
}

/// <https://learn.microsoft.com/graph/api/resources/sizerange>, in kilobytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct SizeRange {
    pub(in crate::outlook) minimum_size: i32,
}

/// <https://learn.microsoft.com/graph/api/resources/messageruleactions>
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct RuleActions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) move_to_folder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) delete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) mark_as_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) mark_importance: Option<&'static str>,
}

/// <https://learn.microsoft.com/graph/api/resources/mailboxsettings>, as far as automatic replies go.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct MailboxSettings {
    pub(in crate::outlook) automatic_replies_setting: Option<AutomaticRepliesSetting>,
}

/// <https://learn.microsoft.com/graph/api/resources/automaticrepliessetting>
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::outlook) struct AutomaticRepliesSetting {
    pub(in crate::outlook) status: Option<String>,
    pub(in crate::outlook) external_audience: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) scheduled_start_date_time: Option<DateTimeTimeZone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::outlook) scheduled_end_date_time: Option<DateTimeTimeZone>,
    pub(in crate::outlook) internal_reply_message: Option<String>,
    pub(in crate::outlook) external_reply_message: Option<String>,
}

/// <https://learn.microsoft.com/graph/api/resources/datetimetimezone>
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct DateTimeTimeZone {
    pub(in crate::outlook) date_time: Option<String>,
    pub(in crate::outlook) time_zone: Option<String>,
}

/// <https://learn.microsoft.com/graph/api/resources/outlookcategory>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct OutlookCategory {
    pub(in crate::outlook) id: Option<String>,
    pub(in crate::outlook) display_name: Option<String>,
    pub(in crate::outlook) color: Option<String>,
}

/// A category to be made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::outlook) struct NewCategory<'a> {
    pub(in crate::outlook) display_name: &'a str,
    pub(in crate::outlook) color: String,
}

/// Another colour for a category.
#[derive(Serialize)]
pub(in crate::outlook) struct CategoryColor {
    pub(in crate::outlook) color: String,
}
