//! Both providers keep the promises of the provider suite, in the clear and over TLS with HTTP/2.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;

mod gmail {
    postroom::mail_provider_tests!(crate::support::Fixture::gmail().await);
}

mod outlook {
    postroom::mail_provider_tests!(crate::support::Fixture::outlook().await);
}

mod gmail_over_tls {
    postroom::mail_provider_tests!(crate::support::Fixture::gmail_over_tls().await);
}

mod outlook_over_tls {
    postroom::mail_provider_tests!(crate::support::Fixture::outlook_over_tls().await);
}

#[tokio::test]
async fn the_default_transport_speaks_http_2_where_the_service_does() {
    use postroom::testing::provider_suite::ProviderFixture;

    for fixture in [
        support::Fixture::gmail_over_tls().await,
        support::Fixture::outlook_over_tls().await,
    ] {
        fixture.mailbox().profile().await.unwrap();
        let requests = fixture.emulator().requests();
        assert!(!requests.is_empty());
        assert!(
            requests
                .iter()
                .all(|request| request.protocol == "HTTP/2.0")
        );
    }
}
