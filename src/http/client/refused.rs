//! What is made of refusals: whose limit they are about, how long is waited, and whether they are believed. Sending is
//! `client.rs`'s, who may send next the limiter's.

use std::time::Duration;

use super::super::refusal::is_of_registration;
use super::super::request::Replay;
use super::ApiClient;
use crate::error::{Delivery, Error, ErrorKind};

/// How long a service is left alone that may have refused because too much was asked of it.
const SLOW_PROBE: Duration = Duration::from_secs(3);

impl ApiClient {
    /// What to make of a refusal that may not mean what it says: that the service wants to be left alone for a while. It is
    /// asked once more, slowly, before the refusal is believed; a mailbox of which nothing else is asked is believed at once.
    pub(crate) fn suspicion(&self, error: &Error) -> Option<Error> {
        let may_be = error.code().is_some_and(|code| {
            let mut known = self.disguises.iter();
            known.any(|disguise| disguise.eq_ignore_ascii_case(code))
        });
        if !may_be || !self.limiter.suspects(self.clock.as_ref()) {
            return None;
        }
        Some(
            Error::new(
                ErrorKind::RateLimited,
                "the service refuses everything, perhaps because it is too much",
            )
            .with_status(error.status().unwrap_or_default())
            .with_delivery(Delivery::NotSent)
            .with_retry_after(SLOW_PROBE),
        )
    }

    /// Such a refusal means what it says.
    pub(crate) fn believe(&self, error: &Error) {
        if error.kind() == ErrorKind::PermissionDenied {
            self.limiter.believe(self.clock.as_ref());
        }
    }

    /// Notes that the service refused something because it was too much: for this mailbox, or for all of the registration.
    pub(crate) fn note_limit(&self, error: &Error) {
        // What a limiter itself refused has no status, and is known where it has to be: a registration's pause is not the
        // mailbox's.
        if error.status().is_none() {
            return;
        }
        let of_registration = is_of_registration(error);
        let limiter = match &self.project {
            Some(project) if of_registration => project,
            _ => &self.limiter,
        };
        let clock = self.clock.as_ref();
        match (error.kind(), error.retry_after()) {
            (ErrorKind::RateLimited, delay) => {
                if let Some(delay) = delay {
                    limiter.pause(delay, clock);
                }
                limiter.slow_down(clock);
            }
            // Other limits of a day are about sending, or about what a mailbox holds.
            (ErrorKind::QuotaExceeded, Some(delay)) if of_registration => {
                limiter.use_up(delay, clock);
            }
            _ => {}
        }
    }

    /// Waits before what was refused is asked again. All mailboxes of a registration do where the refusal was for all.
    pub(in crate::http) async fn back_off(&self, error: &Error, wait: Duration) {
        if is_of_registration(error)
            && let Some(project) = &self.project
        {
            project.pause(wait, self.clock.as_ref());
        }
        self.clock.sleep(wait).await;
    }

    /// Waits as long as the service and the policy want before what failed is sent again, whole or in part; `false` if
    /// it must not be. `attempt` counts from 1.
    pub(crate) async fn wait_to_repeat(&self, error: &Error, replay: Replay, attempt: u32) -> bool {
        self.note_limit(error);
        let Some(wait) = self.retry.wait(error, replay, attempt) else {
            return false;
        };
        self.back_off(error, wait).await;
        true
    }
}
