//! Messages that were found where no change told of them: read or counted in a folder whose own changes have said nothing of
//! them yet. Mostly they came a moment ago, and the folder's next round tells it. Where that round tells nothing the service has
//! forgotten them there (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/21752>), and of what becomes of them later
//! it will tell nothing, either: such a folder is walked through anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{FolderId, MessageId};

/// How many are remembered one by one: they stand in the cursor.
const MOST: usize = 200;

/// The messages, and where they were found.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Unconfirmed {
    /// Found since the round under way began, or the last one: it may have come by before.
    found: BTreeMap<MessageId, FolderId>,
    /// Found before the round that is under way, which has to tell of them.
    due: BTreeMap<MessageId, FolderId>,
}

impl Unconfirmed {
    /// A message was found in a folder. Whether there is room to remember it.
    #[must_use]
    pub(super) fn note(&mut self, id: &MessageId, folder: &FolderId) -> bool {
        self.due.remove(id);
        let has_room = self.found.len() + self.due.len() < MOST;
        if has_room {
            self.found.insert(id.clone(), folder.clone());
        }
        has_room
    }

    /// A folder tells of a message: that it is there, or that it has left.
    pub(super) fn confirm(&mut self, id: &MessageId, folder: &FolderId) {
        for messages in [&mut self.found, &mut self.due] {
            if messages.get(id) == Some(folder) {
                messages.remove(id);
            }
        }
    }

    /// A folder was walked through to the end.
    pub(super) fn confirm_all(&mut self, folder: &FolderId) {
        for messages in [&mut self.found, &mut self.due] {
            messages.retain(|_, place| place != folder);
        }
    }

    /// A round begins.
    pub(super) fn begin_round(&mut self) {
        self.due.append(&mut self.found);
    }

    /// A round is over. The folders that have not told of what was found in them before it.
    pub(super) fn end_round(&mut self) -> BTreeSet<FolderId> {
        std::mem::take(&mut self.due).into_values().collect()
    }
}
