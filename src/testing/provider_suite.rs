//! What every mail provider promises, as tests that run on any of them: see
//! [`mail_provider_tests!`](crate::mail_provider_tests). Each case is one promise of
//! [`MailProvider`](crate::MailProvider) or [`Mailbox`]; what a provider's capabilities do not claim is expected to be
//! refused as unsupported.
//!
//! A case panics where a promise is broken, as tests do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test that fails panics"
)]

mod auditing;
mod claiming;
mod drafting;
mod facts;
mod importing;
mod moves;
mod organising;
mod reading;
mod replying;
mod searching;
mod sending;
mod syncing;
mod watching;

use std::collections::HashSet;
use std::fmt;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};

use crate::error::{Delivery, ErrorKind};
use crate::mailbox::Mailbox;
use crate::model::{
    Access, Address, ByteStream, Change, Confirmation, Detail, FolderRole, Keyword, Message,
    MessageId, Outgoing, OutgoingAttachment, PageRequest, Query, SendKey, WatchTarget,
};

pub use self::auditing::*;
use self::claiming::{changes, sends};
pub use self::claiming::{confirm_is_refused_unless_claimed, sync_is_refused_unless_claimed};
pub use self::drafting::*;
pub use self::facts::*;
pub use self::importing::*;
pub use self::moves::*;
pub use self::organising::*;
pub use self::reading::*;
pub use self::replying::*;
pub use self::searching::*;
pub use self::sending::*;
pub use self::syncing::*;
pub use self::watching::*;

/// A mail service that a test may do anything with: two mailboxes on it, empty but for what arrives during the test.
#[async_trait]
pub trait ProviderFixture: fmt::Debug + Send + Sync {
    /// The mailbox under test.
    fn mailbox(&self) -> Mailbox;

    /// Its address.
    fn address(&self) -> String;

    /// Another mailbox on the same service, that can receive what the first one sends.
    fn other(&self) -> Mailbox;

    /// The other mailbox's address.
    fn other_address(&self) -> String;

    /// Makes a message arrive in the inbox of the mailbox under test, from outside.
    async fn deliver(&self, raw: &[u8]);

    /// Where the service may tell what happens in the mailbox under test, if it can be watched. Whatever listens there
    /// is up until the fixture is gone.
    async fn watch_target(&self) -> Option<WatchTarget> {
        None
    }
}

/// Expands to one test for each promise of a mail provider. The argument is an expression that gives a
/// [`ProviderFixture`] of its own to each test; it may await.
///
/// ```ignore
/// postroom::mail_provider_tests!(my_service::start().await);
/// ```
#[macro_export]
macro_rules! mail_provider_tests {
    ($fixture:expr) => {
        $crate::mail_provider_tests!(@case $fixture,
            profile_names_the_address
            folders_have_roles_and_unique_ids
            listing_follows_pages_and_gives_each_message_once
            listing_tells_what_a_list_shows
            whole_messages_are_decoded
            malformed_messages_are_still_messages
            answers_come_one_per_id_and_in_order
            raw_message_is_rfc_5322
            attachments_stream_their_bytes
            marks_can_be_set_and_cleared
            moving_archiving_and_trashing_leave_the_inbox
            folders_per_message_are_as_claimed
            queries_mean_the_same_everywhere
            words_and_people_mean_the_same_everywhere
            combined_terms_find_what_their_plan_says
            spam_and_trash_are_searched_where_they_are_named
            what_is_found_matches_here_too
            what_is_sent_arrives_as_it_was_written
            hidden_recipients_stay_hidden
            preparing_sends_nothing_and_dispatching_sends_once
            a_message_without_recipients_is_refused
            restricted_handles_do_less
            messages_wait_for_their_time_where_that_is_claimed
            what_is_asked_of_a_message_is_kept_or_refused
            many_messages_are_sent_once_each
            sending_limits_can_be_kept_to
            drafts_are_kept_changed_and_discarded
            a_draft_that_somebody_else_changed_is_neither_changed_nor_sent
            a_draft_is_sent_once_with_all_that_is_in_it
            what_is_no_draft_is_not_changed_as_one
            authors_are_told_where_that_is_claimed
            imported_messages_are_what_they_were_but_for_what_is_told
            files_and_attached_messages_are_told_from_text
            conversations_are_read_and_listed_whole
            conversations_are_changed_whole
            answers_go_to_the_right_people_and_stay_in_their_conversation
            forwarded_messages_take_everything_along
            facts_are_told_of_a_message
            bounces_tell_what_became_of_which_message
            folders_are_made_renamed_moved_and_deleted
            folders_have_colours_where_that_is_claimed
            folders_are_counted_where_that_is_claimed
            junk_and_trash_are_left_again
            messages_are_refiled_in_one_step
            copies_are_messages_of_their_own
            messages_are_deleted_for_good
            gone_messages_are_told_as_claimed
            tags_of_any_name_can_be_set
            categories_are_listed_and_coloured
            rules_are_made_listed_and_deleted
            replies_are_given_while_away
            sync_is_refused_unless_claimed
            a_first_sync_tells_everything_newest_first
            a_later_sync_tells_what_happened_and_nothing_else
            a_move_is_told_as_a_move
            a_sync_goes_on_where_its_host_stopped
            another_scope_brings_what_it_brings
            folders_are_told_with_what_becomes_of_them
            an_audit_finds_how_a_copy_differs
            an_audit_counts_what_it_does_not_tell
            imports_with_old_dates_are_told_and_audited_by_date
            confirm_is_refused_unless_claimed
            watches_are_kept_where_that_is_claimed
        );
    };
    (@case $fixture:expr, $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let fixture = $fixture;
                $crate::testing::provider_suite::$case(&fixture).await;
            }
        )*
    };
}

