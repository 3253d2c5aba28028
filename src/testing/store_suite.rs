//! The contract of [`CredentialStore`] as tests: [`credential_store_tests!`](crate::credential_store_tests) makes
//! each function here a test of a store. They use accounts in namespaces of their own, so the store may be shared.
#![allow(
    clippy::expect_used,
    reason = "these are tests: a store that fails must fail them"
)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::{
    AccountRecord, Acquired, CredentialStore, Lease, RecordKey, Revision, Save, Saved, Service,
    StoredRecord,
};
use crate::model::AccountId;
use crate::secret::Secret;

/// Makes the whole contract of credential stores tests of one store.
///
/// It takes the path of an async function that gives a store to test. The crate that uses it needs `tokio` with the
/// features `macros` and `rt` as a development dependency.
///
/// ```
/// async fn store() -> postroom::credentials::MemoryStore {
///     postroom::credentials::MemoryStore::new()
/// }
///
/// mod memory {
///     postroom::credential_store_tests!(super::store);
/// }
/// # fn main() {}
/// ```
///
/// A store on a server that may not be there is given by a function that returns an [`Option`], and the macro by
/// `credential_store_tests!(optional: store)`. Without a store the tests do nothing and pass: the function should say
/// aloud that they were left out, and fail where they must not be.
#[macro_export]
macro_rules! credential_store_tests {
    (optional: $store:path) => {
        $crate::credential_store_tests! { @all(if_there) $store }
    };
    (@all($run:ident) $store:path) => {
        $crate::credential_store_tests! {
            @each($run) $store:
            what_was_saved_is_loaded,
            an_unknown_key_has_no_record,
            every_write_has_a_new_revision,
            a_save_over_an_older_revision_is_superseded,
            a_record_that_exists_is_not_created_again,
            a_removed_record_is_gone_and_its_revision_too,
            of_concurrent_writers_one_wins,
            no_change_of_concurrent_writers_is_lost,
            a_save_that_is_cut_off_leaves_the_old_record_or_the_new_one,
            accounts_of_any_name_are_kept_apart,
            namespaces_and_kinds_are_kept_apart,
            no_namespace_is_not_the_empty_one,
            only_accounts_are_listed,
            many_accounts_are_listed,
            large_records_are_kept,
            records_of_any_text_are_kept,
            what_a_later_version_wrote_survives,
            a_lease_excludes_others_until_it_is_released,
            a_lease_that_has_ended_can_be_taken_over,
            a_late_release_does_not_end_another_lease,
            a_lease_that_a_later_version_took_holds,
        }
    };
    (@each($run:ident) $store:path: $($case:ident,)*) => {$(
        #[::tokio::test]
        async fn $case() {
            let store = $store().await;
            $crate::testing::store_suite::$run(store, $crate::testing::store_suite::$case).await;
        }
    )*};
    ($store:path) => {
        $crate::credential_store_tests! { @all(always) $store }
    };
}

/// Runs a case with a store. The macro's own.
#[doc(hidden)]
pub async fn always<S: CredentialStore, F: Future<Output = ()>>(
    store: S,
    case: impl FnOnce(Arc<dyn CredentialStore>) -> F,
) {
    case(Arc::new(store)).await;
}

/// Runs a case if there is a store. The macro's own.
#[doc(hidden)]
pub async fn if_there<S: CredentialStore, F: Future<Output = ()>>(
    store: Option<S>,
    case: impl FnOnce(Arc<dyn CredentialStore>) -> F,
) {
    if let Some(store) = store {
        always(store, case).await;
    }
}

/// A key that no other test uses.
fn key(account: &str) -> RecordKey {
    let namespace = Revision::random().expect("random numbers");
    RecordKey::account(account).in_namespace(namespace.as_str())
}

async fn written(store: &dyn CredentialStore, key: &RecordKey, text: &str, save: Save) -> Revision {
    let saved = store.save(key, &Secret::new(text), save).await;
    match saved.expect("a save") {
        Saved::Written(revision) => revision,
        Saved::Superseded => panic!("a save that nobody contested was superseded"),
    }
}

