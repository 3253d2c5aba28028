//! What the provider does with messages that are being written: drafts, authors, and messages that come from elsewhere.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as WrittenAddress;
use mail_parser::MessageParser;
use postroom::{
    Address, Content, Delivery, Detail, Draft, DraftEdit, DraftId, DraftRevision, Drafts, Error,
    ErrorKind, FolderRole, Identities, Identity, ImportDate, ImportLoss, ImportOptions, ImportWay,
    Importance, Imported, Keyword, MessageId, Outgoing, Page, PageRequest, PageToken, Result,
    SendKey, SendTicket,
};

use super::{invalid, message};
use crate::{Shelf, Ticket, not_found};

/// A draft as the office keeps it, beside its message.
#[derive(Clone, Debug)]
pub(crate) struct Writing {
    id: String,
    revision: usize,
    outgoing: Outgoing,
}

fn written(list: &[Address]) -> WrittenAddress<'_> {
    let written = |one: &Address| {
        WrittenAddress::new_address(one.name().map(str::to_owned), one.address().to_owned())
    };
    WrittenAddress::new_list(list.iter().map(written).collect())
}

/// Everyone who is to get a message.
pub(crate) fn recipients(outgoing: &Outgoing) -> Result<Vec<String>> {
    let recipients = outgoing.recipients();
    let recipients: Vec<String> = recipients.map(|one| one.address().to_owned()).collect();
    if recipients.is_empty() {
        return Err(invalid("a message needs a recipient"));
    }
    if recipients.iter().any(|one| Address::new(one).is_err()) {
        return Err(invalid("a recipient has no address that can be used"));
    }
    Ok(recipients)
}

fn edited(outgoing: &mut Outgoing, edit: &DraftEdit) -> Result<()> {
    let mut detached: Vec<usize> = Vec::new();
    for file in &edit.detach {
        let index = file.as_str().parse().map_err(|_| not_found())?;
        outgoing.attachments.get(index).ok_or_else(not_found)?;
        detached.push(index);
    }
    let mut index = 0;
    outgoing.attachments.retain(|_| {
        index += 1;
        !detached.contains(&(index - 1))
    });
    outgoing.attachments.extend(edit.attach.iter().cloned());
    if let Some(from) = &edit.from {
        outgoing.from = Some(from.clone());
    }
    for (list, change) in [
        (&mut outgoing.to, &edit.to),
        (&mut outgoing.cc, &edit.cc),
        (&mut outgoing.bcc, &edit.bcc),
        (&mut outgoing.reply_to, &edit.reply_to),
    ] {
        if let Some(change) = change {
            list.clone_from(change);
        }
    }
    if let Some(subject) = &edit.subject {
        outgoing.subject.clone_from(subject);
    }
    if let Some(body) = &edit.body {
        outgoing.text.clone_from(&body.text);
        outgoing.html.clone_from(&body.html);
    }
    Ok(())
}

impl Shelf {
    /// A message as the office keeps it.
    pub(crate) async fn write(&self, outgoing: &Outgoing) -> Result<String> {
        let asks_more = outgoing.importance != Importance::Normal
            || outgoing.read_receipt_to.is_some()
            || outgoing.list_unsubscribe.is_some()
            || outgoing.invitation.is_some()
            || outgoing.send_at.is_some()
            || !outgoing.headers.is_empty();
        if asks_more {
            return Err(Error::unsupported("the office sends text and files"));
        }
        let mut builder = MessageBuilder::new()
            .from(self.address.clone())
            .to(written(&outgoing.to))
            .subject(outgoing.subject.clone());
        if !outgoing.cc.is_empty() {
            builder = builder.cc(written(&outgoing.cc));
        }
        if let Some(id) = &outgoing.in_reply_to {
            builder = builder.in_reply_to(id.clone());
        }
        if !outgoing.references.is_empty() {
            builder = builder.references(outgoing.references.clone());
        }
        if let Some(text) = &outgoing.text {
            builder = builder.text_body(text.clone());
        }
        if let Some(html) = &outgoing.html {
            builder = builder.html_body(html.clone());
        }
        for file in &outgoing.attachments {
            let bytes = file.content.to_bytes(1024 * 1024).await;
            let bytes = bytes.map_err(|_| Error::new(ErrorKind::Content, "unreadable"))?;
            let media_type = file.media_type.clone();
            builder = match &file.content_id {
                Some(id) => builder.inline(media_type, id.clone(), bytes.to_vec()),
                None => builder.attachment(media_type, file.name.clone(), bytes.to_vec()),
            };
        }
        builder
            .write_to_string()
            .map_err(|_| invalid("the message cannot be written"))
    }

