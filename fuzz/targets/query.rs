//! Whatever people type into a search box: it is read or refused, and what was read can be asked of both services.
#![no_main]

use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use postroom::{Detail, PageRequest, Query};
use postroom_fuzz::BENCH;

fuzz_target!(|text: &str| {
    let Ok(query) = text.parse::<Query>() else {
        return;
    };
    BENCH.service.answers(StatusCode::OK, r#"{"value": []}"#);
    for mailbox in &BENCH.mailboxes {
        let page = mailbox.page(&query, Detail::Ids, PageRequest::first());
        // A service may not be able to say all of it.
        let _ = BENCH.runtime.block_on(page);
    }
});
