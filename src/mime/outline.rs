//! Where the parts of a message lie, found while it streams by: for changing a message that should not be in memory as a
//! whole. What the parts mean is told elsewhere; this knows lines, headers and boundaries (RFC 2046 §5.1.1).

use std::io;
use std::ops::Range;

use futures_util::TryStreamExt;

use super::read::parameter;
use super::structure::Shape;
use crate::model::Content;

/// How long the header of a part may be.
const LONGEST_HEAD: usize = 1024 * 1024;

/// Boundaries have at most 70 characters; of longer lines outside headers nothing more than that is needed.
const LONGEST_DELIMITER: usize = 256;

/// How deep parts may lie in one another, and how many there may be; what goes beyond is part of what holds it.
const DEEPEST: usize = 50;
const MOST: usize = 5_000;

/// A message, or one part of it.
#[derive(Debug, Default)]
pub(super) struct Entity {
    /// Its header lines as they stand, without the empty line.
    pub(super) head: Vec<u8>,
    /// Where its body lies.
    pub(super) body: Range<u64>,
    /// The parts of a multipart. An attached message has none: what is inside it belongs to that message.
    pub(super) children: Vec<Self>,
}

impl Entity {
    /// The value of a header line, unfolded and not decoded.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let (_, line) = lines(&self.head).find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let line = String::from_utf8_lossy(line);
        let (_, value) = line.split_once(':')?;
        Some(value.replace(['\r', '\n'], "").trim().to_owned())
    }

    /// In lower case, without parameters.
    pub(super) fn media_type(&self) -> String {
        let value = self.field("Content-Type").unwrap_or_default();
        let media_type = value.split(';').next().unwrap_or_default().trim();
        if media_type.is_empty() || self.is_multipart_without_parts(media_type) {
            return "text/plain".to_owned();
        }
        media_type.to_ascii_lowercase()
    }

    /// Nobody found the boundary that its header promises: all of it is text.
    fn is_multipart_without_parts(&self, media_type: &str) -> bool {
        let multipart = media_type
            .get(..10)
            .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
        multipart && self.children.is_empty()
    }

    /// What matters for what its parts are.
    pub(super) fn shape(&self) -> Shape {
        let disposition = self.field("Content-Disposition").unwrap_or_default();
        let content_type = self.field("Content-Type").unwrap_or_default();
        Shape {
            media_type: self.media_type(),
            attached: disposition
                .get(..10)
                .is_some_and(|start| start.eq_ignore_ascii_case("attachment")),
            named: parameter(&disposition, "filename")
                .or_else(|| parameter(&content_type, "name"))
                .is_some(),
            children: self.children.iter().map(Self::shape).collect(),
        }
    }
}

/// The header lines of a block, each with its name, its folds and its line break.
pub(super) fn lines(head: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let mut rest = head;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            let next = rest.get(end..)?.iter().position(|byte| *byte == b'\n');
            end = next.map_or(rest.len(), |next| end + next + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (line, after) = rest.split_at(end);
        rest = after;
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        Some((std::str::from_utf8(name).unwrap_or_default().trim(), line))
    })
}

/// Reads a message once and tells where its parts lie.
///
/// # Errors
/// When it cannot be read, or a header is longer than any is.
pub(super) async fn outline(message: &Content) -> io::Result<Entity> {
    scan(message, false).await
}

/// Reads no more of a message than its header, and tells that.
///
/// # Errors
/// As [`outline`].
pub(super) async fn header(message: &Content) -> io::Result<Entity> {
    scan(message, true).await
}

async fn scan(message: &Content, header_only: bool) -> io::Result<Entity> {
    let mut stream = message.read_from(0).await?;
    let mut scanner = Scanner {
        open: vec![Open::default()],
        line: Vec::new(),
        length: 0,
        returned: false,
        start: 0,
        last_break: 0,
        parts: 1,
    };
    while let Some(chunk) = stream.try_next().await? {
        scanner.push(&chunk)?;
        if header_only && scanner.open.first().is_some_and(|message| message.in_body) {
            break;
        }
    }
    scanner.finish()
}

/// An entity whose end has not come yet.
#[derive(Default)]
struct Open {
    entity: Entity,
    /// Between whose lines its parts stand, once the header is over.
    boundary: Option<Vec<u8>>,
    in_body: bool,
}

