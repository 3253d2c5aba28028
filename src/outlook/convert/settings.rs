//! Between Outlook's inbox rules, automatic replies and categories and the model's.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use super::Roles;
use crate::error::{Error, ErrorKind, Result};
use crate::http::protocol;
use crate::model::{
    AutomaticReply, Category, CategoryColor, CategoryId, FolderId, FolderRole, NewRule,
    ReplyAudience, ReplySchedule, ReplyText, Rule, RuleActions, RuleConditions, RuleId, RulePart,
};
use crate::outlook::wire;

/// What a rule is called whose maker gave it no name: the service wants one.
const UNNAMED: &str = "Rule";

/// How an instant is written that has a time zone beside it: with seven digits of the second.
const INSTANT: &str = "%Y-%m-%dT%H:%M:%S%.6f0";

/// A rule of the service's; `None` without an id.
pub(in crate::outlook) fn rule(wire: wire::MessageRule, roles: &Roles) -> Option<Rule> {
    let id = wire.id.filter(|id| !id.is_empty())?;
    let mut rule = Rule::new(RuleId::from(id));
    rule.name = wire.display_name.filter(|name| !name.is_empty());
    rule.enabled = wire.is_enabled != Some(false);
    let mut conditions = wire.conditions.unwrap_or_default();
    let mut actions = wire.actions.unwrap_or_default();
    rule.conditions = read_conditions(&mut conditions);
    rule.actions = read_actions(&mut actions, roles);
    let exceptions = wire.exceptions.unwrap_or_default();
    for (of, values) in [
        ("conditions", conditions),
        ("exceptions", exceptions),
        ("actions", actions),
    ] {
        let said = values.into_iter().filter(|(_, value)| says(value));
        rule.other.extend(
            said.map(|(name, value)| RulePart::new(format!("{of}.{name}"), value.to_string())),
        );
    }
    if wire.has_error == Some(true) {
        rule.other.push(RulePart::new("hasError", "true"));
    }
    Some(rule)
}

