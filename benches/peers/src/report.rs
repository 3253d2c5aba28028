//! Makes tables of what was measured, and tells which bars were reached.

use crate::clients::Kind;
use crate::measure::Measured;
use crate::server::{Counts, SAVED_UP, Settings};

/// One comparison.
pub struct Case {
    pub name: String,
    pub kind: Kind,
    pub settings: Settings,
    pub clients: &'static [&'static str],
}

/// One run of one client, from both sides.
pub struct Run {
    pub measured: Measured,
    pub counts: Counts,
}

/// A bar: what it is about, what came out, and what it may be.
pub struct Bar {
    what: String,
    value: f64,
    limit: f64,
    at_least: bool,
}

type Runs = [(&'static str, Vec<Run>)];

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn wall(run: &Run) -> f64 {
    run.measured.wall_seconds * 1e3
}

fn cpu(run: &Run) -> f64 {
    run.measured.cpu_seconds * 1e6 / run.measured.messages as f64
}

fn peak(run: &Run) -> f64 {
    run.measured.peak_kib as f64 / 1024.0
}

fn of(runs: &Runs, client: &str, value: impl Fn(&Run) -> f64) -> Option<f64> {
    let (_, runs) = runs.iter().find(|(name, _)| *name == client)?;
    Some(median(runs, value))
}

pub fn print(case: &Case, runs: &Runs) {
    println!("### {}\n", case.name);
    println!(
        "| client | wall ms | × | CPU µs a message | × | peak MiB | × | requests | units | refused |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (client, own) in runs {
        let ratio = |value: fn(&Run) -> f64| match of(runs, "floor", value) {
            Some(floor) => format!("{:.2}", median(own, value) / floor),
            None => String::new(),
        };
        println!(
            "| {client}{} | {:.0} | {} | {:.1} | {} | {:.1} | {} | {:.0} | {:.0} | {:.0} |",
            if own.len() == 1 { " (once)" } else { "" },
            median(own, wall),
            ratio(wall),
            median(own, cpu),
            ratio(cpu),
            median(own, peak),
            ratio(peak),
            median(own, |run| run.counts.requests as f64),
            median(own, |run| run.counts.units as f64),
            median(own, |run| run.counts.refused as f64),
        );
    }
    println!();
}

/// What of a case is a bar for this crate.
pub fn bars(case: &Case, runs: &Runs) -> Vec<Bar> {
    let ratio = |value: fn(&Run) -> f64, to: &str| {
        Some(of(runs, "postroom", value)? / of(runs, to, value)?)
    };
    let mut bars = Vec::new();
    let mut bar = |what: &str, value: Option<f64>, limit: f64, at_least: bool| {
        bars.extend(value.map(|value| Bar {
            what: format!("{}: {what}", case.name),
            value,
            limit,
            at_least,
        }));
    };
    match case.kind {
        Kind::Gmail if case.settings.latency_ms > 0 => {
            bar("wall, to the floor", ratio(wall, "floor"), 1.0, false);
            let by_sixteen = ratio(wall, "google-gmail1 by 16").map(f64::recip);
            if case.settings.inner_ms == 0 {
                bar(
                    "wall of google-gmail1 by 16, to postroom",
                    by_sixteen,
                    6.0,
                    true,
                );
            }
        }
        Kind::Gmail => {
            bar("CPU, to the floor", ratio(cpu, "floor"), 2.0, false);
            bar(
                "CPU, to the floor that decodes the same",
                ratio(cpu, "floor, every field"),
                1.3,
                false,
            );
            bar("CPU, to io-gmail", ratio(cpu, "io-gmail"), 1.0, false);
            bar(
                "peak memory, to the floor",
                ratio(peak, "floor"),
                1.5,
                false,
            );
        }
        Kind::Graph(_) if case.settings.latency_ms > 0 => {
            bar(
                "wall, to graph-rs-sdk",
                ratio(wall, "graph-rs-sdk"),
                0.5,
                false,
            );
        }
        Kind::Graph(_) => {
            bar("CPU, to the floor", ratio(cpu, "floor"), 2.0, false);
            bar(
                "CPU, to the floor that decodes the same",
                ratio(cpu, "floor, every field"),
                1.3,
                false,
            );
            bar(
                "peak memory, to the floor",
                ratio(peak, "floor"),
                1.5,
                false,
            );
        }
        Kind::GraphDelta(_) => {}
        Kind::GmailQuota(_) => {
            let own = |value: &dyn Fn(&Run) -> f64| of(runs, "postroom", value);
            let rate = case.settings.units_per_second.unwrap_or(f64::INFINITY);
            let permitted = |run: &Run| SAVED_UP + rate * run.counts.seconds;
            let used = own(&|run| run.counts.units as f64 / permitted(run));
            bar(
                "units used, to those permitted until done",
                used,
                0.97,
                true,
            );
            bar(
                "refusals",
                own(&|run| run.counts.refused as f64),
                0.0,
                false,
            );
            let units = own(&|run| run.counts.units as f64 / run.counts.optimum as f64);
            bar("units, to the fewest possible", units, 1.02, false);
        }
    }
    bars
}

/// Whether the memory grows with the mailbox, of which one had far more than this case's.
pub fn memory_bar(case: &Case, larger: &Runs, runs: &Runs) -> Option<Bar> {
    Some(Bar {
        what: format!("{}: peak memory of ten times as many, to these", case.name),
        value: of(larger, "postroom", peak)? / of(runs, "postroom", peak)?,
        limit: 1.1,
        at_least: false,
    })
}

pub fn print_bars(bars: &[Bar]) {
    println!("### Bars\n");
    println!("| what | reached | bar | |");
    println!("|---|--:|--:|---|");
    for bar in bars {
        let held = if bar.at_least {
            bar.value >= bar.limit
        } else {
            bar.value <= bar.limit
        };
        println!(
            "| {} | {:.2} | {} {} | {} |",
            bar.what,
            bar.value,
            if bar.at_least { "≥" } else { "≤" },
            bar.limit,
            if held { "yes" } else { "**no**" }
        );
    }
}
