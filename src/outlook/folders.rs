//! Changing and counting folders: what takes more than one request. Reading them is `reading.rs`'s.

use super::api::Api;
use super::reading::{self, OwnFolders};
use super::{batch, convert, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Answer;
use crate::model::{Folder, FolderCounts, FolderEdit, FolderId, FolderRole};

/// How deep folders may lie in one another: none that people made do, and a service that answers in circles ends here.
const DEEPEST: usize = 300;

/// Changes one folder. What lies in it goes with it.
pub(super) async fn edit(api: &Api, own: &OwnFolders, edit: &FolderEdit) -> Result<Option<Folder>> {
    let changed = match edit {
        FolderEdit::Create { color: Some(_), .. } | FolderEdit::Color { .. } => {
            return Err(Error::unsupported("folders in Outlook have no colours"));
        }
        FolderEdit::Create {
            name,
            parent,
            color: None,
        } => {
            let display_name = convert::folder_name(name)?;
            let name = wire::FolderName { display_name };
            let parent = parent.as_ref().map(FolderId::as_str);
            api.create_folder(parent, &name).await?
        }
        FolderEdit::Rename { folder, name } => {
            let display_name = convert::folder_name(name)?;
            require_user_made(api, own, folder).await?;
            let name = wire::FolderName { display_name };
            api.rename_folder(folder.as_str(), &name).await?
        }
        FolderEdit::Move { folder, parent } => {
            require_user_made(api, own, folder).await?;
            let parent = parent.as_ref().map_or(convert::ROOT, FolderId::as_str);
            api.move_folder(folder.as_str(), parent).await?
        }
        FolderEdit::Delete(folder) => {
            require_user_made(api, own, folder).await?;
            delete(api, own, folder).await?;
            return Ok(None);
        }
    };
    let root = read_folder(api, convert::ROOT).await?;
    convert::folder(changed, root.id.as_deref()).map(Some)
}

/// Into the deleted items, from where people can bring it back.
async fn delete(api: &Api, own: &OwnFolders, folder: &FolderId) -> Result<()> {
    let roles = own.roles(api).await?;
    let trash = roles.id(FolderRole::Trash).map(FolderId::as_str);
    let root = read_folder(api, convert::ROOT).await?.id;
    let mut ancestor = Some(folder.as_str().to_owned());
    for _ in 0..DEEPEST {
        let Some(id) = ancestor.filter(|id| Some(id) != root.as_ref()) else {
            break;
        };
        if Some(id.as_str()) == trash {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the folder lies among the deleted items already; its messages can be deleted for good",
            ));
        }
        ancestor = read_folder(api, &id).await?.parent_folder_id;
    }
    let bin = convert::role_folder(FolderRole::Trash).unwrap_or_default();
    match api.move_folder(folder.as_str(), bin).await {
        // One of the same name was deleted before; the service's own way finds room for both.
        Err(error) if error.kind() == ErrorKind::Conflict => {
            api.delete_folder(folder.as_str()).await
        }
        moved => moved.map(drop),
    }
}

/// Refuses the service's own folders, as far as they have roles; the service refuses the others.
async fn require_user_made(api: &Api, own: &OwnFolders, folder: &FolderId) -> Result<()> {
    let roles = own.roles(api).await?;
    let is_named = convert::named_role(folder.as_str()).is_some();
    if is_named || convert::roles().any(|role| roles.id(role) == Some(folder)) {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "Outlook's own folders stay what and where they are",
        ));
    }
    Ok(())
}

async fn read_folder(api: &Api, folder: &str) -> Result<wire::MailFolder> {
    api.client.json(api.folder(folder)?).await
}

/// How many messages are in each of these folders.
pub(super) async fn counts(api: &Api, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
    let calls = folders
        .iter()
        .map(|folder| api.folder(folder.as_str()))
        .collect();
    let answers = batch::send(api, calls).await.into_iter();
    let counts = |answer: Result<Answer>| {
        let folder = reading::read("outlook.mailFolders.get", &answer?)?;
        convert::counts(&folder)
    };
    Ok(answers.map(counts).collect())
}
