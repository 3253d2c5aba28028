//! Applying one change to many messages, in as few requests and quota units as there can be, with an answer for each.

use super::api::{Api, MOST_IDS};
use super::{batch, convert, wire};
use crate::error::{ErrorKind, Result};
use crate::http::ApiRequest;
use crate::model::{Change, MessageId};

/// Up to how many messages are changed one by one within a batch: 5 units each, where `batchModify` costs 50 whatever it
/// does and says nothing about single messages.
pub(super) const ONE_BY_ONE: usize = 10;

/// The same for deleting, where each costs 10 units, and that one is gone already is no failure.
const DELETED_ONE_BY_ONE: usize = 5;

/// After the service refused many messages at once: of so many, each is asked for alone first. If it refuses all of them in
/// the same way, it is perhaps the change that is wrong and not an id: the others are tried once more without them.
const PROBED: usize = 25;

/// Applies `change` to all of `ids`: one answer each, in order. Up to `one_by_one` messages are changed one by one.
pub(super) async fn apply(
    api: &Api,
    ids: &[MessageId],
    change: &Change,
    one_by_one: usize,
) -> Result<Vec<Result<()>>> {
    let step = match change {
        Change::Delete => Step::Delete,
        change => Step::Modify(convert::modification(change)?),
    };
    let alone = match step {
        Step::Modify(_) => one_by_one,
        Step::Delete => DELETED_ONE_BY_ONE,
    };
    if ids.len() <= alone {
        return Ok(step.each(api, ids).await);
    }
    let mut results = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MOST_IDS) {
        if ids.len() <= alone {
            results.extend(step.each(api, ids).await);
        } else {
            results.extend(step.all(api, ids).await);
        }
    }
    Ok(results)
}

/// What is done to a message.
enum Step {
    Modify(wire::Modification),
    Delete,
}

impl Step {
    /// Up to a thousand messages in one request.
    async fn at_once(&self, api: &Api, ids: &[MessageId]) -> Result<()> {
        let names = ids.iter().map(MessageId::as_str).collect();
        match self {
            Self::Modify(modification) => {
                let all = wire::BatchModification {
                    ids: names,
                    modification,
                };
                api.batch_modify(&all).await
            }
            Self::Delete => api.batch_delete(&wire::BatchDeletion { ids: names }).await,
        }
    }

    /// The same, with an answer for each.
    async fn all(&self, api: &Api, ids: &[MessageId]) -> Vec<Result<()>> {
        match self.at_once(api, ids).await {
            Ok(()) => ids.iter().map(|_| Ok(())).collect(),
            // One id is wrong, or the change is; the service does not say.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::InvalidRequest
                ) =>
            {
                self.probe(api, ids).await
            }
            Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn probe(&self, api: &Api, ids: &[MessageId]) -> Vec<Result<()>> {
        let (probed, rest) = ids.split_at(ids.len().min(PROBED));
        let mut results = self.each(api, probed).await;
        let refusal = |result: &Result<()>| match result {
            Err(error) => Some((error.kind(), error.code().map(str::to_owned))),
            Ok(()) => None,
        };
        let first = results.first().and_then(refusal);
        let alike = first.is_some() && results.iter().all(|result| refusal(result) == first);
        match results.first() {
            Some(Err(error))
                if alike && error.kind() == ErrorKind::InvalidRequest && !rest.is_empty() =>
            {
                // Ids that all are wrong look the same as a change that is.
                let retried = self.at_once(api, rest).await;
                results.extend(rest.iter().map(|_| retried.clone()));
            }
            _ => results.extend(self.each(api, rest).await),
        }
        results
    }

    /// Each message for itself.
    async fn each(&self, api: &Api, ids: &[MessageId]) -> Vec<Result<()>> {
        let calls = ids.iter().map(|id| self.call(api, id)).collect();
        let answers = batch::send(api, calls).await.into_iter();
        answers
            .map(|answer| match answer {
                // What is gone is deleted; perhaps it was this call whose first answer was lost.
                Err(error) if self.is_done_without(error.kind()) => Ok(()),
                answer => answer.map(drop),
            })
            .collect()
    }

    fn call(&self, api: &Api, id: &MessageId) -> Result<ApiRequest> {
        match self {
            Self::Modify(modification) => api.modify(id.as_str(), modification),
            Self::Delete => api.delete(id.as_str()),
        }
    }

    fn is_done_without(&self, kind: ErrorKind) -> bool {
        matches!(self, Self::Delete) && kind == ErrorKind::NotFound
    }
}
