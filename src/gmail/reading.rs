//! Listing and reading messages: what takes more than one request. The requests are `api.rs`'s, what their answers mean is
//! `convert.rs`'s, the bytes of attachments are `attachments.rs`'s.

mod ahead;
mod hydration;

use super::api::{Api, Format, LONGEST_PAGE};
use futures_core::stream::BoxStream;

use super::batch::LARGEST as LARGEST_BATCH;
use super::{attachments, convert, query};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ByteStream, Detail, Message, MessageId, Page, PageRequest, PageToken, Query};

pub(super) use hydration::{Listed, Prices, complete, cost, hydrate};

/// How many messages a page has unless the caller says: two batches to read. Ids cost the same however many there are.
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
    let read = search.residue.detail(detail);
    let usual = match read {
        Detail::Ids => LONGEST_PAGE,
        _ => PAGE,
    };
    let size = page.size.unwrap_or(usual).clamp(1, LONGEST_PAGE);
    let token = page.token.as_ref().map(PageToken::as_str);
    let list = api.messages(&search, size, token).await?;
    let next = list
        .next_page_token
        .filter(|token| !token.is_empty())
        .map(PageToken::new);
    let listed = list.messages.into_iter().flatten().flatten();
    let listed: Vec<Result<Message>> = listed.map(convert::listed).collect();
    if read == Detail::Ids {
        return Ok(Page::new(listed, next));
    }
    let wanted: Vec<Listed> = listed.iter().flatten().map(Listed::new).collect();
    let unnamed = listed.into_iter().filter(Result::is_err);
    let items = of_a_page(hydrate(api, &wanted, read).await)?;
    let mut items = search.residue.filtered(items, detail);
    items.extend(unnamed);
    Ok(Page::new(items, next))
}

/// All messages that `query` means, if reading ahead makes that cheaper than page after page.
pub(super) fn stream(
    api: &Api,
    query: &Query,
    detail: Detail,
) -> Option<BoxStream<'static, Result<Message>>> {
    let search = query::compile(query).ok()??;
    let read = search.residue.detail(detail);
    (read != Detail::Ids).then(|| ahead::stream(api.clone(), search, read, detail))
}

/// The messages of a page, without those that were deleted since they were listed; an error if the page failed, and not its
/// messages.
fn of_a_page(mut items: Vec<Result<Message>>) -> Result<Vec<Result<Message>>> {
    let failed = |item: &Result<Message>| item.as_ref().is_err_and(Error::concerns_all);
    if items.iter().all(failed)
        && let Some(Err(error)) = items.pop()
    {
        return Err(error);
    }
    items.retain(|item| {
        !item
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    });
    Ok(items)
}

/// Messages by id.
pub(super) async fn get(api: &Api, ids: &[MessageId], detail: Detail) -> Vec<Result<Message>> {
    let wanted: Vec<Listed> = ids
        .iter()
        .map(|id| Listed {
            id: id.clone(),
            thread: None,
        })
        .collect();
    hydrate(api, &wanted, detail).await
}

/// How the service calls a detail.
pub(super) fn format(detail: Detail) -> Format {
    match detail {
        Detail::Ids => Format::Minimal,
        Detail::Headers => Format::Metadata,
        Detail::Full => Format::Full,
    }
}

/// The whole message.
pub(super) async fn raw(api: &Api, id: &MessageId) -> Result<ByteStream> {
    let answer = api.raw(id.as_str()).await?;
    Ok(attachments::decoded(answer, RAW, true))
}
