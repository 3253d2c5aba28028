//! Drafts. Gmail keeps a draft's id and gives its message another one with each change, wherever it is made
//! (<https://developers.google.com/workspace/gmail/api/guides/drafts>): that id is the draft's revision. The requests are
//! `api/drafts.rs`'s; what a message looks like after an edit is known by `mime`.

use async_trait::async_trait;

use super::api::{Api, Format, LARGEST_MESSAGE, LONGEST_PAGE, Upload};
use super::{Gmail, attachments, batch, convert, reading, sending, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{parse, protocol};
use crate::mime;
use crate::model::{
    Access, Content, Detail, Draft, DraftEdit, DraftId, DraftRevision, Message, MessageId,
    Outgoing, Page, PageRequest, PageToken, SendKey, SendTicket, SpoolError, ThreadId,
};
use crate::provider::Drafts;

const DRAFT: &str = "gmail.drafts.get";

/// How many drafts a page has unless the caller says: one batch to read.
const PAGE: u32 = 25;

/// A draft as the service tells of it after writing it.
pub(super) struct Written {
    pub(super) id: String,
    pub(super) message: wire::Message,
}

impl Gmail {
    fn require_drafts(&self) -> Result<()> {
        if sending::keeps_drafts(self.access) {
            return Ok(());
        }
        self.require(Access::DRAFT)
    }
}

#[async_trait]
impl Drafts for Gmail {
    async fn create(&self, outgoing: &Outgoing) -> Result<Draft> {
        self.require_drafts()?;
        sending::check_time(outgoing)?;
        let message = mime::compose_draft(outgoing, self.api.client.clock.now())?;
        sending::check_size(&message)?;
        let thread = outgoing.thread.as_ref().map(ThreadId::as_str);
        let written = write(&self.api, Upload::CreateDraft, thread, message).await?;
        draft(written)
    }

    async fn list(&self, detail: Detail, page: PageRequest) -> Result<Page<Result<Draft>>> {
        self.require_drafts()?;
        list(&self.api, detail, &page).await
    }

    async fn get(&self, draft: &DraftId, detail: Detail) -> Result<Draft> {
        self.require_drafts()?;
        let request = self.api.draft(draft.as_str(), reading::format(detail))?;
        let answer: wire::Draft = self.api.client.json(request).await?;
        let message = answer.message.as_ref();
        let is_cut = message.is_some_and(|message| !convert::missing_bodies(message).is_empty());
        if detail == Detail::Full && is_cut && !self.access.contains(Access::READ) {
            return whole(&self.api, written(answer)?).await;
        }
        let mut read = read(&self.api, vec![written(answer)?], detail).await;
        read.pop()
            .unwrap_or_else(|| Err(protocol("the draft was not answered")))
    }

    async fn update(
        &self,
        id: &DraftId,
        expected: Option<&DraftRevision>,
        edit: &DraftEdit,
    ) -> Result<Draft> {
        self.require_drafts()?;
        let now = self.api.client.clock.now();
        let written = change(&self.api, id, expected, async |message: Content| {
            let message = mime::edit(&message, edit, now).await?;
            sending::check_size(&message)?;
            Ok(message)
        });
        draft(written.await?)
    }

    async fn prepare(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        key: &SendKey,
    ) -> Result<SendTicket> {
        self.require_drafts()?;
        sending::prepare_draft(&self.api, draft, expected, key).await
    }

    async fn discard(&self, draft: &DraftId) -> Result<()> {
        self.require_drafts()?;
        self.api.delete_draft(draft.as_str()).await
    }
}

async fn list(api: &Api, detail: Detail, page: &PageRequest) -> Result<Page<Result<Draft>>> {
    let size = page.size.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let token = page.token.as_ref().map(PageToken::as_str);
    let list = api.drafts(size, token).await?;
    let next = list
        .next_page_token
        .filter(|token| !token.is_empty())
        .map(PageToken::new);
    let listed: Vec<wire::Draft> = list.drafts.into_iter().flatten().flatten().collect();
    let mut drafts = Vec::with_capacity(listed.len());
    if detail == Detail::Ids {
        for listed in listed {
            drafts.push(self::listed(listed));
        }
        return Ok(Page::new(drafts, next));
    }
    let format = reading::format(detail);
    let listed_count = listed.len();
    let ids = listed.into_iter().filter_map(|draft| draft.id);
    let calls = ids.map(|id| api.draft(&id, format)).collect();
    let mut answered = Vec::with_capacity(listed_count);
    for answer in batch::send(api, calls).await {
        match answer.and_then(|answer| written(parse(DRAFT, &answer.body)?)) {
            Ok(draft) => answered.push(draft),
            // The page failed, not its drafts.
            Err(error) if error.concerns_all() => return Err(error),
            // Listed a moment ago, and sent or discarded since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => drafts.push(Err(error)),
        }
    }
    let read = read(api, answered, detail).await;
    let failed = read.iter().flat_map(|draft| draft.as_ref().err());
    if let Some(error) = failed.into_iter().find(|error| error.concerns_all()) {
        return Err(error.clone());
    }
    // What could not be read comes last.
    drafts.splice(0..0, read);
    Ok(Page::new(drafts, next))
}

/// A draft of which only the ids are known.
fn listed(draft: wire::Draft) -> Result<Draft> {
    self::draft(written(draft)?)
}

fn draft(written: Written) -> Result<Draft> {
    let id = written.message.id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| protocol("a draft came without its message"))?;
    let mut message = Message::new(MessageId::from(id.as_str()));
    message.thread = written.message.thread_id.map(ThreadId::from);
    Ok(Draft::new(
        DraftId::from(written.id),
        DraftRevision::new(id),
        message,
    ))
}

