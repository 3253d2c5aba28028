//! Whatever a browser brings back and whatever a token endpoint answers: no panic, no acceptance of what is not this
//! sign-in's, and nothing of either in an error. More cases run with `PROPTEST_CASES`.

use crate::support::{Script, Scripted};
use postroom::http::RetryPolicy;
use postroom::oauth::{Authorization, OAuthFlow};
use postroom::{Error, ErrorKind};
use proptest::prelude::*;
use url::Url;

const REDIRECT: &str = "https://app.example/callback";

fn flow(google: bool, answers: Vec<Scripted>) -> (OAuthFlow, std::sync::Arc<Script>) {
    let script = Script::new(answers);
    let builder = if google {
        OAuthFlow::google("client")
    } else {
        OAuthFlow::microsoft("client")
    };
    let flow = builder
        .client_secret("planted-secret")
        .redirect_uri(REDIRECT)
        .retry(RetryPolicy::never())
        .transport(script.clone())
        .build()
        .unwrap();
    (flow, script)
}

fn state(authorization: &Authorization) -> String {
    let pair = authorization
        .url
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap();
    pair.1.into_owned()
}

fn complete(flow: &OAuthFlow, authorization: Authorization, callback: &Url) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(flow.complete(authorization.pending, callback))
        .map(drop)
}

fn printed(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

/// Values that a JSON answer may hold where something else is expected.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "planted[a-z. ]{0,20}".prop_map(Into::into),
        "\\PC{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-z_]{1,12}", inner), 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn answer() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::subsequence(
        vec![
            "access_token",
            "refresh_token",
            "id_token",
            "expires_in",
            "token_type",
            "scope",
            "error",
            "error_description",
            "error_codes",
            "error_subtype",
            "suberror",
            "claims",
            "refresh_token_expires_in",
        ],
        0..13,
    );
    names.prop_flat_map(|names| {
        let count = names.len();
        prop::collection::vec(json(), count).prop_map(move |values| {
            let names = names.iter().map(|name| (*name).to_owned());
            serde_json::Value::Object(names.zip(values).collect())
        })
    })
}

proptest! {
    #[test]
    fn a_callback_without_this_sign_ins_state_is_refused_before_anything_is_sent(
        google: bool,
        pairs in prop::collection::vec(("(code|state|error|iss|error_description|[a-z]{1,8})", "\\PC{0,40}"), 0..8),
    ) {
        let (flow, script) = flow(google, vec![Scripted::Lost]);
        let authorization = flow.authorize().unwrap();
        let mut callback: Url = REDIRECT.parse().unwrap();
        callback.query_pairs_mut().extend_pairs(&pairs);
        let error = complete(&flow, authorization, &callback).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::InvalidCallback);
        prop_assert_eq!(script.requests(), 0);
    }

    #[test]
    fn a_callback_to_another_address_is_refused_before_anything_is_sent(google: bool, other in "[a-z]{1,12}") {
        let (flow, script) = flow(google, vec![Scripted::Lost]);
        for address in [
            format!("https://{other}.attacker.example/callback"),
            format!("https://app.example/callback/{other}"),
            format!("https://app.example:8443/callback?{other}"),
            format!("http://app.example/callback?{other}"),
        ] {
            let authorization = flow.authorize().unwrap();
            let mut callback: Url = address.parse().unwrap();
            callback.query_pairs_mut().append_pair("code", "code").append_pair("state", &state(&authorization));
            let error = complete(&flow, authorization, &callback).unwrap_err();
            prop_assert_eq!(error.kind(), ErrorKind::InvalidCallback);
        }
        prop_assert_eq!(script.requests(), 0);
    }

    #[test]
    fn a_token_answer_of_any_shape_is_a_grant_or_an_error_that_quotes_nothing(
        google: bool,
        status in prop::sample::select(vec![200_u16, 400, 401, 403, 429, 500, 503]),
        answer in answer(),
        cut in 0_usize..400,
    ) {
        let mut body = answer.to_string().into_bytes();
        body.truncate(body.len().saturating_sub(cut / 4));
        let (flow, _) = flow(google, vec![Scripted::json(status, body)]);
        let authorization = flow.authorize().unwrap();
        let mut callback: Url = REDIRECT.parse().unwrap();
        callback.query_pairs_mut().append_pair("code", "planted-code").append_pair("state", &state(&authorization));
        if let Err(error) = complete(&flow, authorization, &callback) {
            let text = printed(&error);
            prop_assert!(!text.contains("planted"), "{}", text);
        }
    }
}
