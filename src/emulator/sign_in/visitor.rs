//! A person at the consent page, for tests: opens the authorize URL, fills in the form and comes back with
//! the URL that the browser would go to next. It goes through the same routes as a browser.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request, Response, header};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use url::Url;

use super::super::State;
use super::scope;

/// What the person does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice<'a> {
    /// Chooses this account and allows everything that is asked.
    Allow(&'a str),
    /// Chooses this account and leaves only these boxes ticked.
    Only(&'a str, &'a [&'a str]),
    /// Says no.
    Decline,
}

/// The largest page that is read.
const PAGE_LIMIT: usize = 1 << 20;

/// Goes to `authorize_url`, chooses, and returns where the answer leads. The callback is not visited.
pub(crate) async fn visit(
    state: &Arc<State>,
    authorize_url: &Url,
    choice: Choice<'_>,
) -> io::Result<Url> {
    // The host may be written as a name or a number; the port says whose server it is.
    let port = authorize_url.port_or_known_default();
    let google = state.google.base_url.port_or_known_default() == port;
    if !google && state.microsoft.base_url.port_or_known_default() != port {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the authorize URL is of another server",
        ));
    }
    let routes = if google {
        super::google(state)
    } else {
        super::microsoft(state)
    };
    let target = match authorize_url.query() {
        Some(query) => format!("{}?{query}", authorize_url.path()),
        None => authorize_url.path().to_owned(),
    };
    let page = call(&routes, Method::GET, &target, String::new()).await?;
    if page.status().is_redirection() {
        return location(&page);
    }
    if !page.status().is_success() {
        return Err(shown(page).await);
    }
    let body = to_bytes(page.into_body(), PAGE_LIMIT)
        .await
        .map_err(io::Error::other)?;
    let form = fill_in(&String::from_utf8_lossy(&body), choice);
    let answer = call(&routes, Method::POST, &target, form).await?;
    if answer.status().is_redirection() {
        location(&answer)
    } else {
        Err(shown(answer).await)
    }
}

/// Types a code that a machine without a browser shows, and chooses.
pub(crate) async fn visit_device(
    state: &Arc<State>,
    user_code: &str,
    choice: Choice<'_>,
) -> io::Result<()> {
    let routes = super::microsoft(state);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("otc", user_code)
        .finish();
    let target = format!("/common/oauth2/deviceauth?{query}");
    let page = call(&routes, Method::GET, &target, String::new()).await?;
    if !page.status().is_success() {
        return Err(shown(page).await);
    }
    let body = to_bytes(page.into_body(), PAGE_LIMIT)
        .await
        .map_err(io::Error::other)?;
    let form = fill_in(&String::from_utf8_lossy(&body), choice);
    let answer = call(&routes, Method::POST, &target, form).await?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(shown(answer).await)
    }
}

/// The page's form as the person leaves it.
fn fill_in(page: &str, choice: Choice<'_>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    let ticked: Box<dyn Fn(&str) -> bool> = match choice {
        Choice::Decline => {
            form.append_pair("decision", "cancel");
            Box::new(|_| true)
        }
        Choice::Allow(account) => {
            form.append_pair("account", account)
                .append_pair("decision", "allow");
            Box::new(|_| true)
        }
        Choice::Only(account, scopes) => {
            form.append_pair("account", account)
                .append_pair("decision", "allow");
            let wanted: Vec<&str> = scopes
                .iter()
                .map(|name| {
                    scope::google(name)
                        .or_else(|| scope::microsoft(name))
                        .unwrap_or(name)
                })
                .collect();
            Box::new(move |name| wanted.contains(&name))
        }
    };
    for input in page.split("<input ").skip(1) {
        let tag = input.split('>').next().unwrap_or_default();
        let attribute = |name: &str| {
            let (_, rest) = tag.split_once(&format!("{name}=\""))?;
            let (value, _) = rest.split_once('"')?;
            Some(html_escape::decode_html_entities(value).into_owned())
        };
        if attribute("name").as_deref() != Some("scope") {
            continue;
        }
        let value = attribute("value").unwrap_or_default();
        if attribute("type").as_deref() == Some("hidden") || ticked(&value) {
            form.append_pair("scope", &value);
        }
    }
    form.finish()
}

async fn call(
    routes: &Router,
    method: Method,
    target: &str,
    form: String,
) -> io::Result<Response<Body>> {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .map_err(io::Error::other)?;
    match TowerToHyperService::new(routes.clone()).call(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

fn location(response: &Response<Body>) -> io::Result<Url> {
    let target = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    Url::parse(target).map_err(io::Error::other)
}

/// What the page says instead of leading anywhere.
async fn shown(response: Response<Body>) -> io::Error {
    let status = response.status();
    let body = to_bytes(response.into_body(), PAGE_LIMIT)
        .await
        .unwrap_or_default();
    let page = String::from_utf8_lossy(&body).into_owned();
    let code = page
        .split("<code>")
        .nth(1)
        .and_then(|rest| rest.split("</code>").next())
        .unwrap_or("a page without a redirect");
    io::Error::other(format!("the sign-in page answered {status}: {code}"))
}
