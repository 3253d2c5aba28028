//! How an application proves to a token endpoint who it is: with nothing, a secret, or something that it signs; and which
//! proof is shown next where one is not accepted. What is signed is `assertion`'s.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use oauth2::CsrfToken;
use serde::Serialize;
use url::Url;

use super::assertion::ClientCertificate;
use super::error::Refusal;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What an application can prove itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientProof {
    /// The certificate.
    Certificate,
    /// The certificate that is to take its place.
    NextCertificate,
    /// The client secret.
    Secret,
    /// The client secret that is to take its place.
    NextSecret,
}

/// All that is configured.
#[derive(Clone, Debug, Default)]
pub(super) struct Proofs {
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) next_certificate: Option<ClientCertificate>,
    pub(super) secret: Option<Secret>,
    pub(super) next_secret: Option<Secret>,
}

/// One of them, ready to be shown.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// A public client has none.
    Nothing,
    Secret(Secret),
    Certificate(Box<ClientCertificate>),
}

impl Proofs {
    pub(super) fn is_empty(&self) -> bool {
        self.secret.is_none() && self.next_secret.is_none() && !self.has_certificate()
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.certificate.is_some() || self.next_certificate.is_some()
    }

    /// In the order in which they are shown: who has a certificate moves away from secrets.
    pub(super) fn in_turn(&self) -> Vec<(ClientProof, Proof)> {
        let certificate = |certificate: &ClientCertificate| {
            let certificate = Box::new(certificate.clone());
            Proof::Certificate(certificate)
        };
        let secret = |secret: &Secret| Proof::Secret(secret.clone());
        let all = [
            (
                ClientProof::Certificate,
                self.certificate.as_ref().map(certificate),
            ),
            (
                ClientProof::NextCertificate,
                self.next_certificate.as_ref().map(certificate),
            ),
            (ClientProof::Secret, self.secret.as_ref().map(secret)),
            (
                ClientProof::NextSecret,
                self.next_secret.as_ref().map(secret),
            ),
        ];
        all.into_iter()
            .filter_map(|(which, proof)| Some((which, proof?)))
            .collect()
    }
}

impl Proof {
    /// What to send along to the token endpoint at `audience`.
    pub(super) fn parameters(
        &self,
        client_id: &str,
        audience: &Url,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, Secret)>> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Secret(secret) => Ok(vec![("client_secret", secret.clone())]),
            Self::Certificate(certificate) => {
                let id = CsrfToken::new_random_len(16);
                let now = now.timestamp();
                let assertion = certificate.assertion(audience, client_id, id.secret(), now)?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                Ok(vec![
                    ("client_assertion_type", Secret::new(kind)),
                    ("client_assertion", assertion),
                ])
            }
        }
    }
}

/// One request that is repeated with another proof, or with the service's own time, where the client was not accepted.
/// Neither a code nor a refresh token is spent by that: a client is authenticated first.
pub(super) struct Attempts {
    proof: Proof,
    left: VecDeque<Proof>,
    now: DateTime<Utc>,
    corrected: bool,
}

impl Attempts {
    pub(super) fn new(proofs: &Proofs, now: DateTime<Utc>) -> Self {
        Self::of(proofs.in_turn().into_iter().map(|(_, proof)| proof), now)
    }

    /// With these proofs.
    pub(super) fn of(proofs: impl IntoIterator<Item = Proof>, now: DateTime<Utc>) -> Self {
        let mut left: VecDeque<Proof> = proofs.into_iter().collect();
        Self {
            proof: left.pop_front().unwrap_or(Proof::Nothing),
            left,
            now,
            corrected: false,
        }
    }

    /// What to send along this time.
    pub(super) fn parameters(
        &self,
        client_id: &str,
        audience: &Url,
    ) -> Result<Vec<(&'static str, Secret)>> {
        self.proof.parameters(client_id, audience, self.now)
    }

    /// Whether there is another proof to show after this outcome; from now on it is the one that is shown.
    pub(super) fn go_on<T>(&mut self, outcome: &Result<T>) -> bool {
        let Err(error) = outcome else {
            return false;
        };
        if super::error::refused_with(error) != Some("invalid_client") {
            return false;
        }
        if let (Proof::Certificate(_), false, Some(theirs)) =
            (&self.proof, self.corrected, other_time(error, self.now))
        {
            self.corrected = true;
            self.now = theirs;
            return true;
        }
        match self.left.pop_front() {
            Some(next) => {
                self.proof = next;
                true
            }
            None => false,
        }
    }
}

/// From how far apart two clocks are different ones.
const SKEW: TimeDelta = TimeDelta::seconds(20);

/// The service's clock, if it refused the application itself and its clock is not ours: what is signed has a time. The
/// reason itself is only told in words that may change.
pub(super) fn other_time(error: &Error, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let source = std::error::Error::source(error)?;
    let refusal = source.downcast_ref::<Refusal>()?;
    let refused = ["invalid_grant", "invalid_client"].contains(&refusal.error.as_str());
    let theirs = refusal.answered_at.filter(|_| refused)?;
    if (theirs - now).abs() <= SKEW {
        return None;
    }
    tracing::warn!("this machine's clock is not the service's; its own is used to sign");
    Some(theirs)
}
