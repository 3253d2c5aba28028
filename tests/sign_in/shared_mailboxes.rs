//! A user of an organisation works in mailboxes that are shared with them, with their own sign-in; and only in those.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::raw_http::RawHttp;
use crate::support::emulator;
use async_trait::async_trait;
use futures_util::TryStreamExt;
use postroom::credentials::{
    CredentialStore, MemoryStore, RecordKey, Save, Saved, StoreError, StoredRecord,
};
use postroom::emulator::Emulator;
use postroom::oauth::{OAuthFlow, SignInOptions};
use postroom::{
    Access, AccountId, Accounts, Action, Error, ErrorKind, Known, KnownMessage, Mailbox, MessageId,
    Outgoing, OutgoingAttachment, ProviderConfiguration, Query, Scope, Secret, SyncPage,
};

const TEAM: &str = "team@outlook.example";
const PERSONAL: &str = "reader@outlook.example";
const SUPPORT: &str = "support@outlook.example";
const BILLING: &str = "billing@outlook.example";

/// Support is shared with the team in full, billing's mail can be read and not sent as, and a third with nobody.
async fn organisation() -> Emulator {
    let builder = emulator()
        .shared_mailbox(SUPPORT, &[TEAM], &[TEAM])
        .shared_mailbox(BILLING, &[TEAM], &[])
        .shared_mailbox("board@outlook.example", &[], &[]);
    builder.start().await.unwrap()
}

fn configuration(emulator: &Emulator) -> ProviderConfiguration {
    let service = emulator.microsoft();
    ProviderConfiguration::microsoft(&service.client_id)
        .with_client_secret(Secret::new(&*service.client_secret))
        .with_auth_endpoint(service.base_url.clone())
        .with_api_endpoint(service.base_url.clone())
        .with_redirect_uri("http://localhost/callback")
}

async fn connected(emulator: &Emulator, configuration: ProviderConfiguration) -> Accounts {
    connected_in(Arc::new(MemoryStore::new()), emulator, configuration).await
}

async fn connected_in(
    store: Arc<dyn CredentialStore>,
    emulator: &Emulator,
    configuration: ProviderConfiguration,
) -> Accounts {
    let accounts = Accounts::builder(store)
        .configuration("microsoft", configuration)
        .build()
        .unwrap();
    let connecting = accounts
        .connect(&team(), "microsoft", SignInOptions::new())
        .await
        .unwrap();
    let callback = emulator.sign_in(&connecting.url, TEAM).await.unwrap();
    let connected = accounts.complete(connecting.pending, &callback).await;
    assert!(connected.unwrap().missing.is_empty());
    accounts
}

fn team() -> AccountId {
    AccountId::new("team")
}

async fn inbox(mailbox: &Mailbox) -> Result<Vec<MessageId>, Error> {
    let messages = mailbox
        .messages(Query::inbox())
        .map_ok(|message| message.id);
    messages.try_collect().await
}

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to(PERSONAL.parse().unwrap())
        .subject("Answer")
        .text("Text")
}

