//! What becomes of the parts of a batch, and of requests that are tried again, when the tries do not fail alike.

use std::sync::atomic::{AtomicUsize, Ordering};

use postroom::http::RetryPolicy;
use postroom::{
    Cap, Change, Delivery, Detail, ErrorKind, Gmail, Keyword, MailProvider as _, Mailbox, Outlook,
};
use serde_json::{Value, json};

use super::scripted::{Reply, Request, Scripted};
use super::{ids, message};

const GRAPH_BATCH: &str = "/v1.0/$batch";

/// The answer to a batch of Graph's: for each part its status, its headers and its body.
fn graph_batch(request: &Request, answer: impl Fn(&Value) -> (u16, Value, Value)) -> Reply {
    let asked = request.json();
    let parts = asked["requests"].as_array().unwrap().iter();
    let parts = parts.map(|part| {
        let (status, headers, body) = answer(part);
        json!({"id": part["id"], "status": status, "headers": headers, "body": body})
    });
    Reply::json(json!({"responses": parts.collect::<Vec<_>>()}))
}

fn limited() -> Value {
    json!({"error": {"code": "TooManyRequests", "message": "Slow down."}})
}

/// What a part asks for, as the service has it.
fn named(part: &Value) -> Value {
    let url = part["url"].as_str().unwrap();
    let id = url.split('?').next().unwrap().rsplit('/').next().unwrap();
    json!({"id": id})
}

fn seen() -> Change {
    Change::Set(Keyword::Seen)
}

#[tokio::test]
async fn what_may_have_happened_once_is_not_told_as_not_sent_later() {
    let refusal = || Reply::error(429, limited()).with_header("retry-after", "900");
    // How the first try fails: alone, as parts of a batch, as the whole batch.
    for (count, in_parts) in [(1, false), (5, true), (5, false)] {
        let asked = AtomicUsize::new(0);
        let service = Scripted::new(move |request| {
            let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            match (first, in_parts) {
                (true, true) => graph_batch(request, |_| (504, json!({}), json!({}))),
                (false, true) => {
                    graph_batch(request, |_| (429, json!({"Retry-After": "900"}), limited()))
                }
                (true, false) => Reply::status(504),
                (false, false) => refusal(),
            }
        });
        let outlook = Outlook::new(service.connection()).unwrap();
        let changed = outlook.apply(&ids(count), &seen()).await.unwrap();
        assert_eq!(changed.len(), count);
        for outcome in changed {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            assert_eq!(error.delivery(), Delivery::Unknown, "{count} {in_parts}");
        }
    }
}

#[tokio::test]
async fn what_may_have_happened_is_not_told_as_not_sent_when_the_cap_ends_it() {
    for count in [1, 5] {
        let service = Scripted::new(move |request| match request.path() {
            GRAPH_BATCH => graph_batch(request, |_| (504, json!({}), json!({}))),
            _ => Reply::status(504),
        });
        let mailbox = Mailbox::new(Outlook::new(service.connection()).unwrap());
        let capped = mailbox.with_cap(Cap::requests(count)).unwrap();
        let ids = ids(usize::try_from(count).unwrap());
        for outcome in capped.apply(&ids, &seen()).await.unwrap() {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CapReached);
            assert_eq!(error.delivery(), Delivery::Unknown, "{count}");
        }
        // What changes nothing cannot have changed anything.
        let capped = mailbox.with_cap(Cap::requests(count)).unwrap();
        for outcome in capped.messages_by_id(&ids, Detail::Ids).await.unwrap() {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CapReached);
            assert_eq!(error.delivery(), Delivery::NotSent, "{count}");
        }
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_says_nothing_of_the_messages_in_it() {
    for (status, code) in [(404, "ResourceNotFound"), (400, "BadRequest")] {
        let error = move || {
            let error = json!({"error": {"code": code, "message": "No.", "errors": []}});
            Reply::error(status, error)
        };
        let service = Scripted::new(move |request| match request.path() {
            GRAPH_BATCH => error(),
            path => Reply::json(json!({"id": path.rsplit('/').next().unwrap()})),
        });
        let outlook = Outlook::new(service.connection()).unwrap();
        let read = outlook.get(&ids(7), Detail::Ids).await.unwrap();
        let read: Vec<_> = read.into_iter().map(|read| read.unwrap().id).collect();
        assert_eq!(read, ids(7), "{status} at Graph");

        let service = Scripted::new(move |request| {
            if request.path().contains("/batch/") {
                return error();
            }
            message(request.path().rsplit('/').next().unwrap())
        });
        let gmail = Gmail::new(service.connection()).unwrap();
        let read = gmail.get(&ids(7), Detail::Headers).await.unwrap();
        let read: Vec<_> = read.into_iter().map(|read| read.unwrap().id).collect();
        assert_eq!(read, ids(7), "{status} at Gmail");
    }
}

#[tokio::test]
async fn a_batch_of_what_happens_once_that_is_refused_as_a_whole_is_no_fault_of_its_messages() {
    let service = Scripted::new(|request| match request.path() {
        GRAPH_BATCH => Reply::error(404, json!({"error": {"code": "ResourceNotFound"}})),
        _ => Reply::json(json!({"id": "copied"})),
    });
    let outlook = Outlook::new(service.connection()).unwrap();
    let folder = postroom::FolderId::new("folder");
    let copied = Mailbox::new(outlook).copy_to(&ids(5), &folder).await;
    for outcome in copied.unwrap() {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.delivery(), Delivery::Answered);
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains("404"), "{source}");
    }
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn a_denial_that_is_not_asked_again_is_told_as_it_was() {
    let denial = json!({"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}});
    let service = Scripted::new(move |request| match request.path() {
        GRAPH_BATCH => graph_batch(request, |_| (403, json!({}), denial.clone())),
        _ => Reply::error(403, &denial),
    });
    let connection = service.connection().with_retry(RetryPolicy::never());
    let outlook = Outlook::new(connection).unwrap();
    for outcome in outlook.get(&ids(40), Detail::Headers).await.unwrap() {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.code(), Some("ErrorAccessDenied"));
    }
}

#[tokio::test]
async fn a_date_within_a_part_of_a_batch_is_read_by_the_services_clock() {
    let asked = AtomicUsize::new(0);
    // The service's clock is an hour ahead of the one here.
    let service = Scripted::new(move |request| {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        let answer = graph_batch(request, |part| match first {
            true => {
                let until = json!({"Retry-After": "Sun, 22 Nov 2026 09:01:00 GMT"});
                (429, until, limited())
            }
            false => (200, json!({}), named(part)),
        });
        answer.with_header("date", "Sun, 22 Nov 2026 09:00:00 GMT")
    });
    let outlook = Outlook::new(service.connection()).unwrap();
    let read = outlook.get(&ids(5), Detail::Ids).await.unwrap();
    assert!(read.iter().all(Result::is_ok));
    let waited = service.waited().as_secs();
    assert!((60..90).contains(&waited), "{waited}");
}
