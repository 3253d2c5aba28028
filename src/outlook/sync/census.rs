//! What is in a mailbox's folders, from listings of states alone, a thousand to the page: what the host's copy is compared
//! with after a folder's cursor was lost, and by audits. And which folders a scope covers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::is_closed;
use super::listing::second;
use crate::error::Result;
use crate::model::{
    AuditWindow, Detail, Folder, FolderId, FolderRole, Keyword, Message, MessageId, Scope,
};
use crate::outlook::api::Api;
use crate::outlook::reading::{self, no_list};
use crate::outlook::{batch, wire};
use crate::provider::Trail;
use crate::sync::{Census, Sighting, Sorted, Spool, There};

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

/// What stands for a keyword or a folder among the marks of a sighting.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
enum Mark {
    Folder(FolderId),
    Keyword(Keyword),
    /// Of a message with an id and nothing else, the state is not told.
    Untold,
    /// A folder whose walk was begun again: nothing is known of what only the earlier one saw there.
    Forgotten,
}

/// States of messages as they are listed.
pub(super) struct Counting {
    spool: Spool,
    marks: Vec<Mark>,
    numbers: HashMap<Mark, u32>,
    count: u64,
}

impl Counting {
    pub(super) fn new() -> Self {
        Self {
            spool: Spool::new(),
            marks: Vec::new(),
            numbers: HashMap::new(),
            count: 0,
        }
    }

    /// Notes a message. Of one that was moved meanwhile and comes twice, what comes later holds.
    pub(super) async fn note(&mut self, message: Message) -> Result<()> {
        let is_told = message.folders.is_some() && message.keywords.is_some();
        let folders = message.folders.into_iter().flatten().map(Mark::Folder);
        let keywords = message.keywords.into_iter().flatten().map(Mark::Keyword);
        let untold = (!is_told).then_some(Mark::Untold);
        let marks = folders.chain(keywords).chain(untold).collect::<Vec<_>>();
        let marks = marks.into_iter().map(|mark| self.number(mark)).collect();
        let received = message.received_at.map_or(0, |at| at.timestamp_millis());
        self.add(
            message.id,
            u64::try_from(received).unwrap_or_default(),
            marks,
        )
        .await
    }

    /// Notes that a message is not there after all.
    pub(super) async fn note_gone(&mut self, id: MessageId) -> Result<()> {
        self.add(id, 0, Vec::new()).await
    }

    /// What was noted so far as lying in a folder does not count: the folder is walked through once more.
    pub(super) fn forget(&mut self, folder: &FolderId) {
        let number = self.numbers.remove(&Mark::Folder(folder.clone()));
        let place = number.and_then(|number| usize::try_from(number).ok());
        if let Some(mark) = place.and_then(|place| self.marks.get_mut(place)) {
            *mark = Mark::Forgotten;
        }
    }

    async fn add(&mut self, id: MessageId, received: u64, marks: Vec<u32>) -> Result<()> {
        self.count += 1;
        self.spool
            .push(Sighting {
                id,
                order: u64::MAX - self.count,
                rank: u64::MAX - received,
                thread: None,
                marks,
            })
            .await
    }

    fn number(&mut self, mark: Mark) -> u32 {
        if let Some(number) = self.numbers.get(&mark) {
            return *number;
        }
        // More folders and categories than that do not fit into a mailbox.
        let number = u32::try_from(self.marks.len()).unwrap_or(u32::MAX);
        self.numbers.insert(mark.clone(), number);
        self.marks.push(mark);
        number
    }

    pub(super) async fn sorted(self) -> Result<States> {
        Ok(States {
            sightings: self.spool.sorted().await?,
            marks: self.marks,
        })
    }
}

/// All messages of some folders, sorted by id, with their states.
pub(super) struct States {
    sightings: Sorted,
    marks: Vec<Mark>,
}

/// Where the listing of a folder goes on.
struct Open<'a> {
    folder: &'a FolderId,
    /// After what was received in this second or later, which comes once more. What leaves the folder meanwhile moves nothing
    /// past this, as it does past the address of the next page.
    until: Option<DateTime<Utc>>,
    /// Within one second, which has more messages than a page.
    link: Option<String>,
    trail: Trail,
}

