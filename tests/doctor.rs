//! `mail doctor`, as a program beside an emulator: what it finds, what it prints, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use postroom::emulator::{Emulator, Fault, FaultKind, Misconfiguration, Service};
use serde_json::Value;
use tempfile::TempDir;

/// The program that `cargo test` built beside this test.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("mail{}", std::env::consts::EXE_SUFFIX));
    path
}

async fn mail(store: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
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
