//! What the calls of a [`Mailbox`] cost: told before and after, capped, and more or less urgent. What a method costs is
//! known by the providers; limits over time are kept by `http`.

use super::Mailbox;
use crate::error::{Error, Result};
use crate::model::{Cap, Estimate, Lane, Purse, Spent, Terms, Work};

impl Mailbox {
    /// The same mailbox for calls that are less urgent (or more): they give way to those of a more urgent lane. All handles
    /// to it share its limits. A provider that knows no lanes makes no difference.
    ///
    /// ```no_run
    /// # fn example(mailbox: postroom::Mailbox) {
    /// use postroom::Lane;
    ///
    /// let copying = mailbox.with_lane(Lane::Backfill);
    /// # }
    /// ```
    #[must_use]
    pub fn with_lane(&self, lane: Lane) -> Self {
        let terms = Terms {
            lane: Some(lane),
            ..Terms::default()
        };
        self.on_terms(&terms).unwrap_or_else(|| self.clone())
    }

    /// A handle that spends no more than this, together with its clones: what would go beyond is not asked, and is
    /// [`ErrorKind::CapReached`](crate::ErrorKind::CapReached). What is asked again counts again.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) from a provider that does not tell what it spends.
    pub fn with_cap(&self, cap: Cap) -> Result<Self> {
        // A handle that is capped already stays so.
        let purse = match &self.purse {
            Some(outer) => outer.within(cap),
            None => Purse::new(cap),
        };
        let terms = Terms {
            purse: Some(purse.clone()),
            ..Terms::default()
        };
        let mut capped = self.on_terms(&terms).ok_or_else(|| {
            Error::unsupported(
                "this provider does not tell what it spends, so that it can be capped",
            )
        })?;
        capped.purse = Some(purse);
        Ok(capped)
    }

    /// What was spent: through this handle and its clones if it is [capped](Self::with_cap), otherwise through all handles
    /// that share the mailbox's limits. `None` from a provider that does not tell.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        match &self.purse {
            Some(purse) => Some(purse.spent()),
            None => self.provider.spent(),
        }
    }

    /// What something will cost. Nothing is asked for this.
    ///
    /// ```no_run
    /// # fn example(mailbox: postroom::Mailbox) -> postroom::Result<()> {
    /// use postroom::{Detail, Work};
    ///
    /// let cost = mailbox.cost(&Work::List(5_000, Detail::Full))?;
    /// println!("about {} units", cost.likely.units);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) from a provider that does not tell.
    pub fn cost(&self, work: &Work<'_>) -> Result<Estimate> {
        self.provider.cost(work)
    }

    fn on_terms(&self, terms: &Terms) -> Option<Self> {
        let provider = self.provider.on_terms(terms)?;
        let mut handle = self.clone();
        handle.provider = provider;
        Some(handle)
    }
}
