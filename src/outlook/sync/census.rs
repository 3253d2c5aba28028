//! What is in a mailbox's folders, from listings of states alone, a thousand to the page: what the host's copy is compared
//! with after a folder's cursor was lost, and by audits. And which folders a scope covers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::SecondsFormat;

use super::is_refusal;
use crate::error::Result;
use crate::http::protocol;
use crate::model::{
    AuditWindow, Detail, Folder, FolderId, FolderRole, Keyword, Message, MessageId, Scope,
};
use crate::outlook::api::Api;
use crate::outlook::reading::{self, no_list};
use crate::outlook::{batch, wire};
use crate::sync::Census;

const LIST: &str = "outlook.messages.list";

/// How deep folders may lie in one another.
const DEEPEST: usize = 300;

/// The folders that a scope covers.
#[derive(Debug, Default)]
pub(super) struct Area(BTreeSet<FolderId>);

impl Area {
    /// The folders that a scope names, or all. Junk and deleted items are meant with all that lies in them.
    pub(super) fn new(scope: &Scope, folders: &[Folder]) -> Self {
        let parents: BTreeMap<&FolderId, &FolderId> = folders
            .iter()
            .filter_map(|folder| Some((&folder.id, folder.parent.as_ref()?)))
            .collect();
        let is_hidden =
            |folder: &Folder| matches!(folder.role, Some(FolderRole::Junk | FolderRole::Trash));
        let hidden: BTreeSet<&FolderId> = folders
            .iter()
            .filter(|folder| is_hidden(folder))
            .map(|folder| &folder.id)
            .collect();
        let lies_hidden = |folder: &Folder| {
            let mut place = Some(&folder.id);
            for _ in 0..DEEPEST {
                let Some(id) = place else { return false };
                if hidden.contains(id) {
                    return true;
                }
                place = parents.get(id).copied();
            }
            false
        };
        let is_named = |folder: &Folder| {
            !scope.names_folders()
                || scope.folders.contains(&folder.id)
                || folder.role.is_some_and(|role| scope.roles.contains(&role))
        };
        let covered = folders
            .iter()
            .filter(|folder| is_named(folder) && (scope.junk_and_trash || !lies_hidden(folder)));
        Self(covered.map(|folder| folder.id.clone()).collect())
    }

    pub(super) fn covered(&self) -> impl Iterator<Item = &FolderId> {
        self.0.iter()
    }

    pub(super) fn contains(&self, folder: &FolderId) -> bool {
        self.0.contains(folder)
    }

    /// Whether a message is in one of them.
    pub(super) fn covers(&self, message: &Message) -> bool {
        let mut folders = message.folders.iter().flatten();
        folders.any(|folder| self.0.contains(folder))
    }
}

/// All messages of some folders, sorted by id, with their states.
#[derive(Default)]
pub(super) struct States(Vec<Message>);

/// Lists these folders. Nothing may be concluded from a listing that did not come to its end, so an error ends all of it.
pub(super) async fn take(
    api: &Api,
    scope: &Scope,
    window: AuditWindow,
    folders: &[FolderId],
) -> Result<States> {
    let filter = filter(scope, window);
    let first = |folder: &FolderId| api.states(folder.as_str(), filter.as_deref());
    let mut open: Vec<(&FolderId, Option<String>)> =
        folders.iter().map(|folder| (folder, None)).collect();
    let mut listed = Vec::new();
    while !open.is_empty() {
        let calls = open
            .iter()
            .map(|(folder, link)| match link {
                Some(link) => api.following(LIST, link),
                None => first(folder),
            })
            .collect();
        let answers = batch::send(api, calls).await;
        let mut next = Vec::new();
        for ((folder, link), answer) in open.into_iter().zip(answers) {
            let page: wire::Collection = match answer {
                Ok(answer) => reading::read(LIST, &answer)?,
                // Deleted since the folders were listed.
                Err(error) if link.is_none() && is_refusal(error.kind()) => continue,
                Err(error) => return Err(error),
            };
            for item in page.value.ok_or_else(|| no_list(LIST))? {
                listed.push(reading::message(item.get().as_bytes(), Detail::Ids)?);
            }
            let following = page.next_link.filter(|following| !following.is_empty());
            if following.is_some() && following == link {
                return Err(protocol("a page of a listing leads to itself").with_operation(LIST));
            }
            if following.is_some() {
                next.push((folder, following));
            }
        }
        open = next;
    }
    Ok(States::new(listed))
}

/// A listing may be filtered by when messages were received; only changes must not be.
fn filter(scope: &Scope, window: AuditWindow) -> Option<String> {
    let from = scope.since.into_iter().chain(window.from).max();
    let from = from.map(|from| ("ge", from));
    let until = window.until.map(|until| ("lt", until));
    let terms: Vec<String> = from
        .into_iter()
        .chain(until)
        .map(|(operator, at)| {
            let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("receivedDateTime {operator} {at}")
        })
        .collect();
    (!terms.is_empty()).then(|| terms.join(" and "))
}

impl States {
    /// Sorts what was listed. Of a message that was moved meanwhile and came twice, what came later holds.
    pub(super) fn new(mut messages: Vec<Message>) -> Self {
        messages.reverse();
        messages.sort_by(|one, other| one.id.cmp(&other.id));
        messages.dedup_by(|later, first| later.id == first.id);
        Self(messages)
    }

    pub(super) fn at(&self, place: usize) -> Option<&Message> {
        self.0.get(place)
    }
}

impl Census for States {
    fn ids(&self) -> impl Iterator<Item = &MessageId> + Send {
        self.0.iter().map(|message| &message.id)
    }

    fn state(&self, place: usize) -> (BTreeSet<FolderId>, BTreeSet<Keyword>) {
        let message = self.0.get(place);
        message.map_or_else(Default::default, |message| {
            let folders = message.folders.iter().flatten().cloned();
            (
                folders.collect(),
                message.keywords.clone().unwrap_or_default(),
            )
        })
    }
}
