//! A provider written outside the crate: a few mailboxes in memory. It passes the suite that the crate's own providers
//! pass, and shows what a provider is handed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod office;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};
use mail_parser::MessageParser;
use postroom::testing::provider_suite::ProviderFixture;
use postroom::{
    Access, AttachmentId, Audit, AuditWindow, ByteStream, Capabilities, Change, Confirmation,
    Content, Detail, Drafts, Error, ErrorKind, Folder, FolderCounts, FolderEdit, FolderId,
    FolderRole, FoldersPerMessage, Identities, ImportOptions, Imported, Keyword, Known,
    KnownMessage, MailProvider, Mailbox, Message, MessageId, Outgoing, Page, PageRequest,
    PageToken, Profile, Query, QueryPlan, Result, Scope, SendKey, SendTicket, Sent, SyncChange,
    SyncCursor, SyncPage, SyncPhase, Thread, ThreadId,
};
use serde::{Deserialize, Serialize};

use office::{Journal, Writing, message, recipients};

const READER: &str = "reader@office.example";
const TEAM: &str = "team@office.example";

const ROLES: [FolderRole; 6] = [
    FolderRole::Inbox,
    FolderRole::Archive,
    FolderRole::Drafts,
    FolderRole::Sent,
    FolderRole::Trash,
    FolderRole::Junk,
];

/// A message as the office keeps it.
#[derive(Clone, Debug)]
struct Kept {
    id: String,
    raw: Vec<u8>,
    folder: String,
    keywords: BTreeSet<Keyword>,
    received_at: DateTime<Utc>,
}

impl Kept {
    /// A message of nothing.
    fn none() -> Self {
        Self {
            id: String::new(),
            raw: Vec::new(),
            folder: String::new(),
            keywords: BTreeSet::new(),
            received_at: DateTime::UNIX_EPOCH,
        }
    }
}

/// All mailboxes of the service, and which sends it has done.
#[derive(Debug, Default)]
struct Office {
    boxes: Mutex<BTreeMap<String, Vec<Kept>>>,
    /// The folders that users made.
    folders: Mutex<BTreeMap<String, Vec<Folder>>>,
    /// How many messages and folders of users it ever had.
    kept: AtomicUsize,
    sent: Mutex<BTreeMap<String, String>>,
    /// What users are writing.
    drafts: Mutex<BTreeMap<String, Vec<Writing>>>,
    /// What changed in each mailbox.
    journals: Mutex<BTreeMap<String, Journal>>,
    /// What each sync was handed.
    syncs: Mutex<Vec<(Option<SyncCursor>, Scope)>>,
}

impl Office {
    fn next(&self) -> usize {
        self.kept.fetch_add(1, Ordering::Relaxed)
    }

    fn keep(&self, address: &str, folder: FolderRole, raw: &[u8]) -> String {
        self.shelve(address, folder.as_str(), raw)
    }

    fn shelve(&self, address: &str, folder: &str, raw: &[u8]) -> String {
        let mut boxes = self.boxes.lock().unwrap();
        let number = self.next();
        let id = format!("m-{number:04}");
        boxes.entry(address.to_owned()).or_default().push(Kept {
            id: id.clone(),
            raw: raw.to_vec(),
            folder: folder.to_owned(),
            keywords: BTreeSet::new(),
            received_at: DateTime::from_timestamp(1_790_000_000 + number as i64, 0).unwrap(),
        });
        id
    }
}

/// One mailbox of the office.
#[derive(Clone, Debug)]
struct Shelf {
    office: Arc<Office>,
    address: String,
    capabilities: Capabilities,
}

