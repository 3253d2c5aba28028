//! graph-rs-sdk: its pages, one after another, into the floor's types; it has none of its own for messages.

use futures_util::StreamExt;
use graph_rs_sdk::{GraphClient, GraphClientConfiguration, ODataQuery};

use super::floor::{Page, SELECT};
use super::{Kind, Result, Task, unsupported};
use crate::measure::{Measured, Meter};

pub async fn run(task: Task<'_>) -> Result<Measured> {
    let configuration = GraphClientConfiguration::new()
        .access_token("token")
        .https_only(false);
    let mut graph = GraphClient::from(configuration);
    graph.use_test_endpoint(&task.server.join("v1.0")?);
    let mut meter = Meter::start();
    let request = match task.kind {
        Kind::Graph(size) => {
            let list = graph.me().mail_folder("inbox").messages().list_messages();
            list.select(&[SELECT]).top(size.to_string())
        }
        Kind::GraphDelta(size) => {
            let delta = graph.me().mail_folder("inbox").messages().delta();
            let prefer: http::HeaderValue = format!("odata.maxpagesize={size}").parse()?;
            delta
                .select(&[SELECT])
                .header(http::header::HeaderName::from_static("prefer"), prefer)
        }
        Kind::Gmail | Kind::GmailQuota(_) => return Err(unsupported(task)),
    };
    let mut pages = request.paging().stream::<Page>()?;
    let mut delta = None;
    while let Some(page) = pages.next().await {
        let page = page?.into_body()?;
        delta = page.delta;
        for item in page.value {
            item.count(&mut meter, task.reading);
        }
    }
    drop(pages);
    if let Some(link) = delta {
        let link: url::Url = link.parse()?;
        let mut path = link.clone();
        path.set_query(None);
        graph.use_test_endpoint(&path);
        let mut request = graph.custom(http::Method::GET, None);
        for (name, value) in link.query_pairs() {
            request = request.append_query_pair(name, value);
        }
        let answer = request.send().await?;
        let page: Page = answer.json().await?;
        assert!(page.value.is_empty(), "nothing has changed");
    }
    Ok(meter.stop())
}
