//! The emulated services search as awkwardly as the real ones: by beginnings of words at Graph and never more than 1,000
//! messages, with other recipients among the recipients at Gmail.

use crate::graph_client::{Graph, PERSONAL, encoded, subjects};
use futures_util::TryStreamExt;
use postroom::{Detail, PageRequest, Query};

fn letter(number: usize, subject: &str, rest: &str) -> String {
    let (day, minute) = (1 + number / 60, number % 60);
    let (month, day) = if day > 28 {
        ("Dec", day - 28)
    } else {
        ("Nov", day)
    };
    format!(
        "From: billing@shop.example\r\nTo: reader@desk.example\r\nSubject: {subject}\r\n\
         Date: {day} {month} 2026 10:{minute:02}:00 +0000\r\nMessage-ID: <{number}@shop.example>\r\n\
         MIME-Version: 1.0\r\n{rest}"
    )
}

/// A directory of letters.
fn written(letters: &[String]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (number, letter) in letters.iter().enumerate() {
        let path = directory.path().join(format!("{number:05}.eml"));
        std::fs::write(path, letter).unwrap();
    }
    directory
}

const TWO_FORMS: &str = "Content-Type: multipart/alternative; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\nOnly the text says lighthouse.\r\n\
    --b\r\nContent-Type: text/html\r\n\r\n<p>Only the HTML says <b>harb</b>our.</p>\r\n--b--\r\n";

#[tokio::test]
async fn searches_find_what_each_service_takes_for_a_word() {
    let letters = [
        letter(
            1,
            "Planets",
            "Cc: archive@desk.example\r\n\r\nfrom:billing said so",
        ),
        letter(2, "A plan", "\r\n会议室 is booked"),
        letter(3, "Two forms", TWO_FORMS),
    ];
    let directory = written(&letters);
    let builder = crate::support::emulator().mail(directory.path().to_owned());
    let graph = Graph::start(builder, PERSONAL).await;
    for (search, found) in [
        ("plan", &["A plan", "Planets"][..]),
        ("subject:plan", &["A plan", "Planets"]),
        ("planets", &["Planets"]),
        ("lanets", &[]),
        ("\\\"a plan\\\"", &["A plan"]),
        ("\\\"plan a\\\"", &[]),
        ("to:reader", &["Two forms", "A plan", "Planets"]),
        ("to:archive", &[]),
        ("cc:archive", &["Planets"]),
        ("recipients:archive", &["Planets"]),
        // Without a property, recipients are not searched.
        ("archive", &[]),
        // What is quoted as a whole is a phrase.
        ("\\\"from:billing\\\" NOT subject:plan", &[]),
        ("\\\"from:billing\\\"", &["Planets"]),
        ("\\\"OR\\\"", &[]),
        ("会议", &["A plan"]),
        ("室 AND 会", &["A plan"]),
        // Of two forms the HTML is kept.
        ("harbour", &["Two forms"]),
        ("lighthouse", &[]),
        ("sent>=2026-11-01 AND subject:planets", &["Planets"]),
        ("received<2026-11-01", &[]),
    ] {
        let path = format!(
            "/me/messages?$select=subject&$search={}",
            encoded(&format!("\"{search}\""))
        );
        assert_eq!(subjects(&graph.all(&path).await.0), found, "{search}");
    }
    let gmail = crate::gmail_client::Gmail::new(&graph.emulator, crate::support::GMAIL);
    for (query, found) in [
        ("plan", 1),
        ("subject:plan", 1),
        ("to:archive", 1),
        ("cc:archive", 1),
        ("cc:reader", 0),
        ("to:reader -to:archive", 2),
        ("\"from:billing\"", 1),
        ("会议", 1),
        ("\"议室\"", 1),
        ("lighthouse", 1),
        ("harbour", 0),
    ] {
        assert_eq!(gmail.search(query).await.len(), found, "{query}");
    }
}

#[tokio::test]
async fn a_search_at_graph_gives_1000_messages_and_the_provider_gives_all() {
    let mut letters: Vec<String> = (0..1_100)
        .map(|number| letter(number, "A plan", "\r\nText"))
        .collect();
    letters.extend((1_100..1_110).map(|number| letter(number, "Other", "\r\nText")));
    let directory = written(&letters);
    let builder = crate::support::emulator()
        .quota(false)
        .mail(directory.path().to_owned());
    let graph = Graph::start(builder, PERSONAL).await;
    let search = encoded("\"subject:plan\"");
    let path = format!("/me/messages?$select=subject&$top=400&$search={search}");
    assert_eq!(graph.all(&path).await.0.len(), 1_000);

    let mailbox = crate::support::unpaced(&graph.emulator, crate::support::OUTLOOK);
    let page = PageRequest::first().with_size(400);
    let found = mailbox.messages_with(Query::Subject("plan".to_owned()), Detail::Headers, page);
    let found: Vec<_> = found.try_collect().await.unwrap();
    let mut ids: Vec<&str> = found
        .iter()
        .map(|message| message.message_id.as_deref().unwrap())
        .collect();
    assert_eq!(ids.len(), 1_100);
    assert!(
        found
            .windows(2)
            .all(|pair| pair[0].sent_at >= pair[1].sent_at),
        "newest first"
    );
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_100, "each message once");
}
