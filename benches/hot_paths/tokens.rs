//! 1,000 callers who wait for one token that has ended: they all get the one that a single refresh gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use postroom::credentials::{
    AccountRecord, MemoryStore, RecordKey, Refresh, Refreshed, Save, Service, StoredTokens,
    TokenSource,
};
use postroom::{AccountId, Secret};
use tokio::runtime::Runtime;

const WAITERS: usize = 1_000;

#[derive(Debug, Default)]
struct Counted(AtomicUsize);

#[async_trait]
impl Refresh for Counted {
    async fn refresh(&self, _account: &AccountRecord) -> postroom::Result<Refreshed> {
        self.0.fetch_add(1, Ordering::Relaxed);
        // As long as it takes for everyone to be waiting, and no longer.
        tokio::task::yield_now().await;
        Ok(Refreshed::new(Secret::new("new token"), None))
    }
}

async fn tokens() -> (Arc<Counted>, StoredTokens) {
    let store = Arc::new(MemoryStore::new());
    let key = RecordKey::account(AccountId::new("user 7"));
    let mut record = AccountRecord::new("user 7", "google", Service::Google);
    record.credential.refresh_token = Some(Secret::new("refresh token"));
    let saved = record.save(store.as_ref(), &key, Save::IfAbsent).await;
    saved.expect("memory takes it");
    let refresh = Arc::new(Counted::default());
    let tokens = StoredTokens::new(store, key, refresh.clone()).expect("random numbers");
    (refresh, tokens)
}

fn waiting(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("tokens");
    group
        .throughput(Throughput::Elements(WAITERS as u64))
        .sample_size(20);
    group.bench_function("1,000 waiters", |bencher| {
        bencher.to_async(&runtime).iter_batched(
            || tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(tokens())),
            |(refresh, tokens)| async move {
                let waiters = (0..WAITERS).map(|_| tokens.token());
                let got = join_all(waiters).await;
                assert!(got.iter().all(Result::is_ok));
                assert_eq!(refresh.0.load(Ordering::Relaxed), 1);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, waiting);
criterion_main!(benches);
