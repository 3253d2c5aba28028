//! A program that signs in and does with postroom what `google_gmail1.rs` does with its peer, on both services.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use postroom::credentials::FileStore;
use postroom::oauth::SignInOptions;
use postroom::{
    AccountId, Accounts, Change, Detail, ImportOptions, Known, KnownMessage, Mailbox, MessageId,
    Outgoing, PageRequest, ProviderConfiguration, Query, Scope, Secret, SendKey, WatchTarget,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let google = ProviderConfiguration::google("id").with_client_secret(Secret::new("secret"));
    let microsoft = ProviderConfiguration::microsoft("id");
    let accounts = Accounts::builder(Arc::new(FileStore::new("accounts")))
        .configuration("google", google)
        .configuration("microsoft", microsoft)
        .build()?;
    for service in ["google", "microsoft"] {
        let account = AccountId::new(service);
        let options = SignInOptions::new().redirect_uri("https://app.example/callback");
        let connecting = accounts.connect(&account, service, options).await?;
        let callback = "https://app.example/callback?code=…".parse()?;
        accounts.complete(connecting.pending, &callback).await?;
        everything(&accounts.open(&account).await?).await?;
    }
    Ok(())
}

async fn everything(mailbox: &Mailbox) -> Result<(), Box<dyn Error>> {
    let ids = [MessageId::new("id")];
    println!(
        "{:?} {:?}",
        mailbox.profile().await?,
        mailbox.folders().await?
    );
    let mut unread = mailbox.messages(Query::unread());
    while let Some(message) = unread.try_next().await? {
        println!("{message:?}");
        for attachment in &message.attachments {
            let content = mailbox.attachment(&message.id, &attachment.id).await?;
            println!(
                "{:?}",
                content
                    .map_ok(|chunk| chunk.len())
                    .try_collect::<Vec<_>>()
                    .await?
            );
        }
    }
    let mut threads = mailbox.threads(Query::inbox());
    while let Some(thread) = threads.try_next().await? {
        let changed = mailbox
            .apply_to_threads(&[thread.id], &Change::Archive)
            .await?;
        println!("{changed:?}");
    }
    for change in [Change::Trash, Change::Restore] {
        mailbox.apply(&ids, &change).await?;
    }
    mailbox.delete(&ids).await?;

    let outgoing = Outgoing::new().to("reader@shop.example".parse()?).text("…");
    mailbox.send_once(&SendKey::new("key"), &outgoing).await?;
    mailbox
        .import(Vec::from("Subject: …\r\n\r\n…"), &ImportOptions::default())
        .await?;
    let drafts = mailbox.drafts()?;
    let draft = drafts.create(&outgoing).await?;
    println!(
        "{:?}",
        drafts.list(Detail::Headers, PageRequest::default()).await?
    );
    drafts.discard(&draft.id).await?;

    let folder = mailbox.create_folder("Invoices", None).await?;
    mailbox.rename_folder(&folder.id, "Bills").await?;
    mailbox.delete_folder(&folder.id).await?;
    println!("{:?}", mailbox.identities()?.list().await?);
    println!("{:?}", mailbox.automatic_replies()?.get().await?);
    println!("{:?}", mailbox.rules()?.list().await?);

    let mut pages = mailbox.sync(None, Scope::default(), Arc::new(Nothing));
    while let Some(page) = pages.try_next().await? {
        println!("{page:?}");
    }
    let watch = mailbox
        .watch(&WatchTarget::topic("projects/…/topics/…"))
        .await?;
    mailbox.unwatch(&watch).await?;
    Ok(())
}

/// The host has no copy yet.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Known for Nothing {
    async fn page(&self, _: Option<&MessageId>, _: usize) -> postroom::Result<Vec<KnownMessage>> {
        Ok(Vec::new())
    }
}
