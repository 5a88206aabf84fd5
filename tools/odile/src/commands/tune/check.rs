//! `odile tune check`.

use serde_json::json;

use super::compare::{Chosen, Row, State, compare};
use super::machine::Machine;
use crate::cli::TuneCheckArgs;
use crate::context::{Context, Verbosity};
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};

pub fn run(context: &Context, machine: &Machine, args: &TuneCheckArgs) -> Result<Exit, Failure> {
    let chosen = super::chosen(machine, &args.preset)?;
    let Chosen { preset, why } = chosen;
    let (name, about) = (preset.name.clone(), preset.about.clone());
    let rows = compare(machine, &super::place(context, args.path.as_deref()), preset);
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    if context.is_json() {
        output::json(&json!({
            "format": "odile-tune-check-1",
            "preset": name,
            "about": about,
            "chosen_because": (!why.is_empty()).then_some(&why),
            "settings": rows,
        }));
    } else {
        output::line(&super::heading(&name, &about, &why));
        print(&rows, context.verbosity == Verbosity::Verbose);
        output::line(&format!(
            "good: {}, differs: {}, unknown: {}, cannot be read: {}",
            count(State::Good),
            count(State::Differs),
            count(State::Unknown),
            count(State::Unreadable)
        ));
        if count(State::Differs) > 0 {
            output::line("`odile tune apply --dry-run` shows what it would change");
        }
    }
    Ok(if count(State::Differs) > 0 { Exit::Refused } else { Exit::Done })
}

/// What is good needs a line only.
fn print(rows: &[Row], everything: bool) {
    let mut table = Table::new(&[("state", Align::Left), ("setting", Align::Left), ("found", Align::Left)]);
    for row in rows {
        let found = format!("{}; wanted: {}", row.found, row.wanted);
        table.row([row.state.word().to_owned(), row.setting.clone(), found]);
        if everything || row.state != State::Good {
            for (what, text) in [("why", &row.why), ("measure", &row.measure), ("change", &row.change)] {
                table.row([String::new(), format!("  {what}"), text.clone()]);
            }
        }
    }
    table.print();
}