struct Scanner {
    /// From the message down to where the scanner stands.
    open: Vec<Open>,
    /// The line being read, as far as it is worth comparing.
    line: Vec<u8>,
    /// How long it is so far.
    length: u64,
    /// Whether the last byte of it is a carriage return.
    returned: bool,
    /// Where the line began.
    start: u64,
    /// How long the line break before it was; it belongs to a delimiter that follows.
    last_break: u64,
    parts: usize,
}

impl Scanner {
    fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let in_head = self.open.last().is_some_and(|top| !top.in_body);
            let limit = if in_head {
                LONGEST_HEAD
            } else {
                LONGEST_DELIMITER
            };
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let kept = text.len().min(limit.saturating_sub(self.line.len()));
            self.line
                .extend_from_slice(text.get(..kept).unwrap_or_default());
            self.length += text.len() as u64;
            self.returned = text.last().map_or(self.returned, |last| *last == b'\r');
            if text.len() < piece.len() {
                self.end_line(1)?;
            }
        }
        Ok(())
    }

    /// Ends the line with a line feed, or without one at the end of the message.
    fn end_line(&mut self, feed: u64) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        let is_whole = line.len() as u64 == self.length;
        let returned = std::mem::take(&mut self.returned);
        if is_whole && returned {
            line.pop();
        }
        let end = self.start + std::mem::take(&mut self.length) + feed;
        if !(is_whole && self.is_delimiter(&line, end)) {
            self.header_line(&line, is_whole, end)?;
        }
        self.start = end;
        self.last_break = feed + u64::from(returned);
        Ok(())
    }

    /// Takes the line for a delimiter of one of the multiparts that are open, if it is one.
    fn is_delimiter(&mut self, line: &[u8], end: u64) -> bool {
        let Some(rest) = line.strip_prefix(b"--") else {
            return false;
        };
        let is_last = |rest: &[u8]| rest.trim_ascii() == b"--";
        let found = self.open.iter().enumerate().rev().find_map(|(at, open)| {
            let rest = rest.strip_prefix(open.boundary.as_deref()?)?;
            (rest.trim_ascii().is_empty() || is_last(rest)).then(|| (at, is_last(rest)))
        });
        let Some((at, is_last)) = found else {
            return false;
        };
        self.close(at + 1, self.start.saturating_sub(self.last_break));
        if is_last {
            if let Some(multipart) = self.open.get_mut(at) {
                multipart.boundary = None;
            }
        } else {
            self.parts += 1;
            let mut part = Open::default();
            part.entity.body = end..end;
            self.open.push(part);
        }
        true
    }

    fn header_line(&mut self, line: &[u8], is_whole: bool, end: u64) -> io::Result<()> {
        let may_have_parts = self.open.len() < DEEPEST && self.parts < MOST;
        let Some(top) = self.open.last_mut().filter(|top| !top.in_body) else {
            return Ok(());
        };
        if !line.is_empty() {
            top.entity.head.extend_from_slice(line);
            top.entity.head.extend_from_slice(b"\r\n");
            if !is_whole || top.entity.head.len() > LONGEST_HEAD {
                return Err(io::Error::other("a header is longer than any is"));
            }
            top.entity.body = end..end;
            return Ok(());
        }
        top.in_body = true;
        top.entity.body = end..end;
        let content_type = top.entity.field("Content-Type").unwrap_or_default();
        let is_multipart = content_type
            .get(..10)
            .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
        if is_multipart && may_have_parts {
            top.boundary = parameter(&content_type, "boundary").map(String::into_bytes);
        }
        Ok(())
    }

    /// Ends every entity from this depth on.
    fn close(&mut self, depth: usize, end: u64) {
        while self.open.len() > depth {
            let Some(mut ended) = self.open.pop() else {
                return;
            };
            ended.entity.body.end = end.max(ended.entity.body.start);
            match self.open.last_mut() {
                Some(parent) => parent.entity.children.push(ended.entity),
                None => {
                    self.open.push(ended);
                    return;
                }
            }
        }
    }

    fn finish(mut self) -> io::Result<Entity> {
        if self.length > 0 {
            self.end_line(0)?;
        }
        let end = self.start;
        self.close(1, end);
        let mut message = self.open.pop().unwrap_or_default().entity;
        message.body.end = end.max(message.body.start);
        Ok(message)
    }
}
