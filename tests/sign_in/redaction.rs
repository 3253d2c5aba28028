//! Nothing that signs a user in or keeps them signed in is printed: no token, code, verifier, nonce, state or secret is
//! in any debug text, error or log line, however verbose.

use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use postroom::credentials::{
    AccessToken, AccountRecord, CredentialStore, FileStore, MemoryStore, RecordKey, Refresh, Save,
    StaticToken, StoredTokens, TokenSource,
};
use postroom::oauth::{Authorization, Endpoints, OAuthFlow};
use postroom::testing::VirtualClock;
use postroom::{Error, Secret};
use serde_json::json;
use url::Url;
use wiremock::matchers::{body_string_contains, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Everything that was logged, by whoever.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What was printed, and what must not be in it.
#[derive(Default)]
struct Printed {
    texts: Vec<String>,
}

impl Printed {
    fn debug(&mut self, value: &dyn std::fmt::Debug) {
        self.texts.push(format!("{value:?}"));
        self.texts.push(format!("{value:#?}"));
    }

    fn error(&mut self, error: &Error) {
        self.debug(error);
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(level) = cause {
            self.texts.push(level.to_string());
            self.debug(&level);
            cause = level.source();
        }
    }
}

const ACCESS: &str = "planted-access-token";
const REFRESH: &str = "planted-refresh-token";
const CODE: &str = "planted-code";
const SECRET: &str = "planted-client-secret";

#[tokio::test]
async fn no_secret_of_a_sign_in_is_ever_printed() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let mut printed = Printed::default();
    let mut secrets: Vec<String> = [ACCESS, REFRESH, CODE, SECRET].map(str::to_owned).into();

    let server = MockServer::start().await;
    let base = Url::parse(&server.uri()).unwrap();
    let builder = OAuthFlow::google("client")
        .endpoints(Endpoints::google_at(&base).unwrap())
        .client_secret(SECRET)
        .redirect_uri("https://desk.example/callback")
        .clock(Arc::new(VirtualClock::eager(chrono::Utc::now())));
    printed.debug(&builder);
    let flow = builder.build().unwrap();
    printed.debug(&flow);

    // Sign-ins that go wrong in as many ways as there are places that see a secret.
    let echo = format!("{ACCESS} {REFRESH} {CODE} {SECRET}");
    let answers = [
        ResponseTemplate::new(400).set_body_json(json!({
            "error": "invalid_grant", "error_description": echo, "error_subtype": ACCESS, "claims": CODE,
            "trace_id": REFRESH,
        })),
        ResponseTemplate::new(400).set_body_json(json!({"error": SECRET, "error_codes": [50173]})),
        ResponseTemplate::new(400).set_body_string(&echo),
        ResponseTemplate::new(503).set_body_string(&echo),
        ResponseTemplate::new(200).set_body_string(&echo),
        ResponseTemplate::new(200).set_body_json(json!({"access_token": [ACCESS], "code": CODE})),
        ResponseTemplate::new(200).set_body_json(json!({"access_token": ACCESS, "id_token": REFRESH})),
        ResponseTemplate::new(200).set_body_json(json!({
            "access_token": ACCESS,
            "id_token": format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(json!({"iss": SECRET}).to_string())),
        })),
        ResponseTemplate::new(200).set_body_json(json!({
            "access_token": ACCESS, "refresh_token": REFRESH, "expires_in": "3600", "scope": "openid",
        })),
    ];
    let mut grants = Vec::new();
    for answer in answers {
        let authorization = flow.authorize().unwrap();
        printed.debug(&authorization);
        let Authorization { url, pending, .. } = authorization;
        printed.debug(&pending);
        let session: serde_json::Value = serde_json::to_value(&pending).unwrap();
        for name in ["state", "nonce", "verifier"] {
            secrets.push(session[name].as_str().unwrap().to_owned());
        }
        server.reset().await;
        Mock::given(path("/token"))
            .and(body_string_contains(CODE))
            .respond_with(answer)
            .mount(&server)
            .await;
        let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let parameters = [("state", state.as_ref()), ("code", CODE)];
        let callback = Url::parse_with_params("https://desk.example/callback", parameters).unwrap();
        match flow.complete(pending, &callback).await {
            Ok(grant) => {
                printed.debug(&grant);
                grants.push(grant);
            }
            Err(error) => printed.error(&error),
        }
        // Callbacks that go wrong.
        let Authorization { pending, .. } = flow.authorize().unwrap();
        printed.error(&flow.complete(pending, &callback).await.unwrap_err());
    }
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
    let refused = [
        ("state", state.as_ref()),
        ("error", SECRET),
        ("error_description", &echo),
        ("code", CODE),
    ];
    let callback = Url::parse_with_params("https://desk.example/callback", refused).unwrap();
    printed.error(&flow.complete(pending, &callback).await.unwrap_err());

    // What is kept, and what renews it.
    let [grant] = grants.as_slice() else {
        panic!("one sign-in went well: {}", grants.len());
    };
    let record = grant.clone().into_record("reader", "default");
    printed.debug(&record);
    let directory = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn CredentialStore>; 2] = [
        Arc::new(MemoryStore::new()),
        Arc::new(FileStore::new(directory.path())),
    ];
    for store in stores {
        let key = RecordKey::account("reader");
        record.save(&*store, &key, Save::Always).await.unwrap();
        printed.debug(&store);
        printed.debug(&store.load(&key).await.unwrap());
        printed.debug(&AccountRecord::load(&*store, &key).await.unwrap());
        let refresh: Arc<dyn Refresh> = Arc::new(flow.clone());
        let tokens = StoredTokens::new(Arc::clone(&store), key.clone(), refresh).unwrap();
        let token = tokens.token().await.unwrap();
        assert_eq!(token.expose(), ACCESS);
        tokens.reject(&token).await;
        server.reset().await;
        Mock::given(path("/token"))
            .respond_with(ResponseTemplate::new(200).set_body_string(&echo))
            .mount(&server)
            .await;
        printed.error(&tokens.token().await.unwrap_err());
        server.reset().await;
        let body = json!({"access_token": "planted-second", "refresh_token": "planted-rotated"});
        Mock::given(path("/token"))
            .and(body_string_contains(REFRESH))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
        printed.debug(&tokens.token().await.unwrap());
        printed.debug(&tokens);
        Mock::given(path("/revoke"))
            .respond_with(ResponseTemplate::new(400).set_body_string(&echo))
            .mount(&server)
            .await;
        printed.error(&flow.revoke(&record).await.unwrap_err());
        // A damaged record, by whichever store.
        let damaged = Secret::new(format!("{{\"version\": 1, \"account\": \"{echo}"));
        store.save(&key, &damaged, Save::Always).await.unwrap();
        let tokens = StoredTokens::new(store, key, Arc::new(flow.clone())).unwrap();
        printed.error(&tokens.token().await.unwrap_err());
    }
    printed.debug(&StaticToken::new(ACCESS));
    printed.debug(&AccessToken::new(ACCESS));
    secrets.extend(["planted-second", "planted-rotated"].map(str::to_owned));

    let log = log.text();
    assert!(log.contains("oauth.refresh"), "the log is verbose");
    printed.texts.push(log);
    for text in &printed.texts {
        for secret in &secrets {
            let found = text.find(secret.as_str());
            let context = found.map(|at| text.get(at.saturating_sub(300)..at + 40));
            assert_eq!(context, None, "a secret was printed");
        }
    }
}
