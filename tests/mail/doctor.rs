//! `mail doctor`, as a program beside an emulator: what it finds, what it prints, and how it ends.

use crate::programs;
use std::io::{BufReader, Read, Write};
use std::process::{Command, Output, Stdio};

use postroom::credentials::Service as Vendor;
use postroom::emulator::{Emulator, Fault, FaultKind, Misconfiguration, Service};
use postroom::oauth::Mistake;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

async fn mail(store: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(programs::example("mail"));
    command
        .env_remove("POSTROOM_CLIENT_ID")
        .env_remove("POSTROOM_CLIENT_SECRET")
        .env_remove("POSTROOM_ACCESS_TOKEN")
        .arg("--store")
        .arg(store.path())
        .args(arguments)
        .stdin(Stdio::null());
    let finished = tokio::task::spawn_blocking(move || command.output());
    finished.await.unwrap().unwrap()
}

fn options<'a>(vendor: &'a str, service: &'a Service, secret: &'a str) -> Vec<&'a str> {
    vec![
        "doctor",
        vendor,
        "--client-id",
        &service.client_id,
        "--client-secret",
        secret,
        "--auth-endpoint",
        service.base_url.as_str(),
    ]
}

/// The names of the mistakes that the document says are certain.
fn certain(output: &Output) -> Vec<String> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap().clone();
    let certain = findings.iter().filter(|finding| finding["certain"] == true);
    certain
        .map(|finding| finding["mistake"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_right_registration_is_sound_and_the_unseen_is_told() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let store = TempDir::new().unwrap();
    for (vendor, service, told) in [
        ("google", emulator.google(), "redirect_uri_mismatch"),
        ("microsoft", emulator.microsoft(), "AADSTS50011"),
    ] {
        let output = mail(&store, &options(vendor, service, &service.client_secret)).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(
            text.contains("knows this application") && text.contains("Nothing is wrong"),
            "{text}"
        );
        assert!(
            text.contains("browser does not come back") && text.contains(told),
            "{text}"
        );
        assert!(!text.contains(service.client_secret.as_str()));
    }
}

#[tokio::test]
async fn each_mistake_is_named_in_the_document() {
    use Misconfiguration as Seed;
    let store = TempDir::new().unwrap();
    for (vendor, seed, mistake) in [
        ("google", Seed::ClientDeleted, "client_deleted"),
        ("google", Seed::ClientDisabled, "client_disabled"),
        ("microsoft", Seed::SecretExpired, "secret_expired"),
        ("microsoft", Seed::SingleTenant, "single_tenant_on_common"),
        ("microsoft", Seed::ClientDisabled, "client_disabled"),
    ] {
        let emulator = Emulator::builder()
            .empty()
            .misconfigured(seed)
            .start()
            .await
            .unwrap();
        let service = if vendor == "google" {
            emulator.google()
        } else {
            emulator.microsoft()
        };
        let mut arguments = vec!["--json"];
        arguments.extend(options(vendor, service, &service.client_secret));
        let output = mail(&store, &arguments).await;
        assert_eq!(certain(&output), [mistake]);
        assert_eq!(output.status.code(), Some(4));
    }
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let guid = "11111111-2222-3333-4444-555555555555";
    for (vendor, secret, more, mistakes) in [
        (
            "google",
            "GOCSPX-another",
            [].as_slice(),
            ["secret_wrong"].as_slice(),
        ),
        ("microsoft", guid, &[], &["secret_is_its_id"]),
        (
            "microsoft",
            "8Q~another",
            &["--tenant", "nobody.example"],
            &["tenant_unknown"],
        ),
        (
            "microsoft",
            "8Q~another",
            &["--tenant", "reader@customer.example"],
            &["tenant_malformed"],
        ),
        (
            "google",
            "GOCSPX-another",
            &["--redirect-uri", "http://desk.internal/callback"],
            &["redirect_not_https", "redirect_not_public", "secret_wrong"],
        ),
    ] {
        let service = if vendor == "google" {
            emulator.google()
        } else {
            emulator.microsoft()
        };
        let mut arguments = vec!["--json"];
        arguments.extend(options(vendor, service, secret));
        arguments.extend(more);
        let output = mail(&store, &arguments).await;
        assert_eq!(certain(&output), mistakes);
        assert_eq!(output.status.code(), Some(4));
    }
}

/// How people meet a mistake.
#[derive(Clone, Copy, Debug)]
enum Met {
    /// They examine the registration.
    Examined,
    /// They connect a mailbox, and that fails.
    Connecting,
    /// They see the service's page, and nothing comes back; its text is what they have.
    Page,
}

use Met::{Connecting, Examined, Page};

/// Every seed, at whom it can be planted, and how it is met.
const MET: &[(Misconfiguration, &str, Met, Mistake)] = {
    use Misconfiguration as Seed;
    &[
        (
            Seed::ClientDeleted,
            "google",
            Examined,
            Mistake::ClientDeleted,
        ),
        (Seed::ClientDeleted, "google", Page, Mistake::ClientDeleted),
        (
            Seed::ClientDisabled,
            "google",
            Examined,
            Mistake::ClientDisabled,
        ),
        (
            Seed::ClientDisabled,
            "google",
            Page,
            Mistake::ClientDisabled,
        ),
        (
            Seed::ClientDisabled,
            "microsoft",
            Examined,
            Mistake::ClientDisabled,
        ),
        (
            Seed::ClientDisabled,
            "microsoft",
            Page,
            Mistake::ClientDisabled,
        ),
        (Seed::WebClient, "google", Page, Mistake::RedirectMismatch),
        (
            Seed::InTesting,
            "google",
            Page,
            Mistake::InTestingWithoutUser,
        ),
        (
            Seed::Internal,
            "google",
            Page,
            Mistake::OrganisationInternal,
        ),
        (
            Seed::AdministratorConsent,
            "google",
            Page,
            Mistake::ConsentNeedsAdministrator,
        ),
        (
            Seed::AdministratorConsent,
            "microsoft",
            Connecting,
            Mistake::ConsentNeedsAdministrator,
        ),
        (
            Seed::SecretExpired,
            "microsoft",
            Examined,
            Mistake::SecretExpired,
        ),
        (
            Seed::SecretExpired,
            "microsoft",
            Connecting,
            Mistake::SecretExpired,
        ),
        (
            Seed::SinglePageRedirect,
            "microsoft",
            Connecting,
            Mistake::RedirectSinglePage,
        ),
        (
            Seed::SingleTenant,
            "microsoft",
            Examined,
            Mistake::SingleTenantOnCommon,
        ),
        (
            Seed::SingleTenant,
            "microsoft",
            Page,
            Mistake::SingleTenantOnCommon,
        ),
        (
            Seed::AssignmentRequired,
            "microsoft",
            Page,
            Mistake::UserNotAssigned,
        ),
        (
            Seed::PolicyBlocks,
            "microsoft",
            Connecting,
            Mistake::BlockedByPolicy,
        ),
    ]
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_that_can_be_seeded_is_named_with_its_section_however_people_meet_it() {
    for seed in Misconfiguration::ALL {
        assert!(MET.iter().any(|(met, ..)| met == seed), "{seed:?}");
    }
    for (seed, vendor, met, mistake) in MET.iter().copied() {
        let emulator = Emulator::builder().empty().misconfigured(seed);
        let emulator = emulator.start().await.unwrap();
        let (store, case) = (
            TempDir::new().unwrap(),
            format!("{seed:?} {vendor} {met:?}"),
        );
        let (service, address, of) = if vendor == "google" {
            (emulator.google(), "reader@gmail.example", Vendor::Google)
        } else {
            (
                emulator.microsoft(),
                "team@outlook.example",
                Vendor::Microsoft,
            )
        };
        let section = mistake.guide(&of).unwrap();
        let named = |output: Output| {
            assert_eq!(output.status.code(), Some(4), "{case}");
            assert_eq!(certain(&output), [mistake.name()], "{case}");
            let document: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(document["findings"][0]["guide"], section.as_str(), "{case}");
        };
        let registration = options(vendor, service, &service.client_secret);
        if let Examined = met {
            let arguments = [&["--json"], registration.as_slice()].concat();
            named(mail(&store, &arguments).await);
            continue;
        }
        let (begun, url) = Begun::connecting(&registration);
        let came_back = emulator.sign_in(&url, address).await;
        match met {
            Page => {
                let page = came_back.unwrap_err().to_string();
                drop(begun);
                named(mail(&store, &["--json", "doctor", vendor, "--error", &page]).await);
            }
            _ => {
                let callback = came_back.unwrap();
                let (code, said) = begun.paste(&callback);
                assert_eq!(code, Some(4), "{case}: {said}");
                assert!(said.contains(mistake.what()), "{case}: {said}");
                assert!(said.contains(mistake.remedy(&of)), "{case}: {said}");
                assert!(
                    said.contains(&section) && said.contains("what now:"),
                    "{case}: {said}"
                );
                if callback.query_pairs().any(|(name, _)| name == "error") {
                    let callback = callback.as_str();
                    named(
                        mail(
                            &store,
                            &["--json", "doctor", vendor, "--callback", callback],
                        )
                        .await,
                    );
                }
            }
        }
    }
}

/// `mail connect --paste`, which waits for the address that the browser ends at.
struct Begun {
    process: std::process::Child,
    messages: BufReader<std::process::ChildStderr>,
    _mail: programs::Mail,
}

impl Begun {
    fn connecting(registration: &[&str]) -> (Self, Url) {
        let mail = programs::Mail::new();
        let words = registration.iter().map(|word| match *word {
            "doctor" => "connect",
            word => word,
        });
        let mut command = mail.command(words.chain(["--paste"]));
        let mut process = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut messages = BufReader::new(process.stderr.take().unwrap());
        let url = programs::address_to_visit(&mut messages);
        let begun = Self {
            process,
            messages,
            _mail: mail,
        };
        (begun, url)
    }

    /// Gives how it ended, and what it said.
    fn paste(mut self, callback: &Url) -> (Option<i32>, String) {
        let mut input = self.process.stdin.take().unwrap();
        writeln!(input, "{callback}").unwrap();
        let mut said = String::new();
        self.messages.read_to_string(&mut said).unwrap();
        (self.process.wait().unwrap().code(), said)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
async fn what_nobody_knows_is_said_to_be_unknown() {
    let store = TempDir::new().unwrap();
    let output = mail(&store, &["doctor", "google", "--error", "it does not work"]).await;
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("no code"), "{text}");
    // Whose it is must be known: by the number, or because it was said.
    let output = mail(&store, &["doctor", "--error", "redirect_uri_mismatch"]).await;
    assert_eq!(output.status.code(), Some(2));
    let number = "AADSTS50011: The redirect URI specified in the request";
    let output = mail(&store, &["--json", "doctor", "--error", number]).await;
    assert_eq!(certain(&output), ["redirect_mismatch"]);
}

#[tokio::test]
async fn a_connected_account_is_examined_up_to_its_mailbox() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let (service, store) = (emulator.google(), TempDir::new().unwrap());
    let token = emulator.access_token("reader@gmail.example");
    let mut connect = options("google", service, &service.client_secret);
    connect.splice(0..1, ["connect"]);
    connect.extend([
        "--api-endpoint",
        service.base_url.as_str(),
        "--access-token",
        &token,
    ]);
    assert_eq!(mail(&store, &connect).await.status.code(), Some(0));

    let output = mail(&store, &["doctor"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("reader@gmail.example can be opened"),
        "{text}"
    );

    let fault = FaultKind::google_error(403, "accessNotConfigured", "planted");
    emulator.fault(Fault::new(fault).on(http::Method::GET, "/gmail/v1/users/me/profile"));
    let output = mail(&store, &["--json", "doctor", "--account", "google"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        document["mailbox"]["finding"]["mistake"], "api_not_enabled",
        "{document}"
    );
    assert_eq!(document["mailbox"]["finding"]["seen"], "first_api_call");
    assert_eq!(output.status.code(), Some(4));
}

#[tokio::test]
async fn wrong_usage_and_no_network_have_their_own_ends() {
    let store = TempDir::new().unwrap();
    let output = mail(&store, &["doctor"]).await;
    assert_eq!(output.status.code(), Some(2));
    // Nobody listens at a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nowhere = format!("http://127.0.0.1:{port}");
    let arguments = [
        "--json",
        "doctor",
        "google",
        "--client-id",
        "1234-abc.apps.googleusercontent.com",
        "--client-secret",
        "GOCSPX-planted",
        "--auth-endpoint",
        &nowhere,
    ];
    let output = mail(&store, &arguments).await;
    assert_eq!(certain(&output), ["token_endpoint_unreachable"]);
    assert_eq!(output.status.code(), Some(5));
}