const REPORT: &[u8] = b"From: =?utf-8?Q?Rechnungsstelle_M=C3=BCnchen?= <billing@shop.example>\r\n\
To: Team <team@desk.example>, second@desk.example\r\n\
Cc: archive@desk.example\r\n\
Reply-To: answers@shop.example\r\n\
Subject: =?iso-8859-1?Q?Ihre_Rechnung_f=FCr_M=E4rz?=\r\n\
Date: Tue, 03 Nov 2026 10:15:00 +0100\r\n\
Message-ID: <report-1@shop.example>\r\n\
References: <zero@shop.example> <half@shop.example>\r\n\
In-Reply-To: <half@shop.example>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=outer\r\n\
\r\n\
--outer\r\n\
Content-Type: multipart/alternative; boundary=inner\r\n\
\r\n\
--inner\r\n\
Content-Type: text/plain; charset=iso-8859-1\r\n\
Content-Transfer-Encoding: quoted-printable\r\n\
\r\n\
Sch=F6ne Gr=FC=DFe aus dem Zebrastall\r\n\
--inner\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
PHA+U2Now7ZuZSA8Yj5HcsO8w59lPC9iPjwvcD4=\r\n\
--inner--\r\n\
--outer\r\n\
Content-Type: text/csv; name=\"figures.csv\"\r\n\
Content-Disposition: attachment; filename=\"figures.csv\"\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
YSxiCjEsMgo=\r\n\
--outer--\r\n";

fn plain(number: usize) -> Vec<u8> {
    format!(
        "From: sender{number}@shop.example\r\nTo: team@desk.example\r\nSubject: Plain message {number}\r\n\
         Date: Tue, 03 Nov 2026 10:{number:02}:00 +0000\r\nMessage-ID: <plain-{number}@shop.example>\r\n\r\nText {number}\r\n"
    )
    .into_bytes()
}

async fn all(mailbox: &Mailbox, query: Query, detail: Detail) -> Vec<Message> {
    mailbox
        .messages_with(query, detail, PageRequest::first())
        .try_collect()
        .await
        .unwrap()
}

async fn inbox(mailbox: &Mailbox) -> Vec<Message> {
    all(mailbox, Query::inbox(), Detail::Headers).await
}

async fn delivered(fixture: &dyn ProviderFixture, raw: &[u8]) -> Message {
    fixture.deliver(raw).await;
    inbox(&fixture.mailbox()).await.swap_remove(0)
}

/// The newest message that arrived at the other mailbox.
async fn arrived(fixture: &dyn ProviderFixture) -> Message {
    let other = fixture.other();
    let newest = inbox(&other).await.swap_remove(0);
    other.message(&newest.id).await.unwrap()
}

async fn bytes(stream: ByteStream) -> Vec<u8> {
    stream.try_collect::<Vec<_>>().await.unwrap().concat()
}

