//! What a mailbox offers to keep mail in order: changes of messages, folders, and the settings by which a service keeps
//! order itself. How each is done is the provider's.

use super::Mailbox;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Access, Change, Folder, FolderColor, FolderCounts, FolderEdit, FolderId, Keyword, MessageId,
};
use crate::provider::{AutomaticReplies, Categories, Rules};

/// Changes of messages.
impl Mailbox {
    /// Applies one change to these messages: one answer per id, in order. Ask for as many at once as there are: they
    /// are changed in as few requests as the service allows, and what fails for a while is tried again.
    ///
    /// `Ok` says that the message has the change. Of more messages than
    /// [`missing_told_up_to`](crate::Capabilities::missing_told_up_to) at once, it says so of those that are still there.
    ///
    /// # Errors
    /// When the change cannot be asked for at all; what went wrong with one message is in its place.
    pub async fn apply(&self, ids: &[MessageId], change: &Change) -> Result<Vec<Result<()>>> {
        self.require(change.access())?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.provider.apply(ids, change).await
    }

    /// Marks messages as read. This and the calls below answer as [`apply`](Self::apply) does.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn mark_read(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Set(Keyword::Seen)).await
    }

    /// Marks messages as unread.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn mark_unread(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Clear(Keyword::Seen)).await
    }

    /// Stars or flags messages.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn star(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Set(Keyword::Flagged)).await
    }

    /// Takes the star or flag away.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn unstar(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Clear(Keyword::Flagged)).await
    }

    /// Moves messages from where they lie into a folder; see [`Change::MoveTo`].
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn move_to(&self, ids: &[MessageId], folder: &FolderId) -> Result<Vec<Result<()>>> {
        let change = Change::MoveTo {
            to: folder.clone(),
            from: None,
        };
        self.apply(ids, &change).await
    }

    /// Takes messages out of the inbox and keeps them.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn archive(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Archive).await
    }

    /// Puts messages into the trash.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn trash(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Trash).await
    }

    /// Takes messages out of the trash, into the inbox.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn restore(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Restore).await
    }

    /// Puts messages among the unwanted ones.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn mark_junk(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Junk).await
    }

    /// Takes messages out from among the unwanted ones, into the inbox.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub async fn mark_not_junk(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::NotJunk).await
    }

    /// Deletes messages for good; see [`Change::Delete`]. To let the user change their mind, [`trash`](Self::trash) them.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); [`ErrorKind::PermissionDenied`] without [`Access::DELETE`].
    pub async fn delete(&self, ids: &[MessageId]) -> Result<Vec<Result<()>>> {
        self.apply(ids, &Change::Delete).await
    }

    /// Copies messages into a folder: the id of each copy, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where a message is in many folders at once: [add](Change::AddTo) it to one more. A copy
    /// whose answer is lost may be there: see [`Error::delivery`].
    pub async fn copy_to(
        &self,
        ids: &[MessageId],
        folder: &FolderId,
    ) -> Result<Vec<Result<MessageId>>> {
        self.require(Access::READ_WRITE)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.provider.copy(ids, folder).await
    }
}

/// Folders.
impl Mailbox {
    /// Changes the folders. What was made or changed is given back; what was deleted is not.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if there is a folder of that name in that place, [`ErrorKind::NotFound`] if there is no
    /// such folder, [`ErrorKind::InvalidRequest`] for one of the service's own, [`ErrorKind::Unsupported`] for what the
    /// service does not have.
    pub async fn edit_folder(&self, edit: &FolderEdit) -> Result<Option<Folder>> {
        self.require(Access::READ_WRITE)?;
        self.provider.edit_folder(edit).await
    }

    /// Makes a folder, in another one if `parent` names it.
    ///
    /// # Errors
    /// As [`edit_folder`](Self::edit_folder).
    pub async fn create_folder(&self, name: &str, parent: Option<&FolderId>) -> Result<Folder> {
        let edit = FolderEdit::Create {
            name: name.to_owned(),
            parent: parent.cloned(),
            color: None,
        };
        self.edited(&edit).await
    }

