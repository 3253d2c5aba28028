//! A program that signs in with yup-oauth2 and makes with google-gmail1 the calls that postroom makes at Gmail. The crate's
//! calls are generic over the connection, and so are compiled only where they are made: here.

use std::error::Error;
use std::io::Cursor;

use google_gmail1::api::{
    BatchDeleteMessagesRequest, BatchModifyMessagesRequest, Draft, Filter, Label, Message,
    ModifyThreadRequest, VacationSettings, WatchRequest,
};
use google_gmail1::{Gmail, hyper_rustls, hyper_util, yup_oauth2};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use yup_oauth2::{ApplicationSecret, InstalledFlowAuthenticator, InstalledFlowReturnMethod};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = ApplicationSecret::default();
    let redirect = InstalledFlowReturnMethod::HTTPRedirect;
    let authenticator = InstalledFlowAuthenticator::builder(secret, redirect)
        .persist_tokens_to_disk("tokens")
        .build()
        .await?;
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()?
        .https_or_http()
        .enable_http2()
        .build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let hub = Gmail::new(client, authenticator);
    let users = hub.users();
    let mail = || (Cursor::new(Vec::new()), "message/rfc822".parse());

    let (_, profile) = users.get_profile("me").doit().await?;
    let (_, list) = users.messages_list("me").q("is:unread").doit().await?;
    let (_, message) = users.messages_get("me", "id").format("full").doit().await?;
    let (_, attachment) = users
        .messages_attachments_get("me", "id", "id")
        .doit()
        .await?;
    let (_, threads) = users.threads_list("me").doit().await?;
    let (_, thread) = users.threads_get("me", "id").doit().await?;
    println!("{profile:?} {list:?} {message:?} {attachment:?} {threads:?} {thread:?}");

    let change = BatchModifyMessagesRequest::default();
    users.messages_batch_modify(change, "me").doit().await?;
    users.messages_trash("me", "id").doit().await?;
    users.messages_untrash("me", "id").doit().await?;
    users.messages_delete("me", "id").doit().await?;
    let deletion = BatchDeleteMessagesRequest::default();
    users.messages_batch_delete(deletion, "me").doit().await?;
    let change = ModifyThreadRequest::default();
    users.threads_modify(change, "me", "id").doit().await?;
    users.threads_trash("me", "id").doit().await?;
    users.threads_untrash("me", "id").doit().await?;
    users.threads_delete("me", "id").doit().await?;

    let (text, kind) = mail();
    let message = Message::default();
    users
        .messages_send(message, "me")
        .upload_resumable(text, kind?)
        .await?;
    let (text, kind) = mail();
    let message = Message::default();
    users
        .messages_import(message, "me")
        .upload_resumable(text, kind?)
        .await?;
    let (text, kind) = mail();
    let draft = Draft::default();
    users
        .drafts_create(draft, "me")
        .upload_resumable(text, kind?)
        .await?;
    let (text, kind) = mail();
    let draft = Draft::default();
    users
        .drafts_update(draft, "me", "id")
        .upload_resumable(text, kind?)
        .await?;
    let (text, kind) = mail();
    let draft = Draft::default();
    users.drafts_send(draft, "me").upload(text, kind?).await?;
    let (_, drafts) = users.drafts_list("me").doit().await?;
    let (_, draft) = users.drafts_get("me", "id").doit().await?;
    users.drafts_delete("me", "id").doit().await?;
    println!("{drafts:?} {draft:?}");

    let (_, labels) = users.labels_list("me").doit().await?;
    let (_, label) = users.labels_get("me", "id").doit().await?;
    users.labels_create(Label::default(), "me").doit().await?;
    users
        .labels_patch(Label::default(), "me", "id")
        .doit()
        .await?;
    users.labels_delete("me", "id").doit().await?;
    println!("{labels:?} {label:?}");

    let (_, identities) = users.settings_send_as_list("me").doit().await?;
    let (_, vacation) = users.settings_get_vacation("me").doit().await?;
    let settings = VacationSettings::default();
    users
        .settings_update_vacation(settings, "me")
        .doit()
        .await?;
    let (_, filters) = users.settings_filters_list("me").doit().await?;
    users
        .settings_filters_create(Filter::default(), "me")
        .doit()
        .await?;
    users.settings_filters_delete("me", "id").doit().await?;
    println!("{identities:?} {vacation:?} {filters:?}");

    let (_, history) = users.history_list("me").start_history_id(1).doit().await?;
    let (_, watch) = users.watch(WatchRequest::default(), "me").doit().await?;
    users.stop("me").doit().await?;
    println!("{history:?} {watch:?}");
    Ok(())
}
