//! Every mistake that the crate knows says what to do about it, and points to a section of the guides that is there.

use std::collections::BTreeSet;

use postroom::credentials::Service;
use postroom::oauth::{Finding, Mistake, Seen};
use postroom::{Error, ErrorKind};

#[test]
fn a_grant_that_a_user_revoked_is_nobodys_mistake() {
    let error = Error::new(ErrorKind::SignInRequired, "gone")
        .with_code("invalid_grant")
        .with_operation("oauth.refresh");
    assert_eq!(Finding::of(&error, &Service::Google), None);
}

/// The anchor that a page's heading has.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_mistake_says_what_to_do_and_points_to_a_section_that_is_there() {
    let names: BTreeSet<_> = Mistake::ALL.iter().map(|mistake| mistake.name()).collect();
    assert_eq!(names.len(), Mistake::ALL.len());
    assert!(Mistake::ALL.len() >= 25);
    let everywhere = [
        Seen::Values,
        Seen::TokenEndpoint,
        Seen::Callback,
        Seen::FirstApiCall,
        Seen::VendorPage,
    ];
    for seen in everywhere {
        assert!(
            Mistake::ALL
                .iter()
                .any(|mistake| mistake.seen().first() == Some(&seen)),
            "{seen}"
        );
    }
    let anchors = |page: &str| -> BTreeSet<String> {
        let headings = page.lines().filter(|line| line.starts_with("## "));
        headings
            .map(|line| anchor(line.trim_start_matches("## ")))
            .collect()
    };
    for (service, page, name) in [
        (
            Service::Google,
            include_str!("../../docs/set-up-google.md"),
            "google",
        ),
        (
            Service::Microsoft,
            include_str!("../../docs/set-up-microsoft.md"),
            "microsoft",
        ),
    ] {
        let anchors = anchors(page);
        for mistake in Mistake::ALL
            .iter()
            .filter(|mistake| mistake.concerns(&service))
        {
            assert!(
                !mistake.seen().is_empty() && mistake.remedy(&service).len() > 20,
                "{mistake:?}"
            );
            let guide = mistake.guide(&service).unwrap();
            let section = guide
                .strip_prefix(&format!("docs/set-up-{name}.md#"))
                .unwrap();
            assert!(anchors.contains(section), "{guide}");
        }
    }
}
