//! What every provider promises of what it does not claim: that it is refused as unsupported. Cases about what can be done
//! begin by asking here whether it can.

#![allow(clippy::missing_panics_doc, reason = "a test that fails panics")]

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;

use super::organising::{kind, refusal};
use super::{ProviderFixture, inbox};
use crate::error::{Delivery, ErrorKind};
use crate::mailbox::Mailbox;
use crate::model::{
    Address, Change, KnownMessage, MessageId, Outgoing, Scope, SendKey, SendTicket,
};
use crate::provider::Known;

/// Whether messages can be changed. Where they cannot, `change` is refused.
pub(super) async fn changes(mailbox: &Mailbox, ids: &[MessageId], change: &Change) -> bool {
    let claimed = mailbox.capabilities().change;
    if !claimed {
        let outcomes = mailbox.apply(ids, change).await;
        assert_eq!(refusal(outcomes), Some(ErrorKind::Unsupported));
    }
    claimed
}

/// Whether messages can be sent. Where they cannot, `outgoing` is refused and not sent.
pub(super) async fn sends(mailbox: &Mailbox, outgoing: &Outgoing) -> bool {
    let claimed = mailbox.capabilities().send;
    if !claimed {
        let refused = mailbox.send(outgoing).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        assert_eq!(refused.delivery(), Delivery::NotSent);
    }
    claimed
}

/// A host that has nothing.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Known for Nothing {
    async fn page(&self, _: Option<&MessageId>, _: usize) -> crate::Result<Vec<KnownMessage>> {
        Ok(Vec::new())
    }
}

/// A sync begins where it is claimed, and is refused where it is not.
pub async fn sync_is_refused_unless_claimed(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let mut pages = mailbox.sync(None, Scope::default(), Arc::new(Nothing));
    let first = pages.next().await.expect("a sync says something");
    let refused = (!mailbox.capabilities().sync).then_some(ErrorKind::Unsupported);
    assert_eq!(kind(first), refused);
}

/// What became of a send that is over is told where that is claimed, and refused where it is not.
pub async fn confirm_is_refused_unless_claimed(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let capabilities = mailbox.capabilities();
    let outgoing = Outgoing::new()
        .to(Address::new(fixture.other_address()).unwrap())
        .subject("To be confirmed")
        .text("Text");
    let ticket = if capabilities.send {
        let key = SendKey::new("outbox/row 3");
        let ticket = mailbox.prepare(&outgoing, &key).await.unwrap();
        mailbox.dispatch(&ticket).await.unwrap();
        ticket
    } else {
        assert!(!capabilities.confirm_send, "there is nothing to confirm");
        let ticket = SendTicket::new("of another provider");
        let dispatched = mailbox.dispatch(&ticket).await;
        assert_eq!(kind(dispatched), Some(ErrorKind::Unsupported));
        assert!(inbox(&fixture.other()).await.is_empty());
        ticket
    };
    let confirmed = mailbox.confirm(&ticket).await;
    let refused = (!capabilities.confirm_send).then_some(ErrorKind::Unsupported);
    assert_eq!(kind(confirmed), refused);
}
