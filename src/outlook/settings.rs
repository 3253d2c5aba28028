//! Inbox rules, automatic replies and the list of categories: what Outlook does with mail by itself, and how it is marked.

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::api::Api;
use super::{Outlook, convert, wire};
use crate::error::{ErrorKind, Result};
use crate::http::protocol;
use crate::model::{
    Access, AutomaticReply, Category, CategoryColor, CategoryId, NewRule, Rule, RuleId,
};
use crate::provider::{AutomaticReplies, Categories, Rules};

const RULES: &str = "outlook.messageRules.list";
const CATEGORIES: &str = "outlook.masterCategories.list";

#[async_trait]
impl Rules for Outlook {
    async fn list(&self) -> Result<Vec<Rule>> {
        self.require(Access::SETTINGS)?;
        let roles = self.own_folders.roles(&self.api).await?;
        let mut rules: Vec<wire::MessageRule> =
            read_all(&self.api, RULES, self.api.rules().await?).await?;
        rules.sort_by_key(|rule| rule.sequence);
        let rules = rules.into_iter();
        Ok(rules
            .filter_map(|rule| convert::rule(rule, &roles))
            .collect())
    }

    async fn create(&self, rule: &NewRule) -> Result<Rule> {
        self.require(Access::SETTINGS)?;
        let roles = self.own_folders.roles(&self.api).await?;
        // Refused before anything is asked.
        let mut new = convert::new_rule(rule, 1, &roles)?;
        let rules: Vec<wire::MessageRule> =
            read_all(&self.api, RULES, self.api.rules().await?).await?;
        let last = rules.iter().filter_map(|rule| rule.sequence).max();
        new.sequence = last.unwrap_or_default().saturating_add(1);
        let made = self.api.create_rule(&new).await?;
        convert::rule(made, &roles).ok_or_else(|| {
            protocol("a rule came without an id").with_operation("outlook.messageRules.create")
        })
    }

    async fn delete(&self, rule: &RuleId) -> Result<()> {
        self.require(Access::SETTINGS)?;
        self.api.delete_rule(rule.as_str()).await
    }
}

#[async_trait]
impl AutomaticReplies for Outlook {
    async fn get(&self) -> Result<AutomaticReply> {
        self.require(Access::SETTINGS)?;
        read_reply(self.api.mailbox_settings().await?)
    }

    async fn set(&self, reply: &AutomaticReply) -> Result<AutomaticReply> {
        self.require(Access::SETTINGS)?;
        let settings = wire::MailboxSettings {
            automatic_replies_setting: Some(convert::automatic_replies_setting(reply)?),
        };
        read_reply(self.api.update_mailbox_settings(&settings).await?)
    }
}

fn read_reply(settings: wire::MailboxSettings) -> Result<AutomaticReply> {
    let setting = settings.automatic_replies_setting;
    convert::automatic_reply(
        setting.ok_or_else(|| protocol("the answer has no automatic replies"))?,
    )
}

#[async_trait]
impl Categories for Outlook {
    async fn list(&self) -> Result<Vec<Category>> {
        self.require(Access::SETTINGS)?;
        categories(&self.api).await
    }

    async fn create(&self, name: &str, color: Option<CategoryColor>) -> Result<Category> {
        self.require(Access::SETTINGS)?;
        let new = wire::NewCategory {
            display_name: name,
            color: convert::category_color(color),
        };
        let made = self.api.create_category(&new).await?;
        convert::category(made).ok_or_else(no_id)
    }

    async fn set_color(
        &self,
        category: &CategoryId,
        color: Option<CategoryColor>,
    ) -> Result<Category> {
        self.require(Access::SETTINGS)?;
        let color = wire::CategoryColor {
            color: convert::category_color(color),
        };
        let changed = self.api.recolor_category(category.as_str(), &color);
        convert::category(changed.await?).ok_or_else(no_id)
    }

    async fn delete(&self, category: &CategoryId) -> Result<()> {
        self.require(Access::SETTINGS)?;
        self.api.delete_category(category.as_str()).await
    }
}

async fn categories(api: &Api) -> Result<Vec<Category>> {
    let listed: Vec<wire::OutlookCategory> =
        read_all(api, CATEGORIES, api.categories().await?).await?;
    Ok(listed.into_iter().filter_map(convert::category).collect())
}

/// Puts a category into the list if it is not there, with a colour that no other has. Messages may carry names that are
/// not in the list, so that a mailbox whose list cannot be changed is no reason to fail.
pub(super) async fn ensure_category(api: &Api, name: &str) -> Result<()> {
    let added = async {
        let categories = categories(api).await?;
        let same = |category: &Category| category.name.to_lowercase() == name.to_lowercase();
        if categories.iter().any(same) {
            return Ok(());
        }
        let new = wire::NewCategory {
            display_name: name,
            color: convert::category_color(convert::free_color(&categories)),
        };
        api.create_category(&new).await.map(drop)
    };
    match added.await {
        // Somebody else was faster, or only the owner of the mailbox may.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Conflict | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        added => added,
    }
}

/// More pages than any list of rules, categories or subscriptions has: all that the links of a service in trouble lead to.
const MOST_PAGES: usize = 1_000;

/// The items of this page and all that follow it. One that cannot be read is left out.
pub(super) async fn read_all<T: DeserializeOwned>(
    api: &Api,
    operation: &'static str,
    mut page: wire::Collection,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for _ in 0..MOST_PAGES {
        let listed = page
            .value
            .ok_or_else(|| protocol("the answer has no list").with_operation(operation))?;
        let readable = listed
            .iter()
            .filter_map(|item| wire::salvage(item.get().as_bytes()));
        items.extend(readable);
        match page.next_link {
            Some(link) => page = api.next_page(operation, &link).await?,
            None => return Ok(items),
        }
    }
    Err(protocol("the pages of the list do not end").with_operation(operation))
}

fn no_id() -> crate::error::Error {
    protocol("a category came without an id")
}
