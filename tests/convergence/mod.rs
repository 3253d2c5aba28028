//! One mailbox, its copy, and whatever may happen to both: what histories are made of. Which histories run, and what a failing
//! one comes down to, is `sync_convergence.rs`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::Method;
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::{Connection, Regime, RetryPolicy, Transport};
use postroom::testing::{SyncRule, VirtualClock};
use postroom::{
    AuditWindow, Change, Detail, FolderEdit, FolderId, FolderRole, Gmail, Keyword, Mailbox,
    MessageId, Outlook, Scope, SyncChange, SyncPage,
};

use crate::mirror::{Copy, Mirror, gmail_truth, hidden_folders, outlook_truth};
use crate::support::direct::Direct;
use crate::support::random::Random;
use crate::support::{GMAIL, OUTLOOK, emulator, mailbox_on};

pub(crate) struct World {
    emulator: Arc<Emulator>,
    address: &'static str,
    clock: VirtualClock,
    /// The user's other program.
    user: Mailbox,
    /// The host's two workers, which know nothing of each other.
    hosts: [Mailbox; 2],
    mirror: Arc<Mirror>,
    scope: Scope,
    inbox: FolderId,
    random: Random,
    delivered: usize,
    overtaken: Vec<SyncPage>,
    /// What was called deleted and is there.
    wronged: Vec<MessageId>,
    /// What was seen to be out of scope.
    left: BTreeSet<MessageId>,
    /// What happened, for people to read.
    told: Vec<String>,
}

