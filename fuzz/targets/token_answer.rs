//! Whatever a token endpoint answers: there is a token in it or it is an error, which quotes nothing. The first byte says
//! at which service and with which status.
#![no_main]

use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use postroom::credentials::{Credential, Refresh};
use postroom_fuzz::{BENCH, callback, complete, printed};

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let service = usize::from(first & 1);
    let status = [200, 400, 401, 429, 500, 503][usize::from(first >> 1) % 6];
    let status = StatusCode::from_u16(status).expect("a status");
    BENCH.service.answers(status, body.to_vec());
    if let Ok(grant) = complete(service, &callback()) {
        assert!(status.is_success());
        assert!(holds_a_token(&grant.credential));
        assert!(!format!("{grant:?}").contains("planted-token"));
        let mut record = grant.into_record("account", "configuration");
        record.credential.refresh_token = Some("planted-refresh".into());
        let flow = &BENCH.flows[service];
        match BENCH.runtime.block_on(flow.refresh(&record)) {
            Ok(refreshed) => assert!(!refreshed.access_token.is_empty()),
            Err(error) => assert!(!printed(&error).contains("planted")),
        }
        let kept = record.to_secret().expect("a record that can be written");
        postroom::credentials::AccountRecord::from_secret(&kept).expect("and read again");
    }
});

fn holds_a_token(credential: &Credential) -> bool {
    let token = credential.access_token.as_ref();
    token.is_some_and(|token| !token.is_empty())
}
