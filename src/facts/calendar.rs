//! The iCalendar parts of a message, such as an invitation to a meeting (<https://www.rfc-editor.org/rfc/rfc6047>). They are
//! found and handed out; reading them is a calendar's work.

use serde::Serialize;

use super::source::{Part, Source};
use crate::model::AttachmentId;

/// An iCalendar part.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CalendarPart {
    /// The id to fetch it by, where the service gives it one. Graph does not: invitations come apart there, and only the
    /// raw message has the part.
    pub attachment: Option<AttachmentId>,
    /// What the sender wants.
    pub method: Option<CalendarMethod>,
    /// The `UID` of the first event or task in it.
    pub uid: Option<String>,
    /// The iCalendar text, if the raw message was at hand.
    pub text: Option<String>,
}

/// What the sender of a calendar part wants (<https://www.rfc-editor.org/rfc/rfc5546#section-1.4>).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CalendarMethod {
    /// To tell of an event.
    Publish,
    /// To invite, or to change an invitation.
    Request,
    /// To answer an invitation.
    Reply,
    /// To add to a series of events.
    Add,
    /// To call an event off.
    Cancel,
    /// To have the newest version.
    Refresh,
    /// To propose another time.
    Counter,
    /// To decline such a proposal.
    DeclineCounter,
    /// Another, in upper case.
    Other(String),
}

opaque_debug!(CalendarPart);

pub(super) fn calendar(source: &Source<'_>) -> Vec<CalendarPart> {
    let parts = source.parts.iter().filter(|part| is_calendar(part));
    let mut found: Vec<CalendarPart> = parts.map(read).collect();
    // The same event comes twice in many invitations: in the text's place, and as a file for those who missed it.
    let mut seen: Vec<String> = Vec::new();
    found.retain(|part| match &part.text {
        Some(text) if seen.iter().any(|other| same(other, text)) => false,
        Some(text) => {
            seen.push(text.clone());
            true
        }
        None => true,
    });
    // Exchange says it in the header and keeps no such part
    // (<https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcical>).
    let says_so = source.header("Content-Class").is_some_and(|class| {
        class
            .trim()
            .eq_ignore_ascii_case("urn:content-classes:calendarmessage")
    });
    if found.is_empty() && says_so {
        found.push(CalendarPart {
            attachment: None,
            method: None,
            uid: None,
            text: None,
        });
    }
    found
}

fn is_calendar(part: &Part<'_>) -> bool {
    let named = |name: &str| {
        name.trim()
            .rsplit('.')
            .next()
            .is_some_and(|end| end.eq_ignore_ascii_case("ics"))
    };
    match part.media_type.as_str() {
        "text/calendar" | "application/ics" => true,
        "application/octet-stream" => part.name.as_deref().is_some_and(named),
        _ => false,
    }
}

fn read(part: &Part<'_>) -> CalendarPart {
    let text = part
        .content
        .as_deref()
        .map(|content| String::from_utf8_lossy(content).into_owned());
    let lines = text.as_deref().map(unfold).unwrap_or_default();
    let property = |name: &str| {
        lines.iter().find_map(|line| {
            let (given, value) = line.split_once(':')?;
            let given = given.split(';').next()?;
            let value = value.trim();
            (given.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then(|| value.to_owned())
        })
    };
    CalendarPart {
        attachment: part.attachment.clone(),
        method: property("METHOD")
            .or_else(|| part.parameter("method"))
            .map(|method| method_of(&method)),
        uid: property("UID"),
        text,
    }
}

fn method_of(method: &str) -> CalendarMethod {
    match method.trim().to_ascii_uppercase().as_str() {
        "PUBLISH" => CalendarMethod::Publish,
        "REQUEST" => CalendarMethod::Request,
        "REPLY" => CalendarMethod::Reply,
        "ADD" => CalendarMethod::Add,
        "CANCEL" => CalendarMethod::Cancel,
        "REFRESH" => CalendarMethod::Refresh,
        "COUNTER" => CalendarMethod::Counter,
        "DECLINECOUNTER" => CalendarMethod::DeclineCounter,
        other => CalendarMethod::Other(other.to_owned()),
    }
}

/// The content lines: one that begins with a space goes on from the last
/// (<https://www.rfc-editor.org/rfc/rfc5545#section-3.1>).
fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn same(one: &str, other: &str) -> bool {
    one.lines()
        .map(str::trim_end)
        .eq(other.lines().map(str::trim_end))
}
