//! Which messages an answer refers to, by which programs put it into its conversation
//! (<https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4>).

use crate::mime;
use crate::model::Message;

/// How long the ids are together, with brackets and spaces: one line of a message holds no more than 998 octets, and some
/// programs unfold the header and cut it there.
const LONGEST: usize = 990;

/// The ids for the `References` line of an answer to `original`, oldest first: those that the original refers to, and its own.
/// Of very many, the first one and the newest stay: by the first one programs know the conversation, by the last ones they
/// find the place in it. What cannot stand in a header is left out.
#[must_use]
pub fn references(original: &Message) -> Vec<String> {
    let earlier = match original.references.as_slice() {
        // One id that it answers stands for the others; several would be in no order.
        [] if original.in_reply_to.len() == 1 => &original.in_reply_to,
        earlier => earlier,
    };
    let own = own_id(original);
    let mut ids: Vec<&str> = Vec::new();
    for id in earlier.iter().filter_map(|id| mime::usable_id(id)) {
        if !ids.contains(&id) && Some(id) != own {
            ids.push(id);
        }
    }
    ids.extend(own);
    bounded(&ids)
}

/// The original's own id, as it can stand in a header.
pub(super) fn own_id(original: &Message) -> Option<&str> {
    original.message_id.as_deref().and_then(mime::usable_id)
}

fn bounded(ids: &[&str]) -> Vec<String> {
    let length = |id: &&str| id.len() + "<> ".len();
    let Some((root, rest)) = ids.split_first() else {
        return Vec::new();
    };
    let mut left = LONGEST.saturating_sub(length(root));
    let mut kept: Vec<&str> = Vec::new();
    for (back, id) in rest.iter().rev().enumerate() {
        // The newest is what is answered: without it nothing else helps.
        if back > 0 && length(id) > left {
            break;
        }
        left = left.saturating_sub(length(id));
        kept.push(id);
    }
    let total: usize = kept.iter().map(length).sum();
    if kept.is_empty() || total + length(root) <= LONGEST {
        kept.push(root);
    }
    kept.reverse();
    kept.into_iter().map(str::to_owned).collect()
}
