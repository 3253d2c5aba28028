//! Whatever claims an id_token has: nobody is let in but by one for this application, this sign-in and a time to come. A
//! text that is no JSON is taken for a whole token.
#![no_main]

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use postroom_fuzz::{BENCH, NONCE, callback, complete};
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    let claims: Option<Value> = serde_json::from_str(text).ok();
    let token = match &claims {
        Some(_) => format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(text)),
        None => text.to_owned(),
    };
    let answer = json!({"access_token": "planted-access", "id_token": token, "scope": "openid"});
    BENCH.service.answers(StatusCode::OK, answer.to_string());
    for service in [0, 1] {
        let Ok(grant) = complete(service, &callback()) else {
            continue;
        };
        let identity = grant.identity.expect("the answer had an id_token");
        assert!(!identity.subject.is_empty());
        let Some(claims) = &claims else {
            continue;
        };
        // Of a name that comes twice, which one is taken is the parser's affair.
        if text.matches("\"nonce\"").count() == 1 {
            assert_eq!(claims["nonce"], NONCE);
        }
        if text.matches("\"aud\"").count() == 1 {
            let named = |value: &Value| value == "client";
            let all = claims["aud"].as_array();
            assert!(named(&claims["aud"]) || all.is_some_and(|all| all.iter().any(named)));
        }
    }
});
