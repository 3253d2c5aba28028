//! What an emulator is started with: its settings, and the start itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::world::{Sharing, World};
use super::{
    Consent, Emulator, EmulatorBuilder, Rotation, Service, State, Vendor, fault, google, import,
    microsoft, push, quota, record, seed, server, sign_in,
};
use crate::clock::Clock;

/// What Exchange sends at most unless its administrator says otherwise.
/// <https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits#message-limits>
pub(super) const LARGEST_MESSAGE: usize = 35 * 1024 * 1024;

/// The longest life of a subscription to messages.
/// <https://learn.microsoft.com/graph/api/resources/subscription#subscription-lifetime>
pub(super) const LONGEST_SUBSCRIPTION: Duration = Duration::from_secs(10_080 * 60);

pub(super) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// How much of a page of what changed comes again on the next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Repeated {
    /// Outlook's last entry, nothing of Gmail's.
    Last,
    /// Some of its end.
    Rows,
    /// All of it.
    Page,
}

impl Repeated {
    /// How many of so many entries come again, `last` of them where nothing else is wanted.
    pub(crate) fn of(self, entries: usize, last: usize, random: &mut fastrand::Rng) -> usize {
        match self {
            Self::Last => last.min(entries),
            Self::Rows => random.usize(0..=entries),
            Self::Page => entries,
        }
    }
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

    /// The largest message that Exchange sends, in bytes. Its default is the service's, 35 MB; an administrator may set up
    /// to 150 MB.
    /// <https://learn.microsoft.com/exchange/mail-flow-best-practices/message-size-limits>
    pub fn largest_message(mut self, bytes: usize) -> Self {
        self.settings.largest_message = bytes;
        self
    }

    /// Whether the copy of a message that Outlook has sent has another id than the draft, of every kind, as was once seen.
    /// By default the id that never changes does not.
    /// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/1533>
    pub fn ids_change_on_send(mut self, change: bool) -> Self {
        self.settings.ids_change_on_send = change;
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

    /// Google's application is in testing, and these accounts are its test users: the others are kept out with a page, as
    /// with [`Misconfiguration::InTesting`](super::Misconfiguration::InTesting), and these users' grants end after seven
    /// days.
    /// <https://developers.google.com/identity/protocols/oauth2#expiration>
    pub fn google_test_users(mut self, addresses: &[&str]) -> Self {
        self.settings.test_users = owned(addresses);
        self
    }

    /// Adds a shared mailbox to Microsoft's organisation, with which nobody signs in. `with` have Full Access to it, and
    /// `senders` may Send As it.
    /// <https://learn.microsoft.com/exchange/recipients-in-exchange-online/manage-permissions-for-recipients>
    pub fn shared_mailbox(
        mut self,
        address: impl Into<String>,
        with: &[&str],
        senders: &[&str],
    ) -> Self {
        let sharing = Sharing {
            with: owned(with),
            senders: owned(senders),
        };
        let shared = (address.into(), sharing);
        self.settings.shared_mailboxes.push(shared);
        self
    }

    /// Google's users grant access for this long only, and token answers say so.
    pub fn time_limited_access(mut self, duration: Duration) -> Self {
        self.settings.time_limited_access = Some(duration);
        self
    }

    /// Takes the mailbox of this account away: its user can sign in and is told of at `/me`, and there is no mail, as with
    /// users of an organisation who have no licence, or for whom Gmail is switched off.
    pub fn without_mailbox(mut self, address: impl Into<String>) -> Self {
        self.settings.without_mailbox.push(address.into());
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

    /// How much faster than the clock quotas refill: with 60, what a service allows in a minute comes back in a second. How
    /// much can be saved up stays as it is. The default is 1.
    pub fn quota_speed(mut self, speed: f64) -> Self {
        self.settings.quota_speed = speed.max(0.0);
        self
    }

    /// How many requests to an Outlook mailbox still see a sent message in its outbox before it turns up
    /// among the sent items, as sending is done in the background. The default is 1; `u32::MAX` is never,
    /// until [`Emulator::release_sent_copies`].
    pub fn sent_copies_after(mut self, requests: u32) -> Self {
        self.settings.sent_copies_after = requests;
        self
    }

    /// How many entries a page has at most, whatever is asked for: of a list, of Gmail's history, of Outlook's changes. The
    /// default is 1,000.
    pub fn longest_page(mut self, entries: usize) -> Self {
        self.settings.longest_page = entries;
        self
    }

    /// Whether a further page of what changed tells all that the page before it told, too. By default only Outlook's do
    /// so, and only of its last entry.
    /// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/3611>
    pub fn repeated_pages(mut self, repeated: bool) -> Self {
        self.settings.repeated = if repeated {
            Repeated::Page
        } else {
            Repeated::Last
        };
        self
    }

    /// A further page of what changed tells once more some of what the page before it told: another part of it each time, and
    /// sometimes nothing.
    /// <https://github.com/microsoftgraph/msgraph-sdk-go/issues/969>
    pub fn repeated_rows(mut self) -> Self {
        self.settings.repeated = Repeated::Rows;
        self
    }

    /// For how long Graph's subscriptions may last at most. The default is 10,080 minutes; until lately, and in some
    /// places still, it was 4,230.
    /// <https://github.com/Nine-Minds/alga-psa/issues/3092>
    pub fn longest_subscription(mut self, longest: Duration) -> Self {
        self.settings.longest_subscription = longest;
        self
    }

    /// For how long Gmail tells what happened. The default is seven days: "at least a week", and in rare cases a few hours.
    /// <https://developers.google.com/workspace/gmail/api/guides/sync#limitations>
    pub fn history_kept(mut self, kept: Duration) -> Self {
        self.settings.history_kept = kept;
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
        for (address, sharing) in &self.settings.shared_mailboxes {
            world.share(address.clone(), sharing.clone());
        }
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
            push: push::Push::new(),
            signing_keys: sign_in::SigningKeys::new(),
            google,
            microsoft,
            world: Mutex::new(world),
        });
        let google_router = google::router(&state).merge(sign_in::google(&state));
        let microsoft_router = microsoft::router(&state).merge(sign_in::microsoft(&state));
        let tls = identity.as_ref().map(server::Identity::acceptor);
        let routers = [google_router, microsoft_router];
        let [google_router, microsoft_router] = routers.clone();
        let listeners = [
            google_socket.serve(Vendor::Google, &state, google_router, tls.clone())?,
            microsoft_socket.serve(Vendor::Microsoft, &state, microsoft_router, tls)?,
        ];
        Ok(Emulator {
            _courier: push::Courier::start(&state),
            state,
            authority_pem: identity.map(server::Identity::authority_pem),
            routers,
            _listeners: listeners,
        })
    }
}
