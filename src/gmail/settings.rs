//! Filters and the vacation responder: what Gmail does with mail by itself.

use async_trait::async_trait;

use super::{Gmail, convert};
use crate::error::Result;
use crate::model::{Access, AutomaticReply, NewRule, Rule, RuleId};
use crate::provider::{AutomaticReplies, Rules};

#[async_trait]
impl Rules for Gmail {
    async fn list(&self) -> Result<Vec<Rule>> {
        self.require(Access::SETTINGS)?;
        let filters = self.api.filters().await?.filter;
        let filters = filters.into_iter().flatten().flatten();
        Ok(filters.filter_map(convert::rule).collect())
    }

    async fn create(&self, rule: &NewRule) -> Result<Rule> {
        self.require(Access::SETTINGS)?;
        let (criteria, action) = convert::filter(rule)?;
        let filter = crate::gmail::wire::NewFilter {
            criteria: &criteria,
            action: &action,
        };
        let made = self.api.create_filter(&filter).await?;
        convert::rule(made).ok_or_else(|| {
            crate::http::protocol("a filter came without an id")
                .with_operation("gmail.settings.filters.create")
        })
    }

    async fn delete(&self, rule: &RuleId) -> Result<()> {
        self.require(Access::SETTINGS)?;
        self.api.delete_filter(rule.as_str()).await
    }
}

#[async_trait]
impl AutomaticReplies for Gmail {
    async fn get(&self) -> Result<AutomaticReply> {
        self.require(Access::SETTINGS)?;
        Ok(convert::automatic_reply(self.api.vacation().await?))
    }

    async fn set(&self, reply: &AutomaticReply) -> Result<AutomaticReply> {
        self.require(Access::SETTINGS)?;
        let vacation = convert::vacation(reply)?;
        let set = self.api.set_vacation(&vacation).await?;
        Ok(convert::automatic_reply(set))
    }
}
