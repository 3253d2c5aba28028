//! Gmail's methods as data: verb, path, parameters, scopes, cost, and the shapes of what goes in and
//! out. How a request is held against them is in `call`, what they do in the files that they name.
//!
//! <https://developers.google.com/workspace/gmail/api/reference/rest>, and for the costs of 2026
//! <https://developers.google.com/workspace/gmail/api/reference/quota>

use serde_json::Value;

use super::call::Call;
use super::error::Failure;
use super::schema::{self, Schema};
use super::{
    authors, drafts, history, insertion, labels, messages, profile, sending, settings, threads,
    watch,
};

/// One method of the API.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its name in the API's own reference.
    pub(crate) id: &'static str,
    pub(crate) verb: &'static str,
    /// Below `/gmail/v1/users/{userId}`.
    pub(crate) path: &'static str,
    pub(crate) parameters: &'static [(&'static str, ParameterKind)],
    /// Any one of these is enough.
    pub(crate) scopes: &'static [&'static str],
    pub(crate) units: u32,
    pub(crate) request: Option<&'static Schema>,
    pub(crate) response: Option<&'static Schema>,
    /// The greatest size of a message, if the method takes one as an upload.
    pub(crate) upload: Option<usize>,
    pub(crate) answer: fn(&Call<'_>) -> Result<Option<Value>, Failure>,
}

/// What a query parameter takes.
#[derive(Debug)]
pub(crate) enum ParameterKind {
    Text,
    Texts,
    Boolean,
    Unsigned,
    /// A number of 64 bits.
    Long,
    OneOf(&'static [&'static str]),
    /// Any number of these.
    AnyOf(&'static [&'static str]),
}

impl ParameterKind {
    /// Whether a query may name it more than once.
    pub(crate) fn repeats(&self) -> bool {
        matches!(self, Texts | AnyOf(_))
    }
}

use ParameterKind::{AnyOf, Boolean, Long, OneOf, Text, Texts, Unsigned};

/// What every method takes besides its own parameters.
pub(crate) const COMMON: &[(&str, ParameterKind)] = &[
    ("$.xgafv", OneOf(&["1", "2"])),
    ("access_token", Text),
    ("alt", OneOf(&["json"])),
    ("callback", Text),
    ("fields", Text),
    ("key", Text),
    ("oauth_token", Text),
    ("prettyPrint", Boolean),
    ("quotaUser", Text),
    ("uploadType", Text),
    ("upload_protocol", Text),
];

const FULL: &str = "https://mail.google.com/";
const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
const READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
pub(crate) const METADATA: &str = "https://www.googleapis.com/auth/gmail.metadata";
const COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
const INSERT: &str = "https://www.googleapis.com/auth/gmail.insert";
const LABELS: &str = "https://www.googleapis.com/auth/gmail.labels";
const SETTINGS: &str = "https://www.googleapis.com/auth/gmail.settings.basic";

const PROFILE: &[&str] = &[FULL, COMPOSE, METADATA, MODIFY, READ];
const READING: &[&str] = &[FULL, METADATA, MODIFY, READ];
const CONTENT: &[&str] = &[FULL, MODIFY, READ];
const CHANGING: &[&str] = &[FULL, MODIFY];
const DELETING: &[&str] = &[FULL];
const DRAFTING: &[&str] = &[FULL, COMPOSE, MODIFY];
const DRAFT_READING: &[&str] = &[FULL, COMPOSE, MODIFY, READ];
const SENDING: &[&str] = &[FULL, COMPOSE, MODIFY, SEND];
const INSERTING: &[&str] = &[FULL, INSERT, MODIFY];
const LABEL_READING: &[&str] = &[FULL, LABELS, METADATA, MODIFY, READ];
const LABELLING: &[&str] = &[FULL, LABELS, MODIFY];
const SETTINGS_READING: &[&str] = &[FULL, MODIFY, READ, SETTINGS];
/// Full access to mail is no access to settings.
const SETTINGS_CHANGING: &[&str] = &[SETTINGS];

const FORMATS: &[&str] = &["minimal", "full", "raw", "metadata"];
const THREAD_FORMATS: &[&str] = &["minimal", "full", "metadata"];
const DATE_SOURCES: &[&str] = &["receivedTime", "dateHeader"];