    /// The folder of this name in this place, whatever the name's case; it is made if it is not there.
    ///
    /// # Errors
    /// As [`edit_folder`](Self::edit_folder).
    pub async fn ensure_folder(&self, name: &str, parent: Option<&FolderId>) -> Result<Folder> {
        let find = async || {
            let folders = self.folders().await?.into_iter();
            let same = |folder: &Folder| {
                folder.parent.as_ref() == parent
                    && folder.name.to_lowercase() == name.to_lowercase()
            };
            Ok::<_, Error>(folders.into_iter().find(same))
        };
        if let Some(folder) = find().await? {
            return Ok(folder);
        }
        match self.create_folder(name, parent).await {
            // Somebody else made it meanwhile.
            Err(error) if error.kind() == ErrorKind::Conflict => find().await?.ok_or(error),
            made => made,
        }
    }

    /// Gives a folder another name.
    ///
    /// # Errors
    /// As [`edit_folder`](Self::edit_folder).
    pub async fn rename_folder(&self, folder: &FolderId, name: &str) -> Result<Folder> {
        let edit = FolderEdit::Rename {
            folder: folder.clone(),
            name: name.to_owned(),
        };
        self.edited(&edit).await
    }

    /// Puts a folder, with all that lies in it, into another one, or with `None` into none.
    ///
    /// # Errors
    /// As [`edit_folder`](Self::edit_folder).
    pub async fn move_folder(
        &self,
        folder: &FolderId,
        parent: Option<&FolderId>,
    ) -> Result<Folder> {
        let edit = FolderEdit::Move {
            folder: folder.clone(),
            parent: parent.cloned(),
        };
        self.edited(&edit).await
    }

    /// Gives a folder another colour, or none.
    ///
    /// # Errors
    /// As [`edit_folder`](Self::edit_folder); [`ErrorKind::InvalidRequest`] for a colour that the service does not have,
    /// which names those that it has.
    pub async fn color_folder(
        &self,
        folder: &FolderId,
        color: Option<FolderColor>,
    ) -> Result<Folder> {
        let edit = FolderEdit::Color {
            folder: folder.clone(),
            color,
        };
        self.edited(&edit).await
    }

    /// Deletes a folder, and those that lie in it. What becomes of the messages is the service's way: see
    /// [`FolderEdit::Delete`].
    ///
    /// # Errors
    /// As [`edit_folder`](Self::edit_folder).
    pub async fn delete_folder(&self, folder: &FolderId) -> Result<()> {
        let edit = FolderEdit::Delete(folder.clone());
        self.edit_folder(&edit).await.map(drop)
    }

    /// How many messages are in each of these folders: one answer per folder, in order. Where
    /// [`folders`](Self::folders) tells without extra cost, it has told already.
    ///
    /// # Errors
    /// When none could be asked for; what went wrong with one folder is in its place.
    pub async fn counts(&self, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
        self.require(Access::READ)?;
        if folders.is_empty() {
            return Ok(Vec::new());
        }
        self.provider.counts(folders).await
    }

    async fn edited(&self, edit: &FolderEdit) -> Result<Folder> {
        self.edit_folder(edit).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Protocol,
                "the provider does not tell what became of the folder",
            )
        })
    }
}

/// Settings.
impl Mailbox {
    /// The rules that the service applies to arriving mail.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the service has none, [`ErrorKind::PermissionDenied`] on a handle without
    /// [`Access::SETTINGS`].
    pub fn rules(&self) -> Result<&dyn Rules> {
        self.require(Access::SETTINGS)?;
        let rules = self.provider.rules();
        rules.ok_or_else(|| Error::unsupported("this provider has no rules"))
    }

    /// What the mailbox answers by itself while its owner is away.
    ///
    /// # Errors
    /// As [`rules`](Self::rules).
    pub fn automatic_replies(&self) -> Result<&dyn AutomaticReplies> {
        self.require(Access::SETTINGS)?;
        let replies = self.provider.automatic_replies();
        replies.ok_or_else(|| Error::unsupported("this provider has no automatic replies"))
    }

    /// The list of categories that messages can be marked with.
    ///
    /// # Errors
    /// As [`rules`](Self::rules).
    pub fn categories(&self) -> Result<&dyn Categories> {
        self.require(Access::SETTINGS)?;
        let categories = self.provider.categories();
        categories.ok_or_else(|| Error::unsupported("this provider has no list of categories"))
    }
}
