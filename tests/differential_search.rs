//! Both providers find what a query means, and nothing else: thousands of random queries over a random mailbox, held
//! against a plain evaluation over what the emulated services keep.
//!
//! `POSTROOM_SEARCHES` says how many queries, `POSTROOM_SEED` which ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failure in a test is a panic"
)]

mod gmail_client;
mod search_world;
mod support;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use postroom::emulator::Emulator;
use postroom::{
    Change, Detail, ErrorKind, Exactness, FolderId, FolderRole, Keyword, Mailbox, MessageId,
    PageRequest, Query,
};
use serde_json::json;

use search_world::{Chance, Kept, Letter, Place, is_meant, query};

const MESSAGES: usize = 150;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// A mailbox full of letters, in all kinds of states.
struct World {
    emulator: Emulator,
    mailbox: Mailbox,
    address: &'static str,
    letters: Vec<Letter>,
    numbers: BTreeMap<MessageId, usize>,
    place: Place,
    chance: Chance,
}

fn number(raw: &[u8]) -> usize {
    let text = String::from_utf8_lossy(raw);
    let (before, _) = text.split_once("@world.example>").unwrap();
    before.rsplit_once('<').unwrap().1.parse().unwrap()
}

impl World {
    async fn new(address: &'static str) -> Self {
        let mut chance = Chance(setting("POSTROOM_SEED", 20_261_122));
        let letters: Vec<Letter> = (0..MESSAGES)
            .map(|number| Letter::new(number, &mut chance))
            .collect();
        let directory = tempfile::tempdir().unwrap();
        for letter in &letters {
            let path = directory.path().join(format!("{:04}.eml", letter.number));
            std::fs::write(path, &letter.raw).unwrap();
        }
        let builder = support::emulator()
            .quota(false)
            .mail(directory.path().to_owned());
        let emulator = builder.start().await.unwrap();
        let mailbox = support::unpaced(&emulator, address);
        let mut world = Self {
            emulator,
            mailbox,
            address,
            letters,
            numbers: BTreeMap::new(),
            place: Place {
                roles: BTreeMap::new(),
                folders: Vec::new(),
            },
            chance,
        };
        world.fill().await;
        world
    }

    async fn apply(&mut self, one_in: usize, change: &Change) {
        let ids: Vec<MessageId> = self.numbers.keys().cloned().collect();
        let ids: Vec<MessageId> = ids
            .into_iter()
            .filter(|_| self.chance.one_in(one_in))
            .collect();
        for outcome in self.mailbox.apply(&ids, change).await.unwrap() {
            outcome.unwrap();
        }
    }

    async fn fill(&mut self) {
        let listed = self.mailbox.messages(Query::inbox());
        let listed: Vec<_> = listed.try_collect().await.unwrap();
        assert_eq!(listed.len(), MESSAGES);
        for message in listed {
            let id = message.message_id.unwrap();
            let number = id.trim_end_matches("@world.example").parse().unwrap();
            self.numbers.insert(message.id, number);
        }
        let is_gmail = self.address == support::GMAIL;
        if is_gmail {
            let client = gmail_client::Gmail::new(&self.emulator, self.address);
            for name in ["Clients", "Clients/Shop", "clients-shop"] {
                client.post("/labels", json!({"name": name})).await.ok();
            }
        }
        let folders = self.mailbox.folders().await.unwrap();
        for folder in &folders {
            if let Some(role) = folder.role {
                self.place.roles.insert(role, folder.id.clone());
            }
        }
        let own = folders.iter().filter(|folder| folder.role.is_none());
        let own: Vec<FolderId> = own
            .filter(|folder| {
                ["Clients", "Shop", "clients-shop", "Receipts"].contains(&folder.name.as_str())
            })
            .map(|folder| folder.id.clone())
            .collect();
        assert_eq!(own.len(), 3);
        self.apply(3, &Change::Clear(Keyword::Seen)).await;
        self.apply(5, &Change::Set(Keyword::Flagged)).await;
        self.apply(6, &Change::Archive).await;
        for folder in &own {
            let to = folder.clone();
            let change = if is_gmail {
                Change::AddTo(to)
            } else {
                Change::MoveTo { to, from: None }
            };
            self.apply(6, &change).await;
        }
        if is_gmail {
            self.apply(5, &Change::Set(Keyword::Important)).await;
        } else {
            for name in ["Red category", "Green category"] {
                let tag = Keyword::Custom(name.to_owned());
                self.apply(6, &Change::Set(tag)).await;
            }
        }
        self.apply(9, &Change::Trash).await;
        let to = self.place.roles[&FolderRole::Junk].clone();
        self.apply(9, &Change::MoveTo { to, from: None }).await;
        self.place.folders = own;
        let roles = self.place.roles.values();
        self.place.folders.extend(roles.cloned());
    }

