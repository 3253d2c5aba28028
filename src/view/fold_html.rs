//! Finds what is quoted in HTML by the elements that mail programs put around it.

use super::fold::{Section, SectionKind, sections};
use super::tags::{Tag, tags};

/// Into what HTML falls: known by what Gmail, Outlook, Apple Mail, Thunderbird, Yahoo, Proton and others put around
/// quotations and signatures, also after Outlook on the web renamed it (`x_gmail_quote`).
///
/// A `blockquote` that no program marked is taken for a quotation of the author's own making, unless nothing follows it.
/// Cuts lie between tags, and a tag that only closes what was opened before stays with what it follows.
///
/// ```
/// use postroom::view::{SectionKind, fold_html};
///
/// let html = "<div>Yes.</div><div class=\"gmail_quote\">On 1 Jan…<blockquote>Shall we?</blockquote></div>";
/// let sections = fold_html(html);
/// assert_eq!(sections[0].content, "<div>Yes.</div>");
/// assert_eq!(sections[1].kind, SectionKind::Quote);
/// ```
#[must_use]
pub fn fold_html(html: &str) -> Vec<Section<'_>> {
    let tags = tags(html);
    let visible = Visible::of(html, &tags);
    let mut cuts: Vec<(usize, SectionKind)> = Vec::new();
    let mut index = 0;
    while let Some(tag) = tags.get(index) {
        let Some(found) = found(html, &tags, &visible, index) else {
            index += 1;
            continue;
        };
        let end = match (found.extent, tag.partner) {
            (Extent::Element, Some(partner)) => tags.get(partner).map_or(html.len(), |tag| tag.end),
            _ => html.len(),
        };
        cuts.push((tag.start, found.kind));
        if !visible.is_any(end, html.len()) {
            break;
        }
        cuts.push((end, SectionKind::New));
        index = tags
            .iter()
            .skip(index)
            .position(|tag| tag.start >= end)
            .map_or(tags.len(), |ahead| index + ahead);
    }
    sections(html, without_markup_alone(&visible, cuts))
}

struct Found {
    kind: SectionKind,
    extent: Extent,
}

enum Extent {
    /// The element itself.
    Element,
    /// Everything from here on.
    Rest,
}

/// Elements around a quotation.
const QUOTE_CLASSES: &[&str] = &[
    "gmail_quote",
    "gmail_quote_container",
    "yahoo_quoted",
    "protonmail_quote",
    "tutanota_quote",
    "zmail_extra",
    "mailquote",
    "ms-outlook-mobile-reference-message",
    "mail-editor-reference-message",
    "ymail_quoted",
];
const QUOTE_IDS: &[&str] = &[
    "mail-editor-reference-message-container",
    "isforwardcontent",
    "isreplycontent",
];

/// Elements at which Outlook on the web and its kin begin what they quote; it follows them.
const REST_IDS: &[&str] = &[
    "divrplyfwdmsg",
    "appendonsend",
    "stopspelling",
    "replysplit",
];

const FORWARD_CLASSES: &[&str] = &["moz-forward-container"];
const ATTRIBUTION_CLASSES: &[&str] = &["moz-cite-prefix", "gmail_attr"];
const SIGNATURE_CLASSES: &[&str] = &[
    "gmail_signature",
    "moz-signature",
    "protonmail_signature_block",
    "tutanota_signature",
    "yahoo_signature",
];
const SIGNATURE_IDS: &[&str] = &[
    "signature",
    "applemailsignature",
    "ms-outlook-mobile-signature",
    "applelinesignature",
    "ymail_android_signature",
];