/// The second that a page reaches back to, if it goes through more than one, newest first.
fn reached(times: &[Option<DateTime<Utc>>]) -> Option<DateTime<Utc>> {
    let times: Option<Vec<_>> = times.iter().copied().collect();
    let times = times?;
    let (newest, oldest) = (times.first()?, times.last()?);
    let is_sorted = times.is_sorted_by(|one, next| one >= next);
    (is_sorted && newest > oldest).then_some(*oldest)
}

/// Lists these folders, and says which of them are said not to be there: that they are gone only the tree of folders tells.
/// Nothing may be concluded from a listing that did not come to its end, so any other error ends all of it.
pub(super) async fn take(
    api: &Api,
    scope: &Scope,
    window: AuditWindow,
    folders: &[FolderId],
) -> Result<(States, BTreeSet<FolderId>)> {
    let first = |folder| Open {
        folder,
        until: None,
        link: None,
        trail: Trail::default(),
    };
    let mut open: Vec<Open<'_>> = folders.iter().map(first).collect();
    let mut counting = Counting::new();
    let mut refused = BTreeSet::new();
    while !open.is_empty() {
        let waiting = open.split_off(open.len().min(batch::LARGEST));
        let calls = open
            .iter()
            .map(|open| match &open.link {
                Some(link) => api.following(LIST, link),
                None => {
                    let filter = filter(scope, window, open.until);
                    api.states(open.folder.as_str(), filter.as_deref())
                }
            })
            .collect();
        let answers = batch::send(api, calls).await;
        let mut next = Vec::new();
        for (mut open, answer) in open.into_iter().zip(answers) {
            let page: wire::Collection = match answer {
                Ok(answer) => reading::read(LIST, &answer)?,
                Err(error) if open.link.is_none() && is_closed(error.kind()) => {
                    counting.forget(open.folder);
                    refused.insert(open.folder.clone());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut times = Vec::new();
            for item in page.value.ok_or_else(|| no_list(LIST))? {
                let message = reading::message(item.get().as_bytes(), Detail::Ids);
                times.push(second(&message));
                // What has not even an id cannot be compared, and holds up nothing else.
                if let Ok(message) = message {
                    counting.note(message).await?;
                }
            }
            if let Some(following) = page.next_link {
                let until = reached(&times);
                if until.is_none() {
                    let goes_on = open.trail.go_on(&following);
                    goes_on.map_err(|error| error.with_operation(LIST))?;
                }
                next.push(Open {
                    folder: open.folder,
                    until: until.or(open.until),
                    link: until.is_none().then_some(following),
                    trail: open.trail,
                });
            }
        }
        next.extend(waiting);
        open = next;
    }
    Ok((counting.sorted().await?, refused))
}

/// A listing may be filtered by when messages were received; only changes must not be.
fn filter(scope: &Scope, window: AuditWindow, reached: Option<DateTime<Utc>>) -> Option<String> {
    let from = scope.since.into_iter().chain(window.from).max();
    let from = from.map(|from| ("ge", from));
    let reached = reached.map(|reached| reached + TimeDelta::seconds(1));
    let until = window.until.into_iter().chain(reached).min();
    let until = until.map(|until| ("lt", until));
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

impl Census for States {
    async fn next(&mut self) -> Result<Option<There>> {
        while let Some(sightings) = self.sightings.next().await? {
            let Some(latest) = sightings.into_iter().next() else {
                continue;
            };
            // Every message lies in a folder.
            if latest.marks.is_empty() {
                continue;
            }
            let mut is_forgotten = false;
            let mut there = There {
                id: latest.id,
                thread: None,
                rank: latest.rank,
                folders: BTreeSet::new(),
                keywords: BTreeSet::new(),
                told: true,
            };
            for number in latest.marks {
                let place = usize::try_from(number).unwrap_or(usize::MAX);
                match self.marks.get(place) {
                    Some(Mark::Folder(folder)) => _ = there.folders.insert(folder.clone()),
                    Some(Mark::Keyword(keyword)) => _ = there.keywords.insert(keyword.clone()),
                    Some(Mark::Untold) => there.told = false,
                    Some(Mark::Forgotten) => is_forgotten = true,
                    None => {}
                }
            }
            if is_forgotten {
                continue;
            }
            return Ok(Some(there));
        }
        Ok(None)
    }
}
