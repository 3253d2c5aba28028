//! Gmail's endpoints for labels, which are folders here.

use http::Method;

use super::{Api, fields, units};
use crate::error::Result;
use crate::gmail::wire;
use crate::http::{ApiRequest, Cost, Replay};

/// What there is to know of a label but for its counts.
const LABEL_FIELDS: &str = "id,name,type,messageListVisibility,labelListVisibility,color";

impl Api {
    /// `GET users/{user}/labels`, all in one answer
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/list>).
    pub(in crate::gmail) async fn labels(&self) -> Result<wire::LabelList> {
        self.client.json(self.label_list()?).await
    }

    /// The same as a part of a batch.
    pub(in crate::gmail) fn label_list(&self) -> Result<ApiRequest> {
        let mut url = self.url("", &["labels"])?;
        fields(&mut url, &format!("labels({LABEL_FIELDS})"));
        let cost = Cost::units(units::LABELS_LIST);
        Ok(ApiRequest::read("gmail.labels.list", url, cost))
    }

    /// `GET users/{user}/labels/{id}`: how many messages have it, which lists do not tell
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/get>).
    pub(in crate::gmail) fn label_counts(&self, id: &str) -> Result<ApiRequest> {
        let mut url = self.url("", &["labels", id])?;
        fields(&mut url, "id,messagesTotal,messagesUnread");
        let cost = Cost::units(units::LABELS_GET);
        Ok(ApiRequest::read("gmail.labels.get", url, cost))
    }

    /// `POST users/{user}/labels`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/create>). Made twice, the
    /// second would be refused as taken.
    pub(in crate::gmail) async fn create_label(
        &self,
        label: &wire::LabelChange<'_>,
    ) -> Result<wire::Label> {
        let mut url = self.url("", &["labels"])?;
        fields(&mut url, LABEL_FIELDS);
        let cost = Cost::units(units::LABELS_CHANGE);
        let request = ApiRequest::new("gmail.labels.create", Method::POST, url, cost, Replay::Once);
        self.client.json(request.with_json(label)).await
    }

    /// `PATCH users/{user}/labels/{id}`: what is given changes, the rest stays
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/patch>).
    pub(in crate::gmail) fn patch_label(
        &self,
        id: &str,
        label: &wire::LabelChange<'_>,
    ) -> Result<ApiRequest> {
        self.change_label("gmail.labels.patch", Method::PATCH, id, label)
    }

    /// `PUT users/{user}/labels/{id}`: what is not given is taken away
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/update>).
    pub(in crate::gmail) fn replace_label(
        &self,
        id: &str,
        label: &wire::LabelChange<'_>,
    ) -> Result<ApiRequest> {
        self.change_label("gmail.labels.update", Method::PUT, id, label)
    }

    fn change_label(
        &self,
        operation: &'static str,
        method: Method,
        id: &str,
        label: &wire::LabelChange<'_>,
    ) -> Result<ApiRequest> {
        let mut url = self.url("", &["labels", id])?;
        fields(&mut url, LABEL_FIELDS);
        let cost = Cost::units(units::LABELS_CHANGE);
        let request = ApiRequest::new(operation, method, url, cost, Replay::Idempotent);
        Ok(request.with_json(label))
    }

    /// `DELETE users/{user}/labels/{id}`: messages lose it and stay
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.labels/delete>).
    pub(in crate::gmail) fn delete_label(&self, id: &str) -> Result<ApiRequest> {
        let url = self.url("", &["labels", id])?;
        let cost = Cost::units(units::LABELS_CHANGE);
        let replay = Replay::Idempotent;
        Ok(ApiRequest::new(
            "gmail.labels.delete",
            Method::DELETE,
            url,
            cost,
            replay,
        ))
    }
}
