//! What every provider that syncs promises of messages that go from one folder to another: they are told as moved, by whichever
//! change the service's own account of it allows, and nothing else is.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that fails panics"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::syncing::{Copy, changes, truth, with_messages};
use super::{ProviderFixture, all_ok, plain};
use crate::model::{Change, FolderId, FolderRole, Keyword, MessageId, Scope};
use crate::provider::{SyncChange, SyncPage};

/// Which messages are told as having left a folder, and being elsewhere now.
fn moved_out_of(pages: &[SyncPage], folder: &FolderId) -> BTreeSet<MessageId> {
    let moved = changes(pages).filter(|change| change.is_move());
    moved
        .map(|change| {
            let has_left = match change {
                SyncChange::Moved { message, out_of } => {
                    out_of.contains(folder) && !message.is_in(folder)
                }
                SyncChange::Updated(update) => {
                    let now = update.folders.as_ref();
                    update.out_of.contains(folder) || now.is_some_and(|now| !now.contains(folder))
                }
                _ => false,
            };
            assert!(has_left, "what left its folder is told with it: {change:?}");
            change.message_id().unwrap().clone()
        })
        .collect()
}

/// What went to another folder is told as moved out of the one that it left, and nothing else is told as moved, by providers that
/// claim to tell moves.
pub async fn a_move_is_told_as_a_move(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 5).await else {
        return;
    };
    if !mailbox.capabilities().change || !mailbox.capabilities().sync_moves {
        return;
    }
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let copy = Arc::<Copy>::default();
    let scope = Scope::default();
    let first = copy.follow(&mailbox, &scope).await;
    assert!(!changes(&first).any(SyncChange::is_move));

    let id = |place: usize| messages[place].id.clone();
    all_ok(mailbox.apply(&[id(0), id(1)], &Change::Archive).await);
    let seen = Change::Set(Keyword::Seen);
    all_ok(mailbox.apply(&[id(1), id(2)], &seen).await);
    fixture.deliver(&plain(5)).await;
    let pages = copy.follow(&mailbox, &scope).await;
    assert_eq!(moved_out_of(&pages, &inbox), [id(0), id(1)].into());
    assert_eq!(copy.messages(), truth(&mailbox).await);
}
