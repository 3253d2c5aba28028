//! A file that goes with an outgoing message. Its bytes are [`Content`]; how they are encoded is `mime/`'s.

use std::fmt;
use std::io;

use crate::model::Content;

/// A file that goes with a message. Its bytes are read when they are sent, perhaps more than once: [`Content`] makes them
/// of bytes in memory, of a file, or of any reader.
#[derive(Clone)]
#[non_exhaustive]
pub struct OutgoingAttachment {
    /// Its file name.
    pub name: String,
    /// Its media type, such as `application/pdf`.
    pub media_type: String,
    /// Its bytes.
    pub content: Content,
    /// Set for a file that is shown within the HTML, which refers to it as `cid:` and this id.
    pub content_id: Option<String>,
}

impl OutgoingAttachment {
    /// A file beside the text.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        media_type: impl Into<String>,
        content: impl Into<Content>,
    ) -> Self {
        Self {
            name: name.into(),
            media_type: media_type.into(),
            content: content.into(),
            content_id: None,
        }
    }

    /// A whole message as an attachment, from its RFC 5322 text. It is read once, to see whether it can travel as a message.
    /// Where it has longer lines than others must take, or more than ASCII, only a change of its text would make that
    /// possible: it travels as it is, as a file, which programs know for a message by a name that ends in `.eml`.
    ///
    /// # Errors
    /// When the message cannot be read.
    pub async fn message(name: impl Into<String>, message: Content) -> io::Result<Self> {
        let message = message.examined().await?;
        Ok(Self::new(name, "message/rfc822", message))
    }

    /// Shows it within the HTML, which refers to it as `cid:` and this id.
    #[must_use]
    pub fn inline(mut self, content_id: impl Into<String>) -> Self {
        self.content_id = Some(content_id.into());
        self
    }
}

impl fmt::Debug for OutgoingAttachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OutgoingAttachment")
            .field("media_type", &self.media_type)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}
