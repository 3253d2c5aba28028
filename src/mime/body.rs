//! The parts of a message that is written, nested and encoded (RFC 2045, RFC 2046). Text is encoded here; the bytes of files stay
//! streams. What the parts are is `compose`'s.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::base64::base64_lines;
use super::fields;
use crate::model::Content;

/// How long a line of encoded text is (RFC 2045 §6.7, §6.8).
const LINE: usize = 76;

/// A part of a message.
pub(super) enum Part<'a> {
    /// Text, with its type and the parameters that follow it.
    Text {
        media_type: &'static str,
        parameters: Vec<(&'static str, &'a str)>,
        text: &'a str,
    },
    /// A file, with the lines of its header but for how it is encoded.
    File { head: String, content: &'a Content },
    /// A message that stands there as it is.
    Message { head: String, content: &'a Content },
    /// Several parts.
    Several {
        subtype: &'static str,
        parts: Vec<Self>,
    },
}

/// Puts a message together: text in memory, and between it what is streamed.
pub(super) struct Writer {
    text: String,
    done: Vec<Content>,
    /// What no other text holds.
    mark: String,
    boundaries: usize,
}

impl Writer {
    /// A message that begins with these header lines.
    pub(super) fn new(head: String, mark: String) -> Self {
        Self {
            text: head,
            done: Vec::new(),
            mark,
            boundaries: 0,
        }
    }

    pub(super) fn finish(mut self) -> Content {
        self.done.push(Content::from_bytes(self.text));
        Content::concatenate(self.done)
    }

    /// Writes a part. How deep parts lie in one another is `compose`'s choice, not that of any mail.
    pub(super) fn part(&mut self, part: &Part<'_>) {
        match part {
            Part::Text {
                media_type,
                parameters,
                text,
            } => {
                self.text
                    .push_str(&format!("Content-Type: {media_type}; charset=utf-8"));
                for (name, value) in parameters {
                    fields::parameter(&mut self.text, name, value);
                }
                self.text.push_str("\r\n");
                encode_text(&mut self.text, text);
            }
            Part::File { head, content } => {
                self.text.push_str(head);
                self.text
                    .push_str("Content-Transfer-Encoding: base64\r\n\r\n");
                self.stream(base64_lines(content));
            }
            Part::Message { head, content } => {
                self.text.push_str(head);
                self.text
                    .push_str("Content-Transfer-Encoding: 7bit\r\n\r\n");
                self.stream((*content).clone());
            }
            Part::Several { subtype, parts } => {
                // No text that is encoded has an equals sign before an underscore, and nobody knows the mark beforehand.
                let boundary = format!("=_{}{}", self.mark, self.boundaries);
                self.boundaries += 1;
                self.text.push_str(&format!(
                    "Content-Type: multipart/{subtype};\r\n boundary=\"{boundary}\"\r\n"
                ));
                for part in parts {
                    self.text.push_str(&format!("\r\n--{boundary}\r\n"));
                    self.part(part);
                }
                self.text.push_str(&format!("\r\n--{boundary}--\r\n"));
            }
        }
    }

    fn stream(&mut self, content: Content) {
        let text = std::mem::take(&mut self.text);
        self.done.push(Content::from_bytes(text));
        self.done.push(content);
    }
}

/// Writes how a text is encoded, and the text: as it is where every server on its way leaves it alone, else in the shorter of
/// the two encodings.
fn encode_text(written: &mut String, text: &str) {
    let text = with_crlf(text);
    if text.split("\r\n").all(is_left_alone) {
        written.push_str("Content-Transfer-Encoding: 7bit\r\n\r\n");
        written.push_str(&text);
        return;
    }
    let quoted = text.bytes().filter(|byte| must_be_quoted(*byte)).count() * 3;
    let base64 = text.len() / 3;
    if quoted > base64 {
        written.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
        let encoded = STANDARD.encode(&text);
        let mut rest = encoded.as_str();
        while let Some((line, after)) = rest.split_at_checked(LINE) {
            written.push_str(line);
            written.push_str("\r\n");
            rest = after;
        }
        written.push_str(rest);
    } else {
        written.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        for (index, line) in text.split("\r\n").enumerate() {
            if index > 0 {
                written.push_str("\r\n");
            }
            quote(written, line);
        }
    }
}

/// Every line break as CR and LF, however it was written: text has no other in MIME (RFC 2046 §4.1.1).
fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n")
        .replace('\r', "\n")
        .replace('\n', "\r\n")
}

/// Short lines without spaces at their end, which some servers cut off, without `From ` at their beginning, which some
/// programs change, and without a dot alone, which ends a message where it is sent carelessly.
fn is_left_alone(line: &str) -> bool {
    line.len() <= LINE
        && !line.ends_with([' ', '\t'])
        && !line.starts_with("From ")
        && line != "."
        && line
            .bytes()
            .all(|byte| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic())
}

fn must_be_quoted(byte: u8) -> bool {
    byte == b'=' || !(byte == b' ' || byte == b'\t' || byte.is_ascii_graphic())
}

/// A line in quoted-printable (RFC 2045 §6.7).
fn quote(written: &mut String, line: &str) {
    let bytes = line.as_bytes();
    let first = line.starts_with("From ") || line == ".";
    let mut used = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let last = index + 1 == bytes.len();
        let quoted = must_be_quoted(*byte)
            || (last && matches!(byte, b' ' | b'\t'))
            || (index == 0 && first);
        let length = if quoted { 3 } else { 1 };
        // The line's own last character needs no room for the sign that the line goes on.
        let room = if last { LINE } else { LINE - 1 };
        if used + length > room {
            written.push_str("=\r\n");
            used = 0;
        }
        if quoted {
            written.push_str(&format!("={byte:02X}"));
        } else {
            written.push(char::from(*byte));
        }
        used += length;
    }
}
