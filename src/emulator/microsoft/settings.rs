//! The settings of a mailbox, of which automatic replies can be changed. Nobody is answered.
//! <https://learn.microsoft.com/en-us/graph/api/resources/mailboxsettings>

use chrono::NaiveDateTime;
use http::Method;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Reply, field, only_fields, text_field, wrong_type};
use super::error::GraphError;
use super::query;

const TYPE: &str = "microsoft.graph.mailboxSettings";
const PROPERTIES: [&str; 9] = [
    "archiveFolder",
    "automaticRepliesSetting",
    "dateFormat",
    "delegateMeetingMessageDeliveryOptions",
    "language",
    "timeFormat",
    "timeZone",
    "userPurpose",
    "workingHours",
];
const REPLIES: [&str; 6] = [
    "status",
    "externalAudience",
    "scheduledStartDateTime",
    "scheduledEndDateTime",
    "internalReplyMessage",
    "externalReplyMessage",
];

/// <https://learn.microsoft.com/en-us/graph/api/resources/automaticrepliessetting>
#[derive(Clone, Debug)]
pub(crate) struct AutomaticReplies {
    status: String,
    audience: String,
    /// `dateTime` and `timeZone` of each end.
    schedule: [(String, String); 2],
    internal: String,
    external: String,
}

impl Default for AutomaticReplies {
    fn default() -> Self {
        let time = |text: &str| (text.to_owned(), "UTC".to_owned());
        Self {
            status: "disabled".to_owned(),
            audience: "all".to_owned(),
            // There is a schedule also where there is none.
            schedule: [
                time("2026-11-22T08:00:00.0000000"),
                time("2026-11-23T08:00:00.0000000"),
            ],
            internal: String::new(),
            external: String::new(),
        }
    }
}

/// Below `/mailboxSettings`.
pub(crate) fn route(call: &Call<'_>, rest: &[String]) -> Answer {
    match (&call.method, rest) {
        (&Method::GET, []) => get(call),
        (&Method::PATCH, []) => update(call),
        (&Method::GET, [name]) if name.eq_ignore_ascii_case("automaticRepliesSetting") => {
            need_read(call)?;
            call.no_query()?;
            call.mailbox(|mailbox, _| Ok(Reply::json(show(&mailbox.automatic_replies))))
        }
        (_, []) => Err(GraphError::method_not_allowed()),
        (_, [.., last]) => Err(GraphError::no_such_segment(last)),
    }
}

fn need_read(call: &Call<'_>) -> Result<(), GraphError> {
    call.need(&["MailboxSettings.Read", "MailboxSettings.ReadWrite"])
}

fn get(call: &Call<'_>) -> Answer {
    need_read(call)?;
    let listing = query::single(call, &PROPERTIES, TYPE, &[])?;
    answer(call, |name| listing.wants(name, true))
}

fn answer(call: &Call<'_>, wants: impl Fn(&str) -> bool) -> Answer {
    call.mailbox(|mailbox, _| {
        let all = [
            ("archiveFolder", json!(mailbox.well_known_id("archive"))),
            ("timeZone", json!("UTC")),
            ("dateFormat", json!("yyyy-MM-dd")),
            ("timeFormat", json!("HH:mm")),
            ("automaticRepliesSetting", show(&mailbox.automatic_replies)),
        ];
        let mut shown = Map::new();
        shown.insert("@odata.context".to_owned(), call.context("mailboxSettings"));
        for (name, value) in all {
            if wants(name) {
                shown.insert(name.to_owned(), value);
            }
        }
        Ok(Reply::json(Value::Object(shown)))
    })
}

fn show(replies: &AutomaticReplies) -> Value {
    let [start, end] = &replies.schedule;
    let time = |(date_time, time_zone): &(String, String)| json!({"dateTime": date_time, "timeZone": time_zone});
    json!({
        "status": replies.status,
        "externalAudience": replies.audience,
        "scheduledStartDateTime": time(start),
        "scheduledEndDateTime": time(end),
        "internalReplyMessage": replies.internal,
        "externalReplyMessage": replies.external,
    })
}

