//! The contract of [`SendJournal`] as tests: [`send_journal_tests!`](crate::send_journal_tests) makes each function here a
//! test of a journal. They use scopes of their own, so the journal may be shared.
#![allow(
    clippy::expect_used,
    reason = "these are tests: a journal that fails must fail them"
)]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::credentials::{Revision, Save, Saved};
use crate::journal::{JournalEntry, SendJournal, SendScope, SendState};
use crate::model::{MessageId, SendKey, SendTicket, Sent, ThreadId};

/// Makes the whole contract of send journals tests of one journal.
///
/// It takes the path of an async function that gives a journal to test. The crate that uses it needs `tokio` with the
/// features `macros` and `rt` as a development dependency.
///
/// ```
/// async fn journal() -> postroom::MemoryJournal {
///     postroom::MemoryJournal::new()
/// }
///
/// mod memory {
///     postroom::send_journal_tests!(super::journal);
/// }
/// # fn main() {}
/// ```
///
/// A journal on a server that may not be there is given by a function that returns an [`Option`], and the macro by
/// `send_journal_tests!(optional: journal)`. Without a journal the tests do nothing and pass: the function should say
/// aloud that they were left out, and fail where they must not be.
#[macro_export]
macro_rules! send_journal_tests {
    (optional: $journal:path) => {
        $crate::send_journal_tests! { @all(if_there) $journal }
    };
    (@all($run:ident) $journal:path) => {
        $crate::send_journal_tests! {
            @each($run) $journal:
            what_was_put_is_got_in_every_state,
            an_unknown_key_has_no_entry,
            every_put_has_a_new_revision,
            a_put_over_an_older_revision_is_superseded,
            an_entry_that_exists_is_not_created_again,
            a_removed_entry_is_gone_and_its_revision_too,
            of_concurrent_claims_one_wins,
            keys_of_any_text_are_kept_apart,
            scopes_are_kept_apart,
            entries_are_listed_page_by_page,
            what_was_sent_since_is_told,
            what_was_sent_long_ago_is_forgotten_and_nothing_else,
            large_tickets_of_any_text_are_kept,
        }
    };
    (@each($run:ident) $journal:path: $($case:ident,)*) => {$(
        #[::tokio::test]
        async fn $case() {
            let journal = $journal().await;
            $crate::testing::journal_suite::$run(journal, $crate::testing::journal_suite::$case).await;
        }
    )*};
    ($journal:path) => {
        $crate::send_journal_tests! { @all(always) $journal }
    };
}

/// Runs a case with a journal. The macro's own.
#[doc(hidden)]
pub async fn always<J: SendJournal, F: Future<Output = ()>>(
    journal: J,
    case: impl FnOnce(Arc<dyn SendJournal>) -> F,
) {
    case(Arc::new(journal)).await;
}

/// Runs a case if there is a journal. The macro's own.
#[doc(hidden)]
pub async fn if_there<J: SendJournal, F: Future<Output = ()>>(
    journal: Option<J>,
    case: impl FnOnce(Arc<dyn SendJournal>) -> F,
) {
    if let Some(journal) = journal {
        always(journal, case).await;
    }
}

type Journal = Arc<dyn SendJournal>;

/// A scope that no other test uses.
fn scope() -> SendScope {
    let account = Revision::random().expect("random numbers");
    SendScope::account(account.as_str()).in_namespace("suite")
}

fn instant() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_334_400_123).unwrap_or_default()
}

fn prepared(ticket: &str) -> SendState {
    SendState::Prepared {
        ticket: SendTicket::new(ticket),
        at: instant(),
    }
}

fn sent(at: DateTime<Utc>) -> SendState {
    let (id, thread) = (MessageId::new("id"), ThreadId::new("thread"));
    SendState::Sent {
        sent: Sent::new(Some(id), Some(thread)),
        at,
    }
}

async fn written(
    journal: &Journal,
    scope: &SendScope,
    key: &str,
    state: &SendState,
    save: Save,
) -> Revision {
    let key = scope.key(&SendKey::new(key));
    match journal.put(&key, state, save).await.expect("a put") {
        Saved::Written(revision) => revision,
        Saved::Superseded => panic!("a put that nobody contested was superseded"),
    }
}

async fn superseded(journal: &Journal, scope: &SendScope, key: &str, save: Save) {
    let key = scope.key(&SendKey::new(key));
    let saved = journal.put(&key, &prepared("too late"), save).await;
    assert_eq!(saved.expect("a put"), Saved::Superseded);
}

async fn got(journal: &Journal, scope: &SendScope, key: &str) -> Option<JournalEntry> {
    let key = scope.key(&SendKey::new(key));
    journal.get(&key).await.expect("an entry or none")
}

