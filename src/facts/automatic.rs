//! Whether a machine wrote a message, and whether a machine may answer it
//! (<https://www.rfc-editor.org/rfc/rfc3834>).

use serde::Serialize;

use super::source::Source;

/// Why a machine wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Automatic {
    /// By itself: an alarm, a receipt, a newsletter.
    Generated,
    /// To answer another message: an out-of-office reply, a bounce.
    Replied,
    /// Because its user asked to be told of something
    /// ([RFC 5436 §2.7.1](https://www.rfc-editor.org/rfc/rfc5436#section-2.7.1)).
    Notified,
    /// For a reason of its own.
    Other,
}

/// `Auto-Submitted` decides where it is; other lines are older habits of answering machines.
pub(super) fn automatic(source: &Source<'_>) -> Option<Automatic> {
    if let Some(value) = source.header("Auto-Submitted") {
        return match first_word(value).as_str() {
            "no" => None,
            "auto-generated" => Some(Automatic::Generated),
            "auto-replied" => Some(Automatic::Replied),
            "auto-notified" => Some(Automatic::Notified),
            _ => Some(Automatic::Other),
        };
    }
    let answered = ["X-Autoreply", "X-Autorespond", "X-Autoresponder"]
        .iter()
        .any(|name| {
            source
                .header(name)
                .is_some_and(|value| first_word(value) != "no")
        });
    (answered || precedence(source).as_deref() == Some("auto_reply")).then_some(Automatic::Replied)
}

pub(super) fn is_bulk(source: &Source<'_>) -> bool {
    matches!(
        precedence(source).as_deref(),
        Some("bulk" | "list" | "junk")
    )
}

/// Whether the header asks that no machine answers, or there is nobody to answer.
pub(super) fn asks_for_no_answer(source: &Source<'_>) -> bool {
    // <https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcmail/ced68690-498a-4567-9d14-5c01f974d8b1>:
    // the other values are about receipts.
    let suppressed = source.all("X-Auto-Response-Suppress").any(|value| {
        value.split(',').any(|word| {
            ["all", "oof", "autoreply"].contains(&word.trim().to_ascii_lowercase().as_str())
        })
    });
    let nobody = source.header("Return-Path").is_some_and(|value| {
        let path: String = value.chars().filter(|c| !c.is_whitespace()).collect();
        path == "<>"
    });
    suppressed || nobody
}

fn precedence(source: &Source<'_>) -> Option<String> {
    source.header("Precedence").map(first_word)
}

/// What stands before parameters and comments.
fn first_word(value: &str) -> String {
    let end = value.find([';', '(']).unwrap_or(value.len());
    value.split_at(end).0.trim().to_ascii_lowercase()
}
