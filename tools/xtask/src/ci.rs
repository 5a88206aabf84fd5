//! `cargo xtask ci`: one step after the other, until one fails.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::packages::{WANTED, provide};
use crate::{cargo, run, works};

/// One step.
struct Step {
    heading: &'static str,
    work: Work,
}

/// What a step does.
enum Work {
    /// Installs what tests need of the system.
    SystemPackages,
    /// Runs cargo, and notes the tests that skip themselves.
    Tests { arguments: &'static [&'static str] },
    /// Runs cargo.
    Cargo {
        arguments: &'static [&'static str],
        environment: &'static [(&'static str, &'static str)],
        /// The part of the toolchain that must be installed for it.
        component: Option<Component>,
    },
}

/// A part of the toolchain that not every machine has.
struct Component {
    /// What to give to `cargo` to see whether it is there.
    probe: &'static [&'static str],
    /// What to give to `rustup component add`.
    name: &'static str,
}

/// How a step ended.
enum Outcome {
    Ok(Duration),
    Failed(Duration),
    NotRun,
}

/// Runs everything.
pub fn run_all() -> Result<(), String> {
    run_steps(STEPS)
}

/// Runs all steps, and tells at the end how each went.
fn run_steps(steps: &[Step]) -> Result<(), String> {
    let mut outcomes = Vec::new();
    let mut skipped = Vec::new();
    let mut failure = None;
    for (index, step) in steps.iter().enumerate() {
        if failure.is_some() {
            outcomes.push(Outcome::NotRun);
            continue;
        }
        println!("\n=== {}/{} {}", index + 1, steps.len(), step.heading);
        let start = Instant::now();
        let result = step.work.run(&mut skipped);
        let duration = start.elapsed();
        match result {
            Ok(()) => {
                println!("=== ok after {:.1} s", duration.as_secs_f64());
                outcomes.push(Outcome::Ok(duration));
            }
            Err(message) => {
                println!("=== failed after {:.1} s: {message}", duration.as_secs_f64());
                outcomes.push(Outcome::Failed(duration));
                failure = Some(format!("step {} failed: {}: {message}", index + 1, step.heading));
            }
        }
    }
    print!("\n{}{}", summary(steps, &outcomes), skips(&skipped));
    failure.map_or(Ok(()), Err)
}

impl Work {
    fn run(&self, skipped: &mut Vec<String>) -> Result<(), String> {
        match self {
            Self::SystemPackages => {
                skipped.extend(provide(WANTED));
                Ok(())
            }
            Self::Tests { arguments } => {
                println!("cargo {}", arguments.join(" "));
                run_watched(cargo().args(*arguments), |line| {
                    // The name of a test may stand before it.
                    if let Some((_, skip)) = line.split_once(SKIPPED) {
                        skipped.push(skip.to_owned());
                    }
                })
            }
            Self::Cargo { arguments, environment, component } => {
                if let Some(component) = component
                    && !works(cargo().args(component.probe))
                {
                    let name = component.name;
                    return Err(format!("{name} is missing: run `rustup component add {name}`"));
                }
                println!("cargo {}", arguments.join(" "));
                run(cargo().args(*arguments).envs(environment.iter().copied()))
            }
        }
    }
}

/// Runs a command; its standard output goes where ours goes, and past `look` line by line.
fn run_watched(command: &mut Command, mut look: impl FnMut(&str)) -> Result<(), String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let cannot = |error: std::io::Error| format!("cannot run {shown}: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(cannot)?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            look(&line);
        }
    }
    match child.wait().map_err(cannot)? {
        status if status.success() => Ok(()),
        status => Err(format!("{shown} ended with {status}")),
    }
}

fn skips(skipped: &[String]) -> String {
    if skipped.is_empty() {
        return "no test was skipped\n".to_owned();
    }
    let lines = skipped.iter().map(|skip| format!("  {skip}\n"));
    ["skipped:\n".to_owned()].into_iter().chain(lines).collect()
}

