//! Reads a whole message from its bytes, as the services do with those in their mailboxes: for messages that are attached
//! to others.

use std::borrow::Cow;

use bytes::Bytes;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, MessagePart, MimeHeaders, PartType};

use super::charset::text;
use super::parse::parse;
use super::read::read_header_block;
use super::structure::{Bodies, Shape, Use, mark_inline, uses};
use crate::model::{Attachment, AttachmentId, AttachmentKind, Detail, Header, Message, MessageId};

/// A message, and the bytes of its attachments.
pub(crate) struct WholeMessage {
    pub(crate) message: Message,
    pub(crate) attachments: Vec<(AttachmentId, Bytes)>,
}

/// Reads a message. What has no header at all is all text; nothing here fails.
pub(crate) fn read_whole(id: MessageId, raw: &[u8]) -> WholeMessage {
    let mut message = Message::new(id);
    message.detail = Detail::Full;
    message.size = u64::try_from(raw.len()).ok();
    let mut attachments = Vec::new();
    let Some(parsed) = parse(raw) else {
        message.body.text = Some(text(raw, None));
        return WholeMessage {
            message,
            attachments,
        };
    };
    let source = Source {
        raw: &parsed.raw_message,
        parts: &parsed.parts,
    };
    let head = parsed.parts.first().map(|root| root.raw_body_offset());
    read_header_block(&mut message, source.slice(0, head.unwrap_or_default()));
    message.headers = source.headers(0);
    let mut leaves = Vec::new();
    let shape = source.collect(0, String::new(), &mut leaves);
    let mut bodies = Bodies::default();
    for (leaf, purpose) in leaves.into_iter().zip(uses(&shape)) {
        read_leaf(leaf, purpose, &mut bodies, &mut message, &mut attachments);
    }
    message.body = bodies.join();
    mark_inline(&mut message.attachments, message.body.html.as_deref());
    WholeMessage {
        message,
        attachments,
    }
}

/// A part that has no parts of its own.
struct Leaf<'a> {
    id: String,
    media_type: String,
    content_type: Option<String>,
    part: &'a MessagePart<'a>,
    /// After the transfer encoding, in the part's own charset; `None` for text whose transfer encoding is broken.
    bytes: Option<Cow<'a, [u8]>>,
}

impl Leaf<'_> {
    fn text(&self) -> String {
        match (&self.bytes, &self.part.body) {
            (Some(bytes), _) => text(bytes.as_ref(), self.content_type.as_deref()),
            (None, PartType::Text(decoded) | PartType::Html(decoded)) => decoded.to_string(),
            (None, _) => String::new(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self.bytes {
            Some(bytes) => Bytes::from(bytes.into_owned()),
            None => Bytes::copy_from_slice(self.part.contents()),
        }
    }
}

fn read_leaf(
    leaf: Leaf<'_>,
    purpose: Use,
    bodies: &mut Bodies,
    message: &mut Message,
    attachments: &mut Vec<(AttachmentId, Bytes)>,
) {
    if purpose.is_body() {
        let content_type = leaf.content_type.as_deref();
        let is_html = leaf.media_type == "text/html";
        bodies.add(purpose, is_html, leaf.text(), content_type);
        return;
    }
    let id = AttachmentId::new(leaf.id.as_str());
    let mut attachment = Attachment::new(id.clone(), leaf.media_type.as_str());
    attachment.name = leaf.part.attachment_name().map(str::to_owned);
    if matches!(
        attachment.media_type.as_str(),
        "message/rfc822" | "message/global"
    ) {
        attachment.kind = AttachmentKind::Message;
    }
    attachment.content_id = leaf
        .part
        .content_id()
        .map(|id| id.trim().trim_matches(['<', '>']).to_owned())
        .filter(|id| !id.is_empty());
    let bytes = leaf.into_bytes();
    attachment.size = u64::try_from(bytes.len()).ok();
    message.attachments.push(attachment);
    attachments.push((id, bytes));
}

/// The parsed parts, with the bytes that they were parsed from.
struct Source<'a> {
    raw: &'a [u8],
    parts: &'a [MessagePart<'a>],
}

impl<'a> Source<'a> {
    fn slice(&self, from: u32, to: u32) -> &'a [u8] {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let to = usize::try_from(to)
            .unwrap_or(usize::MAX)
            .min(self.raw.len());
        self.raw.get(from..to).unwrap_or_default()
    }

    /// The header lines of a part, unfolded and not decoded.
    fn headers(&self, part: usize) -> Vec<Header> {
        let lines = self.parts.get(part).map(|part| part.headers.as_slice());
        lines
            .unwrap_or_default()
            .iter()
            .map(|line| {
                let name = self.slice(line.offset_field, line.offset_start);
                let name = String::from_utf8_lossy(name);
                let value = self.slice(line.offset_start, line.offset_end);
                let value = String::from_utf8_lossy(value).replace(['\r', '\n'], "");
                Header::new(name.trim_end().trim_end_matches(':').trim(), value.trim())
            })
            .collect()
    }

    /// Adds the leaves below a part, and tells their shape.
    fn collect(&self, index: usize, id: String, leaves: &mut Vec<Leaf<'a>>) -> Shape {
        let mut shape = Shape::default();
        let Some(part) = self.parts.get(index) else {
            return shape;
        };
        let media_type = part.content_type().map_or_else(
            || "text/plain".to_owned(),
            |kind| match kind.subtype() {
                Some(subtype) => format!("{}/{subtype}", kind.ctype()).to_ascii_lowercase(),
                None => kind.ctype().to_ascii_lowercase(),
            },
        );
        if let PartType::Multipart(children) = &part.body {
            for (place, child) in children.iter().enumerate() {
                let below = match id.as_str() {
                    "" => place.to_string(),
                    id => format!("{id}.{place}"),
                };
                let child = usize::try_from(*child).unwrap_or(usize::MAX);
                shape.children.push(self.collect(child, below, leaves));
            }
            shape.media_type = media_type;
            return shape;
        }
        shape.media_type = match &part.body {
            // A multipart whose boundary nobody found is all text; a digest's parts are messages without saying so.
            PartType::Text(_) if media_type.starts_with("multipart/") => "text/plain".to_owned(),
            PartType::Message(_) if part.content_type().is_none() => "message/rfc822".to_owned(),
            _ => media_type,
        };
        shape.attached = part
            .content_disposition()
            .is_some_and(mail_parser::ContentType::is_attachment);
        shape.named = part.attachment_name().is_some();
        let headers = self.headers(index);
        let content_type = headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("Content-Type"))
            .map(|header| header.value.clone());
        leaves.push(Leaf {
            id: if id.is_empty() { "0".to_owned() } else { id },
            media_type: shape.media_type.clone(),
            content_type,
            part,
            bytes: self.bytes(part),
        });
        shape
    }

    /// A part's bytes after its transfer encoding, in its own charset, if that can be undone.
    fn bytes(&self, part: &'a MessagePart<'a>) -> Option<Cow<'a, [u8]>> {
        let encoded = || self.slice(part.raw_body_offset(), part.raw_end_offset());
        match &part.body {
            PartType::Text(_) | PartType::Html(_) => match part.encoding {
                Encoding::None => Some(Cow::Borrowed(encoded())),
                Encoding::QuotedPrintable => quoted_printable_decode(encoded()).map(Cow::Owned),
                Encoding::Base64 => base64_decode(encoded()).map(Cow::Owned),
            },
            PartType::Message(inner) => Some(Cow::Borrowed(inner.raw_message())),
            _ => Some(Cow::Borrowed(part.contents())),
        }
    }
}
