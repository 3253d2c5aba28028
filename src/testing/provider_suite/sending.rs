//! What every provider promises of sends beyond text and files: what it cannot keep of a message it refuses, a time to be sent at
//! above all; many messages go out once each; and limits that it tells can be kept to.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that fails panics"
)]

use chrono::{TimeDelta, Utc};
use futures_util::{StreamExt, stream};

use super::claiming::sends;
use super::{ProviderFixture, arrived, bytes, inbox};
use crate::error::{Delivery, ErrorKind};
use crate::mailbox::{Campaign, Outcome};
use crate::model::{
    Address, Importance, Invitation, ListUnsubscribe, Message, Outgoing, OutgoingAttachment,
    OutgoingHeader, SendingLimits,
};

fn to_other(fixture: &dyn ProviderFixture, subject: &str) -> Outgoing {
    Outgoing::new()
        .to(Address::new(fixture.other_address()).unwrap())
        .subject(subject)
        .text("Text")
}

/// A message that is to be sent later is with nobody before, where that is claimed, and refused where it is not.
pub async fn messages_wait_for_their_time_where_that_is_claimed(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let later = to_other(fixture, "Later").send_at(Utc::now() + TimeDelta::days(1));
    let sent = mailbox.send(&later).await;
    if mailbox.capabilities().scheduled_send {
        sent.unwrap();
    } else {
        let refused = sent.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        assert_eq!(refused.delivery(), Delivery::NotSent);
    }
    assert!(inbox(&fixture.other()).await.is_empty());
}

/// Whether a message that was received is what was asked for.
type Keeps = fn(&Message, &str) -> bool;

/// What a message asks for beyond its text arrives, or the message is refused and nothing arrives.
pub async fn what_is_asked_of_a_message_is_kept_or_refused(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    if !sends(&mailbox, &to_other(fixture, "Plain")).await {
        return;
    }
    let own = Address::new(fixture.address()).unwrap();
    let ask = |what| to_other(fixture, what);
    let picture = OutgoingAttachment::new("one.png", "image/png", b"\x89PNG\r\n\x1a\n".to_vec());
    let meeting = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//shop.example//EN\r\nMETHOD:REQUEST\r\n\
                   BEGIN:VEVENT\r\nUID:1@shop.example\r\nDTSTAMP:20261103T101500Z\r\n\
                   DTSTART:20261104T101500Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let unsubscribe = "https://shop.example/leave?who=17".parse().unwrap();
    let asked: [(Outgoing, Keeps); 6] = [
        (ask("Importance").importance(Importance::High), |_, head| {
            head.contains("\nimportance: high")
        }),
        (
            ask("Header").header(OutgoingHeader::new("X-Shop-Order", "17").unwrap()),
            |_, head| head.contains("\nx-shop-order: 17"),
        ),
        (ask("Receipt").read_receipt_to(own), |_, head| {
            head.contains("\ndisposition-notification-to:")
        }),
        (
            ask("List").list_unsubscribe(ListUnsubscribe::page(unsubscribe).unwrap()),
            |_, head| head.contains("shop.example/leave?who=17"),
        ),
        (
            ask("Picture")
                .html("<p><img src=\"cid:one@shop\"></p>")
                .attach(picture.inline("one@shop")),
            |message, _| {
                let picture = message.attachments.first();
                picture.is_some_and(|picture| {
                    picture.inline && picture.content_id.as_deref() == Some("one@shop")
                })
            },
        ),
        (
            ask("Meeting").invitation(Invitation::new(meeting).unwrap()),
            |_, head| head.contains("text/calendar"),
        ),
    ];
    for (outgoing, keeps) in asked {
        let before = inbox(&fixture.other()).await.len();
        match mailbox.send(&outgoing).await {
            Ok(_) => {
                let received = arrived(fixture).await;
                assert_eq!(received.subject.as_ref(), Some(&outgoing.subject));
                let raw = fixture.other().raw(&received.id).await.unwrap();
                let raw = bytes(raw).await;
                // Folded lines are one, and letters of headers have no case.
                let text = String::from_utf8_lossy(&raw).to_lowercase();
                let text = text.replace("\r\n ", " ").replace("\r\n\t", " ");
                assert!(keeps(&received, &text), "{} is lost", outgoing.subject);
            }
            Err(refused) => {
                let kind = refused.kind();
                assert_eq!(kind, ErrorKind::Unsupported, "{}", outgoing.subject);
                assert_eq!(refused.delivery(), Delivery::NotSent);
                assert_eq!(inbox(&fixture.other()).await.len(), before);
            }
        }
    }
}

/// Personal messages to many go out once each, however often they are sent, and one that nobody can take keeps none of the
/// others back.
pub async fn many_messages_are_sent_once_each(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    if !sends(&mailbox, &to_other(fixture, "Plain")).await {
        return;
    }
    let other = fixture.other_address();
    for is_first in [true, false] {
        let other = other.clone();
        let recipients = stream::iter(["one", "two", "none", "three"]);
        let outcomes = mailbox.send_many(
            Campaign::new("suite"),
            recipients.map(|name| (name.to_owned(), name)),
            move |name| {
                let outgoing = Outgoing::new().subject(format!("For {name}")).text("Text");
                Ok(match *name {
                    "none" => outgoing,
                    _ => outgoing.to(Address::new(other.clone()).unwrap()),
                })
            },
        );
        let outcomes: Vec<Outcome<&str>> = outcomes.map(|outcome| outcome.unwrap()).collect().await;
        assert_eq!(outcomes.len(), 4);
        for outcome in outcomes {
            if outcome.recipient == "none" {
                let refused = outcome.result.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
                assert_eq!(refused.delivery(), Delivery::NotSent);
            } else {
                outcome.result.unwrap();
                assert_eq!(outcome.now, is_first, "{}", outcome.recipient);
            }
        }
        let received = inbox(&fixture.other()).await;
        let mut subjects: Vec<_> = received
            .iter()
            .filter_map(|one| one.subject.clone())
            .collect();
        subjects.sort();
        assert_eq!(subjects, ["For one", "For three", "For two"]);
    }
}

/// Limits that are told allow something, and what goes beyond one is not sent.
pub async fn sending_limits_can_be_kept_to(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    if let Some(limits) = mailbox.sending_limits() {
        let numbers = [
            limits.messages_per_minute,
            limits.messages_per_day,
            limits.recipients_per_day,
            limits.recipients_per_message,
        ];
        assert!(numbers.iter().flatten().all(|number| *number > 0));
        assert!(numbers.iter().any(Option::is_some));
    }
    let outgoing = to_other(fixture, "For two").cc(Address::new(fixture.address()).unwrap());
    if !sends(&mailbox, &outgoing).await {
        return;
    }
    let mut limits = SendingLimits::new();
    limits.recipients_per_message = Some(1);
    let campaign = Campaign::new("limits").with_limits(limits);
    let recipients = stream::iter([("1".to_owned(), ())]);
    let mut outcomes = mailbox.send_many(campaign, recipients, move |()| Ok(outgoing.clone()));
    let refused = outcomes.next().await.unwrap().unwrap().result.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert_eq!(refused.delivery(), Delivery::NotSent);
    assert!(inbox(&fixture.other()).await.is_empty());
}
