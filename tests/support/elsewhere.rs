//! Servers that others wrote, which some tests need: the environment names them, and .ci/run installs them.

use std::io::Write as _;

/// What the variable names. Without it the test is left out, and says so; where `CI` is set it fails instead.
pub(crate) fn named_by(variable: &str) -> Option<String> {
    let named = std::env::var(variable).ok().filter(|name| !name.is_empty());
    if named.is_none() {
        let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
        assert!(!ci, "{variable} is not set, and CI leaves nothing out");
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        let left_out = format!("left out, as {variable} is not set: {test}\n");
        // Not by eprintln!, which is heard only of tests that fail.
        std::io::stderr().write_all(left_out.as_bytes()).unwrap();
    }
    named
}
