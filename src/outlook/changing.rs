//! Changing messages, many at once. What a change is at Graph is `convert.rs`'s to say.

use super::api::Api;
use super::convert::{self, Action};
use super::{batch, reading, settings, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, protocol};
use crate::model::{Change, FolderId, MessageId};

/// How often categories are read again because somebody changed the message between reading and writing.
const CATEGORY_ROUNDS: u32 = 4;

/// One answer per id, in order. A category that is set is put into the list of categories too, if `lists_categories`.
pub(super) async fn apply(
    api: &Api,
    ids: &[MessageId],
    change: &Change,
    lists_categories: bool,
) -> Result<Vec<Result<()>>> {
    let calls = match convert::action(change)? {
        Action::Update(patch) => {
            let update = |id: &MessageId| api.update(id.as_str(), &patch, None);
            ids.iter().map(update).collect()
        }
        Action::Move(folder) => {
            let move_to = |id: &MessageId| api.move_to(id.as_str(), &folder);
            ids.iter().map(move_to).collect()
        }
        Action::Delete => return Ok(delete(api, ids).await),
        Action::Category(name, set) => {
            if set && lists_categories {
                settings::ensure_category(api, &name).await?;
            }
            return Ok(set_category(api, ids, &name, set).await);
        }
    };
    let answers = batch::send(api, calls).await;
    Ok(answers.into_iter().map(|answer| answer.map(drop)).collect())
}

/// For good.
async fn delete(api: &Api, ids: &[MessageId]) -> Vec<Result<()>> {
    let calls = ids.iter().map(|id| api.permanent_delete(id.as_str()));
    let answers = batch::send(api, calls.collect()).await.into_iter();
    answers
        .map(|answer| match answer {
            // What is gone is deleted; perhaps it was this call whose first answer was lost.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            answer => answer.map(drop),
        })
        .collect()
}

/// Copies messages into a folder: the id of each copy, in order.
pub(super) async fn copy(api: &Api, ids: &[MessageId], to: &FolderId) -> Vec<Result<MessageId>> {
    let calls = ids.iter().map(|id| api.copy(id.as_str(), to.as_str()));
    let answers = batch::send(api, calls.collect()).await.into_iter();
    let copied = |answer: Result<Answer>| {
        let copy: wire::Message = reading::read("outlook.messages.copy", &answer?)?;
        let id = copy.id.filter(|id| !id.is_empty());
        id.map(MessageId::from)
            .ok_or_else(|| protocol("a copy came without an id"))
    };
    answers.map(copied).collect()
}

/// The categories of a message are one list, which is read, changed and written whole. It is written only onto the
/// version that was read, so that nobody else's change is lost.
async fn set_category(api: &Api, ids: &[MessageId], name: &str, set: bool) -> Vec<Result<()>> {
    let mut results: Vec<Result<()>> = ids.iter().map(|_| Err(overtaken())).collect();
    let mut open: Vec<(&MessageId, &mut Result<()>)> = ids.iter().zip(&mut results).collect();
    for _ in 0..CATEGORY_ROUNDS {
        let reads = open
            .iter()
            .map(|(id, _)| api.message_categories(id.as_str()))
            .collect();
        let mut calls = Vec::new();
        let mut written = Vec::new();
        for ((id, result), answer) in open.into_iter().zip(batch::send(api, reads).await) {
            let message = answer
                .and_then(|answer| reading::read::<wire::Message>("outlook.messages.get", &answer));
            match message {
                Err(error) => *result = Err(error),
                Ok(message) => match convert::categories(&message, name, set) {
                    None => *result = Ok(()),
                    Some(categories) => {
                        let patch = wire::MessagePatch {
                            categories: Some(categories),
                            ..wire::MessagePatch::default()
                        };
                        calls.push(api.update(id.as_str(), &patch, message.etag.as_deref()));
                        written.push((id, result));
                    }
                },
            }
        }
        open = Vec::new();
        for ((id, result), answer) in written.into_iter().zip(batch::send(api, calls).await) {
            *result = answer.map(drop);
            if matches!(&*result, Err(error) if error.kind() == ErrorKind::Conflict) {
                open.push((id, result));
            }
        }
        if open.is_empty() {
            break;
        }
    }
    results
}

fn overtaken() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the message was changed by others all the while",
    )
}
