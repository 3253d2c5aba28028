//! HTML that came by mail, made safe to show in a page: nothing in it runs, nothing in it tells the sender that it was read.
//! Parsing and cleaning are ammonia's; which elements, attributes and addresses stay is decided here.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ammonia::{Builder, UrlRelative};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::Url;

use super::html_text::text_alone;
use super::nesting::{Parsing, is_unreasonable};
use super::style;

type Resolve = dyn Fn(&str) -> Option<String> + Send + Sync;

/// How HTML is made safe to show.
///
/// What stays: text and its structure (paragraphs, headings, lists, tables, quotations), its looks in `style` attributes and
/// the older attributes for them (colours, fonts, sizes, spaces; nothing that moves an element out of its place or fetches
/// anything), links to web pages, addresses and telephone numbers, and pictures: those inside the message, and those elsewhere
/// only [if asked for](Self::with_remote_images). Links open in a new page that learns nothing of this one.
///
/// What goes: scripts, handlers, forms, frames, objects, audio and video, SVG and MathML, style sheets, `meta`, `base` and `link`,
/// ids and classes, comments, and every address that the reader's browser would fetch by itself, also in styles.
///
/// HTML in which hundreds of elements lie in one another, which only attacks on parsers have, is shown as its text.
///
/// The result is a fragment for the body of a page. A page that shows it in a frame with `sandbox` and a content security
/// policy is safe even where a browser or this is not. Whether a link leads where its text says is not examined.
///
/// ```
/// use postroom::view::SafeHtml;
///
/// let html = "<p onclick=\"x()\">Hello <img src=\"https://shop.example/seen.gif\"></p><script>x()</script>";
/// let safe = SafeHtml::new().clean(html);
/// assert!(safe.html.starts_with("<p>Hello <img") && !safe.html.contains("shop.example"));
/// assert_eq!(safe.blocked_images, 1);
/// ```
#[derive(Clone, Default)]
pub struct SafeHtml {
    remote_images: bool,
    inline: HashMap<String, String>,
    resolve: Option<Arc<Resolve>>,
}

/// HTML that is safe to show, and what was left out of it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SafeHtmlView {
    /// The HTML.
    pub html: String,
    /// How many pictures elsewhere were not let through: a reader may be asked whether to show them.
    pub blocked_images: usize,
    /// The content ids of pictures inside the message that nothing was given for, without `cid:`. They are those of
    /// [attachments](crate::Attachment::content_id): fetch them and come back.
    pub missing_images: BTreeSet<String>,
}

impl SafeHtml {
    /// Without pictures that are elsewhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether pictures are fetched from where the sender put them. That tells the sender when and from where the message
    /// is read, so let the reader decide. Only the pictures of `img` elements are, never backgrounds.
    #[must_use]
    pub fn with_remote_images(mut self, remote_images: bool) -> Self {
        self.remote_images = remote_images;
        self
    }

    /// Shows a picture that is inside the message, by its bytes. What is no GIF, JPEG, PNG, WebP, BMP or AVIF is not shown:
    /// an SVG picture may hold scripts.
    #[must_use]
    pub fn with_inline_image(mut self, content_id: &str, media_type: &str, bytes: &[u8]) -> Self {
        let media_type = media_type.trim().to_ascii_lowercase();
        if IMAGES.contains(&media_type.as_str()) {
            let url = format!("data:{media_type};base64,{}", STANDARD.encode(bytes));
            self.inline.insert(key(content_id), url);
        }
        self
    }

    /// Shows pictures that are inside the message from where the host serves them. `resolve` is given a content id, without
    /// `cid:`, and what it gives goes into the HTML as it is: it is the host's own address.
    #[must_use]
    pub fn with_inline_images(
        mut self,
        resolve: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.resolve = Some(Arc::new(resolve));
        self
    }

