//! What a body falls into when its quotations are folded away. Finding them is `fold_text.rs`'s and `fold_html.rs`'s.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// A part of a body. The sections of a body, one after the other, are the body, character by character.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Section<'a> {
    /// What it is.
    pub kind: SectionKind,
    /// The part of the body. Of HTML it may begin within elements and leave some open; [`SafeHtml`](super::SafeHtml)
    /// makes a whole of each.
    pub content: &'a str,
}

/// What a part of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SectionKind {
    /// What the author wrote.
    New,
    /// The words before a quotation that say whose it is.
    Attribution,
    /// A quotation of the message that is answered, and of those before it.
    Quote,
    /// A message that is forwarded: often the reason for this one.
    Forwarded,
    /// The author's signature.
    Signature,
}

impl SectionKind {
    /// Whether readers want to see it at once.
    #[must_use]
    pub fn is_shown(self) -> bool {
        matches!(self, Self::New | Self::Forwarded)
    }
}

/// What a reader wants to see at once: the sections that are shown, or everything if they would be blank, as in a message
/// that is nothing but a quotation.
#[must_use]
pub fn new_text<'a>(sections: &[Section<'a>]) -> Cow<'a, str> {
    let mut shown = sections.iter().filter(|section| section.kind.is_shown());
    if let (Some(only), None) = (shown.next(), shown.next())
        && !only.content.trim().is_empty()
    {
        return Cow::Borrowed(only.content);
    }
    let together = |all: bool| -> String {
        let sections = sections
            .iter()
            .filter(|section| all || section.kind.is_shown());
        sections.map(|section| section.content).collect()
    };
    let shown = together(false);
    Cow::Owned(if shown.trim().is_empty() {
        together(true)
    } else {
        shown
    })
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for Section<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Section")
            .field("kind", &self.kind)
            .field("length", &self.content.len())
            .finish()
    }
}

/// Cuts a text where its kind changes: `cuts` says from which byte on it is what, in order.
pub(super) fn sections(
    text: &str,
    cuts: impl IntoIterator<Item = (usize, SectionKind)>,
) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut start = 0;
    let mut kind = SectionKind::New;
    let mut end_section = |start: usize, end: usize, kind: SectionKind| {
        if let Some(content) = text.get(start..end).filter(|content| !content.is_empty()) {
            sections.push(Section { kind, content });
        }
    };
    for (at, next) in cuts {
        // A cut that does not lie on a character would lose text: there is none then.
        if next != kind && at >= start && text.is_char_boundary(at) {
            end_section(start, at, kind);
            (start, kind) = (at, next);
        }
    }
    end_section(start, text.len(), kind);
    sections
}
