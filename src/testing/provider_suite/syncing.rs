//! What every provider that syncs promises: whatever happens in a mailbox, a host that stores what it is told has what is
//! there, is told of nothing that did not happen, and can stop at any moment. Audits find what a copy lacks.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that fails panics"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};

use super::organising::kind;
use super::{ProviderFixture, all, all_ok, plain};
use crate::error::ErrorKind;
use crate::mailbox::Mailbox;
use crate::model::{
    AuditWindow, Change, Detail, Folder, FolderId, FolderRole, ImportLoss, ImportOptions, Keyword,
    KnownMessage, Message, MessageId, Query, Scope, SyncCursor, SyncPhase,
};
use crate::provider::{Known, SyncChange, SyncPage};

/// Where a message is and how it is marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    folders: BTreeSet<FolderId>,
    keywords: BTreeSet<Keyword>,
}

impl State {
    fn of(message: &Message) -> Self {
        Self {
            folders: message.folders.iter().flatten().cloned().collect(),
            keywords: message.keywords.clone().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default)]
struct Stored {
    cursor: Option<SyncCursor>,
    messages: BTreeMap<MessageId, State>,
    folders: BTreeMap<FolderId, Folder>,
}

/// A host's copy of a mailbox.
#[derive(Debug, Default)]
pub(super) struct Copy(Mutex<Stored>);

impl Copy {
    pub(super) fn messages(&self) -> BTreeMap<MessageId, State> {
        self.0.lock().unwrap().messages.clone()
    }

    fn cursor(&self) -> Option<SyncCursor> {
        self.0.lock().unwrap().cursor.clone()
    }

    fn store(&self, page: &SyncPage) {
        let mut stored = self.0.lock().unwrap();
        assert_eq!(stored.cursor, page.after, "a page follows what was stored");
        let mut told = BTreeSet::new();
        for change in &page.changes {
            if let Some(id) = change.message_id() {
                assert!(told.insert(id.clone()), "a message is told once on a page");
            }
            match change {
                SyncChange::Message(message) | SyncChange::Moved { message, .. } => {
                    stored
                        .messages
                        .insert(message.id.clone(), State::of(message));
                }
                SyncChange::Updated(update) => {
                    if let Some(state) = stored.messages.get_mut(&update.id) {
                        let mut folders = state.folders.iter().cloned().collect();
                        update.apply(&mut folders, &mut state.keywords);
                        state.folders = folders.into_iter().collect();
                    }
                }
                SyncChange::Unreadable(id, _) => {
                    stored.messages.entry(id.clone()).or_default();
                }
                SyncChange::OutOfScope(id) | SyncChange::Deleted(id) => {
                    stored.messages.remove(id);
                }
                SyncChange::Folder(folder) => {
                    stored.folders.insert(folder.id.clone(), folder.clone());
                }
                SyncChange::FolderDeleted(id) => {
                    stored.folders.remove(id);
                }
            }
        }
        stored.cursor = Some(page.cursor.clone());
    }

