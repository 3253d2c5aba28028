//! The messages that wait to be read, in that order, each once: whether one of them waits is known without looking at all.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::{FolderId, MessageId};

/// A message that is to be read.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) id: MessageId,
    /// The folders that it is said to have left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left: Vec<FolderId>,
    /// The folder that told last that it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) came: Option<FolderId>,
    /// Whether it was found by counting, although no folder had told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) counted: bool,
}

impl Waiting {
    /// A message of which nothing was told.
    pub(super) fn new(id: MessageId) -> Self {
        Self {
            id,
            left: Vec::new(),
            came: None,
            counted: false,
        }
    }

    /// Whether the changes of a folder in which it is found need not have told of it.
    pub(super) fn is_unexpected(&self, folder: &FolderId) -> bool {
        let is_elsewhere = !self.left.is_empty() || self.came.is_some() || self.counted;
        is_elsewhere && self.came.as_ref() != Some(folder)
    }
}

/// What is to be read.
#[derive(Default)]
pub(super) struct Backlog {
    queue: VecDeque<Waiting>,
    ids: BTreeSet<MessageId>,
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.iter()
    }

    pub(super) fn get_mut(&mut self, id: &MessageId) -> Option<&mut Waiting> {
        if !self.ids.contains(id) {
            return None;
        }
        self.queue.iter_mut().find(|waiting| waiting.id == *id)
    }

    /// It is read before all others.
    pub(super) fn put_first(&mut self, mut first: Waiting) {
        if let Some(earlier) = self.remove(&first.id) {
            first.left.extend(earlier.left);
            first.came = first.came.or(earlier.came);
            first.counted |= earlier.counted;
        }
        self.ids.insert(first.id.clone());
        self.queue.push_front(first);
    }

    /// It is read after all others, unless it waits already.
    pub(super) fn put_last(&mut self, last: Waiting) {
        if self.ids.insert(last.id.clone()) {
            self.queue.push_back(last);
        } else if last.counted
            && let Some(earlier) = self.get_mut(&last.id)
        {
            earlier.counted = true;
        }
    }

    pub(super) fn remove(&mut self, id: &MessageId) -> Option<Waiting> {
        if !self.ids.remove(id) {
            return None;
        }
        let place = self.queue.iter().position(|waiting| waiting.id == *id)?;
        self.queue.remove(place)
    }

    /// Those that are read next.
    pub(super) fn take(&mut self, most: usize) -> Vec<Waiting> {
        let count = self.queue.len().min(most);
        let taken: Vec<Waiting> = self.queue.drain(..count).collect();
        for waiting in &taken {
            self.ids.remove(&waiting.id);
        }
        taken
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.ids.clear();
    }
}

impl Extend<Waiting> for Backlog {
    fn extend<T: IntoIterator<Item = Waiting>>(&mut self, waiting: T) {
        for one in waiting {
            self.put_last(one);
        }
    }
}
