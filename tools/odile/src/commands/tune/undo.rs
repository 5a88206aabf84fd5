//! `odile tune undo`: puts back what `apply` has found, the last change first.

use std::io;

use serde_json::json;

use super::apply::check_writable;
use super::machine::{Machine, effective};
use super::state::{Entry, State, StateFile};
use crate::cli::TuneUndoArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

/// What is to be done with an entry, or was.
#[derive(Debug)]
enum Verdict {
    /// It is as we have set it, or that does not matter.
    PutBack { found: String },
    /// It is as it was before.
    Already,
    /// Somebody else has set it since.
    Others { found: String },
    /// It cannot be read, or was not put back.
    Failed { error: String },
}

pub fn run(context: &Context, machine: &Machine, args: &TuneUndoArgs) -> Result<Exit, Failure> {
    let path = super::state_file(machine, &args.state);
    let nothing = || {
        let path = path.display();
        Failure::refused(format!(
            "there is nothing to undo: {path} is not there, where `odile tune apply` saves"
        ))
    };
    let file = StateFile::hold(&path)?.ok_or_else(nothing)?;
    let state = file.load()?.ok_or_else(nothing)?;
    let mut verdicts: Vec<(Entry, Verdict)> = state
        .entries
        .into_iter()
        .rev()
        .map(|entry| (entry.clone(), judge(machine, &entry, args.force)))
        .collect();
    if !args.dry_run {
        let is_due = |verdict: &Verdict| matches!(verdict, Verdict::PutBack { .. });
        let due = verdicts.iter().filter(|(_, verdict)| is_due(verdict));
        check_writable(machine, due.map(|(entry, _)| entry.path.as_str()), "undo")?;
        for (entry, verdict) in verdicts.iter_mut().filter(|(_, verdict)| is_due(verdict)) {
            if let Err(error) = put_back(machine, entry) {
                *verdict = Verdict::Failed { error: error.to_string() };
            }
        }
    }
    let is_left = |verdict: &Verdict| matches!(verdict, Verdict::Others { .. } | Verdict::Failed { .. });
    let left: Vec<Entry> = verdicts
        .iter()
        .rev()
        .filter(|(_, verdict)| is_left(verdict))
        .map(|(entry, _)| entry.clone())
        .collect();
    let exit = if left.is_empty() { Exit::Done } else { Exit::Refused };
    if !args.dry_run {
        if left.is_empty() {
            file.remove()?;
        } else {
            file.save(&State::of(left))?;
        }
    }
    if context.is_json() {
        let entries: Vec<_> = verdicts.iter().map(|(entry, verdict)| shown(entry, verdict)).collect();
        output::json(&json!({ "format": "odile-tune-undo-1", "dry_run": args.dry_run, "changes": entries }));
    } else {
        for (entry, verdict) in &verdicts {
            output::line(&line(entry, verdict, args.dry_run));
        }
        if exit == Exit::Refused && !args.dry_run {
            output::line(&format!("what was left is still in {}", path.display()));
        }
        if verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Others { .. })) {
            output::line("`odile tune undo --force` puts back also what somebody else has changed");
        }
    }
    Ok(exit)
}

fn judge(machine: &Machine, entry: &Entry, force: bool) -> Verdict {
    match machine.read(&entry.path).map(|text| effective(&text)) {
        Ok(found) if found == effective(&entry.before) => Verdict::Already,
        Ok(found) if force || found == effective(&entry.after) => Verdict::PutBack { found },
        Ok(found) => Verdict::Others { found },
        Err(error) => Verdict::Failed { error: error.to_string() },
    }
}

fn put_back(machine: &Machine, entry: &Entry) -> io::Result<()> {
    let wanted = effective(&entry.before);
    match &entry.twin {
        // The kernel does not take a 0: it writes one itself when the other setting is written.
        Some(twin) if wanted == "0" => {
            machine.write(&twin.path, &twin.before)?;
            if effective(&machine.read(&entry.path)?) != wanted {
                machine.write(&entry.path, &entry.before)?;
            }
        }
        _ => machine.write(&entry.path, &entry.before)?,
    }
    match effective(&machine.read(&entry.path)?) {
        now if now == wanted => Ok(()),
        now => Err(io::Error::other(format!("it says {now:?} afterwards"))),
    }
}

fn line(entry: &Entry, verdict: &Verdict, dry_run: bool) -> String {
    let (path, before) = (&entry.path, effective(&entry.before));
    match verdict {
        Verdict::PutBack { found } if dry_run => format!("would put back {path}: {before} (is: {found})"),
        Verdict::PutBack { found } => format!("put back {path}: {before} (was: {found})"),
        Verdict::Already => format!("nothing to do for {path}: it is {before}, as before"),
        Verdict::Others { found } => format!(
            "left {path}: somebody else has changed it to {found} (we set {}, before it was {before})",
            effective(&entry.after)
        ),
        Verdict::Failed { error } => format!("not put back {path}: {before}: {error}"),
    }
}

fn shown(entry: &Entry, verdict: &Verdict) -> serde_json::Value {
    let (outcome, found) = match verdict {
        Verdict::PutBack { found } => ("put back", found.clone()),
        Verdict::Already => ("as before", effective(&entry.before)),
        Verdict::Others { found } => ("left", found.clone()),
        Verdict::Failed { error } => ("failed", error.clone()),
    };
    json!({
        "setting": entry.setting,
        "path": entry.path,
        "outcome": outcome,
        "found": found,
        "before": effective(&entry.before),
        "after": effective(&entry.after),
    })
}