fn summary(steps: &[Step], outcomes: &[Outcome]) -> String {
    let width = steps.iter().map(|step| step.heading.len()).max().unwrap_or_default();
    let lines = steps.iter().zip(outcomes).map(|(step, outcome)| {
        let (seconds, word) = match outcome {
            Outcome::Ok(duration) => (format!("{:.1}", duration.as_secs_f64()), "ok"),
            Outcome::Failed(duration) => (format!("{:.1}", duration.as_secs_f64()), "FAILED"),
            Outcome::NotRun => ("-".to_owned(), "not run"),
        };
        format!("{:width$}  {seconds:>7}  {word}\n", step.heading)
    });
    [format!("{:width$}  seconds\n", "step")].into_iter().chain(lines).collect()
}

/// What stands in a line of standard output before the words by which a test tells that it skips itself.
const SKIPPED: &str = "skipped: ";

const STEPS: &[Step] = &[
    Step { heading: "packages of the system", work: Work::SystemPackages },
    Step {
        heading: "formatting",
        work: Work::Cargo {
            arguments: &["fmt", "--all", "--check"],
            environment: &[],
            component: Some(Component { probe: &["fmt", "--version"], name: "rustfmt" }),
        },
    },
    Step {
        heading: "lints",
        work: Work::Cargo {
            arguments: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
            environment: &[],
            component: Some(Component { probe: &["clippy", "--version"], name: "clippy" }),
        },
    },
    Step {
        // Of its own: tests start the program.
        heading: "build",
        work: Work::Cargo {
            arguments: &["build", "--workspace", "--locked"],
            environment: &[],
            component: None,
        },
    },
    Step { heading: "tests", work: Work::Tests { arguments: &["test", "--workspace", "--locked"] } },
    Step {
        heading: "documentation",
        work: Work::Cargo {
            arguments: &["doc", "--workspace", "--no-deps", "--locked"],
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
            component: None,
        },
    },
    Step {
        // Each benchmark once: that it runs, not how fast.
        heading: "benchmarks, smoke run",
        work: Work::Cargo {
            arguments: &["bench", "-p", "odile-bench", "--locked", "--", "--test"],
            environment: &[],
            component: None,
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const fn cargo_step(heading: &'static str, arguments: &'static [&'static str]) -> Step {
        Step { heading, work: Work::Cargo { arguments, environment: &[], component: None } }
    }

    #[test]
    fn stops_at_the_first_failure() {
        let steps = [
            cargo_step("good", &["--version"]),
            cargo_step("bad", &["no-such-command"]),
            cargo_step("never", &["--version"]),
        ];
        let message = run_steps(&steps).unwrap_err();
        assert!(message.starts_with("step 2 failed: bad: "), "{message}");
        run_steps(&steps[..1]).unwrap();
    }

    #[test]
    fn the_summary_has_a_line_for_each_step() {
        let steps = [cargo_step("good", &[]), cargo_step("quite bad", &[]), cargo_step("never", &[])];
        let outcomes =
            [Outcome::Ok(Duration::from_millis(1250)), Outcome::Failed(Duration::ZERO), Outcome::NotRun];
        assert_eq!(
            summary(&steps, &outcomes),
            "step       seconds\n\
             good           1.2  ok\n\
             quite bad      0.0  FAILED\n\
             never            -  not run\n"
        );
    }

    #[test]
    fn a_missing_component_is_named() {
        let work = Work::Cargo {
            arguments: &["--version"],
            environment: &[],
            component: Some(Component { probe: &["no-such-command"], name: "rustfmt" }),
        };
        assert_eq!(
            work.run(&mut Vec::new()),
            Err("rustfmt is missing: run `rustup component add rustfmt`".to_owned())
        );
    }

    #[test]
    fn skipped_tests_are_told_at_the_end() {
        let mut skipped = Vec::new();
        let mut echo = Command::new("printf");
        echo.arg("test a ... ok\nskipped: b: no c\n");
        let note = |line: &str| skipped.extend(line.strip_prefix(SKIPPED).map(str::to_owned));
        run_watched(&mut echo, note).unwrap();
        assert_eq!(skips(&skipped), "skipped:\n  b: no c\n");
        assert_eq!(skips(&[]), "no test was skipped\n");
        assert!(run_watched(&mut Command::new("false"), |_| {}).is_err());
    }
}