fn written(draft: wire::Draft) -> Result<Written> {
    let id = draft.id.filter(|id| !id.is_empty());
    Ok(Written {
        id: id.ok_or_else(|| protocol("the draft came without its id"))?,
        message: draft.message.unwrap_or_default(),
    })
}

/// A draft whose text is too long to come with it. With the right to drafts alone, parts of messages are not to be had one by
/// one, and all of it is
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages.attachments/get#authorization-scopes>).
async fn whole(api: &Api, draft: Written) -> Result<Draft> {
    let raw = raw(api, &draft.id).await?;
    let raw = raw.to_bytes(LARGEST_MESSAGE).await;
    let raw = raw.map_err(sending::unreadable)?;
    let mut drafts = read(api, vec![draft], Detail::Headers).await;
    let mut read = drafts
        .pop()
        .unwrap_or_else(|| Err(protocol("the draft was not answered")))?;
    let whole = mime::read_whole(read.message.id.clone(), &raw).message;
    read.message.detail = Detail::Full;
    read.message.headers = whole.headers;
    read.message.body = whole.body;
    read.message.attachments = whole.attachments;
    Ok(read)
}

/// Drafts as far as they were asked for: one answer each, in order.
async fn read(api: &Api, answered: Vec<Written>, detail: Detail) -> Vec<Result<Draft>> {
    let (ids, messages): (Vec<String>, Vec<wire::Message>) = answered
        .into_iter()
        .map(|draft| (draft.id, draft.message))
        .unzip();
    let messages = reading::complete(api, messages, detail).await;
    ids.into_iter()
        .zip(messages)
        .map(|(id, message)| {
            let message = message?;
            let revision = DraftRevision::new(message.id.as_str());
            Ok(Draft::new(DraftId::from(id), revision, message))
        })
        .collect()
}

/// Gives the service a draft's message, new or in place of what it has.
pub(super) async fn write(
    api: &Api,
    upload: Upload<'_>,
    thread: Option<&str>,
    message: Content,
) -> Result<Written> {
    let metadata = wire::DraftMetadata {
        message: thread.map(|thread| wire::MessageMetadata::within(Some(thread))),
    };
    let answer = sending::upload(api, upload, &metadata, message).await?;
    written(answer.json().unwrap_or_default())
}

/// The id of a draft's message now.
pub(super) async fn revision(api: &Api, id: &str) -> Result<Option<String>> {
    Ok(state(api, id).await?.id)
}

pub(super) async fn state(api: &Api, id: &str) -> Result<wire::Message> {
    let request = api.draft(id, Format::Minimal)?;
    let draft: wire::Draft = api.client.json(request).await?;
    Ok(draft.message.unwrap_or_default())
}

/// Replaces a draft's message by what `edited` makes of it.
///
/// Gmail has no conditional change. That nobody else changed the draft since `expected`, or since this began, is looked for
/// last, after all of it was read, so that only a change in the moment between that and the upload's end goes unnoticed.
pub(super) async fn change(
    api: &Api,
    id: &DraftId,
    expected: Option<&DraftRevision>,
    edited: impl AsyncFnOnce(Content) -> Result<Content>,
) -> Result<Written> {
    let expected = match expected {
        Some(expected) => Some(expected.as_str().to_owned()),
        None => state(api, id.as_str()).await?.id,
    };
    let edited = edited(raw(api, id.as_str()).await?).await?;
    let now = state(api, id.as_str()).await?;
    if now.id != expected {
        return Err(overtaken());
    }
    let upload = Upload::UpdateDraft(id.as_str());
    write(api, upload, now.thread_id.as_deref(), edited).await
}

/// All of a draft. Its parts may be read more than once.
pub(super) async fn raw(api: &Api, id: &str) -> Result<Content> {
    let raw = api.raw_draft(id).await?;
    let raw = attachments::decoded_at(raw, 2, "raw", true);
    Content::spool_stream(raw).await.map_err(broke_off)
}

pub(super) fn overtaken() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "somebody changed the draft meanwhile: read it again, then decide",
    )
}

fn broke_off(error: SpoolError) -> Error {
    match error {
        SpoolError::Source(error) => {
            Error::new(ErrorKind::Network, "the draft broke off while it was read")
                .with_source(error)
        }
        SpoolError::File(error) => Error::new(
            ErrorKind::Content,
            "the draft could not be kept while it is changed",
        )
        .with_source(error),
    }
}
