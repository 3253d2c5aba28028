//! Between Gmail's filters and rules, and between its vacation responder and automatic replies.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};
use crate::gmail::wire;
use crate::model::{
    AutomaticReply, FolderId, NewRule, ReplyAudience, ReplySchedule, ReplyText, Rule, RuleActions,
    RuleConditions, RuleId, RulePart,
};

const INBOX: &str = "INBOX";
const TRASH: &str = "TRASH";
const IMPORTANT: &str = "IMPORTANT";
const UNREAD: &str = "UNREAD";

/// Sizes are bytes at Gmail and kilobytes here.
const KILOBYTE: i64 = 1024;

/// A filter as a rule; `None` without an id.
pub(in crate::gmail) fn rule(filter: wire::Filter) -> Option<Rule> {
    let id = filter.id.filter(|id| !id.is_empty())?;
    let mut rule = Rule::new(RuleId::from(id));
    let mut criteria = filter.criteria.unwrap_or_default();
    let mut action = filter.action.unwrap_or_default();
    rule.conditions = conditions(&mut criteria);
    rule.actions = actions(&mut action);
    let rest = |of: &'static str, values: Map<String, Value>| {
        values
            .into_iter()
            .filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)))
            .map(move |(name, value)| RulePart::new(format!("{of}.{name}"), value.to_string()))
    };
    rule.other = rest("criteria", criteria)
        .chain(rest("action", action))
        .collect();
    Some(rule)
}

/// Takes what the model has from a filter's criteria; the rest stays.
fn conditions(criteria: &mut Map<String, Value>) -> RuleConditions {
    let mut conditions = RuleConditions::default();
    let mut take = |name: &str, phrase: bool| {
        let texts = any_of(criteria.get(name)?.as_str()?, phrase)?;
        criteria.remove(name);
        Some(texts)
    };
    conditions.from = take("from", true).unwrap_or_default();
    conditions.to = take("to", true).unwrap_or_default();
    conditions.subject = take("subject", true).unwrap_or_default();
    conditions.words = take("query", false).unwrap_or_default();
    if criteria.get("hasAttachment") == Some(&Value::Bool(true)) {
        criteria.remove("hasAttachment");
        conditions.has_attachment = true;
    }
    let size = criteria.get("size").and_then(Value::as_i64);
    let larger = criteria.get("sizeComparison").and_then(Value::as_str) == Some("larger");
    let kilobytes = size.filter(|size| larger && *size > 0 && size % KILOBYTE == 0);
    conditions.larger_than = kilobytes.and_then(|size| u32::try_from(size / KILOBYTE).ok());
    if conditions.larger_than.is_some() {
        criteria.remove("size");
        criteria.remove("sizeComparison");
    }
    conditions
}

/// The texts of which one is enough, if a criterion says no more than that. Words that stand beside each other are one text
/// where Gmail looks for them together, as `phrase` says.
fn any_of(text: &str, phrase: bool) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for term in alternatives(text) {
        let term = term.trim();
        let quoted = term
            .strip_prefix('"')
            .and_then(|term| term.strip_suffix('"'));
        let plain = |term: &&str| {
            let operators = ['"', '(', ')', '{', '}', ':', '|', '*'];
            let words_are_one = phrase || !term.contains(char::is_whitespace);
            words_are_one
                && !term.contains(operators)
                && !term.split_whitespace().any(|word| word.starts_with('-'))
        };
        let term = match quoted {
            Some(quoted) => Some(quoted).filter(|term| !term.contains('"')),
            None => Some(term).filter(plain),
        };
        texts.push(term.filter(|term| !term.is_empty())?.to_owned());
    }
    Some(texts)
}

/// What stands between the `OR`s that are not part of a quoted text.
fn alternatives(text: &str) -> Vec<&str> {
    const OR: &str = " OR ";
    let mut found = Vec::new();
    let (mut rest, mut searched) = (text, 0);
    while let Some(place) = rest
        .get(searched..)
        .and_then(|unsearched| unsearched.find(OR))
    {
        let (term, after) = rest.split_at(searched + place);
        searched = term.len() + OR.len();
        if term.matches('"').count() % 2 == 0 {
            found.push(term);
            rest = after.strip_prefix(OR).unwrap_or(after);
            searched = 0;
        }
    }
    found.push(rest);
    found
}

/// Takes what the model has from a filter's actions; the rest stays.
fn actions(action: &mut Map<String, Value>) -> RuleActions {
    let mut actions = RuleActions::default();
    let mut added = labels(action.remove("addLabelIds"));
    let mut removed = labels(action.remove("removeLabelIds"));
    let take = |labels: &mut Vec<String>, wanted: &str| {
        let before = labels.len();
        labels.retain(|label| label != wanted);
        labels.len() != before
    };
    actions.trash = take(&mut added, TRASH);
    actions.mark_important = take(&mut added, IMPORTANT);
    actions.mark_read = take(&mut removed, UNREAD);
    if take(&mut removed, INBOX) {
        // Gmail's own labels have names in capitals; only the user's are folders that mail is moved to.
        let place = added.iter().position(|label| label.starts_with("Label_"));
        match place.map(|place| added.remove(place)) {
            Some(label) => actions.move_to = Some(FolderId::from(label)),
            None => actions.archive = true,
        }
    }
    for (name, labels) in [("addLabelIds", added), ("removeLabelIds", removed)] {
        if !labels.is_empty() {
            action.insert(name.to_owned(), labels.into());
        }
    }
    actions
}

