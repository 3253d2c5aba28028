//! The bytes of attachments, decoded from Gmail's JSON as they come, so that none has to fit into memory. Which part of a
//! message an attachment is, is `convert.rs`'s to say.

use std::io;

use futures_util::{StreamExt, TryStreamExt, stream};
use mail_parser::{MessageParser, PartType};

use super::api::{Api, Format};
use super::{convert, reading, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::protocol;
use crate::model::{AttachmentId, ByteStream, Content, MessageId};

/// How much of a message is held in memory to take one part out of it, where the service has no other way to it. Gmail
/// receives up to 50 MB (<https://support.google.com/a/answer/1366776>), which base64 makes a good third longer.
const LARGEST_PARSED: usize = 72 * 1024 * 1024;

/// The field that holds an attachment's bytes.
const DATA: &str = "data";

/// One attachment. Its id is the part's place in the message; the service's own token for the bytes differs from one
/// answer to the next and soon fails, so it is looked up each time
/// (<https://github.com/google/google-api-javascript-client/issues/255>).
pub(super) async fn attachment(
    api: &Api,
    message: &MessageId,
    attachment: &AttachmentId,
) -> Result<ByteStream> {
    let request = api.message(message.as_str(), Format::Parts)?;
    let answer: wire::Message = api.client.json(request).await?;
    let leaves = answer.payload.as_ref().map(convert::leaves);
    let leaf = leaves
        .iter()
        .flatten()
        .find(|leaf| leaf.id == attachment.as_str())
        .ok_or_else(no_such_part)?;
    if let Some(token) = leaf.token() {
        let request = api.attachment(message.as_str(), token)?;
        let answer = api.client.stream(request).await?;
        return Ok(decoded(answer, DATA, !leaf.is_empty()));
    }
    let bytes = match leaf.bytes() {
        Some(bytes) => bytes.to_vec(),
        None if leaf.is_empty() => Vec::new(),
        // The service gives no way to the bytes of some attached messages.
        None => from_whole(api, message, &leaf.path).await?,
    };
    Content::from_bytes(bytes)
        .read_from(0)
        .await
        .map_err(unreadable)
}

/// A part's bytes, taken out of the whole message.
async fn from_whole(api: &Api, message: &MessageId, path: &[usize]) -> Result<Vec<u8>> {
    let mut stream = reading::raw(api, message).await?;
    let mut whole = Vec::new();
    while let Some(chunk) = stream.try_next().await.map_err(unreadable)? {
        if whole.len() + chunk.len() > LARGEST_PARSED {
            return Err(protocol("the message is longer than Gmail keeps any"));
        }
        whole.extend_from_slice(&chunk);
    }
    part_of(&whole, path).ok_or_else(no_such_part)
}

fn part_of(message: &[u8], path: &[usize]) -> Option<Vec<u8>> {
    let parsed = MessageParser::new().parse(message)?;
    let mut part = parsed.parts.first()?;
    for index in path {
        let PartType::Multipart(children) = &part.body else {
            return None;
        };
        let child = usize::try_from(*children.get(*index)?).ok()?;
        part = parsed.parts.get(child)?;
    }
    Some(match &part.body {
        PartType::Message(inner) => inner.raw_message().to_vec(),
        _ => part.contents().to_vec(),
    })
}

fn unreadable(error: io::Error) -> Error {
    Error::new(
        ErrorKind::Network,
        "the message broke off while it was read",
    )
    .with_source(error)
}

fn no_such_part() -> Error {
    Error::new(ErrorKind::NotFound, "the message has no such attachment")
}

/// The bytes that a JSON answer carries as base64url in its field `field`, decoded as they come, so that no message or
/// attachment has to fit into memory. Without the field there are none, which is how Gmail writes an empty one; where
/// bytes are `expected` that is an error.
pub(super) fn decoded(answer: ByteStream, field: &'static str, expected: bool) -> ByteStream {
    decoded_at(answer, 1, field, expected)
}

/// The same where the field is so many objects deep.
pub(super) fn decoded_at(
    answer: ByteStream,
    level: usize,
    field: &'static str,
    expected: bool,
) -> ByteStream {
    let scanner = FieldScanner {
        field,
        level,
        expected,
        depth: 0,
        text: Text::Outside,
        last: Vec::new(),
        is_value: false,
        wanted: false,
        found: false,
        ended: false,
        pending: Vec::new(),
    };
    stream::try_unfold(Some((answer, scanner)), |state| async move {
        let Some((mut answer, mut scanner)) = state else {
            return Ok(None);
        };
        Ok(match answer.try_next().await? {
            Some(chunk) => {
                let bytes = scanner.push(&chunk)?;
                Some((bytes, Some((answer, scanner))))
            }
            None => Some((scanner.finish()?, None)),
        })
    })
    .try_filter(|bytes| std::future::ready(!bytes.is_empty()))
    .boxed()
}

/// Finds one text field of an object in JSON that comes piece by piece.
struct FieldScanner {
    field: &'static str,
    /// In how many objects it lies.
    level: usize,
    expected: bool,
    depth: usize,
    text: Text,
    /// The text that was read last, as far as it is worth comparing.
    last: Vec<u8>,
    /// Whether a colon came after the last key.
    is_value: bool,
    /// Whether the text being read is the one that is looked for.
    wanted: bool,
    found: bool,
    ended: bool,
    /// Characters of base64 that do not make whole bytes yet.
    pending: Vec<u8>,
}

/// Where in a JSON text the scanner stands.
enum Text {
    Outside,
    Inside,
    Escaped,
    /// After `\u`, with the digits so far.
    Unicode(u32, u8),
}

impl FieldScanner {
    fn push(&mut self, chunk: &[u8]) -> io::Result<bytes::Bytes> {
        for byte in chunk {
            match self.text {
                Text::Outside => self.outside(*byte),
                Text::Inside => match byte {
                    b'"' => {
                        self.text = Text::Outside;
                        self.wanted = false;
                    }
                    b'\\' => self.text = Text::Escaped,
                    byte => self.keep(*byte),
                },
                Text::Escaped if *byte == b'u' => self.text = Text::Unicode(0, 0),
                Text::Escaped => {
                    self.text = Text::Inside;
                    self.keep(*byte);
                }
                Text::Unicode(value, digits) => {
                    let digit = char::from(*byte).to_digit(16).ok_or_else(malformed)?;
                    let value = value * 16 + digit;
                    if digits < 3 {
                        self.text = Text::Unicode(value, digits + 1);
                    } else {
                        self.text = Text::Inside;
                        self.keep(u8::try_from(value).unwrap_or(b'?'));
                    }
                }
            }
        }
        let whole = self.pending.len() / 4 * 4;
        let rest = self.pending.split_off(whole);
        let bytes = decode(&std::mem::replace(&mut self.pending, rest))?;
        Ok(bytes.into())
    }

    fn finish(mut self) -> io::Result<bytes::Bytes> {
        if !self.ended {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the answer breaks off",
            ));
        }
        if !self.found && self.expected {
            return Err(malformed());
        }
        decode(&std::mem::take(&mut self.pending)).map(bytes::Bytes::from)
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.text = Text::Inside;
                self.wanted =
                    self.depth == self.level && self.is_value && self.last == self.field.as_bytes();
                self.found |= self.wanted;
                self.last.clear();
                self.is_value = false;
            }
            b':' => self.is_value = true,
            b',' => {
                self.is_value = false;
                self.last.clear();
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.is_value = false;
                self.last.clear();
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.ended |= self.depth == 0;
            }
            _ => {}
        }
    }

    fn keep(&mut self, byte: u8) {
        if !self.wanted {
            // Only field names are compared, and those are short.
            if self.last.len() < 16 {
                self.last.push(byte);
            }
            return;
        }
        match byte {
            // Decoded in pieces, whose characters must be counted.
            byte if byte == b'=' || byte.is_ascii_whitespace() => {}
            byte => self.pending.push(byte),
        }
    }
}

fn decode(text: &[u8]) -> io::Result<Vec<u8>> {
    wire::base64url(text).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the answer does not hold the bytes that were asked for",
    )
}
