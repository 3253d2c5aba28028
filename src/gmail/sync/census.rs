//! What is in a mailbox, from listings of ids alone: one of everything, and one for each label, at 5 units for 500 ids. It is
//! what the host's copy is compared with after the history was lost, and by audits.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, ErrorKind, Result};
use crate::gmail::api::{Api, Format, LONGEST_PAGE, units};
use crate::gmail::convert::{self, Label};
use crate::gmail::query::{self, Search};
use crate::gmail::reading::{Listed, Prices};
use crate::gmail::{batch, wire};
use crate::http::{parse, protocol};
use crate::model::{AuditWindow, Detail, KnownMessage, Message, MessageId, Query, Scope};
use crate::provider::Trail;
use crate::sync::{self, Census, Probe, Sighting, Sorted, Spool, There};

pub(super) const LIST: &str = "gmail.messages.list";

/// How many listings go on side by side: as many as four batches hold.
const SIDE_BY_SIDE: usize = 4 * batch::LARGEST;

/// A label's listing says nothing of whether a message is within the scope, and comes after those that do.
const LABEL: u64 = u64::MAX;

/// All messages of a scope, by id, with the labels of each.
pub(super) struct Listings {
    sightings: Sorted,
    labels: Vec<String>,
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

/// Whether a scope can be had at all. Gmail has no label for the archive.
pub(super) fn check(scope: &Scope) -> Result<()> {
    sync::check_roles(scope, |role| convert::role_label(role).is_some())
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
    // A listing of either has what is in it, whether or not spam and trash are asked for.
    let is_covered =
        |label: &String| scope.junk_and_trash || !matches!(label.as_str(), "SPAM" | "TRASH");
    let labels = labels(scope).into_iter().filter(is_covered);
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
    // Gmail's own labels are always there. Without them, every message would seem to have left all of its own.
    if known_labels.is_empty() {
        return Err(protocol("the service lists no labels").with_operation("gmail.labels.list"));
    }
    let mut spool = Spool::new();
    let mut rank = 0;
    let scoped = searches(scope, window)?;
    walk(api, &scoped, &mut spool, |_, listed| {
        rank += 1;
        Some(Sighting {
            id: listed.id,
            order: rank,
            rank,
            thread: listed.thread,
            marks: Vec::new(),
        })
    })
    .await?;
    let shown =
        |label: &&Label| scope.junk_and_trash || !matches!(label.id.as_str(), "SPAM" | "TRASH");
    let labels: Vec<String> = known_labels
        .iter()
        .filter(shown)
        .map(|label| label.id.clone())
        .chain([convert::UNREAD.to_owned()])
        .collect();
    let all = search(scope, window)?.filter(|_| scope.detail != Detail::Ids);
    if let Some(all) = all {
        let searches: Vec<Search> = labels
            .iter()
            .map(|label| labelled(&all, label.clone()))
            .collect();
        walk(api, &searches, &mut spool, |label, listed| {
            Some(Sighting {
                id: listed.id,
                order: LABEL,
                rank: LABEL,
                thread: None,
                marks: u32::try_from(label).into_iter().collect(),
            })
        })
        .await?;
    }
    Ok(Listings {
        sightings: spool.sorted().await?,
        labels,
    })
}

/// Every page of these listings, side by side. What is seen is kept where that is said.
async fn walk(
    api: &Api,
    searches: &[Search],
    spool: &mut Spool,
    mut seen: impl FnMut(usize, Listed) -> Option<Sighting> + Send,
) -> Result<()> {
    let mut open: Vec<(usize, Option<String>, Trail)> = (0..searches.len())
        .map(|index| (index, None, Trail::default()))
        .collect();
    while !open.is_empty() {
        let waiting = open.split_off(open.len().min(SIDE_BY_SIDE));
        let calls = open
            .iter()
            .filter_map(|(index, token, _)| Some(api.ids(searches.get(*index)?, token.as_deref())))
            .collect();
        let answers = batch::send(api, calls).await;
        let mut next = Vec::new();
        for ((index, token, mut trail), answer) in open.into_iter().zip(answers) {
            let page: wire::MessageList = match answer {
                Ok(answer) => parse(LIST, &answer.body)?,
                Err(error) => {
                    let search = searches.get(index).filter(|_| token.is_none());
                    if let Some(search) = search
                        && is_of_no_label(api, search, &error).await?
                    {
                        continue;
                    }
                    return Err(error);
                }
            };
            let listed = page.messages.into_iter().flatten().flatten();
            for listed in listed.filter_map(super::listed) {
                if let Some(sighting) = seen(index, listed) {
                    spool.push(sighting).await?;
                }
            }
            let following = page.next_page_token.filter(|token| !token.is_empty());
            if let Some(following) = following {
                let goes_on = trail.go_on(&following);
                goes_on.map_err(|error| error.with_operation(LIST))?;
                next.push((index, Some(following), trail));
            }
        }
        next.extend(waiting);
        open = next;
    }
    Ok(())
}

/// Whether a listing was refused because the label that it names was deleted since the labels were listed. A service that
/// refuses a listing for any other reason has told nothing of what is there.
pub(super) async fn is_of_no_label(api: &Api, search: &Search, error: &Error) -> Result<bool> {
    let [label] = search.labels.as_slice() else {
        return Ok(false);
    };
    if !super::is_refusal(error) || label == convert::UNREAD {
        return Ok(false);
    }
    let labels = convert::labels(api.labels().await?);
    // Gmail's own labels are always there: an answer without any tells nothing.
    Ok(!labels.is_empty() && labels.iter().all(|known| known.id != *label))
}

/// Which of these messages, which no listing of a scope had, are in the mailbox all the same: from a listing of all that it has,
/// where that costs less than asking for each of them.
pub(super) async fn elsewhere(
    api: &Api,
    scope: &Scope,
    ids: &[MessageId],
) -> Result<HashSet<MessageId>> {
    let mut elsewhere = HashSet::new();
    let all = searches(&Scope::everything(), AuditWindow::all())?;
    let asking = Prices::of(&api.client).of_messages(ids.len());
    let listing = u64::from(api.client.units(LIST, units::MESSAGES_LIST));
    // How many messages there are is not worth being asked for, either, where one page costs more.
    if asking <= listing || searches(scope, AuditWindow::all())? == all {
        return Ok(elsewhere);
    }
    let profile = batch::send(api, vec![api.baseline()]).await.pop();
    let pages = super::baseline(profile)?
        .messages
        .map(|total| total / u64::from(LONGEST_PAGE) + 1);
    if pages.is_none_or(|pages| listing.saturating_mul(pages) >= asking) {
        return Ok(elsewhere);
    }
    let wanted: HashSet<&MessageId> = ids.iter().collect();
    walk(api, &all, &mut Spool::new(), |_, listed| {
        if wanted.contains(&listed.id) {
            elsewhere.insert(listed.id);
        }
        None
    })
    .await?;
    Ok(elsewhere)
}

/// Asks for messages one by one.
pub(super) struct OneByOne<'a> {
    pub(super) api: &'a Api,
    pub(super) scope: &'a Scope,
}

