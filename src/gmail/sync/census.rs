//! What is in a mailbox, from listings of ids alone: one of everything, and one for each label, at 5 units for 500 ids. It is
//! what the host's copy is compared with after the history was lost, and by audits.

use std::collections::{BTreeSet, HashMap};

use crate::error::Result;
use crate::gmail::api::Api;
use crate::gmail::convert::{self, Label};
use crate::gmail::query::{self, Search};
use crate::gmail::{batch, wire};
use crate::http::{parse, protocol};
use crate::model::{AuditWindow, FolderId, Keyword, Message, MessageId, Query, Scope, ThreadId};
use crate::sync::Census;

const LIST: &str = "gmail.messages.list";

/// A message that is there, as far as a listing tells.
#[derive(Clone)]
pub(super) struct Listed {
    pub(super) id: MessageId,
    pub(super) thread: Option<ThreadId>,
}

/// All messages of a scope, by id, with the labels of each.
pub(super) struct Listings {
    messages: Vec<Listed>,
    /// Where each stood in its listing: newest first.
    ranks: HashMap<MessageId, usize>,
    labels: Vec<String>,
    /// Message and label, by their places, sorted.
    marks: Vec<(u32, u32)>,
}

/// The labels that a scope names; all messages are meant if it names none.
pub(super) fn labels(scope: &Scope) -> Vec<String> {
    let roles = scope
        .roles
        .iter()
        .filter_map(|role| convert::role_label(*role));
    let mut labels: Vec<String> = scope
        .folders
        .iter()
        .map(|folder| folder.as_str().to_owned())
        .chain(roles.map(str::to_owned))
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

/// Whether a message is within a scope, by its labels and its date.
pub(super) fn covers(scope: &Scope, message: &Message) -> bool {
    let folders = message.folders.as_deref().unwrap_or_default();
    let has = |label: &str| folders.iter().any(|folder| folder.as_str() == label);
    // Searches know whole seconds.
    let is_old = match (scope.since, message.received_at) {
        (Some(since), Some(received)) => received.timestamp() < since.timestamp(),
        _ => false,
    };
    let labels = labels(scope);
    let is_hidden = !scope.junk_and_trash && (has("SPAM") || has("TRASH"));
    !is_old && !is_hidden && (!scope.names_folders() || labels.iter().any(|label| has(label)))
}

/// The searches that together find all messages of a scope.
pub(super) fn searches(scope: &Scope, window: AuditWindow) -> Result<Vec<Search>> {
    let Some(all) = search(scope, window)? else {
        return Ok(Vec::new());
    };
    if !scope.names_folders() {
        return Ok(vec![all]);
    }
    let labels = labels(scope).into_iter();
    Ok(labels.map(|label| labelled(&all, label)).collect())
}

fn search(scope: &Scope, window: AuditWindow) -> Result<Option<Search>> {
    let from = scope.since.into_iter().chain(window.from).max();
    let from = from.map(Query::After);
    let until = window.until.map(Query::Before);
    let query = Query::And(from.into_iter().chain(until).collect());
    let search = query::compile(&query)?;
    Ok(search.map(|search| Search {
        junk_and_trash: scope.junk_and_trash,
        ..search
    }))
}

fn labelled(search: &Search, label: String) -> Search {
    Search {
        labels: vec![label],
        ..search.clone()
    }
}

/// Lists everything. Nothing may be concluded from a listing that did not come to its end, so an error ends all of it.
pub(super) async fn take(
    api: &Api,
    scope: &Scope,
    window: AuditWindow,
    known_labels: &[Label],
) -> Result<Listings> {
    let scoped = searches(scope, window)?;
    let mut found: HashMap<MessageId, (usize, Option<ThreadId>)> = HashMap::new();
    walk(api, &scoped, |_, listed| {
        let rank = found.len();
        found.entry(listed.id).or_insert((rank, listed.thread));
    })
    .await?;
    let mut messages: Vec<Listed> = Vec::with_capacity(found.len());
    let mut ranks = HashMap::with_capacity(found.len());
    for (id, (rank, thread)) in found {
        ranks.insert(id.clone(), rank);
        messages.push(Listed { id, thread });
    }
    messages.sort_by(|one, other| one.id.cmp(&other.id));
    let shown =
        |label: &&Label| scope.junk_and_trash || !matches!(label.id.as_str(), "SPAM" | "TRASH");
    let labels: Vec<String> = known_labels
        .iter()
        .filter(shown)
        .map(|label| label.id.clone())
        .chain([convert::UNREAD.to_owned()])
        .collect();
    let mut listings = Listings {
        messages,
        ranks,
        labels: Vec::new(),
        marks: Vec::new(),
    };
    if let Some(all) = search(scope, window)? {
        let searches: Vec<Search> = labels
            .iter()
            .map(|label| labelled(&all, label.clone()))
            .collect();
        let mut marks = Vec::new();
        walk(api, &searches, |label, listed| {
            let place = listings
                .messages
                .binary_search_by(|known| known.id.cmp(&listed.id));
            let mark = |place| Some((u32::try_from(place).ok()?, u32::try_from(label).ok()?));
            marks.extend(place.ok().and_then(mark));
        })
        .await?;
        marks.sort_unstable();
        marks.dedup();
        listings.marks = marks;
    }
    listings.labels = labels;
    Ok(listings)
}

/// Every page of these listings, side by side.
async fn walk(api: &Api, searches: &[Search], mut take: impl FnMut(usize, Listed)) -> Result<()> {
    let mut open: Vec<(usize, Option<String>)> =
        (0..searches.len()).map(|index| (index, None)).collect();
    while !open.is_empty() {
        let calls = open
            .iter()
            .filter_map(|(index, token)| Some(api.ids(searches.get(*index)?, token.as_deref())))
            .collect();
        let answers = batch::send(api, calls).await;
        let mut next = Vec::new();
        for ((index, token), answer) in open.into_iter().zip(answers) {
            let page: wire::MessageList = match answer {
                Ok(answer) => parse(LIST, &answer.body)?,
                // The label was deleted since the labels were listed.
                Err(error) if token.is_none() && super::is_refusal(&error) => continue,
                Err(error) => return Err(error),
            };
            let listed = page.messages.into_iter().flatten().flatten();
            for listed in listed.filter_map(Listed::read) {
                take(index, listed);
            }
            let following = page.next_page_token.filter(|token| !token.is_empty());
            if following.is_some() && following == token {
                return Err(protocol("a page of a listing leads to itself").with_operation(LIST));
            }
            if following.is_some() {
                next.push((index, following));
            }
        }
        open = next;
    }
    Ok(())
}

impl Listings {
    /// The message at a place.
    pub(super) fn at(&self, index: usize) -> Listed {
        self.messages.get(index).cloned().unwrap_or_else(|| Listed {
            id: MessageId::from(""),
            thread: None,
        })
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = &Listed> {
        self.messages.iter()
    }

    /// Newer messages come first.
    pub(super) fn rank(&self, id: &MessageId) -> usize {
        self.ranks.get(id).copied().unwrap_or(usize::MAX)
    }
}

impl Census for Listings {
    fn ids(&self) -> impl Iterator<Item = &MessageId> + Send {
        self.messages.iter().map(|listed| &listed.id)
    }

    fn state(&self, index: usize) -> (BTreeSet<FolderId>, BTreeSet<Keyword>) {
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        let from = self.marks.partition_point(|(message, _)| *message < place);
        let marks = self.marks.iter().skip(from);
        let labels: Vec<String> = marks
            .take_while(|(message, _)| *message == place)
            .filter_map(|(_, label)| self.labels.get(usize::try_from(*label).ok()?).cloned())
            .collect();
        let keywords = convert::keywords(&labels);
        (convert::folder_ids(labels).collect(), keywords)
    }
}
