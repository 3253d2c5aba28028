//! Texts of which only what they stand for is read: instants, and words of small vocabularies. They come with every message,
//! and are not kept as they came.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// An instant (<https://learn.microsoft.com/graph/api/resources/message>); none where something else stands in its place.
#[derive(Clone, Copy)]
pub(in crate::outlook) struct Timestamp(pub(in crate::outlook) Option<DateTime<Utc>>);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Timestamp;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an instant")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Timestamp, E> {
                let instant = DateTime::parse_from_rfc3339(text);
                Ok(Timestamp(instant.ok().map(|instant| instant.to_utc())))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// A word such as the importance of a message. Its case varies.
#[derive(Serialize)]
pub(in crate::outlook) struct Word(Cow<'static, str>);

/// The words that messages usually have.
const USUAL: [&str; 5] = ["normal", "notFlagged", "high", "flagged", "low"];

impl Word {
    pub(in crate::outlook) const fn new(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    pub(in crate::outlook) fn is(&self, word: &str) -> bool {
        self.0.eq_ignore_ascii_case(word)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Word;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a word")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
                let usual = USUAL.iter().find(|usual| **usual == text);
                Ok(usual.map_or_else(|| Word(text.to_owned().into()), |usual| Word::new(usual)))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}
