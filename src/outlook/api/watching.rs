//! Graph's endpoints for being told what happens. They are of the application and not of a mailbox: which one is meant says
//! the resource.

use http::Method;

use super::{Api, read, request};
use crate::error::Result;
use crate::http::{Answer, Replay};
use crate::outlook::wire;

impl Api {
    /// What a subscription to messages calls them: all of them, or those of one folder
    /// (<https://learn.microsoft.com/graph/outlook-change-notifications-overview>).
    pub(in crate::outlook) fn watched(&self, folder: Option<&str>) -> String {
        // A quote in a key is written twice.
        let key = |id: &str| id.replace('\'', "''");
        let mailbox = match self.user.as_str() {
            "me" => "me".to_owned(),
            user => format!("users/{}", super::escaped(user, "@")),
        };
        match folder {
            Some(folder) => format!("{mailbox}/mailFolders('{}')/messages", key(folder)),
            None => format!("{mailbox}/messages"),
        }
    }

    /// Whether the mailbox is not the one of whom the tokens are.
    pub(in crate::outlook) fn is_anothers(&self) -> bool {
        self.user != "me"
    }

    /// `POST subscriptions` (<https://learn.microsoft.com/graph/api/subscription-post-subscriptions>). Made twice, the second
    /// would be refused as there already.
    pub(in crate::outlook) async fn subscribe(
        &self,
        subscription: &wire::NewSubscription<'_>,
    ) -> Result<Answer> {
        let url = self.address(&["subscriptions"], &[])?;
        let request = request(
            "outlook.subscriptions.create",
            Method::POST,
            url,
            Replay::Once,
        );
        self.client.answer(request.with_json(subscription)).await
    }

    /// `GET subscriptions`: those of this application and user
    /// (<https://learn.microsoft.com/graph/api/subscription-list>).
    pub(in crate::outlook) async fn subscriptions(&self) -> Result<wire::Collection> {
        let url = self.address(&["subscriptions"], &[])?;
        self.client
            .json(read("outlook.subscriptions.list", url))
            .await
    }

    /// `PATCH subscriptions/{id}`, which also says that the user still agrees
    /// (<https://learn.microsoft.com/graph/api/subscription-update>).
    pub(in crate::outlook) async fn prolong(
        &self,
        id: &str,
        patch: &wire::SubscriptionPatch,
    ) -> Result<Answer> {
        let url = self.address(&["subscriptions", id], &[])?;
        let request = request(
            "outlook.subscriptions.update",
            Method::PATCH,
            url,
            Replay::Idempotent,
        );
        self.client.answer(request.with_json(patch)).await
    }

    /// `DELETE subscriptions/{id}` (<https://learn.microsoft.com/graph/api/subscription-delete>).
    pub(in crate::outlook) async fn unsubscribe(&self, id: &str) -> Result<()> {
        let url = self.address(&["subscriptions", id], &[])?;
        let request = request(
            "outlook.subscriptions.delete",
            Method::DELETE,
            url,
            Replay::Idempotent,
        );
        self.client.done(request).await
    }
}
