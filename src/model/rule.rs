//! Rules that a service applies to arriving mail by itself, as far as Gmail's filters and Outlook's inbox rules have the
//! same. Reading and making them is each provider's.

use serde::{Deserialize, Serialize};

use super::{FolderId, RuleId};

/// A rule as the service has it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rule {
    /// The service's id.
    pub id: RuleId,
    /// What people call it, where rules have names.
    pub name: Option<String>,
    /// Whether it is applied.
    pub enabled: bool,
    /// Which messages it is about.
    pub conditions: RuleConditions,
    /// What happens to them.
    pub actions: RuleActions,
    /// What else it asks for or does, in the service's own words. A rule with something here does more, or is about
    /// fewer messages, than the fields above say.
    pub other: Vec<RulePart>,
}

impl Rule {
    /// A rule that is applied to every message and does nothing.
    #[must_use]
    pub fn new(id: RuleId) -> Self {
        Self {
            id,
            name: None,
            enabled: true,
            conditions: RuleConditions::default(),
            actions: RuleActions::default(),
            other: Vec::new(),
        }
    }
}

/// Whom a rule is about is nobody else's business.
impl std::fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Rule")
            .field("id", &self.id)
            .field("enabled", &self.enabled)
            .field("actions", &self.actions)
            .field("other", &self.other)
            .finish_non_exhaustive()
    }
}

/// A part of a rule that this crate has no words for.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RulePart {
    /// What the service calls it, such as `action.forward`.
    pub name: String,
    /// What stands there, as JSON.
    pub value: String,
}

impl RulePart {
    /// This name and this value.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

impl std::fmt::Debug for RulePart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("RulePart").field(&self.name).finish()
    }
}

/// A rule to be made.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewRule {
    /// What people call it. Gmail's filters have no names and lose it.
    pub name: Option<String>,
    /// Which messages it is about: at least one condition.
    pub conditions: RuleConditions,
    /// What happens to them: at least one action.
    pub actions: RuleActions,
}

impl NewRule {
    /// Does this with the messages that are meant.
    #[must_use]
    pub fn new(conditions: RuleConditions, actions: RuleActions) -> Self {
        Self {
            name: None,
            conditions,
            actions,
        }
    }

    /// Gives it a name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl std::fmt::Debug for NewRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("NewRule")
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

/// Which messages a rule is about: those for which all of it holds. Of a list with several texts, one is enough.
///
/// A text is compared without regard to case. Outlook looks for it anywhere, also within words; Gmail for whole words.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RuleConditions {
    /// In the sender's address or name.
    pub from: Vec<String>,
    /// In the address or name of a recipient.
    pub to: Vec<String>,
    /// In the subject.
    pub subject: Vec<String>,
    /// In the subject or the text.
    pub words: Vec<String>,
    /// It has attachments.
    pub has_attachment: bool,
    /// It has more than so many kilobytes.
    pub larger_than: Option<u32>,
}

impl RuleConditions {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Debug for RuleConditions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RuleConditions")
    }
}

/// What a rule does with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RuleActions {
    /// Moves it into a folder instead of the inbox.
    pub move_to: Option<FolderId>,
    /// Keeps it out of the inbox, as [`Change::Archive`](super::Change::Archive) does.
    pub archive: bool,
    /// Puts it into the trash.
    pub trash: bool,
    /// Marks it as read.
    pub mark_read: bool,
    /// Marks it as important.
    pub mark_important: bool,
}

impl RuleActions {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