/// Whether a value asks for something: the service also writes what does not.
fn says(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// Takes what the model has from a rule's conditions; the rest stays.
fn read_conditions(values: &mut Map<String, Value>) -> RuleConditions {
    let mut conditions = RuleConditions {
        subject: texts(values.remove("subjectContains")),
        words: texts(values.remove("bodyOrSubjectContains")),
        ..RuleConditions::default()
    };
    for (texts_of, contains, addresses) in [
        (&mut conditions.from, "senderContains", "fromAddresses"),
        (&mut conditions.to, "recipientContains", "sentToAddresses"),
    ] {
        *texts_of = texts(values.remove(contains));
        // Both would have to hold, which one list of texts does not say.
        if texts_of.is_empty() {
            *texts_of = recipients(values.remove(addresses));
        }
    }
    if values.get("hasAttachments") == Some(&Value::Bool(true)) {
        values.remove("hasAttachments");
        conditions.has_attachment = true;
    }
    let range = values.get("withinSizeRange").and_then(Value::as_object);
    let size = |name: &str| range.and_then(|range| range.get(name)?.as_i64());
    let open = matches!(size("maximumSize"), None | Some(0));
    let minimum = size("minimumSize").filter(|size| open && *size > 0);
    conditions.larger_than = minimum.and_then(|size| u32::try_from(size).ok());
    if conditions.larger_than.is_some() {
        values.remove("withinSizeRange");
    }
    conditions
}

fn texts(value: Option<Value>) -> Vec<String> {
    let texts = value.as_ref().and_then(Value::as_array);
    let texts = texts.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn recipients(value: Option<Value>) -> Vec<String> {
    let recipients = value.as_ref().and_then(Value::as_array);
    recipients
        .into_iter()
        .flatten()
        .filter_map(|recipient| recipient.pointer("/emailAddress/address")?.as_str())
        .map(str::to_owned)
        .collect()
}

/// Takes what the model has from a rule's actions; the rest stays.
fn read_actions(values: &mut Map<String, Value>, roles: &Roles) -> RuleActions {
    let mut take = |name: &str, wanted: &Value| {
        let found = values.get(name) == Some(wanted);
        if found {
            values.remove(name);
        }
        found
    };
    let mut actions = RuleActions {
        trash: take("delete", &Value::Bool(true)),
        mark_read: take("markAsRead", &Value::Bool(true)),
        mark_important: take("markImportance", &Value::from("high")),
        ..RuleActions::default()
    };
    let folder = values.get("moveToFolder").and_then(Value::as_str);
    if let Some(folder) = folder.filter(|folder| !folder.is_empty()) {
        let folder = FolderId::from(folder);
        if roles.id(FolderRole::Archive) == Some(&folder) {
            actions.archive = true;
        } else {
            actions.move_to = Some(folder);
        }
        values.remove("moveToFolder");
    }
    actions
}

/// A new rule, to be applied after those that there are.
pub(in crate::outlook) fn new_rule(
    rule: &NewRule,
    sequence: i32,
    roles: &Roles,
) -> Result<wire::NewMessageRule> {
    let NewRule {
        name,
        conditions,
        actions,
    } = rule;
    if conditions.is_empty() || actions.is_empty() {
        return Err(invalid("a rule needs a condition and an action"));
    }
    let texts = [
        &conditions.from,
        &conditions.to,
        &conditions.subject,
        &conditions.words,
    ];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.trim().is_empty())
    {
        return Err(invalid("a condition needs a text"));
    }
    let larger_than = conditions.larger_than.map(i32::try_from).transpose();
    let larger_than = larger_than.map_err(|_| invalid("no message is as large as that"))?;
    let places = [actions.move_to.is_some(), actions.archive, actions.trash];
    if places.into_iter().filter(|place| *place).count() > 1 {
        return Err(invalid("a rule can put a message into one place only"));
    }
    let archive = || {
        let archive = roles.id(FolderRole::Archive);
        archive.ok_or_else(|| {
            Error::unsupported("this mailbox has no archive yet: archive a message first")
        })
    };
    let folder = match &actions.move_to {
        None if actions.archive => Some(archive()?),
        folder => folder.as_ref(),
    };
    Ok(wire::NewMessageRule {
        display_name: name
            .as_deref()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .unwrap_or(UNNAMED)
            .to_owned(),
        sequence,
        is_enabled: true,
        conditions: wire::RulePredicates {
            sender_contains: conditions.from.clone(),
            recipient_contains: conditions.to.clone(),
            subject_contains: conditions.subject.clone(),
            body_or_subject_contains: conditions.words.clone(),
            has_attachments: conditions.has_attachment.then_some(true),
            within_size_range: larger_than.map(|minimum_size| wire::SizeRange { minimum_size }),
        },
        actions: wire::RuleActions {
            move_to_folder: folder.map(|folder| folder.as_str().to_owned()),
            delete: actions.trash.then_some(true),
            mark_as_read: actions.mark_read.then_some(true),
            mark_importance: actions.mark_important.then_some("high"),
        },
    })
}

/// What the mailbox answers by itself.
pub(in crate::outlook) fn automatic_reply(
    setting: wire::AutomaticRepliesSetting,
) -> Result<AutomaticReply> {
    let is = |text: &Option<String>, value: &str| {
        text.as_deref()
            .is_some_and(|text| text.eq_ignore_ascii_case(value))
    };
    let text = |html: Option<String>| html.filter(|html| !html.is_empty()).map(ReplyText::html);
    let schedule = if is(&setting.status, "alwaysEnabled") {
        ReplySchedule::Always
    } else if is(&setting.status, "scheduled") {
        ReplySchedule::Between {
            from: instant(setting.scheduled_start_date_time)?,
            until: instant(setting.scheduled_end_date_time)?,
        }
    } else {
        ReplySchedule::Never
    };
    let audience = if is(&setting.external_audience, "none") {
        ReplyAudience::Organisation
    } else if is(&setting.external_audience, "contactsOnly") {
        ReplyAudience::Contacts
    } else {
        ReplyAudience::Everyone
    };
    let external = text(setting.external_reply_message);
    let message = text(setting.internal_reply_message).unwrap_or_default();
    Ok(AutomaticReply {
        schedule,
        audience,
        subject: None,
        external_message: external.filter(|external| *external != message),
        message,
    })
}

/// An instant is UTC unless another zone was asked for.
fn instant(time: Option<wire::DateTimeTimeZone>) -> Result<Option<DateTime<Utc>>> {
    let Some(wire::DateTimeTimeZone {
        date_time: Some(date_time),
        time_zone,
    }) = time
    else {
        return Ok(None);
    };
    let zone = time_zone.unwrap_or_default();
    let is_utc = ["", "UTC", "Etc/UTC", "GMT"]
        .iter()
        .any(|known| zone.eq_ignore_ascii_case(known));
    let date_time = date_time.trim_end_matches('Z');
    let read = NaiveDateTime::parse_from_str(date_time, "%Y-%m-%dT%H:%M:%S%.f").ok();
    match read.filter(|_| is_utc) {
        Some(read) => Ok(Some(read.and_utc())),
        None => Err(protocol("the time of an automatic reply is not UTC")),
    }
}

/// An automatic reply as the service keeps it.
pub(in crate::outlook) fn automatic_replies_setting(
    reply: &AutomaticReply,
) -> Result<wire::AutomaticRepliesSetting> {
    if reply
        .subject
        .as_deref()
        .is_some_and(|text| !text.is_empty())
    {
        return Err(Error::unsupported(
            "Outlook writes the subject of an automatic reply itself",
        ));
    }
    if reply.schedule != ReplySchedule::Never && reply.message.is_empty() {
        return Err(invalid("an automatic reply needs a text"));
    }
    let external_audience = match reply.audience {
        ReplyAudience::Everyone => "all",
        ReplyAudience::Contacts => "contactsOnly",
        ReplyAudience::Organisation => "none",
        ReplyAudience::ContactsInOrganisation => {
            return Err(Error::unsupported(
                "Outlook answers everybody in the organisation or nobody in it",
            ));
        }
    };
    let (status, schedule) = match reply.schedule {
        ReplySchedule::Never => ("disabled", None),
        ReplySchedule::Always => ("alwaysEnabled", None),
        ReplySchedule::Between {
            from: Some(from),
            until: Some(until),
        } if from < until => ("scheduled", Some((from, until))),
        ReplySchedule::Between {
            from: Some(_),
            until: Some(_),
        } => return Err(invalid("an automatic reply ends after it begins")),
        ReplySchedule::Between { .. } => {
            return Err(Error::unsupported(
                "a schedule of Outlook's has a beginning and an end",
            ));
        }
    };
    let written = |instant: DateTime<Utc>| wire::DateTimeTimeZone {
        date_time: Some(instant.format(INSTANT).to_string()),
        time_zone: Some("UTC".to_owned()),
    };
    let external = reply.external_message.as_ref().unwrap_or(&reply.message);
    Ok(wire::AutomaticRepliesSetting {
        status: Some(status.to_owned()),
        external_audience: Some(external_audience.to_owned()),
        scheduled_start_date_time: schedule.map(|(from, _)| written(from)),
        scheduled_end_date_time: schedule.map(|(_, until)| written(until)),
        internal_reply_message: Some(html(&reply.message)),
        external_reply_message: Some(html(external)),
    })
}

/// The text as HTML, which is all that the service keeps.
fn html(text: &ReplyText) -> String {
    match (&text.html, &text.text) {
        (Some(html), _) => html.clone(),
        (None, Some(text)) => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace("\r\n", "\n")
            .replace('\n', "<br>\n"),
        (None, None) => String::new(),
    }
}

/// An entry of the list of categories; `None` without an id.
pub(in crate::outlook) fn category(wire: wire::OutlookCategory) -> Option<Category> {
    let id = wire.id.filter(|id| !id.is_empty())?;
    let mut category = Category::new(CategoryId::from(id), wire.display_name.unwrap_or_default());
    let preset = wire.color.unwrap_or_default().to_ascii_lowercase();
    let number = preset.strip_prefix("preset");
    let number = number.and_then(|number| number.parse::<usize>().ok());
    category.color = number.and_then(|number| CategoryColor::ALL.get(number).copied());
    Some(category)
}

/// A colour by the service's name (<https://learn.microsoft.com/graph/api/resources/outlookcategory#properties>).
pub(in crate::outlook) fn category_color(color: Option<CategoryColor>) -> String {
    let mut colors = CategoryColor::ALL.iter();
    let number = colors.position(|known| Some(*known) == color);
    number.map_or_else(|| "none".to_owned(), |number| format!("preset{number}"))
}

/// The first colour that no category has yet, or the first of all.
pub(in crate::outlook) fn free_color(categories: &[Category]) -> Option<CategoryColor> {
    let is_free = |color: &&CategoryColor| {
        let mut categories = categories.iter();
        categories.all(|category| category.color != Some(**color))
    };
    let mut colors = CategoryColor::ALL.iter();
    let free = colors.find(is_free).or_else(|| CategoryColor::ALL.first());
    free.copied()
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