/// What a service does in the background is done after a few more requests. `None` is "not yet".
async fn eventually<T>(look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..20 {
        if let Some(found) = look().await {
            return found;
        }
    }
    panic!("it did not happen within twenty looks");
}

fn all_ok(outcomes: crate::Result<Vec<crate::Result<()>>>) {
    for outcome in outcomes.unwrap() {
        outcome.unwrap();
    }
}

/// The profile names the mailbox's own address.
pub async fn profile_names_the_address(fixture: &dyn ProviderFixture) {
    let profile = fixture.mailbox().profile().await.unwrap();
    assert_eq!(profile.address.to_lowercase(), fixture.address());
}

/// Inbox, drafts, sent, trash and junk exist once each, and every parent is in the list.
pub async fn folders_have_roles_and_unique_ids(fixture: &dyn ProviderFixture) {
    let folders = fixture.mailbox().folders().await.unwrap();
    let ids: HashSet<_> = folders.iter().map(|folder| &folder.id).collect();
    assert_eq!(ids.len(), folders.len(), "folder ids are unique");
    for role in [
        FolderRole::Inbox,
        FolderRole::Drafts,
        FolderRole::Sent,
        FolderRole::Trash,
        FolderRole::Junk,
    ] {
        let with_role = folders
            .iter()
            .filter(|folder| folder.role == Some(role))
            .count();
        assert_eq!(with_role, 1, "{role:?}");
    }
    for parent in folders.iter().filter_map(|folder| folder.parent.as_ref()) {
        assert!(ids.contains(parent), "the parent of a folder is listed");
    }
}

/// A stream of messages goes on over all pages, newest first.
pub async fn listing_follows_pages_and_gives_each_message_once(fixture: &dyn ProviderFixture) {
    for number in 0..13 {
        fixture.deliver(&plain(number)).await;
    }
    let mailbox = fixture.mailbox();
    let pages = PageRequest::first().with_size(3);
    let listed: Vec<Message> = mailbox
        .messages_with(Query::inbox(), Detail::Headers, pages)
        .try_collect()
        .await
        .unwrap();
    let subjects: Vec<_> = listed
        .iter()
        .map(|message| message.subject.clone().unwrap())
        .collect();
    let expected: Vec<_> = (0..13)
        .rev()
        .map(|number| format!("Plain message {number}"))
        .collect();
    assert_eq!(subjects, expected);
}

/// Headers are enough for a list: folders, keywords, dates, addresses and subject.
pub async fn listing_tells_what_a_list_shows(fixture: &dyn ProviderFixture) {
    let message = delivered(fixture, REPORT).await;
    let inbox = fixture.mailbox().folder(FolderRole::Inbox).await.unwrap();
    assert!(message.is_in(&inbox.id));
    assert!(message.keywords.is_some() && !message.has(&Keyword::Seen));
    assert!(message.received_at.is_some());
    assert_eq!(message.subject.as_deref(), Some("Ihre Rechnung für März"));
    assert_eq!(message.from[0].name(), Some("Rechnungsstelle München"));
    assert_eq!(message.from[0].address(), "billing@shop.example");
    assert_eq!(message.to.len(), 2);
    assert_eq!(message.cc[0].address(), "archive@desk.example");
    assert!(message.preview.is_some());
    let ids = all(&fixture.mailbox(), Query::inbox(), Detail::Ids).await;
    assert_eq!(ids[0].id, message.id);
}

/// Text and HTML come in the right charset, attachments with name, type and size.
pub async fn whole_messages_are_decoded(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let message = fixture.mailbox().message(&id).await.unwrap();
    assert_eq!(message.id, id);
    assert_eq!(message.message_id.as_deref(), Some("report-1@shop.example"));
    assert_eq!(message.in_reply_to, ["half@shop.example"]);
    assert_eq!(
        message.references,
        ["zero@shop.example", "half@shop.example"]
    );
    assert_eq!(message.reply_to[0].address(), "answers@shop.example");
    assert_eq!(
        message.sent_at.unwrap().to_rfc3339(),
        "2026-11-03T09:15:00+00:00"
    );
    // A service may keep one of the two forms only.
    if let Some(text) = &message.body.text {
        assert!(text.contains("Schöne Grüße"), "the text is decoded");
    }
    if let Some(html) = &message.body.html {
        assert!(html.contains("<b>Grüße</b>"), "the HTML is decoded");
    }
    assert!(message.body.text.is_some() || message.body.html.is_some());
    assert!(message.header("message-id").is_some());
    assert_eq!(message.attachments.len(), 1);
    let attachment = &message.attachments[0];
    assert_eq!(attachment.name.as_deref(), Some("figures.csv"));
    assert_eq!(attachment.media_type, "text/csv");
    assert!(!attachment.inline);
}

