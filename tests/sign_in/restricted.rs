//! Handles that may do less say so, and do nothing beside what they may: on both services.

use crate::support;
use crate::support::Fixture;
use postroom::testing::provider_suite::ProviderFixture;
use postroom::{Access, Change, Detail, Keyword, PageRequest, Query};

#[tokio::test]
async fn a_restricted_handle_claims_what_it_may_do() {
    for fixture in [Fixture::gmail().await, Fixture::outlook().await] {
        let mailbox = fixture.mailbox();
        let whole = mailbox.capabilities().clone();
        assert!(whole.change && whole.delete && whole.send && whole.confirm_send && whole.rules);

        let handle = mailbox.restrict(Access::READ);
        let reads = handle.capabilities();
        assert!(!reads.change && !reads.delete && !reads.copy && !reads.custom_keywords);
        assert!(!reads.edit_folders && !reads.folder_colors);
        assert!(!reads.send && !reads.confirm_send && !reads.scheduled_send);
        assert!(!reads.drafts && !reads.import && reads.identities == whole.identities);
        assert!(!reads.rules && !reads.automatic_replies && !reads.categories);
        assert!(reads.counts && reads.threads && reads.plan_queries);
        assert_eq!(reads.provider, whole.provider);

        let handle = mailbox.restrict(Access::READ_WRITE | Access::SEND);
        let changes = handle.capabilities();
        assert!(changes.change && !changes.delete && !changes.rules);
        // Whoever may change mail may not write any.
        assert!(whole.drafts && !changes.drafts && changes.import == whole.import);
        assert_eq!(changes.copy, whole.copy);
        assert_eq!(
            (changes.send, changes.confirm_send),
            (true, whole.confirm_send)
        );

        // What was given up stays given up.
        let handle = handle.restrict(Access::SEND | Access::SETTINGS);
        let sends = handle.capabilities();
        assert!(sends.send && !sends.change && !sends.rules && !sends.threads && !sends.import);
        assert_eq!(mailbox.capabilities(), &whole);
    }
}

#[tokio::test]
async fn a_handle_without_settings_marks_messages_and_leaves_the_list_of_categories() {
    let fixture = Fixture::outlook().await;
    fixture
        .deliver(b"From: billing@shop.example\r\nSubject: Marked\r\n\r\nText\r\n")
        .await;
    let mailbox = fixture.mailbox();
    let page = mailbox
        .page(&Query::inbox(), Detail::Ids, PageRequest::first())
        .await;
    let ids = [page.unwrap().items.remove(0).unwrap().id];
    let listed = async |name: &str| {
        let listed = mailbox.categories().unwrap().list().await.unwrap();
        listed.iter().any(|category| category.name == name)
    };
    for (access, name, is_listed) in [
        (Access::READ_WRITE, "By a changer", false),
        (
            Access::READ_WRITE | Access::SETTINGS,
            "By a settings changer",
            true,
        ),
    ] {
        let keyword = Keyword::Custom(name.to_owned());
        let handle = mailbox.restrict(access);
        let outcomes = handle.apply(&ids, &Change::Set(keyword.clone())).await;
        outcomes.unwrap().remove(0).unwrap();
        assert!(mailbox.message(&ids[0]).await.unwrap().has(&keyword));
        assert_eq!(listed(name).await, is_listed, "{access}");
    }
    // Nor does narrowing it further give anything back.
    let handle = mailbox
        .restrict(Access::READ_WRITE)
        .restrict(Access::READ_WRITE | Access::SETTINGS);
    let change = Change::Set(Keyword::Custom("By a narrowed one".to_owned()));
    handle.apply(&ids, &change).await.unwrap();
    assert!(!listed("By a narrowed one").await);
}

#[tokio::test]
async fn every_handle_tells_whose_mailbox_it_is() {
    for fixture in [Fixture::gmail().await, Fixture::outlook().await] {
        let handle = fixture.mailbox().restrict(Access::NONE);
        let profile = handle.profile().await.unwrap();
        assert_eq!(profile.address.to_lowercase(), fixture.address());
        handle.probe().await.unwrap();
    }
}

#[tokio::test]
async fn a_grant_of_drafts_is_enough_to_look_for_the_mailbox() {
    use postroom::{Gmail, MailProvider, Outlook};

    let emulator = support::emulator().start().await.unwrap();
    let connection = |address: &str| {
        let token = postroom::credentials::StaticToken::new(emulator.access_token(address));
        let transport = support::transport(&emulator);
        postroom::http::Connection::new(transport, std::sync::Arc::new(token))
    };
    let gmail = Gmail::new(connection(support::GMAIL)).unwrap();
    let gmail = gmail.with_api_endpoint(emulator.google().base_url.clone());
    let gmail = gmail.unwrap();
    let outlook = Outlook::new(connection(support::OUTLOOK)).unwrap();
    let outlook = outlook.with_api_endpoint(emulator.microsoft().base_url.clone());
    let outlook = outlook.unwrap();
    for (access, allowed) in [
        (Access::DRAFT, true),
        (Access::READ, true),
        (Access::SEND, false),
    ] {
        let probes = [
            gmail.clone().with_access(access).probe().await,
            outlook.clone().with_access(access).probe().await,
        ];
        for probe in probes {
            let kind = probe.err().map(|error| error.kind());
            let expected = (!allowed).then_some(postroom::ErrorKind::PermissionDenied);
            assert_eq!(kind, expected, "{access}");
        }
    }
}
