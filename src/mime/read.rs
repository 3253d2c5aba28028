//! Reads headers and text of mail that came. Nothing here fails: what cannot be read is left out, because a malformed
//! message is still a message.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use mail_parser::{HeaderValue, MessageParser, MimeHeaders};

use super::charset::with_known_charsets;
use crate::model::{Address, Flowed, Header, Message, addresses_of};

/// The headers that say something here. The others are many times as long, and parsing them costs as much as all the rest.
const READ: [&str; 11] = [
    "Subject",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Date",
];

/// Fills in what a message's header lines say: subject, addresses, ids and date.
pub(crate) fn read_headers(message: &mut Message, headers: &[Header]) {
    let mut block = String::new();
    for header in headers {
        if READ
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&header.name))
        {
            let value = unfolded(&header.value);
            for text in [header.name.as_str(), ": ", value.as_ref(), "\r\n"] {
                block.push_str(text);
            }
        }
    }
    block.push_str("\r\n");
    read_header_block(message, block.as_bytes());
}

/// The same, from the lines as they came.
pub(super) fn read_header_block(message: &mut Message, block: &[u8]) {
    let Some(parsed) = MessageParser::new().parse_headers(block) else {
        return;
    };
    let list = |list: Option<&mail_parser::Address<'_>>| list.map(addresses_of).unwrap_or_default();
    message.subject = parsed.subject().map(str::to_owned);
    message.from = list(parsed.from());
    message.sender = list(parsed.sender()).into_iter().next();
    message.reply_to = list(parsed.reply_to());
    message.to = every(parsed.all_to());
    message.cc = every(parsed.all_cc());
    message.bcc = every(parsed.all_bcc());
    message.message_id = parsed.message_id().map(str::to_owned);
    message.in_reply_to = texts(parsed.in_reply_to());
    message.references = texts(parsed.references());
    message.sent_at = parsed.date().and_then(instant);
}

/// A parameter of a `Content-Type` or `Content-Disposition` value, decoded after RFC 2231 and RFC 2047.
pub(crate) fn parameter(value: &str, name: &str) -> Option<String> {
    // Most values have none of the parameters that are looked for, and need no parser.
    let mut windows = value.as_bytes().windows(name.len());
    if !windows.any(|window| window.eq_ignore_ascii_case(name.as_bytes())) {
        return None;
    }
    let header = format!("Content-Type: {}\r\n\r\n", unfolded(value));
    let parsed = MessageParser::new().parse_headers(header.as_bytes())?;
    let text = parsed.content_type()?.attribute(name)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// How the lines of a text part were wrapped, if its `Content-Type` says that this can be undone
/// (<https://www.rfc-editor.org/rfc/rfc3676#section-4>).
pub(crate) fn flowed(content_type: Option<&str>) -> Option<Flowed> {
    let is = |name: &str, value: &str| {
        parameter(content_type?, name).map(|given| given.eq_ignore_ascii_case(value))
    };
    let delete_space = is("delsp", "yes").unwrap_or(false);
    (is("format", "flowed") == Some(true)).then(|| Flowed::new(delete_space))
}

/// A header's text with its RFC 2047 words decoded.
pub(crate) fn decode_words(value: &str) -> String {
    let header = format!("Subject: {}\r\n\r\n", unfolded(value));
    MessageParser::new()
        .parse_headers(header.as_bytes())
        .and_then(|parsed| parsed.subject().map(str::to_owned))
        .unwrap_or_default()
}

/// The ids in a header such as `References`, without angle brackets.
pub(crate) fn message_ids(value: &str) -> Vec<String> {
    // Nearly always it is one id as it should be, which needs no parser.
    let alone = value
        .trim()
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>()\"\\".contains(&byte);
    if let Some(id) = alone.filter(|id| !id.is_empty() && id.bytes().all(plain)) {
        return vec![id.to_owned()];
    }
    let header = format!("References: {}\r\n\r\n", unfolded(value));
    MessageParser::new()
        .parse_headers(header.as_bytes())
        .map(|parsed| texts(parsed.references()))
        .unwrap_or_default()
}

fn every<'a>(lists: impl Iterator<Item = &'a mail_parser::Address<'a>>) -> Vec<Address> {
    lists.flat_map(addresses_of).collect()
}

fn texts(value: &HeaderValue<'_>) -> Vec<String> {
    value
        .as_text_list()
        .unwrap_or_default()
        .iter()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

fn instant(date: &mail_parser::DateTime) -> Option<DateTime<Utc>> {
    if !date.is_valid() {
        return None;
    }
    DateTime::from_timestamp(date.to_timestamp(), 0)
}

/// One line, however the header was folded: a line break must not begin another header. Its charsets have the names that
/// the parser knows.
fn unfolded(value: &str) -> Cow<'_, str> {
    match with_known_charsets(value) {
        value if !value.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) => value,
        value => Cow::Owned(value.replace(['\r', '\n'], " ")),
    }
}