impl World {
    pub(crate) async fn new(seed: u64, address: &'static str, without: Option<SyncRule>) -> Self {
        let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
        let pages = usize::try_from(3 + seed % 40).unwrap();
        let builder = emulator().quota(false).seed(seed).longest_page(pages);
        let builder = builder
            .clock(Arc::new(clock.clone()))
            .access_token_lifetime(Duration::from_secs(365 * 24 * 60 * 60))
            .repeated_pages(seed % 4 == 1);
        let emulator = Arc::new(builder.start().await.unwrap());
        let direct: Arc<dyn Transport> = Arc::new(Direct(Arc::clone(&emulator)));
        let connection = || {
            let token = StaticToken::new(emulator.access_token(address));
            let mut retry = RetryPolicy::never();
            retry.circuit = None;
            Connection::new(Arc::clone(&direct), Arc::new(token))
                .with_retry(retry)
                .with_clock(Arc::new(clock.clone()))
                .with_regime(Regime::Off)
        };
        let user = mailbox_on(&emulator, connection(), address);
        let host = || match without {
            None => mailbox_on(&emulator, connection(), address),
            Some(rule) if address == GMAIL => {
                let endpoint = emulator.google().base_url.clone();
                let gmail = Gmail::new(connection()).unwrap().without_sync_rule(rule);
                Mailbox::new(gmail.with_api_endpoint(endpoint).unwrap())
            }
            Some(rule) => {
                let endpoint = emulator.microsoft().base_url.clone();
                let outlook = Outlook::new(connection()).unwrap().without_sync_rule(rule);
                Mailbox::new(outlook.with_api_endpoint(endpoint).unwrap())
            }
        };
        let hosts = [host(), host()];
        let inbox = user.folder(FolderRole::Inbox).await.unwrap().id;
        Self {
            emulator,
            address,
            clock,
            user,
            hosts,
            mirror: Mirror::new(),
            scope: Scope::everything(),
            inbox,
            random: Random(seed),
            delivered: 0,
            overtaken: Vec::new(),
            wronged: Vec::new(),
            left: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    /// One step, which is the same whatever steps went before it.
    pub(crate) async fn step(&mut self, seed: u64) {
        self.random = Random(seed);
        match self.random.below(24) {
            0..=12 => self.happen().await,
            13..=14 => self.fail(),
            15 => self.rescope().await,
            16 => self.race().await,
            _ => self.sync().await,
        }
    }

    /// What happened.
    pub(crate) fn told(&self) -> String {
        self.told.join("; ")
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.told.push(what.into());
    }

    /// The user does something to some messages.
    async fn apply(&mut self, ids: &[MessageId], change: &Change) {
        let outcome = self.user.apply(ids, change).await;
        let done = outcome.map_or(0, |each| each.iter().flatten().count());
        self.tell(format!("{change:?} of {} messages, {done} done", ids.len()));
    }

    fn deliver(&mut self) {
        self.delivered += 1;
        self.tell("a message comes");
        let mail = format!(
            "From: billing@shop.example\r\nSubject: Number {}\r\n\r\nText\r\n",
            self.delivered
        );
        self.emulator.deliver(self.address, mail.as_bytes());
        let pause = self.random.below(3_000);
        self.clock.advance(Duration::from_millis(pause));
    }

    fn is_gmail(&self) -> bool {
        self.address == GMAIL
    }

    /// Some messages that are there.
    fn some(&mut self) -> Vec<MessageId> {
        let all = self.emulator.messages(self.address);
        let share = 1 + self.random.below(6);
        let chosen = all.iter().filter(|_| self.random.below(6) < share);
        chosen
            .map(|message| MessageId::from(message.immutable_id.as_str()))
            .collect()
    }

    async fn label(&mut self) -> Option<FolderId> {
        let folders = self.user.folders().await.ok()?;
        let own: Vec<_> = folders
            .into_iter()
            .filter(|folder| folder.role.is_none() && !folder.hidden)
            .filter(|folder| !self.is_gmail() || folder.id.as_str().starts_with("Label_"))
            .collect();
        let index = usize::try_from(self.random.below(own.len().max(1).try_into().ok()?)).ok()?;
        own.get(index).map(|folder| folder.id.clone())
    }

    /// Something happens in the mailbox. What fails did not happen, or did: the service's truth is what counts.
    async fn happen(&mut self) {
        let ids = self.some();
        let keyword = match self.random.below(4) {
            3 if !self.is_gmail() => Keyword::Custom("Red category".to_owned()),
            0 => Keyword::Flagged,
            1 => Keyword::Important,
            _ => Keyword::Seen,
        };
        let change = match self.random.below(17) {
            0..=2 => {
                for _ in 0..=self.random.below(4) {
                    self.deliver();
                }
                return;
            }
            3 => Change::Set(keyword),
            4 => Change::Clear(keyword),
            5 => Change::Archive,
            6 => Change::Trash,
            7 => Change::Restore,
            8 => Change::Junk,
            9 => Change::NotJunk,
            10 => Change::Delete,
            11..=12 => return self.edit_folders().await,
            13 if !self.is_gmail() => return self.there_and_back(&ids).await,
            13 => {
                let Some(folder) = self.label().await else {
                    return;
                };
                self.apply(&ids, &Change::AddTo(folder.clone())).await;
                if self.random.below(2) == 0 {
                    return;
                }
                Change::RemoveFrom(folder)
            }
            14 => {
                let Some(to) = self.label().await else { return };
                Change::MoveTo {
                    to,
                    from: self.is_gmail().then(|| FolderId::from("INBOX")),
                }
            }
            15 => return self.do_in_bulk().await,
            _ => return self.forget(),
        };
        self.apply(&ids, &change).await;
    }

    async fn edit_folders(&mut self) {
        if self.random.below(2) == 0 {
            let number = self.random.below(1_000);
            let create = FolderEdit::Create {
                name: format!("Label {number}"),
                parent: self.label().await,
                color: None,
            };
            return self.edit(&create).await;
        }
        let Some(folder) = self.label().await else {
            return;
        };
        let edit = match self.random.below(3) {
            0 => FolderEdit::Delete(folder),
            1 => FolderEdit::Move {
                folder,
                parent: self.label().await,
            },
            _ => {
                let name = format!("Renamed {}", self.random.below(1_000));
                FolderEdit::Rename { folder, name }
            }
        };
        self.edit(&edit).await;
    }

    async fn edit(&mut self, edit: &FolderEdit) {
        let is_done = self.user.edit_folder(edit).await.is_ok();
        self.tell(format!("{edit:?}, done: {is_done}"));
    }

    /// A great deal happens at once, once in a while.
    async fn do_in_bulk(&mut self) {
        if self.random.below(4) > 0 {
            return;
        }
        for _ in 0..=self.random.below(120) {
            self.deliver();
        }
        let all = self.emulator.messages(self.address).into_iter();
        let all: Vec<MessageId> = all
            .map(|message| MessageId::from(message.immutable_id.as_str()))
            .collect();
        let change = match self.random.below(4) {
            0 => Change::Archive,
            1 => Change::Trash,
            2 => Change::Set(Keyword::Seen),
            _ => return,
        };
        self.apply(&all, &change).await;
    }

    /// The service forgets what it should remember.
    fn forget(&mut self) {
        if self.is_gmail() {
            self.tell("the history is lost");
            return self.emulator.expire_history(GMAIL);
        }
        let what = self.random.below(6);
        let names = [
            "all lost",
            "inbox lost",
            "links rot",
            "hold",
            "end early",
            "no hold",
        ];
        self.tell(names[usize::try_from(what).unwrap()]);
        match what {
            0 => self.emulator.expire_deltas(OUTLOOK, None),
            1 => self.emulator.expire_deltas(OUTLOOK, Some("inbox")),
            2 => self.emulator.rot_next_links(OUTLOOK),
            3 => self.emulator.hold_changes(OUTLOOK, true),
            4 => self.emulator.end_next_walk_early(OUTLOOK),
            _ => self.emulator.hold_changes(OUTLOOK, false),
        }
    }

    /// Messages go somewhere and come back, and some then go for good.
    async fn there_and_back(&mut self, ids: &[MessageId]) {
        let back = Change::MoveTo {
            to: FolderId::from("inbox"),
            from: None,
        };
        self.apply(ids, &back).await;
        if self.random.below(2) == 0 {
            self.sync().await;
        }
        self.apply(ids, &Change::Archive).await;
        self.apply(ids, &back).await;
        if self.random.below(2) == 0 {
            self.sync().await;
        }
        let some = ids.get(..ids.len() / 2).unwrap_or_default();
        match self.random.below(3) {
            0 => self.apply(some, &Change::Delete).await,
            1 => self.apply(some, &Change::Set(Keyword::Flagged)).await,
            _ => {}
        }
    }

    /// Something goes wrong on the way.
    fn fail(&mut self) {
        let kind = match self.random.below(6) {
            0 => FaultKind::rate_limited(None),
            1 => FaultKind::unavailable(None),
            2 => FaultKind::internal_error(),
            3 => FaultKind::DropBefore,
            4 => FaultKind::DropAfter,
            _ => FaultKind::Truncate,
        };
        let place = match self.random.below(6) {
            0 => "/history",
            1 => "/messages/",
            2 => "/messages",
            3 => "/labels",
            4 => "/delta",
            _ => "batch",
        };
        let method = if place == "batch" {
            Method::POST
        } else {
            Method::GET
        };
        let skipped = u32::try_from(self.random.below(4)).unwrap();
        self.tell(format!("{kind:?} on {place} after {skipped}"));
        self.emulator
            .fault(Fault::new(kind).on(method, place).after(skipped));
    }

    /// The host wants another part of the mailbox.
    async fn rescope(&mut self) {
        let mut scope = match self.random.below(2) {
            0 => Scope::everything(),
            _ => Scope::default(),
        };
        match self.random.below(4) {
            0 => scope.folders = vec![self.inbox.clone()],
            1 => scope.roles = vec![FolderRole::Inbox],
            2 => {
                scope.folders = vec![self.inbox.clone()];
                scope.folders.extend(self.label().await);
            }
            _ => {}
        }
        if self.random.below(4) == 0 {
            let all = self.emulator.messages(self.address);
            let middle = all.get(all.len() / 2);
            scope.since = middle.map(|message| message.received);
        }
        scope.detail = match self.random.below(5) {
            0 => Detail::Ids,
            1 => Detail::Full,
            _ => Detail::Headers,
        };
        self.tell(format!("{scope:?}"));
        self.scope = scope;
    }

    /// Nothing that is there may ever be called deleted, not even for a moment: a host would delete what belongs to it.
    fn judge(&mut self, page: &SyncPage) {
        let there = self.emulator.messages(self.address);
        for change in &page.changes {
            if let SyncChange::OutOfScope(id) = change {
                self.left.insert(id.clone());
            }
            if let SyncChange::Deleted(id) = change
                && there
                    .iter()
                    .any(|message| message.immutable_id == id.as_str())
            {
                self.wronged.push(id.clone());
            }
        }
    }

    /// The host syncs, until it is done, something fails, or it dies: while it asks, or before or after it stored a page.
    async fn sync(&mut self) {
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        let (cursor, known) = (self.mirror.cursor(), self.mirror.clone());
        let mut pages = self.hosts[0].sync(cursor, self.scope.clone(), known);
        loop {
            let mut left = match self.random.below(10) {
                0 => self.random.below(40),
                _ => u64::MAX,
            };
            let page = poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(None);
                }
                left -= 1;
                pages.poll_next_unpin(context)
            });
            let page = match page.await {
                Some(Ok(page)) => page,
                other => {
                    let ended = other.map(|ended| ended.map(|_| ()));
                    self.told.push(format!("a sync ends with {ended:?}"));
                    break;
                }
            };
            self.told.push(summary(&page));
            self.judge(&page);
            match self.random.below(8) {
                0 => {
                    self.told.push("which is not stored".to_owned());
                    return self.overtaken.push(page);
                }
                1 => {
                    self.mirror.store(&page);
                    return;
                }
                _ => _ = self.mirror.store(&page),
            }
            // Somebody may do something between two pages.
            if self.random.below(4) == 0 {
                self.deliver();
            }
        }
        // Another worker, which had begun before, comes too late.
        if let Some(late) = self.overtaken.pop() {
            self.mirror.store(&late);
        }
    }

    /// The lease of a worker has lapsed, another has begun, and both go on until one is told that it was overtaken.
    async fn race(&mut self) {
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        let mut workers = self.hosts.clone().map(|host| {
            let (cursor, known) = (self.mirror.cursor(), self.mirror.clone());
            Some(host.sync(cursor, self.scope.clone(), known))
        });
        while workers.iter().any(Option::is_some) {
            let turn = usize::try_from(self.random.below(2)).unwrap();
            let Some(worker) = &mut workers[turn] else {
                continue;
            };
            let goes_on = match worker.next().await {
                Some(Ok(page)) => {
                    let stored = self.mirror.store(&page);
                    self.tell(format!("{turn}: {}, stored: {stored}", summary(&page)));
                    self.judge(&page);
                    stored
                }
                _ => false,
            };
            if !goes_on {
                workers[turn] = None;
            }
            if self.random.below(6) == 0 {
                self.deliver();
            }
        }
    }

    async fn truth(&self) -> BTreeMap<MessageId, Copy> {
        let mut scope = self.scope.clone();
        if !scope.roles.is_empty() {
            scope.folders.push(self.inbox.clone());
        }
        if self.is_gmail() {
            return gmail_truth(&self.emulator, GMAIL, &scope);
        }
        let hidden = hidden_folders(&self.user).await;
        outlook_truth(&self.emulator, OUTLOOK, &scope, &hidden)
    }

    /// What differs after a quiet round.
    pub(crate) async fn settle(&mut self) -> Result<(), String> {
        self.emulator.hold_changes(OUTLOOK, false);
        self.emulator.clear_faults();
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        let host = self.hosts[0].clone();
        let mut pages = self
            .mirror
            .follow(&host, &self.scope)
            .await
            .map_err(|error| format!("{error:?}"))?;
        // What the service has forgotten may be stale or too much until the next audited round, but nothing is missing that
        // was not seen to be out of scope: Graph does not tell that a message comes back to a folder in which it forgot it.
        let (copy, truth) = (self.mirror.messages(), self.truth().await);
        let missing = truth.keys().filter(|id| !copy.contains_key(*id));
        let missing: Vec<_> = missing.filter(|id| !self.left.contains(*id)).collect();
        if !missing.is_empty() {
            return Err(format!("missing {missing:?}"));
        }
        let audited = self.mirror.follow_audited(&host, &self.scope).await;
        pages.extend(audited.map_err(|error| format!("{error:?}"))?);
        for page in &pages {
            self.tell(format!("at last {}", summary(page)));
            self.judge(page);
        }
        if !self.wronged.is_empty() {
            return Err(format!("called deleted and there: {:?}", self.wronged));
        }
        let (copy, truth) = (self.mirror.messages(), self.truth().await);
        difference(&copy, &truth, self.scope.detail)?;
        let folders = self.user.folders().await;
        let folders = folders.map_err(|error| format!("{error:?}"))?;
        let there = folders
            .iter()
            .map(|folder| (folder.id.to_string(), folder.name.clone()));
        if there.collect::<BTreeMap<_, _>>() != self.mirror.folders() {
            return Err("folders differ".to_owned());
        }
        let audit = host
            .audit(&self.scope, AuditWindow::all(), self.mirror.as_ref())
            .await;
        let audit = audit.map_err(|error| format!("{error:?}"))?;
        if audit.is_clean() {
            Ok(())
        } else {
            Err(format!("{audit:?}"))
        }
    }
}

