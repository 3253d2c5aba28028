//! By what name a receiving server signs its findings about who sent a message.

use serde::{Deserialize, Serialize};

/// The server whose `Authentication-Results` lines are believed
/// ([RFC 8601 §2.5](https://www.rfc-editor.org/rfc/rfc8601#section-2.5)).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthenticationServer {
    /// One that begins its lines with this name.
    Named(String),
    /// One that writes no name, as Microsoft's do
    /// (<https://learn.microsoft.com/defender-office-365/message-headers-eop-mdo#authentication-results-message-header>).
    Unnamed,
}
