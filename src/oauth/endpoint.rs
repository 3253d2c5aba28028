//! The token endpoint: requests that the `oauth2` crate writes, sent through the crate's one loop, and answers read by
//! tolerant types of our own. That crate's errors hold whole answers, so none of them leaves this file.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_core::future::BoxFuture;
use http::header::ACCEPT;
use http::{HeaderValue, Method};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, StandardRevocableToken, TokenUrl,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::error::{Place, explain, refusal};
use crate::credentials::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, ApiClient, ApiRequest, Cost, Replay, protocol};
use crate::secret::Secret;

/// Far more than any token answer.
const ANSWER_LIMIT: usize = 1024 * 1024;

pub(super) type OAuthClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The `oauth2` crate's client for these endpoints. What it proves itself with is given with each request.
pub(super) fn client(client_id: &str, authorize: &Url, token: &Url) -> OAuthClient {
    Client::new(ClientId::new(client_id.to_owned()))
        // Both services take the client's credentials in the form, and only there are they sure to be spelled right.
        .set_auth_type(AuthType::RequestBody)
        .set_auth_uri(AuthUrl::from_url(authorize.clone()))
        .set_token_uri(TokenUrl::from_url(token.clone()))
}

/// What a request proves the client's identity with: names and values of the form.
pub(super) type Shown = [(&'static str, Secret)];

/// What a token endpoint gave.
pub(super) struct Tokens {
    pub(super) answer: TokenAnswer,
    pub(super) asked_at: DateTime<Utc>,
    /// The service's own clock when it answered, for the instants in its answer; ours where it did not say.
    pub(super) answered_at: DateTime<Utc>,
}

/// Redeems an authorization code.
pub(super) async fn exchange_code(
    api: &ApiClient,
    client: &OAuthClient,
    code: &Secret,
    verifier: &Secret,
    redirect_uri: &str,
    shown: &Shown,
) -> Result<Tokens> {
    let redirect_uri = RedirectUrl::new(redirect_uri.to_owned()).map_err(|error| {
        Error::new(
            ErrorKind::Configuration,
            "the redirect address is no address",
        )
        .with_source(error)
    })?;
    let api = ApiClient {
        classify: Place::CodeExchange.classify(),
        ..api.clone()
    };
    let adapter = Adapter::new(&api, "oauth.exchange_code", Place::CodeExchange);
    let mut request = client
        .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
        .set_redirect_uri(Cow::Owned(redirect_uri));
    for (name, value) in shown {
        request = request.add_extra_param(*name, value.expose());
    }
    let answer = request.request_async(&adapter).await;
    adapter.tokens(answer)
}

/// Redeems a refresh token, for these scopes or for all that it has.
pub(super) async fn refresh(
    api: &ApiClient,
    client: &OAuthClient,
    refresh_token: &Secret,
    scopes: Vec<String>,
    shown: &Shown,
) -> Result<Tokens> {
    let adapter = Adapter::new(api, "oauth.refresh", Place::Refresh);
    let refresh_token = RefreshToken::new(refresh_token.expose().to_owned());
    let mut request = client
        .exchange_refresh_token(&refresh_token)
        .add_scopes(scopes.into_iter().map(Scope::new));
    for (name, value) in shown {
        request = request.add_extra_param(*name, value.expose());
    }
    let answer = request.request_async(&adapter).await;
    adapter.tokens(answer)
}

/// Revokes a token (RFC 7009), with the client's own address for that: the `oauth2` crate refuses loopback ones.
pub(super) async fn revoke(api: &ApiClient, endpoint: &Url, token: &Secret) -> Result<()> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token.expose())
        .finish();
    let request = request("oauth.revoke", endpoint.clone(), form.into_bytes());
    match api.done(request).await {
        // It was revoked or had expired already
        // (<https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke>).
        Err(error) if error.code() == Some("invalid_token") => Ok(()),
        outcome => outcome,
    }
}

/// Posts a form that the `oauth2` crate has no words for.
pub(super) async fn post(
    api: &ApiClient,
    operation: &'static str,
    place: Place,
    url: &Url,
    form: &[(&str, &str)],
) -> Result<Answer> {
    let api = ApiClient {
        classify: place.classify(),
        ..api.clone()
    };
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let answer = api
        .answer(request(operation, url.clone(), form.into_bytes()))
        .await?;
    // Some servers refuse with 200.
    match refusal(&answer.body) {
        Some(refusal) => Err(explain(refusal, place).with_operation(operation)),
        None => Ok(answer),
    }
}

/// [`post`] at a token endpoint.
pub(super) async fn ask(
    api: &ApiClient,
    operation: &'static str,
    place: Place,
    url: &Url,
    form: &[(&str, &str)],
) -> Result<Tokens> {
    let asked_at = api.clock.now();
    let answer = post(api, operation, place, url, form).await?;
    let undocumented = |message| protocol(message).with_operation(operation);
    let tokens: TokenAnswer = answer
        .json()
        .ok_or_else(|| undocumented("the token endpoint's answer is not the documented one"))?;
    if tokens.access_token.secret().is_empty() {
        return Err(undocumented("the token endpoint answered without a token"));
    }
    Ok(Tokens {
        answer: tokens,
        asked_at,
        answered_at: answer.date().unwrap_or_else(|| api.clock.now()),
    })
}

