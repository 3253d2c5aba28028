//! What the default transport puts on the wire, seen by a server that reads it byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::time::Duration;

use futures_util::TryStreamExt;
use http::{Method, Request};
use postroom::Content;
use postroom::Delivery;
use postroom::http::{ReqwestTransport, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Serves one request: gives its bytes up to `end`, after answering with `answer`.
async fn serve_one(listener: TcpListener, end: &'static str, answer: &'static str) -> String {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).ends_with(end) {
        assert!(
            connection.read_buf(&mut received).await.unwrap() > 0,
            "the request broke off"
        );
    }
    connection.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(received).unwrap()
}

async fn exchange(
    method: Method,
    content: Content,
    end: &'static str,
    answer: &'static str,
) -> (String, http::Response<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve_one(listener, end, answer));
    let mut request = Request::new(content);
    *request.method_mut() = method;
    *request.uri_mut() = format!("http://{address}/path?q=1").parse().unwrap();
    let response = ReqwestTransport::new()
        .unwrap()
        .send(request)
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    let body: Vec<_> = body.try_collect().await.unwrap();
    (
        server.await.unwrap().to_lowercase(),
        http::Response::from_parts(head, body.concat()),
    )
}

#[tokio::test]
async fn an_empty_post_says_so_and_a_get_says_nothing() {
    let done = "HTTP/1.1 204 No Content\r\n\r\n";
    let (post, _) = exchange(Method::POST, Content::empty(), "\r\n\r\n", done).await;
    assert!(post.contains("\r\ncontent-length: 0\r\n"), "{post}");
    let (get, _) = exchange(Method::GET, Content::empty(), "\r\n\r\n", done).await;
    assert!(!get.contains("content-length"), "{get}");
    assert!(get.starts_with("get /path?q=1 http/1.1\r\n"), "{get}");
}

#[tokio::test]
async fn a_streamed_body_has_its_length_and_is_not_chunked() {
    let content = Content::concatenate(vec![b"one ".to_vec().into(), b"two".to_vec().into()]);
    let (put, _) = exchange(
        Method::PUT,
        content,
        "one two",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert!(
        put.contains("\r\ncontent-length: 7\r\n") && !put.contains("transfer-encoding"),
        "{put}"
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let answer = "HTTP/1.1 308 Resume Incomplete\r\nlocation: /elsewhere\r\nrange: bytes=0-1\r\ncontent-length: 0\r\n\r\n";
    let (_, response) = exchange(Method::PUT, Content::from_bytes("ab"), "ab", answer).await;
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()["range"], "bytes=0-1");
}

#[tokio::test]
async fn a_silent_service_is_given_up_and_may_have_done_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut request = Request::new(Content::empty());
    *request.uri_mut() = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let transport = ReqwestTransport::builder()
        .read_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let error = transport.send(request).await.err().unwrap();
    assert_eq!(error.delivery(), Delivery::Unknown);

    let free = listener.local_addr().unwrap();
    drop(listener);
    let mut request = Request::new(Content::empty());
    *request.uri_mut() = format!("http://{free}/").parse().unwrap();
    let error = transport.send(request).await.err().unwrap();
    assert_eq!(error.delivery(), Delivery::NotSent);
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_breaks_its_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut request = Request::new(Content::empty());
    *request.uri_mut() = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let transport = ReqwestTransport::builder()
        .read_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\n") {
            connection.read_buf(&mut received).await.unwrap();
        }
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await
            .unwrap();
        connection
    });
    let response = transport.send(request).await.unwrap();
    let read: Result<Vec<_>, _> = response.into_body().try_collect().await;
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop(server.await.unwrap());
}

#[tokio::test]
async fn whoever_waits_for_ever_may_send_as_much_as_anybody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = tokio::spawn(serve_one(listener, "the end", answer));
    let mut long = vec![b' '; 1024 * 1024];
    long.extend(b"the end");
    let mut request = Request::new(Content::from_bytes(long));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("http://{address}/").parse().unwrap();
    let transport = ReqwestTransport::builder()
        .read_timeout(Duration::MAX)
        .build()
        .unwrap();
    let response = transport.send(request).await.unwrap();
    let read: Vec<_> = response.into_body().try_collect().await.unwrap();
    assert_eq!(read.concat(), b"ok");
    server.await.unwrap();
}
