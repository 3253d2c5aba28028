//! Gmail's endpoints for being told what happens.

use http::Method;

use super::{Api, units};
use crate::error::Result;
use crate::gmail::wire;
use crate::http::{Answer, ApiRequest, Cost, Replay};

impl Api {
    /// `POST users/{user}/watch` (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/watch>). The
    /// same once more prolongs it.
    pub(in crate::gmail) async fn watch(&self, watch: &wire::WatchRequest<'_>) -> Result<Answer> {
        let url = self.url("", &["watch"])?;
        let request = ApiRequest::new(
            "gmail.users.watch",
            Method::POST,
            url,
            Cost::units(units::WATCH),
            Replay::Idempotent,
        );
        self.client.answer(request.with_json(watch)).await
    }

    /// `POST users/{user}/stop`, which is no error where nothing is watched
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users/stop>).
    pub(in crate::gmail) async fn stop(&self) -> Result<()> {
        let url = self.url("", &["stop"])?;
        let request = ApiRequest::new(
            "gmail.users.stop",
            Method::POST,
            url,
            Cost::units(units::STOP),
            Replay::Idempotent,
        );
        self.client.done(request).await
    }
}
