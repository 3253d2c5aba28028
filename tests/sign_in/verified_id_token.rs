//! An id_token that did not come straight from the service is believed only if a key of the service signed it for this
//! application, and the service is asked for its keys no more often than it must be.

use crate::raw_sign_in;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::raw_sign_in::{PERSONAL, READER, SignIn, WORK, text};
use crate::scripted::{Reply, Scripted};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postroom::clock::Clock as _;
use postroom::credentials::{AccountRecord, CredentialStore, MemoryStore, RecordKey, Service};
use postroom::emulator::Emulator;
use postroom::http::{Transport, TransportError};
use postroom::oauth::{Endpoints, OAuthFlow};
use postroom::testing::VirtualClock;
use postroom::{
    AccountId, Accounts, Adoption, ByteStream, Content, Error, ErrorKind, ProviderConfiguration,
    Secret,
};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use url::Url;

const CLIENT: &str = "1234-abc.apps.googleusercontent.com";
const MICROSOFT_CLIENT: &str = "2d4f6a8c-1b3d-4e5f-9a7b-8c6d4e2f0a1b";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// A vendor's emulated sign-in, a flow at it, and the clock of both.
async fn emulated(google: bool) -> (SignIn, OAuthFlow, VirtualClock) {
    let clock = VirtualClock::eager("2026-11-22T08:00:00Z".parse().unwrap());
    let emulator = Emulator::builder().empty().clock(Arc::new(clock.clone()));
    let emulator = emulator.start().await.unwrap();
    let base = if google {
        emulator.google().base_url.clone()
    } else {
        emulator.microsoft().base_url.clone()
    };
    let sign_in = if google {
        SignIn::google(emulator)
    } else {
        SignIn::microsoft(emulator, "common")
    };
    let flow = if google {
        OAuthFlow::google(&sign_in.client_id).endpoints(Endpoints::google_at(&base).unwrap())
    } else {
        let endpoints = Endpoints::microsoft_at(&base, "common").unwrap();
        OAuthFlow::microsoft(&sign_in.client_id).endpoints(endpoints)
    };
    let flow = flow.clock(Arc::new(clock.clone())).build().unwrap();
    (sign_in, flow, clock)
}

/// An id_token as another library would have kept it.
async fn id_token(sign_in: &SignIn, address: &str) -> Secret {
    let code = sign_in.code(address, "openid email profile", &[]).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    Secret::new(text(&body, "id_token"))
}

fn fetches(sign_in: &SignIn) -> usize {
    let requests = sign_in.emulator.requests();
    let asks = |path: &str| path.ends_with("/certs") || path.ends_with("/keys");
    requests.iter().filter(|entry| asks(&entry.path)).count()
}

/// Someone's own key, and tokens that it signs.
struct Signer(KeyPair);

impl Signer {
    fn new() -> Self {
        let pem = include_str!("../../src/emulator/sign_in/keys/application.pem");
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        Self(KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap())
    }

    fn sign(&self, header: &Value, claims: &Value) -> Secret {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        let random = SystemRandom::new();
        let text = signed.as_bytes();
        self.0
            .sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
            .unwrap();
        Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// As it is published, with these changes.
    fn published(&self, changes: Value) -> Value {
        let public: PublicKeyComponents<Vec<u8>> = self.0.public().into();
        let mut key = json!({
            "kty": "RSA", "kid": "one", "use": "sig",
            "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
        });
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }
}

/// A service that publishes these keys, and a flow at it.
fn publishing(google: bool, keys: Vec<Value>) -> (OAuthFlow, Scripted) {
    let transport = Scripted::new(move |_| Reply::json(json!({"keys": keys})));
    let flow = if google {
        OAuthFlow::google(CLIENT)
    } else {
        OAuthFlow::microsoft(MICROSOFT_CLIENT)
    };
    let clock = Arc::new(transport.clock.clone());
    let flow = flow.transport(Arc::new(transport.clone())).clock(clock);
    (flow.build().unwrap(), transport)
}

fn google_claims(transport: &Scripted) -> Value {
    let now = transport.clock.now().timestamp();
    json!({
        "iss": "https://accounts.google.com", "aud": CLIENT, "azp": CLIENT, "sub": "1234",
        "email": "reader@gmail.example", "iat": now, "exp": now + 3600,
    })
}

fn microsoft_claims(transport: &Scripted, tenant: &str) -> Value {
    let now = transport.clock.now().timestamp();
    json!({
        "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"), "aud": MICROSOFT_CLIENT,
        "sub": "pairwise", "oid": "object", "tid": tenant, "iat": now, "nbf": now, "exp": now + 3600,
    })
}

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "one"})
}

