//! One mailbox is one account also where two are connected at the same moment: who decides about a mailbox, among all
//! processes that share the store. What is decided is `signing_in`'s, `adopting`'s and `ways`'.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::Accounts;
use crate::credentials::{Acquired, Identity, Lease, Revision};
use crate::error::Result;
use crate::model::AccountId;

/// For how long others wait for a decision whose process has died. It takes a look at every record and one save.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is claimed, as a text that no two have.
pub(super) struct Claim(String);

impl Claim {
    pub(super) fn user(identity: &Identity) -> Self {
        Self(format!("user {} {}", identity.service, identity.subject))
    }

    #[cfg(feature = "app-only")]
    pub(super) fn application(configuration: &str, mailbox: &str) -> Self {
        let mailbox = mailbox.to_ascii_lowercase();
        Self(format!("application {mailbox} {configuration}"))
    }
}

impl Accounts {
    /// Does what looks whether a mailbox is free and takes it, while nobody else does so for the same mailbox.
    pub(super) async fn deciding<T>(
        &self,
        claim: Option<Claim>,
        decision: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let Some(claim) = claim.filter(|_| !self.0.share_mailboxes) else {
            return decision.await;
        };
        let lease = self.claim(&claim).await?;
        let outcome = decision.await;
        if let Err(error) = lease.forget().await {
            tracing::debug!(%error, "a claim was not given back and ends by itself");
        }
        outcome
    }

    async fn claim(&self, claim: &Claim) -> Result<Lease> {
        // Keys may be seen where records are not.
        let name = AccountId::new(format!("{:x}", Sha256::digest(&claim.0)));
        let key = self.key(&name).lease("mailbox");
        let holder = Revision::random()?;
        let mut pause = Duration::from_millis(20);
        loop {
            let store = self.0.store.clone();
            let acquired = Lease::acquire(store, key.clone(), holder.as_str(), PATIENCE);
            match acquired.await? {
                Acquired::Held(lease) => return Ok(lease),
                Acquired::Busy { remaining, .. } => {
                    self.0.clock.sleep(pause.min(remaining)).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
            }
        }
    }
}
