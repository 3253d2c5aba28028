//! Conversations, which Gmail reads and changes as wholes. The requests are `api/threads.rs`'s, what single messages mean
//! is `convert.rs`'s.

use super::api::{Api, LONGEST_PAGE};
use super::{batch, convert, query, reading, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{parse, protocol};
use crate::model::{Change, Detail, Page, PageRequest, PageToken, Query, ThreadId};
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
    for message in thread.messages.into_iter().flatten().flatten() {
        let message = reading::complete(api, message, detail).await;
        if let Err(error) = &message
            && reading::concerns_all(error)
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

async fn read_all(
    api: &Api,
    threads: Vec<Result<Thread>>,
    detail: Detail,
) -> Result<Vec<Result<Thread>>> {
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
        match thread {
            Ok(mut thread) => {
                thread.preview = listed.preview;
                whole.push(Ok(thread));
            }
            // Listed a moment ago, and deleted since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // The page failed, not its conversations.
            Err(error) if reading::concerns_all(&error) => return Err(error),
            Err(error) => whole.push(Err(error)),
        }
    }
    Ok(whole)
}

/// Applies `change` to all messages of each conversation. Gmail leaves drafts alone.
pub(super) async fn apply(api: &Api, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
    let modification = convert::modification(change)?;
    let calls = ids
        .iter()
        .map(|id| api.modify_thread(id.as_str(), &modification))
        .collect();
    let answers = batch::send(api, calls).await;
    Ok(answers.into_iter().map(|answer| answer.map(drop)).collect())
}

fn unanswered() -> Error {
    protocol("the conversation was not answered").with_operation(THREAD)
}
