//! `mail send`, `reply`, `forward`, `drafts`, `outbox` and `import` as their users meet them, on both services.

use crate::programs::Mail;
use crate::support;
use http::Method;
use postroom::emulator::{Emulator, Fault, FaultKind};
use serde_json::Value;

const SERVICES: [(&str, &str, &str); 2] = [
    ("google", "reader@gmail.example", "team@gmail.example"),
    (
        "microsoft",
        "reader@outlook.example",
        "team@outlook.example",
    ),
];

/// The emulator in this process, so that tests see into it, and `mail` connected to one of its mailboxes.
async fn connected(service: &str, address: &str) -> (Emulator, Mail) {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let endpoint = match service {
        "google" => &emulator.google().base_url,
        _ => &emulator.microsoft().base_url,
    };
    let mail = Mail::new();
    let token = emulator.access_token(address);
    let connect = ["connect", service, "--access-token", &token];
    let connect = [&connect[..], &["--api-endpoint", endpoint.as_str()]].concat();
    mail.json("work", &connect);
    (emulator, mail)
}

/// How many messages of this subject somebody received.
fn received(emulator: &Emulator, address: &str, subject: &str) -> usize {
    let subject = format!("Subject: {subject}\r\n");
    let messages = emulator.messages(address);
    let raw = messages.iter().map(|message| &message.raw);
    let has = |raw: &&Vec<u8>| String::from_utf8_lossy(raw).contains(&subject);
    raw.filter(has).count()
}

fn inbox(mail: &Mail) -> String {
    let listed = mail.list("work", "in:inbox");
    listed[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_forwarded_messages_go_out_once_under_a_key() {
    for (service, address, team) in SERVICES {
        let (emulator, mail) = connected(service, address).await;
        let question = format!(
            "From: Team <{team}>\r\nTo: {address}\r\nSubject: A question\r\nMessage-ID: <q@desk.example>\r\n\
             Content-Type: text/plain\r\n\r\nWhen?\r\n"
        );
        emulator.deliver(address, question.as_bytes());
        let id = inbox(&mail);
        for _ in 0..2 {
            mail.json(
                "work",
                &["reply", &id, "--text", "Today", "--key", "answer"],
            );
        }
        assert_eq!(received(&emulator, team, "Re: A question"), 1, "{service}");
        std::fs::write(mail.path("note.txt"), "a note").unwrap();
        let forward = ["forward", &id, "--to", team, "--text", "See below"];
        mail.json("work", &[&forward[..], &["--attach", "note.txt"]].concat());
        assert_eq!(received(&emulator, team, "Fwd: A question"), 1, "{service}");
        let sends = &mail.json("work", &["outbox"])["sends"];
        assert_eq!(sends.as_array().unwrap().len(), 2);
        assert!(
            sends
                .as_array()
                .unwrap()
                .iter()
                .all(|send| send["State"] == "sent")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_sent_is_in_the_outbox_and_not_sent_again() {
    for (service, address, team) in SERVICES {
        let (emulator, mail) = connected(service, address).await;
        let send = ["send", "--to", team, "--subject", "Once", "--key", "row 1"];
        emulator.fault(Fault::new(FaultKind::DropBefore).on(Method::POST, "/send"));
        let said = mail.fails(5, &send);
        assert!(said.contains("mail outbox settle row 1"), "{said}");
        // Too early to believe that it was not.
        mail.fails(5, &send);
        mail.fails(5, &["outbox", "settle", "row 1"]);
        mail.fails(5, &["outbox", "retry", "row 1"]);
        assert_eq!(received(&emulator, team, "Once"), 0);
        let sends = &mail.json("work", &["outbox"])["sends"];
        assert_eq!(sends[0]["Key"], "row 1");
        assert_eq!(sends[0]["State"], "unknown");

        // It went out, and the answer was lost: the service is asked, and tells.
        emulator.fault(Fault::new(FaultKind::DropAfter).on(Method::POST, "/send"));
        let send = ["send", "--to", team, "--subject", "Lost", "--key", "row 2"];
        for _ in 0..2 {
            let _ = mail.run(send);
            emulator.release_sent_copies(address);
        }
        mail.json("work", &["outbox", "settle", "row 2"]);
        assert_eq!(received(&emulator, team, "Lost"), 1, "{service}");
        mail.json("work", &["outbox", "forget", "row 2"]);
        mail.fails(4, &["outbox", "settle", "row 2"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drafts_are_written_changed_sent_and_deleted() {
    for (service, address, team) in SERVICES {
        let (emulator, mail) = connected(service, address).await;
        std::fs::write(mail.path("figures.csv"), "a,b\n").unwrap();
        let new = ["drafts", "new", "--subject", "Figures", "--text", "First"];
        let draft = mail.json("work", &[&new[..], &["--attach", "figures.csv"]].concat());
        let id = draft["id"].as_str().unwrap();
        mail.fails(2, &["drafts", "edit", id]);
        mail.json(
            "work",
            &["drafts", "edit", id, "--to", team, "--text", "Second"],
        );
        let shown = mail.json("work", &["drafts", "show", id]);
        assert_eq!(shown["attachments"].as_array().unwrap().len(), 1, "{shown}");
        let other = mail.json("work", &["drafts", "new", "--subject", "Never sent"]);
        let listed = mail.json("work", &["drafts"]);
        assert_eq!(listed["drafts"].as_array().unwrap().len(), 2, "{service}");
        mail.json(
            "work",
            &["drafts", "discard", other["id"].as_str().unwrap()],
        );
        mail.json("work", &["drafts", "send", id]);
        assert_eq!(received(&emulator, team, "Figures"), 1, "{service}");
        assert_eq!(
            mail.json("work", &["drafts"])["drafts"],
            Value::Array(Vec::new())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_mailbox_file_are_imported() {
    for (service, address, _) in SERVICES {
        let (emulator, mail) = connected(service, address).await;
        let file = "From billing@shop.example Sun Nov 22 08:00:00 2026\n\
            From: billing@shop.example\nSubject: One\nDate: Sun, 22 Nov 2026 08:00:00 +0000\n\nText\n>From here on\n\n\
            From billing@shop.example Sun Nov 22 09:00:00 2026\n\
            From: billing@shop.example\nSubject: Two\nDate: Sun, 22 Nov 2026 09:00:00 +0000\n\nText\n\n";
        std::fs::write(mail.path("old.mbox"), file).unwrap();
        let imported = mail.json("work", &["import", "old.mbox", "--folder", "inbox"]);
        assert_eq!(imported["imported"], 2, "{service}");
        let messages = emulator.messages(address);
        assert_eq!(messages.len(), 2);
        let texts = messages
            .iter()
            .map(|message| String::from_utf8_lossy(&message.raw));
        assert!(
            texts
                .into_iter()
                .any(|text| text.contains("\nFrom here on"))
        );
        mail.fails(1, &["import", "missing.mbox"]);
    }
}
