//! Between Graph's folders and the model's, and between what a host wants changed and what Graph does for it.

use std::collections::BTreeSet;

use super::{Roles, role_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::http::protocol;
use crate::model::{Change, Folder, FolderCounts, FolderId, FolderRole, Keyword};
use crate::outlook::wire;

/// The folder that all others lie in, which no list has.
pub(in crate::outlook) const ROOT: &str = "msgfolderroot";

/// All folders: those with a role first, then as they came. The root itself is never listed, so what lies in it has no
/// parent here.
pub(in crate::outlook) fn folders(listed: Vec<wire::MailFolder>, roles: &Roles) -> Vec<Folder> {
    folders_among(listed, roles, |_| false)
}

/// The same for some folders among others, of which `is_known` tells.
pub(in crate::outlook) fn folders_among(
    listed: Vec<wire::MailFolder>,
    roles: &Roles,
    is_known: impl Fn(&FolderId) -> bool,
) -> Vec<Folder> {
    let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
    let mut known = BTreeSet::new();
    let mut folders: Vec<Folder> = listed
        .into_iter()
        .filter_map(|listed| {
            let id = FolderId::new(listed.id?);
            // Pages shift while they are read, so that a folder may come twice.
            if !known.insert(id.clone()) {
                return None;
            }
            let role = roles.of(&id);
            let mut folder = Folder::new(id, listed.display_name.unwrap_or_default());
            folder.parent = listed.parent_folder_id.map(FolderId::new);
            folder.role = role;
            folder.hidden = listed.is_hidden == Some(true);
            folder.total = count(listed.total_item_count);
            folder.unread = count(listed.unread_item_count);
            Some(folder)
        })
        .collect();
    for folder in &mut folders {
        let parent = folder.parent.take();
        folder.parent = parent.filter(|parent| known.contains(parent) || is_known(parent));
    }
    folders.sort_by_key(|folder| (folder.role.is_none(), folder.role));
    folders
}

/// A folder that was just made or changed. What it lies in is told as the service tells it but for the root, which is no
/// folder here.
pub(in crate::outlook) fn folder(wire: wire::MailFolder, root: Option<&str>) -> Result<Folder> {
    let parent = wire.parent_folder_id.clone();
    let changed = folders(vec![wire], &Roles::default()).pop();
    let mut folder = changed.ok_or_else(|| protocol("a folder came without an id"))?;
    folder.parent = parent
        .filter(|parent| Some(parent.as_str()) != root)
        .map(FolderId::from);
    Ok(folder)
}

/// How many messages are in a folder.
pub(in crate::outlook) fn counts(wire: &wire::MailFolder) -> Result<FolderCounts> {
    let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
    match (count(wire.total_item_count), count(wire.unread_item_count)) {
        (Some(total), Some(unread)) => Ok(FolderCounts::new(total, unread)),
        _ => Err(protocol("the answer has no counts")),
    }
}

/// A name that a folder can have.
pub(in crate::outlook) fn folder_name(name: &str) -> Result<&str> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "a folder needs a name",
        ));
    }
    Ok(name)
}

/// What a change is at Graph.
pub(in crate::outlook) enum Action {
    /// Properties are set.
    Update(wire::MessagePatch),
    /// The message goes to a folder, given by id or well-known name.
    Move(String),
    /// The message is deleted for good.
    Delete,
    /// A category is added or taken away, which needs to know the others.
    Category(String, bool),
}

/// What a change is at Graph, or why it cannot be made.
pub(in crate::outlook) fn action(change: &Change) -> Result<Action> {
    let (keyword, set) = match change {
        Change::Set(keyword) => (keyword, true),
        Change::Clear(keyword) => (keyword, false),
        Change::MoveTo { to, from: _ } => return Ok(Action::Move(to.as_str().to_owned())),
        Change::Archive => return Ok(Action::Move(well_known(FolderRole::Archive))),
        // A move, because DELETE ends in a place that is not documented
        // (<https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/285>).
        Change::Trash => return Ok(Action::Move(well_known(FolderRole::Trash))),
        // Where it had been, Graph does not tell.
        Change::Restore | Change::NotJunk => {
            return Ok(Action::Move(well_known(FolderRole::Inbox)));
        }
        Change::Junk => return Ok(Action::Move(well_known(FolderRole::Junk))),
        Change::Delete => return Ok(Action::Delete),
        Change::AddTo(_) | Change::RemoveFrom(_) | Change::Refile { .. } => {
            return Err(Error::unsupported(
                "a message in Outlook is in exactly one folder: move it",
            ));
        }
    };
    let patch = wire::MessagePatch::default();
    Ok(match keyword {
        Keyword::Seen => Action::Update(wire::MessagePatch {
            is_read: Some(set),
            ..patch
        }),
        Keyword::Flagged => {
            let status = if set { "flagged" } else { "notFlagged" };
            Action::Update(wire::MessagePatch {
                flag: Some(wire::Flag {
                    flag_status: Some(wire::Word::new(status)),
                }),
                ..patch
            })
        }
        Keyword::Important => Action::Update(wire::MessagePatch {
            importance: Some(if set { "high" } else { "normal" }),
            ..patch
        }),
        Keyword::Custom(name) => Action::Category(name.clone(), set),
        Keyword::Draft => {
            return Err(Error::unsupported(
                "whether a message in Outlook is a draft cannot be changed",
            ));
        }
        Keyword::Answered => {
            return Err(Error::unsupported("Graph does not set what was answered"));
        }
    })
}

fn well_known(role: FolderRole) -> String {
    role_folder(role).unwrap_or_default().to_owned()
}

/// The categories that a message is to have; `None` if it has them already. Exchange knows one category by its name in
/// any case.
pub(in crate::outlook) fn categories(
    message: &wire::Message,
    name: &str,
    set: bool,
) -> Option<Vec<String>> {
    let mut categories: Vec<String> = message
        .categories
        .iter()
        .flatten()
        .flatten()
        .cloned()
        .collect();
    let same = |category: &String| category.to_lowercase() == name.to_lowercase();
    if categories.iter().any(same) == set {
        return None;
    }
    if set {
        categories.push(name.to_owned());
    } else {
        categories.retain(|category| !same(category));
    }
    Some(categories)
}
