//! Changes a message that is being written, as a stream: what an edit does not name stays as it stands, byte for byte. Where
//! the parts lie is told by `outline`, how new ones are written by `compose`.

use chrono::{DateTime, Utc};

use super::compose::{KEY_HEADER, compose_draft, random_word};
use super::outline::{Entity, header, lines, outline};
use super::read::read_header_block;
use super::structure::{mark_inline, uses};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Attachment, AttachmentId, Content, DraftEdit, Message, MessageId, Outgoing};

/// The message after an edit.
///
/// # Errors
/// [`ErrorKind::NotFound`] if it has no such attachment as the edit takes away.
pub(crate) async fn edit(
    message: &Content,
    edit: &DraftEdit,
    now: DateTime<Utc>,
) -> Result<Content> {
    let old = outline(message).await.map_err(unreadable)?;
    // All that is new is written as a message of its own, and taken from there.
    let source = compose_draft(&written(edit), now)?;
    let new = outline(&source).await.map_err(unreadable)?;
    let mut head = Head::of(&old);
    // It was the mark of what the draft was before.
    head.set(KEY_HEADER, None);
    for (name, named) in [
        ("From", edit.from.is_some()),
        ("To", edit.to.is_some()),
        ("Cc", edit.cc.is_some()),
        ("Bcc", edit.bcc.is_some()),
        ("Reply-To", edit.reply_to.is_some()),
        ("Subject", edit.subject.is_some()),
    ] {
        if named {
            head.set(name, line_of(&new, name));
        }
    }
    if edit.body.is_none() && edit.attach.is_empty() && edit.detach.is_empty() {
        return Ok(head.before(
            content_lines(&old),
            message.range(old.body.start, old.body.end),
        ));
    }
    let entity = Rebuilt {
        edit,
        old: Source::new(message, &old),
        new: Source::new(&source, &new),
    }
    .entity()?;
    let (fields, body) = entity.written()?;
    head.set("MIME-Version", Some(b"MIME-Version: 1.0\r\n".to_vec()));
    Ok(head.before(fields, body))
}

/// Whether everything that an edit brings can be written, for services that write it themselves.
///
/// # Errors
/// As [`compose_draft`].
pub(crate) fn check(edit: &DraftEdit, now: DateTime<Utc>) -> Result<()> {
    compose_draft(&written(edit), now).map(drop)
}

/// The message with the mark of its send, and whether it has recipients.
pub(crate) async fn marked(message: &Content, mark: &str) -> Result<(Content, bool)> {
    let old = outline(message).await.map_err(unreadable)?;
    let mut head = Head::of(&old);
    let line = format!("{KEY_HEADER}: {mark}\r\n");
    head.set(KEY_HEADER, Some(line.into_bytes()));
    let read = read_head(&old);
    let recipients = [&read.to, &read.cc, &read.bcc];
    let is_addressed = recipients.iter().any(|list| !list.is_empty());
    let body = message.range(old.body.start, old.body.end);
    Ok((head.before(content_lines(&old), body), is_addressed))
}

/// The mark that a message carries.
pub(crate) async fn mark(message: &Content) -> Result<Option<String>> {
    let entity = header(message).await.map_err(unreadable)?;
    let line = line_of(&entity, KEY_HEADER);
    Ok(line.and_then(|line| {
        let line = String::from_utf8(line).ok()?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }))
}

/// What the header of a message says. No more of it is read.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn head(message: &Content) -> Result<Message> {
    let entity = header(message).await.map_err(unreadable)?;
    Ok(read_head(&entity))
}

fn read_head(entity: &Entity) -> Message {
    let mut read = Message::new(MessageId::new("unfiled"));
    read_header_block(&mut read, &[entity.head.as_slice(), b"\r\n"].concat());
    read
}

/// What an edit brings, as if it were all of a message.
fn written(edit: &DraftEdit) -> Outgoing {
    let mut outgoing = Outgoing::new();
    outgoing.from.clone_from(&edit.from);
    outgoing.to = edit.to.clone().unwrap_or_default();
    outgoing.cc = edit.cc.clone().unwrap_or_default();
    outgoing.bcc = edit.bcc.clone().unwrap_or_default();
    outgoing.reply_to = edit.reply_to.clone().unwrap_or_default();
    outgoing.subject = edit.subject.clone().unwrap_or_default();
    if let Some(body) = &edit.body {
        outgoing.text.clone_from(&body.text);
        outgoing.html.clone_from(&body.html);
    }
    outgoing.attachments.clone_from(&edit.attach);
    outgoing
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Content, "the message could not be read").with_source(error)
}