impl Shelf {
    fn new(office: &Arc<Office>, address: &str) -> Self {
        let mut capabilities = Capabilities::new("office");
        capabilities.folders_per_message = FoldersPerMessage::One;
        capabilities.change = true;
        capabilities.delete = true;
        capabilities.send = true;
        capabilities.confirm_send = true;
        capabilities.drafts = true;
        capabilities.identities = true;
        capabilities.import = true;
        capabilities.sync = true;
        capabilities.sync_moves = true;
        capabilities.audit = true;
        capabilities.copy = true;
        capabilities.edit_folders = true;
        capabilities.counts = true;
        capabilities.custom_keywords = true;
        capabilities.threads = true;
        capabilities.plan_queries = true;
        Self {
            office: Arc::clone(office),
            address: address.to_owned(),
            capabilities,
        }
    }

    fn kept(&self) -> Vec<Kept> {
        let boxes = self.office.boxes.lock().unwrap();
        boxes.get(&self.address).cloned().unwrap_or_default()
    }

    fn find(&self, id: &MessageId) -> Result<Kept> {
        let mut kept = self.kept().into_iter();
        kept.find(|kept| kept.id == id.as_str())
            .ok_or_else(not_found)
    }
}

fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "the office has no such thing")
}

/// Whether a query means a message. What the crate's own evaluation cannot tell, the office cannot either.
fn meant(query: &Query, message: &Message, folders: &[Folder]) -> Result<bool> {
    query
        .matches(message, folders)
        .ok_or_else(|| Error::unsupported("the office does not know this term"))
}

/// Whether the query asks for words and gives none.
fn is_blank(query: &Query) -> bool {
    match query {
        Query::From(value) | Query::To(value) | Query::Word(value) | Query::Phrase(value) => {
            !value.contains(char::is_alphanumeric)
        }
        Query::Not(term) => is_blank(term),
        Query::And(terms) | Query::Or(terms) => terms.iter().any(is_blank),
        _ => false,
    }
}

async fn stream(bytes: Vec<u8>) -> ByteStream {
    Content::from_bytes(bytes).read_from(0).await.unwrap()
}

/// What the second step of a send needs.
#[derive(Serialize, Deserialize)]
struct Ticket {
    key: String,
    raw: String,
    recipients: Vec<String>,
    /// The draft that it is, and which revision of it.
    draft: Option<(String, usize)>,
}

impl Ticket {
    fn of(ticket: &SendTicket) -> Result<Self> {
        serde_json::from_str(ticket.expose())
            .map_err(|_| Error::new(ErrorKind::InvalidRequest, "this is no ticket of the office"))
    }
}

#[async_trait]
impl MailProvider for Shelf {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn profile(&self) -> Result<Profile> {
        Ok(Profile::new(&self.address))
    }

    async fn folders(&self) -> Result<Vec<Folder>> {
        Ok(self.all_folders())
    }

