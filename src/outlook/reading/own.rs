//! The mailbox's folders, and which of them are the service's own. What they mean in the model is `convert.rs`'s.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future;
use serde_json::value::RawValue;

use super::super::api::Api;
use super::super::convert::{self, Roles};
use super::super::{batch, wire};
use super::{FOLDERS, no_list, read};
use crate::error::{ErrorKind, Result};
use crate::model::{Folder, FolderId, FolderRole};

/// What is remembered of the service's own folders: their ids are needed to know what lies in them.
#[derive(Debug, Default)]
pub(in crate::outlook) struct OwnFolders {
    /// They never change once they are all there: the archive is made when it is first used.
    roles: OnceLock<Roles>,
    /// Junk and trash, with the folders that were thrown away: these come and go.
    hidden: Mutex<Option<Arc<BTreeSet<FolderId>>>>,
}

impl OwnFolders {
    pub(in crate::outlook) async fn roles(&self, api: &Api) -> Result<Roles> {
        if let Some(roles) = self.roles.get() {
            return Ok(roles.clone());
        }
        let roles = read_roles(api).await?;
        if convert::roles().all(|role| roles.id(role).is_some()) {
            return Ok(self.roles.get_or_init(|| roles).clone());
        }
        Ok(roles)
    }

    /// The folders that a query leaves out unless it names them. They are looked up with each first page.
    pub(super) async fn hidden(
        &self,
        api: &Api,
        first_page: bool,
    ) -> Result<Arc<BTreeSet<FolderId>>> {
        let remembered = || {
            self.hidden
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        if let Some(hidden) = remembered().filter(|_| !first_page) {
            return Ok(hidden);
        }
        let hidden = Arc::new(read_hidden(api).await?);
        *self.hidden.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&hidden));
        Ok(hidden)
    }
}

/// All folders, with roles.
pub(in crate::outlook) async fn folders(api: &Api, own: &OwnFolders) -> Result<Vec<Folder>> {
    let (roles, listed) = future::try_join(own.roles(api), read_tree(api)).await?;
    Ok(convert::folders(listed, &roles))
}

async fn read_roles(api: &Api) -> Result<Roles> {
    let roles: Vec<FolderRole> = convert::roles().collect();
    let found = well_known(api, &roles).await?;
    Ok(found
        .into_iter()
        .filter_map(|(role, folder)| Some((role, FolderId::new(folder.id?))))
        .collect())
}

async fn read_hidden(api: &Api) -> Result<BTreeSet<FolderId>> {
    let found = well_known(api, &[FolderRole::Junk, FolderRole::Trash]).await?;
    let mut folders = found.into_iter().map(|(_, folder)| folder).collect();
    read_below(api, &mut folders).await?;
    let ids = folders.into_iter().filter_map(|folder| folder.id);
    Ok(ids.map(FolderId::new).collect())
}

/// The folders of these roles. A mailbox may lack some.
async fn well_known(
    api: &Api,
    roles: &[FolderRole],
) -> Result<Vec<(FolderRole, wire::MailFolder)>> {
    let calls = roles
        .iter()
        .map(|role| api.folder(convert::role_folder(*role).unwrap_or_default()))
        .collect();
    let mut found = Vec::new();
    for (role, answer) in roles.iter().zip(batch::send(api, calls).await) {
        match answer {
            Ok(answer) => found.push((*role, read("outlook.mailFolders.get", &answer)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn read_tree(api: &Api) -> Result<Vec<wire::MailFolder>> {
    let top = api.folders().await?;
    let mut folders = Vec::new();
    read_pages(api, top, &mut folders).await?;
    read_below(api, &mut folders).await?;
    Ok(folders)
}

/// Adds the folders that lie in these, level by level. No folder is entered twice, whatever the service says of it.
async fn read_below(api: &Api, folders: &mut Vec<wire::MailFolder>) -> Result<()> {
    let mut entered = BTreeSet::new();
    let mut level = 0;
    while level < folders.len() {
        let parents: Vec<String> = folders
            .iter()
            .skip(level)
            .filter(|folder| folder.child_folder_count.unwrap_or_default() > 0)
            .filter_map(|folder| folder.id.clone())
            .filter(|id| entered.insert(id.clone()))
            .collect();
        level = folders.len();
        let calls = parents.iter().map(|id| api.child_folders(id)).collect();
        for answer in batch::send(api, calls).await {
            match answer {
                Ok(answer) => {
                    let page = read(FOLDERS, &answer)?;
                    read_pages(api, page, folders).await?;
                }
                // Deleted since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The folders of this page and all that follow it.
async fn read_pages(
    api: &Api,
    mut page: wire::Collection,
    folders: &mut Vec<wire::MailFolder>,
) -> Result<()> {
    loop {
        let listed = page.value.ok_or_else(|| no_list(FOLDERS))?;
        let readable = |folder: Box<RawValue>| wire::salvage(folder.get().as_bytes());
        folders.extend(listed.into_iter().filter_map(readable));
        match page.next_link {
            Some(link) => page = api.next_page(FOLDERS, &link).await?,
            None => return Ok(()),
        }
    }
}
