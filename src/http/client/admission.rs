//! What a request has before it is sent: its token, what it costs, and its places. What it took is given back if it never
//! is. Who goes first is the limiter's.

use super::super::limit::{Permit, Trial};
use super::super::request::{ApiRequest, Cost, Replay};
use super::super::retry::RetryPolicy;
use super::ApiClient;
use crate::credentials::AccessToken;
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::model::{Purse, Spent};

/// What was taken from a purse for a request, and is given back if that is never sent.
struct Payment<'a> {
    purse: Option<&'a Purse>,
    amount: Spent,
}

impl<'a> Payment<'a> {
    fn take(purse: Option<&'a Purse>, cost: Cost) -> Result<Self> {
        let amount = cost.spent();
        if purse.is_some_and(|purse| !purse.take(amount)) {
            return Err(Error::new(
                ErrorKind::CapReached,
                "this would cost more than is left of what the host allows",
            ));
        }
        Ok(Self { purse, amount })
    }

    fn keep(mut self) {
        self.purse = None;
    }
}

impl Drop for Payment<'_> {
    fn drop(&mut self) {
        if let Some(purse) = self.purse {
            purse.give_back(self.amount);
        }
    }
}

/// A request that may be sent now. Dropped instead, it has cost nothing.
pub(super) struct Admitted<'a> {
    permit: Permit,
    /// What it costs the registration.
    counted: Option<Permit>,
    payment: Payment<'a>,
}

impl Admitted<'_> {
    /// How many of the request's parts may run at the same time.
    pub(super) fn places(&self) -> u32 {
        self.permit.places()
    }

    /// See [`Permit::trial`].
    pub(super) fn trial(&mut self) -> Option<Trial> {
        self.permit.trial()
    }

    /// The request is sent: what it costs is spent. The mailbox's places are held until it was answered; the registration
    /// has none.
    pub(super) fn sent(self) -> Permit {
        self.payment.keep();
        if let Some(counted) = self.counted {
            drop(counted.sent());
        }
        self.permit.sent()
    }
}

impl ApiClient {
    /// The token that the request carries, if any. Asked for before the wait, so that a renewal takes nobody's place.
    pub(super) async fn token(&self, request: &ApiRequest) -> Result<Option<AccessToken>> {
        let (Some(tokens), true) = (&self.tokens, request.authorize) else {
            return Ok(None);
        };
        let token = tokens.token().await;
        token.map(Some).map_err(|error| match request.replay {
            // Whatever happened at the token endpoint, this request was not done: what happens once only comes here again
            // after a refusal.
            Replay::Once => error.with_delivery(Delivery::NotSent),
            _ => error,
        })
    }

    /// Waits until the request may be sent, by the mailbox's limits and then by the registration's.
    pub(super) async fn admit(&self, cost: Cost) -> Result<Admitted<'_>> {
        let RetryPolicy {
            patience, circuit, ..
        } = self.retry;
        let clock = self.clock.as_ref();
        let payment = Payment::take(self.purse.as_ref(), cost)?;
        let permit = self
            .limiter
            .admit(self.lane, cost, clock, patience, circuit)
            .await?;
        let counted = match &self.project {
            // Only what it costs over time counts there.
            Some(project) => Some(
                project
                    .admit(self.lane, cost, clock, patience, None)
                    .await?,
            ),
            None => None,
        };
        Ok(Admitted {
            permit,
            counted,
            payment,
        })
    }
}
