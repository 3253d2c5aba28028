//! Google and Microsoft on 127.0.0.1: sign-in pages, tokens and mail of both, in one process, on real
//! sockets, as strict, as awkward and (on request) as faulty as the real services.
//!
//! This file starts it and holds what a host or test may ask of it. `server` is the way in, `google`
//! and `microsoft` are the two faces of one `world`, `sign_in` gives out tokens. The emulator shares no
//! code with the providers of this crate, so that a mistake in one shows against the other.
//!
//! ```
//! # async fn run() -> std::io::Result<()> {
//! use postroom::emulator::Emulator;
//!
//! let emulator = Emulator::start().await?;
//! println!("{}", emulator.google().base_url);
//! emulator.deliver("reader@gmail.example", b"Subject: Hello\r\n\r\nFirst message.\r\n");
//! # Ok(())
//! # }
//! ```

mod builder;
mod fault;
mod google;
mod import;
mod message;
mod microsoft;
mod misconfiguration;
mod push;
mod quota;
mod record;
mod rewrite;
mod seed;
mod server;
mod sign_in;
mod tokens;
mod world;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

pub use self::fault::{Fault, FaultKind};
pub use self::google::watch::PushSubscription;
pub use self::microsoft::subscriptions::LifecycleEvent;
pub use self::misconfiguration::Misconfiguration;
pub use self::push::{NotificationFaults, NotificationLogEntry};
pub use self::record::RequestLogEntry;

use self::builder::{Repeated, owned};
use self::world::World;
use crate::clock::{Clock, SystemClock};

/// Running servers for both vendors; they stop when this is dropped.
pub struct Emulator {
    state: Arc<State>,
    authority_pem: Option<String>,
    /// What the two servers answer with.
    routers: [axum::Router; 2],
    /// Accepts connections; ends with this value.
    _listeners: [server::Listener; 2],
    _courier: push::Courier,
}

/// Where one vendor's server is and how a client introduces itself to it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Service {
    /// Such as `http://127.0.0.1:41234/`, to be used in place of every host of the vendor.
    pub base_url: Url,
    /// The client id of the one registered application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

/// Whose service an account is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Vendor {
    /// Gmail.
    Google,
    /// Outlook.
    Microsoft,
}

/// An account that exists.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmulatedAccount {
    /// Its address, which is also its name at sign-in.
    pub address: String,
    /// Whose it is.
    pub vendor: Vendor,
    /// The name on its mail.
    pub display_name: String,
}

/// A message as the service keeps it: the truth that tests compare with.
#[derive(Clone)]
#[non_exhaustive]
pub struct EmulatedMessage {
    /// The vendor's id. Outlook's changes when the message moves.
    pub id: String,
    /// The id that stays: on Outlook another one.
    pub immutable_id: String,
    /// Gmail: label ids. Outlook: the one folder's id.
    pub folder_ids: Vec<String>,
    /// The vendor's id of its thread or conversation.
    pub thread: String,
    /// The message itself, RFC 5322.
    pub raw: Vec<u8>,
    /// Gmail: label ids. Outlook: the one folder, by its well-known name if it has one.
    pub folders: Vec<String>,
    /// Outlook's categories.
    pub keywords: Vec<String>,
    /// Whether it counts as important: Gmail's marker or Outlook's high importance.
    pub important: bool,
    /// Whether it has been read.
    pub seen: bool,
    /// Starred or flagged.
    pub flagged: bool,
    /// Whether it is a draft.
    pub draft: bool,
    /// When it arrived.
    pub received: DateTime<Utc>,
}

/// Who answers the question of consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consent {
    /// A page on which a person clicks.
    #[default]
    Page,
    /// Nobody: the authorize URL leads back at once, for the account that the login hint names, or the
    /// vendor's first.
    Automatic,
}

