//! What an application signs to prove who it is (RFC 7521, RFC 7523): the keys that administrators download or upload,
//! and the JSON Web Tokens that are made with them. When one is due is `application`'s.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
#[cfg(feature = "app-only")]
use ring::signature::RSA_PKCS1_SHA256;
use ring::signature::{KeyPair as _, RSA_PSS_SHA256, RsaEncoding};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
#[cfg(feature = "app-only")]
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::flow::configuration;
use crate::error::Result;
#[cfg(feature = "app-only")]
use crate::http::require_confidential;
use crate::secret::Secret;

/// A private RSA key.
#[derive(Clone)]
struct SigningKey(Arc<KeyPair>);

impl SigningKey {
    fn read(pem: &Secret) -> Result<Self> {
        // The causes may quote what they could not read, so they stay here.
        let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|_| configuration("the private key is not PEM"))?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(configuration("the private key is no RSA key")),
        };
        let pair = pair.map_err(|_| {
            configuration("the private key is no RSA key of at least 2048 bits that can sign")
        })?;
        Ok(Self(Arc::new(pair)))
    }

    /// A signed JSON Web Token (RFC 7519).
    fn sign(
        &self,
        encoding: &'static dyn RsaEncoding,
        header: &Value,
        claims: &Value,
    ) -> Result<Secret> {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(
                encoding,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| configuration("nothing can be signed with the private key"))?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(Secret::new(format!("{signed}.{signature}")))
    }
}

#[cfg(feature = "app-only")]
/// The key file of a Google service account, as the Google Cloud console gives it for download
/// (<https://developers.google.com/identity/protocols/oauth2/service-account#creatinganaccount>).
#[derive(Clone)]
pub struct ServiceAccountKey {
    client_email: String,
    client_id: Option<String>,
    key_id: String,
    key: SigningKey,
    token_endpoint: Url,
}

#[cfg(feature = "app-only")]
#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    #[serde(default)]
    client_id: Option<String>,
    private_key_id: String,
    private_key: Secret,
    token_uri: Url,
}

#[cfg(feature = "app-only")]
impl ServiceAccountKey {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) when it is no such file.
    pub fn from_json(json: impl Into<Secret>) -> Result<Self> {
        // The cause may quote the key.
        let file: KeyFile = serde_json::from_str(json.into().expose()).map_err(|_| {
            configuration(
                "this is no key file of a service account: create one in the Google Cloud console, under IAM & Admin, \
                 Service accounts, Keys, of the type JSON",
            )
        })?;
        if file.kind != "service_account" {
            return Err(configuration(
                "the key file is not a service account's; what the console gives for an OAuth client is another thing",
            ));
        }
        require_confidential(&file.token_uri)?;
        Ok(Self {
            client_email: file.client_email,
            client_id: file.client_id,
            key_id: file.private_key_id,
            key: SigningKey::read(&file.private_key)?,
            token_endpoint: file.token_uri,
        })
    }

    /// The service account's address.
    #[must_use]
    pub fn client_email(&self) -> &str {
        &self.client_email
    }

    /// The number that an administrator enters for domain-wide delegation.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    pub(super) fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Asks for these scopes in the name of `user`
    /// (<https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests>).
    pub(super) fn assertion(
        &self,
        audience: &Url,
        user: &str,
        scopes: &str,
        now: i64,
    ) -> Result<Secret> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        // A clock that is a little fast must not sign for the future; an hour is the most that Google takes.
        let issued_at = now - BACK_DATED;
        let claims = json!({
            "iss": self.client_email,
            "sub": user,
            "scope": scopes,
            "aud": audience.as_str(),
            "iat": issued_at,
            "exp": issued_at + 3600,
        });
        self.key.sign(&RSA_PKCS1_SHA256, &header, &claims)
    }
}

#[cfg(feature = "app-only")]
impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServiceAccountKey")
            .field("client_email", &self.client_email)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A certificate and its private key, with which an application registered with Microsoft proves who it is in place of a
/// secret (<https://learn.microsoft.com/entra/identity-platform/certificate-credentials>).
#[derive(Clone)]
pub struct ClientCertificate {
    thumbprint: String,
    key: SigningKey,
}

impl ClientCertificate {
    /// Reads the certificate that was uploaded to the app registration, and its key; both may be in one file.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) when one of them is missing or no RSA key, or the key
    /// is another certificate's.
    pub fn from_pem(certificate: &str, private_key: impl Into<Secret>) -> Result<Self> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| configuration("the certificate is not PEM").with_source(error))?;
        let key = SigningKey::read(&private_key.into())?;
        // A certificate holds its public key as it is (RFC 3279 §2.3.1).
        let public = key.0.public_key().as_ref();
        if !certificate.windows(public.len()).any(|part| part == public) {
            return Err(configuration(
                "the private key is not this certificate's: both must come from the same request",
            )
            .with_code("certificate_of_other_key"));
        }
        Ok(Self {
            thumbprint: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)),
            key,
        })
    }

    /// Says at `audience` that the bearer is this client.
    pub(super) fn assertion(
        &self,
        audience: &Url,
        client_id: &str,
        id: &str,
        now: i64,
    ) -> Result<Secret> {
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = json!({
            "aud": audience.as_str(),
            "iss": client_id,
            "sub": client_id,
            "jti": id,
            "iat": now - BACK_DATED,
            "nbf": now - BACK_DATED,
            // Five to ten minutes is what Microsoft advises.
            "exp": now + 5 * 60,
        });
        self.key.sign(&RSA_PSS_SHA256, &header, &claims)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientCertificate")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// By how many seconds what is signed is dated back.
const BACK_DATED: i64 = 30;
