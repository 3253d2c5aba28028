//! What an answer quotes and a forwarded message holds, in plain text and in HTML. What came by mail never becomes markup: text
//! is escaped, HTML is made safe by `view`.

use std::collections::BTreeSet;

use crate::model::{Address, Message};

/// How much of a name stands in a line.
const LONGEST_NAME: usize = 100;

/// What the host wrote.
pub(super) struct Given<'a> {
    pub(super) text: Option<&'a str>,
    pub(super) html: Option<&'a str>,
}

/// A message's text in its forms.
pub(super) struct Forms {
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
}

impl Given<'_> {
    /// What the host wrote, and nothing else.
    pub(super) fn alone(&self) -> Forms {
        Forms {
            text: self.text.map(str::to_owned),
            html: self.html.map(str::to_owned),
        }
    }
}

/// The host's text with the original quoted below it.
pub(super) fn reply(original: &Message, given: &Given<'_>, attribution: Option<&str>) -> Forms {
    let line = attribution.map_or_else(|| attribution_of(original), one_line);
    let nothing_given = given.text.is_none() && given.html.is_none();
    let text = (given.text.is_some() || nothing_given).then(|| {
        let above = above(given.text);
        match plain_text(original) {
            Some(text) => format!("{above}{line}\n{}", quoted(&text)),
            None => above,
        }
    });
    let wanted = given.html.is_some() || (nothing_given && original.body.html.is_some());
    let html = wanted.then(|| {
        let quoted = safe_html(original, false).map(|html| {
            format!(
                "<div class=\"gmail_quote\"><div class=\"gmail_attr\">{}</div>\
                 <blockquote class=\"gmail_quote\" type=\"cite\" style=\"margin:0 0 0 .8ex;\
                 border-left:1px solid #ccc;padding-left:1ex\">{html}</blockquote></div>",
                escaped(&line)
            )
        });
        below(given.html.unwrap_or_default(), &quoted.unwrap_or_default())
    });
    Forms {
        text,
        // Nothing quoted and nothing written is no form.
        html: html.filter(|html| !html.is_empty()),
    }
}

/// The host's text with the original's header and text below it; `None` where the original's cannot be written.
pub(super) fn forward(original: &Message, given: &Given<'_>) -> Option<Forms> {
    let lines = header_lines(original);
    let plain = plain_text(original);
    let html = safe_html(original, true);
    if plain.is_none() && html.is_none() && original.body.html.is_some() {
        return None;
    }
    let mut text = above(given.text);
    text.push_str("---------- Forwarded message ----------\n");
    for (name, value) in &lines {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push('\n');
    text.push_str(plain.as_deref().unwrap_or_default());
    let wanted = given.html.is_some() || original.body.html.is_some();
    let html = html.filter(|_| wanted).map(|html| {
        let above = match (given.html, given.text) {
            (Some(html), _) => html.to_owned(),
            (None, Some(text)) => format!("<div>{}</div>", escaped(text)),
            (None, None) => String::new(),
        };
        let lines: String = lines
            .iter()
            .map(|(name, value)| format!("<b>{name}:</b> {}<br>", escaped(value)))
            .collect();
        let whole = format!(
            "<div class=\"gmail_quote\"><div class=\"gmail_attr\">\
             ---------- Forwarded message ----------<br>{lines}</div><br>{html}</div>"
        );
        below(&above, &whole)
    });
    Some(Forms {
        // A host that wrote HTML alone has no text to stand above the original's.
        text: (given.text.is_some() || given.html.is_none() || html.is_none()).then_some(text),
        html,
    })
}

/// The content ids of the original's own pictures that HTML shows, in lower case.
pub(crate) fn shown_images(html: &str) -> BTreeSet<String> {
    let lower = html.to_ascii_lowercase();
    let after = lower.split("src=\"cid:").skip(1);
    after
        .filter_map(|rest| rest.split_once('"'))
        .map(|(id, _)| {
            percent_encoding::percent_decode_str(&id.replace("&amp;", "&"))
                .decode_utf8_lossy()
                .into_owned()
        })
        .collect()
}

/// The host's plain text, with a blank line below it.
fn above(text: Option<&str>) -> String {
    match text.map(str::trim_end) {
        None | Some("") => String::from("\n\n"),
        Some(text) => format!("{text}\n\n"),
    }
}

/// HTML with more of it below, within its body if it is a whole document.
fn below(html: &str, more: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let end = ["</body", "</html"]
        .into_iter()
        .find_map(|tag| lower.rfind(tag));
    match end.and_then(|end| html.split_at_checked(end)) {
        Some((before, after)) => format!("{before}{more}{after}"),
        None => format!("{html}{more}"),
    }
}

/// The original's text, its wrapping undone; of HTML alone, what it says.
fn plain_text(original: &Message) -> Option<String> {
    #[cfg(feature = "html")]
    let text = original.body.text_view();
    #[cfg(not(feature = "html"))]
    let text = original.body.plain_text();
    text.map(|text| text.trim_end().replace("\r\n", "\n"))
}

/// The original as HTML that is safe within other HTML: its own, or its text.
fn safe_html(original: &Message, remote_images: bool) -> Option<String> {
    #[cfg(feature = "html")]
    if let Some(html) = &original.body.html {
        let known: BTreeSet<String> = original
            .attachments
            .iter()
            .filter_map(|attachment| attachment.content_id.as_deref())
            .filter(|id| crate::mime::usable_id(id).is_some())
            .map(str::to_ascii_lowercase)
            .collect();
        let cleaned = crate::view::SafeHtml::new()
            .with_remote_images(remote_images)
            // The pictures go along, so that their ids lead to them there too.
            .with_inline_images(move |id| {
                known.contains(&id.to_ascii_lowercase()).then(|| {
                    let id = percent_encoding::utf8_percent_encode(id, ID);
                    format!("cid:{id}")
                })
            })
            .clean(html);
        return Some(cleaned.html);
    }
    let _ = remote_images;
    plain_text(original).map(|text| format!("<div>{}</div>", escaped(&text)))
}

/// What of a content id is written as it is in an address (<https://www.rfc-editor.org/rfc/rfc2392>).
#[cfg(feature = "html")]
const ID: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'?');

