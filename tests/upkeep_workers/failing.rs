//! What becomes of watches that cannot be kept at once, or that nobody wants any more.

use postroom::credentials::AccountRecord;
use postroom::emulator::{Fault, FaultKind, Vendor};
use postroom::{Error, FolderId, SubscriptionId};

use super::*;

const TEN_SECONDS: Duration = Duration::from_secs(10);

fn no_subscription_goes_on() -> Fault {
    Fault::new(FaultKind::unavailable(None))
        .at(Vendor::Microsoft)
        .on(Method::PATCH, "/subscriptions")
        .times(u32::MAX)
}

impl Told {
    /// An upkeep that runs, of which the first syncs are over.
    async fn running(&mut self) -> (UpkeepHints, tokio::task::JoinHandle<()>) {
        let upkeep = self.accounts.upkeep(self.host.clone());
        let hints = upkeep.hints();
        let running = tokio::spawn(async move { upkeep.run().await });
        self.quiet().await;
        self.forward(&hints).await;
        self.pass(TEN_SECONDS, Duration::from_secs(2)).await;
        self.host.asked();
        (hints, running)
    }

    /// What the host keeps in an account's record itself.
    async fn edit(&self, id: &str, edit: impl FnOnce(&mut AccountRecord)) {
        let mut record = stored(self.store.as_ref(), &AccountId::new(id)).await;
        edit(&mut record);
        put(self.store.as_ref(), &record).await;
    }

    async fn watch_folder(&self, folder: &str) -> Watch {
        let mailbox = self.accounts.open(&AccountId::new("m")).await.unwrap();
        let target = WatchTarget::webhook(self.receiver.at("graph"));
        let target = target.with_folders([FolderId::new(folder)]);
        mailbox.watch(&target).await.unwrap()
    }
}

#[tokio::test]
async fn a_watch_beside_the_one_that_is_wanted_ends() {
    let told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    upkeep.attend(&AccountId::new("m")).await.unwrap();
    let wanted = told.watch("m").await;
    let mut other = told.watch_folder("inbox").await;
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 2);
    other.renew_at = Some(told.clock.now() - TimeDelta::days(1));
    told.edit("m", |record| record.subscriptions.push(other))
        .await;

    let attended = upkeep.attend(&AccountId::new("m")).await.unwrap();
    assert!(attended.next.unwrap() > told.clock.now());
    assert_eq!(told.watch("m").await.id, wanted.id);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 1);
}

#[tokio::test]
async fn gmails_watch_that_took_anothers_place_is_not_ended_with_it() {
    let mut told = Told::start().await;
    let upkeep = told.accounts.upkeep(told.host.clone());
    let id = AccountId::new("g");
    upkeep.attend(&id).await.unwrap();
    // The mailbox had another address then.
    told.edit("g", |record| {
        record.subscriptions[0].id = SubscriptionId::new("former@gmail.example");
    })
    .await;
    let elsewhere = told.emulator.create_topic("elsewhere");
    let endpoint = PushSubscription::new(told.receiver.at("google"));
    told.emulator.push_topic(&elsewhere, endpoint);
    *told.host.targets.lock().unwrap() = vec![WatchTarget::topic(elsewhere)];
    let attended = upkeep.attend(&id).await.unwrap();
    assert!(attended.failed.is_none(), "{:?}", attended.failed);
    told.forward(&upkeep.hints()).await;
    told.deliver(GMAIL);
    assert!(told.forward(&upkeep.hints()).await > 0);
}

