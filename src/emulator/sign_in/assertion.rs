//! What applications sign to prove who they are, as servers read it: JSON Web Tokens and the emulator's one key for
//! them. What a claim must say is left to `google` and `microsoft`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rsa::KeyPair;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The private key of Google's service account and of the certificate that is registered with Microsoft.
pub(crate) const PRIVATE_KEY: &str = include_str!("keys/application.pem");

/// The certificate that is registered with Microsoft.
pub(crate) const CERTIFICATE: &str = include_str!("keys/application-certificate.pem");

/// A token as it was sent.
pub(super) struct Assertion<'a> {
    pub(super) header: Value,
    pub(super) claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Assertion<'a> {
    /// `None` for what is no token.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some(Self {
            header: part(header)?,
            claims: part(claims)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.header
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn claim(&self, name: &str) -> &str {
        self.claims
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn instant(&self, name: &str) -> Option<i64> {
        self.claims.get(name).and_then(Value::as_i64)
    }

    /// Whether the key above signed it in the way that its header says.
    pub(super) fn is_signed(&self) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.header("alg") {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            _ => return false,
        };
        let Some(key) = PrivatePkcs8KeyDer::from_pem_slice(PRIVATE_KEY.as_bytes())
            .ok()
            .and_then(|key| KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok())
        else {
            return false;
        };
        UnparsedPublicKey::new(algorithm, key.public_key().as_ref())
            .verify(self.signed.as_bytes(), &self.signature)
            .is_ok()
    }
}

/// How headers name the registered certificate.
pub(super) fn thumbprint() -> String {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes());
    let digest = certificate.map(|certificate| Sha256::digest(&certificate));
    digest.map_or_else(|_| String::new(), |digest| URL_SAFE_NO_PAD.encode(digest))
}
