//! A grant says when it ends, as far as the service said so, and what may end it, each with its reason; and it ends then.

use crate::raw_sign_in;
use std::sync::Arc;
use std::time::Duration;

use crate::raw_sign_in::{CALLBACK, PERSONAL, READER, SignIn, WORK, text};
use chrono::{DateTime, TimeDelta, Utc};
use postroom::clock::Clock as _;
use postroom::credentials::{AccountRecord, Identity, Lapse, Refresh as _, Service};
use postroom::emulator::{Emulator, EmulatorBuilder, Misconfiguration};
use postroom::oauth::{
    Authorization, Endpoints, Finding, Grant, Mistake, OAuthFlow, SignInOptions,
};
use postroom::testing::VirtualClock;
use postroom::{ErrorKind, Secret};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn started(builder: EmulatorBuilder) -> (Emulator, VirtualClock) {
    let clock = VirtualClock::eager("2026-11-22T08:00:00Z".parse().unwrap());
    let emulator = builder.empty().clock(Arc::new(clock.clone()));
    (emulator.start().await.unwrap(), clock)
}

fn flow(emulator: &Emulator, clock: &VirtualClock, google: bool) -> OAuthFlow {
    let flow = if google {
        let service = emulator.google();
        OAuthFlow::google(&service.client_id)
            .client_secret(service.client_secret.as_str())
            .endpoints(Endpoints::google_at(&service.base_url).unwrap())
    } else {
        let service = emulator.microsoft();
        OAuthFlow::microsoft(&service.client_id)
            .client_secret(service.client_secret.as_str())
            .endpoints(Endpoints::microsoft_at(&service.base_url, "common").unwrap())
    };
    let flow = flow.redirect_uri(CALLBACK).clock(Arc::new(clock.clone()));
    flow.build().unwrap()
}

async fn grant(flow: &OAuthFlow, emulator: &Emulator, address: &str) -> Grant {
    let options = SignInOptions::new().prompt("consent");
    let Authorization { url, pending, .. } = flow.authorize_with(options).unwrap();
    let callback = emulator.sign_in(&url, address).await.unwrap();
    flow.complete(pending, &callback).await.unwrap()
}

/// How long after now something is, to the nearest minute: services round, and answer late.
fn from_now(clock: &VirtualClock, at: Option<DateTime<Utc>>) -> Option<TimeDelta> {
    let seconds = (at? - clock.now()).num_seconds();
    Some(TimeDelta::minutes((seconds + 30).div_euclid(60)))
}

#[tokio::test]
async fn an_application_in_testing_has_grants_of_seven_days_and_knows_why() {
    let builder = Emulator::builder().google_test_users(&[READER]);
    let (emulator, clock) = started(builder).await;
    let flow = flow(&emulator, &clock, true);
    let grant = grant(&flow, &emulator, READER).await;

    let end = grant.lifetime().certain.unwrap();
    assert_eq!(from_now(&clock, Some(end.at)), Some(TimeDelta::days(7)));
    assert_eq!(
        end.why,
        [Lapse::ApplicationInTesting, Lapse::TimeLimitedAccess]
    );
    assert!(!grant.lifetime().names(Lapse::SignInFrequency));
    let findings = Finding::of_grant(&grant);
    assert_eq!(findings[0].mistake, Mistake::TestingGrantsEnd);

    // Renewing changes nothing about it, also in what is kept.
    clock.advance(6 * DAY);
    let record = grant.into_record("reader", "google");
    assert_eq!(record.lifetime().certain, Some(end.clone()));
    let refreshed = flow.refresh(&record).await.unwrap();
    let told = from_now(&clock, refreshed.refresh_token_expires_at);
    assert_eq!(told, Some(TimeDelta::days(1)));
    clock.advance(DAY);
    let error = flow.refresh(&record).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    assert!(clock.now() >= end.at);

    // Whoever is no test user is told so on Google's page.
    let Authorization { url, .. } = flow.authorize().unwrap();
    let page = emulator.sign_in(&url, "team@gmail.example").await;
    assert!(page.unwrap_err().to_string().contains("access_denied"));
}

#[tokio::test]
async fn access_for_some_time_ends_when_that_is_over() {
    let builder = Emulator::builder().time_limited_access(30 * DAY);
    let (emulator, clock) = started(builder).await;
    let flow = flow(&emulator, &clock, true);
    let grant = grant(&flow, &emulator, READER).await;
    let end = grant.lifetime().certain.unwrap();
    assert_eq!(from_now(&clock, Some(end.at)), Some(TimeDelta::days(30)));
    assert_eq!(end.why, [Lapse::TimeLimitedAccess]);
    assert_eq!(Finding::of_grant(&grant), []);
    let record = grant.into_record("reader", "google");
    clock.advance(29 * DAY);
    flow.refresh(&record).await.unwrap();
    clock.advance(DAY);
    let error = flow.refresh(&record).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
}

