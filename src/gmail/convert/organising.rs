//! Between Gmail's labels and folders, and between what a host wants changed and what labels that is.

use std::collections::HashMap;

use super::{ROLES, UNREAD};
use crate::error::{Error, ErrorKind, Result};
use crate::gmail::wire;
use crate::http::protocol;
use crate::model::{Change, Folder, FolderColor, FolderCounts, FolderId, Keyword};

/// Labels that only Gmail itself sets and clears.
const FIXED: [&str; 3] = ["SENT", "DRAFT", "CHAT"];

/// How many labels one request may set, and how many it may clear
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/modify>).
const MOST_LABELS: usize = 100;

/// The colours that labels can have, as ground and as text
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels#Color>), as of 2026-05.
const PALETTE: &str = "\
#000000 #434343 #666666 #999999 #cccccc #efefef #f3f3f3 #ffffff #fb4c2f #ffad47 #fad165 #16a766 #43d692 \
#4a86e8 #a479e2 #f691b3 #f6c5be #ffe6c7 #fef1d1 #b9e4d0 #c6f3de #c9daf8 #e4d7f5 #fcdee8 #efa093 #ffd6a2 \
#fce8b3 #89d3b2 #a0eac9 #a4c2f4 #d0bcf1 #fbc8d9 #e66550 #ffbc6b #fcda83 #44b984 #68dfa9 #6d9eeb #b694e8 \
#f7a7c0 #cc3a21 #eaa041 #f2c960 #149e60 #3dc789 #3c78d8 #8e63ce #e07798 #ac2b16 #cf8933 #d5ae49 #0b804b \
#2a9c68 #285bac #653e9b #b65775 #822111 #a46a21 #aa8831 #076239 #1a764d #1c4587 #41236d #83334c #464646 \
#e7e7e7 #0d3472 #b6cff5 #0d3b44 #98d7e4 #3d188e #e3d7ff #711a36 #fbd3e0 #8a1c0a #f2b2a8 #7a2e0b #ffc8af \
#7a4706 #ffdeb5 #594c05 #fbe983 #684e07 #fdedc1 #0b4f30 #b3efd3 #04502e #a2dcc1 #c2c2c2 #4986e7 #2da2bb \
#b99aff #994a64 #f691b2 #ff7537 #ffad46 #662e37 #ebdbde #cca6ac #094228 #42d692 #16a765 #757575 #1e53b8 \
#007286 #7858c3 #c2185b #d93025 #54240e #633e04 #521d28 #202124 #083018";

/// A label, with its whole name.
#[derive(Clone)]
pub(in crate::gmail) struct Label {
    pub(in crate::gmail) id: String,
    /// With the names of what it lies in before it, and slashes between.
    pub(in crate::gmail) path: String,
    /// Whether it is one of Gmail's own.
    pub(in crate::gmail) own: bool,
    pub(in crate::gmail) message_list_visibility: Option<String>,
    pub(in crate::gmail) label_list_visibility: Option<String>,
    color: Option<FolderColor>,
}