/// What becomes of a refresh token of Microsoft's that has been used. Google's stay what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// A new one comes with each refresh, the old one goes on working: what the real service does.
    /// <https://learn.microsoft.com/entra/identity-platform/refresh-tokens>
    #[default]
    KeepsOld,
    /// The old one dies, and using it again ends the whole family, as RFC 9700 section 4.14.2 advises.
    RevokesOld,
}

/// What an emulator is started with.
#[derive(Debug)]
#[must_use]
pub struct EmulatorBuilder {
    settings: Settings,
    clock: Arc<dyn Clock>,
    ports: [u16; 2],
    tls: bool,
    record: Option<PathBuf>,
    mail: Option<PathBuf>,
    corpus: bool,
}

/// What holds while the emulator runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) latency: Duration,
    pub(crate) consent: Consent,
    pub(crate) rotation: Rotation,
    pub(crate) access_token_lifetime: Duration,
    pub(crate) quota: bool,
    pub(crate) quota_speed: f64,
    pub(crate) sent_copies_after: u32,
    pub(crate) history_kept: Duration,
    pub(crate) ids_change_on_send: bool,
    pub(crate) largest_message: usize,
    pub(crate) longest_subscription: Duration,
    pub(crate) longest_page: usize,
    pub(crate) repeated: Repeated,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) text_expires_in: bool,
    pub(crate) public_client: bool,
    pub(crate) misconfigured: Vec<Misconfiguration>,
    pub(crate) admin_consent: bool,
    pub(crate) delegated_scopes: Vec<String>,
    pub(crate) application_roles: Vec<String>,
    pub(crate) test_users: Vec<String>,
    pub(crate) time_limited_access: Option<Duration>,
    pub(crate) without_mailbox: Vec<String>,
    pub(crate) shared_mailboxes: Vec<(String, world::Sharing)>,
}

impl Settings {
    /// Whether this account can sign in and has no mail.
    pub(crate) fn lacks_mailbox(&self, address: &str) -> bool {
        let mut without = self.without_mailbox.iter();
        without.any(|known| known.eq_ignore_ascii_case(address))
    }
}

/// What both servers share.
pub(crate) struct State {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) google: Service,
    pub(crate) microsoft: Service,
    pub(crate) faults: fault::Faults,
    pub(crate) record: record::Record,
    pub(crate) quotas: quota::Quotas,
    pub(crate) uploads: google::Uploads,
    pub(crate) push: push::Push,
    pub(crate) signing_keys: sign_in::SigningKeys,
    world: Mutex<World>,
}

// Secrets, tokens and mail stay out of what is printed, here as in the rest of the crate.

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Emulator")
            .field("google", &self.state.google)
            .field("microsoft", &self.state.microsoft)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Service")
            .field("base_url", &self.base_url.as_str())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EmulatedMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmulatedMessage")
            .field("id", &self.id)
            .field("folders", &self.folders)
            .field("seen", &self.seen)
            .field("flagged", &self.flagged)
            .field("draft", &self.draft)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    /// The world. Never held while waiting.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn service(&self, vendor: Vendor) -> &Service {
        match vendor {
            Vendor::Google => &self.google,
            Vendor::Microsoft => &self.microsoft,
        }
    }
}

impl Emulator {
    /// Both servers on free ports, with the corpus of mail that comes with the emulator.
    ///
    /// # Errors
    /// If a port cannot be opened.
    pub async fn start() -> std::io::Result<Self> {
        Self::builder().start().await
    }

