//! What every provider promises about reading whole things: messages however malformed, their bytes and attachments, and
//! conversations.

#![allow(clippy::missing_panics_doc, reason = "a test that fails panics")]

use futures_util::TryStreamExt;

use super::{ProviderFixture, REPORT, all, all_ok, bytes, changes, delivered, inbox, sends};
use crate::error::ErrorKind;
use crate::mailbox::Mailbox;
use crate::model::{
    Access, Address, AttachmentId, AttachmentKind, Change, Detail, FolderRole, Keyword, Message,
    Outgoing, PageRequest, Query, ThreadId,
};
use crate::provider::Thread;

/// Mail without the headers that mail should have is listed and read all the same.
pub async fn malformed_messages_are_still_messages(fixture: &dyn ProviderFixture) {
    let broken: [&[u8]; 4] = [
        b"\r\nNo header at all.\r\n",
        b"Subject: =?utf-8?B?not base64?=\r\nFrom: @@@\r\nDate: never\r\nContent-Type: ;;;\r\n\r\nText\r\n",
        b"From: a@shop.example\r\nContent-Type: multipart/mixed; boundary=gone\r\n\r\nNo boundary follows.\r\n",
        b"From: a@shop.example\r\nContent-Type: text/plain; charset=no-such-charset\r\n\r\nGr\xfc\xdfe\r\n",
    ];
    for raw in broken {
        fixture.deliver(raw).await;
    }
    let mailbox = fixture.mailbox();
    let listed = inbox(&mailbox).await;
    assert_eq!(listed.len(), broken.len());
    for message in listed {
        mailbox.message(&message.id).await.unwrap();
    }
}

/// The raw message is RFC 5322 with the headers and parts it came with.
pub async fn raw_message_is_rfc_5322(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let raw = bytes(fixture.mailbox().raw(&id).await.unwrap()).await;
    let parsed = mail_parser::MessageParser::new().parse(&raw).unwrap();
    assert_eq!(parsed.subject(), Some("Ihre Rechnung für März"));
    assert_eq!(parsed.message_id(), Some("report-1@shop.example"));
    assert_eq!(parsed.attachment_count(), 1);
}

/// An attachment's stream gives its decoded bytes; one that does not exist is not found.
pub async fn attachments_stream_their_bytes(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let mailbox = fixture.mailbox();
    let message = mailbox.message(&id).await.unwrap();
    let stream = mailbox
        .attachment(&id, &message.attachments[0].id)
        .await
        .unwrap();
    assert_eq!(bytes(stream).await, b"a,b\n1,2\n");
    let missing = mailbox.attachment(&id, &AttachmentId::new("99")).await;
    let kind = missing.err().unwrap().kind();
    assert!(
        matches!(kind, ErrorKind::NotFound | ErrorKind::InvalidRequest),
        "{kind:?}"
    );
}

const NESTED: &[u8] = b"From: billing@shop.example\r\nTo: team@desk.example\r\nSubject: With all kinds\r\n\
Message-ID: <nested@shop.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\
\r\n\
--outer\r\n\
Content-Type: multipart/related; boundary=inner\r\n\
\r\n\
--inner\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-ID: <text@shop.example>\r\n\
\r\n\
<p>Shown <img src=\"cid:logo@shop.example\"></p>\r\n\
--inner\r\n\
Content-Type: image/png; name=\"logo.png\"\r\n\
Content-ID: <logo@shop.example>\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
iVBORw0KGgo=\r\n\
--inner--\r\n\
--outer\r\n\
Content-Type: application/pdf; name=\"terms.pdf\"\r\n\
Content-Disposition: inline; filename=\"terms.pdf\"\r\n\
Content-ID: <terms@shop.example>\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
JVBERg==\r\n\
--outer\r\n\
Content-Type: message/rfc822\r\n\
\r\n\
From: inner@shop.example\r\n\
Subject: What was forwarded\r\n\
\r\n\
Innermost text\r\n\
--outer--\r\n";

