//! What a grant or a handle allows, in levels that both services can express.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of access levels: what an application asks a user for, what the user granted, and what a
/// [`Mailbox`](crate::Mailbox) handle may do.
///
/// ```
/// use postroom::Access;
///
/// let access = Access::READ_WRITE | Access::SEND;
/// assert!(access.contains(Access::READ));
/// assert!(!Access::READ.contains(access));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(u8);

impl Access {
    /// Nothing beyond who the user is.
    pub const NONE: Self = Self(0);
    /// Read mail, folders and attachments.
    pub const READ: Self = Self(1);
    /// Read mail, and change what is there: mark, move, label, archive, trash.
    pub const READ_WRITE: Self = Self(1 | 2);
    /// Send mail.
    pub const SEND: Self = Self(4);
    /// Write drafts. On Microsoft this cannot be had without [`READ_WRITE`](Self::READ_WRITE).
    pub const DRAFT: Self = Self(8);
    /// Delete mail for good, which is never part of [`READ_WRITE`](Self::READ_WRITE). On Google this is full access to
    /// the mailbox. Microsoft has no permission of its own for it: whoever may change mail there may delete it, so
    /// [restrict](crate::Mailbox::restrict) the handles of code that should not.
    pub const DELETE: Self = Self(1 | 2 | 16);
    /// Read and change settings: automatic replies, rules, and on Microsoft the list of categories.
    pub const SETTINGS: Self = Self(32);

    /// A level comes after those that it builds on.
    const NAMED: [(&'static str, Self); 6] = [
        ("read", Self::READ),
        ("read_write", Self::READ_WRITE),
        ("send", Self::SEND),
        ("draft", Self::DRAFT),
        ("delete", Self::DELETE),
        ("settings", Self::SETTINGS),
    ];

    /// Whether everything in `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in this set and not in `other`. A level that builds on a missing one is missing with it.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is no level in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of its levels; `read` is left out where it is part of `read_write`.
    fn names(self) -> impl Iterator<Item = &'static str> {
        let is_shown = move |level: Self| {
            self.contains(level) && !(level == Self::READ && self.contains(Self::READ_WRITE))
        };
        Self::NAMED
            .into_iter()
            .filter_map(move |(name, level)| is_shown(level).then_some(name))
    }
}

impl Default for Access {
    /// Read-write and send: what a mail client needs.
    fn default() -> Self {
        Self::READ_WRITE | Self::SEND
    }
}

impl BitOr for Access {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Access {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("none");
        }
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                formatter.write_str(", ")?;
            }
            formatter.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Access({self})")
    }
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().try_fold(Self::NONE, |access, name| {
            let level = Self::NAMED.iter().find(|(known, _)| known == name);
            level
                .map(|(_, level)| access | *level)
                .ok_or_else(|| D::Error::custom("an access level that this version does not know"))
        })
    }
}
