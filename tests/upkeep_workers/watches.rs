//! Watches are set up and kept at both services, and what they tell leads to a sync.

#[path = "failing.rs"]
mod failing;

use super::*;

/// Both services telling a server of the host's, and time that a test moves.
struct Told {
    emulator: Emulator,
    clock: VirtualClock,
    accounts: Accounts,
    store: Arc<dyn CredentialStore>,
    receiver: Receiver,
    pub_sub: PubSubEndpoint,
    host: Arc<Host>,
    topic: String,
}

const CONFIGURATIONS: [(&str, &str, &str); 2] =
    [("google", GMAIL, "g"), ("microsoft", OUTLOOK, "m")];

impl Told {
    async fn start() -> Self {
        let clock = VirtualClock::by_hand(Utc::now());
        let emulator = emulator().quota(false).clock(Arc::new(clock.clone()));
        let emulator = emulator.start().await.unwrap();
        let store: Arc<dyn CredentialStore> =
            Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        let accounts = worker(&emulator, &store, &clock);
        let outlook = microsoft(&emulator).with_regime(Regime::Off);
        accounts.configure("microsoft", outlook).unwrap();
        for (configuration, address, id) in CONFIGURATIONS {
            connect(&accounts, &emulator, configuration, address, id)
                .await
                .unwrap();
        }
        let receiver = Receiver::start().await;
        let topic = emulator.create_topic("mail");
        emulator.push_topic(&topic, PushSubscription::new(receiver.at("google")));
        let pub_sub = PubSubEndpoint::with(
            receiver.at("google"),
            emulator.push_service_account(),
            Endpoints::google_at(&emulator.google().base_url).unwrap(),
            transport(&emulator),
            Arc::new(clock.clone()),
        );
        let host = Host::new(&clock);
        let graph = WatchTarget::webhook(receiver.at("graph"));
        *host.targets.lock().unwrap() = vec![
            WatchTarget::topic(topic.clone()),
            graph.with_lifecycle_url(receiver.at("graph")),
        ];
        Self {
            emulator,
            clock,
            accounts,
            store,
            receiver,
            pub_sub: pub_sub.unwrap(),
            host,
            topic,
        }
    }

    /// Gives what came to the upkeep, as a host's server does.
    async fn forward(&mut self, hints: &UpkeepHints) -> usize {
        self.emulator.until_notified().await;
        let mut told = 0;
        for posted in self.receiver.told() {
            if posted.path == "/google" {
                let read = self.pub_sub.receive(&posted.headers, &posted.body);
                match read.await {
                    Ok(notification) => hints.notified(&notification),
                    // The test let hours pass before it looked.
                    Err(late) => assert_eq!(late.reason(), Reason::Expired),
                }
                told += 1;
            } else {
                let read = GraphPost::read(posted.query.as_deref(), &posted.body);
                let GraphPost::Notifications(items) = read.unwrap() else {
                    panic!("not asked for: {posted:?}");
                };
                for item in items {
                    hints.told(&item).unwrap();
                    told += 1;
                }
            }
        }
        told
    }

    /// Lets everybody do what can be done now, over real connections.
    async fn quiet(&self) {
        loop {
            let before = self.emulator.requests().len();
            for _ in 0..20 {
                settle().await;
            }
            if self.emulator.requests().len() == before {
                return;
            }
        }
    }

    async fn pass(&self, time: Duration, step: Duration) {
        let end = self.clock.monotonic() + time;
        self.quiet().await;
        while self.clock.monotonic() < end {
            self.clock.advance(step);
            self.quiet().await;
        }
    }

    async fn watch(&self, id: &str) -> Watch {
        let record = stored(self.store.as_ref(), &AccountId::new(id)).await;
        assert_eq!(record.subscriptions.len(), 1, "{:?}", record.upkeep);
        record.subscriptions[0].clone()
    }

    fn asked(&self, id: &str) -> Vec<SyncReason> {
        let asked = self.host.asked().into_iter();
        asked
            .filter(|asked| asked.account.as_str() == id)
            .map(|asked| asked.reason)
            .collect()
    }

    fn deliver(&self, address: &str) {
        let mail = b"From: billing@shop.example\r\nSubject: New\r\n\r\nText\r\n";
        self.emulator.deliver(address, mail);
    }

    fn calls(&self, method: &Method, path: &str) -> usize {
        let requests = self.emulator.requests().into_iter();
        requests
            .filter(|request| request.method == method.as_str() && request.path.contains(path))
            .count()
    }
}

