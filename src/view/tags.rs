//! Where the tags of an HTML text are. No parser: it builds nothing and repairs nothing, it only never takes text, comments
//! or attribute values for tags, so that a text can be cut between them.

/// A tag and where it stands.
pub(super) struct Tag<'a> {
    /// In lower case.
    pub(super) name: String,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) closes: bool,
    /// Of an opening tag, the index of the tag that closes it.
    pub(super) partner: Option<usize>,
    attributes: &'a str,
}

impl Tag<'_> {
    /// The value of an attribute, with the references to characters that a class or id never needs left as they are.
    pub(super) fn attribute(&self, wanted: &str) -> Option<&str> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return None;
            }
            // An equals sign may begin a name, so that this always moves on.
            let name_end = rest
                .char_indices()
                .skip(1)
                .find(|(_, c)| c.is_ascii_whitespace() || matches!(c, '=' | '/'))
                .map_or(rest.len(), |(at, _)| at);
            let (name, after) = rest.split_at(name_end);
            let (value, after) = match after.trim_start().strip_prefix('=') {
                Some(after) => value(after.trim_start()),
                None => ("", after),
            };
            if name.eq_ignore_ascii_case(wanted) {
                return Some(value);
            }
            rest = after;
        }
    }

    /// Whether it has one of these classes. Outlook puts `x_` before the names in mail that it shows.
    pub(super) fn has_class(&self, wanted: &[&str]) -> bool {
        let classes = self.attribute("class").unwrap_or_default();
        classes.split_ascii_whitespace().any(|class| {
            let class = unprefixed(class);
            wanted
                .iter()
                .any(|wanted| class.eq_ignore_ascii_case(wanted))
        })
    }

    /// Whether it has one of these ids, or one of them with something before or after it in the manner of web mailers.
    pub(super) fn has_id(&self, wanted: &[&str]) -> bool {
        let id = unprefixed(self.attribute("id").unwrap_or_default());
        wanted.iter().any(|wanted| id.eq_ignore_ascii_case(wanted))
    }
}

fn unprefixed(name: &str) -> &str {
    name.trim_start_matches("x_")
}

fn value(text: &str) -> (&str, &str) {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote.and_then(|quote| text.get(1..)?.split_once(quote)) {
        Some(parts) => parts,
        None => {
            let end = text
                .find(|c: char| c.is_ascii_whitespace())
                .unwrap_or(text.len());
            text.split_at(end)
        }
    }
}

/// Elements whose content is no markup.
const RAW: [&str; 8] = [
    "script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes",
];

/// Elements without content, which nothing closes.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];

/// The tags of a text, in order.
pub(super) fn tags(html: &str) -> Vec<Tag<'_>> {
    let mut tags: Vec<Tag<'_>> = Vec::new();
    // The opening tags of each name that are not closed yet.
    let mut open: std::collections::HashMap<String, Vec<usize>> = std::collections::HashMap::new();
    let mut at = 0;
    while let Some(found) = html.get(at..).and_then(|rest| rest.find('<')) {
        let start = at + found;
        let rest = html.get(start..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("<!--") {
            at = comment
                .find("-->")
                .map_or(html.len(), |end| start + 4 + end + 3);
            continue;
        }
        let inner = rest.get(1..).unwrap_or_default();
        let closes = inner.starts_with('/');
        let inner = inner.strip_prefix('/').unwrap_or(inner);
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // Text, or a declaration: neither is of any use here.
            at = start + 1;
            continue;
        }
        let name_end = inner
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'))
            .unwrap_or(inner.len());
        let (name, after) = inner.split_at(name_end);
        let Some(length) = attributes_end(after) else {
            // Cut off within a tag.
            break;
        };
        let attributes = after.get(..length).unwrap_or_default();
        let end = html.len() - after.len() + length + 1;
        let name = name.to_ascii_lowercase();
        let index = tags.len();
        at = end;
        if closes {
            if let Some(opened) = open.get_mut(&name).and_then(Vec::pop)
                && let Some(opened) = tags.get_mut(opened)
            {
                opened.partner = Some(index);
            }
        } else if RAW.contains(&name.as_str()) {
            at = raw_end(html, end, &name);
        } else if !VOID.contains(&name.as_str()) {
            open.entry(name.clone()).or_default().push(index);
        }
        tags.push(Tag {
            name,
            start,
            end,
            closes,
            partner: None,
            attributes,
        });
    }
    tags
}

/// How long the attributes are: up to a `>` outside of quotation marks that begin a value.
fn attributes_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut after_equals = false;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') if after_equals => quote = Some(byte),
            _ => {}
        }
        after_equals = byte == b'=' || (after_equals && byte.is_ascii_whitespace());
    }
    None
}

/// Where the tag begins that ends an element whose content is no markup.
fn raw_end(html: &str, from: usize, name: &str) -> usize {
    let bytes = html.as_bytes();
    let mut at = from;
    while let Some(found) = html.get(at..).and_then(|rest| rest.find("</")) {
        let close = at + found;
        let given = bytes.get(close + 2..close + 2 + name.len());
        if given.is_some_and(|given| given.eq_ignore_ascii_case(name.as_bytes())) {
            return close;
        }
        at = close + 2;
    }
    html.len()
}
