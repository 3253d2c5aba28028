//! `mail read` as its users meet it: what is new in a message, what it is, its HTML made safe.

use crate::programs::Mail;
use postroom::emulator::Emulator;
use serde_json::Value;

/// `mail`, connected to the emulated mailbox of one service.
struct Connected(Mail);

impl Connected {
    async fn connect(emulator: &Emulator, service: &str, address: &str) -> Self {
        let mail = Self(Mail::new());
        let endpoint = match service {
            "google" => emulator.google().base_url.clone(),
            _ => emulator.microsoft().base_url.clone(),
        };
        let token = emulator.access_token(address);
        let arguments = [
            "connect",
            service,
            "--access-token",
            &token,
            "--api-endpoint",
            endpoint.as_str(),
        ];
        mail.run(&arguments).await;
        mail
    }

    /// Runs a command that succeeds, and gives what it says. The emulator runs in this process, so nothing here blocks it.
    async fn run(&self, arguments: &[&str]) -> String {
        let words = ["--account", "work"].iter().chain(arguments);
        let mut command = self.0.command(words);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Reads the message with this subject.
    async fn read(&self, subject: &str, options: &[&str]) -> String {
        let query = format!("subject:\"{subject}\"");
        let list: Value =
            serde_json::from_str(&self.run(&["--json", "list", &query]).await).unwrap();
        let id = list["messages"][0]["id"].as_str().unwrap().to_owned();
        self.run(&[&["read", id.as_str()], options].concat()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_shown_with_what_is_new_and_what_it_is() {
    let emulator = Emulator::builder().start().await.unwrap();
    for (service, address) in [
        ("google", "reader@gmail.example"),
        ("microsoft", "reader@outlook.example"),
    ] {
        let answer = format!(
            "From: support@desk.example\r\nTo: {address}\r\nSubject: Re: Lamp\r\nMessage-ID: <lamp-2@desk.example>\r\n\
             In-Reply-To: <lamp-1@{service}.example>\r\n\r\nIt is on its way.\r\n\r\nOn 1 Jan 2026, Reader wrote:\r\n> Where is the lamp?\r\n"
        );
        emulator.deliver(address, answer.as_bytes());
        let mail = Connected::connect(&emulator, service, address).await;

        let shown = mail.read("Lamp", &[]).await;
        assert!(
            shown.contains("Kind: a reply") && shown.contains("It is on its way."),
            "{shown}"
        );
        if service == "google" {
            assert!(!shown.contains("Where is the lamp?"), "{shown}");
        }
        let shown = mail.read("Lamp", &["--all"]).await;
        assert!(shown.contains("Where is the lamp?"), "{shown}");

        let shown = mail.read("Undelivered Mail", &[]).await;
        assert!(
            shown.contains("not delivered to nobody@shop.example 5.1.1")
                && shown.contains("about question-1@mailbox.example"),
            "{shown}"
        );
        let shown = mail.read("Invitation", &[]).await;
        assert!(
            shown.contains("Calendar: request planning-1@office.example"),
            "{shown}"
        );
        let shown = mail.read("Ten things", &[]).await;
        assert!(
            shown.contains("Leave by: https://news.example/unsubscribe/48"),
            "{shown}"
        );

        let shown = mail.read("parcel", &[]).await;
        assert!(
            shown.contains("Your parcel is on its way") && !shown.contains("tracked"),
            "{shown}"
        );
        let html = mail.read("parcel", &["--html"]).await;
        assert!(
            html.contains("<h2>") && !html.contains("<form") && !html.contains("script"),
            "{html}"
        );
        let html = mail.read("logo", &["--html"]).await;
        assert!(html.contains("src=\"data:image/png;base64,iVBOR"), "{html}");

        let document: Value =
            serde_json::from_str(&mail.read("Ten things", &["--json"]).await).unwrap();
        assert_eq!(document["facts"]["automatic"], "generated");
        assert_eq!(document["facts"]["list"]["id"], "weekly.news.example");
    }
}
