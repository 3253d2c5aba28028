//! Tokens by which a service account proves that it is the one who asks: what Google Cloud signs for those who post something.
//! How keys are fetched and signatures checked is `key_set`'s, which claims tokens have `identity`'s.
//!
//! Source: <https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions>.

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::builder::api_client;
use super::identity::read_service;
use super::key_set::KeySet;
use super::server::Endpoints;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{ApiClient, RetryPolicy, Transport};
use crate::secret::Secret;

/// What is expected of such tokens, and the keys that they are signed with.
pub(crate) struct ServiceTokens {
    audience: String,
    account: String,
    endpoints: Endpoints,
    keys_at: Url,
    keys: KeySet,
    api: ApiClient,
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServiceTokens")
            .field("audience", &self.audience)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl ServiceTokens {
    /// Tokens for this audience, of this account, signed by the server that these endpoints are of.
    pub(crate) fn new(
        audience: String,
        account: String,
        endpoints: Endpoints,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if audience.is_empty() || !account.contains('@') {
            return Err(Error::new(
                ErrorKind::Configuration,
                "pushes are believed for an audience and from a service account's address",
            ));
        }
        let keys_at = endpoints.keys.clone().ok_or_else(|| {
            Error::unsupported("the endpoints do not say where the keys of the service are")
        })?;
        // Whoever posts waits a few seconds for the answer, and posts again.
        let retry = RetryPolicy::never();
        let places = std::slice::from_ref(&keys_at);
        let api = api_client(Some(transport), clock, retry, places)?;
        Ok(Self {
            audience,
            account,
            endpoints,
            keys_at,
            keys: KeySet::default(),
            api,
        })
    }

    /// Whether the token is one. [`ErrorKind::InvalidCallback`] says that it is not, any other error that nobody knows.
    pub(crate) async fn verify(&self, token: &Secret) -> Result<()> {
        let now = self.api.clock.now();
        let issuer = read_service(token, &self.endpoints, &self.audience, &self.account, now)?;
        self.keys
            .verify(&self.api, &self.keys_at, token, &issuer)
            .await
    }
}
