//! What every provider that keeps drafts promises of them, and of who it says that mail can be sent as.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that fails panics"
)]

use super::organising::kind;
use super::{ProviderFixture, REPORT, arrived, bytes, delivered, inbox};
use crate::error::{Delivery, ErrorKind};
use crate::mailbox::Mailbox;
use crate::model::{
    Access, Address, Body, Confirmation, Detail, Draft, DraftEdit, DraftId, Keyword, Outgoing,
    OutgoingAttachment, PageRequest, SendKey,
};

/// Whether drafts are kept. Where they are not, they cannot be asked for.
fn keeps(mailbox: &Mailbox) -> bool {
    let claimed = mailbox.capabilities().drafts;
    if !claimed {
        assert_eq!(kind(mailbox.drafts()), Some(ErrorKind::Unsupported));
    }
    claimed
}

fn file(name: &str, content: &[u8]) -> OutgoingAttachment {
    OutgoingAttachment::new(name, "application/octet-stream", content.to_vec())
}

/// Every draft, over all pages.
async fn all(mailbox: &Mailbox, detail: Detail) -> Vec<Draft> {
    let drafts = mailbox.drafts().unwrap();
    let mut found = Vec::new();
    let mut page = PageRequest::first().with_size(2);
    loop {
        let listed = drafts.list(detail, page).await.unwrap();
        found.extend(listed.items.into_iter().map(|draft| draft.unwrap()));
        let Some(next) = listed.next else {
            return found;
        };
        page = PageRequest::first().with_size(2).with_token(next);
    }
}

async fn whole(mailbox: &Mailbox, draft: &DraftId) -> Draft {
    let drafts = mailbox.drafts().unwrap();
    drafts.get(draft, Detail::Full).await.unwrap()
}

fn says(body: &Body, text: &str) -> bool {
    let forms = [&body.text, &body.html];
    let mut forms = forms.into_iter().flatten();
    forms.any(|form| form.contains(text))
}

/// The bytes of a draft's file of this name.
async fn bytes_of(mailbox: &Mailbox, draft: &Draft, name: &str) -> Vec<u8> {
    let mut files = draft.message.attachments.iter();
    let file = files.find(|file| file.name.as_deref() == Some(name));
    let stream = mailbox.attachment(&draft.message.id, &file.unwrap().id);
    bytes(stream.await.unwrap()).await
}