/// All that an entry says, ticket included.
fn told(state: &SendState) -> String {
    serde_json::to_string(state).expect("JSON")
}

#[doc(hidden)]
pub async fn what_was_put_is_got_in_every_state(journal: Journal) {
    let scope = scope();
    let dispatching = SendState::Dispatching {
        ticket: SendTicket::new("ticket"),
        since: instant(),
    };
    let preparing = SendState::Preparing {
        by: "somebody".to_owned(),
        since: instant(),
    };
    for state in [preparing, prepared("ticket"), dispatching, sent(instant())] {
        let revision = written(&journal, &scope, "row 1", &state, Save::Always).await;
        let entry = got(&journal, &scope, "row 1").await.expect("the entry");
        assert_eq!(entry.key.as_str(), "row 1");
        assert_eq!(entry.revision, revision);
        assert_eq!(told(&entry.state), told(&state));
    }
}

#[doc(hidden)]
pub async fn an_unknown_key_has_no_entry(journal: Journal) {
    let scope = scope();
    assert!(got(&journal, &scope, "row 1").await.is_none());
    let listed = journal.list(&scope, None, 10).await.expect("a list");
    assert!(listed.is_empty());
    let key = scope.key(&SendKey::new("row 1"));
    journal.remove(&key).await.expect("nothing to remove");
}

#[doc(hidden)]
pub async fn every_put_has_a_new_revision(journal: Journal) {
    let scope = scope();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let revision = written(&journal, &scope, "row 1", &prepared("t"), Save::Always).await;
        assert!(!seen.contains(&revision), "a revision came twice");
        seen.push(revision);
    }
}

#[doc(hidden)]
pub async fn a_put_over_an_older_revision_is_superseded(journal: Journal) {
    let scope = scope();
    let first = written(&journal, &scope, "row 1", &prepared("1"), Save::IfAbsent).await;
    let over = Save::IfRevision(first.clone());
    let second = written(&journal, &scope, "row 1", &prepared("2"), over).await;
    superseded(&journal, &scope, "row 1", Save::IfRevision(first)).await;
    let entry = got(&journal, &scope, "row 1").await.expect("the entry");
    assert_eq!(entry.revision, second);
    assert_eq!(told(&entry.state), told(&prepared("2")));
}

#[doc(hidden)]
pub async fn an_entry_that_exists_is_not_created_again(journal: Journal) {
    let scope = scope();
    written(&journal, &scope, "row 1", &prepared("1"), Save::IfAbsent).await;
    superseded(&journal, &scope, "row 1", Save::IfAbsent).await;
    let entry = got(&journal, &scope, "row 1").await.expect("the entry");
    assert_eq!(told(&entry.state), told(&prepared("1")));
}

#[doc(hidden)]
pub async fn a_removed_entry_is_gone_and_its_revision_too(journal: Journal) {
    let scope = scope();
    let revision = written(&journal, &scope, "row 1", &prepared("1"), Save::IfAbsent).await;
    let key = scope.key(&SendKey::new("row 1"));
    journal.remove(&key).await.expect("removed");
    assert!(got(&journal, &scope, "row 1").await.is_none());
    let over = Save::IfRevision(revision.clone());
    superseded(&journal, &scope, "row 1", over).await;
    let anew = written(&journal, &scope, "row 1", &prepared("2"), Save::IfAbsent).await;
    assert_ne!(anew, revision);
}

#[doc(hidden)]
pub async fn of_concurrent_claims_one_wins(journal: Journal) {
    let scope = scope();
    for round in 0..5 {
        let key = format!("row {round}");
        let revision = written(&journal, &scope, &key, &prepared("1"), Save::IfAbsent).await;
        let claims = (0..8).map(|_| {
            let (journal, over) = (Arc::clone(&journal), Save::IfRevision(revision.clone()));
            let key = scope.key(&SendKey::new(key.as_str()));
            let state = SendState::Dispatching {
                ticket: SendTicket::new("1"),
                since: instant(),
            };
            tokio::spawn(async move { journal.put(&key, &state, over).await })
        });
        let mut winners = 0;
        for claim in claims.collect::<Vec<_>>() {
            let saved = claim.await.expect("no panic").expect("a put");
            winners += usize::from(saved != Saved::Superseded);
        }
        assert_eq!(winners, 1, "of those who claim a send one may dispatch it");
    }
}

