//! One vendor's sign-in at the emulator, as any application in any language would see it.

#![allow(
    dead_code,
    reason = "each test crate that includes this uses a part of it"
)]

use std::sync::Mutex;
use std::time::Duration;

use crate::raw_http::{Answer, RawHttp};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use postroom::clock::Clock;
use postroom::emulator::Emulator;
use serde_json::Value;
use url::Url;

pub(crate) const READER: &str = "reader@gmail.example";
pub(crate) const PERSONAL: &str = "reader@outlook.example";
pub(crate) const WORK: &str = "team@outlook.example";
pub(crate) const CALLBACK: &str = "http://127.0.0.1:49152/callback";
pub(crate) const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
pub(crate) const SETTINGS: &str = "https://www.googleapis.com/auth/gmail.settings.basic";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A clock that stands still until it is told to go on.
#[derive(Debug, Default)]
pub(crate) struct HandClock(Mutex<Duration>);

impl HandClock {
    pub(crate) fn advance(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// One vendor's sign-in, seen by an application.
pub(crate) struct SignIn {
    pub(crate) emulator: Emulator,
    pub(crate) http: RawHttp,
    pub(crate) authorize: Url,
    pub(crate) token: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

impl SignIn {
    pub(crate) fn google(emulator: Emulator) -> Self {
        let service = emulator.google().clone();
        Self {
            authorize: service.base_url.join("o/oauth2/v2/auth").unwrap(),
            token: service.base_url.join("token").unwrap().into(),
            client_id: service.client_id,
            client_secret: service.client_secret,
            http: RawHttp::new(),
            emulator,
        }
    }

    pub(crate) fn microsoft(emulator: Emulator, tenant: &str) -> Self {
        let service = emulator.microsoft().clone();
        let base = service
            .base_url
            .join(&format!("{tenant}/oauth2/v2.0/"))
            .unwrap();
        Self {
            authorize: base.join("authorize").unwrap(),
            token: base.join("token").unwrap().into(),
            client_id: service.client_id,
            client_secret: service.client_secret,
            http: RawHttp::new(),
            emulator,
        }
    }

    /// An authorize URL that is right but for `changes`; a change to nothing leaves the parameter out.
    pub(crate) fn url(&self, scope: &str, changes: &[(&str, &str)]) -> Url {
        let mut parameters = vec![
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", scope),
            ("state", "state & more"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for change in changes {
            parameters.retain(|(name, _)| *name != change.0);
            if !change.1.is_empty() {
                parameters.push(*change);
            }
        }
        let mut url = self.authorize.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    pub(crate) async fn code(
        &self,
        address: &str,
        scope: &str,
        changes: &[(&str, &str)],
    ) -> String {
        let url = self.url(scope, changes);
        let callback = self.emulator.sign_in(&url, address).await.unwrap();
        value(&callback, "code").unwrap()
    }

    /// A token request that is right but for `changes`.
    pub(crate) async fn redeem(&self, code: &str, changes: &[(&str, &str)]) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.ask(&form, changes).await
    }

    pub(crate) async fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.ask(&form, changes).await
    }

    pub(crate) async fn ask(&self, form: &[(&str, &str)], changes: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("client_id", &self.client_id));
        form.push(("client_secret", &self.client_secret));
        for change in changes {
            form.retain(|(name, _)| *name != change.0);
            if !change.1.is_empty() {
                form.push(*change);
            }
        }
        self.http.form(&self.token, &form).await
    }
}

pub(crate) fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

pub(crate) fn claims(body: &Value) -> Value {
    let token = body["id_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub(crate) fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_default()
}

pub(crate) fn words(body: &Value) -> Vec<&str> {
    text(body, "scope").split(' ').collect()
}

pub(crate) async fn google() -> SignIn {
    SignIn::google(Emulator::start().await.unwrap())
}

pub(crate) async fn microsoft(tenant: &str) -> SignIn {
    SignIn::microsoft(Emulator::start().await.unwrap(), tenant)
}

pub(crate) const OFFLINE: (&str, &str) = ("access_type", "offline");
