//! How to register an application with Google and with Microsoft, click by click, and what their errors mean. The pages are
//! the repository's `docs/`; findings of [`OAuthFlow::check`](crate::oauth::OAuthFlow::check) name their sections.

#[doc = include_str!("../docs/set-up-google.md")]
pub mod google {}

#[doc = include_str!("../docs/set-up-microsoft.md")]
pub mod microsoft {}
