//! Ways to show a message: its text with the sender's wrapping undone, its quotations folded away, its HTML made safe, its
//! HTML as text. Views are computed from what was read and never change it; what a message is, is told by `facts`.

mod flowed;
mod fold;
mod fold_html;
mod fold_text;
#[cfg(feature = "html")]
mod html_text;
#[cfg(feature = "html")]
mod nesting;
#[cfg(feature = "html")]
mod safe_html;
#[cfg(feature = "html")]
mod style;
mod tags;

use std::borrow::Cow;

pub use flowed::unwrapped;
pub use fold::{Section, SectionKind, new_text};
pub use fold_html::fold_html;
pub use fold_text::fold_text;
#[cfg(feature = "html")]
pub use html_text::{HtmlText, html_to_text};
#[cfg(feature = "html")]
pub use safe_html::{SafeHtml, SafeHtmlView};

use crate::model::{Body, Message};

impl Body {
    /// The plain text, with the wrapping of `format=flowed` undone.
    #[must_use]
    pub fn plain_text(&self) -> Option<Cow<'_, str>> {
        let text = self.text.as_deref()?;
        Some(match self.flowed {
            Some(flowed) => Cow::Owned(unwrapped(text, flowed)),
            None => Cow::Borrowed(text),
        })
    }

    /// Its text for people: the plain text, or the HTML's where that is all there is or the plain text is blank.
    #[cfg(feature = "html")]
    #[must_use]
    pub fn text_view(&self) -> Option<Cow<'_, str>> {
        let plain = self.plain_text();
        let blank = plain.as_deref().is_none_or(|text| text.trim().is_empty());
        match &self.html {
            Some(html) if blank => Some(Cow::Owned(html_to_text(html, &HtmlText::new()))),
            _ => plain,
        }
    }

    /// The HTML made safe to show; see [`SafeHtml`].
    #[cfg(feature = "html")]
    #[must_use]
    pub fn safe_html(&self, options: &SafeHtml) -> Option<SafeHtmlView> {
        self.html.as_deref().map(|html| options.clean(html))
    }
}

impl Message {
    /// Its text for people: see [`Body::text_view`].
    #[cfg(feature = "html")]
    #[must_use]
    pub fn text_view(&self) -> Option<Cow<'_, str>> {
        self.body.text_view()
    }

    /// Its HTML made safe to show: see [`SafeHtml`].
    #[cfg(feature = "html")]
    #[must_use]
    pub fn safe_html(&self, options: &SafeHtml) -> Option<SafeHtmlView> {
        self.body.safe_html(options)
    }
}
