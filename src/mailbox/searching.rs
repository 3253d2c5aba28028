//! What a [`Mailbox`] tells about queries before they are asked. Listing what they mean is in `mailbox.rs`.

use super::Mailbox;
use crate::error::Result;
use crate::model::{Access, Query, QueryPlan};

impl Mailbox {
    /// What becomes of a query at the service: whether it finds just what is meant, what is filtered here, and what to
    /// expect of it. Nothing is asked for this.
    ///
    /// ```no_run
    /// # fn example(mailbox: postroom::Mailbox) -> Result<(), Box<dyn std::error::Error>> {
    /// let plan = mailbox.plan(&"budget is:unread".parse()?)?;
    /// println!("{plan}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) for a query that is none, and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) from providers that do not tell: see
    /// [`Capabilities::plan_queries`](crate::Capabilities::plan_queries). A query that the service cannot be asked is no
    /// error: the plan says so.
    pub fn plan(&self, query: &Query) -> Result<QueryPlan> {
        self.require(Access::READ)?;
        self.provider.plan(query)
    }
}