async fn refused(flow: &OAuthFlow, token: &Secret) -> Error {
    let error = flow.verify_id_token(token, None).await.unwrap_err();
    let printed = format!("{error} {error:?} {flow:?}");
    for part in token.expose().split('.').filter(|part| part.len() > 8) {
        assert!(!printed.contains(part), "{printed}");
    }
    error
}

#[tokio::test]
async fn a_token_that_another_library_kept_says_who_the_user_is() {
    for (google, address, service) in [
        (true, READER, Service::Google),
        (false, WORK, Service::Microsoft),
        (false, PERSONAL, Service::Microsoft),
    ] {
        let (sign_in, flow, _) = emulated(google).await;
        let token = id_token(&sign_in, address).await;
        let user = flow.verify_id_token(&token, None).await.unwrap();
        assert_eq!(user.identity.service, service);
        assert!(!user.identity.subject.is_empty());
        assert_eq!(user.addresses, [address]);
        assert!(user.display_name.is_some());
    }
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let (sign_in, flow, _) = emulated(true).await;
    let token = id_token(&sign_in, READER).await;
    let parts: Vec<&str> = token.expose().split('.').collect();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["sub"] = json!("somebody else");
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let forged = format!("{}.{claims}.{}", parts[0], parts[2]);
    let error = refused(&flow, &Secret::new(forged)).await;
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
    assert_eq!(error.code(), Some("id_token_signature"));
    let truncated = format!("{}.{}.", parts[0], parts[1]);
    let error = refused(&flow, &Secret::new(truncated)).await;
    assert_eq!(error.code(), Some("id_token_signature"));
}

#[tokio::test]
async fn a_wrong_key_is_refused_although_its_name_is_right() {
    let (sign_in, flow, clock) = emulated(true).await;
    let token = id_token(&sign_in, READER).await;
    let first = token.expose().split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(first).unwrap()).unwrap();
    let now = clock.now().timestamp();
    let claims = json!({
        "iss": "https://accounts.google.com", "aud": sign_in.client_id, "sub": "somebody",
        "exp": now + 3600,
    });
    let forged = Signer::new().sign(&header, &claims);
    let error = refused(&flow, &forged).await;
    assert_eq!(error.code(), Some("id_token_signature"));
}

#[tokio::test]
async fn a_token_chooses_no_algorithm() {
    let signer = Signer::new();
    let (flow, transport) = publishing(true, vec![signer.published(json!({}))]);
    let claims = google_claims(&transport);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = |alg: &str| {
        let header = json!({"alg": alg, "kid": "one"});
        format!("{}.{}.", part(&header), part(&claims))
    };
    let mut cases = vec![unsigned("none"), unsigned("None"), unsigned("")];
    // The public key as the secret of an HMAC: what a verifier does that lets the token choose.
    let public: PublicKeyComponents<Vec<u8>> = signer.0.public().into();
    let header = json!({"alg": "HS256", "kid": "one"});
    let signed = format!("{}.{}", part(&header), part(&claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public.n);
    let tag = ring::hmac::sign(&key, signed.as_bytes());
    cases.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)));
    for token in cases {
        let error = refused(&flow, &Secret::new(token)).await;
        assert_eq!(error.code(), Some("id_token_algorithm"));
    }
    // A right signature under a header that must be understood, or in a form that is none.
    let critical = json!({"alg": "RS256", "kid": "one", "crit": ["b64"], "b64": false});
    let nameless = json!({"alg": "RS256"});
    for token in [
        signer.sign(&critical, &claims),
        signer.sign(&nameless, &claims),
    ] {
        let error = refused(&flow, &token).await;
        assert_eq!(error.code(), Some("id_token_malformed"));
    }
    let right = signer.sign(&self::header(), &claims);
    let more = Secret::new(format!("{}.x", right.expose()));
    assert_eq!(
        refused(&flow, &more).await.code(),
        Some("id_token_malformed")
    );
    // None of them was worth a question.
    assert_eq!(transport.requests().len(), 0);
    flow.verify_id_token(&right, None).await.unwrap();
}

