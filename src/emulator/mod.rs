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

mod fault;
mod google;
mod import;
mod message;
mod microsoft;
mod misconfiguration;
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
pub use self::misconfiguration::Misconfiguration;
pub use self::record::RequestLogEntry;

use self::world::World;
use crate::clock::{Clock, SystemClock};

/// Running servers for both vendors; they stop when this is dropped.
pub struct Emulator {
    state: Arc<State>,
    authority_pem: Option<String>,
    /// Accepts connections; ends with this value.
    _listeners: [server::Listener; 2],
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
    /// The vendor's id of its thread or conversation.
    pub thread: String,
    /// The message itself, RFC 5322.
    pub raw: Vec<u8>,
    /// Gmail: label ids. Outlook: the one folder, by its well-known name if it has one.
    pub folders: Vec<String>,
    /// Outlook's categories.
    pub keywords: Vec<String>,
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
    pub(crate) sent_copies_after: u32,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) text_expires_in: bool,
    pub(crate) public_client: bool,
    pub(crate) misconfigured: Vec<Misconfiguration>,
    pub(crate) admin_consent: bool,
    pub(crate) delegated_scopes: Vec<String>,
    pub(crate) application_roles: Vec<String>,
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
    pub(crate) signing_key: sign_in::SigningKey,
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
                sent_copies_after: 1,
                redirect_uris: Vec::new(),
                text_expires_in: false,
                public_client: false,
                misconfigured: Vec::new(),
                admin_consent: false,
                delegated_scopes: owned(tokens::mail_scopes(Vendor::Google)),
                application_roles: owned(tokens::MAIL_ROLES),
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
    }

    /// Every message of the account. Empty if there is no such account.
    #[must_use]
    pub fn messages(&self, address: &str) -> Vec<EmulatedMessage> {
        let world = self.state.world();
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

    /// Everything in the account's outbox turns up among its sent items now.
    pub fn release_sent_copies(&self, address: &str) {
        let mut world = self.state.world();
        let now = self.state.clock.now();
        if let Some((mailbox, random)) = world.outlook(address) {
            mailbox.release(now, random);
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

    /// Every access token of the account ends now; refresh tokens live on.
    pub fn expire_access_tokens(&self, address: &str) {
        self.state.world().tokens.expire_access(address);
    }

    /// From now on this goes wrong, as often as the fault says.
    pub fn fault(&self, fault: Fault) {
        self.state.faults.add(fault);
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

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl EmulatorBuilder {
    /// The source of everything random. The same seed gives the same behaviour again. The default is 1.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// The port of Google's server; 0, the default, is any free one.
    pub fn google_port(mut self, port: u16) -> Self {
        self.ports[0] = port;
        self
    }

    /// The port of Microsoft's server; 0, the default, is any free one.
    pub fn microsoft_port(mut self, port: u16) -> Self {
        self.ports[1] = port;
        self
    }

    /// How long each answer takes, on the emulator's clock. The default is no time.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// The clock by which tokens end, quotas refill and mail is dated. The default is the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Whether the servers speak TLS, with HTTP/2 where the client wants it. The certificates come from
    /// an authority made for this emulator alone, see [`Emulator::authority_pem`].
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Who answers the question of consent.
    pub fn consent(mut self, consent: Consent) -> Self {
        self.settings.consent = consent;
        self
    }

    /// A directory that gets a file with every request to the mail APIs and its answer, one JSON object
    /// a line, without tokens and secrets.
    pub fn record(mut self, directory: impl Into<Option<PathBuf>>) -> Self {
        self.record = directory.into();
        self
    }

    /// A folder of `.eml` files or an mbox whose messages are put into every mailbox.
    pub fn mail(mut self, path: PathBuf) -> Self {
        self.mail = Some(path);
        self
    }

    /// Mailboxes without the mail that comes with the emulator.
    pub fn empty(mut self) -> Self {
        self.corpus = false;
        self
    }

    /// How long access tokens hold. The default is 3599 seconds.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.access_token_lifetime = lifetime;
        self
    }

    /// Whether token answers give `expires_in` as text instead of a number, as some deployments do.
    pub fn text_expires_in(mut self, text: bool) -> Self {
        self.settings.text_expires_in = text;
        self
    }

    /// Registers a redirect URI with the applications of both vendors, as a web host does. It is compared
    /// to the letter. Those of the machine itself need no registration.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.settings.redirect_uris.push(uri.into());
        self
    }

    /// The scopes for which Google's administrator has delegated the domain to the service account, in place of all that
    /// mail needs; see [`Emulator::service_account_key`].
    pub fn delegated_scopes(mut self, scopes: &[&str]) -> Self {
        self.settings.delegated_scopes = owned(scopes);
        self
    }

    /// The application permissions that Microsoft's administrator has granted, in place of all that mail needs.
    pub fn application_roles(mut self, roles: &[&str]) -> Self {
        self.settings.application_roles = owned(roles);
        self
    }

    /// Whether the organisation's users need an administrator's consent before they can let an application read mail, as
    /// Microsoft's own policy wants it. The default is that they do not.
    /// <https://learn.microsoft.com/entra/identity/enterprise-apps/manage-app-consent-policies>
    pub fn admin_consent_needed(mut self, needed: bool) -> Self {
        self.settings.admin_consent = needed;
        self
    }

    /// Whether Microsoft's application is registered as a public client: it has no secret then, and must not show one.
    /// The default is that it is confidential.
    pub fn microsoft_public_client(mut self, public: bool) -> Self {
        self.settings.public_client = public;
        self
    }

    /// What becomes of Microsoft's used refresh tokens.
    pub fn rotate_refresh_tokens(mut self, rotation: Rotation) -> Self {
        self.settings.rotation = rotation;
        self
    }

    /// Whether the vendors' limits hold. The default is that they do.
    pub fn quota(mut self, quota: bool) -> Self {
        self.settings.quota = quota;
        self
    }

    /// How many requests to an Outlook mailbox still see a sent message in its outbox before it turns up
    /// among the sent items, as sending is done in the background. The default is 1; `u32::MAX` is never,
    /// until [`Emulator::release_sent_copies`].
    pub fn sent_copies_after(mut self, requests: u32) -> Self {
        self.settings.sent_copies_after = requests;
        self
    }

    /// Opens the ports and serves.
    ///
    /// # Errors
    /// If a port cannot be opened, mail cannot be read, or a recording cannot be written.
    pub async fn start(self) -> std::io::Result<Emulator> {
        let [google_socket, microsoft_socket] = self.ports.map(server::Socket::open);
        let (google_socket, microsoft_socket) = (google_socket?, microsoft_socket?);
        let identity = if self.tls {
            Some(server::Identity::generate()?)
        } else {
            None
        };
        let mut world = World::new(Arc::clone(&self.clock), self.settings.seed);
        if self.corpus {
            seed::corpus(&mut world);
        }
        if let Some(path) = &self.mail {
            import::load(&mut world, path)?;
        }
        let google = Service {
            base_url: google_socket.base_url(self.tls)?,
            client_id: "postroom-emulator.apps.googleusercontent.com".to_owned(),
            client_secret: format!("GOCSPX-{}", world.opaque(28)),
        };
        let microsoft = Service {
            base_url: microsoft_socket.base_url(self.tls)?,
            client_id: "2d4f6a8c-1b3d-4e5f-9a7b-8c6d4e2f0a1b".to_owned(),
            client_secret: format!("8Q~{}", world.opaque(37)),
        };
        let state = Arc::new(State {
            clock: self.clock,
            settings: self.settings,
            faults: fault::Faults::default(),
            record: record::Record::new(self.record.as_deref())?,
            quotas: quota::Quotas::default(),
            uploads: google::Uploads::default(),
            signing_key: sign_in::SigningKey::generate()?,
            google,
            microsoft,
            world: Mutex::new(world),
        });
        let google_router = google::router(&state).merge(sign_in::google(&state));
        let microsoft_router = microsoft::router(&state).merge(sign_in::microsoft(&state));
        let tls = identity.as_ref().map(server::Identity::acceptor);
        let listeners = [
            google_socket.serve(Vendor::Google, &state, google_router, tls.clone())?,
            microsoft_socket.serve(Vendor::Microsoft, &state, microsoft_router, tls)?,
        ];
        Ok(Emulator {
            state,
            authority_pem: identity.map(server::Identity::authority_pem),
            _listeners: listeners,
        })
    }
}