/// A draft may lack everything, is changed in what an edit names and in nothing else, and is gone once it is discarded.
pub async fn drafts_are_kept_changed_and_discarded(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    if !keeps(&mailbox) {
        return;
    }
    let drafts = mailbox.drafts().unwrap();
    let outgoing = Outgoing::new()
        .subject("A beginning")
        .text("First words")
        .attach(file("table.bin", b"a,b"));
    let made = drafts.create(&outgoing).await.unwrap();
    for number in 0..3 {
        let other = Outgoing::new().subject(format!("Another {number}"));
        drafts.create(&other).await.unwrap();
    }
    let read = whole(&mailbox, &made.id).await;
    assert_eq!(read.id, made.id);
    assert_eq!(read.message.subject.as_deref(), Some("A beginning"));
    assert!(says(&read.message.body, "First words"));
    assert!(read.message.has(&Keyword::Draft) && read.message.to.is_empty());
    let listed = all(&mailbox, Detail::Headers).await;
    assert_eq!(listed.len(), 4);
    let known = listed.iter().find(|draft| draft.id == made.id).unwrap();
    assert_eq!(known.message.subject.as_deref(), Some("A beginning"));
    assert_eq!(known.revision, read.revision);
    let found = drafts.find(&read.message.id).await.unwrap();
    assert_eq!(found.id, made.id);

    let address = Address::new("support@desk.example").unwrap();
    let edit = DraftEdit::new()
        .to([address.with_name("Größe")])
        .subject("Weiter")
        .text("Second words")
        .attach(file("more.bin", &[7; 4_000]));
    let changed = drafts.update(&made.id, Some(&made.revision), &edit).await;
    let changed = changed.unwrap();
    assert_eq!(changed.id, made.id);
    assert_ne!(changed.revision, made.revision);
    let read = whole(&mailbox, &made.id).await;
    assert_eq!(read.message.subject.as_deref(), Some("Weiter"));
    assert_eq!(read.message.to[0].name(), Some("Größe"));
    assert!(says(&read.message.body, "Second words"));
    assert!(!says(&read.message.body, "First words"));
    assert_eq!(bytes_of(&mailbox, &read, "table.bin").await, b"a,b");
    assert_eq!(bytes_of(&mailbox, &read, "more.bin").await, vec![7; 4_000]);

    let mut files = read.message.attachments.iter();
    let table = files.find(|file| file.name.as_deref() == Some("table.bin"));
    let edit = DraftEdit::new().detach(table.unwrap().id.clone());
    drafts.update(&made.id, None, &edit).await.unwrap();
    let read = whole(&mailbox, &made.id).await;
    assert_eq!(read.message.attachments.len(), 1);
    assert_eq!(bytes_of(&mailbox, &read, "more.bin").await, vec![7; 4_000]);
    assert!(says(&read.message.body, "Second words"));
    assert_eq!(read.message.to.len(), 1);

    drafts.discard(&made.id).await.unwrap();
    for outcome in [
        kind(drafts.get(&made.id, Detail::Ids).await),
        kind(
            drafts
                .update(&made.id, None, &DraftEdit::new().subject("x"))
                .await,
        ),
        kind(drafts.prepare(&made.id, None, &SendKey::new("gone")).await),
        kind(drafts.discard(&made.id).await),
        kind(drafts.find(&read.message.id).await),
    ] {
        assert_eq!(outcome, Some(ErrorKind::NotFound));
    }
    assert_eq!(all(&mailbox, Detail::Ids).await.len(), 3);
    assert!(inbox(&fixture.other()).await.is_empty());
}