    /// Syncs until nothing is left to tell, and gives what was told.
    pub(super) async fn follow(
        self: &Arc<Self>,
        mailbox: &Mailbox,
        scope: &Scope,
    ) -> Vec<SyncPage> {
        let mut pages = mailbox.sync(self.cursor(), scope.clone(), self.clone());
        let mut told: Vec<SyncPage> = Vec::new();
        while let Some(page) = pages.try_next().await.unwrap() {
            assert!(
                told.last().is_none_or(|last| last.more),
                "nothing follows a complete round"
            );
            self.store(&page);
            told.push(page);
        }
        assert!(
            told.last().is_some_and(|last| !last.more),
            "a round is complete"
        );
        told
    }
}

#[async_trait]
impl Known for Copy {
    async fn page(
        &self,
        after: Option<&MessageId>,
        limit: usize,
    ) -> crate::Result<Vec<KnownMessage>> {
        let stored = self.0.lock().unwrap();
        let following = stored.messages.iter();
        let following = following.filter(|(id, _)| after.is_none_or(|after| *id > after));
        let known = |(id, state): (&MessageId, &State)| {
            let folders = state.folders.iter().cloned().collect();
            let keywords = state.keywords.iter().cloned().collect();
            KnownMessage::new(id.clone(), folders, keywords)
        };
        Ok(following.take(limit).map(known).collect())
    }
}

pub(super) fn changes(pages: &[SyncPage]) -> impl Iterator<Item = &SyncChange> {
    pages.iter().flat_map(|page| &page.changes)
}

/// Which messages some pages tell of.
fn told(pages: &[SyncPage]) -> BTreeSet<MessageId> {
    changes(pages)
        .filter_map(|change| change.message_id().cloned())
        .collect()
}

fn whole(pages: &[SyncPage]) -> BTreeSet<MessageId> {
    changes(pages)
        .filter_map(|change| Some(change.message()?.id.clone()))
        .collect()
}

fn deleted(pages: &[SyncPage]) -> BTreeSet<MessageId> {
    let deleted = changes(pages).filter(|change| matches!(change, SyncChange::Deleted(_)));
    deleted
        .filter_map(|change| change.message_id().cloned())
        .collect()
}

/// What is there, but for junk and trash.
pub(super) async fn truth(mailbox: &Mailbox) -> BTreeMap<MessageId, State> {
    let messages = all(mailbox, Query::All, Detail::Headers).await.into_iter();
    messages
        .map(|message| (message.id.clone(), State::of(&message)))
        .collect()
}

fn ids(messages: impl IntoIterator<Item = (MessageId, State)>) -> Vec<MessageId> {
    messages.into_iter().map(|(id, _)| id).collect()
}

/// A mailbox with some messages, if it syncs: which it has, oldest first.
pub(super) async fn with_messages(
    fixture: &dyn ProviderFixture,
    count: usize,
) -> Option<(Mailbox, Vec<Message>)> {
    let mailbox = fixture.mailbox();
    if !mailbox.capabilities().sync {
        return None;
    }
    for number in 0..count {
        fixture.deliver(&plain(number)).await;
    }
    let mut messages = super::inbox(&mailbox).await;
    messages.reverse();
    assert_eq!(messages.len(), count);
    Some((mailbox, messages))
}

/// The first sync tells all there is, newest first, with all folders; then a round tells nothing until something happens.
pub async fn a_first_sync_tells_everything_newest_first(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 7).await else {
        return;
    };
    let copy = Arc::<Copy>::default();
    let pages = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(copy.messages(), truth(&mailbox).await);
    assert!(
        pages
            .iter()
            .all(|page| page.phase == SyncPhase::Snapshot && page.uncertain.is_none())
    );
    let subjects: Vec<_> = changes(&pages)
        .filter_map(|change| match change {
            SyncChange::Message(message) => Some(message.subject.clone()),
            _ => None,
        })
        .collect();
    let newest_first: Vec<_> = messages
        .iter()
        .rev()
        .map(|one| one.subject.clone())
        .collect();
    assert_eq!(subjects, newest_first);
    let names = |folders: Vec<Folder>| -> BTreeMap<FolderId, String> {
        let name = |folder: Folder| (folder.id, folder.name);
        folders.into_iter().map(name).collect()
    };
    let copied = copy.0.lock().unwrap().folders.values().cloned().collect();
    assert_eq!(names(copied), names(mailbox.folders().await.unwrap()));

    let quiet = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(changes(&quiet).count(), 0, "nothing happened");
    let by_ids = Scope {
        detail: Detail::Ids,
        ..Scope::default()
    };
    let other = Arc::<Copy>::default();
    other.follow(&mailbox, &by_ids).await;
    assert_eq!(ids(other.messages()), ids(copy.messages()));
}

