//! Where a sync has got to, as text that a host stores: a line that says which form it has, then one line for each entry.
//! What the entries mean is each provider's.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The first line: another form of cursor begins in another way.
const MARK: &str = "postroom-sync/1";

/// No cursor is longer, so that one that somebody made up costs nothing to refuse.
const LONGEST: usize = 64 * 1024 * 1024;

/// Where a sync has got to: opaque, kept by the host in the same transaction as the page it came with.
///
/// Cursors of mailboxes with many folders are long, and only a few lines of one change from page to page. Hosts that mind
/// store its [`entries`](Self::entries) apart, and put them [together](Self::from_entries) again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyncCursor(String);

impl SyncCursor {
    /// Takes a provider's text, or one that was stored.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A cursor that consists of these entries. Of two with the same name, the later holds.
    #[must_use]
    pub fn from_entries<N: AsRef<str>, V: AsRef<str>>(
        entries: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let entries: BTreeMap<String, String> = entries
            .into_iter()
            .map(|(name, value)| (escaped(name.as_ref()), escaped(value.as_ref())))
            .collect();
        let mut text = String::from(MARK);
        for (name, value) in entries {
            text.push('\n');
            text.push_str(&name);
            text.push('\t');
            text.push_str(&value);
        }
        Self(text)
    }

    /// Whether it is short enough to be read again.
    pub(crate) fn is_readable(&self) -> bool {
        self.0.len() <= LONGEST
    }

    /// The entries it consists of, by name; `None` if it is not made of entries.
    #[must_use]
    pub fn entries(&self) -> Option<BTreeMap<String, String>> {
        if !self.is_readable() {
            return None;
        }
        let mut lines = self.0.split('\n');
        if lines.next() != Some(MARK) {
            return None;
        }
        let mut entries = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once('\t')?;
            let earlier = entries.insert(unescaped(name)?, unescaped(value)?);
            if earlier.is_some() {
                return None;
            }
        }
        Some(entries)
    }
}

/// Outlook's cursors hold whole addresses, which are nobody's to read in a log.
impl fmt::Debug for SyncCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SyncCursor(..)")
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
}

fn unescaped(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return (!text.contains('\t')).then(|| text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                'n' => '\n',
                't' => '\t',
                _ => return None,
            },
            '\t' => return None,
            other => other,
        });
    }
    Some(plain)
}
