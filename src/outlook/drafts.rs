//! Drafts. A draft's id is its message's, and what tells one version from another is the entity tag
//! (<https://learn.microsoft.com/graph/api/message-update>). From the last day of 2026 on, Graph changes nothing but drafts
//! (<https://devblogs.microsoft.com/microsoft365dev/graph-api-updates-to-sensitive-email-properties/>); here it is so
//! already. The requests are `api/drafts.rs`'s.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::api::Api;
use super::sending::{making, uploading};
use super::{Outlook, attachments, batch, convert, reading, sending, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, protocol};
use crate::mime;
use crate::model::{
    Access, Detail, Draft, DraftEdit, DraftId, DraftRevision, FolderRole, Message, MessageId,
    Outgoing, Page, PageRequest, PageToken, SendKey, SendTicket,
};
use crate::provider::Drafts;

const LIST: &str = "outlook.messages.list";

/// How many drafts a page has unless the caller says.
const PAGE: u32 = 50;

/// What of a draft reaches anyone.
const SENT_FIELDS: [&str; 10] = [
    "subject",
    "body",
    "from",
    "sender",
    "replyTo",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "importance",
    "attachments",
];

/// Where a message lies that looks like a draft.
enum Place {
    Kept,
    /// In the outbox.
    Leaving,
    /// Among the deleted items.
    ThrownAway,
}

impl Outlook {
    fn require_drafts(&self) -> Result<()> {
        if sending::keeps_drafts(self.access) {
            return Ok(());
        }
        self.require(Access::DRAFT)
    }

    /// A draft, as far as it was asked for. What was thrown away and what is on its way are none, though they still look
    /// like one.
    async fn kept(&self, id: &str, detail: Detail) -> Result<wire::Message> {
        match self.looked_up(id, detail).await? {
            (message, Place::Kept) => Ok(message),
            _ => Err(no_draft()),
        }
    }

