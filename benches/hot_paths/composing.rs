//! Preparing a message with an attachment of 25 MB: composing it and streaming all of it to the service. The service makes
//! a draft of it at once.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postroom::{Content, Outgoing, OutgoingAttachment, SendKey};
use postroom_benches::Scripted;
use tokio::runtime::Runtime;

const LENGTH: usize = 25_000_000;

fn composing(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let gmail = Scripted::draining(|_, _| {
        let draft = r#"{"id":"r1","message":{"id":"1a","threadId":"1a"}}"#;
        ("application/json", Bytes::from_static(draft.as_bytes()))
    })
    .gmail();
    let bytes: Vec<u8> = (0..LENGTH).map(|index| (index * 31 % 251) as u8).collect();
    let file = Content::from_bytes(bytes);
    let outgoing = Outgoing::new()
        .to("reader@outlook.example".parse().expect("an address"))
        .subject("Drawings")
        .text("They are attached.")
        .attach(OutgoingAttachment::new(
            "drawings.zip",
            "application/zip",
            file,
        ));
    let key = SendKey::new("bench");

    let mut group = criterion.benchmark_group("composing");
    group
        .throughput(Throughput::Bytes(LENGTH as u64))
        .sample_size(20);
    group.bench_function("25 MB for Gmail", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async { gmail.prepare(&outgoing, &key).await.expect("a draft") });
    });
    group.finish();
}

criterion_group!(benches, composing);
criterion_main!(benches);
