//! For tests, of this crate and of others: a clock that a test controls, and the contracts of mail providers, of
//! credential stores and of send journals as suites. Not covered by the promise of compatibility that the rest of the crate makes.

mod clock;
pub mod journal_suite;
pub mod provider_suite;
pub mod store_suite;

pub use clock::VirtualClock;

#[cfg(any(feature = "gmail", feature = "outlook"))]
#[doc(hidden)]
pub use crate::sync::SyncRule;
