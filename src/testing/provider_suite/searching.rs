//! What a query means, on any service: the words, people and places that it names, and nothing else.

use std::collections::BTreeSet;

use super::{Mailbox, ProviderFixture, REPORT, all, all_ok, changes, inbox, plain};
use crate::error::ErrorKind;
use crate::model::{
    Address, Change, Detail, Exactness, FolderRole, Keyword, Message, NativeQuery, PageRequest,
    Query,
};

/// A letter: author, other recipient, subject, text and the name of a file.
type Letter = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

const LETTERS: [Letter; 7] = [
    (
        "billing@shop.example",
        "team@desk.example",
        "Plan",
        "The weekly numbers",
        None,
    ),
    (
        "x-billing@shop.example",
        "team@desk.example",
        "Planet",
        "About the plan-b",
        None,
    ),
    (
        "billing@shop.example.org",
        "support@desk.example",
        "Weekly report",
        "Numbers weekly",
        Some("plan.csv"),
    ),
    (
        "news@press.example",
        "team@desk.example",
        "billing shop",
        "from:billing@shop.example OR in:trash",
        None,
    ),
    (
        "support@desk.example",
        "billing@shop.example",
        "2026-11",
        "\"quoted\" (and) -not",
        None,
    ),
    (
        "team@desk.example",
        "news@press.example",
        "Re: Plan",
        "Planets, plans and planes",
        None,
    ),
    (
        "bureau@press.example",
        "team@desk.example",
        "C++",
        "会议室 is booked",
        None,
    ),
];

async fn deliver(fixture: &dyn ProviderFixture) {
    for (number, (from, cc, subject, text, file)) in LETTERS.into_iter().enumerate() {
        let head = format!(
            "From: {from}\r\nTo: reader@desk.example\r\nCc: {cc}\r\nSubject: {subject}\r\n\
             Date: Tue, 03 Nov 2026 10:{number:02}:00 +0000\r\nMessage-ID: <letter-{number}@shop.example>\r\n\
             MIME-Version: 1.0\r\n"
        );
        let text = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n");
        let raw = match file {
            None => format!("{head}{text}"),
            Some(file) => format!(
                "{head}Content-Type: multipart/mixed; boundary=parts\r\n\r\n--parts\r\n{text}--parts\r\n\
                 Content-Type: text/csv\r\nContent-Disposition: attachment; filename=\"{file}\"\r\n\r\na,b\r\n--parts--\r\n"
            ),
        };
        fixture.deliver(raw.as_bytes()).await;
    }
}

/// The numbers of the letters that a query finds; `None` if it is refused as unsupported.
async fn found(mailbox: &Mailbox, query: &Query) -> Option<BTreeSet<usize>> {
    let page = mailbox
        .page(query, Detail::Headers, PageRequest::first())
        .await;
    if let Err(error) = page {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{query}: {error}");
        return None;
    }
    let found = all(mailbox, query.clone(), Detail::Headers).await;
    let numbers: BTreeSet<usize> = found.iter().map(number).collect();
    assert_eq!(numbers.len(), found.len(), "{query}: each message once");
    Some(numbers)
}

fn number(message: &Message) -> usize {
    let id = message.message_id.as_deref().unwrap_or_default();
    let number = id.split(['-', '@']).nth(1).unwrap();
    number.parse().unwrap()
}

/// The queries that every provider must understand find the same messages everywhere.
pub async fn queries_mean_the_same_everywhere(fixture: &dyn ProviderFixture) {
    for number in 0..4 {
        fixture.deliver(&plain(number)).await;
    }
    fixture.deliver(REPORT).await;
    let mailbox = fixture.mailbox();
    let listed = inbox(&mailbox).await;
    let read = [listed[0].id.clone(), listed[1].id.clone()];
    let is_marked = changes(&mailbox, &read, &Change::Set(Keyword::Seen)).await;
    if is_marked {
        all_ok(mailbox.mark_read(&read).await);
        all_ok(mailbox.star(&[listed[2].id.clone()]).await);
    }
    let subjects = async |query: &str| {
        let mut found: Vec<String> = all(&mailbox, query.parse().unwrap(), Detail::Headers)
            .await
            .into_iter()
            .map(|message| message.subject.unwrap())
            .collect();
        found.sort();
        found
    };
    let report = "Ihre Rechnung für März";
    assert_eq!(subjects("from:billing@shop.example").await, [report]);
    let (read, starred): (&[&str], &[&str]) = match is_marked {
        true => (&[report, "Plain message 3"], &["Plain message 2"]),
        false => (&[], &[]),
    };
    assert_eq!(subjects("in:inbox is:read").await, read);
    assert_eq!(subjects("in:inbox is:unread is:starred").await, starred);
    assert_eq!(subjects("has:attachment").await, [report]);
    assert_eq!(subjects("Grüße").await, [report]);
    assert_eq!(subjects("nosuchwordanywhere").await, Vec::<String>::new());
    assert_eq!(subjects("before:2020-01-01").await, Vec::<String>::new());
}

