//! The way through the pages of a service, and whether it comes to an end. Who follows it is each caller's.

use crate::error::{Error, ErrorKind, Result};

/// Notices when the addresses of further pages lead round and round, without remembering all of them: one of them is kept and
/// compared with those that follow, each for twice as long as the one before (R. P. Brent, 1980).
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    kept: Option<String>,
    steps: u64,
    most: u64,
}

impl Trail {
    /// Goes on to the next page, unless the way led there before.
    pub(crate) fn go_on(&mut self, next: &str) -> Result<()> {
        if self.kept.as_deref() == Some(next) {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the pages of the service lead round and round",
            ));
        }
        if self.steps == self.most {
            self.kept = Some(next.to_owned());
            self.most = (self.most * 2).max(1);
            self.steps = 0;
        }
        self.steps += 1;
        Ok(())
    }
}