async fn superseded(store: &dyn CredentialStore, key: &RecordKey, save: Save) {
    let saved = store.save(key, &Secret::new("too late"), save).await;
    assert_eq!(saved.expect("a save"), Saved::Superseded);
}

async fn loaded(store: &dyn CredentialStore, key: &RecordKey) -> Option<StoredRecord> {
    store.load(key).await.expect("a load")
}

async fn text(store: &dyn CredentialStore, key: &RecordKey) -> Option<String> {
    let stored = loaded(store, key).await;
    stored.map(|stored| stored.record.expose().to_owned())
}

/// What was saved is what is loaded, with the revision that the save gave.
pub async fn what_was_saved_is_loaded(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    let revision = written(&*store, &key, "{\"first\": \"ä\\n\"}", Save::IfAbsent).await;
    let stored = loaded(&*store, &key).await.expect("the record");
    assert_eq!(stored.record.expose(), "{\"first\": \"ä\\n\"}");
    assert_eq!(stored.revision, revision);
}

/// Nothing is found, and removing nothing is fine.
pub async fn an_unknown_key_has_no_record(store: Arc<dyn CredentialStore>) {
    let key = key("nobody");
    assert!(loaded(&*store, &key).await.is_none());
    store.remove(&key).await.expect("removing nothing");
    let listed = store.list(key.namespace.as_deref()).await.expect("a list");
    assert_eq!(listed, []);
}

/// A revision is never used twice, even if the same text is written.
pub async fn every_write_has_a_new_revision(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    let mut revisions = HashSet::new();
    let mut save = Save::IfAbsent;
    for _ in 0..10 {
        let revision = written(&*store, &key, "the same", save).await;
        assert!(revisions.insert(revision.clone()), "a revision came twice");
        save = Save::IfRevision(revision);
    }
    let revision = written(&*store, &key, "the same", Save::Always).await;
    assert!(revisions.insert(revision), "a revision came twice");
}

/// Who read before somebody else wrote does not overwrite it.
pub async fn a_save_over_an_older_revision_is_superseded(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    let old = written(&*store, &key, "old", Save::IfAbsent).await;
    written(&*store, &key, "new", Save::IfRevision(old.clone())).await;
    superseded(&*store, &key, Save::IfRevision(old)).await;
    assert_eq!(text(&*store, &key).await.as_deref(), Some("new"));
}

/// Creating is conditional too.
pub async fn a_record_that_exists_is_not_created_again(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    written(&*store, &key, "first", Save::IfAbsent).await;
    superseded(&*store, &key, Save::IfAbsent).await;
    assert_eq!(text(&*store, &key).await.as_deref(), Some("first"));
}

/// A removed record is not loaded, not listed, and not resurrected by who read it before; nor does a new one take up
/// the old one's revisions.
pub async fn a_removed_record_is_gone_and_its_revision_too(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    let revision = written(&*store, &key, "first", Save::IfAbsent).await;
    store.remove(&key).await.expect("a removal");
    assert!(loaded(&*store, &key).await.is_none());
    let listed = store.list(key.namespace.as_deref()).await.expect("a list");
    assert_eq!(listed, []);
    superseded(&*store, &key, Save::IfRevision(revision.clone())).await;
    assert!(loaded(&*store, &key).await.is_none());
    written(&*store, &key, "second", Save::IfAbsent).await;
    superseded(&*store, &key, Save::IfRevision(revision)).await;
    assert_eq!(text(&*store, &key).await.as_deref(), Some("second"));
}

/// Of writers with the same revision, and of creators, exactly one is told that it wrote, and its record is there.
pub async fn of_concurrent_writers_one_wins(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    let mut save = Save::IfAbsent;
    for _ in 0..3 {
        let writers = (0..8).map(|writer| {
            let (store, key, save) = (Arc::clone(&store), key.clone(), save.clone());
            tokio::spawn(async move {
                let record = Secret::new(format!("writer {writer}"));
                (
                    writer,
                    store.save(&key, &record, save).await.expect("a save"),
                )
            })
        });
        let mut winner = None;
        for writer in writers.collect::<Vec<_>>() {
            if let (writer, Saved::Written(revision)) = writer.await.expect("a writer") {
                assert!(winner.is_none(), "two writers over one revision");
                winner = Some((writer, revision));
            }
        }
        let (writer, revision) = winner.expect("one writer wins");
        let stored = loaded(&*store, &key).await.expect("the record");
        assert_eq!(stored.record.expose(), format!("writer {writer}"));
        assert_eq!(stored.revision, revision);
        save = Save::IfRevision(revision);
    }
}

