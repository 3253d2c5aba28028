//! The shape that `src/lib.rs` describes holds: who may use whom, the two providers as mirrors, and no file too long to
//! be read.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    found
}

/// The first part of a file's path below `src`: its module.
fn module(path: &Path) -> String {
    let below = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules of this crate that a file's code names, comments excepted.
fn used(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .flat_map(|line| {
            line.split("crate::")
                .skip(1)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|rest| {
            rest.chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect()
        })
        .filter(|name: &String| name.starts_with(char::is_lowercase))
        .collect()
}

/// What each module may use, besides itself. `lib` and `testing` see everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("guides", &[]),
    ("secret", &[]),
    ("model", &["secret"]),
    ("error", &["model"]),
    ("mime", &["model", "error"]),
    ("facts", &["model", "mime"]),
    ("view", &["model"]),
    ("reply", &["model", "error", "facts", "mime", "view"]),
    ("provider", &["model", "error"]),
    // Conditional saves, and the tables that they go to, are the credential stores'.
    ("journal", &["model", "error", "secret", "credentials"]),
    ("sync", &["model", "error", "provider"]),
    (
        "mailbox",
        &[
            "model", "error", "clock", "facts", "mime", "provider", "journal", "reply",
        ],
    ),
    ("credentials", &["model", "error", "secret", "clock"]),
    (
        "http",
        &["model", "error", "clock", "credentials", "secret"],
    ),
    (
        "oauth",
        &["model", "error", "secret", "clock", "credentials", "http"],
    ),
    (
        "push",
        &["model", "error", "secret", "clock", "http", "oauth"],
    ),
    (
        "gmail",
        &[
            "model",
            "error",
            "secret",
            "clock",
            "credentials",
            "http",
            "mime",
            "provider",
            "sync",
        ],
    ),
    (
        "outlook",
        &[
            "model",
            "error",
            "secret",
            "clock",
            "credentials",
            "http",
            "mime",
            "provider",
            "sync",
        ],
    ),
    (
        "accounts",
        &[
            "push",
            "model",
            "error",
            "secret",
            "clock",
            "credentials",
            "http",
            "oauth",
            "journal",
            "mailbox",
            "gmail",
            "outlook",
        ],
    ),
    ("emulator", &["clock"]),
];

#[test]
fn dependencies_point_one_way() {
    for (path, text) in sources() {
        let module = module(&path);
        if module == "lib" || module == "testing" {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{module} has no place in the architecture yet"));
        for name in used(&text) {
            assert!(
                name == module || allowed.contains(&name.as_str()),
                "{} must not use crate::{name}",
                path.display()
            );
        }
    }
}

#[test]
fn the_two_providers_mirror_each_other() {
    let files = |provider: &str| -> BTreeSet<String> {
        fs::read_dir(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("src")
                .join(provider),
        )
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
    };
    assert_eq!(files("gmail"), files("outlook"));
}

#[test]
fn every_file_says_what_it_is_for_and_can_be_read_in_one_go() {
    for (path, text) in sources() {
        let tests = path.ends_with("tests.rs");
        assert!(
            tests || text.starts_with("//!"),
            "{} does not say what it is for",
            path.display()
        );
        let lines = text.lines().count();
        assert!(lines <= 650, "{} has {lines} lines", path.display());
    }
}

#[test]
fn a_deadline_holds_for_all_that_a_provider_can_do() {
    let read = |path: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path)).unwrap()
    };
    let deadline = read("mailbox/deadline.rs");
    let provider = read("provider.rs");
    let (_, methods) = provider.split_once("pub trait MailProvider").unwrap();
    let (methods, _) = methods.split_once("\n}\n").unwrap();
    let facets = read("provider/facets.rs");
    for line in methods.lines().chain(facets.lines()) {
        let line = line.trim_start();
        let line = line.strip_prefix("async ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("fn ") {
            let name = &name[..name.find('(').unwrap()];
            assert!(
                deadline.contains(&format!("fn {name}(")),
                "mailbox/deadline.rs does not pass {name} on"
            );
        }
    }
}
