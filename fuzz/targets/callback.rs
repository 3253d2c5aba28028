//! Whatever address a browser comes back to: only the one of this sign-in, with its state and a code, is taken.
#![no_main]

use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use postroom_fuzz::{BENCH, REDIRECT, STATE, complete};
use url::Url;

fuzz_target!(|text: &str| {
    let Ok(callback) = Url::parse(text).or_else(|_| Url::parse(&format!("{REDIRECT}?{text}")))
    else {
        return;
    };
    BENCH.service.answers(
        StatusCode::OK,
        r#"{"access_token": "planted-access", "token_type": "Bearer"}"#,
    );
    for service in [0, 1] {
        if complete(service, &callback).is_ok() {
            let values = |wanted: &str| {
                let pairs = callback.query_pairs();
                pairs
                    .filter(|(name, _)| name == wanted)
                    .map(|(_, value)| value.into_owned())
                    .collect::<Vec<_>>()
            };
            assert_eq!(callback.host_str(), Some("app.example"));
            assert_eq!(callback.path(), "/callback");
            assert_eq!(callback.scheme(), "https");
            assert_eq!(values("state"), [STATE]);
            assert!(values("code").iter().any(|code| !code.is_empty()));
            assert!(values("error").is_empty());
        }
    }
});