/// Words are whole words in any case, one after the other; addresses are whole addresses; what looks like an operator
/// within a value is none.
pub async fn words_and_people_mean_the_same_everywhere(fixture: &dyn ProviderFixture) {
    deliver(fixture).await;
    let mailbox = fixture.mailbox();
    let value = |value: &str| value.to_owned();
    let cases: [(Query, &[usize]); 17] = [
        (Query::Word(value("plan")), &[0, 1, 2, 5]),
        (Query::Word(value("PLANET")), &[1]),
        (Query::Phrase(value("weekly numbers")), &[0]),
        (Query::Phrase(value("plan b")), &[1]),
        (Query::Word(value("议")), &[6]),
        (Query::Word(value("nosuchwordanywhere")), &[]),
        (Query::Subject(value("plan")), &[0, 5]),
        (Query::Subject(value("2026-11")), &[4]),
        (Query::Subject(value("c")), &[6]),
        (Query::From(value("billing@shop.example")), &[0]),
        (Query::From(value("Billing@SHOP.example")), &[0]),
        (Query::From(value("press")), &[3, 6]),
        (Query::Cc(value("billing@shop.example")), &[4]),
        (Query::To(value("reader")), &[0, 1, 2, 3, 4, 5, 6]),
        (Query::To(value("billing")), &[]),
        (Query::Phrase(value("from:billing@shop.example")), &[3]),
        (Query::Word(value("\"quoted\" (and) -not")), &[4]),
    ];
    for (query, numbers) in cases {
        let numbers: BTreeSet<usize> = numbers.iter().copied().collect();
        if let Some(found) = found(&mailbox, &query).await {
            assert_eq!(found, numbers, "{query}");
        }
        // What is excluded is just what would be found, if the service or the provider can say it at all.
        let rest = Query::inbox().and(query.negated());
        let others: BTreeSet<usize> = (0..LETTERS.len())
            .filter(|one| !numbers.contains(one))
            .collect();
        if let Some(found) = found(&mailbox, &rest).await {
            assert_eq!(found, others, "{rest}");
        }
    }
    for empty in [Query::Word(value("\"…\"")), Query::From(value(" "))] {
        let refused = mailbox
            .page(&empty, Detail::Ids, PageRequest::first())
            .await;
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::InvalidRequest,
            "{empty:?}"
        );
    }
}

