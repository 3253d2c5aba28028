//! What becomes of a query at a service, told before anything is asked: [`QueryPlan`].

use std::fmt;

use super::Query;
use crate::model::Detail;

/// What a provider does to find what a query means. Its `Display` is for people.
///
/// A plan is made without asking the service, so that an id which would have to be looked up stands as a name in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryPlan {
    /// Whether the service finds just what is meant.
    pub exactness: Exactness,
    /// What the service is asked, as names and values: parameters, and the folder that is listed.
    pub sent: Vec<(String, String)>,
    /// What to expect of it, in words.
    pub remarks: Vec<String>,
}

/// How what a service finds relates to what is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exactness {
    /// The service finds just these.
    Exact,
    /// The service finds these and others. What it finds is read as far as [`Query::detail`] of the rest says, and
    /// filtered here, so that pages may be short or empty before the last.
    Superset {
        /// What each message found is held against here.
        filtered: Query,
    },
    /// No message can be meant: nothing is asked.
    Nothing,
    /// It cannot be found out: a listing is refused.
    Unsupported {
        /// Why.
        why: String,
    },
}

impl QueryPlan {
    /// A plan that sends nothing yet.
    #[must_use]
    pub fn new(exactness: Exactness) -> Self {
        Self {
            exactness,
            sent: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Adds what the service is asked.
    #[must_use]
    pub fn sending(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.sent.push((name.into(), value.into()));
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn remarking(mut self, remark: impl Into<String>) -> Self {
        self.remarks.push(remark.into());
        self
    }

    /// What has to be read of every message that the service finds, before it is known whether it is meant.
    #[must_use]
    pub fn reads(&self) -> Detail {
        match &self.exactness {
            Exactness::Superset { filtered } => filtered.detail(),
            _ => Detail::Ids,
        }
    }
}

impl fmt::Display for QueryPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exactness {
            Exactness::Exact => formatter.write_str("exact: the service finds just these")?,
            Exactness::Superset { .. } => {
                formatter.write_str("superset: what the service finds is filtered here")?;
            }
            Exactness::Nothing => formatter.write_str("nothing: no message can be meant")?,
            Exactness::Unsupported { why } => write!(formatter, "unsupported: {why}")?,
        }
        for (name, value) in &self.sent {
            write!(formatter, "\n  sent: {name} = {value}")?;
        }
        if let Exactness::Superset { filtered } = &self.exactness {
            let read = match filtered.detail() {
                Detail::Ids => "what the listing tells",
                Detail::Headers => "the headers",
                Detail::Full => "the whole text",
            };
            write!(formatter, "\n  filtered here: {filtered}")?;
            write!(
                formatter,
                "\n  read for that: {read} of each message that the service finds"
            )?;
        }
        for remark in &self.remarks {
            write!(formatter, "\n  {remark}")?;
        }
        Ok(())
    }
}