/// Each line with a `>` before it, and a space where it is no quotation itself (RFC 3676 §4.5). Spaces at the end of a line would
/// say that it goes on.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for line in text.lines() {
        let line = line.trim_end();
        quoted.push_str(match line {
            "" => ">",
            _ if line.starts_with('>') => ">",
            _ => "> ",
        });
        quoted.push_str(line);
        quoted.push('\n');
    }
    quoted
}

fn attribution_of(original: &Message) -> String {
    let author = original.from.first().or(original.sender.as_ref());
    let author = author.map_or_else(|| "somebody".to_owned(), shown);
    match date(original) {
        Some(date) => format!("On {date}, {author} wrote:"),
        None => format!("{author} wrote:"),
    }
}

fn date(original: &Message) -> Option<String> {
    let date = original.sent_at.or(original.received_at)?;
    Some(date.format("%a, %-d %b %Y at %H:%M UTC").to_string())
}

fn header_lines(original: &Message) -> Vec<(&'static str, String)> {
    let list = |list: &[Address]| list.iter().map(shown).collect::<Vec<_>>().join(", ");
    let subject = one_line(original.subject.as_deref().unwrap_or_default());
    let lines = [
        ("From", list(&original.from)),
        ("Date", date(original).unwrap_or_default()),
        ("Subject", subject),
        ("To", list(&original.to)),
        ("Cc", list(&original.cc)),
    ];
    let told = lines.into_iter().filter(|(_, value)| !value.is_empty());
    told.collect()
}

fn shown(address: &Address) -> String {
    let name: String = address
        .name()
        .unwrap_or_default()
        .chars()
        .take(LONGEST_NAME)
        .collect();
    let address = Address::received(Some(one_line(&name)), one_line(address.address()));
    address.to_string()
}

/// Line breaks and other control characters become spaces.
pub(super) fn one_line(text: &str) -> String {
    let spaced = text.replace(char::is_control, " ");
    spaced.trim().to_owned()
}

/// Text as HTML that shows it.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\n' => html.push_str("<br>\n"),
            '\r' => {}
            other => html.push(other),
        }
    }
    html
}
