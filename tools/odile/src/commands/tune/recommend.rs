//! `odile tune recommend`: from a measured line to flags and settings.

use std::path::Path;

use serde_json::json;

use super::advice::{Advice, Kind, SocketLimits, advise};
use super::link::Link;
use super::machine::Machine;
use super::value::{Shape, Value};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table, clean};

pub fn run(context: &Context, machine: &Machine, file: &Path) -> Result<Exit, Failure> {
    let link = Link::load(file)?;
    let limits = SocketLimits { receive: most_of(machine, "tcp_rmem"), send: most_of(machine, "tcp_wmem") };
    let advice = advise(&link, limits);
    let mut lines: Vec<&str> = advice.iter().filter_map(|advice| advice.partner_file.as_deref()).collect();
    lines.dedup();
    let partner_file = (!lines.is_empty()).then(|| format!("[session]\n{}\n", lines.join("\n")));
    if context.is_json() {
        output::json(&json!({
            "format": "odile-tune-recommend-1",
            "target": link.target,
            "recommendations": advice,
            "partner_file": partner_file,
        }));
        return Ok(Exit::Done);
    }
    let target = clean(&link.target);
    output::line(&format!("{target}: {} measurements", link.runs.len()));
    print(&advice);
    if let Some(text) = partner_file {
        output::line(&format!("\nin the partner's file:\n{}", text.trim_end()));
    }
    Ok(Exit::Done)
}

fn print(advice: &[Advice]) {
    if advice.is_empty() {
        output::line("nothing follows from these numbers; `odile link test --sweep` tries more");
        return;
    }
    let mut table = Table::new(&[("do", Align::Left), ("about", Align::Left), ("how", Align::Left)]);
    for one in advice {
        let word = match one.kind {
            Kind::Set => "set",
            Kind::Keep => "keep",
            Kind::Measure => "measure",
        };
        table.row([word.to_owned(), one.what.to_owned(), one.how.clone()]);
        table.row([String::new(), String::new(), format!("  {}", one.reason)]);
    }
    table.print();
}

/// The third number: the most that a connection gets.
fn most_of(machine: &Machine, name: &str) -> Option<u64> {
    let text = machine.read(&format!("/proc/sys/net/ipv4/{name}")).ok()?;
    match Value::parse(Shape::Triple, &text)? {
        Value::Triple(numbers) => numbers.last().copied(),
        _ => None,
    }
}
