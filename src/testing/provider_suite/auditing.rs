//! What every provider that audits promises of a copy that differs in more than anybody wants to be told one by one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that fails panics"
)]

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::ProviderFixture;
use super::syncing::with_messages;
use crate::model::{
    AuditWindow, Keyword, KnownMessage, Message, MessageId, Scope, UntoldDifferences,
};
use crate::provider::Known;

/// What a host has, sorted by id.
#[derive(Debug)]
struct Host(Vec<KnownMessage>);

#[async_trait]
impl Known for Host {
    async fn page(
        &self,
        after: Option<&MessageId>,
        limit: usize,
    ) -> crate::Result<Vec<KnownMessage>> {
        let all = self.0.iter();
        let following = all.filter(|known| after.is_none_or(|after| known.id > *after));
        Ok(following.take(limit).cloned().collect())
    }
}

/// Of each kind of difference an audit tells as many as are wanted, of what is missing the newest, and counts the others.
pub async fn an_audit_counts_what_it_does_not_tell(fixture: &dyn ProviderFixture) {
    let Some((mailbox, messages)) = with_messages(fixture, 9).await else {
        return;
    };
    if !mailbox.capabilities().audit {
        return;
    }
    let (lost, had) = messages.split_at(4);
    let mut known: Vec<KnownMessage> = had.iter().map(as_had).collect();
    for stale in &mut known[..3] {
        stale.keywords.push(Keyword::Flagged);
    }
    let stale = ids(&known[..3]);
    let made_up = (0..5).map(|number| MessageId::new(format!("made-up-{number}")));
    let made_up: Vec<MessageId> = made_up.collect();
    let extra = made_up.iter().cloned();
    known.extend(extra.map(|id| KnownMessage::new(id, Vec::new(), Vec::new())));
    known.sort_by(|one, other| one.id.cmp(&other.id));
    let host = Host(known);
    let scope = Scope::default();

    let few = AuditWindow::all().telling(2);
    let audit = mailbox.audit(&scope, few, &host).await.unwrap();
    assert_eq!(audit.checked, 9);
    assert!(!audit.is_clean());
    let told = |id: &MessageId| audit.missing.contains(id);
    let (missing, other): (Vec<_>, Vec<_>) = lost.iter().partition(|lost| told(&lost.id));
    assert_eq!((missing.len(), audit.missing.len()), (2, 2));
    let oldest = missing.iter().map(|told| told.received_at).min();
    assert!(
        other
            .iter()
            .all(|other| other.received_at <= oldest.flatten()),
        "the newest of what is missing are told"
    );
    assert_eq!(audit.extra, made_up[..2]);
    let told = audit.stale.iter().map(|update| update.id.clone());
    let told: BTreeSet<_> = told.collect();
    assert!(told.len() == 2 && told.is_subset(&stale), "{told:?}");
    let untold = audit.untold;
    assert_eq!((untold.missing, untold.extra, untold.stale), (2, 3, 1));
    assert_eq!(untold.total(), 6);

    let audit = mailbox
        .audit(&scope, AuditWindow::all(), &host)
        .await
        .unwrap();
    assert_eq!(audit.untold, UntoldDifferences::default());
    assert_eq!(audit.missing.len(), lost.len());
    assert_eq!(audit.extra, made_up);
    assert_eq!(audit.stale.len(), stale.len());
}

fn as_had(message: &Message) -> KnownMessage {
    let keywords = message.keywords.iter().flatten().cloned().collect();
    let folders = message.folders.clone().unwrap_or_default();
    KnownMessage::new(message.id.clone(), folders, keywords)
}

fn ids(known: &[KnownMessage]) -> BTreeSet<MessageId> {
    known.iter().map(|known| known.id.clone()).collect()
}
