//! What only some services have beside mail: drafts, authors to write as, rules, automatic replies, a list of
//! categories, watches. A
//! provider that has one implements its trait and gives itself where [`MailProvider`](super::MailProvider) asks for it.

use std::fmt;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    AutomaticReply, Category, CategoryColor, CategoryId, Detail, Draft, DraftEdit, DraftId,
    DraftRevision, Identity, MessageId, NewRule, Outgoing, Page, PageRequest, Renewed, Rule,
    RuleId, SendKey, SendTicket, Watch, WatchTarget,
};

/// Messages that are being written and are kept by the service, where people see and change them too.
///
/// Whoever changes a draft says what it was like when they read it: if it is like that no more, the change is a
/// [`Conflict`](crate::ErrorKind::Conflict) and nothing happens. Without a revision the last change wins. A draft that was
/// sent or discarded is [`NotFound`](crate::ErrorKind::NotFound), and so is any message that is no draft: nothing here
/// ever changes one.
#[async_trait]
pub trait Drafts: fmt::Debug + Send + Sync {
    /// Keeps a message as a draft, whether or not it could be sent as it is: it may lack recipients. Nobody receives
    /// anything. If the answer is lost, the error's [`delivery`](crate::Error::delivery) says that it may be there.
    ///
    /// # Errors
    /// As [`MailProvider`](super::MailProvider) says.
    async fn create(&self, outgoing: &Outgoing) -> Result<Draft>;

    /// One page of the drafts, newest first, each message read as far as `detail` asks. One that vanished meanwhile is left
    /// out; one that could not be read is an error in its place.
    ///
    /// # Errors
    /// As [`MailProvider`](super::MailProvider) says.
    async fn list(&self, detail: Detail, page: PageRequest) -> Result<Page<Result<Draft>>>;

    /// A draft, its message read as far as `detail` asks.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is no draft, or no longer.
    async fn get(&self, draft: &DraftId, detail: Detail) -> Result<Draft>;

    /// The draft whose message this is, as lists and syncs tell of it with [`Keyword::Draft`](crate::Keyword::Draft).
    /// Nothing of its message but the ids need be known. By default it is looked for among all of them.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such draft.
    async fn find(&self, message: &MessageId) -> Result<Draft> {
        let mut page = PageRequest::first();
        loop {
            let drafts = self.list(Detail::Ids, page).await?;
            let mut items = drafts.items.into_iter().flatten();
            if let Some(draft) = items.find(|draft| draft.message.id == *message) {
                return Ok(draft);
            }
            let Some(next) = drafts.next else {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "there is no draft with this message",
                ));
            };
            page = PageRequest::first().with_token(next);
        }
    }

    /// Changes a draft. What the edit does not name stays: attachments and pictures too.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if it is not what it was at `expected`;
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is no draft, or no longer, or has no such attachment.
    async fn update(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        edit: &DraftEdit,
    ) -> Result<Draft>;

    /// The first step of sending a draft; the second is [`dispatch`](super::MailProvider::dispatch), and
    /// [`confirm`](super::MailProvider::confirm) tells what became of it, both as for any other send. It may change the
    /// draft, to mark it with `key`, and has no effect that anyone receives. [`Mailbox::send_draft`](crate::Mailbox::send_draft)
    /// is both steps.
    ///
    /// A draft that is changed between the two steps is not sent: dispatching is a
    /// [`Conflict`](crate::ErrorKind::Conflict) then.
    ///
    /// # Errors
    /// As [`update`](Self::update); [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for one without recipients.
    async fn prepare(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        key: &SendKey,
    ) -> Result<SendTicket>;

    /// Deletes a draft for good.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is no draft, or no longer.
    async fn discard(&self, draft: &DraftId) -> Result<()>;
}

/// Who a mailbox may write as.
#[async_trait]
pub trait Identities: fmt::Debug + Send + Sync {
    /// Every author that is known, the one of a message that names none first.
    ///
    /// # Errors
    /// As [`MailProvider`](super::MailProvider) says.
    async fn list(&self) -> Result<Vec<Identity>>;
}

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

/// Being told that something happened in the mailbox. What is told is a hint and no more: it says that a
/// [sync](super::MailProvider::sync) is worth while. It comes late, twice or never, so that a host goes on asking now and then.
#[async_trait]
pub trait Watching: fmt::Debug + Send + Sync {
    /// Has the service tell of what happens from now on. Where it keeps one watch only, that is replaced.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a target that the service does not know, and
    /// [`Configuration`](crate::ErrorKind::Configuration) where the target is not as the service wants it: a topic that it
    /// may not publish to, an address that does not answer.
    async fn watch(&self, target: &WatchTarget) -> Result<Watch>;

    /// Has the service go on with a watch. One that it no longer has is made anew, for the same target.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    async fn renew(&self, watch: &Watch) -> Result<Renewed>;

    /// Ends a watch. That it is gone already is no error.
    ///
    /// # Errors
    /// As [`MailProvider`](super::MailProvider) says.
    async fn unwatch(&self, watch: &Watch) -> Result<()>;
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