fn line_of(entity: &Entity, name: &str) -> Option<Vec<u8>> {
    let mut lines = lines(&entity.head);
    lines
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, line)| line.to_vec())
}

fn is_about_content(name: &str) -> bool {
    name.get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case("content-"))
}

/// The header lines that say what a body is.
fn content_lines(entity: &Entity) -> Vec<u8> {
    let lines = lines(&entity.head).filter(|(name, _)| is_about_content(name));
    lines.flat_map(|(_, line)| line).copied().collect()
}

/// The header lines of a message but those that say what its body is.
struct Head(Vec<(String, Vec<u8>)>);

impl Head {
    fn of(entity: &Entity) -> Self {
        let lines = lines(&entity.head).filter(|(name, _)| !is_about_content(name));
        Self(
            lines
                .map(|(name, line)| (name.to_owned(), line.to_vec()))
                .collect(),
        )
    }

    /// Puts this line in place of all of that name, or none.
    fn set(&mut self, name: &str, line: Option<Vec<u8>>) {
        let is_same = |known: &String| known.eq_ignore_ascii_case(name);
        let place = self.0.iter().position(|(known, _)| is_same(known));
        self.0.retain(|(known, _)| !is_same(known));
        if let Some(line) = line {
            let place = place.unwrap_or(self.0.len());
            self.0
                .insert(place.min(self.0.len()), (name.to_owned(), line));
        }
    }

    fn before(self, fields: Vec<u8>, body: Content) -> Content {
        let mut head: Vec<u8> = self.0.into_iter().flat_map(|(_, line)| line).collect();
        head.extend_from_slice(&fields);
        head.extend_from_slice(b"\r\n");
        Content::concatenate(vec![Content::from_bytes(head), body])
    }
}

/// A message, and where its parts lie.
struct Source<'a> {
    message: &'a Content,
    outline: &'a Entity,
    leaves: Vec<Leaf<'a>>,
}

/// A part that has no parts of its own.
struct Leaf<'a> {
    /// Where it stands, as the ids of attachments say it.
    id: String,
    entity: &'a Entity,
    is_body: bool,
}

impl<'a> Source<'a> {
    fn new(message: &'a Content, outline: &'a Entity) -> Self {
        let mut leaves = Vec::new();
        collect(outline, String::new(), &mut leaves);
        for (leaf, purpose) in leaves.iter_mut().zip(uses(&outline.shape())) {
            leaf.is_body = purpose.is_body();
        }
        Self {
            message,
            outline,
            leaves,
        }
    }

    fn files(&self) -> impl Iterator<Item = &Leaf<'a>> {
        self.leaves.iter().filter(|leaf| !leaf.is_body)
    }

    /// A part as it stands.
    fn piece(&self, entity: &Entity) -> Piece {
        Piece::Verbatim {
            fields: content_lines(entity),
            body: self.message.range(entity.body.start, entity.body.end),
        }
    }
}

fn collect<'a>(entity: &'a Entity, id: String, leaves: &mut Vec<Leaf<'a>>) {
    if entity.children.is_empty() {
        leaves.push(Leaf {
            id: if id.is_empty() { "0".to_owned() } else { id },
            entity,
            is_body: false,
        });
        return;
    }
    for (place, child) in entity.children.iter().enumerate() {
        let below = match id.as_str() {
            "" => place.to_string(),
            id => format!("{id}.{place}"),
        };
        collect(child, below, leaves);
    }
}

/// A part of the message that is made.
enum Piece {
    Verbatim {
        fields: Vec<u8>,
        body: Content,
    },
    Multipart {
        kind: &'static str,
        parts: Vec<Self>,
    },
}

impl Piece {
    /// Several parts as one; one part as itself.
    fn of(kind: &'static str, mut parts: Vec<Self>) -> Self {
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Self::Multipart { kind, parts }
            }
            None => Self::Verbatim {
                fields: b"Content-Type: text/plain; charset=utf-8\r\n".to_vec(),
                body: Content::empty(),
            },
        }
    }

    /// The header lines that say what it is, and its body.
    fn written(self) -> Result<(Vec<u8>, Content)> {
        let (kind, parts) = match self {
            Self::Verbatim { fields, body } => return Ok((fields, body)),
            Self::Multipart { kind, parts } => (kind, parts),
        };
        let boundary = random_word()?;
        let fields = format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"\r\n");
        let mut body = Vec::new();
        for part in parts {
            let (fields, content) = part.written()?;
            let mut head = format!("--{boundary}\r\n").into_bytes();
            head.extend_from_slice(&fields);
            head.extend_from_slice(b"\r\n");
            body.extend([
                Content::from_bytes(head),
                content,
                Content::from_bytes("\r\n"),
            ]);
        }
        body.push(Content::from_bytes(format!("--{boundary}--\r\n")));
        Ok((fields.into_bytes(), Content::concatenate(body)))
    }
}

