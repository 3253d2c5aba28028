//! What only some services have beside mail: rules, automatic replies, a list of categories. A provider that has one
//! implements its trait and gives itself where [`MailProvider`](super::MailProvider) asks for it.

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{AutomaticReply, Category, CategoryColor, CategoryId, NewRule, Rule, RuleId};

/// The rules that a service applies to arriving mail. None of them can be changed: delete it and make another.
#[async_trait]
pub trait Rules: fmt::Debug + Send + Sync {
    /// Every rule, in the order in which they are applied.
    ///
    /// # Errors
    /// As [`MailProvider`](super::MailProvider) says.
    async fn list(&self) -> Result<Vec<Rule>>;

    /// Makes a rule, which is applied after those that there are. One that is there already is not made twice: that is
    /// a [`Conflict`](crate::ErrorKind::Conflict) where the service can tell.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for what this service cannot express, and
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a rule without conditions or without actions.
    async fn create(&self, rule: &NewRule) -> Result<Rule>;

    /// Deletes a rule, whatever else it does.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is gone.
    async fn delete(&self, rule: &RuleId) -> Result<()>;
}

/// What a mailbox answers by itself while its owner is away.
#[async_trait]
pub trait AutomaticReplies: fmt::Debug + Send + Sync {
    /// What is set now.
    ///
    /// # Errors
    /// As [`MailProvider`](super::MailProvider) says.
    async fn get(&self) -> Result<AutomaticReply>;

    /// Sets all of it, and gives back what the service made of it.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for what this service cannot express; nothing is set then.
    async fn set(&self, reply: &AutomaticReply) -> Result<AutomaticReply>;
}

/// The list of categories that messages can be marked with, as [`Keyword::Custom`](crate::Keyword::Custom).
#[async_trait]
pub trait Categories: fmt::Debug + Send + Sync {
    /// Every category.
    ///
    /// # Errors
    /// As [`MailProvider`](super::MailProvider) says.
    async fn list(&self) -> Result<Vec<Category>>;

    /// Adds one to the list.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if there is one of that name, in whatever case.
    async fn create(&self, name: &str, color: Option<CategoryColor>) -> Result<Category>;

    /// Gives one another colour, or none.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is gone.
    async fn set_color(
        &self,
        category: &CategoryId,
        color: Option<CategoryColor>,
    ) -> Result<Category>;

    /// Takes one from the list. Messages keep its name.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is gone.
    async fn delete(&self, category: &CategoryId) -> Result<()>;
}
