//! Whatever a host gives as the cursor of a sync: it is read or refused, what was read is written alike, and both providers
//! go on from it or say that they cannot.
#![no_main]

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use postroom::{Known, KnownMessage, MessageId, Scope, SyncCursor};
use postroom_fuzz::{BENCH, printed};

/// A host that has nothing.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Known for Nothing {
    async fn page(&self, _: Option<&MessageId>, _: usize) -> postroom::Result<Vec<KnownMessage>> {
        Ok(Vec::new())
    }
}

fuzz_target!(|text: &str| {
    let cursor = SyncCursor::new(text);
    if let Some(entries) = cursor.entries() {
        let again = SyncCursor::from_entries(&entries);
        assert_eq!(again.entries(), Some(entries));
    }
    BENCH.service.answers(StatusCode::OK, r#"{"value": []}"#);
    for mailbox in &BENCH.mailboxes {
        let mut pages = mailbox.sync(Some(cursor.clone()), Scope::default(), Arc::new(Nothing));
        match BENCH.runtime.block_on(pages.next()) {
            Some(Ok(page)) => assert!(page.cursor.entries().is_some()),
            Some(Err(error)) => assert!(!printed(&error).contains("planted")),
            None => {}
        }
    }
});