/// Bulk calls answer one result per id, in order; an id that is gone fails alone.
pub async fn answers_come_one_per_id_and_in_order(fixture: &dyn ProviderFixture) {
    for number in 0..3 {
        fixture.deliver(&plain(number)).await;
    }
    let mailbox = fixture.mailbox();
    let mut ids: Vec<MessageId> = inbox(&mailbox)
        .await
        .into_iter()
        .map(|message| message.id)
        .collect();
    ids.swap(0, 2);
    // The shape of an id, so that the service looks for it, and no message has it.
    let mut shape: String = ids[1].as_str().to_owned();
    shape.pop();
    let gone = ('0'..='9')
        .map(|last| MessageId::new(format!("{shape}{last}")))
        .find(|id| !ids.contains(id));
    ids.insert(1, gone.unwrap());

    let messages = mailbox.messages_by_id(&ids, Detail::Headers).await.unwrap();
    assert_eq!(messages.len(), 4);
    for (id, message) in ids.iter().zip(&messages) {
        match message {
            Ok(message) => assert_eq!(&message.id, id),
            Err(error) => assert_eq!((error.kind(), id), (ErrorKind::NotFound, &ids[1])),
        }
    }
    assert!(messages[1].is_err() && messages.iter().filter(|message| message.is_ok()).count() == 3);

    if !changes(&mailbox, &ids[..1], &Change::Set(Keyword::Seen)).await {
        return;
    }
    let outcomes = mailbox.mark_read(&ids).await.unwrap();
    assert_eq!(outcomes.len(), 4);
    for (index, outcome) in outcomes.iter().enumerate() {
        // A service may take marking what is gone for done.
        assert!(index == 1 || outcome.is_ok());
    }
    assert!(
        inbox(&mailbox)
            .await
            .iter()
            .all(|message| message.has(&Keyword::Seen))
    );
}

/// Text, HTML, names, subject and attachments arrive as they were given; the sender keeps a copy.
pub async fn what_is_sent_arrives_as_it_was_written(fixture: &dyn ProviderFixture) {
    let file: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let outgoing = Outgoing::new()
        .to(Address::new(fixture.other_address())
            .unwrap()
            .with_name("Empfänger"))
        .cc(Address::new("elsewhere@desk.example").unwrap())
        .subject("Übersicht — 2026")
        .text("Grüße\nund mehr")
        .html("<p>Grüße <b>und</b> mehr</p>")
        .attach(OutgoingAttachment::new(
            "Übersicht.bin",
            "application/octet-stream",
            file.clone(),
        ));
    let mailbox = fixture.mailbox();
    if !sends(&mailbox, &outgoing).await {
        return;
    }
    let sent = mailbox.send(&outgoing).await.unwrap();

    let message = arrived(fixture).await;
    assert_eq!(message.subject.as_deref(), Some("Übersicht — 2026"));
    assert_eq!(message.from[0].address(), fixture.address());
    assert_eq!(message.to[0].name(), Some("Empfänger"));
    assert_eq!(message.cc[0].address(), "elsewhere@desk.example");
    if let Some(text) = &message.body.text {
        assert!(text.contains("Grüße") && text.contains("und mehr"));
    }
    assert!(message.body.html.unwrap().contains("Grüße <b>und</b> mehr"));
    assert_eq!(
        message.attachments[0].name.as_deref(),
        Some("Übersicht.bin")
    );
    let stream = fixture
        .other()
        .attachment(&message.id, &message.attachments[0].id)
        .await
        .unwrap();
    assert_eq!(bytes(stream).await, file);

    let copies = eventually(async || {
        let sent = Query::InRole(FolderRole::Sent);
        let copies = all(&fixture.mailbox(), sent, Detail::Headers).await;
        (!copies.is_empty()).then_some(copies)
    })
    .await;
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].subject.as_deref(), Some("Übersicht — 2026"));
    if let Some(id) = sent.id {
        assert_eq!(copies[0].id, id, "the sent copy is the one that was named");
    }
}