    async fn list(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>> {
        if is_blank(query) {
            let message = "a search for no words means nothing";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let folders = self.folders().await?;
        let hidden = |kept: &Kept| {
            let mut hidden = folders
                .iter()
                .filter(|folder| matches!(folder.role, Some(FolderRole::Trash | FolderRole::Junk)));
            hidden.any(|folder| folder.id.as_str() == kept.folder && !query.names(folder))
        };
        // A term that nobody knows is refused, whether or not there is mail.
        meant(query, &message(&Kept::none(), Detail::Full), &folders)?;
        let mut found = Vec::new();
        for kept in self.kept().iter().rev() {
            let is_meant = meant(query, &message(kept, Detail::Full), &folders)?;
            if is_meant && !hidden(kept) {
                found.push(Ok(message(kept, detail)));
            }
        }
        let start: usize = match &page.token {
            None => 0,
            Some(token) => token.as_str().parse().map_err(|_| not_found())?,
        };
        let end = start + page.size.unwrap_or(50) as usize;
        let next = (end < found.len()).then(|| PageToken::new(end.to_string()));
        let items = found.into_iter().skip(start).take(end - start);
        Ok(Page::new(items.collect(), next))
    }

    async fn get(&self, ids: &[MessageId], detail: Detail) -> Result<Vec<Result<Message>>> {
        let get = |id| self.find(id).map(|kept| message(&kept, detail));
        Ok(ids.iter().map(get).collect())
    }

    async fn raw(&self, id: &MessageId) -> Result<ByteStream> {
        Ok(stream(self.find(id)?.raw).await)
    }

    async fn attachment(&self, id: &MessageId, attachment: &AttachmentId) -> Result<ByteStream> {
        let kept = self.find(id)?;
        let bytes = {
            let parsed = MessageParser::new()
                .parse(&kept.raw)
                .ok_or_else(not_found)?;
            let index: u32 = attachment.as_str().parse().map_err(|_| not_found())?;
            let part = parsed.attachment(index).ok_or_else(not_found)?;
            part.contents().to_vec()
        };
        Ok(stream(bytes).await)
    }

    async fn apply(&self, ids: &[MessageId], change: &Change) -> Result<Vec<Result<()>>> {
        let mut boxes = self.office.boxes.lock().unwrap();
        let kept = boxes.entry(self.address.clone()).or_default();
        let mut outcomes = Vec::new();
        for id in ids {
            if *change == Change::Delete {
                kept.retain(|kept| kept.id != id.as_str());
                outcomes.push(Ok(()));
                continue;
            }
            let Some(kept) = kept.iter_mut().find(|kept| kept.id == id.as_str()) else {
                outcomes.push(Err(not_found()));
                continue;
            };
            match change {
                Change::Set(keyword) => _ = kept.keywords.insert(keyword.clone()),
                Change::Clear(keyword) => _ = kept.keywords.remove(keyword),
                Change::MoveTo { to, .. } => kept.folder = to.as_str().to_owned(),
                Change::Archive => kept.folder = FolderRole::Archive.as_str().to_owned(),
                Change::Trash => kept.folder = FolderRole::Trash.as_str().to_owned(),
                Change::Junk => kept.folder = FolderRole::Junk.as_str().to_owned(),
                Change::Restore | Change::NotJunk => {
                    kept.folder = FolderRole::Inbox.as_str().to_owned();
                }
                _ => return Err(Error::unsupported("a message is on one shelf")),
            }
            outcomes.push(Ok(()));
        }
        Ok(outcomes)
    }

    async fn copy(&self, ids: &[MessageId], to: &FolderId) -> Result<Vec<Result<MessageId>>> {
        Ok(ids.iter().map(|id| self.duplicate(id, to)).collect())
    }

    async fn edit_folder(&self, edit: &FolderEdit) -> Result<Option<Folder>> {
        self.edit(edit)
    }

    async fn counts(&self, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
        Ok(folders.iter().map(|folder| self.count(folder)).collect())
    }

    fn plan(&self, query: &Query) -> Result<QueryPlan> {
        self.plan_of(query)
    }

    async fn thread(&self, id: &ThreadId, detail: Detail) -> Result<Thread> {
        self.whole(id, detail)
    }

    async fn threads(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Thread>>> {
        self.page_of_threads(query, detail, page).await
    }

    async fn apply_to_threads(&self, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
        let mut outcomes = Vec::new();
        for id in ids {
            outcomes.push(self.change_whole(id, change).await);
        }
        Ok(outcomes)
    }

    async fn import(&self, message: &Content, options: &ImportOptions) -> Result<Imported> {
        self.take_in(message, options).await
    }

    fn drafts(&self) -> Option<&dyn Drafts> {
        Some(self)
    }

    fn identities(&self) -> Option<&dyn Identities> {
        Some(self)
    }

    async fn prepare(&self, outgoing: &Outgoing, key: &SendKey) -> Result<SendTicket> {
        let ticket = Ticket {
            key: key.as_str().to_owned(),
            recipients: recipients(outgoing)?,
            raw: self.write(outgoing).await?,
            draft: None,
        };
        Ok(SendTicket::new(serde_json::to_string(&ticket).unwrap()))
    }

    async fn dispatch(&self, ticket: &SendTicket) -> Result<Sent> {
        let ticket = Ticket::of(ticket)?;
        if let Some(draft) = &ticket.draft {
            self.take_draft(draft)?;
        }
        let id = self
            .office
            .keep(&self.address, FolderRole::Sent, ticket.raw.as_bytes());
        for recipient in &ticket.recipients {
            let inbox = FolderRole::Inbox;
            self.office.keep(recipient, inbox, ticket.raw.as_bytes());
        }
        let mut sent = self.office.sent.lock().unwrap();
        sent.insert(ticket.key, id.clone());
        Ok(Sent::new(Some(MessageId::new(id)), None))
    }

    async fn confirm(&self, ticket: &SendTicket) -> Result<Confirmation> {
        let ticket = Ticket::of(ticket)?;
        let sent = self.office.sent.lock().unwrap();
        Ok(match sent.get(&ticket.key) {
            Some(id) => Confirmation::Sent(Sent::new(Some(MessageId::new(id.as_str())), None)),
            None => Confirmation::NotSent,
        })
    }

    async fn sync(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        let handed = (cursor.cloned(), scope.clone());
        self.office.syncs.lock().unwrap().push(handed);
        if cursor.is_some_and(|cursor| cursor.as_str() == "stuck") {
            let stuck = SyncCursor::new("stuck");
            let mut page = SyncPage::new(SyncPhase::Delta, cursor.cloned(), stuck);
            page.more = true;
            return Ok(page);
        }
        self.page_of_sync(cursor, scope, known).await
    }

    async fn audit(&self, scope: &Scope, window: AuditWindow, known: &dyn Known) -> Result<Audit> {
        self.audit_of(scope, window, known).await
    }
}

#[derive(Debug, Default)]
struct Fixture(Arc<Office>);

#[async_trait]
impl ProviderFixture for Fixture {
    fn mailbox(&self) -> Mailbox {
        Mailbox::new(Shelf::new(&self.0, READER))
    }

    fn address(&self) -> String {
        READER.to_owned()
    }

    fn other(&self) -> Mailbox {
        Mailbox::new(Shelf::new(&self.0, TEAM))
    }

    fn other_address(&self) -> String {
        TEAM.to_owned()
    }

    async fn deliver(&self, raw: &[u8]) {
        self.0.keep(READER, FolderRole::Inbox, raw);
    }
}

mod suite {
    postroom::mail_provider_tests!(crate::Fixture::default());
}

/// What a host has, and what it was asked for.
#[derive(Debug)]
struct Copy {
    ids: Vec<&'static str>,
    asked: Mutex<Vec<Option<String>>>,
}

#[async_trait]
impl Known for Copy {
    async fn page(&self, after: Option<&MessageId>, limit: usize) -> Result<Vec<KnownMessage>> {
        let after = after.map(|id| id.as_str().to_owned());
        self.asked.lock().unwrap().push(after.clone());
        let known = self.ids.iter().copied();
        Ok(known
            .filter(|id| after.as_deref().is_none_or(|after| *id > after))
            .take(limit)
            .map(|id| KnownMessage::new(MessageId::new(id), Vec::new(), Vec::new()))
            .collect())
    }
}

fn ids_of(page: &SyncPage) -> Vec<String> {
    let named = |change: &SyncChange| match change {
        SyncChange::Message(message) => Some(message.id.as_str().to_owned()),
        SyncChange::Moved { message, .. } => Some(format!(">{}", message.id.as_str())),
        SyncChange::Deleted(id) => Some(format!("-{}", id.as_str())),
        SyncChange::Updated(update) => Some(format!("~{}", update.id.as_str())),
        SyncChange::Folder(_) => None,
        other => panic!("{other:?}"),
    };
    page.changes.iter().filter_map(named).collect()
}

#[tokio::test]
async fn a_sync_hands_the_provider_what_the_host_has_and_where_it_was() {
    let fixture = Fixture::default();
    for number in 0..5 {
        let raw = format!("Subject: {number}\r\n\r\nText\r\n");
        fixture.deliver(raw.as_bytes()).await;
    }
    let mailbox = fixture.mailbox();
    let mut scope = Scope::default();
    scope.folders = vec![FolderId::new("inbox")];
    let known = Arc::new(Copy {
        ids: vec!["gone-1", "gone-2", "m-0001", "m-0002"],
        asked: Mutex::default(),
    });

    // Nothing is asked before somebody wants the page, and nothing ahead of it.
    let mut pages = mailbox.sync(None, scope.clone(), known.clone());
    assert_eq!(fixture.0.syncs.lock().unwrap().len(), 0);
    let first = pages.try_next().await.unwrap().unwrap();
    assert_eq!(fixture.0.syncs.lock().unwrap().len(), 1);
    assert_eq!(first.phase, SyncPhase::Snapshot);
    assert_eq!((first.after.as_ref(), first.more), (None, true));
    assert_eq!(ids_of(&first), ["m-0004", "m-0003"]);

    // A host that stops here goes on here.
    drop(pages);
    let pages = mailbox.sync(Some(first.cursor.clone()), scope.clone(), known.clone());
    let rest: Vec<SyncPage> = pages.try_collect().await.unwrap();
    assert_eq!(rest.len(), 2);
    assert_eq!(rest[0].after.as_ref(), Some(&first.cursor));
    assert_eq!(rest[1].after.as_ref(), Some(&rest[0].cursor));
    assert_eq!(ids_of(&rest[0]), ["m-0002", "m-0001"]);
    assert_eq!(ids_of(&rest[1]), ["m-0000"]);
    let last = rest[1].cursor.clone();
    let handed = fixture.0.syncs.lock().unwrap().clone();
    assert!(handed.iter().all(|(_, given)| *given == scope));
    assert_eq!(handed.last().unwrap().0, Some(rest[0].cursor.clone()));

    // The host is asked what it has only when that must be compared.
    assert!(known.asked.lock().unwrap().is_empty());
    let pages = mailbox.sync(Some(last), Scope::default(), known.clone());
    let compared: Vec<SyncPage> = pages.try_collect().await.unwrap();
    assert_eq!(compared.len(), 1);
    assert_eq!(compared[0].phase, SyncPhase::Delta);
    let stale = ["~m-0001", "~m-0002"];
    let expected = [
        &["-gone-1", "-gone-2"],
        &stale,
        &["m-0000", "m-0003", "m-0004"][..],
    ]
    .concat();
    assert_eq!(ids_of(&compared[0]), expected);
    let asked = known.asked.lock().unwrap().clone();
    let pages_of_known = [None, Some("gone-2".to_owned()), Some("m-0002".to_owned())];
    assert_eq!(asked, pages_of_known);
}

#[tokio::test]
async fn a_failed_page_ends_a_sync_and_a_restricted_handle_begins_none() {
    let fixture = Fixture::default();
    let known = Arc::new(Copy {
        ids: Vec::new(),
        asked: Mutex::default(),
    });
    let mailbox = fixture.mailbox();
    for (cursor, kind) in [
        ("broken", ErrorKind::InvalidRequest),
        ("stuck", ErrorKind::Protocol),
    ] {
        let cursor = Some(SyncCursor::new(cursor));
        let mut pages = mailbox.sync(cursor, Scope::default(), known.clone());
        let error = pages.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(pages.next().await.is_none());
    }
    let syncs = fixture.0.syncs.lock().unwrap().len();

    let sender = mailbox.restrict(Access::SEND);
    let mut pages = sender.sync(None, Scope::default(), known);
    let refused = pages.next().await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert_eq!(fixture.0.syncs.lock().unwrap().len(), syncs);
}