    /// Every message as the service has it.
    async fn kept(&self) -> Vec<Kept> {
        let folders = self.mailbox.folders().await.unwrap();
        let named = |name: &String| match self.address {
            support::GMAIL => FolderId::new(name.as_str()),
            _ => {
                let role = match name.as_str() {
                    "deleteditems" => Some(FolderRole::Trash),
                    "junkemail" => Some(FolderRole::Junk),
                    "inbox" => Some(FolderRole::Inbox),
                    "archive" => Some(FolderRole::Archive),
                    _ => None,
                };
                let is_it = |folder: &&postroom::Folder| match role {
                    Some(role) => folder.role == Some(role),
                    None => folder.name == *name,
                };
                folders.iter().find(is_it).unwrap().id.clone()
            }
        };
        let messages = self.emulator.messages(self.address).into_iter();
        let mut kept: Vec<Kept> = messages
            .map(|message| {
                let letter = self.letters[number(&message.raw)].clone();
                let is_gmail = self.address == support::GMAIL;
                Kept {
                    important: if is_gmail {
                        message.folders.contains(&"IMPORTANT".to_owned())
                    } else {
                        letter.important
                    },
                    folders: message.folders.iter().map(named).collect(),
                    categories: message.keywords,
                    seen: message.seen,
                    flagged: message.flagged,
                    draft: message.draft,
                    received: message.received,
                    size: message.raw.len() as u64,
                    written: letter,
                }
            })
            .collect();
        kept.sort_by_key(|kept| kept.written.number);
        assert_eq!(kept.len(), MESSAGES);
        kept
    }

    async fn found(&self, query: &Query, size: u32) -> postroom::Result<Vec<usize>> {
        let page = PageRequest::first().with_size(size);
        let found = self.mailbox.messages_with(query.clone(), Detail::Ids, page);
        let found: Vec<_> = found.try_collect().await?;
        Ok(found
            .into_iter()
            .map(|message| self.numbers[&message.id])
            .collect())
    }
}

#[derive(Debug, Default)]
struct Tally {
    exact: usize,
    superset: usize,
    nothing: usize,
    unsupported: usize,
    with_results: usize,
}

async fn compare(address: &'static str) {
    let mut world = World::new(address).await;
    let kept = world.kept().await;
    let mut chance = world.chance.clone();
    let mut tally = Tally::default();
    for round in 0..setting("POSTROOM_SEARCHES", 1_000) {
        let query = query(&mut chance, &world.place, 3);
        let plan = world.mailbox.plan(&query).unwrap();
        let size = if chance.one_in(40) { 37 } else { 1_000 };
        let found = world.found(&query, size).await;
        match &plan.exactness {
            Exactness::Unsupported { .. } => {
                tally.unsupported += 1;
                assert_eq!(found.unwrap_err().kind(), ErrorKind::Unsupported, "{query}");
                continue;
            }
            Exactness::Exact => tally.exact += 1,
            Exactness::Superset { .. } => tally.superset += 1,
            _ => tally.nothing += 1,
        }
        let found = found.unwrap_or_else(|error| panic!("{round}: {query}\n{plan}\n{error}"));
        let meant: BTreeSet<usize> = kept
            .iter()
            .filter(|kept| is_meant(&query, kept, &world.place))
            .map(|kept| kept.written.number)
            .collect();
        let unique: BTreeSet<usize> = found.iter().copied().collect();
        assert_eq!(unique.len(), found.len(), "{round}: {query}\n{plan}");
        let missed: Vec<_> = meant.difference(&unique).take(3).collect();
        let wrong: Vec<_> = unique.difference(&meant).take(3).collect();
        assert!(
            missed.is_empty() && wrong.is_empty(),
            "{round}: {query}\n{plan}\nmissed {missed:?}, wrong {wrong:?}\n{}",
            missed
                .iter()
                .chain(&wrong)
                .map(|number| format!("{:?}", kept[**number]))
                .collect::<Vec<_>>()
                .join("\n")
        );
        tally.with_results += usize::from(!meant.is_empty());
    }
    eprintln!("{address}: {tally:?}");
    // The comparison is worth something only where something was compared.
    let rounds = tally.exact + tally.superset + tally.nothing + tally.unsupported;
    assert!(
        tally.exact * 10 > rounds && tally.superset * 10 > rounds,
        "{tally:?}"
    );
    assert!(tally.with_results * 4 > rounds, "{tally:?}");
    // What a service cannot be asked at all is the rare exception: one query in fifty at Gmail, in ten at Outlook.
    let refused = if address == support::GMAIL { 5 } else { 15 };
    assert!(tally.unsupported * 100 < refused * rounds, "{tally:?}");
    world.chance = chance;
}

#[tokio::test(flavor = "multi_thread")]
async fn gmail_finds_what_queries_mean() {
    compare(support::GMAIL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outlook_finds_what_queries_mean() {
    compare(support::OUTLOOK).await;
}
