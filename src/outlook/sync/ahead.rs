//! The newest mail, told ahead of its turn while a round over the folders takes many pages: the first walk through a large
//! mailbox, or all that happened to very many messages. Their turn comes all the same, in `listing.rs` or `round.rs`; what left
//! before it came, and is told by no folder for that, is read once more.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::backlog::Waiting;
use super::listing::{LIST, Listed, filter, read, second};
use super::place::Listing;
use super::{Step, is_closed};
use crate::error::Result;
use crate::model::{Detail, FolderId, MessageId};
use crate::outlook::{batch, reading};
use crate::provider::SyncChange;

/// How much time passes between two looks.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// By how much the service's clock and this one may differ.
const SLACK: TimeDelta = TimeDelta::minutes(5);

/// How many messages are told ahead in one round: their ids stand in the cursor.
const MOST: usize = 500;

/// What was told ahead of its turn.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Ahead {
    /// When the newest were looked at last.
    looked: DateTime<Utc>,
    /// When the first and the last of those that were told were received.
    oldest: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
    told: BTreeSet<MessageId>,
}

impl Ahead {
    /// The turn of a message has come.
    pub(super) fn note_turn(&mut self, id: &MessageId) {
        self.told.remove(id);
    }
}

impl Step<'_> {
    /// Tells the newest messages if this is a long round and some time has passed: at once where nothing was told yet.
    pub(super) async fn look_ahead(&mut self) -> Result<()> {
        let now = self.api.client.clock.now();
        let is_new = self.place.listing.as_ref().is_some_and(Listing::is_new);
        let is_first = self.place.first && is_new && self.place.ahead.is_none();
        let last = self
            .place
            .ahead
            .as_ref()
            .map_or(self.place.begun, |ahead| ahead.looked);
        let is_full = |ahead: &Ahead| ahead.told.len() >= MOST;
        if !self.place.round
            || !(is_first || now - last >= PAUSE)
            || self.place.ahead.as_ref().is_some_and(is_full)
        {
            return Ok(());
        }
        let begun = self.place.begun - SLACK;
        let ahead = self.place.ahead.take();
        let mut ahead = ahead.unwrap_or_else(|| Ahead {
            looked: now,
            oldest: None,
            newest: (!is_first).then_some(begun),
            told: BTreeSet::new(),
        });
        ahead.looked = now;
        let area = self.place.area();
        for (_, message) in self.newest(ahead.newest).await? {
            let received = second(&message);
            // The turn of those that cannot be read comes, too.
            let Ok(message) = message else { continue };
            if !area.covers(&message) || self.is_too_old(&message) {
                continue;
            }
            ahead.oldest = ahead.oldest.into_iter().chain(received).min();
            ahead.newest = ahead.newest.max(received);
            if ahead.told.insert(message.id.clone()) {
                self.found.push(SyncChange::Message(Box::new(message)));
            }
        }
        self.place.ahead = Some(ahead);
        Ok(())
    }

    /// The newest messages that were received since, by one request.
    async fn newest(&self, since: Option<DateTime<Utc>>) -> Result<Vec<Listed>> {
        let detail = self.place.scope.detail;
        let since = self.place.scope.since.max(since);
        let filter = filter(since, None);
        let area = self.place.area();
        let mut folders: Vec<Option<&FolderId>> = area.covered().map(Some).collect();
        if !self.place.scope.names_folders() || folders.len() > batch::LARGEST {
            folders = vec![None];
        }
        let most = if detail == Detail::Full { 50 } else { 250 };
        let size = (most / folders.len().max(1)).max(10).to_string();
        let calls = folders.iter().map(|folder| {
            let folder = folder.map(FolderId::as_str);
            self.api.newest(folder, filter.as_deref(), detail, &size)
        });
        let mut messages = Vec::new();
        for answer in batch::send(self.api, calls.collect()).await {
            match answer {
                Ok(answer) => messages.extend(read(reading::read(LIST, &answer)?, detail)?.0),
                // A folder that is gone, which the tree tells.
                Err(error) if folders.len() > 1 && is_closed(error.kind()) => {}
                // Their turn comes all the same.
                Err(error) if error.is_failure() => {}
                Err(error) => return Err(error),
            }
        }
        self.name_attachments(&mut messages).await;
        Ok(messages)
    }

    /// The round is over. What was told ahead is met again by the listing, where it comes by; what it passes without meeting
    /// it has left meanwhile, and is asked for.
    pub(super) fn settle_ahead(&mut self) {
        let Some(ahead) = self.place.ahead.take_if(|_| !self.place.round) else {
            return;
        };
        let is_to_come = self.place.listing.as_ref().is_some_and(|listing| {
            let is_passed = listing.until < ahead.oldest && listing.until.is_some();
            !self.place.scope.names_folders() && !listing.over && !is_passed
        });
        if is_to_come {
            self.place.ahead = Some(ahead);
            return;
        }
        self.place
            .backlog
            .extend(ahead.told.into_iter().map(Waiting::new));
    }
}