/// A later sync tells what arrived, was marked, moved, thrown away, brought back or deleted, and nothing of other messages.
pub async fn a_later_sync_tells_what_happened_and_nothing_else(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 8).await else {
        return;
    };
    let copy = Arc::<Copy>::default();
    copy.follow(&mailbox, &Scope::default()).await;
    fixture.deliver(&plain(8)).await;
    let pages = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(whole(&pages).len(), 1);
    assert_eq!(told(&pages).len(), 1);
    assert_eq!(copy.messages(), truth(&mailbox).await);
    if !mailbox.capabilities().change {
        return;
    }
    let id = |place: usize| messages[place].id.clone();
    let seen = Change::Set(Keyword::Seen);
    all_ok(mailbox.apply(&[id(0), id(1)], &seen).await);
    all_ok(mailbox.apply(&[id(1)], &Change::Clear(Keyword::Seen)).await);
    all_ok(
        mailbox
            .apply(&[id(2)], &Change::Set(Keyword::Flagged))
            .await,
    );
    all_ok(mailbox.apply(&[id(3)], &Change::Archive).await);
    all_ok(mailbox.apply(&[id(4)], &Change::Trash).await);
    let mut touched: BTreeSet<_> = (0..=4).map(id).collect();
    if mailbox.capabilities().delete {
        all_ok(mailbox.delete(&[id(5)]).await);
        touched.insert(id(5));
    }
    let pages = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(copy.messages(), truth(&mailbox).await);
    assert!(
        told(&pages).is_subset(&touched),
        "what did not change is not told"
    );
    let gone: BTreeSet<_> = touched
        .iter()
        .filter(|one| **one == id(5))
        .cloned()
        .collect();
    assert_eq!(deleted(&pages), gone, "what is thrown away is still there");

    all_ok(mailbox.apply(&[id(4)], &Change::Restore).await);
    let pages = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(whole(&pages), [id(4)].into(), "it comes back as a message");
    assert_eq!(copy.messages(), truth(&mailbox).await);
}

/// A host that stops, before or after it stored a page, goes on with the cursor that it has, and misses nothing.
pub async fn a_sync_goes_on_where_its_host_stopped(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 9).await else {
        return;
    };
    let copy = Arc::<Copy>::default();
    let scope = Scope::default();
    for round in 0..6 {
        let mut pages = mailbox.sync(copy.cursor(), scope.clone(), copy.clone());
        let page = pages.next().await.unwrap().unwrap();
        // Each second time it dies before it stored the page.
        if round % 2 == 0 {
            copy.store(&page);
        }
        drop(pages);
        fixture.deliver(&plain(9 + round)).await;
        if mailbox.capabilities().change && round == 2 {
            let changed = [messages[0].id.clone(), messages[8].id.clone()];
            all_ok(mailbox.apply(&changed, &Change::Archive).await);
        }
    }
    copy.follow(&mailbox, &scope).await;
    assert_eq!(copy.messages(), truth(&mailbox).await);
    let cursor = SyncCursor::new("no cursor of this provider");
    let mut refused = mailbox.sync(Some(cursor), scope, copy);
    let refused = refused.next().await.unwrap();
    assert_eq!(kind(refused), Some(ErrorKind::InvalidRequest));
}