#[tokio::test]
async fn accounts_are_watched_and_synced_when_something_is_told() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let hints = upkeep.hints();
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    let first = told.host.asked();
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|asked| asked.reason == SyncReason::First));
    // Gmail tells at once that it watches.
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    told.host.asked();

    for (_, address, id) in CONFIGURATIONS {
        let before = told.watch(id).await;
        told.deliver(address);
        assert!(told.forward(&hints).await > 0, "{id}");
        told.pass(Duration::from_secs(10), Duration::from_secs(2))
            .await;
        assert_eq!(told.asked(id), [SyncReason::Told], "{id}");

        // Renewed well before its end, and polled now and then all the same.
        told.pass(25 * 60 * MINUTE, 30 * MINUTE).await;
        let after = told.watch(id).await;
        assert_eq!(after.id, before.id);
        assert_eq!(after.began_at, before.began_at);
        assert!(after.expires_at.unwrap() > before.expires_at.unwrap());
        let polls = told.asked(id);
        assert!((12..=26).contains(&polls.len()), "{id}: {polls:?}");
        assert!(!polls.contains(&SyncReason::Missed), "no gap");
        told.forward(&hints).await;
        told.pass(Duration::from_secs(10), Duration::from_secs(2))
            .await;
        told.host.asked();
    }
    running.abort();
}

/// A host with copies of its own, which all of its workers share.
struct Copies(BTreeMap<String, Arc<Mirror>>);

#[async_trait]
impl UpkeepHost for Copies {
    async fn sync(
        &self,
        account: &Account,
        mailbox: Mailbox,
        reason: SyncReason,
    ) -> postroom::Result<Synced> {
        let mirror = &self.0[account.id.as_str()];
        let (cursor, known) = (mirror.cursor(), mirror.clone());
        let mut pages = match reason {
            SyncReason::Audit => mailbox.sync_audited(cursor, Scope::everything(), known),
            _ => mailbox.sync(cursor, Scope::everything(), known),
        };
        let mut synced = Synced::Unchanged;
        while let Some(page) = pages.next().await {
            let page = page?;
            if !page.changes.is_empty() {
                synced = Synced::Changed;
            }
            assert!(mirror.store(&page), "one sync at a time");
        }
        Ok(synced)
    }
}

#[tokio::test]
async fn copies_stay_in_step_on_two_workers_of_which_one_dies() {
    let told = Told::start().await;
    let mirrors = CONFIGURATIONS.map(|(_, _, id)| (id.to_owned(), Mirror::new()));
    let copies = Arc::new(Copies(mirrors.into()));
    let there = worker(&told.emulator, &told.store, &told.clock);
    let outlook = microsoft(&told.emulator).with_regime(Regime::Off);
    there.configure("microsoft", outlook).unwrap();
    for number in 0..130 {
        told.deliver(CONFIGURATIONS[number % 2].1);
    }
    let start = |accounts: &Accounts| {
        let upkeep = accounts.upkeep(copies.clone());
        tokio::spawn(async move { upkeep.run().await })
    };
    let workers = [start(&told.accounts), start(&there)];
    // It dies somewhere within the first sync.
    while told.emulator.requests().len() < 12 {
        settle().await;
    }
    workers[0].abort();
    told.pass(12 * MINUTE, MINUTE).await;
    let hidden = hidden_folders(&there.open(&AccountId::new("m")).await.unwrap()).await;
    let scope = Scope::everything();
    for _ in 0..2 {
        let gmail = gmail_truth(&told.emulator, GMAIL, &scope);
        assert_eq!(copies.0["g"].messages(), gmail);
        let outlook = outlook_truth(&told.emulator, OUTLOOK, &scope, &hidden);
        assert_eq!(copies.0["m"].messages(), outlook);
        told.deliver(GMAIL);
        told.deliver(OUTLOOK);
        told.pass(7 * MINUTE, MINUTE).await;
    }
    workers[1].abort();
}

#[tokio::test]
async fn a_watch_that_the_service_ended_is_made_anew_and_its_gap_synced() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let hints = upkeep.hints();
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    told.host.asked();
    let before = told.watch("m").await;

    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::ReauthorizationRequired);
    told.forward(&hints).await;
    told.clock.advance(MINUTE);
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    assert_eq!(told.asked("m"), [], "nothing was missed");
    let prolonged = told.watch("m").await;
    assert_eq!(prolonged.id, before.id);
    assert!(prolonged.expires_at > before.expires_at);

    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::SubscriptionRemoved);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 0);
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    assert_eq!(told.asked("m"), [SyncReason::Missed]);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 1);
    assert_ne!(told.watch("m").await.id, before.id);

    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::Missed);
    told.forward(&hints).await;
    told.pass(Duration::from_secs(10), Duration::from_secs(2))
        .await;
    assert_eq!(told.asked("m"), [SyncReason::Missed]);

    // Nobody runs for longer than watches last.
    running.abort();
    let _ = running.await;
    told.clock.advance(8 * 24 * 60 * MINUTE);
    let upkeep = told.accounts.upkeep(told.host.clone());
    let running = tokio::spawn(async move { upkeep.run().await });
    told.pass(3 * MINUTE, MINUTE).await;
    for (_, _, id) in CONFIGURATIONS {
        let watch = told.watch(id).await;
        assert!(watch.expires_at.unwrap() > told.clock.now(), "{id}");
    }
    let reasons: Vec<SyncReason> = told.host.reasons();
    // It was time for an audit as well, which finds more.
    assert!(
        reasons.len() >= 2 && !reasons.contains(&SyncReason::Poll),
        "{reasons:?}"
    );
    running.abort();
}

