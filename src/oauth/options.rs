//! What may be different about one sign-in: [`SignInOptions`]. What becomes of them is `flow`'s.

use super::error::Refusal;
use crate::error::Error;
use crate::model::Access;

/// What is different about one sign-in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SignInOptions {
    /// What to ask for, in place of what the flow asks for.
    pub access: Option<Access>,
    /// Whose sign-in it is, if that is known: an address, or the `sub` of a Google user.
    pub login_hint: Option<String>,
    /// What the service must ask the user even if it need not: words of OpenID Connect such as `consent` and
    /// `select_account`, separated by spaces.
    pub prompt: Option<String>,
    /// Where the browser comes back to, in place of the flow's own address: a loopback receiver's, for instance.
    pub redirect_uri: Option<String>,
    /// The organisation that the user is of, by its domain: Google's `hd`, Microsoft's `domain_hint`. It makes signing in
    /// shorter and keeps nobody out.
    pub domain_hint: Option<String>,
    /// What to ask for beside the scopes that the access takes, in the service's own words.
    pub scopes: Vec<String>,
    /// Microsoft: what an organisation's policy wants to see of this sign-in, as a refused renewal named it; see
    /// [`answering`](Self::answering).
    pub claims: Option<String>,
}

impl SignInOptions {
    /// Nothing different.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for this access.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// Suggests whose sign-in it is.
    #[must_use]
    pub fn login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(hint.into());
        self
    }

    /// Makes the service ask.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Lets the browser come back to this address.
    #[must_use]
    pub fn redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(redirect_uri.into());
        self
    }

    /// Suggests of which organisation the user is.
    #[must_use]
    pub fn domain_hint(mut self, domain: impl Into<String>) -> Self {
        self.domain_hint = Some(domain.into());
        self
    }

    /// Asks the user for what an organisation's policy wanted when it refused a renewal with this error: a second factor, a
    /// known device. Without it the user may sign in and be refused for the same reason again. An error that names nothing
    /// of the kind changes nothing.
    /// (<https://learn.microsoft.com/entra/identity-platform/claims-challenge>)
    #[must_use]
    pub fn answering(mut self, error: &Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(level) = cause {
            if let Some(refusal) = level.downcast_ref::<Refusal>() {
                self.claims = refusal.claims.clone().or(self.claims);
                break;
            }
            cause = level.source();
        }
        self
    }

    /// Asks for this scope too.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }
}