/// With another scope, what it brings is told, what it no longer covers is out of scope and not deleted, and nothing else is
/// told again.
pub async fn another_scope_brings_what_it_brings(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 6).await else {
        return;
    };
    if !mailbox.capabilities().change {
        return;
    }
    let archived = [messages[0].id.clone(), messages[1].id.clone()];
    all_ok(mailbox.apply(&archived, &Change::Archive).await);
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let by_role = Scope {
        roles: vec![FolderRole::Inbox],
        ..Scope::default()
    };
    let by_folder = Scope {
        folders: vec![inbox],
        ..Scope::default()
    };
    let copy = Arc::<Copy>::default();
    for scope in [&by_role, &by_folder] {
        copy.follow(&mailbox, scope).await;
        assert_eq!(copy.messages().len(), 4);
    }
    let pages = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(whole(&pages), archived.clone().into());
    assert_eq!(copy.messages(), truth(&mailbox).await);

    let since = messages[3].received_at.unwrap();
    let recent = Scope {
        since: Some(since),
        ..Scope::default()
    };
    let pages = copy.follow(&mailbox, &recent).await;
    assert_eq!((whole(&pages).len(), deleted(&pages).len()), (0, 0));
    let is_recent = |message: &&Message| {
        let received = message.received_at.unwrap();
        received.timestamp() >= since.timestamp()
    };
    let expected = messages.iter().filter(is_recent).map(|one| one.id.clone());
    assert_eq!(
        ids(copy.messages()).into_iter().collect::<BTreeSet<_>>(),
        expected.collect()
    );
    fixture.deliver(&plain(6)).await;
    let pages = copy.follow(&mailbox, &recent).await;
    assert_eq!(whole(&pages).len(), 1);

    all_ok(mailbox.apply(&archived[..1], &Change::Trash).await);
    copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(copy.messages(), truth(&mailbox).await);
    let pages = copy.follow(&mailbox, &Scope::everything()).await;
    assert_eq!(whole(&pages), archived[..1].iter().cloned().collect());
    let full = Scope {
        detail: Detail::Full,
        ..Scope::everything()
    };
    let pages = copy.follow(&mailbox, &full).await;
    let is_full = |change: &SyncChange| match change {
        SyncChange::Message(message) => message.detail == Detail::Full,
        _ => true,
    };
    assert!(changes(&pages).all(is_full));
    assert_eq!(whole(&pages).len(), 7);
}

/// Folders that are made, renamed and deleted are told, and where their messages are.
pub async fn folders_are_told_with_what_becomes_of_them(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 3).await else {
        return;
    };
    let capabilities = mailbox.capabilities();
    if !capabilities.edit_folders || !capabilities.change {
        return;
    }
    let copy = Arc::<Copy>::default();
    copy.follow(&mailbox, &Scope::default()).await;
    let name = |folder: &FolderId| {
        let stored = copy.0.lock().unwrap();
        stored.folders.get(folder).map(|folder| folder.name.clone())
    };
    let folder = mailbox.create_folder("Trips", None).await.unwrap().id;
    let moved = [messages[0].id.clone(), messages[1].id.clone()];
    let to = Change::MoveTo {
        to: folder.clone(),
        from: None,
    };
    all_ok(mailbox.apply(&moved, &to).await);
    let pages = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(name(&folder).as_deref(), Some("Trips"));
    assert_eq!(deleted(&pages).len(), 0, "a move is no deletion");
    assert_eq!(copy.messages(), truth(&mailbox).await);

    mailbox.rename_folder(&folder, "Journeys").await.unwrap();
    copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(name(&folder).as_deref(), Some("Journeys"));
    assert_eq!(copy.messages(), truth(&mailbox).await);
    mailbox.delete_folder(&folder).await.unwrap();
    let pages = copy.follow(&mailbox, &Scope::default()).await;
    assert_eq!(deleted(&pages).len(), 0, "its messages are somewhere else");
    assert_eq!(copy.messages(), truth(&mailbox).await);
    let there = mailbox.folders().await.unwrap().into_iter();
    let there: Vec<_> = there.map(|folder| folder.id).collect();
    assert_eq!(name(&folder).is_some(), there.contains(&folder));
}

/// What a host has of the messages that were received in some time.
#[derive(Debug)]
struct Received<'a> {
    copy: &'a Copy,
    within: Vec<MessageId>,
}

#[async_trait]
impl Known for Received<'_> {
    async fn page(
        &self,
        after: Option<&MessageId>,
        limit: usize,
    ) -> crate::Result<Vec<KnownMessage>> {
        let mut known = self.copy.page(after, usize::MAX).await?;
        known.retain(|message| self.within.contains(&message.id));
        known.truncate(limit);
        Ok(known)
    }
}

