//! Which parts of a message are its text, and which are files beside it (RFC 8621 §4.1.4); how several texts become one
//! body; and which files the HTML shows within itself. Where the parts come from is known by the callers.

use std::collections::BTreeSet;

use mail_parser::decoders::html::html_to_text;

use super::flowed;
use crate::model::{Attachment, Body, Flowed};

/// A part, as far as it matters for what it is.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// In lower case, without parameters.
    pub(crate) media_type: String,
    /// Whether its sender calls it an attachment.
    pub(crate) attached: bool,
    /// Whether it has a file name.
    pub(crate) named: bool,
    /// The parts of a multipart. An attached message has none: what is inside it belongs to that message.
    pub(crate) children: Vec<Self>,
}

/// What a leaf of the tree is for: part of the text form of the body, of the HTML form, of both, or of neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) text: bool,
    pub(crate) html: bool,
}

impl Use {
    pub(crate) fn is_body(self) -> bool {
        self.text || self.html
    }
}

/// What each leaf is for, in document order. A Content-ID does not matter: some mailers give one to the text itself
/// (<https://github.com/googleworkspace/cli/issues/683>).
pub(crate) fn uses(root: &Shape) -> Vec<Use> {
    let mut walk = Walk {
        leaves: Vec::new(),
        text: Vec::new(),
        html: Vec::new(),
    };
    let all = Wanted {
        text: true,
        html: true,
    };
    walk.enter(std::slice::from_ref(root), "", false, all);
    let mut uses = walk.leaves;
    for place in walk.text {
        if let Some(leaf) = uses.get_mut(place) {
            leaf.text = true;
        }
    }
    for place in walk.html {
        if let Some(leaf) = uses.get_mut(place) {
            leaf.html = true;
        }
    }
    uses
}

/// The forms of the body that parts here may still become part of.
#[derive(Clone, Copy)]
struct Wanted {
    text: bool,
    html: bool,
}

struct Walk {
    leaves: Vec<Use>,
    /// The leaves of each form of the body, by their place.
    text: Vec<usize>,
    html: Vec<usize>,
}

impl Walk {
    fn enter(
        &mut self,
        parts: &[Shape],
        multipart: &str,
        in_alternative: bool,
        mut wanted: Wanted,
    ) {
        let (text_before, html_before) = (self.text.len(), self.html.len());
        for (index, part) in parts.iter().enumerate() {
            if let Some(kind) = part.media_type.strip_prefix("multipart/")
                && !part.children.is_empty()
            {
                let alternative = in_alternative || kind == "alternative";
                self.enter(&part.children, kind, alternative, wanted);
                continue;
            }
            let place = self.leaves.len();
            self.leaves.push(Use::default());
            let is_html = part.media_type == "text/html";
            let is_text = part.media_type == "text/plain" || is_html;
            // Only the first part of related ones is text; a named text is a file unless it comes first.
            let first_or_nameless = index == 0 || (multipart != "related" && !part.named);
            if !is_text || part.attached || !first_or_nameless {
                continue;
            }
            if multipart == "alternative" {
                if is_html {
                    &mut self.html
                } else {
                    &mut self.text
                }
                .push(place);
                continue;
            }
            if in_alternative {
                // One of the alternatives, in several parts.
                if is_html {
                    wanted.text = false;
                } else {
                    wanted.html = false;
                }
            }
            if wanted.text {
                self.text.push(place);
            }
            if wanted.html {
                self.html.push(place);
            }
        }
        if multipart == "alternative" && wanted.text && wanted.html {
            // Alternatives with one form only are both.
            let new =
                |list: &[usize], before: usize| list.get(before..).unwrap_or_default().to_vec();
            let (text, html) = (new(&self.text, text_before), new(&self.html, html_before));
            if text.is_empty() {
                self.text.extend(html);
            } else if html.is_empty() {
                self.html.extend(text);
            }
        }
    }
}