#[tokio::test]
async fn what_nobody_announced_is_only_possible() {
    for (google, address, possible) in [
        (
            true,
            READER,
            vec![
                (Lapse::ApplicationInTesting, Some(7)),
                // From November to May.
                (Lapse::Unused, Some(181)),
                (Lapse::TooManyGrants, None),
            ],
        ),
        (
            false,
            WORK,
            vec![
                (Lapse::OneTimePasscode, Some(1)),
                (Lapse::Unused, Some(90)),
                (Lapse::SignInFrequency, None),
            ],
        ),
        (false, PERSONAL, vec![(Lapse::Unused, Some(90))]),
    ] {
        let (emulator, clock) = started(Emulator::builder()).await;
        let flow = flow(&emulator, &clock, google);
        let grant = grant(&flow, &emulator, address).await;
        let lifetime = grant.lifetime();
        assert_eq!(lifetime.certain, None);
        let mut expected = possible;
        expected.extend([
            (Lapse::PasswordChanged, None),
            (Lapse::Withdrawn, None),
            (Lapse::AdministratorActed, None),
        ]);
        let found: Vec<_> = lifetime
            .possible
            .iter()
            .map(|end| {
                let days = from_now(&clock, end.at).map(|after| after.num_days());
                (end.why, days)
            })
            .collect();
        assert_eq!(found, expected, "{address}");
        let first = expected.iter().filter_map(|(_, days)| *days).min();
        let earliest = from_now(&clock, lifetime.earliest());
        assert_eq!(earliest.map(|after| after.num_days()), first);
        let record = grant.into_record("reader", "default");
        assert_eq!(record.lifetime(), lifetime);
    }
}

#[tokio::test]
async fn a_grant_ends_that_nothing_uses_and_each_use_puts_it_off() {
    for (google, address, days, code) in [
        (true, READER, 181, "invalid_grant"),
        (false, WORK, 90, "AADSTS700082"),
        (false, PERSONAL, 90, "AADSTS700082"),
    ] {
        let (emulator, clock) = started(Emulator::builder()).await;
        let flow = flow(&emulator, &clock, google);
        let grant = grant(&flow, &emulator, address).await;
        let mut record = grant.into_record("reader", "default");
        for _ in 0..2 {
            clock.advance((days - 1) * DAY);
            let refreshed = flow.refresh(&record).await.unwrap();
            if let Some(token) = refreshed.refresh_token {
                record.credential.refresh_token = Some(token);
            }
            record.credential.obtained_at = Some(clock.now());
        }
        let lifetime = record.lifetime();
        let mut possible = lifetime.possible.iter();
        let unused = possible.find(|end| end.why == Lapse::Unused).unwrap();
        assert!(unused.at.unwrap() >= clock.now() + (days - 1) * DAY);
        clock.advance((days + 3) * DAY);
        let error = flow.refresh(&record).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired);
        assert_eq!(error.code(), Some(code));
    }
}

#[tokio::test]
async fn a_grant_without_a_refresh_token_ends_with_its_access_token() {
    let mut record = AccountRecord::new("reader", "google", Service::Google);
    let end = "2026-11-22T09:00:00Z".parse().unwrap();
    record.credential.access_token = Some(Secret::new("planted"));
    record.credential.expires_at = Some(end);
    let certain = record.lifetime().certain.unwrap();
    assert_eq!(
        (certain.at, certain.why),
        (end, vec![Lapse::NoRefreshToken])
    );
}

#[tokio::test]
async fn an_adopted_grant_may_be_of_any_kind() {
    let mut record = AccountRecord::new("reader", "microsoft", Service::Microsoft);
    record.credential.refresh_token = Some(Secret::new("planted"));
    assert!(record.lifetime().names(Lapse::SinglePageApplication));
    assert_eq!(record.lifetime().earliest(), None);
    // What is known of the user narrows it.
    let personal = "9188040d-6c67-4c5b-b112-36a304b66dad/00000000-0000-0000-8a7b-9c0d1e2f3a4b";
    record.identity = Some(Identity::new(Service::Microsoft, personal));
    assert!(!record.lifetime().names(Lapse::OneTimePasscode));
    assert!(!record.lifetime().names(Lapse::SignInFrequency));

    let mut record = AccountRecord::new("reader", "google", Service::Google);
    record.credential.refresh_token = Some(Secret::new("planted"));
    assert!(!record.lifetime().names(Lapse::CloudSession));
    record.scopes = vec!["https://www.googleapis.com/auth/pubsub".to_owned()];
    assert!(record.lifetime().names(Lapse::CloudSession));
}

