//! Whatever happens to a mailbox and on the way to it, a copy of it becomes what it is: random histories, random faults, and
//! hosts that die at any moment. After each, one quiet round makes the copy equal to the service's own truth.
//!
//! `POSTROOM_HISTORIES` says how many histories, `POSTROOM_SEED` which comes first.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod mirror;
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::Method;
use mirror::{Copy, Mirror, gmail_truth, hidden_folders, outlook_truth};
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::{Connection, Regime, RetryPolicy};
use postroom::testing::{SyncRule, VirtualClock};
use postroom::{
    AuditWindow, Change, FolderEdit, FolderId, Gmail, Keyword, Mailbox, MessageId, Outlook, Scope,
    SyncChange, SyncPage,
};
use support::random::Random;
use support::{GMAIL, OUTLOOK, emulator, mailbox_on, transport};

/// How many histories CI runs.
const HISTORIES: u64 = 15;

/// One mailbox, its copy, and what happens to both.
struct World {
    emulator: Emulator,
    address: &'static str,
    clock: VirtualClock,
    /// The user's other program.
    user: Mailbox,
    /// The host's.
    host: Mailbox,
    mirror: Arc<Mirror>,
    scope: Scope,
    random: Random,
    delivered: usize,
    overtaken: Vec<SyncPage>,
    /// What was called deleted and is there.
    wronged: Vec<MessageId>,
}

