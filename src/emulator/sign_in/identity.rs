//! Who a user is: id_tokens signed with a key made at start, and the key set to check them with. Which
//! claims a vendor puts in is left to `google` and `microsoft`.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::super::State;

/// The key that signs id_tokens.
///
/// The vendors sign with RS256. Making an RSA key takes seconds, so that the emulator signs with ES256
/// and says so in the header and in its key set.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

/// The key's name in headers and in the key set.
const KEY_ID: &str = "emulator-1";

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey")
    }
}

impl SigningKey {
    pub(crate) fn generate() -> std::io::Result<Self> {
        let random = SystemRandom::new();
        let failed = |_| std::io::Error::other("no key for id_tokens could be made");
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(failed)?;
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
                .map_err(|_| std::io::Error::other("no key for id_tokens could be read"))?;
        Ok(Self { pair, random })
    }

    /// A signed JWT with these claims. `None` if the machine has no randomness left.
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": KEY_ID});
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.pair.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn public(&self) -> Value {
        // An uncompressed point: the byte 4, then both coordinates.
        let point = self.pair.public_key().as_ref();
        let coordinates = point.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        json!({
            "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// The key set of both vendors.
pub(super) async fn keys(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({"keys": [state.signing_key.public()]}))
}