    async fn looked_up(&self, id: &str, detail: Detail) -> Result<(wire::Message, Place)> {
        let api = &self.api;
        let trash = convert::role_folder(FolderRole::Trash).unwrap_or_default();
        let calls = vec![
            api.draft(id, detail),
            api.folder(convert::OUTBOX),
            api.folder(trash),
        ];
        let mut answers = batch::send(api, calls).await.into_iter();
        let (Some(message), Some(outbox), Some(trash)) =
            (answers.next(), answers.next(), answers.next())
        else {
            return Err(protocol("a batch has fewer answers than parts"));
        };
        let message: wire::Message = reading::read("outlook.messages.get", &message?)?;
        if message.is_draft != Some(true) {
            return Err(no_draft());
        }
        let lies_in = |folder: Result<Answer>| match folder {
            Ok(folder) => {
                let folder: wire::MailFolder = reading::read("outlook.mailFolders.get", &folder)?;
                Ok(folder.id.is_some() && folder.id == message.parent_folder_id)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        let place = match (lies_in(outbox)?, lies_in(trash)?) {
            (true, _) => Place::Leaving,
            (_, true) => Place::ThrownAway,
            _ => Place::Kept,
        };
        Ok((message, place))
    }

    /// Whether a message in the outbox waits for its time.
    async fn is_held(&self, id: &str) -> Result<bool> {
        let property = convert::DEFERRED_SEND_PROPERTY;
        let message = self.api.property_of(id, property).await?;
        let until = convert::held_until(&message);
        Ok(until.is_some_and(|until| until > self.api.client.clock.now()))
    }

    /// The same, if it is what it was at `expected`.
    async fn kept_at(
        &self,
        id: &DraftId,
        expected: Option<&DraftRevision>,
    ) -> Result<wire::Message> {
        let draft = self.kept(id.as_str(), Detail::Ids).await?;
        match expected {
            Some(expected) if draft.etag.as_deref() != Some(expected.as_str()) => Err(overtaken()),
            _ => Ok(draft),
        }
    }

    /// The same to be sent under a key, with what is put on it then. That changes its version: a process that died before it
    /// noted its ticket finds what it left there, and goes on if nobody changed anything else since.
    async fn kept_for(
        &self,
        id: &DraftId,
        expected: Option<&DraftRevision>,
        key: &SendKey,
    ) -> Result<(wire::Message, Option<String>)> {
        let Some(expected) = expected.filter(|_| !key.is_unrepeated()) else {
            return Ok((self.kept_at(id, expected).await?, None));
        };
        let api = &self.api;
        let draft = self.kept(id.as_str(), Detail::Ids).await?;
        let content: Value = api
            .client
            .json(api.draft(id.as_str(), Detail::Full)?)
            .await?;
        // It is the content of this version.
        let version = content.get("@odata.etag").and_then(Value::as_str);
        if version.is_none() || version != draft.etag.as_deref() {
            return Err(overtaken());
        }
        let prepared = fingerprint(&content, expected, key);
        if version != Some(expected.as_str()) {
            let property = convert::PREPARED_PROPERTY;
            let marked = api.property_of(id.as_str(), property).await?;
            if !convert::has_property(&marked, property, &prepared) {
                return Err(overtaken());
            }
        }
        Ok((draft, Some(prepared)))
    }
}

#[async_trait]
impl Drafts for Outlook {
    async fn create(&self, outgoing: &Outgoing) -> Result<Draft> {
        self.require_drafts()?;
        let message = mime::compose_draft(outgoing, self.api.client.clock.now())?;
        let made = making::make(&self.api, outgoing, &message, None).await?;
        // Attachments that were added later have changed it.
        let latest = match outgoing.attachments.is_empty() {
            true => made.message,
            false => latest(&self.api, &made.id).await?,
        };
        convert::kept_draft(latest, Detail::Ids)
    }

    async fn list(&self, detail: Detail, page: PageRequest) -> Result<Page<Result<Draft>>> {
        self.require_drafts()?;
        let longest = match detail {
            Detail::Full => reading::LONGEST_FULL_PAGE,
            _ => super::api::LONGEST_PAGE,
        };
        let listed = match &page.token {
            Some(token) => self.api.next_page(LIST, token.as_str()).await?,
            None => {
                let size = page.size.unwrap_or(PAGE).clamp(1, longest);
                self.api.drafts(detail, size).await?
            }
        };
        let items = listed.value.ok_or_else(|| reading::no_list(LIST))?;
        let mut drafts: Vec<Result<Draft>> = Vec::with_capacity(items.len());
        for item in items {
            let draft = wire::salvage::<wire::Message>(item.get().as_bytes());
            match draft {
                // The folder may hold what is none: a message that was moved there.
                Some(draft) if draft.is_draft == Some(false) => {}
                Some(draft) => drafts.push(convert::kept_draft(draft, detail)),
                None => drafts.push(Err(protocol("a draft came that is no JSON object"))),
            }
        }
        if detail == Detail::Full {
            drafts = name_items(self, drafts).await;
        }
        let next = listed.next_link;
        Ok(Page::new(drafts, next.map(PageToken::new)))
    }

    async fn get(&self, draft: &DraftId, detail: Detail) -> Result<Draft> {
        self.require_drafts()?;
        let draft = convert::kept_draft(self.kept(draft.as_str(), detail).await?, detail);
        name_items(self, vec![draft])
            .await
            .pop()
            .unwrap_or_else(|| Err(protocol("the draft came without its message")))
    }

    async fn find(&self, message: &MessageId) -> Result<Draft> {
        self.get(&DraftId::from(message.as_str()), Detail::Ids)
            .await
    }

    /// Fields are changed in one request, under the version that was read; attachments are added and taken away one by one
    /// after that, so that an edit that fails there is half done.
    async fn update(
        &self,
        id: &DraftId,
        expected: Option<&DraftRevision>,
        edit: &DraftEdit,
    ) -> Result<Draft> {
        self.require_drafts()?;
        let api = &self.api;
        mime::check_edit(edit, api.client.clock.now())?;
        uploading::check_sizes(&edit.attach)?;
        let mut draft = self.kept_at(id, expected).await?;
        let changes_files = !edit.attach.is_empty() || !edit.detach.is_empty();
        let mut before = BTreeSet::new();
        if changes_files {
            let attached = uploading::attached(api, id.as_str()).await?;
            before.extend(attached.into_iter().filter_map(|attached| attached.id));
            if !edit.detach.iter().all(|id| before.remove(id.as_str())) {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "the draft has no such attachment",
                ));
            }
        }
        if let Some(patch) = convert::draft_patch(edit) {
            let version = expected.and(draft.etag.as_deref());
            draft = api.update_draft(id.as_str(), &patch, version).await?;
        }
        if changes_files {
            for attachment in &edit.detach {
                match api.detach(id.as_str(), attachment.as_str()).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    detached => detached?,
                }
            }
            if !edit.attach.is_empty() {
                uploading::attach_all(api, id.as_str(), &edit.attach, &before).await?;
            }
            draft = latest(api, id.as_str()).await?;
        }
        convert::kept_draft(draft, Detail::Ids)
    }

    /// Graph sends no draft on a condition: that it is what it was is looked for just before.
    async fn prepare(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        key: &SendKey,
    ) -> Result<SendTicket> {
        self.require_drafts()?;
        let (draft, prepared) = self.kept_for(draft, expected, key).await?;
        let lists = [
            &draft.to_recipients,
            &draft.cc_recipients,
            &draft.bcc_recipients,
        ];
        if lists.into_iter().flatten().flatten().next().is_none() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "a message needs at least one recipient",
            ));
        }
        sending::prepare_draft(&self.api, draft, prepared, key).await
    }

    /// It lies among the deleted items then, as when its author throws it away: that it was not sent can still be told from
    /// it. A message that was sent to leave later is called back so, as long as it waits in the outbox.
    async fn discard(&self, draft: &DraftId) -> Result<()> {
        self.require_drafts()?;
        match self.looked_up(draft.as_str(), Detail::Ids).await?.1 {
            Place::Kept => {}
            Place::Leaving if self.is_held(draft.as_str()).await? => {}
            _ => return Err(no_draft()),
        }
        self.api.delete_draft(draft.as_str()).await
    }
}

