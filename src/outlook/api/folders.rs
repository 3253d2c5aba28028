//! Graph's endpoints for folders.

use http::Method;

use super::{Api, read, request};
use crate::error::Result;
use crate::http::{ApiRequest, Replay};
use crate::outlook::wire;

/// Folders are few and small; without a size only ten come
/// (<https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/9037>).
const FOLDER_PAGE: &str = "250";

const FOLDER_FIELDS: &str =
    "id,displayName,parentFolderId,childFolderCount,totalItemCount,unreadItemCount";

/// What lists of folders are asked for. Hidden ones are left out unless they are named
/// (<https://learn.microsoft.com/graph/api/user-list-mailfolders>).
const LISTED: [(&str, &str); 3] = [
    ("$top", FOLDER_PAGE),
    ("$select", FOLDER_FIELDS),
    ("includeHiddenFolders", "true"),
];

impl Api {
    /// `GET {user}/mailFolders`: those at the top
    /// (<https://learn.microsoft.com/graph/api/user-list-mailfolders>).
    pub(in crate::outlook) async fn folders(&self) -> Result<wire::Collection> {
        let query = LISTED;
        let url = self.url(&["mailFolders"], &query)?;
        self.client
            .json(read("outlook.mailFolders.list", url))
            .await
    }

    /// `GET {user}/mailFolders/{folder}/childFolders`
    /// (<https://learn.microsoft.com/graph/api/mailfolder-list-childfolders>).
    pub(in crate::outlook) fn child_folders(&self, folder: &str) -> Result<ApiRequest> {
        let query = LISTED;
        let url = self.url(&["mailFolders", folder, "childFolders"], &query)?;
        Ok(read("outlook.mailFolders.listChildFolders", url))
    }

    /// `GET {user}/mailFolders/{folder}`; a well-known name is an id too
    /// (<https://learn.microsoft.com/graph/api/mailfolder-get>).
    pub(in crate::outlook) fn folder(&self, folder: &str) -> Result<ApiRequest> {
        let query = [("$select", FOLDER_FIELDS)];
        let url = self.url(&["mailFolders", folder], &query)?;
        Ok(read("outlook.mailFolders.get", url))
    }

    /// `POST {user}/mailFolders`, or `POST {user}/mailFolders/{parent}/childFolders`
    /// (<https://learn.microsoft.com/graph/api/mailfolder-post-childfolders>). Made twice, the second would be refused as
    /// taken.
    pub(in crate::outlook) async fn create_folder(
        &self,
        parent: Option<&str>,
        folder: &wire::FolderName<'_>,
    ) -> Result<wire::MailFolder> {
        let url = match parent {
            Some(parent) => self.url(&["mailFolders", parent, "childFolders"], &[])?,
            None => self.url(&["mailFolders"], &[])?,
        };
        let request = request(
            "outlook.mailFolders.create",
            Method::POST,
            url,
            Replay::Once,
        );
        self.client.json(request.with_json(folder)).await
    }

    /// `PATCH {user}/mailFolders/{folder}` (<https://learn.microsoft.com/graph/api/mailfolder-update>).
    pub(in crate::outlook) async fn rename_folder(
        &self,
        folder: &str,
        name: &wire::FolderName<'_>,
    ) -> Result<wire::MailFolder> {
        let url = self.url(&["mailFolders", folder], &[])?;
        let replay = Replay::Idempotent;
        let request = request("outlook.mailFolders.update", Method::PATCH, url, replay);
        self.client.json(request.with_json(name)).await
    }

    /// `POST {user}/mailFolders/{folder}/move` (<https://learn.microsoft.com/graph/api/mailfolder-move>). The folder's id
    /// stays.
    pub(in crate::outlook) async fn move_folder(
        &self,
        folder: &str,
        destination: &str,
    ) -> Result<wire::MailFolder> {
        let url = self.url(&["mailFolders", folder, "move"], &[])?;
        // Where it is there already, a folder of its own name is in its way.
        let request = request("outlook.mailFolders.move", Method::POST, url, Replay::Once);
        let request = request.with_json(&wire::Destination {
            destination_id: destination,
        });
        self.client.json(request).await
    }

    /// `DELETE {user}/mailFolders/{folder}`, with all that is in it
    /// (<https://learn.microsoft.com/graph/api/mailfolder-delete>). The second time it would be gone from the deleted items
    /// too.
    pub(in crate::outlook) async fn delete_folder(&self, folder: &str) -> Result<()> {
        let url = self.url(&["mailFolders", folder], &[])?;
        let replay = Replay::Once;
        let request = request("outlook.mailFolders.delete", Method::DELETE, url, replay);
        self.client.done(request).await
    }
}
