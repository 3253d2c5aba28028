//! Services whose pages lead round and round. No loop that follows them is without an end.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use postroom::{
    AuditWindow, Detail, ErrorKind, Known, KnownMessage, MailProvider as _, Mailbox, MessageId,
    PageRequest, Query, Result, Scope,
};
use serde_json::json;

use crate::gmail::{batched, connect};
use crate::scripted::{Reply, Scripted};

/// A host that has nothing.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Known for Nothing {
    async fn page(&self, _: Option<&MessageId>, _: usize) -> Result<Vec<KnownMessage>> {
        Ok(Vec::new())
    }
}

/// The third page leads back to the second.
fn circling() -> Scripted {
    batched(|request| {
        if request.path().ends_with("/labels") {
            return Reply::json(
                json!({"labels": [{"id": "INBOX", "name": "INBOX", "type": "system"}]}),
            );
        }
        let token = request.query("pageToken");
        let next = match token.first().map(String::as_str) {
            Some("second") => "third",
            _ => "second",
        };
        Reply::json(json!({"messages": [{"id": next, "threadId": "t"}], "nextPageToken": next}))
    })
}

#[tokio::test]
async fn pages_that_lead_round_and_round_are_an_error_and_no_loop() {
    for detail in [Detail::Ids, Detail::Headers] {
        let mailbox = Mailbox::new(connect(&circling()));
        let all = mailbox.messages_with(Query::All, detail, PageRequest::first());
        let error = all.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{detail:?}");
    }
    let gmail = connect(&circling());
    let scope = Scope::everything();
    let audit = gmail.audit(&scope, AuditWindow::all(), &Nothing);
    assert_eq!(audit.await.unwrap_err().kind(), ErrorKind::Protocol);
}
