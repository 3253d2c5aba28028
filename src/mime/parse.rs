//! Parses whole messages that anyone may have written: messages in messages, ten thousand deep, must not take the stack or an
//! hour. What is in a message is read elsewhere.

use std::mem;
use std::ops::Deref;

use mail_parser::{Message, MessageParser, PartType};

/// How many parts may be messages or hold messages before the rest is left away: the parser's time grows with the square of
/// their depth.
const MESSAGES: usize = 5_000;

/// A parsed message.
pub(crate) struct Parsed<'x>(Message<'x>);

/// Parses a message; `None` if it has neither header nor text.
pub(crate) fn parse(raw: &[u8]) -> Option<Parsed<'_>> {
    MessageParser::new().parse(reasonable(raw)).map(Parsed)
}

/// The beginning of a message, up to where too many others would be in it.
fn reasonable(raw: &[u8]) -> &[u8] {
    const TYPES: [(&[u8], &[u8]); 3] = [
        (b"message", b"rfc822"),
        (b"message", b"global"),
        (b"multipart", b"digest"),
    ];
    let slashes = raw.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let mut messages = slashes.filter(|(at, _)| {
        TYPES.iter().any(|(kind, subtype)| {
            let before = at
                .checked_sub(kind.len())
                .and_then(|start| raw.get(start..*at));
            let after = raw.get(at + 1..at + 1 + subtype.len());
            before.is_some_and(|before| before.eq_ignore_ascii_case(kind))
                && after.is_some_and(|after| after.eq_ignore_ascii_case(subtype))
        })
    });
    match messages.nth(MESSAGES) {
        Some((at, _)) => raw.get(..at).unwrap_or(raw),
        None => raw,
    }
}

impl<'x> Deref for Parsed<'x> {
    type Target = Message<'x>;

    fn deref(&self) -> &Message<'x> {
        &self.0
    }
}

/// The compiler's own way frees a message within a message within a message, which is as deep on the stack.
impl Drop for Parsed<'_> {
    fn drop(&mut self) {
        let mut left = vec![mem::take(&mut self.0)];
        while let Some(mut message) = left.pop() {
            for part in &mut message.parts {
                if let PartType::Message(inner) = &mut part.body {
                    left.push(mem::take(inner));
                }
            }
        }
    }
}
