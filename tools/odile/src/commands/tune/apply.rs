//! `odile tune apply`: first what is there is saved, then it is changed.

use std::collections::BTreeSet;
use std::io;

use serde_json::{Value, json};

use super::compare::{Chosen, Row, compare};
use super::machine::{Machine, effective};
use super::plan::{Left, Plan, lasting};
use super::state::{self, Entry, State, StateFile};
use crate::cli::{StateArg, TuneApplyArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

pub fn run(context: &Context, machine: &Machine, args: &TuneApplyArgs) -> Result<Exit, Failure> {
    let Chosen { preset, why } = super::chosen(machine, &args.preset)?;
    let heading = super::heading(&preset.name, &preset.about, &why);
    let name = preset.name.clone();
    let rows = compare(machine, &super::place(context, args.path.as_deref()), preset);
    let plan = Plan::of(machine, &rows);
    let state_file = super::state_file(machine, &args.state);
    if args.print_sysctl {
        let saved = state::load(&state_file)?.unwrap_or_else(State::empty);
        print_lasting(context, &heading, &rows, &plan, &saved);
        return Ok(Exit::Done);
    }
    let is_changing = !args.dry_run && !plan.entries.is_empty();
    if is_changing {
        check_writable(machine, plan.entries.iter().map(|entry| entry.path.as_str()), "apply")?;
        let file = StateFile::make(&state_file)?;
        change(machine, &file, &plan.entries, &undo_command(&args.state))?;
    }
    if context.is_json() {
        let what = json!({
            "format": "odile-tune-apply-1",
            "preset": name,
            "dry_run": args.dry_run,
            "state_file": state_file,
            "changes": plan.entries.iter().map(shown).collect::<Vec<_>>(),
            "left_to_you": plan.left,
        });
        output::json(&what);
        return Ok(Exit::Done);
    }
    output::line(&heading);
    print(&plan, args.dry_run);
    if is_changing {
        output::line(&format!("what was there before is saved in {}", state_file.display()));
        output::line(&format!("`{}` puts it back", undo_command(&args.state)));
        output::line(
            "a restart of the machine ends these changes: `odile tune apply --print-sysctl` prints what makes them last",
        );
    }
    Ok(Exit::Done)
}

/// Whether all of them may be written, before the first one is.
///
/// # Errors
///
/// Which one may not, and what to do.
pub fn check_writable<'a>(
    machine: &Machine,
    paths: impl Iterator<Item = &'a str>,
    command: &str,
) -> Result<(), Failure> {
    for path in paths {
        machine.check_writable(path).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => format!("`odile tune {command}` must be run as root"),
                _ => "in a container, run it on the machine around it".to_owned(),
            };
            Failure::refused(format!("{path} may not be written to: {error}; {remedy}; nothing was changed"))
        })?;
    }
    Ok(())
}

/// Saves, then writes one after the other.
fn change(machine: &Machine, file: &StateFile, entries: &[Entry], undo: &str) -> Result<(), Failure> {
    let saved = file.load()?;
    let is_first = saved.is_none();
    let mut state = saved.unwrap_or_else(State::empty);
    for entry in entries {
        state.add(entry);
    }
    file.save(&state)?;
    let mut done: Vec<&str> = Vec::new();
    for entry in entries {
        if let Err(error) = write(machine, entry) {
            let before = if done.is_empty() {
                if is_first {
                    file.remove()?;
                }
                "nothing was changed".to_owned()
            } else {
                format!("changed before that: {}; `{undo}` puts it back", done.join(", "))
            };
            return Err(Failure::refused(format!(
                "{}: {} does not take {:?}: {error}; {before}; what comes after it was left alone",
                entry.setting,
                entry.path,
                effective(&entry.after)
            )));
        }
        done.push(&entry.setting);
    }
    Ok(())
}

fn write(machine: &Machine, entry: &Entry) -> io::Result<()> {
    machine.write(&entry.path, &entry.after)?;
    let now = effective(&machine.read(&entry.path)?);
    if now == effective(&entry.after) {
        return Ok(());
    }
    Err(io::Error::other(format!("it says {now:?} afterwards")))
}

fn print(plan: &Plan, dry_run: bool) {
    let verb = if dry_run { "would write" } else { "wrote" };
    for entry in &plan.entries {
        let (before, after) = (effective(&entry.before), effective(&entry.after));
        output::line(&format!("{verb} {}: {after} (was: {before})", entry.path));
        if let Some(twin) = &entry.twin {
            output::line(&format!(
                "  the kernel sets {} to 0 with it (was: {})",
                twin.path,
                effective(&twin.before)
            ));
        }
    }
    if plan.entries.is_empty() {
        output::line("nothing differs that can be changed here");
    }
    for Left { setting, found, wanted, why, change } in &plan.left {
        output::line(&format!("left to you: {setting} is {found}, wanted: {wanted}; {why}: {change}"));
    }
}

/// Without the white space that the file keeps.
fn shown(entry: &Entry) -> Value {
    json!({
        "setting": entry.setting,
        "path": entry.path,
        "before": effective(&entry.before),
        "after": effective(&entry.after),
    })
}

/// What would be changed, and what was changed earlier.
fn print_lasting(context: &Context, heading: &str, rows: &[Row], plan: &Plan, saved: &State) {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for entry in saved.entries.iter().chain(&plan.entries).rev() {
        if seen.insert(entry.path.clone()) {
            let row = rows.iter().find(|row| row.setting == entry.setting);
            let why = row.map_or("changed by an earlier `odile tune apply`", |row| row.why.as_str());
            lines.push((format!("# {why}"), lasting(entry)));
        }
    }
    lines.reverse();
    if context.is_json() {
        let lines: Vec<&String> = lines.iter().map(|(_, line)| line).collect();
        output::json(&json!({ "format": "odile-tune-sysctl-1", "lines": lines }));
        return;
    }
    for line in heading.lines() {
        output::line(&format!("# {line}"));
    }
    output::line("# put this into /etc/sysctl.d/90-odile.conf; `sysctl --system` reads it");
    for (why, line) in &lines {
        output::line(why);
        output::line(line);
    }
    if lines.is_empty() {
        output::line("# nothing differs, and nothing was changed");
    }
}

fn undo_command(arg: &StateArg) -> String {
    match &arg.file {
        Some(file) => format!("odile tune undo --state {}", file.display()),
        None => "odile tune undo".to_owned(),
    }
}
