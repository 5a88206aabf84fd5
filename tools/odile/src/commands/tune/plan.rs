//! What `apply` would write where, and what it leaves to the person.

use serde::Serialize;

use super::compare::{Row, State};
use super::look::Written;
use super::machine::{Machine, choose, chosen, effective};
use super::setting::sysctl_path;
use super::state::{Entry, Twin};

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    pub entries: Vec<Entry>,
    pub left: Vec<Left>,
}

/// What differs, and cannot be changed by writing to a file.
#[derive(Debug, Serialize)]
pub struct Left {
    pub setting: String,
    pub found: String,
    pub wanted: String,
    pub why: String,
    pub change: String,
}

impl Plan {
    /// For all rows that differ.
    pub fn of(machine: &Machine, rows: &[Row]) -> Self {
        let mut plan = Self::default();
        for row in rows.iter().filter(|row| row.state == State::Differs) {
            if let Err(why) = plan.add(machine, row) {
                plan.left.push(Left {
                    setting: row.setting.clone(),
                    found: row.found.clone(),
                    wanted: row.wanted.clone(),
                    why,
                    change: row.change.clone(),
                });
            }
        }
        plan
    }

    fn add(&mut self, machine: &Machine, row: &Row) -> Result<(), String> {
        if row.look.files.is_empty() {
            return Err("no file of the kernel changes it".to_owned());
        }
        let mut entries = Vec::new();
        for Written { path, text } in &row.look.files {
            let target = row.want.wish.target(text, row.look.offered.as_deref())?;
            if effective(text) == effective(&target) {
                continue;
            }
            let after = if chosen(text).is_some() { choose(text, &target) } else { format!("{target}\n") };
            let twin = match row.look.twin {
                Some(name) => {
                    let path = sysctl_path(name);
                    let before = machine.read(&path).map_err(|error| format!("{path}: {error}"))?;
                    Some(Twin { path, before })
                }
                None => None,
            };
            entries.push(Entry {
                setting: row.setting.clone(),
                path: path.clone(),
                before: text.clone(),
                after,
                twin,
            });
        }
        self.entries.extend(entries);
        Ok(())
    }
}

/// The line that makes a value last over a restart: one of sysctl.d, or one of tmpfiles.d in a comment.
pub fn lasting(entry: &Entry) -> String {
    let value = effective(&entry.after);
    if entry.path == sysctl_path(&entry.setting) {
        format!("{} = {value}", entry.setting)
    } else {
        format!("# for a file in /etc/tmpfiles.d: w {} - - - - {value}", entry.path)
    }
}