#[doc(hidden)]
pub async fn keys_of_any_text_are_kept_apart(journal: Journal) {
    let scope = scope();
    let keys = [
        "",
        "=",
        "a",
        "A",
        "a ",
        "a/b",
        "a%2Fb",
        "\u{e4}",
        "a\u{308}",
        "\\0",
        "\0",
        "'; --",
        "\u{1f4ee}",
    ];
    for key in keys {
        written(&journal, &scope, key, &prepared(key), Save::IfAbsent).await;
    }
    for key in keys {
        let entry = got(&journal, &scope, key).await.expect("the entry");
        assert_eq!(told(&entry.state), told(&prepared(key)), "{key:?}");
        assert_eq!(entry.key.as_str(), key);
    }
    let mut listed = Vec::new();
    for entry in journal.list(&scope, None, 100).await.expect("a list") {
        listed.push(entry.key.as_str().to_owned());
    }
    listed.sort();
    let mut keys = keys.map(str::to_owned);
    keys.sort();
    assert_eq!(listed, keys);
}

#[doc(hidden)]
pub async fn scopes_are_kept_apart(journal: Journal) {
    let own = scope();
    let account = own.account.clone().expect("an account");
    let mut nobody = SendScope::new().in_namespace(account.as_str());
    let scopes = [
        own.clone(),
        SendScope::account(account.clone()),
        SendScope::account(account.clone()).in_namespace(""),
        SendScope::account("").in_namespace(account.as_str()),
        nobody.clone(),
        SendScope::account(account.as_str().to_uppercase()).in_namespace("suite"),
    ];
    for (number, scope) in scopes.iter().enumerate() {
        let state = prepared(&number.to_string());
        written(&journal, scope, "row 1", &state, Save::IfAbsent).await;
    }
    for (number, scope) in scopes.iter().enumerate() {
        let listed = journal.list(scope, None, 10).await.expect("a list");
        let [entry] = listed.as_slice() else {
            panic!("{scope:?} has {} entries", listed.len());
        };
        assert_eq!(told(&entry.state), told(&prepared(&number.to_string())));
    }
    nobody.namespace = None;
    let key = SendKey::new(account.as_str());
    let there = journal.get(&nobody.key(&key)).await.expect("an answer");
    assert!(there.is_none(), "no account is not any account");
}

#[doc(hidden)]
pub async fn entries_are_listed_page_by_page(journal: Journal) {
    let scope = scope();
    let mut expected = Vec::new();
    for number in 0..23 {
        let key = format!("row {number}");
        written(&journal, &scope, &key, &prepared("t"), Save::IfAbsent).await;
        expected.push(key);
    }
    let mut listed: Vec<String> = Vec::new();
    loop {
        let after = listed.last().map(|key| SendKey::new(key.as_str()));
        let page = journal.list(&scope, after.as_ref(), 5).await;
        let page = page.expect("a page");
        listed.extend(page.iter().map(|entry| entry.key.as_str().to_owned()));
        if page.len() < 5 {
            break;
        }
        assert!(listed.len() <= expected.len(), "the list has no end");
    }
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

#[doc(hidden)]
pub async fn what_was_sent_since_is_told(journal: Journal) {
    let scope = scope();
    for hours in 0..4 {
        let state = sent(instant() - TimeDelta::hours(hours));
        let key = format!("row {hours}");
        written(&journal, &scope, &key, &state, Save::IfAbsent).await;
    }
    written(&journal, &scope, "waits", &prepared("t"), Save::IfAbsent).await;
    let since = instant() - TimeDelta::hours(1);
    let mut times = journal.sent_since(&scope, since).await.expect("times");
    times.sort();
    assert_eq!(times, [since, instant()]);
}

#[doc(hidden)]
pub async fn what_was_sent_long_ago_is_forgotten_and_nothing_else(journal: Journal) {
    let (scope, other) = (scope(), scope());
    let old = instant() - TimeDelta::days(40);
    for here in [&scope, &other] {
        written(&journal, here, "old", &sent(old), Save::IfAbsent).await;
    }
    let waits = SendState::Prepared {
        ticket: SendTicket::new("t"),
        at: old,
    };
    written(&journal, &scope, "waits", &waits, Save::IfAbsent).await;
    written(&journal, &scope, "new", &sent(instant()), Save::IfAbsent).await;
    let forgotten = journal.forget_sent(&scope, instant()).await;
    assert_eq!(forgotten.expect("a number"), 1);
    assert!(got(&journal, &scope, "old").await.is_none());
    assert!(got(&journal, &scope, "waits").await.is_some());
    assert!(got(&journal, &scope, "new").await.is_some());
    assert!(got(&journal, &other, "old").await.is_some());
}

#[doc(hidden)]
pub async fn large_tickets_of_any_text_are_kept(journal: Journal) {
    let scope = scope();
    let ticket = "\u{1f4ee}\0\\\"\r\n".repeat(200_000);
    let state = prepared(&ticket);
    written(&journal, &scope, "row 1", &state, Save::IfAbsent).await;
    let entry = got(&journal, &scope, "row 1").await.expect("the entry");
    let kept = entry.state.ticket().expect("a ticket").expose();
    assert!(kept == ticket, "the ticket came back otherwise");
}