impl Probe for OneByOne<'_> {
    async fn gone(&self, extra: Vec<KnownMessage>) -> Result<Vec<KnownMessage>> {
        let calls = extra
            .iter()
            .map(|extra| self.api.message(extra.id.as_str(), Format::Minimal))
            .collect();
        let answers = batch::send(self.api, calls).await;
        let mut gone = Vec::new();
        for (extra, answer) in extra.into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    let message: wire::Message = parse("gmail.messages.get", &answer.body)?;
                    let message = convert::message(message, Detail::Ids, &HashMap::new())?;
                    if !covers(self.scope, &message) {
                        gone.push(extra);
                    }
                }
                Err(error) if is_no_message(&error) => gone.push(extra),
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }
}

/// Whether the service says that there is no such message, or that what was asked for is no id of its own.
pub(super) fn is_no_message(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || matches!(error.code(), Some("invalidArgument" | "INVALID_ARGUMENT"))
}

impl Census for Listings {
    async fn next(&mut self) -> Result<Option<There>> {
        while let Some(sightings) = self.sightings.next().await? {
            let mut sightings = sightings.into_iter();
            let Some(first) = sightings.next().filter(|first| first.order != LABEL) else {
                // It came into the mailbox since the scope was listed, and its history is told.
                continue;
            };
            let marks = sightings.flat_map(|sighting| sighting.marks);
            let mut labels: Vec<String> = marks
                .filter_map(|label| self.labels.get(usize::try_from(label).ok()?).cloned())
                .collect();
            labels.dedup();
            return Ok(Some(There {
                told: true,
                id: first.id,
                thread: first.thread,
                rank: first.rank,
                keywords: convert::keywords(&labels),
                folders: convert::folder_ids(labels).collect(),
            }));
        }
        Ok(None)
    }
}
