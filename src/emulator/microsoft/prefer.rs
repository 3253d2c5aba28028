//! The `Prefer` header: which wishes Graph's mail API knows, and which of them it says it followed.
//! <https://learn.microsoft.com/en-us/graph/api/user-list-messages#request-headers>

use http::HeaderMap;

/// The wishes of one request. Others are passed over, as the header asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefer {
    pub(crate) immutable_ids: bool,
    pub(crate) text_body: bool,
    pub(crate) html_body: bool,
    pub(crate) unsafe_html: bool,
    pub(crate) page_size: Option<usize>,
}

impl Prefer {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        for value in headers.get_all("prefer") {
            for wish in value.to_str().unwrap_or_default().split(',') {
                let (name, value) = wish.split_once('=').unwrap_or((wish, ""));
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "idtype" => prefer.immutable_ids = value.eq_ignore_ascii_case("ImmutableId"),
                    "outlook.body-content-type" => {
                        prefer.text_body = value.eq_ignore_ascii_case("text");
                        prefer.html_body = value.eq_ignore_ascii_case("html");
                    }
                    "outlook.allow-unsafe-html" => prefer.unsafe_html = true,
                    "odata.maxpagesize" => prefer.page_size = value.parse().ok(),
                    _ => {}
                }
            }
        }
        prefer
    }

    /// The value of `Preference-Applied`.
    pub(crate) fn applied(&self) -> Option<String> {
        let mut applied = Vec::new();
        if self.immutable_ids {
            applied.push("IdType=\"ImmutableId\"".to_owned());
        }
        if self.text_body {
            applied.push("outlook.body-content-type=\"text\"".to_owned());
        }
        if self.html_body {
            applied.push("outlook.body-content-type=\"html\"".to_owned());
        }
        if self.unsafe_html {
            applied.push("outlook.allow-unsafe-html".to_owned());
        }
        if let Some(size) = self.page_size {
            applied.push(format!("odata.maxpagesize={size}"));
        }
        (!applied.is_empty()).then(|| applied.join(", "))
    }
}
