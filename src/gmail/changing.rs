//! Applying one change to many messages, in as few requests and quota units as there can be, with an answer for each.

use super::api::{Api, MOST_IDS};
use super::{batch, convert, wire};
use crate::error::{ErrorKind, Result};
use crate::model::{Change, MessageId};

/// Up to how many messages are changed one by one within a batch: 5 units each, where `batchModify` costs 50 whatever it
/// does and says nothing about single messages.
const ONE_BY_ONE: usize = 10;

/// Applies `change` to all of `ids`: one answer each, in order.
pub(super) async fn apply(
    api: &Api,
    ids: &[MessageId],
    change: &Change,
) -> Result<Vec<Result<()>>> {
    let modification = convert::modification(change)?;
    let mut results = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MOST_IDS) {
        if ids.len() <= ONE_BY_ONE {
            results.extend(one_by_one(api, ids, &modification).await);
        } else {
            results.extend(at_once(api, ids, &modification).await);
        }
    }
    Ok(results)
}

async fn at_once(
    api: &Api,
    ids: &[MessageId],
    modification: &wire::Modification,
) -> Vec<Result<()>> {
    let all = wire::BatchModification {
        ids: ids.iter().map(MessageId::as_str).collect(),
        modification,
    };
    match api.batch_modify(&all).await {
        Ok(()) => ids.iter().map(|_| Ok(())).collect(),
        // One id is wrong, and the service does not say which.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::InvalidRequest
            ) =>
        {
            one_by_one(api, ids, modification).await
        }
        Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
    }
}

async fn one_by_one(
    api: &Api,
    ids: &[MessageId],
    modification: &wire::Modification,
) -> Vec<Result<()>> {
    let calls = ids
        .iter()
        .map(|id| api.modify(id.as_str(), modification))
        .collect();
    let answers = batch::send(api, calls).await;
    answers.into_iter().map(|answer| answer.map(drop)).collect()
}