async fn latest(api: &Api, id: &str) -> Result<wire::Message> {
    api.client.json(api.draft(id, Detail::Ids)?).await
}

/// What would be sent of a draft, at which version it was asked for, and under which key.
fn fingerprint(content: &Value, expected: &DraftRevision, key: &SendKey) -> String {
    let mut digest = Sha256::new();
    for part in [key.as_str(), expected.as_str()] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    for name in SENT_FIELDS {
        let value = content.get(name).unwrap_or(&Value::Null).to_string();
        digest.update(value.len().to_be_bytes());
        digest.update(value);
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn no_draft() -> Error {
    Error::new(ErrorKind::NotFound, "this is no draft, or no longer")
}

/// Learns what attached items are.
async fn name_items(outlook: &Outlook, drafts: Vec<Result<Draft>>) -> Vec<Result<Draft>> {
    let mut frames = Vec::with_capacity(drafts.len());
    let mut messages: Vec<Result<Message>> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match draft {
            Ok(draft) => {
                frames.push(Some((draft.id, draft.revision)));
                messages.push(Ok(draft.message));
            }
            Err(error) => {
                frames.push(None);
                messages.push(Err(error));
            }
        }
    }
    attachments::name_items(&outlook.api, &mut messages).await;
    let whole = frames.into_iter().zip(messages);
    whole
        .map(|(frame, message)| match (frame, message) {
            (Some((id, revision)), Ok(message)) => Ok(Draft::new(id, revision, message)),
            (_, Err(error)) => Err(error),
            (None, Ok(_)) => Err(protocol("a draft came without its version")),
        })
        .collect()
}

pub(super) fn overtaken() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "somebody changed the draft meanwhile: read it again, then decide",
    )
}
