//! The keys with which a service signs its id_tokens (RFC 7517), fetched when they are needed and kept while the service
//! says they are good, and whether one of them signed. What a token says is `identity`'s.
//!
//! Sources: <https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken>,
//! <https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-signature>,
//! <https://www.rfc-editor.org/rfc/rfc8725>.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AGE, CACHE_CONTROL};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::identity::Issuer;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, ApiClient, ApiRequest, Cost, protocol};
use crate::secret::Secret;

/// Far more than any key set.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// How long keys are kept where the service does not say.
const USUAL_LIFE: Duration = Duration::from_secs(60 * 60);

/// The longest that keys are kept: one that is withdrawn in a hurry must end here too.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// How soon the service is asked again because of a key that is not among those that it gave: anybody can write a token that
/// names a key of their own.
const PATIENCE: Duration = Duration::from_secs(30);

/// For how long all are told that the keys could not be fetched, before somebody tries again: those who waited for who tried
/// must not try one after another.
const FAILURE_LIFE: Duration = Duration::from_secs(5);

/// The keys of one server, shared by all who check its tokens. Nobody whose key is known waits while somebody else fetches:
/// anybody can write a token for which keys are fetched.
#[derive(Default)]
pub(super) struct KeySet {
    known: Mutex<Known>,
    /// Held by whoever fetches.
    fetching: tokio::sync::Mutex<()>,
}

/// What is known of a server's keys.
#[derive(Default)]
struct Known {
    kept: Option<Arc<Kept>>,
    /// Why they could not be fetched, and until when that is told.
    failed: Option<(Error, Duration)>,
}

/// What the server gave. Instants are the monotonic clock's.
struct Kept {
    keys: Vec<Key>,
    fetched_at: Duration,
    good_until: Duration,
}

/// An RSA key, in the form that it is used in.
struct Key {
    id: String,
    /// Microsoft: whose tokens it signs. One endpoint gives the keys of organisations and of personal accounts.
    issuer: Option<String>,
    components: RsaPublicKeyComponents<Vec<u8>>,
}

/// A key of any kind (RFC 7517 §4).
#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    kid: String,
    n: String,
    e: String,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
}

#[derive(Deserialize)]
struct PublishedKeys {
    keys: Vec<Value>,
}

/// What a token says of its own signature (RFC 7515 §4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

impl KeySet {
    /// Whether a key of the server at `url`, and one that signs for `issuer`, signed the token.
    pub(super) async fn verify(
        &self,
        api: &ApiClient,
        url: &Url,
        token: &Secret,
        issuer: &Issuer,
    ) -> Result<()> {
        let signed = Signed::read(token.expose())?;
        let kept = self.known().kept_for(&signed.key, api.clock.monotonic());
        let kept = match kept {
            Some(kept) => kept,
            None => self.fetched_for(&signed.key, api, url).await?,
        };
        if !kept.has(&signed.key) {
            return Err(unfit(
                "id_token_key",
                "the id_token names a key that the service does not have",
            ));
        }
        let named = kept.keys.iter().filter(|key| key.id == signed.key);
        let mut signs_for_issuer = named.filter(|key| {
            let of = key.issuer.as_deref();
            of.is_none_or(|of| issuer.is(of))
        });
        if signs_for_issuer.any(|key| signed.is_by(key)) {
            return Ok(());
        }
        Err(unfit(
            "id_token_signature",
            "the id_token was not signed by the service that it names",
        ))
    }
}

impl KeySet {
    /// The keys, fetched anew unless somebody else just did.
    async fn fetched_for(&self, key: &str, api: &ApiClient, url: &Url) -> Result<Arc<Kept>> {
        let _fetching = self.fetching.lock().await;
        let now = api.clock.monotonic();
        {
            let known = self.known();
            if let Some(kept) = known.kept_for(key, now) {
                return Ok(kept);
            }
            if let Some((error, until)) = &known.failed
                && *until > now
            {
                return Err(error.clone());
            }
        }
        let fetched = fetch(api, url).await.map(Arc::new);
        let mut known = self.known();
        match &fetched {
            Ok(kept) => {
                known.kept = Some(Arc::clone(kept));
                known.failed = None;
            }
            Err(error) => {
                let until = api.clock.monotonic().saturating_add(FAILURE_LIFE);
                known.failed = Some((error.clone(), until));
            }
        }
        fetched
    }

