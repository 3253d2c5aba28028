//! The tree of folders: what changed of them, which are gone, and what that means for the messages in them.

use std::collections::BTreeMap;

use super::place::{Kept, Listing, fingerprint};
use super::round::removed;
use super::{Step, census, is_closed, is_refusal, unanswered};
use crate::error::{ErrorKind, Result};
use crate::http::{Answer, protocol};
use crate::model::{FolderId, FolderRole};
use crate::outlook::api::Api;
use crate::outlook::reading::{self, no_list};
use crate::outlook::{batch, convert, wire};
use crate::provider::{SyncChange, Trail};

const CHANGES: &str = "outlook.mailFolders.delta";
const FOLDER: &str = "outlook.mailFolders.get";

impl Step<'_> {
    /// All folders that there are; those that it lacks are gone.
    pub(super) async fn read_whole_tree(&mut self) -> Result<()> {
        self.place.tree = None;
        let tree = batch::send(self.api, vec![self.api.folder_changes()]).await;
        let tree = tree.into_iter().next();
        self.look_at_tree(tree.unwrap_or_else(|| Err(unanswered())))
            .await
    }

    /// Everything that changed of folders.
    pub(super) async fn look_at_tree(&mut self, answer: Result<Answer>) -> Result<()> {
        let is_whole;
        let (listed, gone, link) = match answer {
            Ok(answer) => {
                is_whole = self.place.tree.is_none();
                read_tree(self.api, &answer).await?
            }
            Err(error)
                if error.kind() == ErrorKind::CursorExpired
                    || (is_refusal(error.kind()) && self.place.tree.is_some()) =>
            {
                is_whole = true;
                let mut answers = batch::send(self.api, vec![self.api.folder_changes()]).await;
                let answer = answers.pop().unwrap_or(Err(error))?;
                read_tree(self.api, &answer).await?
            }
            Err(error) => return Err(error),
        };
        // An inbox cannot be deleted: a tree without one that was there tells nothing.
        let is_named = |id: &FolderId| {
            let mut listed = listed.iter();
            listed.any(|folder| folder.id.as_deref() == Some(id.as_str()))
        };
        let mut roles = self.place.roles.iter();
        let inbox = roles.find(|(role, _)| *role == FolderRole::Inbox);
        let inbox = inbox.filter(|(_, id)| self.place.folders.contains_key(id));
        if is_whole && (listed.is_empty() || inbox.is_some_and(|(_, id)| !is_named(id))) {
            return Err(protocol("the service does not list the inbox").with_operation(CHANGES));
        }
        let listed = self.completed(listed).await?;
        self.place.tree = Some(link);
        let before = self.place.area();
        let totals: BTreeMap<FolderId, u64> = listed
            .iter()
            .filter_map(|folder| Some((FolderId::from(folder.id.as_deref()?), total(folder))))
            .collect();
        let mut roles: convert::Roles = self.place.roles.iter().cloned().collect();
        let mut folders = convert::folders_among(listed, &roles, |id| {
            self.place.folders.contains_key(id) || totals.contains_key(id)
        });
        if !folders.is_empty() && self.place.roles.len() < convert::roles().count() {
            // The archive is made when it is first used.
            roles = self.own.roles(self.api).await?;
            self.place.roles = roles.pairs();
            for folder in &mut folders {
                folder.role = roles.of(&folder.id);
            }
        }
        let mut lost: Vec<FolderId> = gone.into_iter().map(FolderId::from).collect();
        if is_whole {
            let missing = self
                .place
                .folders
                .keys()
                .filter(|id| !totals.contains_key(*id));
            lost.extend(missing.cloned());
        }
        for folder in folders {
            let kept = self.place.folders.entry(folder.id.clone()).or_default();
            kept.parent.clone_from(&folder.parent);
            kept.total = totals.get(&folder.id).copied().unwrap_or_default();
            let print = fingerprint(&folder);
            if kept.print != print {
                kept.print = print;
                self.found.push(SyncChange::Folder(folder));
            }
        }
        for id in lost {
            self.forget_folder(&id);
        }
        self.cover(&before);
        Ok(())
    }

    /// Changes of folders may tell only what changed (<https://learn.microsoft.com/graph/delta-query-overview>): such a folder is
    /// asked for.
    async fn completed(&self, listed: Vec<wire::MailFolder>) -> Result<Vec<wire::MailFolder>> {
        let is_part = |folder: &wire::MailFolder| {
            folder.id.is_some()
                && (folder.display_name.is_none() || folder.parent_folder_id.is_none())
        };
        let (parts, mut whole): (Vec<_>, Vec<_>) = listed.into_iter().partition(is_part);
        let ids = parts.iter().filter_map(|folder| folder.id.as_deref());
        let calls = ids.map(|id| self.api.folder(id)).collect();
        for (part, answer) in parts.into_iter().zip(batch::send(self.api, calls).await) {
            match answer {
                Ok(answer) => whole.push(reading::read(FOLDER, &answer)?),
                // It is gone again, or tells no more than that.
                Err(error) if is_closed(error.kind()) => whole.push(part),
                Err(error) => return Err(error),
            }
        }
        Ok(whole)
    }

    /// Folders that came into the scope tell of all that is in them; what the host has of those that left it is looked at.
    pub(super) fn cover(&mut self, before: &census::Area) {
        let after = self.place.area();
        // A listing that is still to come tells of it, and of nothing twice.
        let is_listed = self.place.listing.as_ref().is_some_and(Listing::is_new);
        for id in after.covered().filter(|id| !before.contains(id)) {
            if let Some(kept) = self.place.folders.get_mut(id) {
                *kept = Kept {
                    parent: kept.parent.take(),
                    print: std::mem::take(&mut kept.print),
                    total: kept.total,
                    tells: !is_listed,
                    ..Kept::default()
                };
            }
        }
        for id in before.covered().filter(|id| !after.contains(id)) {
            if let Some(kept) = self.place.folders.get_mut(id) {
                kept.link = None;
                kept.walked = false;
                self.place.compare_later(id);
            }
        }
    }

    fn forget_folder(&mut self, id: &FolderId) {
        if self.place.folders.remove(id).is_some() {
            self.found.push(SyncChange::FolderDeleted(id.clone()));
            self.place.note_shift();
            self.place.compare_later(id);
        }
    }
}

fn total(folder: &wire::MailFolder) -> u64 {
    let total = folder.total_item_count.unwrap_or_default();
    u64::try_from(total).unwrap_or_default()
}

/// Folders that are new or changed, ids of those that are gone, and the address of what changes from then on.
async fn read_tree(
    api: &Api,
    answer: &Answer,
) -> Result<(Vec<wire::MailFolder>, Vec<String>, String)> {
    let (mut listed, mut gone) = (Vec::new(), Vec::new());
    let mut page: wire::Changes = reading::read(CHANGES, answer)?;
    let mut trail = Trail::default();
    loop {
        for item in page.value.ok_or_else(|| no_list(CHANGES))? {
            let item = item.get().as_bytes();
            match removed(item) {
                Some(id) => gone.push(id.as_str().to_owned()),
                None => listed.extend(wire::salvage::<wire::MailFolder>(item)),
            }
        }
        match (page.next_link, page.delta_link) {
            (Some(next), _) => {
                let goes_on = trail.go_on(&next);
                goes_on.map_err(|error| error.with_operation(CHANGES))?;
                page = api.client.json(api.following(CHANGES, &next)?).await?;
            }
            (None, Some(link)) => return Ok((listed, gone, link)),
            _ => {
                return Err(protocol("a page of changes leads nowhere").with_operation(CHANGES));
            }
        }
    }
}
