//! For tests, of this crate and of others: a clock that a test controls, and the contracts of mail providers and of
//! credential stores as suites. Not covered by the promise of compatibility that the rest of the crate makes.

mod clock;
pub mod provider_suite;
pub mod store_suite;

pub use clock::VirtualClock;
