//! Getting a credential: sign-in with Google and with Microsoft, renewal and revocation. It wraps the `oauth2` crate,
//! of which nothing is public, and knows no mail; keeping what it gives is `credentials`'s.
//!
//! One [`OAuthFlow`] serves all users of one registered application:
//!
//! 1. [`OAuthFlow::authorize`] gives the address that the user's browser must visit, and a [`PendingAuthorization`] to
//!    keep meanwhile, in the user's web session for instance;
//! 2. the service sends the browser back to the application's redirect address;
//! 3. [`OAuthFlow::complete`] takes the pending authorization and the whole address that the browser came back with,
//!    checks everything, and gives a [`Grant`].
//!
//! An application that an administrator trusts with the mailboxes of an organisation needs no user: see
//! `ApplicationFlow` (feature `app-only`).
//!
//! [`OAuthFlow::check`] examines a configuration before users meet its mistakes, and [`Finding::of`] explains the errors
//! that they meet; [`guides`](crate::guides) say how to register an application in the first place.
//!
//! A desktop or command-line host receives the browser with a `LoopbackReceiver` (feature `loopback`).

mod admin_consent;
#[cfg(feature = "app-only")]
mod application;
mod assertion;
mod builder;
mod callback;
mod check;
mod device;
mod endpoint;
mod error;
mod flow;
mod grant;
mod identity;
mod key_set;
#[cfg(feature = "loopback")]
mod loopback;
mod options;
mod proof;
mod scope;
mod server;
mod service_token;

pub use admin_consent::{AdminConsent, AdminConsentGiven, PendingAdminConsent};
#[cfg(feature = "app-only")]
pub use application::{ApplicationFlow, ApplicationFlowBuilder};
pub use assertion::ClientCertificate;
#[cfg(feature = "app-only")]
pub use assertion::ServiceAccountKey;
pub use builder::OAuthFlowBuilder;
pub use callback::PendingAuthorization;
pub use check::{Diagnosis, Finding, Mistake, Probe, Seen};
pub use device::DeviceSignIn;
pub use error::Refusal;
pub use flow::{Authorization, OAuthFlow, Revoked};
pub use grant::Grant;
pub use identity::VerifiedUser;
#[cfg(feature = "loopback")]
pub use loopback::LoopbackReceiver;
pub use options::SignInOptions;
pub use proof::ClientProof;
#[cfg(feature = "outlook")]
pub(crate) use scope::shared_access_of;
pub use server::Endpoints;
pub(crate) use service_token::ServiceTokens;