impl Label {
    /// Whether it lies somewhere in this one.
    fn lies_in(&self, other: &Self) -> bool {
        let rest = self.path.strip_prefix(other.path.as_str());
        !self.own && rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The labels that can be used: those with an id. `UNREAD` is a keyword and no folder.
pub(in crate::gmail) fn labels(list: wire::LabelList) -> Vec<Label> {
    let labels = list.labels.into_iter().flatten().flatten();
    labels.filter_map(label).collect()
}

fn label(label: wire::Label) -> Option<Label> {
    let id = label.id.filter(|id| !id.is_empty() && id != UNREAD)?;
    let own = match label.kind.as_deref() {
        Some(kind) => kind.eq_ignore_ascii_case("system"),
        None => ROLES.iter().any(|(known, _)| *known == id),
    };
    let color = label
        .color
        .and_then(|color| Some(FolderColor::new(color.background_color?, color.text_color?)));
    Some(Label {
        path: label.name.unwrap_or_else(|| id.clone()),
        id,
        own,
        message_list_visibility: label.message_list_visibility,
        label_list_visibility: label.label_list_visibility,
        color,
    })
}

/// The labels as folders: Gmail's own first, then the user's by name. A slash in a name makes a child of the label that
/// is called as what stands before it; where there is none the slash is only a character.
pub(in crate::gmail) fn folders(labels: &[Label]) -> Vec<Folder> {
    let parents: HashMap<&str, &str> = labels
        .iter()
        .filter(|label| !label.own)
        .map(|label| (label.path.as_str(), label.id.as_str()))
        .collect();
    let mut folders: Vec<(bool, usize, Folder)> = labels
        .iter()
        .map(|label| {
            let path = &label.path;
            let parent = path
                .rmatch_indices('/')
                .filter(|_| !label.own)
                .find_map(|(at, _)| {
                    let (parent, child) = path.split_at_checked(at)?;
                    let parent = parents.get(parent)?;
                    let child = child.strip_prefix('/').filter(|child| !child.is_empty())?;
                    Some((*parent, child))
                });
            let mut folder = Folder::new(
                FolderId::from(label.id.as_str()),
                parent.map_or(path.as_str(), |(_, child)| child),
            );
            folder.parent = parent.map(|(parent, _)| FolderId::from(parent));
            folder.hidden = label.label_list_visibility.as_deref() == Some("labelHide");
            folder.color.clone_from(&label.color);
            let place = ROLES.iter().position(|(known, _)| *known == label.id);
            folder.role = place
                .and_then(|place| ROLES.get(place))
                .map(|(_, role)| *role);
            (!label.own, place.unwrap_or(ROLES.len()), folder)
        })
        .collect();
    folders.sort_by(|(user, place, folder), (other_user, other_place, other)| {
        (user, place, &folder.name).cmp(&(other_user, other_place, &other.name))
    });
    folders.into_iter().map(|(.., folder)| folder).collect()
}

/// A label that was just made or changed, as a folder among the others.
pub(in crate::gmail) fn folder(changed: wire::Label, mut others: Vec<Label>) -> Result<Folder> {
    let changed = label(changed).ok_or_else(|| protocol("a label came without an id"))?;
    let id = FolderId::from(changed.id.as_str());
    others.retain(|known| known.id != changed.id);
    others.push(changed);
    let found = folders(&others).into_iter().find(|folder| folder.id == id);
    found.ok_or_else(|| protocol("a label came without an id"))
}

/// How many messages a label is on.
pub(in crate::gmail) fn counts(label: &wire::Label) -> Result<FolderCounts> {
    let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
    match (count(label.messages_total), count(label.messages_unread)) {
        (Some(total), unread) => Ok(FolderCounts::new(total, unread.unwrap_or_default())),
        _ => Err(protocol("the answer has no counts")),
    }
}

/// The whole name of a label that is to be called `name` and lie in `parent`.
pub(in crate::gmail) fn new_path(
    labels: &[Label],
    parent: Option<&FolderId>,
    name: &str,
) -> Result<String> {
    let name = name.trim();
    if name.is_empty() {
        return Err(invalid("a folder needs a name"));
    }
    if name.contains('/') {
        return Err(invalid(
            "a slash in the name of a label puts it into another one: name that as its parent",
        ));
    }
    placed(labels, parent, name)
}

/// The whole name of a label that is called `name`, as it is, and lies in `parent`.
pub(in crate::gmail) fn placed(
    labels: &[Label],
    parent: Option<&FolderId>,
    name: &str,
) -> Result<String> {
    let Some(parent) = parent else {
        return Ok(name.to_owned());
    };
    let parent = find(labels, parent)?;
    if parent.own {
        return Err(invalid("nothing can lie in one of Gmail's own labels"));
    }
    Ok(format!("{}/{name}", parent.path))
}

/// The labels whose names change when `folder` is to be called `path`, itself first, each with its new name. Gmail renames
/// only the one that it is told to, and those below it would lie nowhere.
pub(in crate::gmail) fn moved<'a>(
    labels: &'a [Label],
    folder: &FolderId,
    path: impl FnOnce(&Label) -> Result<String>,
) -> Result<Vec<(&'a Label, String)>> {
    let label = find_own(labels, folder)?;
    let path = path(label)?;
    if path == label.path {
        return Ok(vec![(label, path)]);
    }
    let inside = format!("{}/", label.path);
    if path.starts_with(&inside) {
        return Err(invalid("a folder cannot lie in itself"));
    }
    let mut moved = vec![(label, path.clone())];
    for below in labels.iter().filter(|below| below.lies_in(label)) {
        let rest = below.path.strip_prefix(&inside).unwrap_or_default();
        moved.push((below, format!("{path}/{rest}")));
    }
    let stays = |known: &&Label| moved.iter().all(|(label, _)| label.id != known.id);
    let is_taken = labels.iter().filter(stays).any(|known| {
        let taken = known.path.to_lowercase();
        moved.iter().any(|(_, path)| path.to_lowercase() == taken)
    });
    if is_taken {
        return Err(Error::new(
            ErrorKind::Conflict,
            "there is a label of that name already",
        ));
    }
    Ok(moved)
}

/// The label of this id and those that lie in it.
pub(in crate::gmail) fn with_inside<'a>(
    labels: &'a [Label],
    folder: &FolderId,
) -> Result<Vec<&'a Label>> {
    let label = find_own(labels, folder)?;
    let inside = labels.iter().filter(|below| below.lies_in(label));
    Ok(std::iter::once(label).chain(inside).collect())
}