#[tokio::test]
async fn a_user_reads_changes_and_sends_in_a_mailbox_that_is_shared_with_them() {
    let emulator = organisation().await;
    emulator.deliver(SUPPORT, b"Subject: Help\r\n\r\nText\r\n");
    let configuration = configuration(&emulator).with_shared_mailboxes();
    let accounts = connected(&emulator, configuration).await;
    let mailbox = accounts.open_shared(&team(), SUPPORT).await.unwrap();
    assert_eq!(mailbox.profile().await.unwrap().address, SUPPORT);
    assert!(mailbox.folders().await.unwrap().len() > 3);

    let messages = inbox(&mailbox).await.unwrap();
    assert_eq!(messages.len(), 1);
    let message = mailbox.message(&messages[0]).await.unwrap();
    assert_eq!(message.subject.as_deref(), Some("Help"));
    mailbox.mark_read(&messages).await.unwrap()[0]
        .as_ref()
        .unwrap();
    assert!(emulator.messages(SUPPORT)[0].seen);
    mailbox.archive(&messages).await.unwrap()[0]
        .as_ref()
        .unwrap();

    // It is sent from the shared mailbox, and lies among what that has sent.
    mailbox.send(&outgoing()).await.unwrap();
    emulator.release_sent_copies(SUPPORT);
    let received = emulator.messages(PERSONAL);
    let raw = String::from_utf8_lossy(&received[0].raw).into_owned();
    assert!(raw.contains("support@outlook.example"), "{raw}");
    let sent = |address| {
        let messages = emulator.messages(address);
        let sent = messages
            .iter()
            .filter(|message| message.folders == ["sentitems"]);
        sent.count()
    };
    assert_eq!((sent(SUPPORT), sent(TEAM)), (1, 0));

    // The user's own mailbox is another one, and tokens are renewed for both.
    emulator.expire_access_tokens(TEAM);
    let own = accounts.open(&team()).await.unwrap();
    assert_eq!(own.profile().await.unwrap().address, TEAM);
    assert_eq!(inbox(&own).await.unwrap().len(), 0);
    assert_eq!(inbox(&mailbox).await.unwrap().len(), 0);
}

#[tokio::test]
async fn shared_mailboxes_rest_and_go_with_the_account_also_in_handles_that_are_out() {
    let emulator = organisation().await;
    let configuration = configuration(&emulator).with_shared_mailboxes();
    let accounts = connected(&emulator, configuration.clone()).await;
    let mut handles = vec![accounts.open_shared(&team(), SUPPORT).await.unwrap()];
    inbox(&handles[0]).await.unwrap();
    // Changed settings make new handles, and the old ones are still out.
    accounts.configure("microsoft", configuration).unwrap();
    handles.push(accounts.open_shared(&team(), SUPPORT).await.unwrap());
    handles.push(accounts.open(&team()).await.unwrap());

    let outcomes = async |handles: &[Mailbox]| {
        let mut outcomes = Vec::new();
        for mailbox in handles {
            outcomes.push(inbox(mailbox).await.err().map(|error| error.kind()));
        }
        outcomes
    };
    assert_eq!(outcomes(&handles).await, [None; 3]);
    accounts.suspend(&team()).await.unwrap();
    let asked = emulator.requests().len();
    assert_eq!(outcomes(&handles).await, [Some(ErrorKind::Suspended); 3]);
    assert_eq!(emulator.requests().len(), asked, "nothing was sent");
    accounts.resume(&team()).await.unwrap();
    assert_eq!(outcomes(&handles).await, [None; 3]);
    accounts.disconnect(&team()).await.unwrap();
    let asked = emulator.requests().len();
    assert_eq!(outcomes(&handles).await, [Some(ErrorKind::NotFound); 3]);
    assert_eq!(emulator.requests().len(), asked, "nothing was sent");
}

/// A store that tells what is kept in it.
#[derive(Debug, Default)]
struct Noting {
    store: MemoryStore,
    kept: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl CredentialStore for Noting {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        self.store.load(key).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        self.kept.lock().unwrap().insert(key.text());
        self.store.save(key, record, save).await
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.kept.lock().unwrap().remove(&key.text());
        self.store.remove(key).await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        self.store.list(namespace).await
    }
}

/// A host that has nothing yet.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Known for Nothing {
    async fn page(&self, _: Option<&MessageId>, _: usize) -> postroom::Result<Vec<KnownMessage>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn nothing_of_a_shared_mailbox_stays_when_the_account_has_gone() {
    let emulator = organisation().await;
    emulator.deliver(SUPPORT, b"Subject: Help\r\n\r\nText\r\n");
    let configuration = configuration(&emulator).with_shared_mailboxes();
    let store = Arc::new(Noting::default());
    let accounts = connected_in(store.clone(), &emulator, configuration).await;
    for address in [SUPPORT, BILLING] {
        let mailbox = accounts.open_shared(&team(), address).await.unwrap();
        let pages = mailbox.sync(None, Scope::default(), Arc::new(Nothing));
        let pages: Vec<SyncPage> = pages.try_collect().await.unwrap();
        assert!(!pages.is_empty());
    }
    assert!(!store.kept.lock().unwrap().is_empty());
    accounts.disconnect(&team()).await.unwrap();
    let kept = store.kept.lock().unwrap();
    assert!(kept.is_empty(), "{kept:?}");
}

