//! Connect your users' **Gmail** and **Outlook** mailboxes, and work with them as one thing: sign in with OAuth, keep and
//! renew tokens, read, organise, search and send mail, through the services' own APIs.
//!
//! # A host's five steps
//!
//! 1. An administrator registers the application with Google or Microsoft and enters client id and secret:
//!    [`ProviderConfiguration`].
//! 2. [`Accounts::connect`] gives the address that a user's browser visits to sign in, and what to keep in that user's
//!    session meanwhile. It asks for [`Access::default`] unless told otherwise, and names a redirect address that must be
//!    the registered one, character by character.
//! 3. [`Accounts::complete`] takes the address that the browser came back to, checks it, and keeps the account in a
//!    [`CredentialStore`](credentials::CredentialStore).
//! 4. [`Accounts::open`] gives a [`Mailbox`], which renews its tokens by itself.
//! 5. [`Mailbox`] reads, organises, searches and sends, the same on both services.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use futures_util::TryStreamExt;
//! use postroom::credentials::FileStore;
//! use postroom::oauth::SignInOptions;
//! use postroom::{AccountId, Accounts, Outgoing, ProviderConfiguration, Query, Secret};
//!
//! # async fn example(callback: url::Url) -> Result<(), Box<dyn std::error::Error>> {
//! let google = ProviderConfiguration::google("client-id")
//!     .with_client_secret(Secret::new("client-secret"))
//!     .with_redirect_uri("https://app.example/callback");
//! let accounts = Accounts::builder(Arc::new(FileStore::new("accounts")))
//!     .configuration("google", google)
//!     .build()?;
//!
//! let account = AccountId::new("user 7");
//! let connecting = accounts.connect(&account, "google", SignInOptions::new()).await?;
//! // … the user's browser visits connecting.url and comes back to the callback …
//! accounts.complete(connecting.pending, &callback).await?;
//!
//! let mailbox = accounts.open(&account).await?;
//! let newest = mailbox.messages(Query::inbox()).try_next().await?;
//! mailbox.send(&Outgoing::new().to("support@desk.example".parse()?).text("Hello")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! No account at hand? `cargo run --example quickstart` does all of this against the `emulator`.
//!
//! # What to read next
//!
//! Connecting:
//!
//! * [`guides`]: registering an application with both services, and what their errors mean.
//! * [`Accounts`]: many mailboxes over one store, for one host or many tenants; [`AccountStatus`] says whether each can be
//!   used, [`AccountEvent`] what happens to it.
//! * [`credentials`]: keeping tokens, and how to keep them in a store of your own.
//! * [`oauth`]: signing in without [`Accounts`].
//!
//! Working with mail:
//!
//! * [`Mailbox`]: everything that can be done with mail; [`Message`], [`Folder`], [`Query`], [`Change`], [`Outgoing`].
//! * [`Capabilities`]: what a mailbox can do; `Gmail` and `Outlook` say what is particular to each.
//! * [`Mailbox::plan`]: what becomes of a query at a service, before it is asked.
//! * [`Thread`]: conversations. [`merged()`]: several mailboxes as one stream.
//! * [`Mailbox::sync`] and [`Mailbox::watch`]: staying in step; [`push`]: being told when there is something to sync.
//! * [`facts`]: what a message is, beside its text: an answer, a newsletter that can be left, an invitation, a bounce.
//! * [`view`]: showing a message: its quotations folded away, its HTML made safe, its text unwrapped.
//! * [`reply`]: answering and forwarding, with [`Mailbox::reply`] and [`Mailbox::forward`].
//! * [`FolderEdit`], [`Rules`], [`AutomaticReplies`], [`Categories`]: folders, and the settings that keep mail in order.
//! * [`Mailbox::send_once`] and [`SendJournal`]: sending once, whatever happens meanwhile. [`Mailbox::send_many`]: a personal
//!   message to each of many.
//!
//! Running it:
//!
//! * [`Accounts::upkeep`]: the one future that polls and audits all accounts and keeps their grants alive, on many workers.
//! * [`Error`] and [`ErrorKind`]: what went wrong, for the one who must act; [`Error::delivery`] before repeating a send.
//! * [`http`]: limits, retries, what can be seen of requests, and how to bring your own HTTP client.
//! * `emulator` and `testing` (features of these names): both services on 127.0.0.1, and suites for what you write yourself.
//!
//! # Adding a provider
//!
//! [`MailProvider`] is the contract behind [`Mailbox`]: a small trait, bulk in and page out. Implement it, give it to
//! [`Mailbox::new`], and hold it to the same promises as Gmail and Outlook with `mail_provider_tests!` (feature
//! `testing`). Build [`Message`] and its kin with their `new` and set what is known; build errors with [`Error::new`];
//! answer [`Error::unsupported`] for what cannot be done, and say so in [`Capabilities`].
//!
//! # How it is built
//!
//! The source tree is the architecture. `gmail/` and `outlook/` are mirrors, file for file, and know nothing of each other;
//! both speak the plain data of `model/`, send every request through the one loop in `http/`, and are named together only
//! in `accounts/`, which also sees to all accounts (`accounts/upkeep/`). `sync/` is what syncs and audits of either have in
//! common, and `push/` understands what the services post to a host. `facts/`, `view/` and `reply/` compute from messages
//! and ask no service. `credentials/` keeps tokens and knows no mail; `oauth/` obtains them and knows no mail either. The
//! emulator shares no code with the providers, so that it cannot repeat their mistakes. A test holds all this.
//!
//! # Features
//!
//! | Feature | Default | What it adds |
//! |---|---|---|
//! | `gmail` | yes | the Gmail provider (`Gmail`) and Google's sign-in |
//! | `outlook` | yes | the Outlook provider (`Outlook`) and Microsoft's sign-in |
//! | `reqwest` | yes | the HTTP client: reqwest over rustls with ring; without it, bring a [`Transport`](http::Transport) |
//! | `loopback` | | a receiver for the redirect that ends a sign-in, for desktop and command-line programs |
//! | `sqlite`, `postgres`, `keyring` | | credentials in SQLite, in PostgreSQL, in the operating system's keyring; sends in the first two |
//! | `encryption` | | credentials and tickets encrypted in any store or journal |
//! | `app-only` | | access without users: Google service accounts, Microsoft applications |
//! | `html` | | HTML made safe to show, and HTML as text |
//! | `metrics` | | counters and histograms of requests, units, waits and retries, through the `metrics` facade |
//! | `emulator` | | Google and Microsoft on 127.0.0.1 |
//! | `testing` | | conformance suites for your own providers and stores, and a clock that tests control |
//!
//! The crate needs a tokio runtime. Times are UTC; durations are measured on a monotonic clock; both come from an injected
//! [`Clock`](clock::Clock). It logs through `tracing`, never anything of a token or of mail.

