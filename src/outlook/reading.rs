//! Folders, listings and messages: what takes more than one request. The requests are `api.rs`'s, what their answers mean
//! is `convert.rs`'s.

mod ahead;
mod own;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future;
use serde::de::DeserializeOwned;

use super::api::{Api, LONGEST_PAGE};
use super::convert::{self, Roles};
use super::{attachments, batch, query, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, parse, protocol};
use crate::model::{Detail, Message, MessageId, Page, PageRequest, PageToken, Query};

pub(super) use ahead::stream;
pub(super) use own::{OwnFolders, folders};

const FOLDERS: &str = "outlook.mailFolders.list";
const MESSAGES: &str = "outlook.messages.list";

/// How many messages a page has unless the caller says.
pub(super) const PAGE: u32 = 50;

/// Whole messages make long pages, which the service gives up on
/// (<https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/6538>).
pub(super) const LONGEST_FULL_PAGE: u32 = 50;
pub(super) const FULL_PAGE: u32 = 20;

/// Looks for the inbox, which every mailbox has; `/me` is answered also for those who have no mailbox. That there is none is
/// said in more ways than one (<https://github.com/microsoftgraph/msgraph-sdk-javascript/issues/1756>,
/// <https://github.com/jasonjoh/node-outlook/issues/7>).
pub(super) async fn probe(api: &Api) -> Result<()> {
    let outcome = api.client.done(api.folder("inbox")?).await;
    outcome.map_err(|error| {
        if error.kind() == ErrorKind::NotFound || error.code() == Some("ErrorMissingEmailAddress") {
            let message = "the account has no mailbox in Exchange Online";
            Error::new(ErrorKind::MailboxUnavailable, message).with_source(error)
        } else {
            error
        }
    })
}

/// One page of a listing. Graph lists all folders as one, so what lies in junk and trash is left out here, and a page may
/// be shorter for it.
pub(super) async fn list(
    api: &Api,
    own: &OwnFolders,
    query: &Query,
    detail: Detail,
    page: &PageRequest,
) -> Result<Page<Result<Message>>> {
    page_of(api, own, query, detail, page, page.token.is_none()).await
}

/// The same, where the folders that are left out are looked up only with the first page of a listing.
async fn page_of(
    api: &Api,
    own: &OwnFolders,
    query: &Query,
    detail: Detail,
    page: &PageRequest,
    is_first: bool,
) -> Result<Page<Result<Message>>> {
    let roles = if query::needs_roles(query) {
        own.roles(api).await?
    } else {
        Roles::default()
    };
    let Some(search) = query::compile(query, &roles)? else {
        return Ok(Page::new(Vec::new(), None));
    };
    let read = search.detail(detail);
    let (usual, longest) = match read {
        Detail::Full => (FULL_PAGE, LONGEST_FULL_PAGE),
        _ => (PAGE, LONGEST_PAGE),
    };
    let size = page.size.unwrap_or(usual).clamp(1, longest);
    let (search, window, link) = if search.is_limited() {
        let window = query::Window::read(page.token.as_ref())?;
        let link = window.link.clone();
        (window.narrowed(search), Some(window), link)
    } else {
        let link = page.token.as_ref().map(|token| token.as_str().to_owned());
        (search, None, link)
    };
    let listed = async {
        match &link {
            Some(link) => api.next_messages(MESSAGES, link).await,
            None => api.messages(&search, read, size).await,
        }
    };
    let hidden = async {
        match search.folder {
            Some(_) => Ok(Arc::default()),
            None => own.hidden(api, is_first).await,
        }
    };
    let (listed, hidden) = future::try_join(listed, hidden).await?;
    let is_hidden = |message: &Message| {
        let mut folders = message.folders.iter().flatten();
        folders.any(|folder| hidden.contains(folder) && !search.named.contains(folder))
    };
    let listed_items = listed.value.ok_or_else(|| no_list(MESSAGES))?;
    let mut items: Vec<Result<Message>> = listed_items
        .into_iter()
        .map(|item| converted(item, read))
        .collect();
    attachments::name_items(api, &mut items).await;
    let next = listed.next_link;
    let next = match window {
        Some(window) => window.advance(&mut items, next)?,
        None => next.map(PageToken::new),
    };
    items.retain(|item| !item.as_ref().is_ok_and(is_hidden));
    Ok(Page::new(search.residue.filtered(items, detail), next))
}

/// Messages by id. Each may be named by an id of the other kind (<https://learn.microsoft.com/graph/outlook-immutable-id>),
/// so that what is answered may have another id than was asked for; but never that of another one that was asked for.
pub(super) async fn get(
    api: &Api,
    ids: &[MessageId],
    detail: Detail,
) -> Result<Vec<Result<Message>>> {
    let calls = ids
        .iter()
        .map(|id| api.message(id.as_str(), detail))
        .collect();
    let asked: HashSet<&MessageId> = ids.iter().collect();
    let read = |place: usize, answer: Result<Answer>| {
        let message = message(&answer?.body, detail)?;
        if ids.get(place) != Some(&message.id) && asked.contains(&message.id) {
            return Err(protocol("another message was answered than was asked for")
                .with_operation("outlook.messages.get"));
        }
        Ok(message)
    };
    let mut messages = batch::send_and_read(api, calls, read).await;
    attachments::name_items(api, &mut messages).await;
    Ok(messages)
}

pub(super) fn message(json: &[u8], detail: Detail) -> Result<Message> {
    converted(wire::salvage(json), detail)
}

fn converted(message: Option<wire::Message>, detail: Detail) -> Result<Message> {
    message
        .ok_or_else(|| protocol("a message came that is no JSON object"))
        .and_then(|message| convert::message(message, detail))
        .map_err(|error| error.with_operation("outlook.messages.get"))
}

/// The answer to a call that went through a batch.
pub(super) fn read<T: DeserializeOwned>(operation: &'static str, answer: &Answer) -> Result<T> {
    wire::salvage(&answer.body).map_or_else(|| parse(operation, &answer.body), Ok)
}

pub(super) fn no_list(operation: &'static str) -> Error {
    protocol("the answer has no list").with_operation(operation)
}