/// The parts of the message after an edit of its text or files.
struct Rebuilt<'a> {
    edit: &'a DraftEdit,
    old: Source<'a>,
    new: Source<'a>,
}

impl Rebuilt<'_> {
    fn entity(&self) -> Result<Piece> {
        for id in &self.edit.detach {
            if !self.old.files().any(|leaf| leaf.id == id.as_str()) {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "the message has no such attachment",
                ));
            }
        }
        if self.edit.body.is_none() {
            let kept = self.kept(self.old.outline, String::new());
            let mut parts: Vec<Piece> = match kept {
                // Files go beside those that are there.
                Some(Piece::Multipart {
                    kind: "mixed",
                    parts,
                }) => parts,
                kept => kept.into_iter().collect(),
            };
            parts.extend(self.new.files().map(|leaf| self.new.piece(leaf.entity)));
            return Ok(Piece::of("mixed", parts));
        }
        let html = self
            .edit
            .body
            .as_ref()
            .and_then(|body| body.html.as_deref());
        // New files stand beside the new text, pictures that it shows within it, as they were written.
        let written = self.new.outline;
        let is_mixed = written.media_type() == "multipart/mixed";
        let (main, beside) = match written.children.split_first() {
            Some((main, files)) if is_mixed => (main, files),
            _ => (written, &[][..]),
        };
        let kept = self.old.files().filter(|leaf| !self.is_detached(&leaf.id));
        let (shown, files): (Vec<_>, Vec<_>) = kept.partition(|leaf| is_shown(leaf, html));
        let piece = |leaf: &Leaf<'_>| self.old.piece(leaf.entity);
        let mut related = vec![self.new.piece(main)];
        related.extend(shown.into_iter().map(piece));
        let mut mixed = vec![Piece::of("related", related)];
        mixed.extend(files.into_iter().map(piece));
        mixed.extend(beside.iter().map(|file| self.new.piece(file)));
        Ok(Piece::of("mixed", mixed))
    }

    fn is_detached(&self, id: &str) -> bool {
        self.edit
            .detach
            .iter()
            .any(|detached| detached.as_str() == id)
    }

    /// A part without what is taken away; `None` if nothing is left. What nothing is taken from stays as it stands.
    fn kept(&self, entity: &Entity, id: String) -> Option<Piece> {
        let loses = |leaf: &Leaf<'_>| {
            let below = id.is_empty() || leaf.id == id || leaf.id.starts_with(&format!("{id}."));
            below && self.is_detached(&leaf.id)
        };
        let is_root_mixed = id.is_empty() && entity.media_type() == "multipart/mixed";
        if !is_root_mixed && !self.old.leaves.iter().any(loses) {
            return Some(self.old.piece(entity));
        }
        let kind = match entity.media_type().as_str() {
            _ if entity.children.is_empty() => return None,
            "multipart/related" => "related",
            "multipart/alternative" => "alternative",
            _ => "mixed",
        };
        let places = entity.children.iter().enumerate();
        let parts: Vec<Piece> = places
            .filter_map(|(place, child)| {
                let below = match id.as_str() {
                    "" => place.to_string(),
                    id => format!("{id}.{place}"),
                };
                self.kept(child, below)
            })
            .collect();
        if parts.is_empty() {
            return None;
        }
        if is_root_mixed {
            return Some(Piece::Multipart { kind, parts });
        }
        Some(Piece::of(kind, parts))
    }
}

/// Whether the HTML shows this file within itself.
fn is_shown(leaf: &Leaf<'_>, html: Option<&str>) -> bool {
    let Some(id) = leaf.entity.field("Content-ID") else {
        return false;
    };
    let mut attachment = Attachment::new(AttachmentId::new(leaf.id.as_str()), "");
    attachment.content_id = Some(id.trim_matches(['<', '>']).to_owned());
    let mut attachments = [attachment];
    mark_inline(&mut attachments, html);
    attachments.iter().any(|attachment| attachment.inline)
}

#[cfg(test)]
mod tests;
