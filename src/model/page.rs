//! Pages and their tokens. Of what hosts ask for, tokens are followed in one place only, by the streams of `Mailbox`.

use std::fmt;

/// Where the next page starts: opaque, and valid only for the same call with the same arguments.
///
/// Outlook's is an address that the account's own access is sent to: do not take one back from somebody who must not
/// choose it.
#[derive(Clone, PartialEq, Eq)]
pub struct PageToken(String);

impl PageToken {
    /// Takes the provider's token as it is.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Outlook's tokens are whole addresses that repeat the query, and queries are mail content.
impl fmt::Debug for PageToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PageToken(..)")
    }
}

/// Which page, and how long it should be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PageRequest {
    /// How many items to ask for; the provider chooses if unset, and may always answer with fewer.
    pub size: Option<u32>,
    /// Where to go on; the first page if unset.
    pub token: Option<PageToken>,
}

impl PageRequest {
    /// The first page, of a size that the provider chooses.
    #[must_use]
    pub fn first() -> Self {
        Self::default()
    }

    /// Asks for about `size` items.
    #[must_use]
    pub fn with_size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// Goes on at `token`.
    #[must_use]
    pub fn with_token(mut self, token: PageToken) -> Self {
        self.token = Some(token);
        self
    }
}

/// Some items, and where more may be. A page may be short or empty and still not be the last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the service's order.
    pub items: Vec<T>,
    /// Where the next page starts; `None` after the last.
    pub next: Option<PageToken>,
}

impl<T> Page<T> {
    /// A page of `items`, followed by the one at `next`.
    #[must_use]
    pub fn new(items: Vec<T>, next: Option<PageToken>) -> Self {
        Self { items, next }
    }
}
