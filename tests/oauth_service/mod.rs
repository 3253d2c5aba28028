//! A service whose token endpoint a test scripts, over HTTP.

#![allow(
    dead_code,
    reason = "each test crate that includes this uses a part of it"
)]

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{SubsecRound, Utc};
use postroom::clock::Clock;
use postroom::credentials::{AccountRecord, Service};
use postroom::oauth::{Endpoints, OAuthFlow, OAuthFlowBuilder};
use postroom::testing::VirtualClock;
use postroom::{Error, Secret};
use serde_json::{Value, json};
use url::Url;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub(crate) const REDIRECT: &str = "https://desk.example/oauth/callback";
pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// A service with a token endpoint that a test scripts.
pub(crate) struct World {
    pub(crate) server: MockServer,
    pub(crate) clock: VirtualClock,
    pub(crate) google: bool,
}

impl World {
    pub(crate) async fn google() -> Self {
        Self::new(true).await
    }

    pub(crate) async fn microsoft() -> Self {
        Self::new(false).await
    }

    pub(crate) async fn new(google: bool) -> Self {
        Self {
            server: MockServer::start().await,
            // The mock server says the real time in its answers, and an id_token is read against that.
            clock: VirtualClock::eager(Utc::now().trunc_subsecs(0)),
            google,
        }
    }

    pub(crate) fn builder(&self) -> OAuthFlowBuilder {
        let base = Url::parse(&self.server.uri()).unwrap();
        let builder = if self.google {
            OAuthFlow::google("client").endpoints(Endpoints::google_at(&base).unwrap())
        } else {
            let endpoints = Endpoints::microsoft_at(&base, "common").unwrap();
            OAuthFlow::microsoft("client").endpoints(endpoints)
        };
        builder
            .client_secret("planted-secret")
            .redirect_uri(REDIRECT)
            .clock(Arc::new(self.clock.clone()))
    }

    pub(crate) fn flow(&self) -> OAuthFlow {
        self.builder().build().unwrap()
    }

    pub(crate) fn token_path(&self) -> &'static str {
        if self.google {
            "/token"
        } else {
            "/common/oauth2/v2.0/token"
        }
    }

    /// Answers at the token endpoint from now on.
    pub(crate) async fn answers(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("POST"))
            .and(path(self.token_path()))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// What an honest server answers to the code of this sign-in.
    pub(crate) fn tokens(&self, url: &Url) -> Value {
        let scope = if self.google {
            "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/gmail.modify"
        } else {
            "Mail.Send https://graph.microsoft.com/mail.readwrite User.Read openid profile email"
        };
        json!({
            "access_token": "planted-access", "expires_in": 3599, "refresh_token": "planted-refresh",
            "scope": scope, "token_type": "Bearer", "id_token": id_token(&self.claims(url)),
        })
    }

    pub(crate) fn claims(&self, url: &Url) -> Value {
        let expires_at = self.clock.now().timestamp() + 3600;
        let nonce = parameter(url, "nonce").unwrap();
        if self.google {
            json!({
                "iss": "https://accounts.google.com", "aud": "client", "azp": "client", "sub": "1234",
                "email": "reader@gmail.example", "email_verified": true, "name": "Reader",
                "exp": expires_at, "nonce": nonce,
            })
        } else {
            json!({
                "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "aud": "client",
                "sub": "pairwise", "oid": "object", "tid": TENANT, "name": "Reader",
                "preferred_username": "reader@outlook.example", "exp": expires_at, "nonce": nonce,
            })
        }
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

pub(crate) fn id_token(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs().filter(|(key, _)| key == name);
    let value = pairs.next().map(|(_, value)| value.into_owned());
    assert!(pairs.next().is_none(), "{name} came twice");
    value
}

pub(crate) fn form(request: &Request) -> HashMap<String, String> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

/// The address that a browser comes back with.
pub(crate) fn callback(url: &Url) -> Url {
    let state = parameter(url, "state").unwrap();
    Url::parse_with_params(
        REDIRECT,
        [("state", state.as_str()), ("code", "4/planted-code")],
    )
    .unwrap()
}

pub(crate) fn words(url: &Url) -> Vec<String> {
    let scope = parameter(url, "scope").unwrap();
    scope.split(' ').map(str::to_owned).collect()
}

pub(crate) fn record(service: Service) -> AccountRecord {
    let mut record = AccountRecord::new("reader", "default", service);
    record.credential.refresh_token = Some(Secret::new("planted-refresh"));
    record
}

pub(crate) fn chain(error: &Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(level) = cause {
        text += &format!("\n{level}\n{level:?}");
        cause = level.source();
    }
    text
}
