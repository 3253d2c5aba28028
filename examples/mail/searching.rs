//! Searching, and saying how a search is done.

use clap::Args;
use postroom::{Exactness, Mailbox, QueryPlan};
use serde_json::json;

use crate::Failure;
use crate::messages::List;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Search {
    #[command(flatten)]
    list: List,
    /// Say what the service would be asked and what would be filtered here, and ask nothing
    #[arg(long)]
    explain: bool,
}

impl Search {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        if !self.explain {
            return self.list.run(mailbox, output).await;
        }
        let plan = mailbox.plan(&self.list.query()?)?;
        if output.is_json() {
            output.document(&document(&plan));
        } else {
            println!("{plan}");
        }
        Ok(())
    }
}

fn document(plan: &QueryPlan) -> serde_json::Value {
    let (exactness, filtered, why) = match &plan.exactness {
        Exactness::Exact => ("exact", None, None),
        Exactness::Superset { filtered } => ("superset", Some(filtered.to_string()), None),
        Exactness::Nothing => ("nothing", None, None),
        Exactness::Unsupported { why } => ("unsupported", None, Some(why)),
        _ => ("unknown", None, None),
    };
    json!({
        "exactness": exactness,
        "sent": plan.sent,
        "filtered": filtered,
        "reads": plan.reads(),
        "why": why,
        "remarks": plan.remarks,
    })
}
