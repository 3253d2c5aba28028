//! One mailbox, its copy, and whatever may happen to both: what histories are made of. Which histories run, and what a failing
//! one comes down to, is `sync_convergence.rs`'s.

mod busy;
mod failing;
mod happening;
mod judging;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime, RetryPolicy, Transport};
use postroom::testing::{SyncRule, VirtualClock};
use postroom::{
    Detail, FolderId, FolderRole, Gmail, Mailbox, MessageId, Outlook, Scope, SyncPage, SyncPages,
};

use self::busy::Busy;
use self::judging::summary;
use crate::mirror::Mirror;
use crate::support::direct::Direct;
use crate::support::random::Random;
use crate::support::{GMAIL, emulator, mailbox_on};

/// What happened, for people to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    pub(crate) fn tell(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

pub(crate) struct World {
    emulator: Arc<Emulator>,
    address: &'static str,
    clock: VirtualClock,
    /// The user's other program.
    user: Mailbox,
    /// The host's two workers, which know nothing of each other, and the way that both go.
    hosts: [Mailbox; 2],
    busy: Arc<Busy>,
    mirror: Arc<Mirror>,
    scope: Scope,
    roles: BTreeMap<FolderRole, FolderId>,
    random: Random,
    delivered: usize,
    /// The last message of each of a few conversations.
    conversations: [Option<usize>; 3],
    overtaken: Vec<SyncPage>,
    /// What was called deleted and is there.
    wronged: Vec<MessageId>,
    /// What was seen to be out of scope.
    left: BTreeSet<MessageId>,
    /// Whether the service was made to say of messages that are there that they are not.
    is_lied_to: bool,
    told: Told,
}

impl World {
    pub(crate) async fn new(seed: u64, address: &'static str, without: Option<SyncRule>) -> Self {
        let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
        // Short pages leave nothing waiting, and long ones are not gone on with.
        let pages = match seed % 6 {
            0 => 1_000,
            _ => usize::try_from(3 + seed % 40).unwrap(),
        };
        let builder = emulator().quota(false).seed(seed).longest_page(pages);
        let builder = builder
            .clock(Arc::new(clock.clone()))
            .access_token_lifetime(Duration::from_secs(365 * 24 * 60 * 60))
            .ids_change_on_send(seed % 5 == 2);
        let builder = match seed % 4 {
            1 => builder.repeated_pages(true),
            2 => builder.repeated_rows(),
            _ => builder,
        };
        let emulator = Arc::new(builder.start().await.unwrap());
        let direct: Arc<dyn Transport> = Arc::new(Direct(Arc::clone(&emulator)));
        let connection = |way: &Arc<dyn Transport>| {
            let token = StaticToken::new(emulator.access_token(address));
            let mut retry = RetryPolicy::never();
            retry.circuit = None;
            Connection::new(Arc::clone(way), Arc::new(token))
                .with_retry(retry)
                .with_clock(Arc::new(clock.clone()))
                .with_regime(Regime::Off)
        };
        let user = mailbox_on(&emulator, connection(&direct), address);
        let told = Told::default();
        let busy = Arc::new(Busy::new(&emulator, address, user.clone(), told.clone()));
        let way: Arc<dyn Transport> = busy.clone();
        let host = || match without {
            None => mailbox_on(&emulator, connection(&way), address),
            Some(rule) if address == GMAIL => {
                let endpoint = emulator.google().base_url.clone();
                let gmail = Gmail::new(connection(&way))
                    .unwrap()
                    .without_sync_rule(rule);
                Mailbox::new(gmail.with_api_endpoint(endpoint).unwrap())
            }
            Some(rule) => {
                let endpoint = emulator.microsoft().base_url.clone();
                let outlook = Outlook::new(connection(&way))
                    .unwrap()
                    .without_sync_rule(rule);
                Mailbox::new(outlook.with_api_endpoint(endpoint).unwrap())
            }
        };
        let hosts = [host(), host()];
        let mut roles = BTreeMap::new();
        for role in [
            FolderRole::Inbox,
            FolderRole::Drafts,
            FolderRole::Sent,
            FolderRole::Trash,
            FolderRole::Junk,
        ] {
            roles.insert(role, user.folder(role).await.unwrap().id);
        }
        Self {
            emulator,
            address,
            clock,
            user,
            hosts,
            busy,
            mirror: Mirror::new(),
            scope: Scope::everything(),
            roles,
            random: Random(seed),
            delivered: 0,
            conversations: [None; 3],
            overtaken: Vec::new(),
            wronged: Vec::new(),
            left: BTreeSet::new(),
            is_lied_to: false,
            told,
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
        self.busy.calm();
    }

    /// What happened.
    pub(crate) fn told(&self) -> String {
        self.told.0.lock().unwrap().join("; ")
    }

    fn tell(&self, what: impl Into<String>) {
        self.told.tell(what);
    }

    fn is_gmail(&self) -> bool {
        self.address == GMAIL
    }

    /// Sometimes the mailbox does not stand still while a page is made.
    async fn stir(&mut self) {
        if self.random.below(3) == 0 {
            let mut folders: Vec<FolderId> = self.roles.values().cloned().collect();
            folders.extend(self.label().await);
            self.busy.stir(self.random.next(), folders);
        }
    }

    /// The host wants another part of the mailbox.
    async fn rescope(&mut self) {
        let mut scope = match self.random.below(2) {
            0 => Scope::everything(),
            _ => Scope::default(),
        };
        let inbox = self.roles.get(&FolderRole::Inbox).cloned();
        match self.random.below(6) {
            0 => scope.folders.extend(inbox),
            1 => scope.roles = vec![FolderRole::Inbox],
            2 => {
                scope.folders.extend(inbox);
                scope.folders.extend(self.label().await);
            }
            3 => {
                let chosen = self.roles.keys().filter(|_| self.random.below(2) == 0);
                scope.roles = chosen.copied().collect();
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

    /// The host syncs, until it is done, something fails, or it dies: while it asks, or before or after it stored a page.
    async fn sync(&mut self) {
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        self.stir().await;
        let mut pages = self.begin(0);
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
                    self.tell(format!("a sync ends with {ended:?}"));
                    break;
                }
            };
            self.tell(summary(&page));
            self.judge(&page);
            match self.random.below(8) {
                0 => {
                    self.tell("which is not stored".to_owned());
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

    /// What a worker makes of what is stored now.
    fn begin(&mut self, worker: usize) -> SyncPages {
        let (cursor, known) = (self.mirror.cursor(), self.mirror.clone());
        let host = &self.hosts[worker];
        // Hosts audit at any time, also while an earlier round is still under way.
        match self.random.below(10) {
            0 => host.sync_audited(cursor, self.scope.clone(), known),
            _ => host.sync(cursor, self.scope.clone(), known),
        }
    }

    /// The lease of a worker lapses and another begins, perhaps for another scope. Both go on until one is told that it was
    /// overtaken.
    async fn race(&mut self) {
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        self.stir().await;
        let mut workers = [Some(self.begin(0)), None];
        let mut waits = self.random.below(3);
        while workers.iter().any(Option::is_some) || waits < u64::MAX {
            if waits == 0 {
                if self.random.below(4) == 0 {
                    self.rescope().await;
                }
                workers[1] = Some(self.begin(1));
                waits = u64::MAX;
            }
            let turn = usize::try_from(self.random.below(2)).unwrap();
            if waits < u64::MAX {
                waits -= 1;
            }
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
}
