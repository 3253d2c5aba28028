//! A stored message: its bytes as they arrived, and the tree of parts read from them on demand. Both
//! faces serve from this tree. Where a message lies and how it is marked is the mailboxes' business;
//! changes to header fields are in `rewrite`.

use std::sync::OnceLock;

use bytes::Bytes;
use chrono::{DateTime, TimeZone, Utc};
use mail_parser::decoders::{base64::base64_decode, html::html_to_text};
use mail_parser::{Encoding, HeaderName, MessageParser, MimeHeaders, PartType};

/// One message as some server keeps it.
#[derive(Debug)]
pub(crate) struct Mail {
    raw: Bytes,
    parsed: OnceLock<Parsed>,
}

/// What a message says, read from its bytes.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The tree of parts; the root holds the message's own header fields.
    pub(crate) root: Part,
    /// The subject, decoded.
    pub(crate) subject: Option<String>,
    /// The `Date` field, if it can be read.
    pub(crate) date: Option<DateTime<Utc>>,
    /// The `Message-ID` field without angle brackets.
    pub(crate) message_id: Option<String>,
    /// `In-Reply-To` and `References`, without angle brackets, oldest first.
    pub(crate) references: Vec<String>,
    pub(crate) from: Vec<Address>,
    pub(crate) sender: Vec<Address>,
    pub(crate) reply_to: Vec<Address>,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    /// The text that a reader would see first, as plain text.
    pub(crate) text: Option<String>,
    /// The HTML body, if the message has one.
    pub(crate) html: Option<String>,
    /// The same as plain text.
    pub(crate) html_text: Option<String>,
}

/// A person or list in an address field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) name: Option<String>,
    pub(crate) address: String,
}

/// One MIME part.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Gmail's name for it: empty for the root, then `0`, `1`, `1.0` and so on.
    pub(crate) id: String,
    /// Lower case, such as `text/plain`, without parameters.
    pub(crate) content_type: String,
    pub(crate) charset: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) content_id: Option<String>,
    /// Lower case, such as `attachment`.
    pub(crate) disposition: Option<String>,
    /// Header fields in order: unfolded, otherwise as sent.
    pub(crate) headers: Vec<(String, String)>,
    /// The body after its transfer encoding, in its own charset. Empty for multiparts.
    pub(crate) body: Bytes,
    /// The body as text, for text parts.
    pub(crate) text: Option<String>,
    pub(crate) children: Vec<Self>,
}

impl Mail {
    pub(crate) fn new(raw: impl Into<Bytes>) -> Self {
        Self {
            raw: raw.into(),
            parsed: OnceLock::new(),
        }
    }

    pub(crate) fn raw(&self) -> &Bytes {
        &self.raw
    }

    pub(crate) fn parsed(&self) -> &Parsed {
        self.parsed.get_or_init(|| Parsed::read(&self.raw))
    }
}

impl Parsed {
    fn read(raw: &[u8]) -> Self {
        // The parser gives up only on input without a single header field: such a message has no
        // fields, and all of it is text.
        let Some(message) = MessageParser::default().parse(raw) else {
            return Self {
                root: Part {
                    content_type: "text/plain".to_owned(),
                    body: Bytes::copy_from_slice(raw),
                    text: Some(String::from_utf8_lossy(raw).into_owned()),
                    ..Part::default()
                },
                text: Some(String::from_utf8_lossy(raw).into_owned()),
                ..Self::default()
            };
        };
        let mut references = ids(message.header(HeaderName::References));
        for id in ids(message.header(HeaderName::InReplyTo)) {
            if !references.contains(&id) {
                references.push(id);
            }
        }
        let root = Part::read(&message, 0, String::new());
        let html = root
            .find(&|part| part.content_type == "text/html" && !part.is_attachment())
            .and_then(|part| part.text.clone());
        let html_text = html.as_deref().map(html_to_text);
        let text = root
            .find(&|part| part.content_type == "text/plain" && !part.is_attachment())
            .and_then(|part| part.text.clone())
            .or_else(|| html_text.clone());
        Self {
            subject: message.subject().map(str::to_owned),
            date: message
                .date()
                .and_then(|date| Utc.timestamp_opt(date.to_timestamp(), 0).single()),
            message_id: message.message_id().map(str::to_owned),
            references,
            from: addresses(message.from()),
            sender: addresses(message.sender()),
            reply_to: addresses(message.reply_to()),
            to: addresses(message.to()),
            cc: addresses(message.cc()),
            bcc: addresses(message.bcc()),
            text,
            html,
            html_text,
            root,
        }
    }

    /// Everyone the message names as a recipient, lower case, each once.
    pub(crate) fn recipients(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for recipient in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            let address = recipient.address.to_lowercase();
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    /// The parts that a mail program would list as attachments: those with a file name, and what is
    /// neither text nor a multipart, in document order.
    pub(crate) fn attachments(&self) -> Vec<&Part> {
        fn collect<'a>(part: &'a Part, found: &mut Vec<&'a Part>) {
            if part.is_attachment() {
                found.push(part);
            } else {
                for child in &part.children {
                    collect(child, found);
                }
            }
        }
        let mut found = Vec::new();
        collect(&self.root, &mut found);
        found
    }
}

