//! Listing, reading messages, and the bytes of messages and attachments: what takes more than one request. The requests
//! are `api.rs`'s, what their answers mean is `convert.rs`'s.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use mail_parser::{MessageParser, PartType};

use super::api::{Api, Format, LONGEST_PAGE};
use super::{batch, convert, query, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, parse, protocol};
use crate::model::{
    AttachmentId, ByteStream, Content, Detail, Message, MessageId, Page, PageRequest, PageToken,
    Query,
};

/// How many messages a page has unless the caller says: two batches to read.
const PAGE: u32 = 50;

/// How much of a message is held in memory to take one part out of it, where the service has no other way to it.
const LARGEST_PARSED: usize = 160 * 1024 * 1024;

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
    if detail == Detail::Ids {
        return Ok(Page::new(listed, next));
    }
    let ids: Vec<MessageId> = listed
        .iter()
        .flatten()
        .map(|message| message.id.clone())
        .collect();
    let unnamed = listed.into_iter().filter(Result::is_err);
    let mut items = get(api, &ids, detail).await?;
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
    items.extend(unnamed);
    Ok(Page::new(items, next))
}

/// Whether an error is about the service or the account rather than about one message.
fn concerns_all(error: &Error) -> bool {
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
    let format = match detail {
        Detail::Ids => Format::Minimal,
        Detail::Headers => Format::Metadata,
        Detail::Full => Format::Full,
    };
    let calls = ids
        .iter()
        .map(|id| api.message(id.as_str(), format))
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

async fn read(api: &Api, answer: &Answer, detail: Detail) -> Result<Message> {
    let message: wire::Message = parse("gmail.messages.get", &answer.body)?;
    let fetched = if detail == Detail::Full {
        fetch_bodies(api, &message).await?
    } else {
        HashMap::new()
    };
    convert::message(message, detail, &fetched)
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
    Ok(convert::decoded(answer, convert::RAW))
}

/// One attachment. Its id is the part's place in the message; the service's own token for the bytes differs from one
/// answer to the next and soon fails, so it is looked up each time
/// (<https://github.com/google/google-api-javascript-client/issues/255>).
pub(super) async fn attachment(
    api: &Api,
    message: &MessageId,
    attachment: &AttachmentId,
) -> Result<ByteStream> {
    let request = api.message(message.as_str(), Format::Parts)?;
    let answer: wire::Message = api.client.json(request).await?;
    let leaves = answer.payload.as_ref().map(convert::leaves);
    let leaf = leaves
        .iter()
        .flatten()
        .find(|leaf| leaf.id == attachment.as_str())
        .ok_or_else(no_such_part)?;
    if let Some(token) = leaf.token() {
        let request = api.attachment(message.as_str(), token)?;
        let answer = api.client.stream(request).await?;
        return Ok(convert::decoded(answer, convert::DATA));
    }
    let bytes = match leaf.bytes() {
        Some(bytes) => bytes,
        None if leaf.is_empty() => Vec::new(),
        // The service gives no way to the bytes of some attached messages.
        None => from_whole(api, message, &leaf.path).await?,
    };
    Content::from_bytes(bytes)
        .read_from(0)
        .await
        .map_err(unreadable)
}

/// A part's bytes, taken out of the whole message.
async fn from_whole(api: &Api, message: &MessageId, path: &[usize]) -> Result<Vec<u8>> {
    let mut stream = raw(api, message).await?;
    let mut whole = Vec::new();
    while let Some(chunk) = stream.try_next().await.map_err(unreadable)? {
        if whole.len() + chunk.len() > LARGEST_PARSED {
            return Err(protocol("the message is longer than Gmail keeps any"));
        }
        whole.extend_from_slice(&chunk);
    }
    part_of(&whole, path).ok_or_else(no_such_part)
}

fn part_of(message: &[u8], path: &[usize]) -> Option<Vec<u8>> {
    let parsed = MessageParser::new().parse(message)?;
    let mut part = parsed.parts.first()?;
    for index in path {
        let PartType::Multipart(children) = &part.body else {
            return None;
        };
        let child = usize::try_from(*children.get(*index)?).ok()?;
        part = parsed.parts.get(child)?;
    }
    Some(match &part.body {
        PartType::Message(inner) => inner.raw_message().to_vec(),
        _ => part.contents().to_vec(),
    })
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Network,
        "the message broke off while it was read",
    )
    .with_source(error)
}

fn no_such_part() -> Error {
    Error::new(ErrorKind::NotFound, "the message has no such attachment")
}
