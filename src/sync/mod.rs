//! What every provider's sync does alike: it gathers what it found, each message once, and says how far it has got. How what
//! the host has is compared with what is there is `comparison.rs`'s; how a service tells what is there is each provider's.

#![cfg_attr(
    not(all(feature = "gmail", feature = "outlook")),
    allow(dead_code, reason = "each provider uses its own part")
)]

mod comparison;
mod spool;
mod unreadable;

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Audit, AuditWindow, Detail, FolderRole, MessageId, Scope, Spent, SyncProgress};
use crate::provider::SyncChange;

pub(crate) use comparison::{Census, Differences, Probe, Terms, There, Unprobed, compare};
pub(crate) use spool::{Sighting, Sorted, Spool};
pub(crate) use unreadable::{Refused, Unreadable, is_answered};

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
    /// Adds a change. What was said of the same message before is older: what both say of is as the later one says.
    pub(crate) fn push(&mut self, change: SyncChange) {
        let id = change.message_id().cloned();
        let place = id.as_ref().and_then(|id| self.places.get(id).copied());
        if let Some(earlier) = place.and_then(|place| self.changes.get_mut(place)) {
            match (&mut *earlier, change) {
                (SyncChange::Updated(earlier), SyncChange::Updated(later)) => earlier.go_on(later),
                (
                    SyncChange::Message(message) | SyncChange::Moved { message, .. },
                    SyncChange::Updated(later),
                ) => {
                    // The host may not have it yet, and needs all of it.
                    let (mut no_folders, mut no_keywords) = Default::default();
                    later.apply(
                        message.folders.as_mut().unwrap_or(&mut no_folders),
                        message.keywords.as_mut().unwrap_or(&mut no_keywords),
                    );
                    earlier.stay_true();
                }
                (SyncChange::Moved { message, .. }, SyncChange::Message(later)) => {
                    *message = later;
                    earlier.stay_true();
                }
                (earlier, later) => *earlier = later,
            }
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

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes there are so far.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn into_changes(self) -> Vec<SyncChange> {
        self.changes
    }
}

/// Refuses a scope that names a role which the service has no folder for: left out, such a scope would be another one, or none.
pub(crate) fn check_roles(scope: &Scope, has: impl Fn(FolderRole) -> bool) -> Result<()> {
    if scope.roles.iter().all(|role| has(*role)) {
        return Ok(());
    }
    Err(Error::unsupported(
        "the scope names a role that this service has no folder for",
    ))
}

/// How far a sync has got, and what the page cost.
pub(crate) fn progress(done: u64, expected: Option<u64>, cost: Spent) -> SyncProgress {
    SyncProgress {
        done,
        expected,
        units: cost.units,
        requests: cost.requests,
    }
}

/// What an audit compares.
pub(crate) fn audit_terms(detail: Detail, window: AuditWindow) -> Terms {
    Terms {
        most: window.most_told(),
        states: detail != Detail::Ids,
        reads: false,
        drafts: false,
    }
}

/// What an audit says of these differences.
pub(crate) fn audited(differences: Differences, cost: Spent) -> Audit {
    let missing = differences.missing.into_iter();
    let extra = differences.extra.into_iter();
    Audit {
        checked: differences.checked,
        missing: missing.map(|missing| missing.id).collect(),
        extra: extra.map(|extra| extra.id).collect(),
        stale: differences.stale,
        untold: differences.more,
        units: cost.units,
        requests: cost.requests,
    }
}

/// Differences that were told and are no fewer than before are still there: nobody stores what is told.
pub(crate) fn no_progress() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "what was told of a mailbox still differs from what the host says it has",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FolderId, Keyword, MessageUpdate};

    #[test]
    fn of_two_changes_of_one_message_none_is_lost_and_the_later_one_wins() {
        let update = |change: fn(&mut MessageUpdate)| {
            let mut update = MessageUpdate::new(MessageId::from("one"));
            change(&mut update);
            SyncChange::Updated(update)
        };
        let mut found = Found::default();
        found.push(update(|update| {
            update.has(Keyword::Seen, true);
            update.has(Keyword::Flagged, true);
            update.has(Keyword::Custom("Blue".to_owned()), true);
            update.came_into(FolderId::from("inbox"));
        }));
        found.push(update(|update| {
            update.custom = Some(["Red".to_owned()].into());
            update.has(Keyword::Flagged, false);
            update.came_into(FolderId::from("archive"));
        }));
        found.push(update(|update| update.left(FolderId::from("inbox"))));
        let changes = found.into_changes();
        let [SyncChange::Updated(told)] = changes.as_slice() else {
            panic!("one change was expected: {changes:?}");
        };
        let mut folders = vec![FolderId::from("inbox")];
        let mut keywords = [Keyword::Flagged, Keyword::Custom("Green".to_owned())].into();
        told.apply(&mut folders, &mut keywords);
        assert_eq!(folders, [FolderId::from("archive")]);
        let red = Keyword::Custom("Red".to_owned());
        assert_eq!(keywords, [Keyword::Seen, red].into());
    }
}
