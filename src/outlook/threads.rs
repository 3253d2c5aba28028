//! Conversations, which Graph neither reads nor changes as wholes: they are put together from their messages here. The
//! requests are `api/threads.rs`'s, what single messages mean is `convert.rs`'s.

use std::collections::HashSet;

use super::api::Api;
use super::reading::{self, LONGEST_FULL_PAGE, OwnFolders};
use super::{attachments, batch, changing, convert, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::protocol;
use crate::model::{
    Change, Detail, FolderId, FolderRole, Keyword, Message, MessageId, Page, PageRequest, Query,
    ThreadId,
};
use crate::provider::Thread;

const MESSAGES: &str = "outlook.messages.list";

/// How many messages of a conversation come in one answer: few have more.
const PAGE: u32 = 100;

/// How many messages a page of conversations is made of unless the caller says: one batch to read, if each is in another.
const LISTED: u32 = 20;

/// A whole conversation.
pub(super) async fn get(api: &Api, id: &ThreadId, detail: Detail) -> Result<Thread> {
    let mut answers = read_all(api, std::slice::from_ref(id), detail).await;
    answers.pop().unwrap_or_else(|| Err(no_such_thread()))
}

/// Conversations, one answer per id, in order.
async fn read_all(api: &Api, ids: &[ThreadId], detail: Detail) -> Vec<Result<Thread>> {
    let size = match detail {
        Detail::Full => LONGEST_FULL_PAGE,
        _ => PAGE,
    };
    let calls = ids
        .iter()
        .map(|id| api.conversation(id.as_str(), detail, size))
        .collect();
    let mut threads = Vec::with_capacity(ids.len());
    for (id, answer) in ids.iter().zip(batch::send(api, calls).await) {
        let first = answer.and_then(|answer| reading::read(MESSAGES, &answer));
        threads.push(match first {
            Ok(first) => follow(api, id, first, detail).await,
            Err(error) => Err(error),
        });
    }
    threads
}

/// The messages of this page and all that follow it.
async fn follow(
    api: &Api,
    id: &ThreadId,
    mut page: wire::Collection,
    detail: Detail,
) -> Result<Thread> {
    let mut thread = Thread::new(id.clone());
    let mut known = HashSet::new();
    loop {
        let listed = page.value.ok_or_else(|| reading::no_list(MESSAGES))?;
        for item in listed {
            let message = reading::message(item.get().as_bytes(), detail);
            // Pages shift while they are read, so that a message may come twice.
            if message
                .as_ref()
                .is_ok_and(|message| !known.insert(message.id.clone()))
            {
                continue;
            }
            thread.messages.push(message);
        }
        match page.next_link {
            Some(link) => page = api.next_page(MESSAGES, &link).await?,
            None => break,
        }
    }
    if thread.messages.is_empty() {
        return Err(no_such_thread());
    }
    attachments::name_items(api, &mut thread.messages).await;
    // Without an order asked for, the newest come first in practice; it settles what was received in the same second.
    thread.messages.reverse();
    thread.sort();
    Ok(thread)
}

/// One page of conversations: those of a page of messages, each where its newest message stands in it.
pub(super) async fn list(
    api: &Api,
    own: &OwnFolders,
    query: &Query,
    detail: Detail,
    mut page: PageRequest,
) -> Result<Page<Result<Thread>>> {
    page.size = page.size.or(Some(LISTED));
    let listed = reading::list(api, own, query, Detail::Ids, &page).await?;
    let mut found = Vec::new();
    let mut known = HashSet::new();
    for message in listed.items {
        match message.and_then(|message| message.thread.ok_or_else(unthreaded)) {
            Ok(id) => found.extend(known.insert(id.clone()).then_some(Ok(id))),
            Err(error) => found.push(Err(error)),
        }
    }
    if detail == Detail::Ids {
        let threads = found.into_iter().map(|id| id.map(Thread::new));
        return Ok(Page::new(threads.collect(), listed.next));
    }
    let ids: Vec<ThreadId> = found.iter().flatten().cloned().collect();
    let mut read = read_all(api, &ids, detail).await.into_iter();
    let mut threads = Vec::with_capacity(found.len());
    for id in found {
        let thread = match id {
            Ok(_) => read.next().unwrap_or_else(|| Err(no_such_thread())),
            Err(error) => Err(error),
        };
        match thread {
            // Listed a moment ago, and deleted since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            thread => threads.push(thread),
        }
    }
    Ok(Page::new(threads, listed.next))
}

/// Applies `change` to the messages of each conversation that it is about, all of them in as few batches as there can be.
pub(super) async fn apply(
    api: &Api,
    own: &OwnFolders,
    ids: &[ThreadId],
    change: &Change,
    lists_categories: bool,
) -> Result<Vec<Result<()>>> {
    let places = Places::read(api, own, change).await?;
    let mut outcomes = Vec::with_capacity(ids.len());
    let mut messages: Vec<MessageId> = Vec::new();
    let mut threads = Vec::new();
    for (place, thread) in read_all(api, ids, Detail::Ids)
        .await
        .into_iter()
        .enumerate()
    {
        match thread {
            Ok(thread) => {
                let mut outcome = Ok(());
                for message in thread.messages {
                    match message {
                        Ok(message) if places.concerns(&message, change) => {
                            messages.push(message.id);
                            threads.push(place);
                        }
                        Ok(_) => {}
                        // One that cannot be read cannot be named either, and stays as it is.
                        Err(error) => outcome = outcome.and(Err(error)),
                    }
                }
                outcomes.push(outcome);
            }
            Err(error) => outcomes.push(Err(error)),
        }
    }
    let changed = changing::apply(api, &messages, change, lists_categories).await?;
    for (place, changed) in threads.into_iter().zip(changed) {
        if let (Err(error), Some(outcome @ Ok(()))) = (changed, outcomes.get_mut(place)) {
            // Deleted meanwhile, which leaves nothing to change.
            if error.kind() != ErrorKind::NotFound {
                *outcome = Err(error);
            }
        }
    }
    Ok(outcomes)
}

/// The folders that say whether a change of its conversation is about a message. Without them the service's own views
/// would lose mail: what was sent is no longer found among what was sent if its conversation is archived.
#[derive(Default)]
struct Places {
    inbox: Option<FolderId>,
    sent: Option<FolderId>,
    from: Option<FolderId>,
    trash: Option<FolderId>,
    junk: Option<FolderId>,
}

impl Places {
    async fn read(api: &Api, own: &OwnFolders, change: &Change) -> Result<Self> {
        let from = match change {
            Change::Archive | Change::Restore | Change::Junk | Change::NotJunk => None,
            Change::MoveTo { from, .. } => from.as_ref(),
            _ => return Ok(Self::default()),
        };
        let roles = own.roles(api).await?;
        // A folder can be given by its well-known name, and messages name it by its id.
        let named = from.and_then(|from| convert::named_role(from.as_str()));
        Ok(Self {
            inbox: roles.id(FolderRole::Inbox).cloned(),
            sent: roles.id(FolderRole::Sent).cloned(),
            trash: roles.id(FolderRole::Trash).cloned(),
            junk: roles.id(FolderRole::Junk).cloned(),
            from: named.and_then(|role| roles.id(role)).or(from).cloned(),
        })
    }

    fn concerns(&self, message: &Message, change: &Change) -> bool {
        let lies_in =
            |folder: &Option<FolderId>| folder.as_ref().is_some_and(|folder| message.is_in(folder));
        if message.has(&Keyword::Draft) {
            return false;
        }
        match change {
            Change::Archive => lies_in(&self.inbox),
            Change::MoveTo { from: Some(_), .. } => lies_in(&self.from),
            Change::MoveTo { from: None, .. } | Change::Junk => !lies_in(&self.sent),
            Change::Restore => lies_in(&self.trash),
            Change::NotJunk => lies_in(&self.junk),
            _ => true,
        }
    }
}

fn no_such_thread() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "no message belongs to this conversation",
    )
    .with_operation(MESSAGES)
}

fn unthreaded() -> Error {
    protocol("a message came without its conversation").with_operation(MESSAGES)
}
