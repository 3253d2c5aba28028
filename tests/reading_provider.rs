//! A provider written outside the crate that only reads, as [`Capabilities::new`] has it: the least that a provider is.
//! It passes the suite, which expects of everything else that it is refused.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::DateTime;
use postroom::testing::provider_suite::ProviderFixture;
use postroom::{
    AttachedMessage, AttachmentId, ByteStream, Capabilities, Change, Confirmation, Content, Detail,
    Error, ErrorKind, Folder, FolderId, FolderRole, MailProvider, Mailbox, Message, MessageId,
    Outgoing, Page, PageRequest, PageToken, Profile, Query, Result, SendKey, SendTicket, Sent,
};

const READER: &str = "reader@archive.example";

/// Letters in the order in which they came; the place of one is its id.
#[derive(Clone, Debug)]
struct Archive {
    letters: Arc<Mutex<Vec<Vec<u8>>>>,
    capabilities: Capabilities,
}

impl Archive {
    fn new(letters: Arc<Mutex<Vec<Vec<u8>>>>) -> Self {
        Self {
            letters,
            capabilities: Capabilities::new("archive"),
        }
    }

    fn letter(&self, id: &MessageId) -> Result<Vec<u8>> {
        let place = id.as_str().strip_prefix("letter-").map(str::parse::<usize>);
        let letters = self.letters.lock().unwrap();
        let letter = place.and_then(|place| letters.get(place.ok()?).cloned());
        letter.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such letter"))
    }

    /// A letter, opened. The crate itself reads what is in it.
    fn open(&self, id: &MessageId) -> Result<AttachedMessage> {
        Ok(AttachedMessage::read(
            &AttachmentId::new(id.as_str()),
            self.letter(id)?,
        ))
    }

    fn message(&self, id: &MessageId, detail: Detail) -> Result<Message> {
        let mut message = self.open(id)?.message;
        let place: i64 = id.as_str().trim_start_matches("letter-").parse().unwrap();
        message.detail = detail;
        message.folders = Some(vec![FolderId::new(FolderRole::Inbox.as_str())]);
        message.keywords = Some([].into());
        message.received_at = DateTime::from_timestamp(1_790_000_000 + place, 0);
        message.preview.get_or_insert_default();
        Ok(message)
    }
}

fn only_reads() -> Error {
    Error::unsupported("the archive can only be read")
}

#[async_trait]
impl MailProvider for Archive {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn profile(&self) -> Result<Profile> {
        Ok(Profile::new(READER))
    }

    async fn folders(&self) -> Result<Vec<Folder>> {
        let roles = [
            FolderRole::Inbox,
            FolderRole::Drafts,
            FolderRole::Sent,
            FolderRole::Trash,
            FolderRole::Junk,
        ];
        let folder = |role: FolderRole| {
            let mut folder = Folder::new(FolderId::new(role.as_str()), role.as_str());
            folder.role = Some(role);
            folder
        };
        Ok(roles.map(folder).into())
    }

    async fn list(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>> {
        let folders = self.folders().await?;
        let unknown = || Error::unsupported("the archive does not know this term");
        let blank = |value: &String| !value.contains(char::is_alphanumeric);
        if let Query::Word(value) | Query::From(value) = query
            && blank(value)
        {
            let message = "a search for no words means nothing";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        if let Query::Native(_) = query {
            return Err(unknown());
        }
        let count = self.letters.lock().unwrap().len();
        let mut found = Vec::new();
        for place in (0..count).rev() {
            let id = MessageId::new(format!("letter-{place}"));
            let whole = self.message(&id, Detail::Full)?;
            if query.matches(&whole, &folders).ok_or_else(unknown)? {
                found.push(self.message(&id, detail));
            }
        }
        let start = page.token.map_or(Ok(0), |token| token.as_str().parse());
        let start: usize = start.map_err(|_| unknown())?;
        let size = page.size.unwrap_or(50) as usize;
        let next = start + size;
        let next = (next < found.len()).then(|| PageToken::new(next.to_string()));
        let items = found.into_iter().skip(start).take(size);
        Ok(Page::new(items.collect(), next))
    }

    async fn get(&self, ids: &[MessageId], detail: Detail) -> Result<Vec<Result<Message>>> {
        Ok(ids.iter().map(|id| self.message(id, detail)).collect())
    }

    async fn raw(&self, id: &MessageId) -> Result<ByteStream> {
        let letter = Content::from_bytes(self.letter(id)?);
        Ok(letter.read_from(0).await.unwrap())
    }

    async fn attachment(&self, id: &MessageId, attachment: &AttachmentId) -> Result<ByteStream> {
        let bytes = self.open(id)?.attachment(attachment);
        let missing = || Error::new(ErrorKind::NotFound, "the letter has no such file");
        let file = Content::from_bytes(bytes.ok_or_else(missing)?);
        Ok(file.read_from(0).await.unwrap())
    }

    async fn apply(&self, _: &[MessageId], _: &Change) -> Result<Vec<Result<()>>> {
        Err(only_reads())
    }

    async fn prepare(&self, _: &Outgoing, _: &SendKey) -> Result<SendTicket> {
        Err(only_reads())
    }

    async fn dispatch(&self, _: &SendTicket) -> Result<Sent> {
        Err(only_reads())
    }

    async fn confirm(&self, _: &SendTicket) -> Result<Confirmation> {
        Err(only_reads())
    }
}

#[derive(Debug, Default)]
struct Fixture(Arc<Mutex<Vec<Vec<u8>>>>);

#[async_trait]
impl ProviderFixture for Fixture {
    fn mailbox(&self) -> Mailbox {
        Mailbox::new(Archive::new(Arc::clone(&self.0)))
    }

    fn address(&self) -> String {
        READER.to_owned()
    }

    fn other(&self) -> Mailbox {
        Mailbox::new(Archive::new(Arc::default()))
    }

    fn other_address(&self) -> String {
        "other@archive.example".to_owned()
    }

    async fn deliver(&self, raw: &[u8]) {
        self.0.lock().unwrap().push(raw.to_vec());
    }
}

mod suite {
    postroom::mail_provider_tests!(crate::Fixture::default());
}
