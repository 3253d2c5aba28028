//! Keeping a credential: where requests get their access token from.

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::secret::Secret;

/// A token that a request carries.
#[derive(Clone)]
pub struct AccessToken(Secret);

impl AccessToken {
    /// Takes the token over.
    #[must_use]
    pub fn new(token: impl Into<Secret>) -> Self {
        Self(token.into())
    }

    /// The token's text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccessToken(..)")
    }
}

/// Where a request gets its access token.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// A token that is valid now, as far as is known.
    async fn token(&self) -> Result<AccessToken>;

    /// The server refused this token: do not give it out again. A token that replaced it meanwhile stays.
    async fn reject(&self, token: &AccessToken);
}