const LIST: &[(&str, ParameterKind)] = &[
    ("includeSpamTrash", Boolean),
    ("labelIds", Texts),
    ("maxResults", Unsigned),
    ("pageToken", Text),
    ("q", Text),
];

/// 35 MiB for what is sent, 150 MiB for what is filed.
const SEND_SIZE: usize = 36_700_160;
const INSERT_SIZE: usize = 157_286_400;

/// A method that takes no parameters, no body and no upload; the entries below say what they add.
const PLAIN: Method = Method {
    id: "",
    verb: "GET",
    path: "",
    parameters: &[],
    scopes: &[],
    units: 0,
    request: None,
    response: None,
    upload: None,
    answer: |_| Ok(None),
};

pub(crate) static METHODS: &[Method] = &[
    Method {
        id: "users.getProfile",
        path: "/profile",
        scopes: PROFILE,
        units: 1,
        response: Some(&schema::PROFILE),
        answer: profile::get,
        ..PLAIN
    },
    Method {
        id: "users.watch",
        verb: "POST",
        path: "/watch",
        scopes: READING,
        units: 100,
        request: Some(&schema::WATCH_REQUEST),
        response: Some(&schema::WATCH_RESPONSE),
        answer: watch::watch,
        ..PLAIN
    },
    Method {
        id: "users.stop",
        verb: "POST",
        path: "/stop",
        scopes: READING,
        units: 50,
        answer: watch::stop,
        ..PLAIN
    },
    Method {
        id: "users.history.list",
        path: "/history",
        parameters: &[
            ("historyTypes", AnyOf(history::TYPES)),
            ("labelId", Text),
            ("maxResults", Unsigned),
            ("pageToken", Text),
            ("startHistoryId", Long),
        ],
        scopes: READING,
        units: 2,
        response: Some(&schema::LIST_HISTORY),
        answer: history::list,
        ..PLAIN
    },
    Method {
        id: "users.labels.list",
        path: "/labels",
        scopes: LABEL_READING,
        units: 1,
        response: Some(&schema::LIST_LABELS),
        answer: labels::list,
        ..PLAIN
    },
    Method {
        id: "users.labels.get",
        path: "/labels/{id}",
        scopes: LABEL_READING,
        units: 1,
        response: Some(&schema::LABEL),
        answer: labels::get,
        ..PLAIN
    },
    Method {
        id: "users.labels.create",
        verb: "POST",
        path: "/labels",
        scopes: LABELLING,
        units: 5,
        request: Some(&schema::LABEL),
        response: Some(&schema::LABEL),
        answer: labels::create,
        ..PLAIN
    },
    Method {
        id: "users.labels.update",
        verb: "PUT",
        path: "/labels/{id}",
        scopes: LABELLING,
        units: 5,
        request: Some(&schema::LABEL),
        response: Some(&schema::LABEL),
        answer: labels::update,
        ..PLAIN
    },
    Method {
        id: "users.labels.patch",
        verb: "PATCH",
        path: "/labels/{id}",
        scopes: LABELLING,
        units: 5,
        request: Some(&schema::LABEL),
        response: Some(&schema::LABEL),
        answer: labels::patch,
        ..PLAIN
    },
    Method {
        id: "users.labels.delete",
        verb: "DELETE",
        path: "/labels/{id}",
        scopes: LABELLING,
        units: 5,
        answer: labels::delete,
        ..PLAIN
    },
    Method {
        id: "users.messages.list",
        path: "/messages",
        parameters: LIST,
        scopes: READING,
        units: 5,
        response: Some(&schema::LIST_MESSAGES),
        answer: messages::list,
        ..PLAIN
    },
    Method {
        id: "users.messages.get",
        path: "/messages/{id}",
        parameters: &[("format", OneOf(FORMATS)), ("metadataHeaders", Texts)],
        scopes: READING,
        units: 20,
        response: Some(&schema::MESSAGE),
        answer: messages::get,
        ..PLAIN
    },
    Method {
        id: "users.messages.attachments.get",
        path: "/messages/{messageId}/attachments/{id}",
        scopes: CONTENT,
        units: 20,
        response: Some(&schema::MESSAGE_PART_BODY),
        answer: messages::attachment,
        ..PLAIN
    },
    Method {
        id: "users.messages.modify",
        verb: "POST",
        path: "/messages/{id}/modify",
        scopes: CHANGING,
        units: 5,
        request: Some(&schema::MODIFY_MESSAGE),
        response: Some(&schema::MESSAGE),
        answer: messages::modify,
        ..PLAIN
    },
    Method {
        id: "users.messages.batchModify",
        verb: "POST",
        path: "/messages/batchModify",
        scopes: CHANGING,
        units: 50,
        request: Some(&schema::BATCH_MODIFY),
        answer: messages::batch_modify,
        ..PLAIN
    },
    Method {
        id: "users.messages.batchDelete",
        verb: "POST",
        path: "/messages/batchDelete",
        scopes: DELETING,
        units: 50,
        request: Some(&schema::BATCH_DELETE),
        answer: messages::batch_delete,
        ..PLAIN
    },
    Method {
        id: "users.messages.trash",
        verb: "POST",
        path: "/messages/{id}/trash",
        scopes: CHANGING,
        units: 20,
        response: Some(&schema::MESSAGE),
        answer: messages::trash,
        ..PLAIN
    },
    Method {
        id: "users.messages.untrash",
        verb: "POST",
        path: "/messages/{id}/untrash",
        scopes: CHANGING,
        units: 5,
        response: Some(&schema::MESSAGE),
        answer: messages::untrash,
        ..PLAIN
    },
    Method {
        id: "users.messages.delete",
        verb: "DELETE",
        path: "/messages/{id}",
        scopes: DELETING,
        units: 10,
        answer: messages::delete,
        ..PLAIN
    },
    Method {
        id: "users.messages.send",
        verb: "POST",
        path: "/messages/send",
        scopes: SENDING,
        units: 100,
        request: Some(&schema::MESSAGE),
        response: Some(&schema::MESSAGE),
        upload: Some(SEND_SIZE),
        answer: sending::send,
        ..PLAIN
    },
    Method {
        id: "users.messages.import",
        verb: "POST",
        path: "/messages/import",
        parameters: &[
            ("deleted", Boolean),
            ("internalDateSource", OneOf(DATE_SOURCES)),
            ("neverMarkSpam", Boolean),
            ("processForCalendar", Boolean),
        ],
        scopes: INSERTING,
        units: 25,
        request: Some(&schema::MESSAGE),
        response: Some(&schema::MESSAGE),
        upload: Some(INSERT_SIZE),
        answer: insertion::import,
    },
    Method {
        id: "users.messages.insert",
        verb: "POST",
        path: "/messages",
        parameters: &[
            ("deleted", Boolean),
            ("internalDateSource", OneOf(DATE_SOURCES)),
        ],
        scopes: INSERTING,
        units: 25,
        request: Some(&schema::MESSAGE),
        response: Some(&schema::MESSAGE),
        upload: Some(INSERT_SIZE),
        answer: insertion::insert,
    },
    Method {
        id: "users.threads.list",
        path: "/threads",
        parameters: LIST,
        scopes: READING,
        units: 10,
        response: Some(&schema::LIST_THREADS),
        answer: threads::list,
        ..PLAIN
    },
    Method {
        id: "users.threads.get",
        path: "/threads/{id}",
        parameters: &[
            ("format", OneOf(THREAD_FORMATS)),
            ("metadataHeaders", Texts),
        ],
        scopes: READING,
        units: 40,
        response: Some(&schema::THREAD),
        answer: threads::get,
        ..PLAIN
    },
    Method {
        id: "users.threads.modify",
        verb: "POST",
        path: "/threads/{id}/modify",
        scopes: CHANGING,
        units: 10,
        request: Some(&schema::MODIFY_THREAD),
        response: Some(&schema::THREAD),
        answer: threads::modify,
        ..PLAIN
    },
    Method {
        id: "users.threads.trash",
        verb: "POST",
        path: "/threads/{id}/trash",
        scopes: CHANGING,
        units: 20,
        response: Some(&schema::THREAD),
        answer: threads::trash,
        ..PLAIN
    },
    Method {
        id: "users.threads.untrash",
        verb: "POST",
        path: "/threads/{id}/untrash",
        scopes: CHANGING,
        units: 10,
        response: Some(&schema::THREAD),
        answer: threads::untrash,
        ..PLAIN
    },
    Method {
        id: "users.threads.delete",
        verb: "DELETE",
        path: "/threads/{id}",
        scopes: DELETING,
        units: 20,
        answer: threads::delete,
        ..PLAIN
    },
    Method {
        id: "users.drafts.list",
        path: "/drafts",
        parameters: &[
            ("includeSpamTrash", Boolean),
            ("maxResults", Unsigned),
            ("pageToken", Text),
            ("q", Text),
        ],
        scopes: DRAFT_READING,
        units: 5,
        response: Some(&schema::LIST_DRAFTS),
        answer: drafts::list,
        ..PLAIN
    },
    Method {
        id: "users.drafts.get",
        path: "/drafts/{id}",
        parameters: &[("format", OneOf(FORMATS))],
        scopes: DRAFT_READING,
        units: 20,
        response: Some(&schema::DRAFT),
        answer: drafts::get,
        ..PLAIN
    },
    Method {
        id: "users.drafts.create",
        verb: "POST",
        path: "/drafts",
        scopes: DRAFTING,
        units: 10,
        request: Some(&schema::DRAFT),
        response: Some(&schema::DRAFT),
        upload: Some(SEND_SIZE),
        answer: drafts::create,
        ..PLAIN
    },
    Method {
        id: "users.drafts.update",
        verb: "PUT",
        path: "/drafts/{id}",
        scopes: DRAFTING,
        units: 15,
        request: Some(&schema::DRAFT),
        response: Some(&schema::DRAFT),
        upload: Some(SEND_SIZE),
        answer: drafts::update,
        ..PLAIN
    },
    Method {
        id: "users.drafts.send",
        verb: "POST",
        path: "/drafts/send",
        scopes: DRAFTING,
        units: 100,
        request: Some(&schema::DRAFT),
        response: Some(&schema::MESSAGE),
        upload: Some(SEND_SIZE),
        answer: drafts::send,
        ..PLAIN
    },
    Method {
        id: "users.drafts.delete",
        verb: "DELETE",
        path: "/drafts/{id}",
        scopes: DRAFTING,
        units: 10,
        answer: drafts::delete,
        ..PLAIN
    },
    Method {
        id: "users.settings.filters.list",
        path: "/settings/filters",
        scopes: SETTINGS_READING,
        units: 1,
        response: Some(&schema::LIST_FILTERS),
        answer: settings::list_filters,
        ..PLAIN
    },
    Method {
        id: "users.settings.filters.get",
        path: "/settings/filters/{id}",
        scopes: SETTINGS_READING,
        units: 1,
        response: Some(&schema::FILTER),
        answer: settings::get_filter,
        ..PLAIN
    },
    Method {
        id: "users.settings.filters.create",
        verb: "POST",
        path: "/settings/filters",
        scopes: SETTINGS_CHANGING,
        units: 5,
        request: Some(&schema::FILTER),
        response: Some(&schema::FILTER),
        answer: settings::create_filter,
        ..PLAIN
    },
    Method {
        id: "users.settings.filters.delete",
        verb: "DELETE",
        path: "/settings/filters/{id}",
        scopes: SETTINGS_CHANGING,
        units: 5,
        answer: settings::delete_filter,
        ..PLAIN
    },
    Method {
        id: "users.settings.sendAs.list",
        path: "/settings/sendAs",
        scopes: SETTINGS_READING,
        units: 1,
        response: Some(&schema::LIST_SEND_AS),
        answer: authors::list,
        ..PLAIN
    },
    Method {
        id: "users.settings.sendAs.get",
        path: "/settings/sendAs/{sendAsEmail}",
        scopes: SETTINGS_READING,
        units: 1,
        response: Some(&schema::SEND_AS),
        answer: authors::get,
        ..PLAIN
    },
    Method {
        id: "users.settings.getVacation",
        path: "/settings/vacation",
        scopes: SETTINGS_READING,
        units: 1,
        response: Some(&schema::VACATION),
        answer: settings::get_vacation,
        ..PLAIN
    },
    Method {
        id: "users.settings.updateVacation",
        verb: "PUT",
        path: "/settings/vacation",
        scopes: SETTINGS_CHANGING,
        units: 5,
        request: Some(&schema::VACATION),
        response: Some(&schema::VACATION),
        answer: settings::update_vacation,
        ..PLAIN
    },
];