#[tokio::test]
async fn what_a_rightly_signed_token_says_is_checked_too() {
    let signer = Signer::new();
    let (flow, transport) = publishing(true, vec![signer.published(json!({}))]);
    let now = transport.clock.now().timestamp();
    let nonce = Secret::new("asked");
    for (code, changes) in [
        ("id_token_issuer", json!({"iss": "https://evil.example"})),
        ("id_token_audience", json!({"aud": "another"})),
        ("id_token_audience", json!({"azp": "another"})),
        (
            "id_token_audience",
            json!({"aud": [CLIENT, "another"], "azp": null}),
        ),
        ("id_token_expired", json!({"exp": now - 301})),
        ("id_token_not_yet", json!({"nbf": now + 301})),
        ("id_token_subject", json!({"sub": ""})),
        ("wrong_nonce", json!({"nonce": "another"})),
        ("wrong_nonce", json!({"nonce": null})),
    ] {
        let mut claims = google_claims(&transport);
        claims["nonce"] = json!("asked");
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = signer.sign(&header(), &claims);
        let error = flow
            .verify_id_token(&token, Some(&nonce))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some(code), "{changes}");
        assert_eq!(error.kind(), ErrorKind::InvalidCallback);
        assert_eq!(error.operation(), Some("oauth.verify_id_token"));
    }
    // Clocks differ by minutes.
    let mut claims = google_claims(&transport);
    claims["exp"] = json!(now - 299);
    claims["nbf"] = json!(now + 299);
    flow.verify_id_token(&signer.sign(&header(), &claims), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn microsofts_keys_sign_only_for_the_issuer_that_they_name() {
    let signer = Signer::new();
    let personal = format!("https://login.microsoftonline.com/{PERSONAL_TENANT}/v2.0");
    let any = "https://login.microsoftonline.com/{tenantid}/v2.0";
    for (issuer, tenant, right) in [
        (any, TENANT, true),
        (any, PERSONAL_TENANT, true),
        (personal.as_str(), PERSONAL_TENANT, true),
        (personal.as_str(), TENANT, false),
    ] {
        let keys = vec![signer.published(json!({"issuer": issuer}))];
        let (flow, transport) = publishing(false, keys);
        let token = signer.sign(&header(), &microsoft_claims(&transport, tenant));
        let outcome = flow.verify_id_token(&token, None).await;
        assert_eq!(outcome.is_ok(), right, "{issuer} for {tenant}: {outcome:?}");
    }
    // The tenant beside the issuer is part of it.
    let (flow, transport) = publishing(false, vec![signer.published(json!({"issuer": any}))]);
    let mut claims = microsoft_claims(&transport, TENANT);
    claims["tid"] = json!(PERSONAL_TENANT);
    let error = refused(&flow, &signer.sign(&header(), &claims)).await;
    assert_eq!(error.code(), Some("id_token_issuer"));
}

#[tokio::test]
async fn keys_for_other_purposes_sign_nobody_in() {
    let signer = Signer::new();
    for change in [
        json!({"use": "enc"}),
        json!({"alg": "RS512"}),
        json!({"kty": "oct"}),
        json!({"n": "!"}),
        json!({"kid": 7}),
    ] {
        let (flow, transport) = publishing(true, vec![signer.published(change.clone())]);
        let token = signer.sign(&header(), &google_claims(&transport));
        let error = refused(&flow, &token).await;
        assert_eq!(error.code(), Some("id_token_key"), "{change}");
    }
    // And do not hide those that do.
    let keys = vec![json!({"kty": "EC", "kid": "one"}), json!("nonsense")];
    let keys = [keys, vec![signer.published(json!({"alg": "RS256"}))]].concat();
    let (flow, transport) = publishing(true, keys);
    let token = signer.sign(&header(), &google_claims(&transport));
    flow.verify_id_token(&token, None).await.unwrap();
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_when_the_service_signs_with_a_new_one() {
    for google in [true, false] {
        let (sign_in, flow, clock) = emulated(google).await;
        let address = if google { READER } else { WORK };
        let first = id_token(&sign_in, address).await;
        let checks = (0..20).map(|_| flow.verify_id_token(&first, None));
        for user in futures_util::future::join_all(checks).await {
            user.unwrap();
        }
        assert_eq!(fetches(&sign_in), 1);

        clock.advance(Duration::from_secs(60));
        sign_in.emulator.rotate_signing_keys();
        let second = id_token(&sign_in, address).await;
        flow.verify_id_token(&second, None).await.unwrap();
        flow.verify_id_token(&first, None).await.unwrap();
        assert_eq!(fetches(&sign_in), 2);
    }
}

#[tokio::test]
async fn tokens_with_made_up_keys_cannot_make_the_service_be_asked_again_and_again() {
    let signer = Signer::new();
    let (flow, transport) = publishing(true, vec![signer.published(json!({}))]);
    let claims = google_claims(&transport);
    flow.verify_id_token(&signer.sign(&header(), &claims), None)
        .await
        .unwrap();
    let made_up = signer.sign(&json!({"alg": "RS256", "kid": "two"}), &claims);
    for _ in 0..50 {
        let error = refused(&flow, &made_up).await;
        assert_eq!(error.code(), Some("id_token_key"));
    }
    assert_eq!(transport.requests().len(), 1);
    transport.clock.advance(Duration::from_secs(30));
    for _ in 0..50 {
        refused(&flow, &made_up).await;
    }
    assert_eq!(transport.requests().len(), 2);
}

/// A service that answers the first request at once, and each that follows when it is let.
#[derive(Debug)]
struct Slow {
    answers: Scripted,
    lets: tokio::sync::Semaphore,
}

#[async_trait]
impl Transport for Slow {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<http::Response<ByteStream>, TransportError> {
        self.lets.acquire().await.unwrap().forget();
        self.answers.send(request).await
    }
}

#[tokio::test]
async fn nobody_whose_key_is_known_waits_for_the_key_of_somebody_else() {
    let signer = Signer::new();
    let (_, answers) = publishing(true, vec![signer.published(json!({}))]);
    let slow = Arc::new(Slow {
        answers: answers.clone(),
        lets: tokio::sync::Semaphore::new(1),
    });
    let flow = OAuthFlow::google(CLIENT).transport(slow.clone());
    let flow = flow.clock(Arc::new(answers.clock.clone())).build().unwrap();
    let claims = google_claims(&answers);
    let right = signer.sign(&header(), &claims);
    flow.verify_id_token(&right, None).await.unwrap();
    answers.clock.advance(Duration::from_secs(30));
    let made_up = signer.sign(&json!({"alg": "RS256", "kid": "two"}), &claims);
    let mut fetching = Box::pin(flow.verify_id_token(&made_up, None));
    let mut beside = Box::pin(flow.verify_id_token(&made_up, None));
    assert!(futures_util::poll!(&mut fetching).is_pending());
    assert!(futures_util::poll!(&mut beside).is_pending());
    let user = futures_util::poll!(Box::pin(flow.verify_id_token(&right, None)));
    assert!(user.is_ready());
    slow.lets.add_permits(1);
    for asked in [fetching, beside] {
        assert_eq!(asked.await.unwrap_err().code(), Some("id_token_key"));
    }
    assert_eq!(answers.requests().len(), 2);
}

#[tokio::test]
async fn keys_are_kept_for_as_long_as_the_service_says() {
    let signer = Signer::new();
    for (headers, seconds) in [
        (
            vec![("cache-control", "public, max-age=600, no-transform")],
            600,
        ),
        (vec![("cache-control", "max-age=600"), ("age", "500")], 100),
        (vec![("cache-control", "max-age=999999999")], 24 * 60 * 60),
        (vec![], 60 * 60),
    ] {
        let key = signer.published(json!({}));
        let transport = Scripted::new(move |_| {
            let reply = Reply::json(json!({"keys": [key]}));
            let with = |reply: Reply, (name, value): &(&str, &str)| reply.with_header(name, value);
            headers.iter().fold(reply, with)
        });
        let flow = OAuthFlow::google(CLIENT)
            .transport(Arc::new(transport.clone()))
            .clock(Arc::new(transport.clock.clone()))
            .build()
            .unwrap();
        let check = async || {
            let token = signer.sign(&header(), &google_claims(&transport));
            flow.verify_id_token(&token, None).await.unwrap();
            transport.requests().len()
        };
        assert_eq!(check().await, 1);
        transport.clock.advance(Duration::from_secs(seconds - 1));
        assert_eq!(check().await, 1, "{seconds}");
        transport.clock.advance(Duration::from_secs(1));
        assert_eq!(check().await, 2, "{seconds}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_fault_of_the_token() {
    let signer = Signer::new();
    let published = signer.published(json!({}));
    let answers = Mutex::new(vec![
        Reply::json(json!({"keys": [published]})),
        Reply::text(200, "<html>a portal"),
        Reply::status(404),
        Reply::Lost,
    ]);
    let transport = Scripted::new(move |_| answers.lock().unwrap().pop().unwrap());
    let flow = OAuthFlow::google(CLIENT)
        .transport(Arc::new(transport.clone()))
        .clock(Arc::new(transport.clock.clone()))
        .retry(postroom::http::RetryPolicy::never())
        .build()
        .unwrap();
    let token = signer.sign(&header(), &google_claims(&transport));
    for kind in [ErrorKind::Network, ErrorKind::Protocol, ErrorKind::Protocol] {
        let asked = transport.requests().len();
        // Whoever comes right after is told the same, and asks nothing.
        for _ in 0..3 {
            assert_eq!(refused(&flow, &token).await.kind(), kind);
            assert_eq!(transport.requests().len(), asked + 1);
        }
        transport.clock.advance(Duration::from_secs(5));
    }
    flow.verify_id_token(&token, None).await.unwrap();

    let mut endpoints = Endpoints::google().unwrap();
    endpoints.keys = None;
    let flow = OAuthFlow::google(CLIENT).endpoints(endpoints);
    let flow = flow.transport(Arc::new(transport)).build().unwrap();
    assert_eq!(refused(&flow, &token).await.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn the_keys_are_the_services_own() {
    let signer = Signer::new();
    for (google, address) in [
        (true, "https://www.googleapis.com/oauth2/v3/certs"),
        (
            false,
            "https://login.microsoftonline.com/common/discovery/v2.0/keys",
        ),
    ] {
        let (flow, transport) = publishing(google, Vec::new());
        let claims = if google {
            google_claims(&transport)
        } else {
            microsoft_claims(&transport, TENANT)
        };
        // Where the token says that its keys are is never asked.
        let header = json!({
            "alg": "RS256", "kid": "one", "jku": "https://evil.example/keys",
            "jwk": signer.published(json!({})),
        });
        let error = refused(&flow, &signer.sign(&header, &claims)).await;
        assert_eq!(error.code(), Some("id_token_key"));
        let asked: Vec<Url> = transport.requests().into_iter().map(|r| r.url).collect();
        assert_eq!(asked, [Url::parse(address).unwrap()]);
    }
}

#[tokio::test]
async fn a_signed_id_token_says_whose_an_adopted_grant_is_that_does_not_tell() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let sign_in = SignIn::google(emulator);
    let service = sign_in.emulator.google();
    let configuration = ProviderConfiguration::google(&service.client_id)
        .with_client_secret(Secret::new(&*service.client_secret))
        .with_auth_endpoint(service.base_url.clone())
        .with_api_endpoint(service.base_url.clone());
    let store = Arc::new(MemoryStore::new());
    let accounts = Accounts::builder(Arc::clone(&store) as Arc<dyn CredentialStore>)
        .configuration("google", configuration)
        .build()
        .unwrap();
    let id = AccountId::new("reader");
    // Mail and nothing else: renewing it says nothing of its user.
    let offline = [raw_sign_in::OFFLINE];
    let code = sign_in.code(READER, raw_sign_in::MODIFY, &offline).await;
    let body = sign_in.redeem(&code, &[]).await.json();
    let adoption = || Adoption::refresh_token(text(&body, "refresh_token"));
    let subject = async || {
        let key = RecordKey::account("reader");
        let loaded = AccountRecord::load(&*store, &key).await.unwrap();
        loaded.map(|loaded| loaded.record.identity)
    };

    let forged = Signer::new().sign(&header(), &json!({}));
    let outcome = accounts.adopt(&id, "google", adoption().id_token(forged));
    assert_eq!(
        outcome.await.unwrap_err().kind(),
        ErrorKind::InvalidCallback
    );
    let kept = id_token(&sign_in, READER).await;
    assert!(!format!("{:?}", adoption().id_token(kept.clone())).contains("eyJ"));
    assert_eq!(subject().await, None, "nothing was kept");

    let adopted = accounts.adopt(&id, "google", adoption().id_token(kept));
    assert_eq!(adopted.await.unwrap().address.as_deref(), Some(READER));
    let identity = subject().await.unwrap().unwrap();
    assert_eq!(identity.service, Service::Google);
    // With it the account keeps its mailbox.
    let other = id_token(&sign_in, "team@gmail.example").await;
    let outcome = accounts.adopt(&id, "google", adoption().id_token(other));
    assert_eq!(outcome.await.unwrap_err().kind(), ErrorKind::Conflict);
}
