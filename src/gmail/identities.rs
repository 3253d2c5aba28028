//! Who a mailbox may write as: its `sendAs` addresses. The request is `api/settings.rs`'s.

use async_trait::async_trait;

use super::{Gmail, convert};
use crate::error::Result;
use crate::model::{Access, Identity};
use crate::provider::Identities;

#[async_trait]
impl Identities for Gmail {
    async fn list(&self) -> Result<Vec<Identity>> {
        if !self.access.contains(Access::SETTINGS) {
            self.require(Access::READ)?;
        }
        let listed = self.api.send_as().await?.send_as;
        let listed = listed.into_iter().flatten().flatten();
        let mut identities: Vec<Identity> = listed.filter_map(convert::identity).collect();
        identities.sort_by_key(|identity| !identity.default);
        Ok(identities)
    }
}