#[tokio::test]
async fn a_renewal_that_the_service_asked_for_is_done_as_soon_as_it_can_be() {
    let mut told = Told::start().await;
    let (hints, running) = told.running().await;
    let before = told.watch("m").await;
    told.clock.advance(MINUTE);

    // The service fails for a while.
    told.emulator.fault(no_subscription_goes_on());
    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::ReauthorizationRequired);
    told.forward(&hints).await;
    told.pass(5 * MINUTE, TEN_SECONDS).await;
    assert_eq!(told.watch("m").await.expires_at, before.expires_at);
    told.emulator.clear_faults();
    told.pass(15 * MINUTE, MINUTE).await;
    assert!(told.watch("m").await.expires_at > before.expires_at);

    // The account rests, since the host failed.
    *told.host.fails.lock().unwrap() = Some(Error::new(ErrorKind::Unavailable, "the host fails"));
    hints.changed(&AccountId::new("m"));
    told.pass(TEN_SECONDS, Duration::from_secs(2)).await;
    told.host.fails.lock().unwrap().take();
    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::SubscriptionRemoved);
    told.forward(&hints).await;
    told.pass(TEN_SECONDS, Duration::from_secs(2)).await;
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 0);
    running.abort();
    let _ = running.await;
    // Also where it is another worker that sees to it then.
    let upkeep = told.accounts.upkeep(told.host.clone());
    let running = tokio::spawn(async move { upkeep.run().await });
    told.pass(3 * MINUTE, TEN_SECONDS).await;
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 1);
    running.abort();
}

#[tokio::test]
async fn while_somebody_else_syncs_a_watch_is_renewed_once() {
    let mut told = Told::start().await;
    let (hints, running) = told.running().await;
    let syncs = Error::new(ErrorKind::Conflict, "another process syncs this mailbox");
    *told.host.fails.lock().unwrap() = Some(syncs.with_code("sync_running"));
    told.emulator
        .lifecycle_event(OUTLOOK, LifecycleEvent::SubscriptionRemoved);
    told.forward(&hints).await;
    let before = told.calls(&Method::PATCH, "/subscriptions");
    told.pass(2 * MINUTE, Duration::from_secs(2)).await;
    assert_eq!(told.calls(&Method::PATCH, "/subscriptions"), before + 1);
    assert_eq!(told.emulator.subscriptions(OUTLOOK), 1);
    told.host.fails.lock().unwrap().take();
    told.host.asked();
    told.pass(2 * TEN_SECONDS, Duration::from_secs(2)).await;
    assert_eq!(told.asked("m"), [SyncReason::Missed]);
    running.abort();
}

#[tokio::test]
async fn an_account_whose_watch_cannot_be_renewed_is_polled_as_without_it() {
    let mut told = Told::start().await;
    let (_, running) = told.running().await;
    told.emulator.fault(no_subscription_goes_on());
    told.pass(25 * 60 * MINUTE, 30 * MINUTE).await;
    told.host.asked();
    told.pass(60 * MINUTE, MINUTE).await;
    assert!(told.asked("m").len() >= 9);
    running.abort();
}

#[tokio::test]
async fn a_watch_that_cannot_be_renewed_keeps_no_other_one_from_it() {
    let told = Told::start().await;
    told.host.targets.lock().unwrap().clear();
    let upkeep = told.accounts.upkeep(told.host.clone());
    upkeep.attend(&AccountId::new("m")).await.unwrap();
    let fails = told.watch_folder("sentitems").await;
    let goes_on = told.watch_folder("inbox").await;
    let watches = vec![fails.clone(), goes_on.clone()];
    told.edit("m", |record| record.subscriptions = watches)
        .await;
    told.clock.advance(25 * 60 * MINUTE);
    let path = format!("/subscriptions/{}", fails.id);
    let fault = Fault::new(FaultKind::forbidden()).on(Method::PATCH, path);
    told.emulator.fault(fault.times(u32::MAX));
    let attended = upkeep.attend(&AccountId::new("m")).await.unwrap();
    assert!(attended.failed.is_some());
    let record = stored(told.store.as_ref(), &AccountId::new("m")).await;
    let mut now = record.subscriptions.iter();
    let now = now.find(|watch| watch.id == goes_on.id).unwrap();
    assert!(now.expires_at > goes_on.expires_at);
}