fn request(operation: &'static str, url: Url, form: Vec<u8>) -> ApiRequest {
    // Repeating is right even for a code: if the first request was answered and the answer lost, the second is refused,
    // and without it there would be no token either.
    ApiRequest::new(
        operation,
        Method::POST,
        url,
        Cost::requests(1),
        Replay::Idempotent,
    )
    .unauthorized()
    .with_header(ACCEPT, HeaderValue::from_static("application/json"))
    .with_content(
        HeaderValue::from_static("application/x-www-form-urlencoded"),
        form,
    )
    .with_answer_limit(ANSWER_LIMIT)
}

/// Lets the `oauth2` crate send through our loop, whose errors are classified already.
struct Adapter<'a> {
    api: &'a ApiClient,
    operation: &'static str,
    place: Place,
    asked_at: DateTime<Utc>,
    answered_at: Mutex<Option<DateTime<Utc>>>,
}

impl<'a> Adapter<'a> {
    fn new(api: &'a ApiClient, operation: &'static str, place: Place) -> Self {
        Self {
            api,
            operation,
            place,
            asked_at: api.clock.now(),
            answered_at: Mutex::new(None),
        }
    }

    async fn send(&self, outgoing: HttpRequest) -> Result<HttpResponse> {
        let url = Url::parse(&outgoing.uri().to_string()).map_err(|error| {
            Error::new(ErrorKind::Configuration, "the token endpoint is no address")
                .with_source(error)
        })?;
        let answer = self
            .api
            .answer(request(self.operation, url, outgoing.into_body()))
            .await?;
        let date = answer.date();
        *self
            .answered_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = date;
        // Some servers refuse with 200.
        if let Some(refusal) = refusal(&answer.body) {
            return Err(explain(refusal, self.place).with_operation(self.operation));
        }
        // The crate wants 200 and is particular about the media type; the body's shape is what counts.
        Ok(HttpResponse::new(answer.body.to_vec()))
    }

    fn tokens(
        self,
        answer: Result<TokenAnswer, RequestTokenError<Error, BasicErrorResponse>>,
    ) -> Result<Tokens> {
        let answer = answer.map_err(|error| match error {
            RequestTokenError::Request(error) => error,
            // These hold the answer, and with it perhaps the tokens.
            RequestTokenError::Parse(..)
            | RequestTokenError::ServerResponse(_)
            | RequestTokenError::Other(_) => {
                protocol("the token endpoint's answer is not the documented one")
                    .with_operation(self.operation)
            }
        })?;
        if oauth2::TokenResponse::access_token(&answer)
            .secret()
            .is_empty()
        {
            return Err(protocol("the token endpoint answered without a token")
                .with_operation(self.operation));
        }
        let answered_at = self
            .answered_at
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Tokens {
            answer,
            asked_at: self.asked_at,
            answered_at: answered_at.unwrap_or_else(|| self.api.clock.now()),
        })
    }
}

impl<'c> AsyncHttpClient<'c> for Adapter<'_> {
    type Error = Error;
    type Future = BoxFuture<'c, Result<HttpResponse>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// A successful answer (RFC 6749 §5.1), tolerant in everything but the token itself: numbers come as text, and fields
/// are missing or null.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    access_token: oauth2::AccessToken,
    #[serde(default, deserialize_with = "lenient")]
    token_type: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "lenient")]
    refresh_token: Option<RefreshToken>,
    #[serde(default, deserialize_with = "seconds")]
    refresh_token_expires_in: Option<Duration>,
    #[serde(default, deserialize_with = "words")]
    scope: Option<Vec<Scope>>,
    #[serde(default, deserialize_with = "lenient")]
    id_token: Option<Secret>,
}

impl Tokens {
    /// The answer as a credential.
    pub(super) fn credential(&self) -> Credential {
        let answer = &self.answer;
        let mut credential = Credential::default();
        credential.access_token = Some(Secret::new(answer.access_token.secret().clone()));
        credential.expires_at = self.end(answer.expires_in);
        credential.obtained_at = Some(self.asked_at);
        credential.refresh_token = answer
            .refresh_token
            .as_ref()
            .filter(|token| !token.secret().is_empty())
            .map(|token| Secret::new(token.secret().clone()));
        credential.refresh_token_expires_at = self.end(answer.refresh_token_expires_in);
        credential.token_type.clone_from(&answer.token_type);
        credential
    }

    /// What was granted, where the answer says so.
    pub(super) fn scopes(&self) -> Option<Vec<String>> {
        let scopes = self.answer.scope.as_ref()?;
        Some(scopes.iter().map(|scope| scope.to_string()).collect())
    }

    pub(super) fn id_token(&self) -> Option<&Secret> {
        self.answer.id_token.as_ref()
    }

    /// A life that began when the answer was asked for: late is the side to err on.
    fn end(&self, life: Option<Duration>) -> Option<DateTime<Utc>> {
        let life = TimeDelta::from_std(life?).ok()?;
        self.asked_at.checked_add_signed(life)
    }
}

impl oauth2::TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &oauth2::AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scope.as_ref()
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenAnswer(..)")
    }
}

/// The `oauth2` crate asks that its answers can be written, and never writes one. This one must not be.
impl Serialize for TokenAnswer {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("a token answer is not written"))
    }
}

/// The value if it is of the right shape; a token answer is not refused for a detail.
pub(super) fn lenient<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

pub(super) fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let seconds = match &value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    let text: Option<String> = lenient(deserializer)?;
    Ok(text.map(|text| {
        let words = text.split_whitespace();
        words.map(|word| Scope::new(word.to_owned())).collect()
    }))
}
