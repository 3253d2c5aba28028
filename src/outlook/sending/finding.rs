//! Drafts and sent copies that are known by a mark and not by their id: after an answer was lost, after a crash, and where
//! an id did not last. That nothing is found is never taken as proof of anything.

use std::time::Duration;

use futures_util::TryStreamExt;

use super::ticket::Draft;
use crate::error::{ErrorKind, Result};
use crate::mime;
use crate::model::{Content, FolderRole, MessageId, SendKey, Sent, ThreadId};
use crate::outlook::api::Api;
use crate::outlook::{convert, wire};

/// For how long a draft is left alone that carries a key: somebody may be about to send it. A process that lives dispatches
/// what it has prepared within less, and a send that is under way is over at the service.
const LEFT_ALONE: Duration = Duration::from_secs(10 * 60);

/// How much of a message is read to find its `Message-ID`.
const LONGEST_HEADER: usize = 256 * 1024;

/// Throws away what an earlier first step under this key left among the drafts because its process died, or because the
/// answer was lost and nobody asked again.
///
/// That costs a request, and is done for keys of the host's, which may be repeated. What is thrown away is in the deleted
/// items, where a user finds it, and from where nothing is dispatched: a ticket that leads to it sends no more. What was
/// changed in the last minutes stays, since another process may have prepared it and be sending it just now: deleted in the
/// outbox, a message is called back though its sender was told that it was accepted.
pub(super) async fn discard_abandoned(api: &Api, key: &SendKey) -> Result<()> {
    if key.is_unrepeated() {
        return Ok(());
    }
    let now = api.client.clock.now();
    for abandoned in by_key(api, FolderRole::Drafts, key).await? {
        let changed = convert::timestamp(abandoned.last_modified_date_time);
        let is_old = changed
            .and_then(|changed| (now - changed).to_std().ok())
            .is_some_and(|age| age >= LEFT_ALONE);
        if is_old
            && abandoned.is_draft != Some(false)
            && let Some(id) = abandoned.id
        {
            let discarded = api.delete_draft(&id).await;
            discarded.or_else(|error| match error.kind() {
                ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
    }
    Ok(())
}

/// The draft that a request made although its answer was lost, if it can be seen by now.
pub(super) async fn lost_draft(
    api: &Api,
    key: Option<&SendKey>,
    message_id: Option<&str>,
) -> Result<Option<wire::Message>> {
    let found = match (message_id, key) {
        (Some(id), _) => by_message_id(api, FolderRole::Drafts, id).await?,
        (None, Some(key)) => by_key(api, FolderRole::Drafts, key).await?,
        (None, None) => Vec::new(),
    };
    let mut drafts = found
        .into_iter()
        .filter(|message| message.is_draft == Some(true));
    Ok(drafts.next())
}

/// The sent copy of a draft whose id leads nowhere any more. Once, an id was seen to change on sending
/// (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/1533>).
pub(super) async fn sent_copy(api: &Api, draft: &Draft) -> Result<Option<Sent>> {
    let key = draft.key();
    let mut found = Vec::new();
    if !key.is_unrepeated() {
        found = by_key(api, FolderRole::Sent, &key).await?;
    }
    if found.is_empty()
        && let Some(id) = &draft.message_id
    {
        found = by_message_id(api, FolderRole::Sent, id).await?;
    }
    let mut sent = found
        .into_iter()
        .filter(|message| message.is_draft == Some(false));
    Ok(sent.next().map(|message| {
        Sent::new(
            message.id.map(MessageId::new),
            message.conversation_id.map(ThreadId::new),
        )
    }))
}

/// The messages of a folder that carry this key.
async fn by_key(api: &Api, folder: FolderRole, key: &SendKey) -> Result<Vec<wire::Message>> {
    let property = convert::KEY_PROPERTY;
    let folder = convert::role_folder(folder).unwrap_or_default();
    let listed = api
        .messages_with_property(folder, property, key.as_str())
        .await;
    let mut found = readable(listed)?;
    found.retain(|message| convert::has_property(message, property, key.as_str()));
    Ok(found)
}

async fn by_message_id(api: &Api, folder: FolderRole, id: &str) -> Result<Vec<wire::Message>> {
    let folder = convert::role_folder(folder).unwrap_or_default();
    readable(api.messages_with_message_id(folder, id).await)
}

/// What was found. A service that does not search like this has found nothing, nor has a mailbox without the folder.
fn readable(listed: Result<wire::Collection>) -> Result<Vec<wire::Message>> {
    let listed = match listed {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Unsupported | ErrorKind::InvalidRequest | ErrorKind::NotFound
            ) =>
        {
            return Ok(Vec::new());
        }
        listed => listed?,
    };
    let items = listed.value.unwrap_or_default();
    Ok(items
        .iter()
        .filter_map(|item| wire::salvage(item.get().as_bytes()))
        .collect())
}

/// The `Message-ID` of a message that was put together here.
pub(super) async fn message_id(message: &Content) -> Option<String> {
    let mut stream = message.read_from(0).await.ok()?;
    let mut head = Vec::new();
    while let Some(chunk) = stream.try_next().await.ok()? {
        head.extend_from_slice(&chunk);
        let is_complete = head.windows(4).any(|end| end == b"\r\n\r\n");
        if is_complete || head.len() > LONGEST_HEADER {
            break;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let (head, _) = head.split_once("\r\n\r\n")?;
    // A field goes on in lines that begin with a space.
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("Message-ID");
        is_it.then(|| mime::message_ids(value).into_iter().next())?
    })
}
