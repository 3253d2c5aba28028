//! Who a user is: id_tokens signed as the vendors sign them, and the key sets to check them with. Which
//! claims a vendor puts in is left to `google` and `microsoft`.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::CACHE_CONTROL;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::super::{State, Vendor};

/// Two for each vendor, that one can follow the other. Making an RSA key takes seconds, so that they are made already.
const PRIVATE_KEYS: &str = include_str!("keys/identity.pem");

/// The same, read once for all emulators of a process: that takes a while too.
static PAIRS: LazyLock<Vec<KeyPair>> = LazyLock::new(|| {
    let keys = PrivatePkcs8KeyDer::pem_slice_iter(PRIVATE_KEYS.as_bytes());
    keys.filter_map(|key| KeyPair::from_pkcs8(key.ok()?.secret_pkcs8_der()).ok())
        .collect()
});

/// The keys that sign id_tokens, with RS256 as the vendors do.
/// <https://developers.google.com/identity/openid-connect/openid-connect#validatinganidtoken>,
/// <https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-signature>
pub(crate) struct SigningKeys {
    google: Succession,
    microsoft: Succession,
    random: SystemRandom,
}

/// Keys of one vendor, of which each follows the other.
struct Succession {
    pairs: &'static [KeyPair],
    /// How many came before the one that signs now.
    past: AtomicUsize,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKeys")
    }
}

impl SigningKeys {
    pub(crate) fn new() -> Self {
        let (google, microsoft) = PAIRS.split_at(PAIRS.len() / 2);
        let succession = |pairs| Succession {
            pairs,
            past: AtomicUsize::new(0),
        };
        Self {
            google: succession(google),
            microsoft: succession(microsoft),
            random: SystemRandom::new(),
        }
    }

    fn of(&self, vendor: Vendor) -> &Succession {
        match vendor {
            Vendor::Google => &self.google,
            Vendor::Microsoft => &self.microsoft,
        }
    }

    /// From now on the next key signs. The last one stays published, as tokens that it signed are still about.
    pub(crate) fn rotate(&self) {
        for succession in [&self.google, &self.microsoft] {
            succession.past.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A signed JWT with these claims. `None` if the machine has no randomness left.
    pub(crate) fn sign(&self, vendor: Vendor, claims: &Value) -> Option<String> {
        let succession = self.of(vendor);
        let number = succession.past.load(Ordering::Relaxed);
        let pair = succession.pair(number)?;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": key_id(vendor, number)});
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &self.random,
            signed.as_bytes(),
            &mut signature,
        )
        .ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What is published of them: the key that signs, and the one before it.
    fn public(&self, vendor: Vendor) -> Vec<Value> {
        let succession = self.of(vendor);
        let number = succession.past.load(Ordering::Relaxed);
        (number.saturating_sub(1)..=number)
            .filter_map(|number| {
                let public: PublicKeyComponents<Vec<u8>> = succession.pair(number)?.public().into();
                Some(json!({
                    "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id(vendor, number),
                    "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
                }))
            })
            .collect()
    }
}

impl Succession {
    fn pair(&self, number: usize) -> Option<&KeyPair> {
        self.pairs.get(number.checked_rem(self.pairs.len())?)
    }
}

/// A key's name in headers and in the key set.
fn key_id(vendor: Vendor, number: usize) -> String {
    match vendor {
        Vendor::Google => format!("emulated-google-{number}"),
        Vendor::Microsoft => format!("emulated-microsoft-{number}"),
    }
}

/// Google's key set, which says for how long it may be kept.
pub(super) async fn google_keys(Shared(state): Shared<Arc<State>>) -> Response {
    let keys = state.signing_keys.public(Vendor::Google);
    let headers = [(
        CACHE_CONTROL,
        "public, max-age=21600, must-revalidate, no-transform",
    )];
    (headers, Json(json!({"keys": keys}))).into_response()
}

/// Microsoft's key set. Each key names the issuers that it may sign for, does not name its algorithm, and says how it is
/// known to those who read certificates.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-signing-key>
pub(super) async fn microsoft_keys(
    Shared(state): Shared<Arc<State>>,
    Path(tenant): Path<String>,
) -> Response {
    let issuer = match super::microsoft::issuer(&tenant) {
        Ok(issuer) => issuer,
        Err(error) => return error.into_response(&state),
    };
    let mut keys = state.signing_keys.public(Vendor::Microsoft);
    for fields in keys.iter_mut().filter_map(Value::as_object_mut) {
        fields.remove("alg");
        if let Some(id) = fields.get("kid").cloned() {
            fields.insert("x5t".to_owned(), id);
        }
        fields.insert("issuer".to_owned(), json!(issuer));
    }
    let headers = [(CACHE_CONTROL, "max-age=86400, private")];
    (headers, Json(json!({"keys": keys}))).into_response()
}
