//! Who an Outlook mailbox may write as, as far as Graph tells: the addresses at which it receives mail. Whether it may send
//! from another than the first is the organisation's to allow, and is not told.

use async_trait::async_trait;

use super::{Outlook, convert};
use crate::error::{ErrorKind, Result};
use crate::model::{Access, Identity};
use crate::provider::Identities;

#[async_trait]
impl Identities for Outlook {
    async fn list(&self) -> Result<Vec<Identity>> {
        if !self.access.contains(Access::SETTINGS) {
            self.require(Access::READ)?;
        }
        let user = match self.api.addresses().await {
            // Who is asked about another's mailbox may be told less of its owner.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => self.api.profile().await?,
            user => user?,
        };
        convert::identities(user)
    }
}