    /// For everything that can be chosen.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder {
            settings: Settings {
                seed: 1,
                latency: Duration::ZERO,
                consent: Consent::Page,
                rotation: Rotation::KeepsOld,
                access_token_lifetime: Duration::from_secs(3599),
                quota: true,
                quota_speed: 1.0,
                sent_copies_after: 1,
                history_kept: Duration::from_secs(7 * 24 * 60 * 60),
                ids_change_on_send: false,
                largest_message: builder::LARGEST_MESSAGE,
                longest_subscription: builder::LONGEST_SUBSCRIPTION,
                longest_page: 1_000,
                repeated: Repeated::Last,
                redirect_uris: Vec::new(),
                text_expires_in: false,
                public_client: false,
                misconfigured: Vec::new(),
                admin_consent: false,
                delegated_scopes: owned(tokens::mail_scopes(Vendor::Google)),
                application_roles: owned(tokens::MAIL_ROLES),
                test_users: Vec::new(),
                time_limited_access: None,
                without_mailbox: Vec::new(),
                shared_mailboxes: Vec::new(),
            },
            clock: Arc::new(SystemClock::new()),
            ports: [0, 0],
            tls: false,
            record: None,
            mail: None,
            corpus: true,
        }
    }

    /// Google's server: sign-in, token endpoint and Gmail.
    #[must_use]
    pub fn google(&self) -> &Service {
        &self.state.google
    }

    /// Microsoft's server: sign-in, token endpoint and Graph.
    #[must_use]
    pub fn microsoft(&self) -> &Service {
        &self.state.microsoft
    }

    /// Every account.
    #[must_use]
    pub fn accounts(&self) -> Vec<EmulatedAccount> {
        let world = self.state.world();
        world
            .accounts
            .iter()
            .map(|account| EmulatedAccount {
                address: account.address.clone(),
                vendor: account.vendor(),
                display_name: account.display_name.clone(),
            })
            .collect()
    }

    /// An access token of the account with every scope that mail needs, without any signing in. Empty
    /// if there is no such account.
    #[must_use]
    pub fn access_token(&self, address: &str) -> String {
        let mut world = self.state.world();
        let Some(account) = world.account(address) else {
            return String::new();
        };
        let (vendor, address) = (account.vendor(), account.address.clone());
        let client_id = self.state.service(vendor).client_id.clone();
        let scopes = tokens::mail_scopes(vendor);
        self.issue(&mut world, vendor, &address, &client_id, scopes)
    }

    /// An access token of the account for exactly these scopes. Empty if there is no such account.
    #[must_use]
    pub fn access_token_for(&self, address: &str, scopes: &[&str]) -> String {
        let mut world = self.state.world();
        let Some(account) = world.account(address) else {
            return String::new();
        };
        let (vendor, address) = (account.vendor(), account.address.clone());
        let client_id = self.state.service(vendor).client_id.clone();
        self.issue(&mut world, vendor, &address, &client_id, scopes)
    }

    fn issue(
        &self,
        world: &mut World,
        vendor: Vendor,
        address: &str,
        client_id: &str,
        scopes: &[&str],
    ) -> String {
        let expires = self.state.clock.monotonic() + self.state.settings.access_token_lifetime;
        let grant = tokens::Grant {
            account: address.to_owned(),
            client_id: client_id.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            family: world.random.u64(..),
        };
        world.issue_access_token(vendor, grant, expires)
    }

    /// The certificate of the authority that both servers' certificates come from, with
    /// [`EmulatorBuilder::tls`].
    #[must_use]
    pub fn authority_pem(&self) -> Option<&str> {
        self.authority_pem.as_deref()
    }

    /// The key file of Google's service account, as it would be downloaded.
    #[must_use]
    pub fn service_account_key(&self) -> String {
        sign_in::service_account_key(&self.state)
    }

    /// The certificate that is registered with Microsoft's application, and its private key, both as PEM.
    #[must_use]
    pub fn client_certificate(&self) -> (&'static str, &'static str) {
        (sign_in::CERTIFICATE, sign_in::PRIVATE_KEY)
    }

    /// A message arrives from outside in the account's inbox.
    pub fn deliver(&self, address: &str, raw: &[u8]) {
        self.state.world().deliver(address, raw);
        self.state.push.stir();
    }

    /// Every message of the account. Empty if there is no such account.
    #[must_use]
    pub fn messages(&self, address: &str) -> Vec<EmulatedMessage> {
        let mut world = self.state.world();
        world.send_due();
        world
            .account(address)
            .map(world::Account::messages)
            .unwrap_or_default()
    }

    /// A person opens the authorize URL, chooses the account and allows what is asked. Returns the URL
    /// that the browser would go to next, with code and state, and does not visit it.
    ///
    /// # Errors
    /// With the page's own words if it shows an error instead of leading anywhere.
    pub async fn sign_in(&self, authorize_url: &Url, address: &str) -> std::io::Result<Url> {
        sign_in::visit(&self.state, authorize_url, sign_in::Choice::Allow(address)).await
    }

    /// As [`Emulator::sign_in`], but the person leaves only these boxes ticked. Microsoft has no boxes:
    /// there it is all or nothing.
    ///
    /// # Errors
    /// As [`Emulator::sign_in`].
    pub async fn grant_only(
        &self,
        authorize_url: &Url,
        address: &str,
        scopes: &[&str],
    ) -> std::io::Result<Url> {
        let choice = sign_in::Choice::Only(address, scopes);
        sign_in::visit(&self.state, authorize_url, choice).await
    }

    /// A person opens the authorize URL and says no.
    ///
    /// # Errors
    /// As [`Emulator::sign_in`].
    pub async fn decline(&self, authorize_url: &Url) -> std::io::Result<Url> {
        sign_in::visit(&self.state, authorize_url, sign_in::Choice::Decline).await
    }

    /// A person opens the page that Microsoft's device codes are typed at, types one, chooses the account and allows
    /// what is asked.
    ///
    /// # Errors
    /// As [`Emulator::sign_in`].
    pub async fn enter_code(&self, user_code: &str, address: &str) -> std::io::Result<()> {
        let choice = sign_in::Choice::Allow(address);
        sign_in::visit_device(&self.state, user_code, choice).await
    }

    /// A person types the code and says no.
    ///
    /// # Errors
    /// As [`Emulator::sign_in`].
    pub async fn decline_code(&self, user_code: &str) -> std::io::Result<()> {
        sign_in::visit_device(&self.state, user_code, sign_in::Choice::Decline).await
    }

    /// From now on the copies of what a Gmail account sends appear late: not before
    /// [`release_sent_copies`](Self::release_sent_copies). For Outlook see [`EmulatorBuilder::sent_copies_after`].
    pub fn hold_sent_copies(&self, address: &str) {
        let mut world = self.state.world();
        if let Some((mailbox, _)) = world.gmail(address) {
            mailbox.hold_copies();
        }
    }

    /// Every copy of what the account sent turns up among its sent items now.
    pub fn release_sent_copies(&self, address: &str) {
        let mut world = self.state.world();
        let now = self.state.clock.now();
        if let Some((mailbox, random)) = world.outlook(address) {
            mailbox.release(now, random);
        } else if let Some((mailbox, random)) = world.gmail(address) {
            mailbox.release_copies(random);
        }
    }

    /// Gmail forgets what happened in this mailbox until now: every history id that it gave out has expired.
    pub fn expire_history(&self, address: &str) {
        let mut world = self.state.world();
        if let Some((mailbox, random)) = world.gmail(address) {
            mailbox.expire_history(random);
        }
    }

    /// The user throws away every draft. Outlook keeps them among the deleted items, Gmail does not keep them.
    pub fn discard_drafts(&self, address: &str) {
        let mut world = self.state.world();
        let now = self.state.clock.now();
        if let Some((mailbox, random)) = world.outlook(address) {
            mailbox.discard_drafts(now, random);
        } else if let Some((mailbox, random)) = world.gmail(address) {
            mailbox.discard_drafts(random);
        }
    }

    /// Google forgets every upload that was begun, as it does after a week.
    pub fn lapse_uploads(&self) {
        self.state.uploads.lapse();
    }

    /// A Gmail account may send as `alias` from now on, if its owner has agreed.
    pub fn add_alias(&self, address: &str, alias: &str, name: &str, is_accepted: bool) {
        let mut world = self.state.world();
        if let Some((mailbox, _)) = world.gmail(address) {
            mailbox.settings.aliases.push(google::authors::Alias {
                address: alias.to_owned(),
                name: name.to_owned(),
                is_accepted,
            });
        }
    }

    /// A Gmail user ends messages with this HTML from now on.
    pub fn set_signature(&self, address: &str, html: &str) {
        let mut world = self.state.world();
        if let Some((mailbox, _)) = world.gmail(address) {
            html.clone_into(&mut mailbox.settings.signature);
        }
    }

    /// Outlook forgets every token for changes that it gave out for this mailbox, or for one folder of it, by id or
    /// well-known name.
    pub fn expire_deltas(&self, address: &str, folder: Option<&str>) {
        self.forget_deltas(address, folder, false);
    }

    /// The same for the addresses of further pages only: rounds that are over can be gone on from.
    /// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/2162>
    pub fn rot_next_links(&self, address: &str) {
        self.forget_deltas(address, None, true);
    }

    fn forget_deltas(&self, address: &str, folder: Option<&str>, only_within_rounds: bool) {
        let mut world = self.state.world();
        if let Some((mailbox, _)) = world.outlook(address) {
            let id = folder.and_then(|folder| mailbox.folder(folder));
            let id = id.map(|folder| folder.id.clone());
            if folder.is_none() || id.is_some() {
                mailbox.journal.forget(id.as_deref(), only_within_rounds);
            }
        }
    }

    /// From now on Outlook's answers about changes tell nothing of what happens, until this is taken back: what changed
    /// a moment ago may be missing from a round.
    pub fn hold_changes(&self, address: &str, hold: bool) {
        let mut world = self.state.world();
        if let Some((mailbox, _)) = world.outlook(address) {
            mailbox.journal.hold(hold);
        }
    }

    /// The user withdraws consent: every token of the account dies.
    pub fn revoke(&self, address: &str) {
        self.state.world().tokens.revoke(address);
    }

    /// The user has to sign in again before the account's tokens are refreshed, because a policy of the
    /// organisation wants to see a second factor, say. Tokens stay what they are.
    pub fn require_interaction(&self, address: &str) {
        self.state.world().tokens.challenge(address);
    }

    /// Both vendors sign id_tokens with another key from now on, as they do every few weeks.
    pub fn rotate_signing_keys(&self) {
        self.state.signing_keys.rotate();
    }

    /// Every access token of the account ends now; refresh tokens live on.
    pub fn expire_access_tokens(&self, address: &str) {
        self.state.world().tokens.expire_access(address);
    }

    /// From now on this goes wrong, as often as the fault says.
    pub fn fault(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Nothing goes wrong any longer: faults that are still to come are taken back.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Every request so far, oldest first, of both servers; of more than 100,000, the last.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestLogEntry> {
        self.state.record.entries()
    }

    /// All that a client in another process needs, as one line of JSON.
    #[must_use]
    pub fn ready_line(&self) -> String {
        let service = |service: &Service| {
            serde_json::json!({
                "base_url": service.base_url,
                "client_id": service.client_id,
                "client_secret": service.client_secret,
            })
        };
        let accounts: Vec<_> = self
            .accounts()
            .into_iter()
            .map(|account| {
                serde_json::json!({
                    "address": account.address,
                    "vendor": match account.vendor {
                        Vendor::Google => "google",
                        Vendor::Microsoft => "microsoft",
                    },
                    "display_name": account.display_name,
                    "access_token": self.access_token(&account.address),
                })
            })
            .collect();
        serde_json::json!({
            "google": service(self.google()),
            "microsoft": service(self.microsoft()),
            "accounts": accounts,
            "authority_pem": self.authority_pem,
        })
        .to_string()
    }
}