/// The label of this id.
fn find<'a>(labels: &'a [Label], id: &FolderId) -> Result<&'a Label> {
    let found = labels.iter().find(|label| label.id == id.as_str());
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such label"))
}

/// The label of this id, if it is the user's own.
fn find_own<'a>(labels: &'a [Label], id: &FolderId) -> Result<&'a Label> {
    let label = find(labels, id)?;
    if label.own {
        return Err(invalid("Gmail's own labels stay what they are"));
    }
    Ok(label)
}

/// The colours of a label, if there are such.
pub(in crate::gmail) fn color(color: &FolderColor) -> Result<wire::LabelColor> {
    let known = |wanted: &str| {
        let wanted = wanted.to_lowercase();
        let mut palette = PALETTE.split_ascii_whitespace();
        palette.find(|known| *known == wanted).map(str::to_owned)
    };
    let (Some(background), Some(text)) = (known(&color.background), known(&color.text)) else {
        return Err(invalid(format!(
            "Gmail's labels have these colours and no others: {PALETTE}"
        )));
    };
    Ok(wire::LabelColor {
        background_color: Some(background),
        text_color: Some(text),
    })
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// The labels that a change sets and clears.
pub(in crate::gmail) fn modification(change: &Change) -> Result<wire::Modification> {
    let labels = |add: &[&str], remove: &[&str]| wire::Modification {
        add_label_ids: add.iter().map(|label| (*label).to_owned()).collect(),
        remove_label_ids: remove.iter().map(|label| (*label).to_owned()).collect(),
    };
    Ok(match change {
        Change::Set(Keyword::Seen) => labels(&[], &[UNREAD]),
        Change::Clear(Keyword::Seen) => labels(&[UNREAD], &[]),
        Change::Set(keyword) => labels(&[keyword_label(keyword)?], &[]),
        Change::Clear(keyword) => labels(&[], &[keyword_label(keyword)?]),
        Change::MoveTo { to, from } => {
            let to = settable(to)?;
            let from = match from {
                Some(from) => vec![settable(from)?],
                None => vec!["INBOX", "SPAM", "TRASH"],
            };
            let from: Vec<&str> = from.into_iter().filter(|from| *from != to).collect();
            labels(&[to], &from)
        }
        Change::AddTo(folder) => labels(&[settable(folder)?], &[]),
        Change::RemoveFrom(folder) => labels(&[], &[settable(folder)?]),
        Change::Refile { into, out_of } => {
            if into.is_empty() && out_of.is_empty() {
                return Err(invalid(
                    "there is no folder to put the message into or take it out of",
                ));
            }
            if into.len() > MOST_LABELS || out_of.len() > MOST_LABELS {
                return Err(invalid("Gmail sets and clears at most 100 labels at once"));
            }
            if into.iter().any(|folder| out_of.contains(folder)) {
                return Err(invalid(
                    "a message cannot be put into a folder and taken out of it",
                ));
            }
            let settable = |folders: &[FolderId]| -> Result<Vec<String>> {
                let labels = folders.iter().map(settable);
                labels.map(|label| label.map(str::to_owned)).collect()
            };
            wire::Modification {
                add_label_ids: settable(into)?,
                remove_label_ids: settable(out_of)?,
            }
        }
        Change::Archive => labels(&[], &["INBOX"]),
        Change::Trash => labels(&["TRASH"], &["INBOX"]),
        Change::Restore => labels(&["INBOX"], &["TRASH"]),
        Change::Junk => labels(&["SPAM"], &["INBOX", "TRASH"]),
        Change::NotJunk => labels(&["INBOX"], &["SPAM"]),
        Change::Delete => {
            return Err(Error::unsupported("what is deleted for good has no labels"));
        }
    })
}

fn keyword_label(keyword: &Keyword) -> Result<&'static str> {
    match keyword {
        Keyword::Flagged => Ok("STARRED"),
        Keyword::Important => Ok("IMPORTANT"),
        Keyword::Answered => Err(Error::unsupported("Gmail does not mark what was answered")),
        Keyword::Custom(_) => Err(Error::unsupported(
            "Gmail has labels, which are folders here, and no other tags",
        )),
        _ => Err(Error::unsupported(
            "Gmail itself decides what is a draft: this cannot be changed",
        )),
    }
}

/// A label that can be set and cleared
/// (<https://developers.google.com/workspace/gmail/api/guides/labels#types_of_labels>).
fn settable(folder: &FolderId) -> Result<&str> {
    match folder.as_str() {
        UNREAD => Err(Error::new(
            ErrorKind::InvalidRequest,
            "unread is a keyword, not a folder: clear `Keyword::Seen`",
        )),
        label if FIXED.contains(&label) => Err(Error::unsupported(
            "Gmail itself decides what is in sent, drafts and chats: nothing can be moved there or away",
        )),
        label => Ok(label),
    }
}
