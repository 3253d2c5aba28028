//! What every provider promises of watches: one that is claimed can be set up, renewed and ended, and what is not claimed is
//! refused as unsupported. What is told of a mailbox that is watched is `push`'s, and each service's own.

#![allow(clippy::missing_panics_doc, reason = "a test that fails panics")]

use super::ProviderFixture;
use super::organising::kind;
use crate::error::ErrorKind;
use crate::model::{Access, Watch, WatchKind, WatchTarget};

/// A watch is kept for as long as it is renewed, and ended as often as asked; nothing is watched for a target of another
/// kind than the claimed one, or without the right to read.
pub async fn watches_are_kept_where_that_is_claimed(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let claimed = mailbox.capabilities().watch;
    let topic = WatchTarget::topic("projects/project/topics/topic");
    let webhook = WatchTarget::webhook("https://desk.example/push".parse().unwrap());
    let others = [(WatchKind::Topic, topic), (WatchKind::Webhook, webhook)]
        .into_iter()
        .filter(|(kind, _)| Some(*kind) != claimed);
    for (_, target) in others {
        let refused = mailbox.watch(&target).await;
        assert_eq!(kind(refused), Some(ErrorKind::Unsupported));
        if claimed.is_none() {
            let watch = Watch::new("subscription", None).with_target(target);
            let refused = mailbox.renew(&watch).await;
            assert_eq!(kind(refused), Some(ErrorKind::Unsupported));
            let refused = mailbox.unwatch(&watch).await;
            assert_eq!(kind(refused), Some(ErrorKind::Unsupported));
        }
    }
    if claimed.is_none() {
        return;
    }
    let target = fixture.watch_target().await;
    let target =
        target.expect("the fixture of a mailbox that can be watched says where it is to be told");
    assert_eq!(target.kind(), claimed);

    let writer = mailbox.restrict(Access::SEND);
    assert_eq!(writer.capabilities().watch, None);
    let denied = writer.watch(&target).await;
    assert_eq!(kind(denied), Some(ErrorKind::PermissionDenied));

    let watch = mailbox.watch(&target).await.unwrap();
    assert!(!watch.id.as_str().is_empty());
    let kept = watch.target.as_ref().expect("a watch says what it is for");
    assert_eq!(kept.place, target.place);
    assert!(watch.renew_at.is_some() && watch.renew_at < watch.expires_at);
    // Hosts keep watches between processes.
    let kept: Watch = serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap();
    let renewed = mailbox.renew(&kept).await.unwrap();
    assert_eq!(renewed.watch.id, watch.id);
    assert!(!renewed.sync, "nothing was missed");
    assert!(renewed.watch.expires_at >= watch.expires_at);
    for _ in 0..2 {
        mailbox.unwatch(&renewed.watch).await.unwrap();
    }
}