/// Whoever says what a draft was like when they read it overwrites and sends nothing that somebody else wrote since.
pub async fn a_draft_that_somebody_else_changed_is_neither_changed_nor_sent(
    fixture: &dyn ProviderFixture,
) {
    let mailbox = fixture.mailbox();
    if !keeps(&mailbox) {
        return;
    }
    let drafts = mailbox.drafts().unwrap();
    let outgoing = Outgoing::new()
        .to(Address::new(fixture.other_address()).unwrap())
        .subject("Mine")
        .text("Text");
    let made = drafts.create(&outgoing).await.unwrap();
    let mine = whole(&mailbox, &made.id).await.revision;
    let theirs = DraftEdit::new().subject("Theirs");
    let theirs = drafts.update(&made.id, Some(&mine), &theirs).await.unwrap();

    let edit = DraftEdit::new().subject("Mine again");
    let refused = drafts.update(&made.id, Some(&mine), &edit).await;
    assert_eq!(kind(refused), Some(ErrorKind::Conflict));
    if mailbox.capabilities().send {
        let refused = mailbox.send_draft(&made.id, Some(&mine)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert_eq!(refused.delivery(), Delivery::NotSent);
        // Between the two steps of a send, too.
        let key = SendKey::new("overtaken");
        let prepared = drafts.prepare(&made.id, Some(&theirs.revision), &key);
        let ticket = prepared.await.unwrap();
        let last = DraftEdit::new().subject("Last");
        drafts.update(&made.id, None, &last).await.unwrap();
        let refused = mailbox.dispatch(&ticket).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert_eq!(refused.delivery(), Delivery::NotSent);
        if mailbox.capabilities().confirm_send {
            let confirmed = mailbox.confirm(&ticket).await.unwrap();
            assert_eq!(confirmed, Confirmation::NotSent);
        }
    }
    assert!(inbox(&fixture.other()).await.is_empty());
    let read = whole(&mailbox, &made.id).await;
    assert_ne!(read.message.subject.as_deref(), Some("Mine again"));
}

/// A draft is sent with all that is in it, once under its key, and is no draft any more; one without recipients, and with a
/// handle that may only write, is not.
pub async fn a_draft_is_sent_once_with_all_that_is_in_it(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    if !keeps(&mailbox) || !mailbox.capabilities().send {
        return;
    }
    let drafts = mailbox.drafts().unwrap();
    let outgoing = Outgoing::new()
        .subject("From a draft")
        .text("Grüße")
        .attach(file("table.bin", b"a,b"));
    let made = drafts.create(&outgoing).await.unwrap();
    let refused = mailbox.send_draft(&made.id, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert_eq!(refused.delivery(), Delivery::NotSent);
    let to = Address::new(fixture.other_address()).unwrap();
    let edit = DraftEdit::new().to([to]);
    drafts.update(&made.id, None, &edit).await.unwrap();

    let writer = mailbox.restrict(Access::DRAFT);
    assert!(writer.drafts().is_ok() && writer.capabilities().drafts);
    let key = SendKey::new("outbox/draft 1");
    let refused = writer.send_draft_once(&key, &made.id, None).await;
    assert_eq!(kind(refused), Some(ErrorKind::PermissionDenied));
    let reader = mailbox.restrict(Access::READ);
    assert_eq!(kind(reader.drafts()), Some(ErrorKind::PermissionDenied));
    assert!(inbox(&fixture.other()).await.is_empty());

    let sent = mailbox.send_draft_once(&key, &made.id, None).await.unwrap();
    let again = mailbox.send_draft_once(&key, &made.id, None).await.unwrap();
    assert_eq!(sent, again);
    assert_eq!(inbox(&fixture.other()).await.len(), 1);
    let message = arrived(fixture).await;
    assert_eq!(message.subject.as_deref(), Some("From a draft"));
    assert!(says(&message.body, "Grüße"));
    let stream = fixture
        .other()
        .attachment(&message.id, &message.attachments[0].id)
        .await;
    assert_eq!(bytes(stream.unwrap()).await, b"a,b");
    let gone = drafts.get(&made.id, Detail::Ids).await;
    assert_eq!(kind(gone), Some(ErrorKind::NotFound));
    assert!(all(&mailbox, Detail::Ids).await.is_empty());
}

/// Whatever is asked of drafts changes no message that is none.
pub async fn what_is_no_draft_is_not_changed_as_one(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let message = delivered(fixture, REPORT).await;
    if !keeps(&mailbox) {
        return;
    }
    let drafts = mailbox.drafts().unwrap();
    let id = DraftId::new(message.id.as_str());
    let edit = DraftEdit::new().subject("Changed").text("Changed");
    for outcome in [
        kind(drafts.find(&message.id).await),
        kind(drafts.get(&id, Detail::Headers).await),
        kind(drafts.update(&id, None, &edit).await),
        kind(drafts.prepare(&id, None, &SendKey::new("none")).await),
        kind(drafts.discard(&id).await),
    ] {
        assert_eq!(outcome, Some(ErrorKind::NotFound));
    }
    let after = mailbox.message(&message.id).await.unwrap();
    assert_eq!(after.subject, message.subject);
    assert!(all(&mailbox, Detail::Ids).await.is_empty());
}

/// The mailbox's own address is among those that it may write as, and exactly one of them is the author by default.
pub async fn authors_are_told_where_that_is_claimed(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    if !mailbox.capabilities().identities {
        assert_eq!(kind(mailbox.identities()), Some(ErrorKind::Unsupported));
        return;
    }
    let identities = mailbox.identities().unwrap().list().await.unwrap();
    let own = |address: &Address| address.address().to_lowercase() == fixture.address();
    let primary: Vec<_> = identities.iter().filter(|one| one.primary).collect();
    assert_eq!(primary.len(), 1);
    assert!(own(&primary[0].address) && primary[0].verified != Some(false));
    assert!(identities[0].default, "the author by default is the first");
    assert_eq!(identities.iter().filter(|one| one.default).count(), 1);
    let sender = mailbox.restrict(Access::SEND);
    assert_eq!(kind(sender.identities()), Some(ErrorKind::PermissionDenied));
}
