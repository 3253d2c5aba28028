//! What of a message every client must have read alike, and how it is decoded from the vendor's JSON by those who leave that
//! to their users.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::{Address, MessageParser, MimeHeaders};

/// A message as all clients must see it.
#[derive(Debug, Default, Hash, PartialEq, Eq)]
pub struct Fields {
    pub id: String,
    pub thread: String,
    /// Gmail's labels but `UNREAD`, Outlook's folder.
    pub folders: Vec<String>,
    pub categories: Vec<String>,
    pub seen: bool,
    /// Seconds since 1970.
    pub received: i64,
    pub sent: i64,
    pub size: u64,
    pub preview: String,
    pub subject: String,
    pub from: Vec<(String, String)>,
    pub to: Vec<(String, String)>,
    pub cc: Vec<(String, String)>,
    pub message_id: String,
    pub in_reply_to: Vec<String>,
    pub references: Vec<String>,
    pub text: Option<String>,
    pub html: Option<String>,
    pub attachments: Vec<(String, String, u64)>,
}

/// A part of a message as Gmail parses it, in whichever type.
pub trait Part: Sized {
    fn media_type(&self) -> &str;
    fn file_name(&self) -> &str;
    fn headers(&self) -> impl Iterator<Item = (&str, &str)>;
    fn bytes(&self) -> Option<Vec<u8>>;
    fn size(&self) -> u64;
    fn parts(&self) -> &[Self];
}

/// The headers that are decoded.
const DECODED: [&str; 10] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
];

impl Fields {
    /// Decodes what stands in a message's MIME tree.
    pub fn read(&mut self, root: &impl Part) {
        let mut block = String::new();
        for (name, value) in root.headers() {
            if DECODED.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                for text in [name, ": ", value, "\r\n"] {
                    block.push_str(text);
                }
            }
        }
        block.push_str("\r\n");
        if let Some(parsed) = MessageParser::new().parse_headers(block.as_bytes()) {
            self.subject = parsed.subject().unwrap_or_default().to_owned();
            self.from = people(parsed.from());
            self.to = people(parsed.to());
            self.cc = people(parsed.cc());
            self.message_id = parsed.message_id().unwrap_or_default().to_owned();
            self.in_reply_to = texts(parsed.in_reply_to());
            self.references = texts(parsed.references());
            self.sent = parsed
                .date()
                .map(mail_parser::DateTime::to_timestamp)
                .unwrap_or_default();
        }
        self.read_part(root);
    }

    fn read_part(&mut self, part: &impl Part) {
        for child in part.parts() {
            self.read_part(child);
        }
        if part.media_type().starts_with("multipart/") {
            return;
        }
        if !part.file_name().is_empty() {
            let attachment = (
                part.file_name().to_owned(),
                part.media_type().to_owned(),
                part.size(),
            );
            self.attachments.push(attachment);
            return;
        }
        let Some(bytes) = part.bytes() else { return };
        let text = decoded(bytes, part);
        match part.media_type() {
            "text/plain" => self.text = Some(text),
            "text/html" => self.html = Some(text),
            _ => {}
        }
    }
}

fn decoded(bytes: Vec<u8>, part: &impl Part) -> String {
    let content_type = part
        .headers()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let header = content_type.map(|(_, value)| format!("Content-Type: {value}\r\n\r\n"));
    let parsed = header
        .as_ref()
        .and_then(|header| MessageParser::new().parse_headers(header.as_bytes()));
    let charset = parsed
        .as_ref()
        .and_then(|parsed| parsed.content_type()?.attribute("charset"));
    match charset {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => {
            match charset_decoder(charset.as_bytes()) {
                Some(decode) => decode(&bytes),
                None => String::from_utf8_lossy(&bytes).into_owned(),
            }
        }
        _ => String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

fn people(list: Option<&Address<'_>>) -> Vec<(String, String)> {
    let people = list.into_iter().flat_map(Address::iter);
    people
        .map(|person| {
            let name = person.name().unwrap_or_default().to_owned();
            (name, person.address().unwrap_or_default().to_owned())
        })
        .collect()
}

fn texts(value: &mail_parser::HeaderValue<'_>) -> Vec<String> {
    let texts = value.as_text_list().unwrap_or_default();
    texts.iter().map(|text| text.to_string()).collect()
}

/// Gmail's base64, padded or not.
pub fn base64url(text: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ENGINE.decode(text).ok()
}

/// Gmail's previews are escaped as HTML.
pub fn unescaped(snippet: &str) -> String {
    html_escape::decode_html_entities(snippet).into_owned()
}

/// Labels that are folders, and whether the message was seen.
pub fn labels(labels: impl IntoIterator<Item = String>) -> (Vec<String>, bool) {
    let mut seen = true;
    let mut folders = Vec::new();
    for label in labels {
        if label == "UNREAD" {
            seen = false;
        } else {
            folders.push(label);
        }
    }
    (folders, seen)
}

/// An instant as Graph writes it.
pub fn instant(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).map_or(0, |at| at.timestamp())
}
