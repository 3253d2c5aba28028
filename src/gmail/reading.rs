//! Listing and reading messages: what takes more than one request. The requests are `api.rs`'s, what their answers mean is
//! `convert.rs`'s, the bytes of attachments are `attachments.rs`'s.

use std::collections::HashMap;

use super::api::{Api, Format, LONGEST_PAGE};
use super::{attachments, batch, convert, query, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, parse};
use crate::model::{ByteStream, Detail, Message, MessageId, Page, PageRequest, PageToken, Query};

/// How many messages a page has unless the caller says: two batches to read.
const PAGE: u32 = 50;

const MESSAGE: &str = "gmail.messages.get";

/// The field that holds a whole message.
const RAW: &str = "raw";
/// One page of a listing, each message read as far as asked.
pub(super) async fn list(
    api: &Api,
    query: &Query,
    detail: Detail,
    page: &PageRequest,
) -> Result<Page<Result<Message>>> {
    let Some(search) = query::compile(query)? else {
        return Ok(Page::new(Vec::new(), None));
    };
    let size = page.size.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let token = page.token.as_ref().map(PageToken::as_str);
    let list = api.messages(&search, size, token).await?;
    let next = list
        .next_page_token
        .filter(|token| !token.is_empty())
        .map(PageToken::new);
    let listed = list.messages.into_iter().flatten().flatten();
    let listed: Vec<Result<Message>> = listed.map(convert::listed).collect();
    let read = search.residue.detail(detail);
    if read == Detail::Ids {
        return Ok(Page::new(listed, next));
    }
    let ids: Vec<MessageId> = listed
        .iter()
        .flatten()
        .map(|message| message.id.clone())
        .collect();
    let unnamed = listed.into_iter().filter(Result::is_err);
    let mut items = get(api, &ids, read).await?;
    if items
        .iter()
        .all(|item| item.as_ref().is_err_and(concerns_all))
    {
        // The page failed, not its messages.
        if let Some(Err(error)) = items.pop() {
            return Err(error);
        }
    }
    // Listed a moment ago, and deleted since.
    items.retain(|item| {
        !item
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    });
    let mut items = search.residue.filtered(items, detail);
    items.extend(unnamed);
    Ok(Page::new(items, next))
}

/// Whether an error is about the service or the account rather than about one message.
pub(super) fn concerns_all(error: &Error) -> bool {
    error.is_transient()
        || matches!(
            error.kind(),
            ErrorKind::SignInRequired
                | ErrorKind::QuotaExceeded
                | ErrorKind::PermissionDenied
                | ErrorKind::Configuration
                | ErrorKind::MailboxUnavailable
                | ErrorKind::AdminConsentRequired
                | ErrorKind::CredentialStore
        )
}

/// Messages by id.
pub(super) async fn get(
    api: &Api,
    ids: &[MessageId],
    detail: Detail,
) -> Result<Vec<Result<Message>>> {
    let calls = ids
        .iter()
        .map(|id| api.message(id.as_str(), format(detail)))
        .collect();
    let answers = batch::send(api, calls).await;
    let mut messages = Vec::with_capacity(answers.len());
    for answer in answers {
        messages.push(match answer {
            Ok(answer) => read(api, &answer, detail).await,
            Err(error) => Err(error),
        });
    }
    Ok(messages)
}

/// How the service calls a detail.
pub(super) fn format(detail: Detail) -> Format {
    match detail {
        Detail::Ids => Format::Minimal,
        Detail::Headers => Format::Metadata,
        Detail::Full => Format::Full,
    }
}

async fn read(api: &Api, answer: &Answer, detail: Detail) -> Result<Message> {
    let message: wire::Message = parse(MESSAGE, &answer.body)?;
    complete(api, message, detail).await
}

/// A message as the model has it, with what the service left out of its answer.
pub(super) async fn complete(api: &Api, message: wire::Message, detail: Detail) -> Result<Message> {
    let fetched = if detail == Detail::Full {
        fetch_bodies(api, &message).await?
    } else {
        HashMap::new()
    };
    convert::message(message, detail, &fetched).map_err(|error| error.with_operation(MESSAGE))
}

/// The bodies that the service left out because they are long. One that is not to be had is left out of the message; a
/// failure of the service or the network is one of the whole message, which would look empty otherwise.
async fn fetch_bodies(api: &Api, message: &wire::Message) -> Result<HashMap<String, Vec<u8>>> {
    let mut fetched = HashMap::new();
    let Some(id) = &message.id else {
        return Ok(fetched);
    };
    for (part, token) in convert::missing_bodies(message) {
        let bytes = match api.attachment(id, &token) {
            Ok(request) => api.client.json::<wire::PartBody>(request).await,
            Err(error) => Err(error),
        };
        match bytes {
            Ok(body) => {
                fetched.extend(convert::bytes(&body).map(|bytes| (part, bytes)));
            }
            Err(error) if concerns_all(&error) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(fetched)
}

/// The whole message.
pub(super) async fn raw(api: &Api, id: &MessageId) -> Result<ByteStream> {
    let answer = api.raw(id.as_str()).await?;
    Ok(attachments::decoded(answer, RAW, true))
}