    fn writing(&self, draft: &str) -> Result<Writing> {
        let writings = self.office.drafts.lock().unwrap();
        let mut own = writings.get(&self.address).into_iter().flatten();
        own.find(|writing| writing.id == draft)
            .cloned()
            .ok_or_else(not_found)
    }

    fn current(&self, draft: &DraftId, expected: Option<&DraftRevision>) -> Result<Writing> {
        let writing = self.writing(draft.as_str())?;
        if expected.is_some_and(|expected| expected.as_str() != writing.revision.to_string()) {
            return Err(Error::new(ErrorKind::Conflict, "the draft was changed"));
        }
        Ok(writing)
    }

    fn shown(&self, writing: &Writing, detail: Detail) -> Result<Draft> {
        let kept = self.find(&MessageId::new(writing.id.as_str()))?;
        Ok(Draft::new(
            DraftId::new(writing.id.as_str()),
            DraftRevision::new(writing.revision.to_string()),
            message(&kept, detail),
        ))
    }

    /// Keeps what is being written in place of what was.
    fn put(&self, writing: Writing, raw: &str) {
        let mut writings = self.office.drafts.lock().unwrap();
        let own = writings.entry(self.address.clone()).or_default();
        own.retain(|known| known.id != writing.id);
        let mut boxes = self.office.boxes.lock().unwrap();
        let mut kept = boxes.entry(self.address.clone()).or_default().iter_mut();
        if let Some(kept) = kept.find(|kept| kept.id == writing.id) {
            kept.raw = raw.as_bytes().to_vec();
            kept.keywords = [Keyword::Draft, Keyword::Seen].into();
        }
        own.push(writing);
    }

    pub(crate) fn drop_draft(&self, draft: &str) -> Result<()> {
        self.writing(draft)?;
        let mut writings = self.office.drafts.lock().unwrap();
        let own = writings.entry(self.address.clone()).or_default();
        own.retain(|known| known.id != draft);
        let mut boxes = self.office.boxes.lock().unwrap();
        let kept = boxes.entry(self.address.clone()).or_default();
        kept.retain(|kept| kept.id != draft);
        Ok(())
    }

    /// Takes the draft of a ticket away, unless it was changed or is gone.
    pub(crate) fn take_draft(&self, draft: &(String, usize)) -> Result<()> {
        let gone = |error: Error| error.with_delivery(Delivery::Unknown);
        let expected = DraftRevision::new(draft.1.to_string());
        let id = DraftId::new(draft.0.as_str());
        self.writing(&draft.0).map_err(gone)?;
        self.current(&id, Some(&expected))?;
        self.drop_draft(&draft.0)
    }

