//! Knowing whether a copy of a mailbox is complete: audits, which compare the host's ids with the service's. What is there
//! is `sync/census.rs`'s.

mod census;

use self::census::Area;
use super::api::Api;
use super::reading::{self, OwnFolders};
use crate::error::{ErrorKind, Result};
use crate::model::{Audit, AuditWindow, Detail, MessageId, Scope};
use crate::provider::Known;
use crate::sync::{Census as _, compare};

/// What an audit finds: the state of every message, folder by folder, against what the host has.
pub(super) async fn audit(
    api: &Api,
    own: &OwnFolders,
    scope: &Scope,
    window: AuditWindow,
    known: &dyn Known,
) -> Result<Audit> {
    let before = api.client.limiter.spent();
    let folders = reading::folders(api, own).await?;
    let area = Area::new(scope, &folders);
    let covered: Vec<_> = area.covered().cloned().collect();
    let census = census::take(api, scope, window, &covered).await?;
    let mut differences = compare(known, &census, |_| true).await?;
    let missing = differences
        .missing
        .into_iter()
        .filter_map(|place| Some(census.at(place)?.id.clone()));
    let missing = missing.collect();
    let extra = gone(api, &area, differences.extra).await?;
    if scope.detail == Detail::Ids {
        differences.stale.clear();
    }
    let spent = api.client.limiter.spent();
    Ok(Audit {
        checked: census.ids().count().try_into().unwrap_or(u64::MAX),
        missing,
        extra,
        stale: differences.stale,
        units: spent.units.saturating_sub(before.units),
        requests: spent.requests.saturating_sub(before.requests),
    })
}

/// Those of the messages that are really not within the scope: one that was moved while folders were listed one after the
/// other may be in none of the lists.
async fn gone(api: &Api, area: &Area, ids: Vec<MessageId>) -> Result<Vec<MessageId>> {
    let found = reading::get(api, &ids, Detail::Ids).await?;
    let mut gone = Vec::new();
    for (id, found) in ids.into_iter().zip(found) {
        match found {
            Ok(message) if area.covers(&message) => {}
            Ok(_) => gone.push(id),
            Err(error) if is_refusal(error.kind()) => gone.push(id),
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

/// Whether the service says that what was named is not there, or no name at all.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::InvalidRequest)
}