fn found(html: &str, tags: &[Tag<'_>], visible: &Visible, index: usize) -> Option<Found> {
    let tag = tags.get(index).filter(|tag| !tag.closes)?;
    let of = |kind, extent| Some(Found { kind, extent });
    if tag.has_id(REST_IDS) {
        return of(SectionKind::Quote, Extent::Rest);
    }
    if !matches!(
        tag.name.as_str(),
        "div" | "blockquote" | "p" | "pre" | "span" | "table" | "td" | "section"
    ) {
        // A rule before the header that Outlook on the web quotes.
        let next = || tags.iter().skip(index + 1).find(|tag| !tag.closes);
        let before = tag.name == "hr" && next().is_some_and(|tag| tag.has_id(REST_IDS));
        return if before {
            of(SectionKind::Quote, Extent::Rest)
        } else {
            None
        };
    }
    if tag.has_class(FORWARD_CLASSES) {
        return of(SectionKind::Forwarded, Extent::Element);
    }
    if tag.has_class(QUOTE_CLASSES)
        || tag.has_id(QUOTE_IDS)
        || tag.attribute("name") == Some("messageReplySection")
    {
        // Gmail puts the same element around what it forwards, with a line of dashes before it.
        let begins = text_after(html, tags, index);
        let kind = if begins.trim_start().starts_with("-----") {
            SectionKind::Forwarded
        } else {
            SectionKind::Quote
        };
        return of(kind, Extent::Element);
    }
    if tag.has_class(ATTRIBUTION_CLASSES) {
        return of(SectionKind::Attribution, Extent::Element);
    }
    if tag.has_class(SIGNATURE_CLASSES) || tag.has_id(SIGNATURE_IDS) {
        return of(SectionKind::Signature, Extent::Element);
    }
    if tag.name == "blockquote" {
        let cited = tag
            .attribute("type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("cite"));
        let end = tag.partner.and_then(|partner| tags.get(partner));
        let last = end.is_none_or(|end| !visible.is_any(end.end, html.len()));
        return if cited || last {
            of(SectionKind::Quote, Extent::Element)
        } else {
            None
        };
    }
    if tag.name == "div" && is_outlook_header(html, tags, index) {
        return of(SectionKind::Quote, Extent::Rest);
    }
    None
}

/// The header that Outlook for Windows and for Mac put before what they quote: a line above it, and a bold word with a colon.
fn is_outlook_header(html: &str, tags: &[Tag<'_>], index: usize) -> bool {
    let Some(style) = tags.get(index).and_then(|tag| tag.attribute("style")) else {
        return false;
    };
    let style: String = style.to_ascii_lowercase().split_whitespace().collect();
    let ruled =
        style.contains("border-top:solid#b5c4df") || style.contains("border-top:solid#e1e1e1");
    let bold = || {
        let inside = tags.iter().skip(index + 1).take(8);
        inside
            .take_while(|tag| tag.name != "div")
            .any(|tag| matches!(tag.name.as_str(), "b" | "strong"))
    };
    ruled
        && style.contains("padding:3.0pt")
        && bold()
        && text_after(html, tags, index).contains([':', '：'])
}

/// The first words after a tag.
fn text_after(html: &str, tags: &[Tag<'_>], index: usize) -> String {
    let mut text = String::new();
    let mut from = tags.get(index).map_or(0, |tag| tag.end);
    for tag in tags.iter().skip(index + 1).take(12) {
        text.push_str(html.get(from..tag.start).unwrap_or_default());
        from = tag.end;
        if text.len() > 80 {
            break;
        }
    }
    text
}

/// Where something is to be seen, in order: text, and pictures.
struct Visible(Vec<usize>);

impl Visible {
    fn of(html: &str, tags: &[Tag<'_>]) -> Self {
        let mut found = Vec::new();
        let mut at = 0;
        let mut hidden = false;
        for tag in tags {
            let text = html.get(at..tag.start).unwrap_or_default();
            if !hidden && !is_blank(text) {
                found.push(at);
            }
            if tag.name == "img" {
                found.push(tag.start);
            }
            hidden = !tag.closes && matches!(tag.name.as_str(), "style" | "script" | "title");
            at = tag.end.max(at);
        }
        if !hidden && !is_blank(html.get(at..).unwrap_or_default()) {
            found.push(at);
        }
        Self(found)
    }

    fn is_any(&self, from: usize, to: usize) -> bool {
        let first = self.0.partition_point(|at| *at < from);
        self.0.get(first).is_some_and(|at| *at < to)
    }
}

/// Whether a text between tags shows nothing.
fn is_blank(text: &str) -> bool {
    let mut text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{200b}');
    loop {
        text = match text {
            _ if text.starts_with("<!--") => text.split_once("-->").map_or("", |(_, after)| after),
            _ => match text.strip_prefix("&nbsp;") {
                Some(after) => after,
                None => return text.is_empty(),
            },
        }
        .trim_start();
    }
}

/// Drops what would be a section of markup and blanks alone between two others.
fn without_markup_alone(
    visible: &Visible,
    cuts: Vec<(usize, SectionKind)>,
) -> Vec<(usize, SectionKind)> {
    let mut kept: Vec<(usize, SectionKind)> = Vec::new();
    let mut cuts = cuts.into_iter().peekable();
    while let Some((at, kind)) = cuts.next() {
        let next = cuts.peek().map(|(next, _)| *next);
        if kind == SectionKind::New && next.is_some_and(|next| !visible.is_any(at, next)) {
            continue;
        }
        kept.push((at, kind));
    }
    kept
}