#[tokio::test]
async fn without_the_scopes_for_it_no_shared_mailbox_is_opened() {
    let emulator = organisation().await;
    let accounts = connected(&emulator, configuration(&emulator)).await;
    let error = accounts.open_shared(&team(), SUPPORT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.code(), Some("shared_scopes_missing"));
    assert!(matches!(error.action(), Action::GrantMore(_)));

    // The service says the same.
    let http = RawHttp::new();
    let asked = async |scopes: &[&str], path: &str| {
        let token = emulator.access_token_for(TEAM, scopes);
        let url = emulator.microsoft().base_url.join(path).unwrap();
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let answer = http
            .send(http::Method::GET, url.as_str(), &headers, "")
            .await;
        match answer.status.as_u16() {
            200 => "OK".to_owned(),
            _ => answer.error_code(),
        }
    };
    let folders = format!("v1.0/users/{SUPPORT}/mailFolders");
    let own = ["User.Read", "Mail.ReadWrite", "Mail.Send"];
    assert_eq!(asked(&own, &folders).await, "ErrorAccessDenied");
    assert_eq!(
        asked(&["Mail.Send.Shared"], &folders).await,
        "ErrorAccessDenied"
    );
    assert_eq!(asked(&["Mail.Read.Shared"], &folders).await, "OK");
    assert_eq!(
        asked(&["Mail.Read.Shared"], "v1.0/me/mailFolders").await,
        "ErrorAccessDenied"
    );
    let user = format!("v1.0/users/{SUPPORT}");
    assert_eq!(asked(&own, &user).await, "ErrorAccessDenied");
    assert_eq!(asked(&["User.ReadBasic.All"], &user).await, "OK");
}

#[tokio::test]
async fn without_the_right_to_a_mailbox_the_scopes_open_nothing() {
    let emulator = organisation().await;
    let configuration = configuration(&emulator).with_shared_mailboxes();
    let accounts = connected(&emulator, configuration).await;
    for (address, code) in [
        ("board@outlook.example", "ErrorItemNotFound"),
        (PERSONAL, "ErrorItemNotFound"),
        ("nobody@outlook.example", "ErrorInvalidUser"),
    ] {
        let mailbox = accounts.open_shared(&team(), address).await.unwrap();
        let error = inbox(&mailbox).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{address}");
        assert_eq!(error.code(), Some(code));
    }
}

#[tokio::test]
async fn to_send_from_a_mailbox_takes_the_right_to_send_as_it() {
    let emulator = organisation().await;
    emulator.deliver(BILLING, b"Subject: Invoice\r\n\r\nText\r\n");
    let configuration = configuration(&emulator).with_shared_mailboxes();
    let accounts = connected(&emulator, configuration).await;
    let mailbox = accounts.open_shared(&team(), BILLING).await.unwrap();
    assert_eq!(inbox(&mailbox).await.unwrap().len(), 1);
    let error = mailbox.send(&outgoing()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.code(), Some("ErrorSendAsDenied"));
    assert!(emulator.messages(PERSONAL).is_empty());
}

