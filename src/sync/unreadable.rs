//! Messages that are there and could not be read: they are told with their errors, remembered so that they are tried again, and
//! keep no other from being told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Message, MessageId};

/// How many are remembered one by one: they stand in the cursor.
const MOST: usize = 1_000;

/// What could not be read, so that what the host has of it is perhaps of before.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Unreadable {
    ids: BTreeSet<MessageId>,
    /// Whether there are more than are remembered one by one.
    more: bool,
}

/// What becomes of a message that could not be read.
pub(crate) enum Refused {
    /// It is told with its error.
    Told,
    /// It is read once more, after all others.
    PutOff,
    /// It stays where it is in the order.
    Waits,
    /// The error is that of the whole page.
    All,
}

impl Unreadable {
    /// It could not be read.
    pub(crate) fn note(&mut self, id: &MessageId) {
        if self.ids.len() < MOST {
            self.ids.insert(id.clone());
        } else {
            self.more |= !self.ids.contains(id);
        }
    }

    /// It was read, or is not to be read any more.
    pub(crate) fn forget(&mut self, id: &MessageId) {
        self.ids.remove(id);
    }

    pub(crate) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// It is perhaps not there. Whether that was not so before: then it is to be asked for once more.
    pub(crate) fn doubt(&mut self, id: &MessageId) -> bool {
        let is_new = !self.contains(id);
        self.note(id);
        is_new && self.contains(id)
    }

    /// Those that are to be tried again, each remembered until it was read; and whether there are others, of which nothing else
    /// is known.
    pub(crate) fn retry(&mut self) -> (Vec<MessageId>, bool) {
        let others = std::mem::take(&mut self.more);
        (self.ids.iter().cloned().collect(), others)
    }

    /// A message could not be read. One at which the service fails whenever it is asked must not end every sync at the same
    /// place: that it is this message alone shows where others are `answered`. Where they are not, what else the page has to tell
    /// is told all the same, if there is anything.
    pub(crate) fn refuse(
        &mut self,
        id: &MessageId,
        error: &Error,
        answered: bool,
        tells: bool,
    ) -> Refused {
        let failed = error.is_failure();
        // Some messages are others' to read only.
        let denied = error.kind() == ErrorKind::PermissionDenied && answered;
        if !error.concerns_all() || denied || (failed && self.contains(id)) {
            self.note(id);
            return Refused::Told;
        }
        if failed && answered {
            self.note(id);
            if self.contains(id) {
                return Refused::PutOff;
            }
        }
        if failed && tells {
            return Refused::Waits;
        }
        Refused::All
    }
}

/// Whether any of these messages was answered for, be it with an error of its own.
pub(crate) fn is_answered(read: &[Result<Message>]) -> bool {
    let own = |error: &Error| !error.concerns_all();
    read.iter()
        .any(|outcome| outcome.as_ref().err().is_none_or(own))
}
