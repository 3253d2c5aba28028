//! A host on the user's own machine receives the end of a sign-in, whatever else browsers and others send there.

use postroom::oauth::{Authorization, LoopbackReceiver, OAuthFlow, SignInOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends these bytes and gives what comes back, if anything.
async fn send(receiver: &str, bytes: &[u8]) -> String {
    let address = receiver.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A refused sender may find the connection closed while it is still writing.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn visit(receiver: &str, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n");
    send(receiver, request.as_bytes()).await
}

#[tokio::test]
async fn the_callback_is_received_and_its_user_sees_a_page() {
    let receiver = LoopbackReceiver::bind().await.unwrap();
    let address = receiver.redirect_uri();
    assert!(address.starts_with("http://127.0.0.1:"));
    assert_eq!(
        receiver.localhost_redirect_uri(),
        address.replace("127.0.0.1", "localhost")
    );
    let browser = tokio::spawn({
        let address = address.clone();
        async move { visit(&address, "/?state=s&code=4%2Fc").await }
    });
    let callback = receiver.receive().await.unwrap();
    assert_eq!(callback.as_str(), format!("{address}/?state=s&code=4%2Fc"));
    let page = browser.await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("close this page"), "{page}");
    assert!(page.contains("Cache-Control: no-store"), "{page}");
    assert!(!page.contains("4%2Fc") && !page.contains("4/c"), "{page}");
}

#[tokio::test]
async fn nothing_but_the_callback_ends_the_wait() {
    let receiver = LoopbackReceiver::bind().await.unwrap();
    let address = receiver.redirect_uri();
    let silent = TcpStream::connect(address.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let browser = tokio::spawn({
        let address = address.clone();
        async move {
            let favicon = visit(&address, "/favicon.ico").await;
            assert!(favicon.starts_with("HTTP/1.1 404"), "{favicon}");
            for target in ["/", "/?state=s", "/other?code=c&state=s", "/?x=code"] {
                let answer = visit(&address, target).await;
                assert!(answer.starts_with("HTTP/1.1 404"), "{target}: {answer}");
            }
            let long = vec![b'a'; 200_000];
            for bytes in [
                b"POST /?state=s&code=c HTTP/1.1\r\n\r\n".as_slice(),
                b"GET http://127.0.0.1/?state=s&code=c HTTP/1.1\r\n\r\n",
                b"GET /?state=s&code=c\r\n\r\n",
                b"\x16\x03\x01\x00\xee\r\n\r\n",
                b"\r\n\r\n",
                &long,
            ] {
                assert_eq!(send(&address, bytes).await, "");
            }
            let address = address.strip_prefix("http://").unwrap();
            drop(TcpStream::connect(address).await.unwrap());
            visit(
                &format!("http://{address}"),
                "/?error=access_denied&state=s",
            )
            .await
        }
    });
    let callback = receiver.receive().await.unwrap();
    assert_eq!(callback.query(), Some("error=access_denied&state=s"));
    let page = browser.await.unwrap();
    assert!(page.contains("not completed"), "{page}");
    drop(silent);
}

#[tokio::test]
async fn another_sign_ins_callback_is_turned_away() {
    let receiver = LoopbackReceiver::bind().await.unwrap();
    let address = receiver.redirect_uri();
    let flow = OAuthFlow::google("client").build().unwrap();
    let options = SignInOptions::new().redirect_uri(receiver.redirect_uri());
    let Authorization { url, pending, .. } = flow.authorize_with(options).unwrap();
    let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
    let right = format!("/?state={state}&code=c");
    let browser = tokio::spawn(async move {
        for target in ["/?state=forged&code=c", "/?code=c", "/?error=access_denied"] {
            let page = visit(&address, target).await;
            assert!(page.starts_with("HTTP/1.1 400"), "{target}: {page}");
        }
        visit(&address, &right).await
    });
    let callback = receiver.receive_for(&pending).await.unwrap();
    assert!(pending.is_answered_by(&callback));
    assert!(browser.await.unwrap().starts_with("HTTP/1.1 200"));
}