/// The text is text although it has a Content-ID; what the HTML refers to is inline, and what it does not is not, whatever
/// its sender says; an attached message can be opened.
pub async fn files_and_attached_messages_are_told_from_text(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, NESTED).await.id;
    let mailbox = fixture.mailbox();
    let message = mailbox.message(&id).await.unwrap();
    let html = message.body.html.as_deref().unwrap();
    assert!(html.contains("Shown"), "the text is there");
    assert_eq!(message.attachments.len(), 3);
    let named = |name: &str| {
        let mut attachments = message.attachments.iter();
        attachments.find(|attachment| attachment.name.as_deref() == Some(name))
    };
    let logo = named("logo.png").unwrap();
    assert_eq!(logo.content_id.as_deref(), Some("logo@shop.example"));
    assert!(logo.inline, "the HTML shows it");
    let terms = named("terms.pdf").unwrap();
    assert_eq!(terms.kind, AttachmentKind::File);
    assert!(!terms.inline, "nothing shows it");
    let stream = mailbox.attachment(&id, &terms.id).await.unwrap();
    assert_eq!(bytes(stream).await, b"%PDF");

    let mut attachments = message.attachments.iter();
    let inner = attachments.find(|attachment| attachment.kind == AttachmentKind::Message);
    let inner = inner.expect("the attached message is one");
    assert!(!inner.inline);
    let opened = mailbox.attached_message(&id, &inner.id).await.unwrap();
    let opened = opened.message;
    assert_eq!(opened.subject.as_deref(), Some("What was forwarded"));
    assert_eq!(opened.from[0].address(), "inner@shop.example");
    assert!(opened.body.text.unwrap().contains("Innermost text"));
}

fn turn(number: usize, minute: usize) -> Vec<u8> {
    let references: String = (1..number)
        .map(|earlier| format!(" <turn-{earlier}@shop.example>"))
        .collect();
    let answering = match number {
        1 => String::new(),
        number => format!(
            "In-Reply-To: <turn-{}@shop.example>\r\nReferences:{references}\r\n",
            number - 1
        ),
    };
    let subject = if number == 1 {
        "Delivery on Monday"
    } else {
        "Re: Delivery on Monday"
    };
    format!(
        "From: sender@shop.example\r\nTo: team@desk.example\r\nSubject: {subject}\r\n\
         Date: Tue, 03 Nov 2026 09:{minute:02}:00 +0000\r\nMessage-ID: <turn-{number}@shop.example>\r\n\
         {answering}\r\nTurn {number}\r\n"
    )
    .into_bytes()
}

const APART: &[u8] =
    b"From: other@shop.example\r\nTo: team@desk.example\r\nSubject: Something else\r\n\
Date: Tue, 03 Nov 2026 09:30:00 +0000\r\nMessage-ID: <apart@shop.example>\r\n\r\nApart\r\n";

/// Two conversations: one of three messages, the oldest and the newest of all, and one that stands alone.
async fn two_conversations(fixture: &dyn ProviderFixture) -> (ThreadId, ThreadId) {
    fixture.deliver(&turn(1, 1)).await;
    fixture.deliver(&turn(2, 2)).await;
    fixture.deliver(APART).await;
    fixture.deliver(&turn(3, 40)).await;
    let listed = inbox(&fixture.mailbox()).await;
    let thread = |subject: &str| {
        let named = |message: &&Message| message.subject.as_deref() == Some(subject);
        let message = listed.iter().find(named).unwrap();
        message.thread.clone()
    };
    let threads = (thread("Delivery on Monday"), thread("Something else"));
    (
        threads.0.unwrap_or_else(|| ThreadId::new("none")),
        threads.1.unwrap_or_else(|| ThreadId::new("none")),
    )
}

async fn threads(mailbox: &Mailbox, detail: Detail, size: u32) -> Vec<Thread> {
    let page = PageRequest::first().with_size(size);
    mailbox
        .threads_with(Query::inbox(), detail, page)
        .try_collect()
        .await
        .unwrap()
}

fn message_ids(thread: &Thread) -> Vec<String> {
    let messages = thread
        .messages
        .iter()
        .map(|message| message.as_ref().unwrap());
    messages
        .map(|message| message.message_id.clone().unwrap_or_default())
        .collect()
}

