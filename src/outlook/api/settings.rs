//! Graph's endpoints for inbox rules, automatic replies and the list of categories.

use http::Method;

use super::{Api, read, request};
use crate::error::Result;
use crate::http::Replay;
use crate::outlook::wire;

/// Rules and categories are few and small.
const PAGE: [(&str, &str); 1] = [("$top", "250")];

impl Api {
    /// `GET {user}/mailFolders/inbox/messageRules`; only the inbox has rules
    /// (<https://learn.microsoft.com/graph/api/mailfolder-list-messagerules>).
    pub(in crate::outlook) async fn rules(&self) -> Result<wire::Collection> {
        let url = self.url(&["mailFolders", "inbox", "messageRules"], &PAGE)?;
        self.client
            .json(read("outlook.messageRules.list", url))
            .await
    }

    /// `POST {user}/mailFolders/inbox/messageRules`
    /// (<https://learn.microsoft.com/graph/api/mailfolder-post-messagerules>). Made twice it would be there twice.
    pub(in crate::outlook) async fn create_rule(
        &self,
        rule: &wire::NewMessageRule,
    ) -> Result<wire::MessageRule> {
        let url = self.url(&["mailFolders", "inbox", "messageRules"], &[])?;
        let request = request(
            "outlook.messageRules.create",
            Method::POST,
            url,
            Replay::Once,
        );
        self.client.json(request.with_json(rule)).await
    }

    /// `DELETE {user}/mailFolders/inbox/messageRules/{id}`
    /// (<https://learn.microsoft.com/graph/api/messagerule-delete>).
    pub(in crate::outlook) async fn delete_rule(&self, id: &str) -> Result<()> {
        let url = self.url(&["mailFolders", "inbox", "messageRules", id], &[])?;
        let replay = Replay::Idempotent;
        let request = request("outlook.messageRules.delete", Method::DELETE, url, replay);
        self.client.done(request).await
    }

    /// `GET {user}/mailboxSettings`, automatic replies only
    /// (<https://learn.microsoft.com/graph/api/user-get-mailboxsettings>).
    pub(in crate::outlook) async fn mailbox_settings(&self) -> Result<wire::MailboxSettings> {
        let query = [("$select", "automaticRepliesSetting")];
        let url = self.url(&["mailboxSettings"], &query)?;
        self.client
            .json(read("outlook.mailboxSettings.get", url))
            .await
    }

    /// `PATCH {user}/mailboxSettings` (<https://learn.microsoft.com/graph/api/user-update-mailboxsettings>).
    pub(in crate::outlook) async fn update_mailbox_settings(
        &self,
        settings: &wire::MailboxSettings,
    ) -> Result<wire::MailboxSettings> {
        let url = self.url(&["mailboxSettings"], &[])?;
        let replay = Replay::Idempotent;
        let request = request("outlook.mailboxSettings.update", Method::PATCH, url, replay);
        self.client.json(request.with_json(settings)).await
    }

    /// `GET {user}/outlook/masterCategories`
    /// (<https://learn.microsoft.com/graph/api/outlookuser-list-mastercategories>).
    pub(in crate::outlook) async fn categories(&self) -> Result<wire::Collection> {
        let url = self.url(&["outlook", "masterCategories"], &PAGE)?;
        self.client
            .json(read("outlook.masterCategories.list", url))
            .await
    }

    /// `POST {user}/outlook/masterCategories`
    /// (<https://learn.microsoft.com/graph/api/outlookuser-post-mastercategories>). Made twice, the second would be
    /// refused as taken.
    pub(in crate::outlook) async fn create_category(
        &self,
        category: &wire::NewCategory<'_>,
    ) -> Result<wire::OutlookCategory> {
        let url = self.url(&["outlook", "masterCategories"], &[])?;
        let request = request(
            "outlook.masterCategories.create",
            Method::POST,
            url,
            Replay::Once,
        );
        self.client.json(request.with_json(category)).await
    }

    /// `PATCH {user}/outlook/masterCategories/{id}`: the colour; a name stays what it is
    /// (<https://learn.microsoft.com/graph/api/outlookcategory-update>).
    pub(in crate::outlook) async fn recolor_category(
        &self,
        id: &str,
        color: &wire::CategoryColor,
    ) -> Result<wire::OutlookCategory> {
        let url = self.url(&["outlook", "masterCategories", id], &[])?;
        let replay = Replay::Idempotent;
        let request = request(
            "outlook.masterCategories.update",
            Method::PATCH,
            url,
            replay,
        );
        self.client.json(request.with_json(color)).await
    }

    /// `DELETE {user}/outlook/masterCategories/{id}`
    /// (<https://learn.microsoft.com/graph/api/outlookcategory-delete>).
    pub(in crate::outlook) async fn delete_category(&self, id: &str) -> Result<()> {
        let url = self.url(&["outlook", "masterCategories", id], &[])?;
        let replay = Replay::Idempotent;
        let request = request(
            "outlook.masterCategories.delete",
            Method::DELETE,
            url,
            replay,
        );
        self.client.done(request).await
    }
}