    /// Each change under the lock is complete by itself.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The keys that are kept, if they do for a token that names this one: services change their keys without a word, and in
    /// between, so that one which is not among them may be new.
    fn kept_for(&self, key: &str, now: Duration) -> Option<Arc<Kept>> {
        let kept = self.kept.as_ref()?;
        let does = kept.good_until > now
            && (kept.has(key) || kept.fetched_at.saturating_add(PATIENCE) > now);
        does.then(|| Arc::clone(kept))
    }
}

impl Kept {
    fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }
}

/// A token that says it was signed as the services sign theirs.
struct Signed<'a> {
    key: String,
    text: &'a str,
    signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    fn read(token: &'a str) -> Result<Self> {
        let malformed = || unfit("id_token_malformed", "the id_token cannot be read");
        let (text, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = text.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') {
            return Err(malformed());
        }
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let header: Option<Header> =
            decode(header).and_then(|header| serde_json::from_slice(&header).ok());
        let header = header.ok_or_else(malformed)?;
        // Both services sign with this and nothing else. What a token asks for is never followed: `none` would need no key,
        // and `HS256` would take the public one for a secret (RFC 8725 §2.1).
        if header.alg != "RS256" {
            return Err(unfit(
                "id_token_algorithm",
                "the id_token is not signed with RS256, as this service's are",
            ));
        }
        // What must be understood is not (RFC 7515 §4.1.11).
        if header.crit.is_some() {
            return Err(malformed());
        }
        Ok(Self {
            key: header.kid.ok_or_else(malformed)?,
            text,
            signature: decode(signature).ok_or_else(malformed)?,
        })
    }

    fn is_by(&self, key: &Key) -> bool {
        let verified = key.components.verify(
            &RSA_PKCS1_2048_8192_SHA256,
            self.text.as_bytes(),
            &self.signature,
        );
        verified.is_ok()
    }
}

async fn fetch(api: &ApiClient, url: &Url) -> Result<Kept> {
    const OPERATION: &str = "oauth.keys";
    let request = ApiRequest::read(OPERATION, url.clone(), Cost::requests(1))
        .unauthorized()
        .with_answer_limit(ANSWER_LIMIT);
    let answer = api.answer(request).await?;
    let published: PublishedKeys = answer.json().ok_or_else(|| {
        protocol("the service's keys are not in the documented form").with_operation(OPERATION)
    })?;
    // Keys of other kinds and for other purposes may be among them.
    let keys = published.keys.into_iter().filter_map(read_key).collect();
    let fetched_at = api.clock.monotonic();
    Ok(Kept {
        keys,
        fetched_at,
        good_until: fetched_at.saturating_add(life(&answer)),
    })
}

fn read_key(key: Value) -> Option<Key> {
    let key: PublishedKey = serde_json::from_value(key).ok()?;
    let signs = key.purpose.is_none_or(|purpose| purpose == "sig");
    let fits = key.alg.is_none_or(|alg| alg == "RS256");
    if key.kty != "RSA" || !signs || !fits {
        return None;
    }
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    Some(Key {
        id: key.kid,
        issuer: key.issuer,
        components: RsaPublicKeyComponents {
            n: decode(&key.n)?,
            e: decode(&key.e)?,
        },
    })
}

/// For how long an answer may be kept (RFC 9111 §4.2).
fn life(answer: &Answer) -> Duration {
    let directives = answer.header(CACHE_CONTROL.as_str()).unwrap_or_default();
    let named = directives
        .split(',')
        .find_map(|directive| directive.trim().strip_prefix("max-age="));
    let seconds = |text: &str| text.trim().parse().ok().map(Duration::from_secs);
    let age = answer.header(AGE.as_str()).and_then(seconds);
    let life = named.and_then(seconds).map_or(USUAL_LIFE, |life| {
        life.saturating_sub(age.unwrap_or_default())
    });
    life.min(LONGEST_LIFE)
}

fn unfit(code: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidCallback, message).with_code(code)
}
