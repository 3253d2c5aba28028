//! Gmail's endpoints for filters, the vacation responder and who mail is sent as.

use http::Method;

use super::{Api, units};
use crate::error::Result;
use crate::gmail::wire;
use crate::http::{ApiRequest, Cost, Replay};

impl Api {
    /// `GET users/{user}/settings/filters`, all in one answer
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters/list>).
    pub(in crate::gmail) async fn filters(&self) -> Result<wire::FilterList> {
        let url = self.url("", &["settings", "filters"])?;
        let cost = Cost::units(units::SETTINGS_READ);
        let request = ApiRequest::read("gmail.settings.filters.list", url, cost);
        self.client.json(request).await
    }

    /// `POST users/{user}/settings/filters`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters/create>). The same
    /// once more is refused.
    pub(in crate::gmail) async fn create_filter(
        &self,
        filter: &wire::NewFilter<'_>,
    ) -> Result<wire::Filter> {
        let url = self.url("", &["settings", "filters"])?;
        let request = ApiRequest::new(
            "gmail.settings.filters.create",
            Method::POST,
            url,
            Cost::units(units::SETTINGS_CHANGE),
            Replay::Once,
        );
        self.client.json(request.with_json(filter)).await
    }

    /// `DELETE users/{user}/settings/filters/{id}`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.filters/delete>).
    pub(in crate::gmail) async fn delete_filter(&self, id: &str) -> Result<()> {
        let url = self.url("", &["settings", "filters", id])?;
        let request = ApiRequest::new(
            "gmail.settings.filters.delete",
            Method::DELETE,
            url,
            Cost::units(units::SETTINGS_CHANGE),
            Replay::Idempotent,
        );
        self.client.done(request).await
    }

    /// `GET users/{user}/settings/sendAs`, all in one answer
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.sendAs/list>).
    pub(in crate::gmail) async fn send_as(&self) -> Result<wire::SendAsList> {
        let url = self.url("", &["settings", "sendAs"])?;
        let cost = Cost::units(units::SETTINGS_READ);
        let request = ApiRequest::read("gmail.settings.sendAs.list", url, cost);
        self.client.json(request).await
    }

    /// `GET users/{user}/settings/vacation`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings/getVacation>).
    pub(in crate::gmail) async fn vacation(&self) -> Result<wire::Vacation> {
        let url = self.url("", &["settings", "vacation"])?;
        let cost = Cost::units(units::SETTINGS_READ);
        let request = ApiRequest::read("gmail.settings.getVacation", url, cost);
        self.client.json(request).await
    }

    /// `PUT users/{user}/settings/vacation`: all of it
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings/updateVacation>).
    pub(in crate::gmail) async fn set_vacation(
        &self,
        vacation: &wire::Vacation,
    ) -> Result<wire::Vacation> {
        let url = self.url("", &["settings", "vacation"])?;
        let request = ApiRequest::new(
            "gmail.settings.updateVacation",
            Method::PUT,
            url,
            Cost::units(units::SETTINGS_CHANGE),
            Replay::Idempotent,
        );
        self.client.json(request.with_json(vacation)).await
    }
}
