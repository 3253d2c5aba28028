//! The methods of `users.settings` that filters and the vacation responder have. They are kept and shown; arriving mail is
//! not held against them.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/filter_settings>,
//! <https://developers.google.com/workspace/gmail/api/guides/vacation_settings>

use serde_json::{Map, Value, json};

use super::authors::Alias;
use super::call::Call;
use super::error::Failure;
use super::labels;

/// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters/create>
const MAXIMUM_FILTERS: usize = 1_000;

/// System labels that filters put on mail, and those that they take off.
const ADDED: [&str; 7] = [
    "STARRED",
    "TRASH",
    "IMPORTANT",
    "CATEGORY_PERSONAL",
    "CATEGORY_SOCIAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_UPDATES",
];
const REMOVED: [&str; 4] = ["INBOX", "UNREAD", "SPAM", "IMPORTANT"];

/// The settings of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Who mail may be sent as beside the account itself.
    pub(crate) aliases: Vec<Alias>,
    /// What the user ends messages with, as HTML.
    pub(crate) signature: String,
    filters: Vec<Filter>,
    vacation: Map<String, Value>,
}

#[derive(Debug)]
struct Filter {
    id: String,
    criteria: Map<String, Value>,
    action: Map<String, Value>,
}

impl Settings {
    /// A label is gone: filters no longer put it on anything, and those that did nothing else are gone with it.
    pub(crate) fn forget_label(&mut self, id: &str) {
        for filter in &mut self.filters {
            if let Some(Value::Array(labels)) = filter.action.get_mut("addLabelIds") {
                labels.retain(|label| label.as_str() != Some(id));
                if labels.is_empty() {
                    filter.action.remove("addLabelIds");
                }
            }
        }
        self.filters.retain(|filter| !filter.action.is_empty());
    }
}

fn show(filter: &Filter) -> Value {
    json!({"id": filter.id, "criteria": filter.criteria, "action": filter.action})
}

pub(crate) fn list_filters(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| {
        let filters: Vec<Value> = mailbox.settings.filters.iter().map(show).collect();
        // As everywhere, no list is sent where it would be empty.
        Ok(Some(if filters.is_empty() {
            json!({})
        } else {
            json!({ "filter": filters })
        }))
    })
}

pub(crate) fn get_filter(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| {
        let mut filters = mailbox.settings.filters.iter();
        let filter = filters.find(|filter| filter.id == call.value("id"));
        filter.map(show).map(Some).ok_or_else(Failure::not_found)
    })
}

pub(crate) fn delete_filter(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| {
        let before = mailbox.settings.filters.len();
        let filters = &mut mailbox.settings.filters;
        filters.retain(|filter| filter.id != call.value("id"));
        if filters.len() == before {
            return Err(Failure::not_found());
        }
        Ok(None)
    })
}

pub(crate) fn create_filter(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let object = |name: &str| {
        let object = call.body.get(name).and_then(Value::as_object);
        object.map(said).unwrap_or_default()
    };
    let (criteria, action) = (object("criteria"), object("action"));
    if criteria.is_empty() {
        return Err(Failure::invalid_argument("Missing filter criteria"));
    }
    if action.is_empty() {
        return Err(Failure::invalid_argument("Missing filter action"));
    }
    let has_size = criteria.contains_key("size");
    let compares = criteria.get("sizeComparison").and_then(Value::as_str);
    if has_size != matches!(compares, Some("larger" | "smaller")) {
        return Err(Failure::invalid_argument("Invalid size comparison"));
    }
    if action.contains_key("forward") {
        // Only addresses whose owners agreed can be forwarded to, and there are none here.
        return Err(Failure::invalid_argument("Unrecognized forwarding address"));
    }
    call.with_mailbox(|mailbox, random| {
        let texts = |name: &str| {
            let texts = action.get(name).and_then(Value::as_array);
            let texts = texts.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        let (add, remove) = (texts("addLabelIds"), texts("removeLabelIds"));
        let users: Vec<&String> = add.iter().filter(|id| !labels::is_system(id)).collect();
        for label in &add {
            let known = ADDED.contains(&label.as_str())
                || (!labels::is_system(label) && labels::exists(mailbox, label));
            if !known {
                let message = format!("Invalid label {label} in AddLabelIds");
                return Err(Failure::invalid_argument(message));
            }
        }
        for label in &remove {
            if !REMOVED.contains(&label.as_str()) {
                let message = format!("Invalid label {label} in RemoveLabelIds");
                return Err(Failure::invalid_argument(message));
            }
        }
        if users.len() > 1 {
            return Err(Failure::invalid_argument("Too many user labels"));
        }
        let filters = &mut mailbox.settings.filters;
        if filters
            .iter()
            .any(|known| known.criteria == criteria && known.action == action)
        {
            return Err(Failure::failed_precondition("Filter already exists"));
        }
        if filters.len() >= MAXIMUM_FILTERS {
            return Err(Failure::failed_precondition("Too many filters"));
        }
        let id: String = std::iter::repeat_with(|| random.alphanumeric())
            .take(40)
            .collect();
        let filter = Filter {
            id: format!("ANe1Bm{id}"),
            criteria,
            action,
        };
        let shown = show(&filter);
        filters.push(filter);
        Ok(Some(shown))
    })
}

/// What an object says: null, false and what is empty says nothing.
fn said(object: &Map<String, Value>) -> Map<String, Value> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    let fields = object.iter().filter(|(_, value)| says(value));
    fields
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub(crate) fn get_vacation(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| Ok(Some(vacation(&mailbox.settings.vacation))))
}

/// Replaces all of it.
pub(crate) fn update_vacation(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let vacation_settings = said(&call.body);
    let is_set = |name: &str| vacation_settings.contains_key(name);
    let says = [
        "responseSubject",
        "responseBodyPlainText",
        "responseBodyHtml",
    ];
    if is_set("enableAutoReply") && !says.into_iter().any(is_set) {
        return Err(Failure::invalid_argument(
            "Either the response subject or the response body must be nonempty",
        ));
    }
    let time = |name: &str| match vacation_settings.get(name) {
        Some(Value::String(text)) => text.parse::<i64>().ok(),
        Some(value) => value.as_i64(),
        None => None,
    };
    if time("startTime")
        .zip(time("endTime"))
        .is_some_and(|(start, end)| start >= end)
    {
        return Err(Failure::invalid_argument(
            "The start time must precede the end time",
        ));
    }
    call.with_mailbox(|mailbox, _| {
        mailbox.settings.vacation = vacation_settings.clone();
        Ok(Some(vacation(&mailbox.settings.vacation)))
    })
}

/// The settings as they are shown: 64-bit numbers as text, and the switch always.
fn vacation(settings: &Map<String, Value>) -> Value {
    let mut shown = Map::new();
    shown.insert("enableAutoReply".to_owned(), json!(false));
    for (name, value) in settings {
        let value = match (name.as_str(), value) {
            ("startTime" | "endTime", Value::Number(number)) => json!(number.to_string()),
            _ => value.clone(),
        };
        shown.insert(name.clone(), value);
    }
    Value::Object(shown)
}