/// Puts the texts of a message together, in order: those of the HTML form and those of the text form. A form that no part
/// is written in is left out; where it is, a part of the other form among its parts is rewritten.
#[derive(Default)]
pub(crate) struct Bodies {
    text: Form,
    html: Form,
    /// How each part of the text form was wrapped.
    flowed: Vec<Option<Flowed>>,
}

/// One form of the body.
#[derive(Default)]
struct Form {
    parts: Vec<String>,
    /// Whether any part was written in this form.
    own: bool,
}

impl Bodies {
    /// Adds a text part, decoded, which came with this `Content-Type`.
    pub(crate) fn add(
        &mut self,
        part: Use,
        is_html: bool,
        text: String,
        content_type: Option<&str>,
    ) {
        if part.text {
            self.flowed.push(flowed(content_type).filter(|_| !is_html));
            self.text.own |= !is_html;
        }
        if part.html {
            self.html.own |= is_html;
        }
        // Whatever is wanted in the form that it is in is not copied.
        if is_html {
            if part.text {
                self.text.parts.push(html_to_text(&text));
            }
            if part.html {
                self.html.parts.push(text);
            }
        } else {
            if part.html {
                self.html.parts.push(text_to_html(&text));
            }
            if part.text {
                self.text.parts.push(text);
            }
        }
    }

    pub(crate) fn join(self) -> Body {
        let form = |mut form: Form| {
            form.own.then(|| match form.parts.len() {
                1 => form.parts.remove(0),
                _ => form.parts.join("\n"),
            })
        };
        // Of several texts made into one, all or none can be unwrapped.
        let flowed = match self.flowed.split_first() {
            Some((first, rest)) if self.text.own && rest.iter().all(|other| other == first) => {
                *first
            }
            _ => None,
        };
        Body {
            text: form(self.text),
            html: form(self.html),
            flowed,
        }
    }
}

fn text_to_html(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let lines: Vec<&str> = escaped.lines().collect();
    format!("<div>{}</div>", lines.join("<br>\n"))
}

/// Says of each attachment whether the HTML shows it. Senders call files inline that no text shows, and services repeat
/// what they say (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/2095>): what counts is whether the HTML
/// refers to its Content-ID (RFC 2392).
pub(crate) fn mark_inline(attachments: &mut [Attachment], html: Option<&str>) {
    if attachments.iter().all(|file| file.content_id.is_none()) {
        return;
    }
    let referred = html.map(referred_ids).unwrap_or_default();
    for attachment in attachments {
        attachment.inline = attachment
            .content_id
            .as_deref()
            .is_some_and(|id| referred.contains(&comparable(id)));
    }
}

/// The Content-IDs that an HTML text refers to, in a form that can be compared.
fn referred_ids(html: &str) -> BTreeSet<String> {
    const SCHEME: &[u8] = b"cid:";
    let bytes = html.as_bytes();
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(window) = bytes.get(at..at + SCHEME.len()) {
        if !window.eq_ignore_ascii_case(SCHEME) {
            at += 1;
            continue;
        }
        at += SCHEME.len();
        let rest = html.get(at..).unwrap_or_default();
        let ends = |character: char| {
            character.is_whitespace() || matches!(character, '"' | '\'' | '<' | '>' | ')' | '\\')
        };
        let id = rest.split(ends).next().unwrap_or_default();
        let id = id.split("&quot;").next().unwrap_or_default();
        found.insert(comparable(&id.replace("&amp;", "&")));
    }
    found
}

/// An id as it is compared: without angle brackets and percent-encoding, in one case, since programs differ in all of them.
fn comparable(id: &str) -> String {
    let bytes = id.trim().trim_matches(['<', '>']).as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).unwrap_or_default();
        let value = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| *byte == b'%' && digits.len() == 2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) => {
                plain.push(value);
                at += 3;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).to_lowercase()
}