impl Part {
    fn read(message: &mail_parser::Message<'_>, index: usize, id: String) -> Self {
        let Some(part) = message.parts.get(index) else {
            return Self::default();
        };
        let source: &[u8] = &message.raw_message;
        let declared = part.content_type();
        let charset = declared
            .and_then(|kind| kind.attribute("charset"))
            .map(str::to_owned);
        let mut content_type = declared.map_or_else(String::new, |kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()).to_lowercase(),
            None => kind.ctype().to_lowercase(),
        });
        let mut text = None;
        let mut children = Vec::new();
        let body = match &part.body {
            PartType::Multipart(parts) => {
                for (position, child) in parts.iter().enumerate() {
                    let index = usize::try_from(*child).unwrap_or(usize::MAX);
                    children.push(Self::read(message, index, child_id(&id, position)));
                }
                Bytes::new()
            }
            PartType::Message(nested) => {
                // The parts of a digest are messages without saying so (RFC 2046 section 5.1.5).
                if content_type.is_empty() {
                    content_type.push_str("message/rfc822");
                }
                children.push(Self::read(nested, 0, child_id(&id, 0)));
                Bytes::copy_from_slice(nested.raw_message())
            }
            PartType::Text(decoded) | PartType::Html(decoded) => {
                if content_type.is_empty() {
                    content_type.push_str("text/plain");
                }
                text = Some(decoded.to_string());
                let encoded = slice(source, part.raw_body_offset(), part.raw_end_offset());
                let bytes = match part.encoding {
                    Encoding::None => None,
                    Encoding::QuotedPrintable => Some(quoted_printable(encoded)),
                    Encoding::Base64 => base64_decode(encoded),
                };
                // What cannot be decoded is handed out as it came.
                bytes.map_or_else(|| Bytes::copy_from_slice(encoded), Bytes::from)
            }
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
                Bytes::copy_from_slice(bytes)
            }
        };
        if content_type.is_empty() {
            content_type.push_str("application/octet-stream");
        }
        Self {
            id,
            content_type,
            charset,
            file_name: part.attachment_name().map(str::to_owned),
            content_id: part.content_id().map(str::to_owned),
            disposition: part
                .content_disposition()
                .map(|disposition| disposition.ctype().to_lowercase()),
            headers: part
                .headers
                .iter()
                .map(|header| {
                    let value = slice(source, header.offset_start, header.offset_end);
                    let name = slice(source, header.offset_field, header.offset_start);
                    (field_name(name, header.name()), unfold(value))
                })
                .collect(),
            body,
            text,
            children,
        }
    }

    /// The first part in document order that `wanted` accepts, not looking into attached messages.
    pub(crate) fn find(&self, wanted: &impl Fn(&Self) -> bool) -> Option<&Self> {
        if wanted(self) {
            return Some(self);
        }
        if self.content_type == "message/rfc822" {
            return None;
        }
        self.children.iter().find_map(|child| child.find(wanted))
    }

    /// The part with this id, wherever it is.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Self> {
        if self.id == id {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.by_id(id))
    }

    pub(crate) fn is_multipart(&self) -> bool {
        self.content_type.starts_with("multipart/")
    }

    pub(crate) fn is_attachment(&self) -> bool {
        if self.is_multipart() {
            return false;
        }
        self.file_name.is_some()
            || self.disposition.as_deref() == Some("attachment")
            || !matches!(self.content_type.as_str(), "text/plain" | "text/html")
    }

    /// Whether the part is shown inside the HTML rather than listed beside it.
    pub(crate) fn is_inline(&self) -> bool {
        self.disposition.as_deref() == Some("inline")
            || (self.content_id.is_some() && self.disposition.is_none())
    }

    /// The first value of the header field `name`, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn child_id(parent: &str, position: usize) -> String {
    if parent.is_empty() {
        position.to_string()
    } else {
        format!("{parent}.{position}")
    }
}

/// Quoted-printable as mail programs read it: a sign that begins no code stands for itself.
fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let code = after.get(..2).and_then(|code| {
            let code = std::str::from_utf8(code).ok()?;
            u8::from_str_radix(code, 16).ok()
        });
        match code {
            _ if *first != b'=' => decoded.push(*first),
            Some(byte) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => match after {
                [b'\r', b'\n', line @ ..] | [b'\n', line @ ..] => rest = line,
                _ => decoded.push(b'='),
            },
        }
    }
    decoded
}

fn slice(source: &[u8], from: u32, to: u32) -> &[u8] {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let to = usize::try_from(to).unwrap_or(usize::MAX).min(source.len());
    source.get(from..to).unwrap_or_default()
}

/// The field's name in the case in which it was sent, which the parser does not keep for known names.
fn field_name(source: &[u8], known: &str) -> String {
    let name = source
        .split(|byte| *byte == b':')
        .next()
        .unwrap_or_default();
    match std::str::from_utf8(name).map(str::trim) {
        Ok(name) if !name.is_empty() => name.to_owned(),
        _ => known.to_owned(),
    }
}

/// A field's value on one line. Bytes that are not UTF-8 become U+FFFD, as in Gmail's answers.
fn unfold(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .replace("\r\n", "")
        .replace(['\r', '\n'], "")
        .trim()
        .to_owned()
}

fn addresses(field: Option<&mail_parser::Address<'_>>) -> Vec<Address> {
    field
        .into_iter()
        .flat_map(mail_parser::Address::iter)
        .filter_map(|entry| {
            Some(Address {
                name: entry.name().map(str::to_owned),
                address: entry.address()?.trim().to_owned(),
            })
        })
        .collect()
}

fn ids(field: Option<&mail_parser::HeaderValue<'_>>) -> Vec<String> {
    match field {
        Some(mail_parser::HeaderValue::Text(id)) => vec![id.to_string()],
        Some(mail_parser::HeaderValue::TextList(list)) => {
            list.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    }
}
