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

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::Method;
use mirror::{Mirror, gmail_truth};
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::{Connection, Regime, RetryPolicy};
use postroom::testing::VirtualClock;
use postroom::{
    AuditWindow, Change, FolderEdit, FolderId, Keyword, Mailbox, MessageId, Scope, SyncPage,
};
use support::random::Random;
use support::{GMAIL, emulator, mailbox_on, transport};

/// How many histories CI runs.
const HISTORIES: u64 = 25;

/// One mailbox, its copy, and what happens to both.
struct World {
    emulator: Emulator,
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
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
        let emulator = emulator().quota(false).seed(seed).start().await.unwrap();
        let handle = || {
            let token = StaticToken::new(emulator.access_token(GMAIL));
            let mut retry = RetryPolicy::never();
            retry.circuit = None;
            let connection = Connection::new(transport(&emulator), Arc::new(token))
                .with_retry(retry)
                .with_clock(Arc::new(clock.clone()))
                .with_regime(Regime::Off);
            mailbox_on(&emulator, connection, GMAIL)
        };
        let (user, host) = (handle(), handle());
        Self {
            emulator,
            clock,
            user,
            host,
            mirror: Mirror::new(),
            scope: Scope::everything(),
            random: Random(seed),
            delivered: 0,
            overtaken: Vec::new(),
        }
    }

    fn deliver(&mut self) {
        self.delivered += 1;
        let mail = format!(
            "From: billing@shop.example\r\nSubject: Number {}\r\n\r\nText\r\n",
            self.delivered
        );
        self.emulator.deliver(GMAIL, mail.as_bytes());
    }

    /// Some messages that are there.
    fn some(&mut self) -> Vec<MessageId> {
        let all = self.emulator.messages(GMAIL);
        let share = 1 + self.random.below(6);
        let chosen = all.iter().filter(|_| self.random.below(6) < share);
        chosen
            .map(|message| MessageId::from(message.id.as_str()))
            .collect()
    }

    async fn label(&mut self) -> Option<FolderId> {
        let folders = self.user.folders().await.ok()?;
        let own: Vec<_> = folders
            .into_iter()
            .filter(|folder| folder.id.as_str().starts_with("Label_"))
            .collect();
        let index = usize::try_from(self.random.below(own.len().max(1).try_into().ok()?)).ok()?;
        own.get(index).map(|folder| folder.id.clone())
    }

    /// Something happens in the mailbox. What fails did not happen, or did: the service's truth is what counts.
    async fn happen(&mut self) {
        let ids = self.some();
        let keyword = match self.random.below(3) {
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
                    from: Some(FolderId::from("INBOX")),
                }
            }
            _ => return self.emulator.expire_history(GMAIL),
        };
        let _ = self.user.apply(&ids, &change).await;
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
        let place = match self.random.below(5) {
            0 => "/history",
            1 => "/messages/",
            2 => "/messages",
            3 => "/labels",
            _ => "/batch",
        };
        let method = if place == "/batch" {
            Method::POST
        } else {
            Method::GET
        };
        let skipped = u32::try_from(self.random.below(4)).unwrap();
        self.emulator
            .fault(Fault::new(kind).on(method, place).after(skipped));
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
                    inbox.folders = vec![FolderId::from("INBOX")];
                    inbox
                }
            };
        }
        self.sync().await;
    }

    /// What differs after a quiet round.
    async fn settle(&mut self) -> Result<(), String> {
        // Faults that are still to come are used up.
        let mut quiet = false;
        let mut last = String::new();
        for _ in 0..40 {
            self.clock.advance(Duration::from_secs(2 * 60 * 60));
            match self.mirror.follow(&self.host, &self.scope).await {
                Ok(_) if quiet => break,
                Ok(_) => quiet = true,
                Err(error) => last = format!("{error:?}"),
            }
        }
        if !quiet {
            return Err(format!("no round came to its end: {last}"));
        }
        let (copy, truth) = (
            self.mirror.messages(),
            gmail_truth(&self.emulator, GMAIL, &self.scope),
        );
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
            if there.collect::<std::collections::BTreeMap<_, _>>() != self.mirror.folders() {
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

async fn history(seed: u64, steps: u64) -> Result<(), String> {
    let mut world = World::new(seed).await;
    for _ in 0..steps {
        world.step().await;
    }
    world.settle().await
}

#[tokio::test]
async fn a_copy_of_gmail_becomes_what_the_mailbox_is() {
    let first = Random::seeded().0;
    let histories =
        std::env::var("POSTROOM_HISTORIES").map_or(HISTORIES, |text| text.parse().unwrap());
    for seed in (0..histories).map(|number| first.wrapping_add(number)) {
        let steps = 2 + seed % 9;
        if history(seed, steps).await.is_ok() {
            continue;
        }
        // As few steps as show it.
        for steps in 1..=steps {
            if let Err(difference) = history(seed, steps).await {
                panic!("seed {seed}, {steps} steps: {difference}");
            }
        }
        panic!("seed {seed} failed once in {steps} steps, and not again");
    }
}