fn labels(value: Option<Value>) -> Vec<String> {
    let labels = value.as_ref().and_then(Value::as_array);
    labels
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// A new rule as a filter's criteria and action.
pub(in crate::gmail) fn filter(
    rule: &NewRule,
) -> Result<(wire::FilterCriteria, wire::FilterAction)> {
    let NewRule {
        conditions,
        actions,
        ..
    } = rule;
    if conditions.is_empty() || actions.is_empty() {
        return Err(invalid("a rule needs a condition and an action"));
    }
    let bytes = |kilobytes: u32| {
        let bytes = i64::from(kilobytes) * KILOBYTE;
        let fits = i32::try_from(bytes).is_ok();
        fits.then_some(bytes)
            .ok_or_else(|| invalid("no message is as large as that"))
    };
    let criteria = wire::FilterCriteria {
        from: written(&conditions.from)?,
        to: written(&conditions.to)?,
        subject: written(&conditions.subject)?,
        query: written(&conditions.words)?,
        has_attachment: conditions.has_attachment.then_some(true),
        size: conditions.larger_than.map(bytes).transpose()?,
        size_comparison: conditions.larger_than.map(|_| "larger"),
    };
    let places = [actions.move_to.is_some(), actions.archive, actions.trash];
    if places.into_iter().filter(|place| *place).count() > 1 {
        return Err(invalid("a rule can put a message into one place only"));
    }
    let mut action = wire::FilterAction::default();
    let (add, remove) = (&mut action.add_label_ids, &mut action.remove_label_ids);
    match actions.move_to.as_ref().map(FolderId::as_str) {
        None => {}
        Some(TRASH) => add.push(TRASH.to_owned()),
        Some(label) if label.starts_with("Label_") => {
            add.push(label.to_owned());
            remove.push(INBOX.to_owned());
        }
        Some(_) => {
            return Err(Error::unsupported(
                "a filter of Gmail's moves mail to labels of the user's own or to the trash",
            ));
        }
    }
    if actions.archive {
        remove.push(INBOX.to_owned());
    }
    if actions.trash {
        add.push(TRASH.to_owned());
    }
    if actions.mark_important {
        add.push(IMPORTANT.to_owned());
    }
    if actions.mark_read {
        remove.push(UNREAD.to_owned());
    }
    Ok((criteria, action))
}

/// Texts of which one is enough, in the words of Gmail's search. Each is quoted, so that no word of it is an operator.
fn written(texts: &[String]) -> Result<Option<String>> {
    let mut terms = Vec::with_capacity(texts.len());
    for text in texts {
        let text = text.trim();
        if text.is_empty() || text.contains('"') || text.contains(char::is_control) {
            return Err(invalid(
                "a condition needs a text without quotes and control characters",
            ));
        }
        terms.push(format!("\"{text}\""));
    }
    Ok((!terms.is_empty()).then(|| terms.join(" OR ")))
}

/// What the vacation responder does.
pub(in crate::gmail) fn automatic_reply(vacation: wire::Vacation) -> AutomaticReply {
    let instant = |millis: Option<i64>| millis.and_then(DateTime::from_timestamp_millis);
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (from, until) = (instant(vacation.start_time), instant(vacation.end_time));
    let schedule = match (vacation.enable_auto_reply, from, until) {
        (Some(true), None, None) => ReplySchedule::Always,
        (Some(true), from, until) => ReplySchedule::Between { from, until },
        _ => ReplySchedule::Never,
    };
    let contacts = vacation.restrict_to_contacts == Some(true);
    let audience = match (contacts, vacation.restrict_to_domain == Some(true)) {
        (false, false) => ReplyAudience::Everyone,
        (true, false) => ReplyAudience::Contacts,
        (false, true) => ReplyAudience::Organisation,
        (true, true) => ReplyAudience::ContactsInOrganisation,
    };
    AutomaticReply {
        schedule,
        audience,
        subject: given(vacation.response_subject),
        message: ReplyText {
            text: given(vacation.response_body_plain_text),
            html: given(vacation.response_body_html),
        },
        external_message: None,
    }
}

/// An automatic reply for the vacation responder.
pub(in crate::gmail) fn vacation(reply: &AutomaticReply) -> Result<wire::Vacation> {
    if reply.external_message.is_some() {
        return Err(Error::unsupported(
            "Gmail answers everybody with the same text",
        ));
    }
    let ReplyText { text, html } = &reply.message;
    if reply.schedule != ReplySchedule::Never
        && reply.message.is_empty()
        && reply.subject.as_deref().is_none_or(str::is_empty)
    {
        return Err(invalid("an automatic reply needs a text"));
    }
    let millis = |instant: Option<DateTime<Utc>>| instant.map(|instant| instant.timestamp_millis());
    let (from, until) = match reply.schedule {
        ReplySchedule::Between { from, until } => (from, until),
        _ => (None, None),
    };
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(invalid("an automatic reply ends after it begins"));
    }
    let audience = reply.audience;
    Ok(wire::Vacation {
        enable_auto_reply: Some(reply.schedule != ReplySchedule::Never),
        response_subject: reply.subject.clone(),
        response_body_plain_text: text.clone(),
        response_body_html: html.clone(),
        restrict_to_contacts: Some(matches!(
            audience,
            ReplyAudience::Contacts | ReplyAudience::ContactsInOrganisation
        )),
        restrict_to_domain: Some(matches!(
            audience,
            ReplyAudience::Organisation | ReplyAudience::ContactsInOrganisation
        )),
        start_time: millis(from),
        end_time: millis(until),
    })
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
