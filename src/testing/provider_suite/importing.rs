//! What every provider that takes messages from elsewhere promises: they are there as they were, and what is lost is told.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that fails panics"
)]

use super::organising::kind;
use super::{ProviderFixture, REPORT, bytes, inbox};
use crate::error::ErrorKind;
use crate::model::{Access, FolderRole, ImportDate, ImportLoss, ImportOptions, Keyword, Message};

/// An imported message is what it was, where it should be, marked as it should be, and from when it says, but for what is
/// told to be lost. Nobody receives it.
pub async fn imported_messages_are_what_they_were_but_for_what_is_told(
    fixture: &dyn ProviderFixture,
) {
    let mailbox = fixture.mailbox();
    if !mailbox.capabilities().import {
        let refused = mailbox.import(REPORT.to_vec(), &ImportOptions::new()).await;
        assert_eq!(kind(refused), Some(ErrorKind::Unsupported));
        return;
    }
    let folder = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let keywords = [Keyword::Seen, Keyword::Flagged];
    let mut options = ImportOptions::new().folder(folder.clone());
    options.keywords = keywords.to_vec();
    let imported = mailbox.import(REPORT.to_vec(), &options).await.unwrap();
    let message = mailbox.message(&imported.id).await.unwrap();
    let keeps = |loss: &ImportLoss| !imported.lost.contains(loss);
    assert_eq!(message.subject.as_deref(), Some("Ihre Rechnung für März"));
    assert_eq!(message.from[0].address(), "billing@shop.example");
    let said = "2026-11-03T09:15:00+00:00".parse().unwrap();
    assert_eq!(message.sent_at, Some(said));
    assert_eq!(
        message.received_at == Some(said),
        keeps(&ImportLoss::Date),
        "the date is kept, or told to be lost"
    );
    assert_eq!(
        message.is_in(&folder),
        keeps(&ImportLoss::Folder(folder.clone()))
    );
    for keyword in keywords {
        let loss = ImportLoss::Keyword(keyword.clone());
        assert_eq!(message.has(&keyword), keeps(&loss), "{keyword:?}");
    }
    let attachment = &message.attachments[0];
    let stream = mailbox.attachment(&message.id, &attachment.id).await;
    assert_eq!(bytes(stream.unwrap()).await, b"a,b\n1,2\n");
    assert!(inbox(&fixture.other()).await.is_empty());

    // Appended once more it is there once more, now unread and from now.
    let options = ImportOptions::new().folder(folder).date(ImportDate::Now);
    let again = mailbox.import(REPORT.to_vec(), &options).await.unwrap();
    assert_ne!(again.id, imported.id);
    let message: Message = mailbox.message(&again.id).await.unwrap();
    assert!(
        !message.has(&Keyword::Seen) || again.lost.contains(&ImportLoss::Keyword(Keyword::Seen))
    );
    assert_ne!(message.received_at, Some(said));

    // A tag that no service knows is kept or told.
    let odd = Keyword::Custom("A tag of ours".to_owned());
    let options = ImportOptions::new().keyword(odd.clone());
    let tagged = mailbox.import(REPORT.to_vec(), &options).await.unwrap();
    let message = mailbox.message(&tagged.id).await.unwrap();
    let is_lost = tagged.lost.contains(&ImportLoss::Keyword(odd.clone()));
    assert_eq!(message.has(&odd), !is_lost);

    let reader = mailbox.restrict(Access::READ);
    let refused = reader.import(REPORT.to_vec(), &ImportOptions::new()).await;
    assert_eq!(kind(refused), Some(ErrorKind::PermissionDenied));
}