/// Whoever loads, changes and saves conditionally until it is written loses nobody's change.
pub async fn no_change_of_concurrent_writers_is_lost(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    written(&*store, &key, "", Save::IfAbsent).await;
    let writers = ["a", "b", "c", "d"].map(|letter| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                loop {
                    let stored = loaded(&*store, &key).await.expect("the record");
                    let record = Secret::new(format!("{}{letter}", stored.record.expose()));
                    let save = Save::IfRevision(stored.revision);
                    let saved = store.save(&key, &record, save).await.expect("a save");
                    if saved != Saved::Superseded {
                        break;
                    }
                }
            }
        })
    });
    for writer in writers {
        writer.await.expect("a writer");
    }
    let text = text(&*store, &key).await.expect("the record");
    for letter in ["a", "b", "c", "d"] {
        assert_eq!(text.matches(letter).count(), 5, "changes were lost: {text}");
    }
}

/// Whoever saves may be gone at any moment, as a task that is dropped or a process that is killed: what is there then
/// is the old record or the new one, whole and with a revision of its own, and can be written over.
pub async fn a_save_that_is_cut_off_leaves_the_old_record_or_the_new_one(
    store: Arc<dyn CredentialStore>,
) {
    let key = key("reader");
    let text = |number: usize| number.to_string().repeat(20_000);
    let mut revision = written(&*store, &key, &text(0), Save::IfAbsent).await;
    let mut old = 0;
    for polls in 1..=20 {
        let new = Secret::new(text(polls));
        let mut save = Box::pin(store.save(&key, &new, Save::IfRevision(revision.clone())));
        for _ in 0..polls {
            if futures_util::poll!(save.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(save);
        // What was cut off may come to its end yet, so what was loaded may be superseded once more.
        revision = loop {
            let stored = loaded(&*store, &key).await.expect("a record");
            let found = stored.record.expose();
            let is_old = found == text(old);
            assert!(is_old || found == text(polls), "half a record");
            assert_eq!(is_old, stored.revision == revision, "a revision of its own");
            let save = Save::IfRevision(stored.revision);
            let saved = store.save(&key, &new, save).await.expect("a save");
            if let Saved::Written(revision) = saved {
                break revision;
            }
        };
        old = polls;
    }
}

/// Account names are any text; those that a careless store would take for one another or for a path are different.
pub async fn accounts_of_any_name_are_kept_apart(store: Arc<dyn CredentialStore>) {
    let long = "длинное имя ".repeat(60);
    let names = [
        "reader@gmail.example",
        "Reader@gmail.example",
        "READER@GMAIL.EXAMPLE",
        "日本語のメール",
        "e\u{301}te",
        "\u{e9}te",
        "📬 inbox",
        "../../escape",
        "..\\escape",
        "/absolute",
        "..",
        ".",
        "",
        " ",
        "con",
        "a b",
        "a%20b",
        "a+b",
        "a=b",
        "~",
        "x'; DROP TABLE records; --",
        "line\nbreak",
        "nul\0byte",
        &long,
        &long[..long.len() - 1],
    ];
    let namespace = key("").namespace.expect("a namespace");
    let key = |name: &str| RecordKey::account(name).in_namespace(namespace.as_str());
    for name in names {
        written(&*store, &key(name), name, Save::IfAbsent).await;
    }
    for name in names {
        let stored = text(&*store, &key(name)).await;
        assert_eq!(stored.as_deref(), Some(name), "the record of {name:?}");
    }
    let listed = store.list(Some(&namespace)).await.expect("a list");
    assert_eq!(listed.len(), names.len());
    let listed: HashSet<AccountId> = listed.into_iter().collect();
    assert_eq!(listed, names.into_iter().map(AccountId::from).collect());
}

/// The same account in two namespaces is two accounts, and its lease is a record of its own.
pub async fn namespaces_and_kinds_are_kept_apart(store: Arc<dyn CredentialStore>) {
    let one = key("reader");
    let two = key("reader");
    let lease = one.lease("test");
    written(&*store, &one, "one", Save::IfAbsent).await;
    written(&*store, &two, "two", Save::IfAbsent).await;
    written(&*store, &lease, "lease", Save::IfAbsent).await;
    store.remove(&two).await.expect("a removal");
    assert_eq!(text(&*store, &one).await.as_deref(), Some("one"));
    assert_eq!(text(&*store, &lease).await.as_deref(), Some("lease"));
    assert!(loaded(&*store, &two).await.is_none());

    let outside = RecordKey::account(one.namespace.as_deref().unwrap_or_default());
    written(&*store, &outside, "outside", Save::IfAbsent).await;
    let listed = store.list(None).await.expect("a list");
    assert!(listed.contains(&outside.account));
    assert!(!listed.contains(&one.account) || one.account == outside.account);
    store.remove(&outside).await.expect("a removal");
}

/// A tenant whose name is empty is a tenant.
pub async fn no_namespace_is_not_the_empty_one(store: Arc<dyn CredentialStore>) {
    let account = key("").namespace.expect("a name that nobody has");
    let outside = RecordKey::account(account);
    let inside = outside.clone().in_namespace("");
    written(&*store, &outside, "outside", Save::IfAbsent).await;
    written(&*store, &inside, "inside", Save::IfAbsent).await;
    assert_eq!(text(&*store, &outside).await.as_deref(), Some("outside"));
    store.remove(&outside).await.expect("a removal");
    assert_eq!(text(&*store, &inside).await.as_deref(), Some("inside"));
    let listed = store.list(Some("")).await.expect("a list");
    assert!(listed.contains(&inside.account));
    let listed = store.list(None).await.expect("a list");
    assert!(!listed.contains(&outside.account));
    store.remove(&inside).await.expect("a removal");
}

/// The list names accounts, once each, and no leases.
pub async fn only_accounts_are_listed(store: Arc<dyn CredentialStore>) {
    let one = key("one");
    let two = RecordKey {
        account: AccountId::from("two"),
        ..one.clone()
    };
    let three = RecordKey {
        account: AccountId::from("three"),
        ..one.clone()
    };
    written(&*store, &one, "1", Save::Always).await;
    written(&*store, &one, "1 again", Save::Always).await;
    written(&*store, &two, "2", Save::Always).await;
    written(&*store, &two.lease("test"), "lease", Save::Always).await;
    written(&*store, &three.lease("test"), "lease", Save::Always).await;
    let mut listed = store.list(one.namespace.as_deref()).await.expect("a list");
    listed.sort();
    assert_eq!(listed, [one.account, two.account]);
}

/// A list has no end at some round number.
pub async fn many_accounts_are_listed(store: Arc<dyn CredentialStore>) {
    let namespace = key("").namespace.expect("a namespace");
    let mut accounts: Vec<_> = (0..120)
        .map(|number| AccountId::new(number.to_string()))
        .collect();
    for account in &accounts {
        let key = RecordKey::account(account.clone()).in_namespace(namespace.as_str());
        written(&*store, &key, "{}", Save::IfAbsent).await;
    }
    let mut listed = store.list(Some(&namespace)).await.expect("a list");
    listed.sort();
    accounts.sort();
    assert_eq!(listed, accounts);
}

/// A record is text that means nothing to the store, so none of it may mean something.
pub async fn records_of_any_text_are_kept(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    for record in [
        "",
        "\0",
        "a\0b\\0",
        "'; --\"",
        "\u{1f4ec}\r\n\t",
        "null",
        "=?",
    ] {
        written(&*store, &key, record, Save::Always).await;
        assert_eq!(text(&*store, &key).await.as_deref(), Some(record));
    }
}

/// Services let their tokens grow: 200 kB must not be too much.
pub async fn large_records_are_kept(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    let large = "0123456789".repeat(20_000);
    written(&*store, &key, &large, Save::IfAbsent).await;
    assert!(text(&*store, &key).await.is_some_and(|text| text == large));
}

/// An account's record that a later version of this crate wrote keeps what this one does not know.
pub async fn what_a_later_version_wrote_survives(store: Arc<dyn CredentialStore>) {
    let key = key("reader");
    let record = AccountRecord::new("reader", "default", Service::Google);
    let secret = record.to_secret().expect("a record");
    let mut later: serde_json::Value =
        serde_json::from_str(secret.expose()).expect("a record is JSON");
    let fields = later.as_object_mut().expect("a record is an object");
    fields.insert(
        "invented_later".to_owned(),
        serde_json::json!({"kept": [1, 2]}),
    );
    written(&*store, &key, &later.to_string(), Save::IfAbsent).await;

    let loaded = AccountRecord::load(&*store, &key).await.expect("a load");
    let mut loaded = loaded.expect("the record");
    loaded.record.display_name = Some("Reader".to_owned());
    let save = Save::IfRevision(loaded.revision);
    loaded
        .record
        .save(&*store, &key, save)
        .await
        .expect("a save");
    let text = text(&*store, &key).await.expect("the record");
    let saved: serde_json::Value = serde_json::from_str(&text).expect("a record is JSON");
    assert_eq!(
        saved.get("invented_later"),
        Some(&serde_json::json!({"kept": [1, 2]}))
    );
}

const MINUTE: Duration = Duration::from_secs(60);

async fn acquire(
    store: &Arc<dyn CredentialStore>,
    key: &RecordKey,
    holder: &str,
    duration: Duration,
) -> Option<Lease> {
    let acquired = Lease::acquire(Arc::clone(store), key.clone(), holder, duration).await;
    match acquired.expect("an answer about a lease") {
        Acquired::Held(lease) => Some(lease),
        Acquired::Busy { .. } => None,
    }
}

/// One holds it, nobody else gets it, and once it is given back anybody does.
pub async fn a_lease_excludes_others_until_it_is_released(store: Arc<dyn CredentialStore>) {
    let key = key("reader").lease("test");
    let askers = (0..8).map(|asker| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move { acquire(&store, &key, &format!("asker {asker}"), MINUTE).await })
    });
    let mut held = Vec::new();
    for asker in askers.collect::<Vec<_>>() {
        held.extend(asker.await.expect("an asker"));
    }
    assert_eq!(held.len(), 1, "one of eight holds the lease");
    let mut lease = held.pop().expect("a lease");
    assert!(lease.renew(MINUTE).await.expect("a renewal"));
    assert!(acquire(&store, &key, "another", MINUTE).await.is_none());
    lease.release().await.expect("a release");
    assert!(acquire(&store, &key, "another", MINUTE).await.is_some());
}

