//! What every provider's sync does alike: it gathers what it found, each message once, and compares what the host has with
//! what is there, in one walk over both. How a service tells what is there is each provider's.

#![cfg_attr(
    not(all(feature = "gmail", feature = "outlook")),
    allow(dead_code, reason = "each provider uses its own part")
)]

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{FolderId, Keyword, KnownMessage, MessageId, MessageUpdate};
use crate::provider::{Known, SyncChange};

/// How many of the host's messages are read at once.
const KNOWN_PAGE: usize = 1_000;

/// A rule that keeps mail from being lost, or from being deleted by mistake. Tests switch single ones off, to see that they
/// would be missed.
#[cfg_attr(
    not(feature = "testing"),
    allow(unreachable_pub, reason = "only tests name it from outside")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncRule {
    /// What left a folder is asked for before it is called deleted.
    Probe,
    /// What is seen in one folder has not gone, whatever another says.
    PresenceBeatsRemoval,
    /// What left a folder is held until all folders have told.
    HeldRemovals,
    /// A cursor goes no further than what was told.
    CursorLast,
    /// What an answer does not mention is as it was.
    UnknownIsNotAbsent,
    /// An audited round counts.
    CountCheck,
}

/// The rules that hold: all but those that a test has switched off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Guards(Option<SyncRule>);

impl Guards {
    #[cfg(feature = "testing")]
    pub(crate) fn without(rule: SyncRule) -> Self {
        Self(Some(rule))
    }

    pub(crate) fn hold(self, rule: SyncRule) -> bool {
        self.0 != Some(rule)
    }
}

/// How a page of a sync is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) guards: Guards,
    /// Whether its round is audited.
    pub(crate) audited: bool,
}

impl Mode {
    pub(crate) fn new(guards: Guards, audited: bool) -> Self {
        Self { guards, audited }
    }
}

/// The changes of one page.
#[derive(Debug, Default)]
pub(crate) struct Found {
    changes: Vec<SyncChange>,
    places: HashMap<MessageId, usize>,
}

impl Found {
    /// Adds a change. What was said of the same message before is older, and counts no longer.
    pub(crate) fn push(&mut self, change: SyncChange) {
        let id = change.message_id().cloned();
        let place = id.as_ref().and_then(|id| self.places.get(id).copied());
        if let Some(earlier) = place.and_then(|place| self.changes.get_mut(place)) {
            *earlier = change;
            return;
        }
        if let Some(id) = id {
            self.places.insert(id, self.changes.len());
        }
        self.changes.push(change);
    }

    pub(crate) fn extend(&mut self, changes: impl IntoIterator<Item = SyncChange>) {
        for change in changes {
            self.push(change);
        }
    }

    pub(crate) fn into_changes(self) -> Vec<SyncChange> {
        self.changes
    }
}

/// What a service has, as far as a complete listing tells.
pub(crate) trait Census {
    /// All ids, sorted, each once.
    fn ids(&self) -> impl Iterator<Item = &MessageId> + Send;

    /// In which folders the message at this place is, and which keywords it has.
    fn state(&self, place: usize) -> (BTreeSet<FolderId>, BTreeSet<Keyword>);
}

/// How what the host has differs from a census.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// The places in the census of those that the host does not have.
    pub(crate) missing: Vec<usize>,
    /// What only the host has.
    pub(crate) extra: Vec<MessageId>,
    /// What is different of those that both have.
    pub(crate) stale: Vec<MessageUpdate>,
}

/// Walks over both, which takes no more memory than the census and what is different. Of what the host has, only what the
/// census is about is compared with it.
pub(crate) async fn compare<C: Census + Sync>(
    known: &dyn Known,
    census: &C,
    is_about: impl Fn(&KnownMessage) -> bool + Send,
) -> Result<Differences> {
    let mut differences = Differences::default();
    let mut there = census.ids().enumerate().peekable();
    let mut last: Option<MessageId> = None;
    loop {
        let page = known.page(last.as_ref(), KNOWN_PAGE).await?;
        let is_last = page.len() < KNOWN_PAGE;
        for message in page {
            if last.as_ref().is_some_and(|last| *last >= message.id) {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    "what the host says it has is not sorted by id",
                ));
            }
            last = Some(message.id.clone());
            if !is_about(&message) {
                continue;
            }
            while let Some((place, _)) = there.next_if(|(_, id)| **id < message.id) {
                differences.missing.push(place);
            }
            match there.next_if(|(_, id)| **id == message.id) {
                Some((place, _)) => {
                    let update = update(&message, census.state(place));
                    differences.stale.extend(update);
                }
                None => differences.extra.push(message.id),
            }
        }
        if is_last {
            differences.missing.extend(there.map(|(place, _)| place));
            return Ok(differences);
        }
    }
}

/// What makes the host's state of a message the service's.
fn update(
    known: &KnownMessage,
    (folders, keywords): (BTreeSet<FolderId>, BTreeSet<Keyword>),
) -> Option<MessageUpdate> {
    let known_folders: BTreeSet<FolderId> = known.folders.iter().cloned().collect();
    let known_keywords: BTreeSet<Keyword> = known.keywords.iter().cloned().collect();
    if known_folders == folders && known_keywords == keywords {
        return None;
    }
    let mut update = MessageUpdate::new(known.id.clone());
    update.into = folders.difference(&known_folders).cloned().collect();
    update.out_of = known_folders.difference(&folders).cloned().collect();
    update.set = keywords.difference(&known_keywords).cloned().collect();
    update.cleared = known_keywords.difference(&keywords).cloned().collect();
    Some(update)
}