#[tokio::test]
async fn another_target_takes_the_place_of_a_watch_that_is_there_until_then() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    upkeep.attend(&AccountId::new("m")).await.unwrap();
    upkeep.attend(&AccountId::new("g")).await.unwrap();
    let before = told.watch("m").await;
    let elsewhere = told.emulator.create_topic("elsewhere");
    assert_ne!(elsewhere, told.topic);
    *told.host.targets.lock().unwrap() = vec![
        WatchTarget::topic(elsewhere.clone()),
        WatchTarget::webhook(told.receiver.at("elsewhere")),
    ];
    for id in ["m", "g"] {
        let attended = upkeep.attend(&AccountId::new(id)).await.unwrap();
        let did = [DueWork::Watch, DueWork::Sync(SyncReason::Missed)];
        assert_eq!(attended.done, did, "{id}: {:?}", attended.failed);
    }
    assert_ne!(told.watch("m").await.id, before.id);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 1);
    let place = told.watch("g").await.target.unwrap().place;
    assert_eq!(place, WatchTarget::topic(elsewhere).place);
    told.receiver.all();
    told.deliver(OUTLOOK);
    told.emulator.until_notified().await;
    let posted = told.receiver.told();
    assert!(posted.iter().all(|posted| posted.path == "/elsewhere"));
    assert_eq!(posted.len(), 1);

    // One that cannot be set up keeps no sync from being done.
    *told.host.targets.lock().unwrap() = vec![WatchTarget::topic("projects/p/topics/none")];
    let mut events = told.accounts.events();
    let attended = upkeep.attend(&AccountId::new("g")).await.unwrap();
    assert_eq!(attended.failed.unwrap().kind(), ErrorKind::Configuration);
    let failing = events.next().await.unwrap();
    assert!(
        matches!(
            failing,
            AccountEvent::UpkeepFailing {
                work: DueWork::Watch,
                ..
            }
        ),
        "{failing:?}"
    );
    told.clock.advance(67 * MINUTE);
    let attended = upkeep.attend(&AccountId::new("g")).await.unwrap();
    assert_eq!(attended.done, [DueWork::Sync(SyncReason::Poll)]);
}

#[tokio::test]
async fn an_account_that_goes_ends_its_watch_unless_another_one_needs_it() {
    let told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    for (_, _, id) in CONFIGURATIONS {
        upkeep.attend(&AccountId::new(id)).await.unwrap();
    }
    // The same mailboxes again, for somebody who may share them.
    let sharing = with_accounts::builder(&told.emulator, told.store.clone())
        .clock(Arc::new(told.clock.clone()))
        .share_mailboxes(true)
        .build()
        .unwrap();
    for (configuration, address, id) in CONFIGURATIONS {
        let id = format!("{id} again");
        connect(&sharing, &told.emulator, configuration, address, &id)
            .await
            .unwrap();
    }
    for id in ["g", "m"] {
        sharing.disconnect(&AccountId::new(id)).await.unwrap();
    }
    assert_eq!(told.calls(&Method::POST, "/stop"), 0, "the other needs it");
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 0);

    let upkeep = sharing.upkeep(told.host.clone());
    for id in ["g again", "m again"] {
        let id = AccountId::new(id);
        upkeep.attend(&id).await.unwrap();
        let is_outlook = id.as_str().starts_with('m');
        assert_eq!(
            told.emulator.subscriptions(OUTLOOK),
            usize::from(is_outlook)
        );
        sharing.disconnect(&id).await.unwrap();
    }
    assert_eq!(told.calls(&Method::POST, "/stop"), 1);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 0);
}

#[tokio::test]
async fn a_watch_that_tells_nothing_is_noticed_and_polls_come_as_without_it() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let hints = upkeep.hints();
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    told.emulator
        .notification_faults(NotificationFaults::default().losing(1.0));
    // Each poll finds something that nobody had told.
    *told.host.synced.lock().unwrap() = Synced::Changed;
    let mut events = told.accounts.events();
    for _ in 0..6 {
        told.pass(90 * MINUTE, 10 * MINUTE).await;
        // What the host tells itself is no sign of the watch.
        hints.changed(&AccountId::new("g"));
        hints.missed(&AccountId::new("m"));
    }
    let mut silent = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        if let AccountEvent::WatchSilent { account, .. } = event {
            silent.push(account.to_string());
        }
    }
    silent.sort();
    assert_eq!(silent, ["g", "m"]);
    told.host.asked();
    told.pass(60 * MINUTE, MINUTE).await;
    assert!(told.asked("g").len() >= 9);

    // As soon as something is told again, they are seldom.
    told.receiver.all();
    told.emulator
        .notification_faults(NotificationFaults::default());
    running.abort();
    let _ = running.await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let hints = upkeep.hints();
    let running = tokio::spawn(async move { upkeep.run().await });
    told.quiet().await;
    told.deliver(GMAIL);
    told.deliver(OUTLOOK);
    assert!(told.forward(&hints).await >= 2);
    told.pass(3 * MINUTE, MINUTE).await;
    told.host.asked();
    told.pass(50 * MINUTE, MINUTE).await;
    assert_eq!(told.host.asked(), []);
    running.abort();
}
