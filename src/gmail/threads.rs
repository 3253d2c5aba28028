//! Conversations, which Gmail reads and changes as wholes. The requests are `api/threads.rs`'s, what single messages mean
//! is `convert.rs`'s.

use std::collections::HashSet;

use super::api::{Api, LONGEST_PAGE};
use super::{batch, changing, convert, query, reading, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{parse, protocol};
use crate::model::{
    Change, Detail, FolderId, FolderRole, Keyword, Message, Page, PageRequest, PageToken, Query,
    ThreadId,
};
use crate::provider::Thread;

const THREAD: &str = "gmail.threads.get";

/// How many conversations a page has unless the caller says: one batch to read.
const PAGE: u32 = 20;

/// A whole conversation.
pub(super) async fn get(api: &Api, id: &ThreadId, detail: Detail) -> Result<Thread> {
    let request = api.thread(id.as_str(), reading::format(detail))?;
    read(api, id, api.client.json(request).await?, detail).await
}

async fn read(api: &Api, id: &ThreadId, thread: wire::Thread, detail: Detail) -> Result<Thread> {
    let mut read = Thread::new(id.clone());
    let messages = thread.messages.into_iter().flatten().flatten().collect();
    for message in reading::complete(api, messages, detail).await {
        if let Err(error) = &message
            && error.concerns_all()
        {
            return Err(error.clone().with_operation(THREAD));
        }
        read.messages.push(message);
    }
    read.sort();
    Ok(read)
}

/// One page of conversations. A listing tells no more than ids and previews.
pub(super) async fn list(
    api: &Api,
    query: &Query,
    detail: Detail,
    page: &PageRequest,
) -> Result<Page<Result<Thread>>> {
    let Some(search) = query::compile(query)? else {
        return Ok(Page::new(Vec::new(), None));
    };
    if search.residue.query().is_some() {
        return from_messages(api, query, detail, page).await;
    }
    let size = page.size.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let token = page.token.as_ref().map(PageToken::as_str);
    let list = api.threads(&search, size, token).await?;
    let next = list
        .next_page_token
        .filter(|token| !token.is_empty())
        .map(PageToken::new);
    let listed = list.threads.into_iter().flatten().flatten();
    let mut threads: Vec<Result<Thread>> = listed.map(convert::thread).collect();
    if detail != Detail::Ids {
        threads = read_all(api, threads, detail).await?;
    }
    Ok(Page::new(threads, next))
}

/// The same where not everything that Gmail finds is meant: only messages tell what is, so that a page of conversations is
/// made of a page of messages.
async fn from_messages(
    api: &Api,
    query: &Query,
    detail: Detail,
    page: &PageRequest,
) -> Result<Page<Result<Thread>>> {
    let mut page = page.clone();
    page.size = page.size.or(Some(PAGE));
    let listed = reading::list(api, query, Detail::Ids, &page).await?;
    let mut known = HashSet::new();
    let mut threads = Vec::new();
    for message in listed.items {
        let thread = message.and_then(|message| message.thread.ok_or_else(unthreaded));
        match thread {
            Ok(id) => threads.extend(known.insert(id.clone()).then(|| Ok(Thread::new(id)))),
            Err(error) => threads.push(Err(error)),
        }
    }
    if detail != Detail::Ids {
        threads = read_all(api, threads, detail).await?;
    }
    Ok(Page::new(threads, listed.next))
}

/// The messages of listed conversations. Those that vanished meanwhile are left out.
async fn read_all(
    api: &Api,
    threads: Vec<Result<Thread>>,
    detail: Detail,
) -> Result<Vec<Result<Thread>>> {
    let mut whole = read_each(api, threads, detail).await;
    let failed = whole.iter().flat_map(|thread| thread.as_ref().err());
    if let Some(error) = failed.into_iter().find(|error| error.concerns_all()) {
        // The page failed, not its conversations.
        return Err(error.clone());
    }
    whole.retain(|thread| {
        !thread
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    });
    Ok(whole)
}

/// Conversations of which the id is known, with their messages: one answer each, in order.
async fn read_each(api: &Api, threads: Vec<Result<Thread>>, detail: Detail) -> Vec<Result<Thread>> {
    let format = reading::format(detail);
    let known = threads.iter().flatten();
    let calls = known
        .map(|thread| api.thread(thread.id.as_str(), format))
        .collect();
    let mut answers = batch::send(api, calls).await.into_iter();
    let mut whole = Vec::with_capacity(threads.len());
    for thread in threads {
        let listed = match thread {
            Ok(listed) => listed,
            Err(error) => {
                whole.push(Err(error));
                continue;
            }
        };
        let answer = answers.next().unwrap_or_else(|| Err(unanswered()));
        let thread = match answer.and_then(|answer| parse(THREAD, &answer.body)) {
            Ok(thread) => read(api, &listed.id, thread, detail).await,
            Err(error) => Err(error),
        };
        whole.push(thread.map(|mut thread| {
            thread.preview = listed.preview;
            thread
        }));
    }
    whole
}

/// Applies `change` to all messages of each conversation that it is about. Gmail leaves drafts alone.
pub(super) async fn apply(api: &Api, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
    // What is about some messages of a conversation only cannot be said of the whole, and deleting it would take its drafts.
    let only = match change {
        Change::Restore => Some(FolderRole::Trash),
        Change::NotJunk => Some(FolderRole::Junk),
        Change::Delete => None,
        change => return at_once(api, ids, change).await,
    };
    let only = only.and_then(convert::role_label).map(FolderId::from);
    let concerned = |message: &Message| {
        let there = only.as_ref().is_none_or(|folder| message.is_in(folder));
        there && !message.has(&Keyword::Draft)
    };
    let listed = ids.iter().cloned().map(|id| Ok(Thread::new(id))).collect();
    let threads = read_each(api, listed, Detail::Ids).await;
    let mut outcomes = Vec::with_capacity(ids.len());
    let mut messages = Vec::new();
    let mut places = Vec::new();
    for (place, thread) in threads.into_iter().enumerate() {
        outcomes.push(thread.and_then(|thread| {
            let mut outcome = Ok(());
            for message in thread.messages {
                match message {
                    Ok(message) if concerned(&message) => {
                        messages.push(message.id);
                        places.push(place);
                    }
                    Ok(_) => {}
                    // One that cannot be read cannot be named either, and stays as it is.
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
            outcome
        }));
    }
    let changed = changing::apply(api, &messages, change, changing::ONE_BY_ONE).await?;
    for (place, changed) in places.into_iter().zip(changed) {
        if let (Err(error), Some(outcome @ Ok(()))) = (changed, outcomes.get_mut(place)) {
            *outcome = Err(error);
        }
    }
    Ok(outcomes)
}

async fn at_once(api: &Api, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
    let modification = convert::modification(change)?;
    let calls = ids
        .iter()
        .map(|id| api.modify_thread(id.as_str(), &modification))
        .collect();
    let answers = batch::send(api, calls).await;
    Ok(answers.into_iter().map(|answer| answer.map(drop)).collect())
}

fn unthreaded() -> Error {
    protocol("a message came without its conversation").with_operation("gmail.messages.list")
}

fn unanswered() -> Error {
    protocol("the conversation was not answered").with_operation(THREAD)
}