    pub(crate) async fn take_in(
        &self,
        content: &Content,
        options: &ImportOptions,
    ) -> Result<Imported> {
        if options.way != ImportWay::Append {
            return Err(Error::unsupported("the office takes messages as they are"));
        }
        let raw = content.to_bytes(1024 * 1024).await;
        let raw = raw.map_err(|_| Error::new(ErrorKind::Content, "unreadable"))?;
        let mut folders = options.folders.iter();
        let folder = folders.next().map(|folder| folder.as_str().to_owned());
        let folder = folder.unwrap_or_else(|| FolderRole::Archive.as_str().to_owned());
        if !self
            .all_folders()
            .iter()
            .any(|one| one.id.as_str() == folder)
        {
            return Err(not_found());
        }
        let id = self.office.shelve(&self.address, &folder, &raw);
        let mut imported = Imported::new(MessageId::new(id.as_str()));
        // A message is on one shelf.
        imported.lost = folders.cloned().map(ImportLoss::Folder).collect();
        let said = MessageParser::new().parse(&raw[..]);
        let said = said.as_ref().and_then(|parsed| parsed.date());
        let said = said.and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0));
        let date = match options.date {
            ImportDate::Kept => said,
            ImportDate::At(instant) => Some(instant),
            _ => Some(Utc::now()),
        };
        if date.is_none() {
            imported.lost.push(ImportLoss::Date);
        }
        let mut boxes = self.office.boxes.lock().unwrap();
        let mut kept = boxes.entry(self.address.clone()).or_default().iter_mut();
        if let Some(kept) = kept.find(|kept| kept.id == id) {
            kept.keywords = options.keywords.iter().cloned().collect();
            kept.received_at = date.unwrap_or(kept.received_at);
        }
        Ok(imported)
    }
}

#[async_trait]
impl Drafts for Shelf {
    async fn create(&self, outgoing: &Outgoing) -> Result<Draft> {
        let raw = self.write(outgoing).await?;
        let id = self.office.keep(&self.address, FolderRole::Drafts, b"");
        let writing = Writing {
            id: id.clone(),
            revision: 0,
            outgoing: outgoing.clone(),
        };
        self.put(writing, &raw);
        self.get(&DraftId::new(id), Detail::Ids).await
    }

    async fn list(&self, detail: Detail, page: PageRequest) -> Result<Page<Result<Draft>>> {
        let writings = self.office.drafts.lock().unwrap().clone();
        let own = writings.get(&self.address).into_iter().flatten().rev();
        let drafts: Vec<_> = own.map(|writing| self.shown(writing, detail)).collect();
        let start: usize = match &page.token {
            None => 0,
            Some(token) => token.as_str().parse().map_err(|_| not_found())?,
        };
        let end = start + page.size.unwrap_or(50) as usize;
        let next = (end < drafts.len()).then(|| PageToken::new(end.to_string()));
        let items = drafts.into_iter().skip(start).take(end - start);
        Ok(Page::new(items.collect(), next))
    }

    async fn get(&self, draft: &DraftId, detail: Detail) -> Result<Draft> {
        self.shown(&self.writing(draft.as_str())?, detail)
    }

    async fn update(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        edit: &DraftEdit,
    ) -> Result<Draft> {
        let mut writing = self.current(draft, expected)?;
        edited(&mut writing.outgoing, edit)?;
        let raw = self.write(&writing.outgoing).await?;
        writing.revision += 1;
        self.put(writing, &raw);
        self.get(draft, Detail::Ids).await
    }

    async fn prepare(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        key: &SendKey,
    ) -> Result<SendTicket> {
        let writing = self.current(draft, expected)?;
        let ticket = Ticket {
            key: key.as_str().to_owned(),
            recipients: recipients(&writing.outgoing)?,
            raw: self.write(&writing.outgoing).await?,
            draft: Some((writing.id, writing.revision)),
        };
        Ok(SendTicket::new(serde_json::to_string(&ticket).unwrap()))
    }

    async fn discard(&self, draft: &DraftId) -> Result<()> {
        self.drop_draft(draft.as_str())
    }
}

#[async_trait]
impl Identities for Shelf {
    async fn list(&self) -> Result<Vec<Identity>> {
        let mut own = Identity::new(Address::received(None, self.address.as_str()));
        own.primary = true;
        own.default = true;
        Ok(vec![own])
    }
}