/// A hidden recipient receives the message and is seen by nobody else.
pub async fn hidden_recipients_stay_hidden(fixture: &dyn ProviderFixture) {
    let outgoing = Outgoing::new()
        .to(Address::new("elsewhere@desk.example").unwrap())
        .bcc(Address::new(fixture.other_address()).unwrap())
        .subject("Hidden")
        .text("Text");
    let mailbox = fixture.mailbox();
    if !sends(&mailbox, &outgoing).await {
        return assert!(inbox(&fixture.other()).await.is_empty());
    }
    mailbox.send(&outgoing).await.unwrap();
    let message = arrived(fixture).await;
    assert_eq!(message.subject.as_deref(), Some("Hidden"));
    assert!(message.bcc.is_empty());
    let raw = bytes(fixture.other().raw(&message.id).await.unwrap()).await;
    let head = String::from_utf8_lossy(&raw).to_lowercase();
    assert!(!head.contains("\nbcc:"));
}

/// `prepare` reaches nobody; `dispatch` sends; `confirm` tells which of the two happened; a key sends once.
pub async fn preparing_sends_nothing_and_dispatching_sends_once(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let outgoing = Outgoing::new()
        .to(Address::new(fixture.other_address()).unwrap())
        .subject("In two steps")
        .text("Text");
    if !sends(&mailbox, &outgoing).await {
        return;
    }
    let ticket = mailbox
        .prepare(&outgoing, &SendKey::new("outbox/row 1"))
        .await
        .unwrap();
    assert!(
        inbox(&fixture.other()).await.is_empty(),
        "nothing was sent yet"
    );
    if mailbox.capabilities().confirm_send {
        assert_eq!(
            mailbox.confirm(&ticket).await.unwrap(),
            Confirmation::NotSent
        );
    }
    // The ticket survives being stored.
    let stored = serde_json::to_string(&ticket).unwrap();
    let ticket = serde_json::from_str(&stored).unwrap();
    mailbox.dispatch(&ticket).await.unwrap();
    assert_eq!(inbox(&fixture.other()).await.len(), 1);
    if mailbox.capabilities().confirm_send {
        let confirmation = eventually(async || match mailbox.confirm(&ticket).await.unwrap() {
            Confirmation::StillUnknown { .. } => None,
            settled => Some(settled),
        })
        .await;
        assert!(
            matches!(confirmation, Confirmation::Sent(_)),
            "{confirmation:?}"
        );
    }

    let key = SendKey::new("outbox/row 2");
    let first = mailbox.send_once(&key, &outgoing).await.unwrap();
    let second = mailbox.send_once(&key, &outgoing).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(inbox(&fixture.other()).await.len(), 2);
}

/// A message that could reach nobody is refused before anything is sent.
pub async fn a_message_without_recipients_is_refused(fixture: &dyn ProviderFixture) {
    let mailbox = fixture.mailbox();
    let nobody = Outgoing::new().subject("Nobody");
    if !sends(&mailbox, &nobody).await {
        return;
    }
    let error = mailbox.send(&nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.delivery(), Delivery::NotSent);
    let hostile = Address::received(None, "a@b.example\r\nBcc: c@d.example");
    let hostile = Outgoing::new().to(hostile);
    let error = mailbox.send(&hostile).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

/// A restricted handle reads and does nothing else, whatever is called on it.
pub async fn restricted_handles_do_less(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, REPORT).await.id;
    let reader = fixture.mailbox().restrict(Access::READ);
    assert_eq!(reader.message(&id).await.unwrap().id, id);
    let outgoing = Outgoing::new().to(Address::new(fixture.other_address()).unwrap());
    let refusals = [
        reader.mark_read(std::slice::from_ref(&id)).await.err(),
        reader.send(&outgoing).await.err(),
        reader.restrict(Access::default()).trash(&[id]).await.err(),
        reader.provider().err(),
        reader
            .restrict(Access::NONE)
            .messages(Query::All)
            .next()
            .await
            .unwrap()
            .err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap().kind(), ErrorKind::PermissionDenied);
    }
    assert!(inbox(&fixture.other()).await.is_empty());
}
