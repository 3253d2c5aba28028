//! The pages that a person sees in the browser: choosing an account and allowing or refusing what is asked,
//! and the vendors' own error pages. Which page is shown when is left to `google` and `microsoft`.

use axum::response::{Html, IntoResponse as _, Response};
use html_escape::{encode_double_quoted_attribute as attribute, encode_text as text};
use http::StatusCode;

/// What a consent page shows.
pub(super) struct ConsentPage<'a> {
    /// "Google" or "Microsoft".
    pub(super) service: &'a str,
    /// The client's registered name.
    pub(super) application: &'a str,
    /// Address and name of each account that can be chosen.
    pub(super) accounts: Vec<(String, String)>,
    /// The address that is chosen already.
    pub(super) hint: Option<String>,
    /// What is asked: value, words, and whether a person may leave the box unticked.
    pub(super) asked: Vec<(String, String, bool)>,
    /// Where the form goes: this page's own path and query, so that nothing is kept between the two.
    pub(super) action: String,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem;color:#222}\
    fieldset{border:1px solid #ccc;border-radius:.5rem;margin:1rem 0}label{display:block;padding:.2rem 0}\
    button{font:inherit;padding:.4rem 1.2rem;margin-right:.6rem}small{color:#666}code{overflow-wrap:anywhere}";

fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head>\n\
         <body>{body}</body></html>\n",
        text(title)
    )
}

/// The page on which a person chooses an account and allows or refuses.
pub(super) fn consent(page: &ConsentPage<'_>) -> Response {
    let mut accounts = String::new();
    for (index, (address, name)) in page.accounts.iter().enumerate() {
        let chosen = page
            .hint
            .as_ref()
            .map_or(index == 0, |hint| hint.eq_ignore_ascii_case(address));
        accounts.push_str(&format!(
            "<label><input type=\"radio\" name=\"account\" value=\"{}\"{}> {} <small>{}</small></label>",
            attribute(address),
            if chosen { " checked" } else { "" },
            text(name),
            text(address),
        ));
    }
    let mut asked = String::new();
    for (value, words, may_refuse) in &page.asked {
        asked.push_str(&if *may_refuse {
            format!(
                "<label><input type=\"checkbox\" name=\"scope\" value=\"{}\" checked> {}</label>",
                attribute(value),
                text(words)
            )
        } else {
            format!(
                "<label><input type=\"hidden\" name=\"scope\" value=\"{}\"> • {}</label>",
                attribute(value),
                text(words)
            )
        });
    }
    let body = format!(
        "<h1>Sign in with {service}</h1>\
         <p><small>This is the emulator of postroom: no real account, no password.</small></p>\
         <form method=\"post\" action=\"{action}\">\
         <fieldset><legend>Choose an account</legend>{accounts}</fieldset>\
         <fieldset><legend>{application} wants to</legend>{asked}</fieldset>\
         <button name=\"decision\" value=\"allow\">Allow</button>\
         <button name=\"decision\" value=\"cancel\">Cancel</button></form>",
        service = text(page.service),
        action = attribute(&page.action),
        application = text(page.application),
    );
    Html(document(&format!("Sign in – {}", page.service), &body)).into_response()
}

/// An error that the service shows itself and does not send back to the application.
pub(super) fn error(status: StatusCode, service: &str, code: &str, message: &str) -> Response {
    let body = format!(
        "<h1>Access blocked: authorization error</h1><p>{}</p><p>Error {}: <code>{}</code></p>",
        text(message),
        status.as_u16(),
        text(code),
    );
    let page = document(&format!("Error – {service}"), &body);
    (status, Html(page)).into_response()
}

/// A page that posts the answer on to the application, for `response_mode=form_post`.
pub(super) fn form_post(target: &str, fields: &[(String, String)]) -> Response {
    let mut inputs = String::new();
    for (name, value) in fields {
        inputs.push_str(&format!(
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            attribute(name),
            attribute(value)
        ));
    }
    let body = format!(
        "<form method=\"post\" action=\"{}\">{inputs}<noscript><button>Continue</button></noscript></form>\
         <script>document.forms[0].submit()</script>",
        attribute(target)
    );
    Html(document("Working…", &body)).into_response()
}

/// The page on which a person types the code that another machine shows.
pub(super) fn type_code(service: &str) -> Response {
    let body = "<h1>Enter code to allow access</h1><form method=\"get\"><input name=\"otc\" autofocus> \
                <button>Next</button></form>";
    Html(document(&format!("Enter code – {service}"), body)).into_response()
}

/// A page that says something and asks nothing.
pub(super) fn notice(service: &str, message: &str) -> Response {
    let body = format!("<h1>{}</h1><p>{}</p>", text(service), text(message));
    Html(document(service, &body)).into_response()
}