/// Terms combine as they say, and a plan, where there is one, says what comes of it: what it calls unsupported is refused,
/// and everything else is found. Each message comes once however short the pages are.
pub async fn combined_terms_find_what_their_plan_says(fixture: &dyn ProviderFixture) {
    deliver(fixture).await;
    let mailbox = fixture.mailbox();
    let listed = inbox(&mailbox).await;
    let with = |wanted: &[usize]| -> Vec<_> {
        let chosen = listed
            .iter()
            .filter(|message| wanted.contains(&number(message)));
        chosen.map(|message| message.id.clone()).collect()
    };
    let read = with(&[0, 1, 2]);
    let is_marked = changes(&mailbox, &read, &Change::Set(Keyword::Seen)).await;
    if is_marked {
        all_ok(mailbox.mark_read(&read).await);
        all_ok(mailbox.star(&with(&[1, 4])).await);
    }
    let cases: [(&str, &[usize]); 12] = [
        ("is:unread is:starred", &[4]),
        ("is:starred OR is:unread", &[1, 3, 4, 5, 6]),
        ("plan is:read", &[0, 1, 2]),
        ("subject:plan OR is:starred", &[0, 1, 4, 5]),
        ("subject:plan -is:read", &[5]),
        ("in:inbox (plan OR is:starred)", &[0, 1, 2, 4, 5]),
        ("in:inbox -(plan OR from:press)", &[4]),
        ("has:attachment", &[2]),
        ("filename:csv weekly", &[2]),
        ("-has:attachment is:read", &[0, 1]),
        ("in:inbox from:billing@shop.example -subject:planet", &[0]),
        (
            "(from:billing@shop.example OR cc:billing@shop.example) (is:starred OR subject:plan)",
            &[0, 4],
        ),
    ];
    let plans = mailbox.capabilities().plan_queries;
    // What tells messages apart by their marks says nothing where there are none.
    let cases = cases
        .into_iter()
        .filter(|(text, _)| is_marked || !text.contains("is:"));
    for (text, numbers) in cases {
        let query: Query = text.parse().unwrap();
        let found = found(&mailbox, &query).await;
        if plans {
            let plan = mailbox.plan(&query).unwrap();
            let unsupported = matches!(plan.exactness, Exactness::Unsupported { .. });
            assert_eq!(unsupported, found.is_none(), "{query}: {plan}");
        }
        let Some(found) = found else { continue };
        assert_eq!(found, numbers.iter().copied().collect(), "{query}");
        let mut by_twos = Vec::new();
        let mut page = PageRequest::first().with_size(2);
        for _ in 0..100 {
            let found = mailbox.page(&query, Detail::Headers, page).await.unwrap();
            by_twos.extend(found.items.into_iter().map(|item| number(&item.unwrap())));
            match found.next {
                Some(next) => page = PageRequest::first().with_size(2).with_token(next),
                None => break,
            }
            page.size = Some(2);
        }
        let mut newest_first: Vec<usize> = numbers.to_vec();
        newest_first.reverse();
        assert_eq!(by_twos, newest_first, "{query}: in pages of two");
    }
    if !plans {
        let refused = mailbox.plan(&Query::All).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
    }
    let foreign = Query::Native(NativeQuery::new("no such language", "x"));
    let refused = mailbox
        .page(&foreign, Detail::Ids, PageRequest::first())
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
}

/// What lies in spam or trash is found only by a query that names the one that it lies in.
pub async fn spam_and_trash_are_searched_where_they_are_named(fixture: &dyn ProviderFixture) {
    deliver(fixture).await;
    let mailbox = fixture.mailbox();
    let listed = inbox(&mailbox).await;
    let with = |wanted: usize| {
        let found = listed.iter().find(|message| number(message) == wanted);
        [found.unwrap().id.clone()]
    };
    let junk = mailbox.folder(FolderRole::Junk).await.unwrap().id;
    if !changes(&mailbox, &with(0), &Change::Trash).await {
        return;
    }
    all_ok(mailbox.star(&[with(0), with(5), with(1)].concat()).await);
    all_ok(mailbox.trash(&with(0)).await);
    all_ok(mailbox.move_to(&with(5), &junk).await);
    let cases: [(&str, &[usize]); 8] = [
        ("subject:plan", &[]),
        ("is:starred", &[1]),
        ("in:trash", &[0]),
        ("in:junk subject:plan", &[5]),
        ("in:trash OR is:starred", &[0, 1]),
        ("is:starred (in:inbox OR in:junk)", &[1, 5]),
        ("is:starred -in:trash", &[1]),
        ("is:starred -(-in:trash -in:junk)", &[0, 5]),
    ];
    for (text, numbers) in cases {
        let query: Query = text.parse().unwrap();
        if let Some(found) = found(&mailbox, &query).await {
            assert_eq!(found, numbers.iter().copied().collect(), "{query}");
        }
    }
}

/// A whole message matches the queries that find it, and no others: a host can filter what it has as the service does.
pub async fn what_is_found_matches_here_too(fixture: &dyn ProviderFixture) {
    deliver(fixture).await;
    let mailbox = fixture.mailbox();
    let folders = mailbox.folders().await.unwrap();
    let mut messages = Vec::new();
    for message in inbox(&mailbox).await {
        messages.push(mailbox.message(&message.id).await.unwrap());
    }
    assert_eq!(messages.len(), LETTERS.len());
    let sender = Address::new("billing@shop.example").unwrap();
    for query in [
        Query::inbox(),
        Query::Word("plan".to_owned()),
        Query::Phrase("weekly numbers".to_owned()),
        Query::From(sender.address().to_owned()),
        Query::Subject("plan".to_owned()),
        Query::HasAttachment,
        Query::Has(Keyword::Seen),
    ] {
        let Some(found) = found(&mailbox, &query).await else {
            continue;
        };
        for message in &messages {
            let matches = query.matches(message, &folders);
            assert_eq!(matches, Some(found.contains(&number(message))), "{query}");
        }
    }
}