#[tokio::test]
async fn what_an_application_has_is_no_users_to_end() {
    let mut record = AccountRecord::new("reader", "google", Service::Google);
    let mailbox = ("application_mailbox".to_owned(), READER.to_owned());
    record.settings.extend([mailbox]);
    record.credential.expires_at = Some("2026-11-22T09:00:00Z".parse().unwrap());
    let lifetime = record.lifetime();
    assert_eq!(lifetime.certain, None);
    assert!(lifetime.names(Lapse::ApplicationProofEnded));
    assert!(!lifetime.names(Lapse::Withdrawn));
    assert!(!lifetime.names(Lapse::PasswordChanged));
}

#[tokio::test]
async fn microsofts_single_page_applications_have_grants_of_a_day_that_no_use_puts_off() {
    let builder = Emulator::builder().misconfigured(Misconfiguration::SinglePageRedirect);
    let (emulator, clock) = started(builder).await;
    let sign_in = SignIn::microsoft(emulator, "common");
    let origin = [("origin", "https://desk.example")];
    let ask = async |form: &[(&str, &str)], headers: &[(&str, &str)]| {
        let mut form = form.to_vec();
        form.push(("client_id", &sign_in.client_id));
        let answer = sign_in.http.form_with(&sign_in.token, &form, headers).await;
        answer.json()
    };
    let scope = "openid offline_access Mail.Read";
    let code = sign_in.code(WORK, scope, &[]).await;
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", raw_sign_in::VERIFIER),
    ];
    let body = ask(&redeem, &origin).await;
    assert_eq!(body["refresh_token_expires_in"], 86_399);
    clock.advance(DAY / 2);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&body, "refresh_token")),
    ];
    // Without a browser there is nothing to be had for it.
    let refused = ask(&refresh, &[]).await;
    assert_eq!(refused["error_codes"][0], 7_000_218);
    let secret = ("client_secret", sign_in.client_secret.as_str());
    let refused = ask(&[refresh[0], refresh[1], secret], &[]).await;
    assert_eq!(refused["error_codes"][0], 9_002_327);
    let refused = ask(&[refresh[0], refresh[1], secret], &origin).await;
    assert_eq!(refused["error_codes"][0], 700_025);

    let body = ask(&refresh, &origin).await;
    assert_eq!(body["refresh_token_expires_in"], 43_199);
    clock.advance(DAY / 2);
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&body, "refresh_token")),
    ];
    let refused = ask(&refresh, &origin).await;
    assert_eq!(refused["error_codes"][0], 700_084);

    // What such an application kept says so when it is adopted.
    let mut record = AccountRecord::new("reader", "microsoft", Service::Microsoft);
    record.credential.refresh_token = Some(Secret::new("planted"));
    record.credential.obtained_at = Some(clock.now());
    record.credential.refresh_token_expires_at = Some(clock.now() + DAY / 2);
    let certain = record.lifetime().certain.unwrap();
    assert_eq!(
        certain.why,
        [Lapse::SinglePageApplication, Lapse::OneTimePasscode]
    );
}

#[test]
fn every_lapse_is_explained_and_has_a_source() {
    for lapse in [
        Lapse::ApplicationInTesting,
        Lapse::TimeLimitedAccess,
        Lapse::CloudSession,
        Lapse::TooManyGrants,
        Lapse::SinglePageApplication,
        Lapse::OneTimePasscode,
        Lapse::SignInFrequency,
        Lapse::Unused,
        Lapse::PasswordChanged,
        Lapse::Withdrawn,
        Lapse::AdministratorActed,
        Lapse::NoRefreshToken,
        Lapse::ApplicationProofEnded,
        Lapse::Announced,
    ] {
        assert!(lapse.to_string().len() > 20);
        for service in [Service::Google, Service::Microsoft] {
            assert!(lapse.source(&service).starts_with("https://"));
        }
    }
}

#[test]
fn when_a_user_signed_in_is_kept_and_older_records_are_read() {
    let mut record = AccountRecord::new("reader", "google", Service::Google);
    let old = record.to_secret().unwrap();
    assert!(!old.expose().contains("granted_at"));
    let signed_in = "2026-11-22T08:00:00Z".parse().unwrap();
    record.granted_at = Some(signed_in);
    let read = AccountRecord::from_secret(&record.to_secret().unwrap()).unwrap();
    assert_eq!(read.granted_at, Some(signed_in));
    assert_eq!(AccountRecord::from_secret(&old).unwrap().granted_at, None);
}