mod accounts;
pub mod clock;
pub mod credentials;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
pub mod facts;
#[cfg(feature = "gmail")]
mod gmail;
pub mod guides;
pub mod http;
mod journal;
mod mailbox;
mod mime;
mod model;
pub mod oauth;
#[cfg(feature = "outlook")]
mod outlook;
mod provider;
pub mod push;
pub mod reply;
mod secret;
#[cfg(any(feature = "gmail", feature = "outlook"))]
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod view;

pub use accounts::{
    Account, AccountEvent, AccountEvents, AccountStatus, Accounts, AccountsBuilder, Adoption,
    Attended, Connecting, ConnectingDevice, Disconnected, Due, DueWork, Kept, Obstacle,
    PendingConnection, ProviderConfiguration, SignInReason, SyncReason, Synced, Upkeep,
    UpkeepHints, UpkeepHost, UpkeepPlan,
};
pub use error::{Action, Delivery, Error, ErrorKind, Result};
#[cfg(feature = "gmail")]
pub use gmail::Gmail;
#[cfg(feature = "encryption")]
pub use journal::EncryptedJournal;
#[cfg(feature = "postgres")]
pub use journal::PostgresJournal;
#[cfg(feature = "sqlite")]
pub use journal::SqliteJournal;
pub use journal::{JournalEntry, JournalKey, MemoryJournal, SendJournal, SendScope, SendState};
pub use mailbox::{
    AttachedMessage, Campaign, Mailbox, Merged, Messages, OutboxEntries, Outcome, Progress,
    SETTLED_AFTER, SendMany, Stopped, SyncPages, Threads, merged,
};
pub use model::{
    Access, AccountId, AccountType, Address, AddressError, AnswerKind, Answers, Attachment,
    AttachmentId, AttachmentKind, Audit, AuditWindow, AuthenticationServer, AutomaticReply, Body,
    ByteStream, Cap, Category, CategoryColor, CategoryId, Change, Confirmation, Content, Detail,
    Draft, DraftBody, DraftEdit, DraftId, DraftRevision, Estimate, Exactness, Flowed, Folder,
    FolderColor, FolderCounts, FolderEdit, FolderId, FolderRole, Header, HeaderError, Identity,
    ImportDate, ImportLoss, ImportOptions, ImportWay, Importance, Imported, Invitation,
    InvitationError, Keyword, KnownMessage, Lane, ListUnsubscribe, ListUnsubscribeError, Message,
    MessageId, MessageUpdate, NativeQuery, NewRule, Outgoing, OutgoingAttachment, OutgoingHeader,
    Page, PageRequest, PageToken, Profile, Purse, Query, QueryError, QueryPlan, Renewed,
    ReplyAudience, ReplySchedule, ReplyText, Rule, RuleActions, RuleConditions, RuleId, RulePart,
    Scope, SendKey, SendTicket, SendingLimits, Sent, Spent, SubscriptionId, SyncCursor, SyncPhase,
    SyncProgress, Terms, ThreadId, Uncertainty, UnknownColor, UntoldDifferences, Watch, WatchKind,
    WatchPlace, WatchTarget, Work,
};
#[cfg(feature = "outlook")]
pub use outlook::Outlook;
pub use provider::{
    AutomaticReplies, Capabilities, Categories, Drafts, FoldersPerMessage, Identities, Known,
    MailProvider, Rules, SyncChange, SyncPage, Thread, Watching,
};
pub use secret::Secret;

/// The programs in the README are compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
