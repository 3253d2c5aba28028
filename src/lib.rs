//! Connect Gmail and Outlook mailboxes and work with them as one.

pub mod clock;
#[cfg(feature = "emulator")]
pub mod emulator;
