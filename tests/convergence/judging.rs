//! Whether what a host has been told is right: at every page, and when all is quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postroom::{AuditWindow, Detail, MessageId, SyncChange, SyncPage};

use super::World;
use crate::mirror::{Copy, Mirror, gmail_truth, hidden_folders, outlook_truth};
use crate::support::{GMAIL, OUTLOOK};

impl World {
    /// Nothing that is there may ever be called deleted, not even for a moment: a host would delete what belongs to it.
    pub(super) fn judge(&mut self, page: &SyncPage) {
        let there = self.emulator.messages(self.address);
        for change in &page.changes {
            if let SyncChange::OutOfScope(id) = change {
                self.left.insert(id.clone());
            }
            if let SyncChange::Deleted(id) = change
                && !self.is_lied_to
                && there
                    .iter()
                    .any(|message| message.immutable_id == id.as_str())
            {
                self.wronged.push(id.clone());
            }
        }
    }

    async fn truth(&self) -> BTreeMap<MessageId, Copy> {
        let mut scope = self.scope.clone();
        let roles = scope.roles.iter();
        scope
            .folders
            .extend(roles.filter_map(|role| self.roles.get(role).cloned()));
        if self.is_gmail() {
            return gmail_truth(&self.emulator, GMAIL, &scope);
        }
        let hidden = hidden_folders(&self.user).await;
        outlook_truth(&self.emulator, OUTLOOK, &scope, &hidden)
    }

    /// What differs after one quiet audited round.
    pub(crate) async fn settle(&mut self) -> Result<(), String> {
        self.emulator.hold_changes(OUTLOOK, false);
        self.emulator.clear_faults();
        self.emulator.release_sent_copies(self.address);
        self.clock.advance(Duration::from_secs(2 * 60 * 60));
        let host = self.hosts[0].clone();
        // In an ordinary round of its own.
        let ordinary = self.mirror.fork();
        let pages = ordinary.follow(&host, &self.scope).await;
        self.judge_last("in an ordinary round", pages)?;
        self.judge_ordinary(&ordinary).await?;
        let pages = self.mirror.follow_audited(&host, &self.scope).await;
        self.judge_last("at last", pages)?;
        if !self.wronged.is_empty() {
            return Err(format!("called deleted and there: {:?}", self.wronged));
        }
        let (copy, truth) = (self.mirror.messages(), self.truth().await);
        difference(&copy, &truth, self.scope.detail)?;
        let folders = self.user.folders().await;
        let folders = folders.map_err(|error| format!("{error:?}"))?;
        let there = folders
            .iter()
            .map(|folder| (folder.id.to_string(), folder.name.clone()));
        if there.collect::<BTreeMap<_, _>>() != self.mirror.folders() {
            return Err("folders differ".to_owned());
        }
        let audit = host
            .audit(&self.scope, AuditWindow::all(), self.mirror.as_ref())
            .await;
        let audit = audit.map_err(|error| format!("{error:?}"))?;
        if !audit.is_clean() {
            return Err(format!("{audit:?}"));
        }
        // Nothing is left to tell.
        let pages = self.mirror.follow(&host, &self.scope).await;
        let pages = pages.map_err(|error| format!("{error:?}"))?;
        if pages.iter().all(|page| page.changes.is_empty()) {
            Ok(())
        } else {
            Err(format!("there is more: {pages:?}"))
        }
    }

    fn judge_last(
        &mut self,
        when: &str,
        pages: postroom::Result<Vec<SyncPage>>,
    ) -> Result<(), String> {
        for page in &pages.map_err(|error| format!("{when}: {error:?}"))? {
            self.tell(format!("{when} {}", summary(page)));
            self.judge(page);
        }
        Ok(())
    }

    /// What the service has forgotten, or failed at, may be stale or too much until an audited round, and nothing else. Nothing is
    /// missing but what left the scope, and came back to a folder in which Graph had forgotten it: that it does not tell
    /// (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/21752>).
    async fn judge_ordinary(&self, mirror: &Mirror) -> Result<(), String> {
        if self.is_lied_to {
            return Ok(());
        }
        let (mut copy, truth) = (mirror.messages(), self.truth().await);
        if self.is_gmail() {
            for id in mirror.unreadable() {
                match truth.get(&id) {
                    Some(there) => copy.insert(id, there.clone()),
                    None => copy.remove(&id),
                };
            }
            return difference(&copy, &truth, self.scope.detail)
                .map_err(|difference| format!("in an ordinary round {difference}"));
        }
        let forgotten = self.emulator.forgotten_by_deltas(OUTLOOK);
        let is_forgotten = |id: &MessageId| forgotten.iter().any(|one| one == id.as_str());
        let missing = truth.keys().filter(|id| !copy.contains_key(*id));
        let missing: Vec<_> = missing
            .filter(|id| !(self.left.contains(*id) && is_forgotten(id)))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("missing in an ordinary round {missing:?}"))
        }
    }
}

/// A page in a few words.
pub(super) fn summary(page: &SyncPage) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for change in &page.changes {
        let name = match change {
            SyncChange::Message(_) => "messages",
            SyncChange::Moved { .. } => "moved",
            SyncChange::Updated(_) => "updated",
            SyncChange::Unreadable(..) => "unreadable",
            SyncChange::OutOfScope(_) => "out of scope",
            SyncChange::Deleted(_) => "deleted",
            _ => "folders",
        };
        *counts.entry(name).or_default() += 1;
    }
    format!("a page of {counts:?}, more: {}", page.more)
}

/// What is different, as far as a copy with this much detail can tell.
fn difference(
    copy: &BTreeMap<MessageId, Copy>,
    truth: &BTreeMap<MessageId, Copy>,
    detail: Detail,
) -> Result<(), String> {
    let ids = |all: &BTreeMap<MessageId, Copy>| all.keys().cloned().collect::<BTreeSet<_>>();
    let (had, there) = (ids(copy), ids(truth));
    let missing: Vec<_> = there.difference(&had).collect();
    let extra: Vec<_> = had.difference(&there).collect();
    let stale = truth
        .iter()
        .filter(|(id, there)| copy.get(*id).is_some_and(|copy| copy != *there));
    let stale: Vec<_> = stale
        .map(|(id, there)| (there, copy.get(id)))
        .filter(|_| detail != Detail::Ids)
        .collect();
    if missing.is_empty() && extra.is_empty() && stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "missing {missing:?}, extra {extra:?}, stale {stale:?}"
    ))
}
