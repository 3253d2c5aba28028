//! Typed identifiers. All but the account's own are the service's, opaque, and unique only within one mailbox.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! identifier {
    ($($(#[$documentation:meta])* $name:ident;)*) => {$(
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the identifier as it is.
            #[must_use]
            pub fn new(id: impl Into<String>) -> Self {
                Self(Arc::from(id.into()))
            }

            /// The identifier's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self::new(id)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self::new(id)
            }
        }
    )*};
}

identifier! {
    /// The host's own key for a connected account: any text, chosen by the host.
    AccountId;
    /// A message in one mailbox. On Outlook it is the immutable id, which survives moves within the mailbox
    /// (<https://learn.microsoft.com/graph/outlook-immutable-id>).
    MessageId;
    /// A conversation as the service groups it; never guessed from a subject.
    ThreadId;
    /// A Gmail label or an Outlook folder.
    FolderId;
    /// One attachment of one message. Use it only together with its message's id.
    AttachmentId;
    /// A message that is being written and is kept by the service. On Gmail it is not the id of its message.
    DraftId;
    /// A rule that the service applies to arriving mail.
    RuleId;
    /// An entry of the list of categories.
    CategoryId;
    /// A push subscription at the service.
    SubscriptionId;
}