/// <https://learn.microsoft.com/en-us/graph/api/user-update-mailboxsettings>
fn update(call: &Call<'_>) -> Answer {
    call.need(&["MailboxSettings.ReadWrite"])?;
    call.no_query()?;
    let body = call.json()?;
    only_fields(&body, &PROPERTIES, TYPE)?;
    let others = body
        .keys()
        .any(|name| !name.contains('@') && !name.eq_ignore_ascii_case("automaticRepliesSetting"));
    if others {
        return Err(GraphError::bad_request(
            "ErrorInvalidRequest",
            "Only automatic replies can be changed here.",
        ));
    }
    let Some(Value::Object(setting)) = field(&body, "automaticRepliesSetting") else {
        return Err(wrong_type("automaticRepliesSetting"));
    };
    only_fields(setting, &REPLIES, "microsoft.graph.automaticRepliesSetting")?;
    call.mailbox(|mailbox, _| {
        let mut replies = mailbox.automatic_replies.clone();
        let statuses = ["disabled", "alwaysEnabled", "scheduled"];
        one_of(setting, "status", &statuses, &mut replies.status)?;
        let audiences = ["none", "contactsOnly", "all"];
        one_of(
            setting,
            "externalAudience",
            &audiences,
            &mut replies.audience,
        )?;
        let [start, end] = &mut replies.schedule;
        for (name, into) in [
            ("scheduledStartDateTime", start),
            ("scheduledEndDateTime", end),
        ] {
            match field(setting, name) {
                None => {}
                Some(Value::Object(time)) => *into = read_time(time)?,
                Some(_) => return Err(wrong_type(name)),
            }
        }
        if replies.status == "scheduled" && replies.schedule[0] >= replies.schedule[1] {
            return Err(GraphError::bad_request(
                "ErrorInvalidParameter",
                "The scheduled start has to be before the scheduled end.",
            ));
        }
        if let Some(text) = text_field(setting, "internalReplyMessage")? {
            replies.internal = text;
        }
        if let Some(text) = text_field(setting, "externalReplyMessage")? {
            replies.external = text;
        }
        mailbox.automatic_replies = replies;
        Ok(())
    })?;
    answer(call, |name| name == "automaticRepliesSetting")
}

fn one_of(
    setting: &Map<String, Value>,
    name: &str,
    known: &[&str],
    into: &mut String,
) -> Result<(), GraphError> {
    let Some(value) = text_field(setting, name)? else {
        return Ok(());
    };
    let found = known
        .iter()
        .find(|known| known.eq_ignore_ascii_case(&value));
    let found = found.ok_or_else(|| {
        GraphError::body(format!(
            "Requested value '{value}' was not found for the property '{name}'."
        ))
    })?;
    *into = (*found).to_owned();
    Ok(())
}

/// Times are kept in UTC, as they are asked for unless a header says otherwise.
fn read_time(time: &Map<String, Value>) -> Result<(String, String), GraphError> {
    only_fields(
        time,
        &["dateTime", "timeZone"],
        "microsoft.graph.dateTimeTimeZone",
    )?;
    let date_time = text_field(time, "dateTime")?.unwrap_or_default();
    let read = NaiveDateTime::parse_from_str(&date_time, "%Y-%m-%dT%H:%M:%S%.f");
    let zone = text_field(time, "timeZone")?.unwrap_or_default();
    match read {
        Ok(read) if zone.eq_ignore_ascii_case("UTC") => Ok((
            read.format("%Y-%m-%dT%H:%M:%S%.6f0").to_string(),
            "UTC".to_owned(),
        )),
        Ok(_) => Err(GraphError::bad_request(
            "ErrorInvalidTimeZone",
            "The emulator knows UTC only.",
        )),
        Err(_) => Err(wrong_type("dateTime")),
    }
}