    /// Makes HTML safe. A [section](super::Section) of a body is made a whole of its own.
    #[must_use]
    pub fn clean(&self, html: &str) -> SafeHtmlView {
        if is_unreasonable(html, Parsing::Fragment) {
            return SafeHtmlView {
                html: as_lines(&text_alone(html)),
                blocked_images: 0,
                missing_images: BTreeSet::new(),
            };
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let filter = {
            let (options, seen) = (self.clone(), Arc::clone(&seen));
            move |element: &str, attribute: &str, value: &str| {
                options.attribute(element, attribute, value, &seen)
            }
        };
        let mut builder = Builder::empty();
        builder
            .tags(ELEMENTS.iter().copied().collect())
            .clean_content_tags(REMOVED_WHOLE.iter().copied().collect())
            .generic_attributes(["dir", "lang", "style", "title"].into())
            .tag_attributes(attributes())
            .url_schemes(["http", "https", "mailto", "tel", "cid", "data"].into())
            // Relative addresses in mail lead nowhere, and the filter drops them; only the host gives some.
            .url_relative(UrlRelative::PassThrough)
            .link_rel(Some("noopener noreferrer nofollow"))
            .set_tag_attribute_value("a", "target", "_blank")
            .set_tag_attribute_value("img", "referrerpolicy", "no-referrer")
            .strip_comments(true)
            .attribute_filter(move |element, attribute, value| {
                filter(element, attribute, value).map(Cow::Owned)
            });
        let html = builder.clean(html).to_string();
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        SafeHtmlView {
            html,
            blocked_images: seen.blocked,
            missing_images: seen.missing,
        }
    }

    /// The value that an attribute keeps.
    fn attribute(
        &self,
        element: &str,
        attribute: &str,
        value: &str,
        seen: &Mutex<Seen>,
    ) -> Option<String> {
        match (element, attribute) {
            (_, "style") => Some(style::harmless(value)).filter(|style| !style.is_empty()),
            ("img", "src") => self.image(value, seen),
            // As the parser understood it, so that the browser cannot understand it otherwise.
            (_, "href") => {
                let url = Url::parse(value).ok()?;
                let allowed = ["http", "https", "mailto", "tel"].contains(&url.scheme());
                allowed.then(|| url.to_string())
            }
            (_, "src") => None,
            _ => Some(value.to_owned()),
        }
    }

    fn image(&self, value: &str, seen: &Mutex<Seen>) -> Option<String> {
        let url = Url::parse(value).ok()?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match url.scheme() {
            "cid" => {
                let id = percent_decode_str(url.path()).decode_utf8_lossy();
                let id = id.trim().trim_matches(['<', '>']);
                let given = self.inline.get(&key(id)).cloned();
                let given = given.or_else(|| self.resolve.as_ref()?(id));
                if given.is_none() {
                    seen.missing.insert(id.to_owned());
                }
                given
            }
            "data" => {
                let media_type = url.path().split([';', ',']).next().unwrap_or_default();
                IMAGES
                    .contains(&media_type.to_ascii_lowercase().as_str())
                    .then(|| url.to_string())
            }
            "http" | "https" if self.remote_images => Some(url.to_string()),
            "http" | "https" => {
                seen.blocked += 1;
                None
            }
            _ => None,
        }
    }
}

/// Text as HTML.
fn as_lines(text: &str) -> String {
    ammonia::clean_text(text).replace("&#10;", "<br>\n")
}

/// What was left out so far.
#[derive(Default)]
struct Seen {
    blocked: usize,
    missing: BTreeSet<String>,
}

/// Content ids are compared without the brackets that some programs leave on them, and in any case.
fn key(content_id: &str) -> String {
    content_id
        .trim()
        .trim_matches(['<', '>'])
        .to_ascii_lowercase()
}

/// Pictures that are only pictures.
const IMAGES: [&str; 8] = [
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/jpg",
    "image/pjpeg",
    "image/png",
    "image/webp",
];

const ELEMENTS: [&str; 77] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "article",
    "aside",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "dfn",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
    "nav",
];

/// Elements that go with everything in them. Of others that go, the text stays.
const REMOVED_WHOLE: [&str; 21] = [
    "script", "style", "title", "head", "iframe", "frame", "frameset", "object", "embed", "applet",
    "noembed", "noframes", "noscript", "svg", "math", "template", "textarea", "select", "audio",
    "video", "xml",
];

fn attributes() -> HashMap<&'static str, HashSet<&'static str>> {
    let table = [
        "align",
        "bgcolor",
        "border",
        "cellpadding",
        "cellspacing",
        "height",
        "valign",
        "width",
    ];
    let cell = [
        "align", "bgcolor", "colspan", "height", "nowrap", "rowspan", "valign", "width",
    ];
    let block = ["align"];
    let mut attributes: HashMap<&'static str, HashSet<&'static str>> = HashMap::new();
    let mut allow = |element, names: &[&'static str]| {
        attributes.insert(element, names.iter().copied().collect());
    };
    allow("a", &["href"]);
    allow(
        "img",
        &[
            "align", "alt", "border", "height", "hspace", "src", "vspace", "width",
        ],
    );
    allow("font", &["color", "face", "size"]);
    allow("table", &table);
    for element in ["td", "th"] {
        allow(element, &cell);
    }
    for element in ["tr", "tbody", "thead", "tfoot"] {
        allow(element, &["align", "bgcolor", "height", "valign"]);
    }
    for element in ["col", "colgroup"] {
        allow(element, &["align", "span", "valign", "width"]);
    }
    for element in [
        "div", "p", "h1", "h2", "h3", "h4", "h5", "h6", "caption", "center",
    ] {
        allow(element, &block);
    }
    allow("hr", &["align", "noshade", "size", "width"]);
    allow("ol", &["start", "type"]);
    allow("ul", &["type"]);
    allow("li", &["type", "value"]);
    attributes
}

/// Addresses that came by mail and pictures are not printed.
impl fmt::Debug for SafeHtml {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SafeHtml")
            .field("remote_images", &self.remote_images)
            .field("inline_images", &self.inline.len())
            .finish_non_exhaustive()
    }
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for SafeHtmlView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SafeHtmlView")
            .field("length", &self.html.len())
            .field("blocked_images", &self.blocked_images)
            .field("missing_images", &self.missing_images.len())
            .finish()
    }
}
