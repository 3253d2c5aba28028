//! What a later version of this crate wrote into stored data, kept as it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Fields that a later version of this crate wrote: kept, written back, never shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownFields(BTreeMap<String, serde_json::Value>);

impl fmt::Debug for UnknownFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nobody knows what is in them: a later version may keep secrets there.
        write!(formatter, "UnknownFields({})", self.0.len())
    }
}