impl World {
    async fn new(seed: u64, address: &'static str, without: Option<SyncRule>) -> Self {
        let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
        let pages = usize::try_from(3 + seed % 40).unwrap();
        let builder = emulator().quota(false).seed(seed).longest_delta_page(pages);
        let emulator = builder.start().await.unwrap();
        let connection = || {
            let token = StaticToken::new(emulator.access_token(address));
            let mut retry = RetryPolicy::never();
            retry.circuit = None;
            Connection::new(transport(&emulator), Arc::new(token))
                .with_retry(retry)
                .with_clock(Arc::new(clock.clone()))
                .with_regime(Regime::Off)
        };
        let user = mailbox_on(&emulator, connection(), address);
        let host = match without {
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
        Self {
            emulator,
            address,
            clock,
            user,
            host,
            mirror: Mirror::new(),
            scope: Scope::everything(),
            random: Random(seed),
            delivered: 0,
            overtaken: Vec::new(),
            wronged: Vec::new(),
        }
    }

    fn deliver(&mut self) {
        self.delivered += 1;
        let mail = format!(
            "From: billing@shop.example\r\nSubject: Number {}\r\n\r\nText\r\n",
            self.delivered
        );
        self.emulator.deliver(self.address, mail.as_bytes());
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
        let change = match self.random.below(16) {
            0..=2 => return self.deliver(),
            3 => Change::Set(keyword),
            4 => Change::Clear(keyword),
            5 => Change::Archive,
            6 => Change::Trash,
            7 => Change::Restore,
            8 => Change::Junk,
            9 => Change::NotJunk,
            10 => Change::Delete,
            11 => {
                let number = self.random.below(1_000);
                let create = FolderEdit::Create {
                    name: format!("Label {number}"),
                    parent: self.label().await,
                    color: None,
                };
                let _ = self.user.edit_folder(&create).await;
                return;
            }
            12 => {
                let Some(folder) = self.label().await else {
                    return;
                };
                let edit = if self.random.below(2) == 0 {
                    FolderEdit::Delete(folder)
                } else {
                    let name = format!("Renamed {}", self.random.below(1_000));
                    FolderEdit::Rename { folder, name }
                };
                let _ = self.user.edit_folder(&edit).await;
                return;
            }
            13 if !self.is_gmail() => {
                return Box::pin(self.there_and_back(&ids)).await;
            }
            13 => {
                let Some(folder) = self.label().await else {
                    return;
                };
                let _ = self.user.apply(&ids, &Change::AddTo(folder.clone())).await;
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
            _ => return self.forget(),
        };
        let _ = self.user.apply(&ids, &change).await;
    }

    /// The service forgets what it should remember.
    fn forget(&mut self) {
        if self.is_gmail() {
            return self.emulator.expire_history(GMAIL);
        }
        match self.random.below(5) {
            0 => self.emulator.expire_deltas(OUTLOOK, None),
            1 => self.emulator.expire_deltas(OUTLOOK, Some("inbox")),
            2 => self.emulator.rot_next_links(OUTLOOK),
            3 => self.emulator.hold_changes(OUTLOOK, true),
            _ => self.emulator.hold_changes(OUTLOOK, false),
        }
    }

    /// Messages go somewhere and come back, and some then go for good.
    async fn there_and_back(&mut self, ids: &[MessageId]) {
        let inbox = FolderId::from("inbox");
        let _ = self
            .user
            .apply(
                ids,
                &Change::MoveTo {
                    to: inbox.clone(),
                    from: None,
                },
            )
            .await;
        if self.random.below(2) == 0 {
            self.sync().await;
        }
        let _ = self.user.apply(ids, &Change::Archive).await;
        let _ = self
            .user
            .apply(
                ids,
                &Change::MoveTo {
                    to: inbox,
                    from: None,
                },
            )
            .await;
        if self.random.below(2) == 0 {
            self.sync().await;
        }
        let some = ids.get(..ids.len() / 2).unwrap_or_default();
        match self.random.below(3) {
            0 => _ = self.user.apply(some, &Change::Delete).await,
            1 => _ = self.user.apply(some, &Change::Set(Keyword::Flagged)).await,
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
        self.emulator
            .fault(Fault::new(kind).on(method, place).after(skipped));
    }

    /// Nothing that is there may ever be called deleted, not even for a moment: a host would delete what belongs to it.
    fn judge(&mut self, page: &SyncPage) {
        let there = self.emulator.messages(self.address);
        for change in &page.changes {
            if let SyncChange::Deleted(id) = change
                && there
                    .iter()
                    .any(|message| message.immutable_id == id.as_str())
            {
                self.wronged.push(id.clone());
            }
        }
    }

    /// The host syncs, until it is done, something fails, or it dies: before or after it stored a page.
    async fn sync(&mut self) {
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        let mut pages = self.host.sync(
            self.mirror.cursor(),
            self.scope.clone(),
            self.mirror.clone(),
        );
        while let Some(Ok(page)) = pages.next().await {
            self.judge(&page);
            match self.random.below(8) {
                0 => return self.overtaken.push(page),
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

    async fn inbox(&self) -> FolderId {
        let inbox = self.emulator.messages(self.address).into_iter();
        let mut inbox = inbox.filter(|message| message.folders.contains(&"inbox".to_owned()));
        inbox.next().map_or_else(
            || FolderId::from("INBOX"),
            |message| FolderId::from(message.folder_ids[0].as_str()),
        )
    }

    async fn truth(&self) -> BTreeMap<MessageId, Copy> {
        if self.is_gmail() {
            return gmail_truth(&self.emulator, GMAIL, &self.scope);
        }
        let hidden = hidden_folders(&self.user).await;
        outlook_truth(&self.emulator, OUTLOOK, &self.scope, &hidden)
    }

    async fn step(&mut self) {
        for _ in 0..=self.random.below(4) {
            self.happen().await;
        }
        if self.random.below(3) == 0 {
            self.fail();
        }
        if self.random.below(8) == 0 {
            self.scope = match self.random.below(3) {
                0 => Scope::everything(),
                1 => Scope::default(),
                _ => {
                    let mut inbox = Scope::default();
                    inbox.folders = vec![self.inbox().await];
                    inbox
                }
            };
        }
        self.sync().await;
    }

    /// What differs after a quiet round.
    async fn settle(&mut self) -> Result<(), String> {
        self.emulator.hold_changes(OUTLOOK, false);
        self.emulator.clear_faults();
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        let mut pages = self
            .mirror
            .follow(&self.host, &self.scope)
            .await
            .map_err(|error| format!("{error:?}"))?;
        // What the service has forgotten may be stale or too much until the next audited round, but nothing is missing.
        let (copy, truth) = (self.mirror.messages(), self.truth().await);
        let missing: Vec<_> = truth.keys().filter(|id| !copy.contains_key(*id)).collect();
        if !missing.is_empty() {
            return Err(format!("missing {missing:?}"));
        }
        let audited = self.mirror.follow_audited(&self.host, &self.scope).await;
        pages.extend(audited.map_err(|error| format!("{error:?}"))?);
        for page in &pages {
            self.judge(page);
        }
        if !self.wronged.is_empty() {
            return Err(format!("called deleted and there: {:?}", self.wronged));
        }
        let (copy, truth) = (self.mirror.messages(), self.truth().await);
        if copy != truth {
            let missing: Vec<_> = truth.keys().filter(|id| !copy.contains_key(*id)).collect();
            let extra: Vec<_> = copy.keys().filter(|id| !truth.contains_key(*id)).collect();
            let stale = truth
                .iter()
                .filter(|(id, there)| copy.get(*id).is_some_and(|copy| copy != *there));
            let stale: Vec<_> = stale.map(|(id, there)| (there, copy.get(id))).collect();
            return Err(format!(
                "missing {missing:?}, extra {extra:?}, stale {stale:?}"
            ));
        }
        for _ in 0..10 {
            let folders = self.user.folders().await;
            let audit = self
                .host
                .audit(&self.scope, AuditWindow::all(), self.mirror.as_ref())
                .await;
            let (Ok(folders), Ok(audit)) = (folders, audit) else {
                continue;
            };
            let there = folders
                .iter()
                .map(|folder| (folder.id.to_string(), folder.name.clone()));
            if there.collect::<BTreeMap<_, _>>() != self.mirror.folders() {
                return Err("folders differ".to_owned());
            }
            return if audit.is_clean() {
                Ok(())
            } else {
                Err(format!("{audit:?}"))
            };
        }
        Err("no audit came to its end".to_owned())
    }
}

async fn history(
    seed: u64,
    steps: u64,
    address: &'static str,
    without: Option<SyncRule>,
) -> Result<(), String> {
    let mut world = World::new(seed, address, without).await;
    for _ in 0..steps {
        world.step().await;
    }
    world.settle().await
}

/// Runs histories until one ends in a copy that is not what the mailbox is.
async fn converge(address: &'static str) {
    let first = Random::seeded().0;
    let histories =
        std::env::var("POSTROOM_HISTORIES").map_or(HISTORIES, |text| text.parse().unwrap());
    for seed in (0..histories).map(|number| first.wrapping_add(number)) {
        let steps = 2 + seed % 9;
        if history(seed, steps, address, None).await.is_ok() {
            continue;
        }
        // As few steps as show it.
        for steps in 1..=steps {
            if let Err(difference) = history(seed, steps, address, None).await {
                panic!("seed {seed}, {steps} steps: {difference}");
            }
        }
        panic!("seed {seed} failed once in {steps} steps, and not again");
    }
}

#[tokio::test]
async fn a_copy_of_gmail_becomes_what_the_mailbox_is() {
    converge(GMAIL).await;
}

#[tokio::test]
async fn a_copy_of_outlook_becomes_what_the_mailbox_is() {
    converge(OUTLOOK).await;
}

/// Without any one of the rules that keep mail safe, histories like these end in a copy that is wrong.
#[tokio::test]
async fn every_rule_is_needed() {
    // With the first history that showed it, where the search begins.
    let rules = [
        (GMAIL, SyncRule::CursorLast, 4),
        (OUTLOOK, SyncRule::Probe, 1),
        (OUTLOOK, SyncRule::PresenceBeatsRemoval, 1),
        (OUTLOOK, SyncRule::HeldRemovals, 1),
        (OUTLOOK, SyncRule::CursorLast, 88),
        (OUTLOOK, SyncRule::UnknownIsNotAbsent, 60),
        (OUTLOOK, SyncRule::CountCheck, 7),
    ];
    for (address, rule, first) in rules {
        let mut seeds = first..first + 2_000;
        let failing = loop {
            let Some(seed) = seeds.next() else { break None };
            if history(seed, 8, address, Some(rule)).await.is_err() {
                break Some(seed);
            }
        };
        let told = format!("{rule:?} is missed by history {failing:?}\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        assert!(failing.is_some());
    }
}
