//! What pages of the history say of each message. The history is a list of steps, each of which may do several things to
//! many messages (<https://github.com/activepieces/activepieces/pull/14057>).

use std::collections::{HashMap, HashSet};

use crate::gmail::{convert, wire};
use crate::model::{MessageId, MessageUpdate, ThreadId};

/// What became of a message.
pub(super) enum Effect {
    /// It is new, or what happened can only be told by looking at it.
    Look(Option<ThreadId>),
    /// Labels came or went.
    Updated(MessageUpdate, Option<ThreadId>),
    /// It is gone for good.
    Deleted,
}

/// What became of each message, in the order in which they were first heard of.
pub(super) fn effects(records: Vec<Option<wire::History>>) -> Vec<(MessageId, Effect)> {
    let mut effects = Effects::default();
    for record in records.into_iter().flatten() {
        // A label that both came and went within one step: which was later is not told.
        let mut came: HashSet<(MessageId, String)> = HashSet::new();
        for (id, thread, _) in changes(record.messages_added) {
            effects.put(id, Effect::Look(thread));
        }
        for (id, thread, labels) in changes(record.labels_added) {
            for label in labels {
                effects.label(&id, thread.as_ref(), &label, true);
                came.insert((id.clone(), label));
            }
        }
        for (id, thread, labels) in changes(record.labels_removed) {
            for label in labels {
                let named = (id.clone(), label);
                if came.contains(&named) {
                    effects.put(named.0, Effect::Look(thread.clone()));
                } else {
                    effects.label(&named.0, thread.as_ref(), &named.1, false);
                }
            }
        }
        for (id, ..) in changes(record.messages_deleted) {
            effects.put(id, Effect::Deleted);
        }
    }
    effects.into_list()
}

type Change = (MessageId, Option<ThreadId>, Vec<String>);

/// The messages of one kind of change that are named at all.
fn changes(list: Option<Vec<Option<wire::Changed>>>) -> impl Iterator<Item = Change> {
    let changed = list.into_iter().flatten().flatten();
    changed.filter_map(|changed| {
        let message = changed.message?;
        let id = message.id.filter(|id| !id.is_empty())?;
        let labels = changed.label_ids.into_iter().flatten().flatten().collect();
        let thread = message.thread_id.map(ThreadId::from);
        Some((MessageId::from(id), thread, labels))
    })
}

#[derive(Default)]
struct Effects {
    order: Vec<MessageId>,
    by_id: HashMap<MessageId, Effect>,
}

impl Effects {
    fn put(&mut self, id: MessageId, effect: Effect) {
        if self.by_id.insert(id.clone(), effect).is_none() {
            self.order.push(id);
        }
    }

    fn label(&mut self, id: &MessageId, thread: Option<&ThreadId>, label: &str, came: bool) {
        match self.by_id.get_mut(id) {
            // Looking tells all of it.
            Some(Effect::Look(_) | Effect::Deleted) => {}
            Some(Effect::Updated(update, _)) => convert::note_label(update, label, came),
            None => {
                let mut update = MessageUpdate::new(id.clone());
                convert::note_label(&mut update, label, came);
                self.put(id.clone(), Effect::Updated(update, thread.cloned()));
            }
        }
    }

    fn into_list(mut self) -> Vec<(MessageId, Effect)> {
        let order = std::mem::take(&mut self.order);
        order
            .into_iter()
            .filter_map(|id| self.by_id.remove_entry(&id))
            .collect()
    }
}
