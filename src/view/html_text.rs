//! HTML as text, for programs without a browser. What the text means, which of it is quoted, is told elsewhere.

use html2text::render::TextDecorator;

use super::nesting::{Parsing, is_unreasonable};

/// How HTML is written as text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HtmlText {
    width: Option<usize>,
    links: bool,
}

impl HtmlText {
    /// One line for each paragraph, with the addresses of links behind them.
    #[must_use]
    pub fn new() -> Self {
        Self {
            width: None,
            links: true,
        }
    }

    /// Breaks lines at this width, where words allow it.
    #[must_use]
    pub fn with_width(mut self, width: usize) -> Self {
        self.width = Some(width.max(10));
        self
    }

    /// Whether the address of a link is put behind its text, if that is another one.
    #[must_use]
    pub fn with_links(mut self, links: bool) -> Self {
        self.links = links;
        self
    }
}

impl Default for HtmlText {
    fn default() -> Self {
        Self::new()
    }
}

/// A page as wide as no line is, but not so wide that a table is drawn with it.
const UNBOUNDED: usize = 10_000;

/// HTML as text: paragraphs, lists, quotations with `> `, links with their addresses, pictures by their descriptions. Tables,
/// with which most mail is laid out, are read cell by cell. Scripts, styles and what is not shown are left out.
///
/// Nothing in HTML makes this fail. Where hundreds of elements lie in one another, the layout is lost and the text stays.
#[must_use]
pub fn html_to_text(html: &str, options: &HtmlText) -> String {
    let rendered = (!is_unreasonable(html, Parsing::Document)).then(|| {
        html2text::config::with_decorator(Decorator {
            links: options.links,
            open: Vec::new(),
        })
        .raw_mode(true)
        .allow_width_overflow()
        .no_link_wrapping()
        .string_from_read(html.as_bytes(), options.width.unwrap_or(UNBOUNDED))
    });
    match rendered {
        Some(Ok(text)) => tidied(&text),
        _ => text_alone(html),
    }
}

/// The text of HTML that no parser should be given.
pub(super) fn text_alone(html: &str) -> String {
    tidied(&mail_parser::decoders::html::html_to_text(html))
}

/// Without blanks at the end of lines, and with at most one blank line in a row: layout leaves many.
fn tidied(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() {
            blank += 1;
            continue;
        }
        if !tidy.is_empty() {
            tidy.push_str(if blank > 0 { "\n\n" } else { "\n" });
        }
        blank = 0;
        tidy.push_str(line);
    }
    if !tidy.is_empty() {
        tidy.push('\n');
    }
    tidy
}

#[derive(Clone)]
struct Decorator {
    links: bool,
    /// The addresses of the links that are open.
    open: Vec<String>,
}

impl TextDecorator for Decorator {
    type Annotation = ();

    fn decorate_link_start(&mut self, url: &str) -> (String, ()) {
        self.open.push(url.to_owned());
        (String::new(), ())
    }

    fn decorate_link_end(&mut self) -> String {
        match self.open.pop() {
            Some(url) if self.links && url.contains("://") => format!(" <{url}>"),
            _ => String::new(),
        }
    }

    fn decorate_em_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_em_end(&self) -> String {
        String::new()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_strong_end(&self) -> String {
        String::new()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _source: &str, title: &str) -> (String, ()) {
        let title = title.trim();
        (
            if title.is_empty() {
                String::new()
            } else {
                format!("[{title}]")
            },
            (),
        )
    }

    fn header_prefix(&self, _level: usize) -> String {
        String::new()
    }

    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }

    fn unordered_item_prefix(&self) -> String {
        "* ".to_owned()
    }

    fn ordered_item_prefix(&self, number: i64) -> String {
        format!("{number}. ")
    }

    fn make_subblock_decorator(&self) -> Self {
        self.clone()
    }

    fn decorate_superscript_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_superscript_end(&self) -> String {
        String::new()
    }
}
