//! A host sees of each account whether it can be used and, if not, why: and one that cannot be keeps no other one out.

use crate::with_accounts;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{GMAIL, OUTLOOK, emulator, transport};
use crate::with_accounts::{CONFIGURATIONS, accounts, builder, connect, google};
use futures_util::TryStreamExt;
use http::Method;
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, FileStore, MemoryStore, RecordKey, Save,
};
use postroom::emulator::{Fault, FaultKind};
use postroom::http::Project;
use postroom::testing::VirtualClock;
use postroom::{
    AccountId, AccountStatus, ErrorKind, Kept, Obstacle, ProviderConfiguration, Query, Secret,
    SignInReason,
};

const ID: &str = "user 7";

fn id() -> AccountId {
    AccountId::new(ID)
}

#[tokio::test]
async fn a_suspended_account_rests_until_it_is_resumed_also_in_handles_that_are_out() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        connect(&accounts, &emulator, configuration, address, ID)
            .await
            .unwrap();
        let mailbox = accounts.open(&id()).await.unwrap();
        mailbox.probe().await.unwrap();

        let suspended = accounts.suspend(&id()).await.unwrap();
        assert!(matches!(suspended.status, AccountStatus::Suspended { .. }));
        assert_eq!(accounts.list().await.unwrap(), [suspended]);
        let asked = emulator.requests().len();
        for error in [
            accounts.open(&id()).await.unwrap_err(),
            mailbox.probe().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Suspended, "{configuration}");
        }
        assert_eq!(emulator.requests().len(), asked, "nothing was sent");

        let resumed = accounts.resume(&id()).await.unwrap();
        assert_eq!(resumed.status, AccountStatus::Active);
        mailbox.probe().await.unwrap();
        // That it needs a sign-in is still known when it comes back.
        emulator.revoke(address);
        mailbox.probe().await.unwrap_err();
        accounts.suspend(&id()).await.unwrap();
        assert!(accounts.resume(&id()).await.unwrap().needs_sign_in());
    }
}

/// What the service asked for is asked of the mailbox, whoever opens it.
#[tokio::test]
async fn who_signs_in_again_waits_as_long_as_before() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().quota(false).start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let connect = || connect(&accounts, &emulator, configuration, address, ID);
        connect().await.unwrap();
        let mailbox = accounts.open(&id()).await.unwrap();
        let much = FaultKind::rate_limited(Some(Duration::from_secs(60 * 60)));
        emulator.fault(Fault::new(much).on(Method::GET, "/me"));
        let refused = mailbox.folders().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RateLimited, "{configuration}");

        connect().await.unwrap();
        let mailbox = accounts.open(&id()).await.unwrap();
        let asked = emulator.requests().len();
        let refused = mailbox.folders().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::RateLimited, "{configuration}");
        assert_eq!(emulator.requests().len(), asked, "{configuration}");
    }
}

#[tokio::test]
async fn a_registration_that_may_ask_no_more_today_gets_no_more_by_another_secret_or_other_accounts()
 {
    let emulator = emulator().quota(false).start().await.unwrap();
    let project = Project::default();
    let configuration = || google(&emulator).with_project(project.clone());
    let team = "team@gmail.example";
    let store = || Arc::new(MemoryStore::new());
    let ours = accounts(&emulator, store());
    ours.configure("google", google(&emulator)).unwrap();
    let theirs = builder(&emulator, store()).configuration("google", configuration());
    let theirs = theirs.build().unwrap();
    let others = builder(&emulator, store()).configuration("google", configuration());
    let others = others.build().unwrap();
    for (accounts, id, address) in [
        (&ours, ID, GMAIL),
        (&ours, "team", team),
        (&theirs, ID, GMAIL),
        (&others, "team", team),
    ] {
        let connected = connect(accounts, &emulator, "google", address, id);
        connected.await.unwrap();
    }
    let team = AccountId::new("team");
    for (first, then) in [(&ours, &ours), (&theirs, &others)] {
        let used_up = FaultKind::google_error(403, "dailyLimitExceeded", "Daily Limit Exceeded");
        emulator.fault(Fault::new(used_up).on(Method::GET, "/me"));
        let refused = first.open(&id()).await.unwrap().folders().await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::QuotaExceeded);
        if std::ptr::eq(first, then) {
            ours.configure("google", google(&emulator)).unwrap();
        }
        let asked = emulator.requests().len();
        let refused = then.open(&team).await.unwrap().folders().await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::QuotaExceeded);
        assert_eq!(emulator.requests().len(), asked);
    }
}

