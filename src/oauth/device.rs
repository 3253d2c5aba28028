//! Sign-in of machines without a browser (RFC 8628): a code that the user types on another machine, and the patient
//! question whether that is done. What a completed sign-in gives is `flow`'s.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::callback::invalid;
use super::endpoint::{self, lenient, seconds};
use super::error::{Place, refused_with};
use super::flow::{Flow, OAuthFlow};
use super::grant::Grant;
use super::options::SignInOptions;
use super::proof::Attempts;
use crate::credentials::Service;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{protocol, require_confidential};
use crate::model::Access;
use crate::secret::Secret;

/// A sign-in that waits for its user to type a code on another machine.
#[non_exhaustive]
pub struct DeviceSignIn {
    /// What the user types.
    pub user_code: String,
    /// Where the user types it.
    pub verification_uri: Url,
    /// Where the code is filled in already, for a QR code say; Microsoft gives none.
    pub verification_uri_complete: Option<Url>,
    /// What to tell the user, in the service's own words.
    pub message: Option<String>,
    /// For how long the code is good, from when it was given.
    pub expires_in: Duration,
    device_code: Secret,
    client_id: String,
    access: Access,
    interval: Duration,
    /// On the monotonic clock.
    ends_at: Duration,
}

impl fmt::Debug for DeviceSignIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever has the user's code may sign in with an account of theirs.
        formatter
            .debug_struct("DeviceSignIn")
            .field("verification_uri", &self.verification_uri.as_str())
            .field("expires_in", &self.expires_in)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// The answer of RFC 8628 §3.2, tolerant in everything that a default can stand for.
#[derive(Deserialize)]
struct DeviceAnswer {
    device_code: Secret,
    user_code: String,
    // The name is that of a draft, which some servers keep.
    #[serde(alias = "verification_url")]
    verification_uri: Url,
    #[serde(default, deserialize_with = "lenient")]
    verification_uri_complete: Option<Url>,
    #[serde(default, deserialize_with = "lenient")]
    message: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    interval: Option<Duration>,
}

/// How long to wait between two questions where the server does not say (RFC 8628 §3.2), and by how much longer after
/// each `slow_down` (§3.5).
const INTERVAL: Duration = Duration::from_secs(5);

/// A server that asks for more patience than this would never be asked again.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// How long Microsoft's codes are good, where the server does not say
/// (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code#device-authorization-response>).
const LIFE: Duration = Duration::from_secs(15 * 60);

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl OAuthFlow {
    /// Begins a sign-in on a machine without a browser: show the user what it gives, and
    /// [`wait`](Self::wait_for_device). The application must allow public client flows, and the user's organisation may
    /// block this way of signing in.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for Google, which lets devices ask for identity and a few other things but never for
    /// mail (<https://developers.google.com/identity/protocols/oauth2/limited-input-device#allowedscopes>); otherwise
    /// as [`complete`](Self::complete).
    pub async fn start_device(&self) -> Result<DeviceSignIn> {
        self.start_device_with(SignInOptions::new()).await
    }

    /// Begins such a sign-in for other access or scopes than the flow's usual ones. What else the options say is for
    /// browsers.
    ///
    /// # Errors
    /// As [`start_device`](Self::start_device).
    pub async fn start_device_with(&self, options: SignInOptions) -> Result<DeviceSignIn> {
        const OPERATION: &str = "oauth.start_device";
        let flow = &self.0;
        let endpoint = flow.device_endpoint()?;
        let access = options.access.unwrap_or(flow.access);
        let scopes = flow.scopes(access, options.scopes).join(" ");
        let form = [
            ("client_id", flow.client_id.as_str()),
            ("scope", scopes.as_str()),
        ];
        let answer = endpoint::post(&flow.api, OPERATION, Place::Device, endpoint, &form).await?;
        let answer: DeviceAnswer = answer.json().ok_or_else(|| {
            protocol("the answer to a device is not the documented one").with_operation(OPERATION)
        })?;
        // A person is going to be sent there to sign in.
        require_confidential(&answer.verification_uri).map_err(|_| {
            protocol("the service sends users to an address that is not confidential")
                .with_operation(OPERATION)
        })?;
        let complete = answer.verification_uri_complete;
        let expires_in = answer.expires_in.unwrap_or(LIFE);
        Ok(DeviceSignIn {
            user_code: answer.user_code,
            verification_uri: answer.verification_uri,
            verification_uri_complete: complete.filter(|url| require_confidential(url).is_ok()),
            message: answer.message,
            expires_in,
            device_code: answer.device_code,
            client_id: flow.client_id.clone(),
            access,
            interval: answer.interval.unwrap_or(INTERVAL),
            ends_at: flow.clock.monotonic().saturating_add(expires_in),
        })
    }

    /// Waits until the user has typed the code and consented, asking the service no more often than it wants. A wait that
    /// is dropped, or that the network broke, can be begun again.
    ///
    /// # Errors
    /// * [`ErrorKind::Declined`]: the user said no.
    /// * [`ErrorKind::InvalidCallback`] with the code `expired_token`: the code was not typed in time.
    /// * Otherwise as [`complete`](Self::complete).
    pub async fn wait_for_device(&self, sign_in: &DeviceSignIn) -> Result<Grant> {
        const OPERATION: &str = "oauth.wait_for_device";
        let flow = &self.0;
        flow.device_endpoint()?;
        if sign_in.client_id != flow.client_id {
            return Err(invalid(
                "another_application",
                "the sign-in was begun with another configuration",
            ));
        }
        let token = &flow.endpoints.token;
        let mut attempts = Attempts::new(&flow.proofs, flow.clock.now());
        let shortest = Duration::from_secs(1);
        let mut interval = sign_in.interval.clamp(shortest, LONGEST_INTERVAL);
        loop {
            flow.clock.sleep(interval).await;
            if flow.clock.monotonic() >= sign_in.ends_at {
                return Err(Error::new(
                    ErrorKind::InvalidCallback,
                    "the code was not typed in time; begin a new sign-in",
                )
                .with_code("expired_token")
                .with_operation(OPERATION));
            }
            let mut form = vec![
                ("grant_type", GRANT_TYPE),
                ("client_id", flow.client_id.as_str()),
                ("device_code", sign_in.device_code.expose()),
            ];
            let shown = attempts.parameters(&flow.client_id, token)?;
            let shown = shown.iter().map(|(name, value)| (*name, value.expose()));
            form.extend(shown);
            let asked = endpoint::ask(&flow.api, OPERATION, Place::Device, token, &form).await;
            if attempts.go_on(&asked) {
                continue;
            }
            let error = match asked {
                Ok(tokens) => return flow.grant(&tokens, sign_in.access, None, OPERATION),
                Err(error) => error,
            };
            match refused_with(&error) {
                Some("authorization_pending") => {}
                Some("slow_down") => interval = (interval + INTERVAL).min(LONGEST_INTERVAL),
                // RFC 8628 §3.5: whoever is not answered asks less often.
                _ if error.is_transient() => interval = (interval * 2).min(LONGEST_INTERVAL),
                _ => return Err(error),
            }
        }
    }
}

impl Flow {
    fn device_endpoint(&self) -> Result<&Url> {
        match &self.endpoints.device {
            Some(endpoint) if self.service != Service::Google => Ok(endpoint),
            _ => Err(Error::unsupported(
                "Google gives devices no access to mail: receive the browser on a loopback address, or let the user \
                 paste the address that the browser ended at",
            )),
        }
    }
}
