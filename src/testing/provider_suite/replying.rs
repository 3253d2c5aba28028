//! What every provider promises about answering and forwarding: the rules are the crate's, that a provider reads what they need
//! and sends what they give is held here.

#![allow(clippy::missing_panics_doc, reason = "a test that fails panics")]

use super::claiming::sends;
use super::{ProviderFixture, all, arrived, bytes, delivered, eventually};
use crate::facts::Relation;
use crate::model::{
    Address, AnswerKind, Answers, AttachmentKind, Detail, FolderRole, Keyword, MessageId, Query,
};
use crate::reply::{Forward, Reply};

fn question(own: &str) -> Vec<u8> {
    format!(
        "From: Billing <billing@shop.example>\r\n\
         To: {own}, Second <second@desk.example>\r\n\
         Cc: third@desk.example, BILLING@shop.example\r\n\
         Reply-To: Answers <answers@shop.example>, desk@shop.example\r\n\
         Subject: AW: Delivery\r\n\
         Date: Tue, 03 Nov 2026 10:15:00 +0000\r\n\
         Message-ID: <delivery-2@shop.example>\r\n\
         In-Reply-To: <delivery-1@desk.example>\r\n\
         References: <delivery-0@desk.example> <delivery-1@desk.example>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\
         \r\n\
         --b\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         \r\n\
         Is Monday fine?\r\n\
         --b\r\n\
         Content-Type: text/csv\r\n\
         Content-Disposition: attachment; filename=\"times.csv\"\r\n\
         \r\n\
         a,b\r\n\
         --b--\r\n"
    )
    .into_bytes()
}

fn listed(list: &[Address]) -> Vec<&str> {
    list.iter().map(Address::address).collect()
}

/// Reading a message to answer it leaves it unread and where it is.
async fn is_untouched(fixture: &dyn ProviderFixture, id: &MessageId) {
    let read = fixture
        .mailbox()
        .messages_by_id(std::slice::from_ref(id), Detail::Headers)
        .await
        .unwrap();
    let original = read.into_iter().next().unwrap().unwrap();
    assert!(original.keywords.is_some() && !original.has(&Keyword::Seen));
    let inbox = fixture.mailbox().folder(FolderRole::Inbox).await.unwrap();
    assert!(original.is_in(&inbox.id));
}

/// An answer goes to whom its author wants it, stays in the conversation on both sides, and leaves the original unread; an
/// answer to one's own message goes to its recipients.
pub async fn answers_go_to_the_right_people_and_stay_in_their_conversation(
    fixture: &dyn ProviderFixture,
) {
    let original = delivered(fixture, &question(&fixture.address())).await;
    let mailbox = fixture.mailbox();
    let everyone = Reply::to_everyone().text("Monday is fine.");
    let everyone = mailbox.reply(&original.id, &everyone).await.unwrap();
    assert_eq!(
        listed(&everyone.to),
        [
            "answers@shop.example",
            "desk@shop.example",
            "second@desk.example"
        ]
    );
    assert_eq!(
        listed(&everyone.cc),
        ["third@desk.example", "BILLING@shop.example"]
    );
    let kind = AnswerKind::ReplyAll;
    let answers = Answers::new(original.id.clone(), kind);
    assert_eq!(everyone.answers, Some(answers));

    let answer = Reply::to_author().text("Monday is fine.");
    let mut answer = mailbox.reply(&original.id, &answer).await.unwrap();
    assert_eq!(
        listed(&answer.to),
        ["answers@shop.example", "desk@shop.example"]
    );
    assert!(answer.cc.is_empty() && answer.attachments.is_empty());
    answer.to = vec![Address::new(fixture.other_address()).unwrap()];
    if !sends(&mailbox, &answer).await {
        return is_untouched(fixture, &original.id).await;
    }
    mailbox.send(&answer).await.unwrap();
    is_untouched(fixture, &original.id).await;

    let received = arrived(fixture).await;
    assert_eq!(received.subject.as_deref(), Some("AW: Delivery"));
    assert_eq!(received.in_reply_to, ["delivery-2@shop.example"]);
    let conversation = [0, 1, 2].map(|number| match number {
        2 => "delivery-2@shop.example".to_owned(),
        _ => format!("delivery-{number}@desk.example"),
    });
    assert_eq!(received.references, conversation);
    assert_eq!(received.facts().relation, Relation::Reply);
    let body = received.body.text.as_ref().or(received.body.html.as_ref());
    let body = body.unwrap();
    assert!(body.contains("Monday is fine.") && body.contains("Is Monday fine?"));

    let copy = eventually(async || {
        let sent = Query::InRole(FolderRole::Sent);
        all(&mailbox, sent, Detail::Headers).await.pop()
    })
    .await;
    if mailbox.capabilities().threads {
        assert_eq!(copy.thread, original.thread);
        assert!(copy.thread.is_some());
    }
    let again = Reply::to_author().text("And Tuesday too.");
    let again = mailbox.reply(&copy.id, &again).await.unwrap();
    assert_eq!(listed(&again.to), [fixture.other_address()]);
    assert_eq!(again.subject, "AW: Delivery");
}

/// What is forwarded has the original's text and all of its attachments, or the original itself.
pub async fn forwarded_messages_take_everything_along(fixture: &dyn ProviderFixture) {
    let original = delivered(fixture, &question(&fixture.address())).await;
    let mailbox = fixture.mailbox();
    let other = Address::new(fixture.other_address()).unwrap();
    let inline = Forward::inline().to(other.clone()).text("For you.");
    let inline = mailbox.forward(&original.id, &inline).await.unwrap();
    assert_eq!(inline.in_reply_to, None, "it answers nothing");
    if !sends(&mailbox, &inline).await {
        return is_untouched(fixture, &original.id).await;
    }
    mailbox.send(&inline).await.unwrap();
    let received = arrived(fixture).await;
    assert_eq!(received.subject.as_deref(), Some("Fwd: AW: Delivery"));
    assert_eq!(received.facts().relation, Relation::Forward);
    let body = received.body.text.as_ref().or(received.body.html.as_ref());
    let body = body.unwrap();
    assert!(body.contains("For you.") && body.contains("Is Monday fine?"));
    assert!(body.contains("second@desk.example"));
    assert_eq!(received.attachments.len(), 1);
    let attachment = &received.attachments[0];
    assert_eq!(attachment.name.as_deref(), Some("times.csv"));
    let theirs = fixture.other();
    let stream = theirs.attachment(&received.id, &attachment.id).await;
    assert_eq!(bytes(stream.unwrap()).await, b"a,b");

    let whole = Forward::as_attachment().to(other).text("All of it.");
    let whole = mailbox.forward(&original.id, &whole).await.unwrap();
    mailbox.send(&whole).await.unwrap();
    let received = arrived(fixture).await;
    assert_eq!(received.attachments.len(), 1);
    let attachment = &received.attachments[0];
    assert_eq!(attachment.kind, AttachmentKind::Message);
    let attached = theirs.attached_message(&received.id, &attachment.id).await;
    let attached = attached.unwrap();
    assert_eq!(attached.message.subject.as_deref(), Some("AW: Delivery"));
    assert_eq!(attached.message.attachments.len(), 1);
    is_untouched(fixture, &original.id).await;
}