/// A page in a few words.
fn summary(page: &SyncPage) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for change in &page.changes {
        let name = match change {
            SyncChange::Message(_) => "messages",
            SyncChange::Moved { .. } => "moved",
            SyncChange::Updated(_) => "updated",
            SyncChange::Unreadable(..) => "unreadable",
            SyncChange::OutOfScope(_) => "out of scope",
            SyncChange::Deleted(_) => "deleted",
            _ => "folders",
        };
        *counts.entry(name).or_default() += 1;
    }
    format!("a page of {counts:?}, more: {}", page.more)
}

/// What is different, as far as a copy with this much detail can tell.
fn difference(
    copy: &BTreeMap<MessageId, Copy>,
    truth: &BTreeMap<MessageId, Copy>,
    detail: Detail,
) -> Result<(), String> {
    let ids = |all: &BTreeMap<MessageId, Copy>| all.keys().cloned().collect::<BTreeSet<_>>();
    let (had, there) = (ids(copy), ids(truth));
    let missing: Vec<_> = there.difference(&had).collect();
    let extra: Vec<_> = had.difference(&there).collect();
    let stale = truth
        .iter()
        .filter(|(id, there)| copy.get(*id).is_some_and(|copy| copy != *there));
    let stale: Vec<_> = stale
        .map(|(id, there)| (there, copy.get(id)))
        .filter(|_| detail != Detail::Ids)
        .collect();
    if missing.is_empty() && extra.is_empty() && stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "missing {missing:?}, extra {extra:?}, stale {stale:?}"
    ))
}