#[tokio::test]
async fn large_files_cannot_be_attached_in_a_shared_mailbox() {
    let emulator = organisation().await;
    let configuration = configuration(&emulator).with_shared_mailboxes();
    let accounts = connected(&emulator, configuration).await;
    let mailbox = accounts.open_shared(&team(), SUPPORT).await.unwrap();
    let file = OutgoingAttachment::new("large.zip", "application/zip", vec![7; 4_000_000]);
    let error = mailbox.send(&outgoing().attach(file)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(emulator.messages(PERSONAL).is_empty());
}

#[tokio::test]
async fn a_read_only_account_reads_only_in_shared_mailboxes_too() {
    let emulator = organisation().await;
    emulator.deliver(SUPPORT, b"Subject: Help\r\n\r\nText\r\n");
    let configuration = configuration(&emulator)
        .with_access(Access::READ)
        .with_shared_mailboxes();
    let accounts = connected(&emulator, configuration).await;
    let mailbox = accounts.open_shared(&team(), SUPPORT).await.unwrap();
    let messages = inbox(&mailbox).await.unwrap();
    assert!(!mailbox.capabilities().change);
    let error = mailbox.mark_read(&messages).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn personal_accounts_have_none_and_nobody_signs_in_with_one() {
    let emulator = organisation().await;
    let configuration = configuration(&emulator).with_shared_mailboxes();
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .configuration("microsoft", configuration)
        .build()
        .unwrap();
    let id = team();
    let begin = || accounts.connect(&id, "microsoft", SignInOptions::new());
    let connecting = begin().await.unwrap();
    let callback = emulator.sign_in(&connecting.url, PERSONAL).await.unwrap();
    let error = accounts.complete(connecting.pending, &callback).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.code(), Some("AADSTS70011"));
    let connecting = begin().await.unwrap();
    let page = emulator.sign_in(&connecting.url, SUPPORT).await;
    assert!(page.unwrap_err().to_string().contains("AADSTS50057"));
}

#[tokio::test]
async fn every_way_of_asking_asks_for_shared_mailboxes_too() {
    let emulator = organisation().await;
    let service = emulator.microsoft();
    let flow = OAuthFlow::microsoft(&service.client_id)
        .client_secret(&*service.client_secret)
        .endpoints(postroom::oauth::Endpoints::microsoft_at(&service.base_url, "common").unwrap())
        .redirect_uri("http://localhost/callback")
        .shared_mailboxes(true)
        .build()
        .unwrap();
    let scopes = |url: &url::Url| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(name, _)| name == "scope")
            .unwrap()
            .1
            .into_owned()
    };
    let device = flow.start_device().await.unwrap();
    emulator.enter_code(&device.user_code, TEAM).await.unwrap();
    let granted = flow
        .wait_for_device(&device)
        .await
        .unwrap()
        .scopes
        .join(" ");
    let asked = scopes(&flow.authorize().unwrap().url);
    let page = scopes(
        &flow
            .admin_consent_url("http://localhost/callback")
            .unwrap()
            .url,
    );
    for said in [asked, page, granted] {
        for scope in [
            "Mail.ReadWrite.Shared",
            "Mail.Send.Shared",
            "User.ReadBasic.All",
        ] {
            assert!(said.contains(scope), "{scope} in {said}");
        }
    }
}

#[tokio::test]
async fn gmail_is_shared_by_delegation_of_the_domain_only() {
    let error = OAuthFlow::google("1234-abc.apps.googleusercontent.com")
        .shared_mailboxes(true)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    let emulator = emulator().start().await.unwrap();
    let service = emulator.google();
    let configuration = ProviderConfiguration::google(&service.client_id)
        .with_client_secret(Secret::new(&*service.client_secret))
        .with_auth_endpoint(service.base_url.clone())
        .with_redirect_uri("http://127.0.0.1/callback");
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .configuration("google", configuration)
        .build()
        .unwrap();
    let id = AccountId::new("reader");
    let connecting = accounts.connect(&id, "google", SignInOptions::new()).await;
    let connecting = connecting.unwrap();
    let reader = "reader@gmail.example";
    let callback = emulator.sign_in(&connecting.url, reader).await.unwrap();
    accounts
        .complete(connecting.pending, &callback)
        .await
        .unwrap();
    let error = accounts.open_shared(&id, "team@gmail.example").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
}
