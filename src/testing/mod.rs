//! For tests, of this crate and of others: a clock that a test controls, and the contract of credential stores as a
//! suite. Not covered by the promise of compatibility that the rest of the crate makes.

mod clock;
pub mod provider_suite;
pub mod store_suite;

pub use clock::VirtualClock;