/// A conversation is read whole, oldest first, and listed once, at its newest message; a provider that claims none
/// refuses.
pub async fn conversations_are_read_and_listed_whole(fixture: &dyn ProviderFixture) {
    let (long, apart) = two_conversations(fixture).await;
    let mailbox = fixture.mailbox();
    if !mailbox.capabilities().threads {
        let refused = mailbox.thread(&long).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        let mut listed = mailbox.threads(Query::inbox());
        let refused = listed.try_next().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        return;
    }
    let turns = [
        "turn-1@shop.example",
        "turn-2@shop.example",
        "turn-3@shop.example",
    ];

    let whole = mailbox.thread(&long).await.unwrap();
    assert_eq!(whole.id, long);
    assert_eq!(message_ids(&whole), turns);
    for (number, message) in whole.readable().enumerate() {
        assert_eq!(message.detail, Detail::Full);
        assert_eq!(message.thread.as_ref(), Some(&long));
        let body = message.body.text.as_ref().or(message.body.html.as_ref());
        assert!(body.unwrap().contains(&format!("Turn {}", number + 1)));
    }

    for size in [1, 2, 50] {
        let listed = threads(&mailbox, Detail::Headers, size).await;
        let ids: Vec<&ThreadId> = listed.iter().map(|thread| &thread.id).collect();
        assert_eq!(ids, [&long, &apart], "with pages of {size}");
        assert_eq!(message_ids(&listed[0]), turns);
        assert_eq!(message_ids(&listed[1]), ["apart@shop.example"]);
    }
    let ids = threads(&mailbox, Detail::Ids, 50).await;
    assert!(ids.iter().all(|thread| thread.messages.is_empty()));
    assert_eq!(ids.len(), 2);

    // What was thrown away still belongs to it, but does not bring it into a list.
    let trashed = [whole.readable().next_back().unwrap().id.clone()];
    if changes(&mailbox, &trashed, &Change::Trash).await {
        all_ok(mailbox.trash(&trashed).await);
        assert_eq!(message_ids(&mailbox.thread(&long).await.unwrap()), turns);
        let listed = threads(&mailbox, Detail::Ids, 50).await;
        assert_eq!(listed[0].id, apart);
    }

    let shape = long.as_str();
    let gone = ["0", "1"]
        .map(|last| ThreadId::new(format!("{}{last}", &shape[..shape.len() - 1])))
        .into_iter()
        .find(|id| *id != long && *id != apart);
    let missing = mailbox.thread(&gone.unwrap()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

/// A change of a conversation reaches its messages and no others, one answer per conversation; what was sent stays among
/// what was sent.
pub async fn conversations_are_changed_whole(fixture: &dyn ProviderFixture) {
    let (long, apart) = two_conversations(fixture).await;
    let mailbox = fixture.mailbox();
    let seen = Change::Set(Keyword::Seen);
    let capabilities = mailbox.capabilities();
    if !(capabilities.threads && capabilities.change) {
        let refused = mailbox.apply_to_threads(&[long], &seen).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        return;
    }
    let outcomes = mailbox
        .apply_to_threads(
            &[
                ThreadId::new(long.as_str().replace(|_| true, "0")),
                long.clone(),
            ],
            &seen,
        )
        .await
        .unwrap();
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    let unread: Vec<_> = inbox(&mailbox)
        .await
        .into_iter()
        .filter(|message| !message.has(&Keyword::Seen))
        .map(|message| message.thread.unwrap())
        .collect();
    assert!(unread.iter().eq([&apart]));

    // An answer of one's own, which archiving must leave among what was sent.
    let mut answer = Outgoing::new()
        .to(Address::new("sender@shop.example").unwrap())
        .subject("Re: Delivery on Monday")
        .text("Fine.");
    answer.in_reply_to = Some("turn-3@shop.example".to_owned());
    answer.references = vec![
        "turn-1@shop.example".to_owned(),
        "turn-3@shop.example".to_owned(),
    ];
    answer.thread = Some(long.clone());
    if !sends(&mailbox, &answer).await {
        return;
    }
    mailbox.send(&answer).await.unwrap();
    let sent_here = super::eventually(async || {
        let sent = all(&mailbox, Query::InRole(FolderRole::Sent), Detail::Headers).await;
        sent.into_iter()
            .find(|message| message.thread.as_ref() == Some(&long))
    })
    .await;

    all_ok(
        mailbox
            .apply_to_threads(std::slice::from_ref(&long), &Change::Archive)
            .await,
    );
    let left: Vec<_> = inbox(&mailbox)
        .await
        .into_iter()
        .map(|message| message.thread)
        .collect();
    assert_eq!(left, [Some(apart.clone())]);
    let sent = all(&mailbox, Query::InRole(FolderRole::Sent), Detail::Ids).await;
    assert!(
        sent.iter().any(|message| message.id == sent_here.id),
        "what was sent stays there"
    );

    let both = [long.clone(), apart.clone()];
    all_ok(mailbox.apply_to_threads(&both, &Change::Trash).await);
    assert!(inbox(&mailbox).await.is_empty());
    let trash = mailbox.folder(FolderRole::Trash).await.unwrap().id;
    let whole = mailbox.thread(&long).await.unwrap();
    assert_eq!(whole.messages.len(), 4);
    assert!(whole.readable().all(|message| message.is_in(&trash)));

    let restored = std::slice::from_ref(&apart);
    all_ok(mailbox.apply_to_threads(restored, &Change::Restore).await);
    let back = inbox(&mailbox).await;
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].thread.as_ref(), Some(&apart));
    // What is not in the trash is not brought back from there.
    all_ok(mailbox.apply_to_threads(restored, &Change::Archive).await);
    all_ok(mailbox.apply_to_threads(restored, &Change::Restore).await);
    assert!(inbox(&mailbox).await.is_empty());

    let reader = mailbox.restrict(Access::READ);
    let refused = reader.apply_to_threads(&both, &seen).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert_eq!(reader.thread(&apart).await.unwrap().messages.len(), 1);
}
