//! Bodies as Graph hands them out: text made into HTML, HTML without what could run, and the part of an
//! answer that is not quoted. Which of them a request gets is left to `represent`.

/// Text as HTML, as a message without HTML is handed out.
pub(crate) fn from_text(text: &str) -> String {
    let escaped = html_escape::encode_text(text)
        .replace("\r\n", "\n")
        .replace('\n', "<br>\r\n");
    document(&format!("<div class=\"PlainText\">{escaped}</div>"))
}

/// A body in the document that all bodies are in.
pub(crate) fn document(body: &str) -> String {
    format!(
        "<html><head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"></head>\
         <body>{body}</body></html>"
    )
}

/// HTML without scripts, without attributes that are scripts, and without elements that load pages.
/// Not a sanitizer to rely on: the real one is stricter.
/// <https://learn.microsoft.com/en-us/graph/api/resources/message#properties>
pub(crate) fn without_scripts(html: &str) -> String {
    let mut clean = html.to_owned();
    for name in ["script", "iframe", "object", "embed", "form"] {
        clean = without_element(&clean, name, name != "form");
    }
    without_handlers(&clean)
}

/// The HTML before the first quotation of what it answers.
pub(crate) fn unique(html: &str) -> String {
    without_element(html, "blockquote", true)
}

/// Removes the tags of an element, and what is between them if `whole`.
fn without_element(html: &str, name: &str, whole: bool) -> String {
    let (open, close) = (format!("<{name}"), format!("</{name}"));
    let mut result = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = find(rest, &open) {
        let (before, element) = rest.split_at(start);
        result.push_str(before);
        let end = element.find('>').map_or(element.len(), |end| end + 1);
        let (_, inside) = element.split_at(end);
        let Some(stop) = find(inside, &close) else {
            if !whole {
                result.push_str(inside);
            }
            return result;
        };
        let (content, tail) = inside.split_at(stop);
        if !whole {
            result.push_str(content);
        }
        let end = tail.find('>').map_or(tail.len(), |end| end + 1);
        rest = tail.split_at(end).1;
    }
    result.push_str(rest);
    result
}

/// Removes attributes such as `onclick="…"` from tags.
fn without_handlers(html: &str) -> String {
    let mut result = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        result.push_str(before);
        let (tag, after) = tag.split_at(tag.find('>').map_or(tag.len(), |end| end + 1));
        result.push_str(&without_handlers_in(tag));
        rest = after;
    }
    result.push_str(rest);
    result
}

fn without_handlers_in(tag: &str) -> String {
    let mut result = String::with_capacity(tag.len());
    let mut rest = tag;
    while let Some(start) = find(rest, " on") {
        let (before, attribute) = rest.split_at(start);
        result.push_str(before);
        let value = attribute.split_once('=').map(|(_, value)| value);
        let Some(value) = value else {
            rest = attribute;
            break;
        };
        rest = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value
                .split_at(1)
                .1
                .split_once(quote)
                .map_or("", |(_, after)| after),
            _ => value
                .find([' ', '>'])
                .map_or("", |end| value.split_at(end).1),
        };
    }
    result.push_str(rest);
    result
}

/// Where `wanted`, which is in lower case ASCII, first stands in `text` in any case.
fn find(text: &str, wanted: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(wanted)
}
