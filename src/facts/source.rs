//! Where facts are taken from: a message as a provider read it, or a raw one. What they mean is told elsewhere.

use std::borrow::Cow;

use mail_parser::{MessagePart, MimeHeaders, PartType};

use crate::mime;
use crate::model::{AttachmentId, Header, Message};

/// How deep multiparts may lie in one another before what is inside them is left alone.
const DEEPEST: usize = 32;

pub(super) struct Source<'a> {
    pub(super) headers: Cow<'a, [Header]>,
    pub(super) subject: Option<Cow<'a, str>>,
    /// The `Content-Type` values of the multiparts, the whole message's first.
    pub(super) multiparts: Vec<Cow<'a, str>>,
    /// Everything that is no multipart, in order.
    pub(super) parts: Vec<Part<'a>>,
    /// The plain text.
    pub(super) text: Option<Cow<'a, str>>,
}

pub(super) struct Part<'a> {
    /// In lower case, without parameters.
    pub(super) media_type: String,
    /// The value of its `Content-Type`, where that is known.
    pub(super) content_type: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    /// The id to fetch it by, if a provider read the message.
    pub(super) attachment: Option<AttachmentId>,
    /// Its bytes, if the message is at hand; text is in UTF-8.
    pub(super) content: Option<Cow<'a, [u8]>>,
}

impl Part<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        mime::parameter(self.content_type.as_deref()?, name)
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name
            .as_deref()
            .is_some_and(|given| given.trim().eq_ignore_ascii_case(name))
    }

    /// <https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxtnef>
    pub(super) fn is_tnef(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            "application/ms-tnef" | "application/vnd.ms-tnef"
        ) || self.is_named("winmail.dat")
    }
}

impl<'a> Source<'a> {
    pub(super) fn from_message(message: &'a Message) -> Self {
        let mut source = Self {
            headers: Cow::Borrowed(&message.headers),
            subject: message.subject.as_deref().map(Cow::Borrowed),
            multiparts: Vec::new(),
            parts: Vec::new(),
            text: message.body.text.as_deref().map(Cow::Borrowed),
        };
        if let Some(content_type) = message.header("Content-Type") {
            let media_type = media_type(content_type);
            if media_type.starts_with("multipart/") {
                source.multiparts.push(Cow::Borrowed(content_type));
            } else if message.attachments.is_empty() {
                // The whole message is one part, which may be no attachment to the service.
                source.parts.push(Part {
                    media_type,
                    content_type: Some(Cow::Borrowed(content_type)),
                    name: None,
                    attachment: None,
                    content: None,
                });
            }
        }
        for attachment in &message.attachments {
            let only = message.attachments.len() == 1 && source.multiparts.is_empty();
            source.parts.push(Part {
                media_type: media_type(&attachment.media_type),
                content_type: message
                    .header("Content-Type")
                    .filter(|value| only && media_type(value) == media_type(&attachment.media_type))
                    .or(Some(attachment.media_type.as_str()))
                    .map(Cow::Borrowed),
                name: attachment.name.as_deref().map(Cow::Borrowed),
                attachment: Some(attachment.id.clone()),
                content: None,
            });
        }
        source
    }

    pub(super) fn from_raw(parsed: &'a mail_parser::Message<'a>) -> Self {
        let headers = parsed
            .headers_raw()
            .map(|(name, value)| Header::new(name, value.trim()))
            .collect();
        let mut source = Self {
            headers: Cow::Owned(headers),
            subject: parsed.subject().map(Cow::Borrowed),
            multiparts: Vec::new(),
            parts: Vec::new(),
            text: parsed.body_text(0),
        };
        if let Some(root) = parsed.parts.first() {
            collect(parsed, root, &mut source, 0);
        }
        source
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a header, topmost first.
    pub(super) fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }

    /// The parts of these types.
    pub(super) fn of_type<'s, 't>(
        &'s self,
        types: &'t [&'t str],
    ) -> impl Iterator<Item = &'s Part<'a>> {
        self.parts
            .iter()
            .filter(move |part| types.contains(&part.media_type.as_str()))
    }
}

fn collect<'a>(
    parsed: &'a mail_parser::Message<'a>,
    part: &'a MessagePart<'a>,
    source: &mut Source<'a>,
    depth: usize,
) {
    let content_type = raw_header(parsed, part, "Content-Type");
    if let PartType::Multipart(children) = &part.body {
        source.multiparts.extend(content_type);
        if depth < DEEPEST {
            for child in children {
                if let Some(child) = parsed.part(*child) {
                    collect(parsed, child, source, depth + 1);
                }
            }
        }
        return;
    }
    let fallback = match &part.body {
        PartType::Html(_) => "text/html",
        PartType::Message(_) => "message/rfc822",
        _ => "text/plain",
    };
    let content = match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.as_bytes(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes,
        PartType::Message(message) => message.raw_message(),
        PartType::Multipart(_) => &[],
    };
    source.parts.push(Part {
        media_type: media_type(content_type.as_deref().unwrap_or(fallback)),
        content_type,
        name: part.attachment_name().map(Cow::Borrowed),
        attachment: None,
        content: Some(Cow::Borrowed(content)),
    });
}

fn raw_header<'a>(
    parsed: &'a mail_parser::Message<'a>,
    part: &'a MessagePart<'a>,
    name: &str,
) -> Option<Cow<'a, str>> {
    let header = part
        .headers
        .iter()
        .find(|header| header.name.as_str().eq_ignore_ascii_case(name))?;
    let range = header.offset_start as usize..header.offset_end as usize;
    let value = String::from_utf8_lossy(parsed.raw_message.get(range)?);
    Some(Cow::Owned(value.trim().to_owned()))
}

/// The media type of a `Content-Type` value, without parameters and in lower case.
fn media_type(value: &str) -> String {
    let end = value.find([';', ' ', '\t', '\r', '\n', '(']);
    let value = end.map_or(value, |end| value.split_at(end).0);
    value.trim().to_ascii_lowercase()
}