/// An audit finds what is missing from a copy, what is only there, and what is stale; it changes nothing.
pub async fn an_audit_finds_how_a_copy_differs(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 6).await else {
        return;
    };
    let copy = Arc::<Copy>::default();
    let scope = Scope::default();
    copy.follow(&mailbox, &scope).await;
    let all = AuditWindow::all();
    let audit = mailbox.audit(&scope, all, copy.as_ref()).await;
    if !mailbox.capabilities().audit {
        return assert_eq!(kind(audit), Some(ErrorKind::Unsupported));
    }
    let audit = audit.unwrap();
    assert!(audit.is_clean(), "a copy that was told everything is right");
    assert_eq!(audit.checked, 6);

    let (lost, marked, moved) = (&messages[0].id, &messages[1].id, &messages[2].id);
    let made_up = MessageId::new("made-up");
    {
        let mut stored = copy.0.lock().unwrap();
        stored.messages.remove(lost);
        stored.messages.insert(made_up.clone(), State::default());
        let state = stored.messages.get_mut(marked).unwrap();
        state.keywords.insert(Keyword::Flagged);
        stored.messages.get_mut(moved).unwrap().folders.clear();
    }
    let before = copy.messages();
    for _ in 0..2 {
        let audit = mailbox.audit(&scope, all, copy.as_ref()).await.unwrap();
        assert_eq!(audit.missing, std::slice::from_ref(lost));
        assert_eq!(audit.extra, std::slice::from_ref(&made_up));
        let stale: BTreeSet<_> = audit.stale.iter().map(|update| update.id.clone()).collect();
        assert_eq!(stale, [marked.clone(), moved.clone()].into());
        assert_eq!(copy.messages(), before);
        // What it says is what it takes to be right.
        let mut mended = before.clone();
        for update in &audit.stale {
            let state = mended.get_mut(&update.id).unwrap();
            let mut folders = state.folders.iter().cloned().collect();
            update.apply(&mut folders, &mut state.keywords);
            state.folders = folders.into_iter().collect();
        }
        mended.remove(&made_up);
        let mut truth = truth(&mailbox).await;
        truth.remove(lost);
        assert_eq!(mended, truth);
    }
}

/// Messages from elsewhere that are older than what was there are told all the same, and an audit of the time that they are from
/// looks at them only.
pub async fn imports_with_old_dates_are_told_and_audited_by_date(fixture: &dyn ProviderFixture) {
    let Some((mailbox, _)) = with_messages(fixture, 3).await else {
        return;
    };
    let capabilities = mailbox.capabilities();
    if !capabilities.import || !capabilities.audit {
        return;
    }
    let copy = Arc::<Copy>::default();
    let scope = Scope::default();
    copy.follow(&mailbox, &scope).await;
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let mut imported = Vec::new();
    for minute in [10, 20, 30] {
        let options = ImportOptions::new().folder(inbox.clone());
        let message = mailbox.import(plain(minute), &options).await.unwrap();
        if message.lost.contains(&ImportLoss::Date) {
            return;
        }
        imported.push(message.id);
    }
    let pages = copy.follow(&mailbox, &scope).await;
    assert_eq!(whole(&pages), imported.iter().cloned().collect());
    assert_eq!(copy.messages(), truth(&mailbox).await);

    let at = |minute: u32| -> DateTime<Utc> {
        let text = format!("2026-11-03T10:{minute:02}:00Z");
        text.parse().unwrap()
    };
    for (window, within) in [
        (AuditWindow::since(at(15)).until(at(25)), &imported[1..2]),
        (AuditWindow::since(at(10)).until(at(30)), &imported[..2]),
        (AuditWindow::since(at(0)).until(at(10)), &[]),
    ] {
        let known = Received {
            copy: &copy,
            within: within.to_vec(),
        };
        let audit = mailbox.audit(&scope, window, &known).await.unwrap();
        assert!(audit.is_clean(), "{audit:?}");
        assert_eq!(audit.checked, within.len() as u64);
        let nothing = Received {
            copy: &copy,
            within: Vec::new(),
        };
        let audit = mailbox.audit(&scope, window, &nothing).await.unwrap();
        let missing: BTreeSet<_> = audit.missing.into_iter().collect();
        assert_eq!(missing, within.iter().cloned().collect());
    }
}