/// What a crashed holder had ends by itself. The old holder then learns that it is no longer its own.
pub async fn a_lease_that_has_ended_can_be_taken_over(store: Arc<dyn CredentialStore>) {
    let key = key("reader").lease("test");
    let crashed = acquire(&store, &key, "crashed", Duration::ZERO).await;
    let mut crashed = crashed.expect("a lease");
    assert!(acquire(&store, &key, "successor", MINUTE).await.is_some());
    assert!(!crashed.renew(MINUTE).await.expect("a renewal"));
}

/// A holder that comes back late gives nothing away that is another's by now.
pub async fn a_late_release_does_not_end_another_lease(store: Arc<dyn CredentialStore>) {
    let key = key("reader").lease("test");
    let late = acquire(&store, &key, "late", Duration::ZERO).await;
    let _successor = acquire(&store, &key, "successor", MINUTE).await;
    late.expect("a lease").release().await.expect("a release");
    assert!(acquire(&store, &key, "third", MINUTE).await.is_none());
}

/// A lease with fields of a later version of this crate is a lease, and excludes those of this one.
pub async fn a_lease_that_a_later_version_took_holds(store: Arc<dyn CredentialStore>) {
    let key = key("reader").lease("test");
    let until = store.now().await.expect("the time") + MINUTE;
    let lease = serde_json::json!({"holder": "later", "until": until, "invented_later": {}});
    written(&*store, &key, &lease.to_string(), Save::IfAbsent).await;
    assert!(acquire(&store, &key, "this one", MINUTE).await.is_none());
    assert!(acquire(&store, &key, "later", MINUTE).await.is_some());
}