#[tokio::test]
async fn why_a_sign_in_is_needed_follows_from_the_services_code() {
    let emulator = emulator().start().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let accounts = accounts(&emulator, store.clone());
    let since = "2026-01-02T03:04:05Z".parse().unwrap();
    for (code, reason) in [
        ("invalid_grant", SignInReason::GrantGone),
        ("AADSTS70000", SignInReason::GrantGone),
        ("AADSTS50173", SignInReason::Revoked),
        ("AADSTS700082", SignInReason::Unused),
        ("AADSTS700084", SignInReason::Expired),
        ("AADSTS50076", SignInReason::ProofNeeded),
        ("AADSTS70043", SignInReason::ProofNeeded),
        ("AADSTS65001", SignInReason::ConsentNeeded),
        ("AADSTS50057", SignInReason::AccountBlocked),
        ("no_refresh_token", SignInReason::NoRefreshToken),
    ] {
        let service = postroom::credentials::Service::Microsoft;
        let mut record = AccountRecord::new(ID, "microsoft", service);
        let code = Some(code.to_owned());
        record.state = AccountState::NeedsSignIn {
            since,
            code: code.clone(),
        };
        let key = RecordKey::account(ID);
        record.save(&*store, &key, Save::Always).await.unwrap();
        let account = accounts.account(&id()).await.unwrap();
        let expected = AccountStatus::NeedsSignIn {
            since,
            reason,
            code,
        };
        assert_eq!(account.status, expected);

        // A grant that had an end, and has reached it.
        record.credential.refresh_token_expires_at = Some(since);
        record.save(&*store, &key, Save::Always).await.unwrap();
        let status = accounts.account(&id()).await.unwrap().status;
        let AccountStatus::NeedsSignIn { reason: ended, .. } = status else {
            panic!("{status:?}");
        };
        let gone = reason == SignInReason::GrantGone;
        assert_eq!(ended, if gone { SignInReason::Expired } else { reason });
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_nothing_else_from_working() {
    let emulator = emulator().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(FileStore::new(directory.path()));
    let accounts = accounts(&emulator, store.clone());
    connect(&accounts, &emulator, "google", GMAIL, "good")
        .await
        .unwrap();
    let damaged = Secret::new("{planted");
    let key = RecordKey::account("bad");
    store.save(&key, &damaged, Save::Always).await.unwrap();
    // Another one is not even a file of the store's.
    let key = RecordKey::account("worse");
    store.save(&key, &damaged, Save::Always).await.unwrap();
    let files = std::fs::read_dir(directory.path()).unwrap();
    let worse = files
        .map(|file| file.unwrap().path())
        .find(|path| path.to_str().unwrap().contains("worse"));
    std::fs::write(worse.unwrap(), "{planted").unwrap();

    let listed = accounts.list().await.unwrap();
    let statuses: Vec<_> = listed
        .iter()
        .map(|account| (account.id.as_str(), &account.status))
        .collect();
    let unreadable = AccountStatus::Unusable {
        obstacle: Obstacle::UnreadableRecord,
    };
    assert_eq!(
        statuses,
        [
            ("bad", &unreadable),
            ("good", &AccountStatus::Active),
            ("worse", &unreadable)
        ]
    );
    assert!(!format!("{listed:?}").contains("planted"));
    connect(&accounts, &emulator, "microsoft", OUTLOOK, "new")
        .await
        .unwrap();
    accounts.disconnect(&AccountId::new("good")).await.unwrap();

    // Over the record itself nobody signs in unasked: it may only be that a key is missing.
    for name in ["bad", "worse"] {
        let id = AccountId::new(name);
        let error = connect(&accounts, &emulator, "google", GMAIL, name)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CredentialStore, "{error}");
        let left = accounts.disconnect(&id).await.unwrap();
        assert_eq!(left.kept, Some(Kept::NowhereToAsk));
    }
    connect(&accounts, &emulator, "google", GMAIL, "bad")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_configuration_that_is_gone_or_wrong_is_said_of_its_accounts_alone() {
    let emulator = emulator().start().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let first = accounts(&emulator, store.clone());
    connect(&first, &emulator, "google", GMAIL, "good")
        .await
        .unwrap();
    connect(&first, &emulator, "microsoft", OUTLOOK, ID)
        .await
        .unwrap();

    let later = postroom::Accounts::builder(store)
        .transport(transport(&emulator))
        .configuration("google", google(&emulator))
        .build()
        .unwrap();
    let obstacle = |obstacle| AccountStatus::Unusable { obstacle };
    let status = || async { later.account(&id()).await.unwrap().status };
    assert_eq!(status().await, obstacle(Obstacle::NoConfiguration));
    let wrong = ProviderConfiguration::microsoft("client").with_tenant("no/tenant");
    let error = later.configure("microsoft", wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(status().await, obstacle(Obstacle::WrongConfiguration));
    assert!(later.wrong_configurations().contains_key("microsoft"));
    let error = later.open(&id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let good = later.open(&AccountId::new("good")).await.unwrap();
    good.probe().await.unwrap();

    // A customer brings the right one while everything runs.
    later
        .configure("microsoft", with_accounts::microsoft(&emulator))
        .unwrap();
    assert_eq!(status().await, AccountStatus::Active);
    assert!(later.wrong_configurations().is_empty());
    later.open(&id()).await.unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn an_account_goes_also_when_nobody_can_be_told() {
    let emulator = emulator().start().await.unwrap();
    let clock = VirtualClock::by_hand(chrono::Utc::now());
    let accounts = builder(&emulator, Arc::new(MemoryStore::new()))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    connect(&accounts, &emulator, "google", GMAIL, ID)
        .await
        .unwrap();
    let fault = Fault::new(FaultKind::unavailable(None)).on(Method::POST, "/revoke");
    emulator.fault(fault.times(100));
    let leaving = tokio::spawn({
        let accounts = accounts.clone();
        async move { accounts.disconnect(&id()).await }
    });
    // It waits for the next try and for its own deadline, which does not leave time for all the tries.
    clock.until_sleeping(2).await;
    clock.advance(Duration::from_secs(5));
    let left = leaving.await.unwrap().unwrap();
    assert!(!left.revoked);
    assert_eq!(left.kept, Some(Kept::Failed));
    assert!(accounts.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_keeps_a_grant_is_told() {
    let emulator = emulator().start().await.unwrap();
    let accounts = builder(&emulator, Arc::new(MemoryStore::new()))
        .share_mailboxes(true)
        .build()
        .unwrap();
    for (name, configuration, address) in [
        ("one", "google", GMAIL),
        ("two", "google", GMAIL),
        ("three", "microsoft", OUTLOOK),
    ] {
        connect(&accounts, &emulator, configuration, address, name)
            .await
            .unwrap();
    }
    for (name, kept) in [
        ("one", Some(Kept::Shared)),
        ("two", None),
        ("three", Some(Kept::NotOffered)),
    ] {
        let left = accounts.disconnect(&AccountId::new(name)).await.unwrap();
        assert_eq!(left.kept, kept, "{name}");
        assert_eq!(left.revoked, kept.is_none());
    }
}

#[tokio::test]
async fn a_grant_goes_on_while_another_account_may_need_it() {
    let emulator = emulator().start().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let accounts = builder(&emulator, store.clone())
        .share_mailboxes(true)
        .build()
        .unwrap();
    let sign_in = async |name| {
        let connected = connect(&accounts, &emulator, "google", GMAIL, name).await;
        connected.unwrap();
    };
    let leave = async |name| {
        let left = accounts.disconnect(&AccountId::new(name)).await;
        left.unwrap().kept
    };
    let works_renewed = async |name| {
        emulator.expire_access_tokens(GMAIL);
        let mailbox = accounts.open(&AccountId::new(name)).await.unwrap();
        let messages: Vec<_> = mailbox
            .messages(Query::inbox())
            .try_collect()
            .await
            .unwrap();
        messages.len()
    };
    emulator.deliver(GMAIL, b"Subject: One\r\n\r\nText\r\n");
    // Of an adopted account only the address may be known.
    for nameless in ["leaves", "stays"] {
        sign_in("leaves").await;
        sign_in("stays").await;
        let key = RecordKey::account(nameless);
        let loaded = AccountRecord::load(&*store, &key).await.unwrap().unwrap();
        let mut record = loaded.record;
        record.identity = None;
        record.addresses = vec![GMAIL.to_uppercase()];
        record.save(&*store, &key, Save::Always).await.unwrap();
        assert_eq!(leave("leaves").await, Some(Kept::Shared));
        assert_eq!(works_renewed("stays").await, 1);
    }

    // Whose a record is that cannot be read, nobody knows.
    let key = RecordKey::account("unreadable");
    let whole = store.load(&RecordKey::account("stays")).await.unwrap();
    let whole = whole.unwrap().record;
    let part = Secret::new(whole.expose().trim_end_matches('}'));
    store.save(&key, &part, Save::Always).await.unwrap();
    assert_eq!(leave("stays").await, Some(Kept::PerhapsShared));
    let mended = whole.expose().replace("\"stays\"", "\"unreadable\"");
    let mended = Secret::new(mended);
    store.save(&key, &mended, Save::Always).await.unwrap();
    assert_eq!(works_renewed("unreadable").await, 1);
    assert_eq!(leave("unreadable").await, None);
}

#[tokio::test]
async fn nothing_of_a_disconnected_account_is_left_in_the_store() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let store = Arc::new(MemoryStore::new());
        let accounts = accounts(&emulator, store.clone());
        connect(&accounts, &emulator, configuration, address, ID)
            .await
            .unwrap();
        emulator.expire_access_tokens(address);
        let mailbox = accounts.open(&id()).await.unwrap();
        mailbox.probe().await.unwrap();
        accounts.disconnect(&id()).await.unwrap();
        // A handle that is out leaves nothing either.
        mailbox.probe().await.unwrap_err();
        let empty = format!("{:?}", MemoryStore::new());
        assert_eq!(format!("{store:?}"), empty, "{configuration}");
    }
}
