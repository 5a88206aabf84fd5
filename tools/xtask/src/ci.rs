//! `cargo xtask ci`: one step after the other, until one fails.

use std::env;
use std::time::{Duration, Instant};

use crate::{cargo, run, works};

/// One step.
struct Step {
    heading: &'static str,
    work: Work,
}

/// What a step does.
enum Work {
    /// Looks for the programs of [`SYSTEM_PROGRAMS`].
    SystemPackages,
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

/// A program that the build needs and that is not part of the Rust toolchain.
struct SystemProgram {
    name: &'static str,
    package: &'static str,
    needed_for: &'static str,
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
    let mut failure = None;
    for (index, step) in steps.iter().enumerate() {
        if failure.is_some() {
            outcomes.push(Outcome::NotRun);
            continue;
        }
        println!("\n=== {}/{} {}", index + 1, steps.len(), step.heading);
        let start = Instant::now();
        let result = step.work.run();
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
    print!("\n{}", summary(steps, &outcomes));
    failure.map_or(Ok(()), Err)
}

impl Work {
    fn run(&self) -> Result<(), String> {
        match self {
            Self::SystemPackages => check_system_programs(SYSTEM_PROGRAMS),
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

fn check_system_programs(programs: &[SystemProgram]) -> Result<(), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &&SystemProgram| env::split_paths(&path).any(|folder| folder.join(program.name).is_file());
    let missing: Vec<String> = programs
        .iter()
        .filter(|program| !is_there(program))
        .map(|program| {
            let SystemProgram { name, package, needed_for } = program;
            format!("{name} is missing, needed for {needed_for}: install the package {package}")
        })
        .collect();
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    match programs.len() {
        0 => println!("nothing is needed besides the Rust toolchain and its linker"),
        count => println!("all {count} programs are there"),
    }
    Ok(())
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

/// Programs of the system that the build needs: none now, because what is written in C comes with its sources and
/// is compiled with the compiler that the linker comes with.
const SYSTEM_PROGRAMS: &[SystemProgram] = &[];

const STEPS: &[Step] = &[
    Step { heading: "system packages", work: Work::SystemPackages },
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
    Step {
        heading: "tests",
        work: Work::Cargo {
            arguments: &["test", "--workspace", "--locked"],
            environment: &[],
            component: None,
        },
    },
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
        assert_eq!(work.run(), Err("rustfmt is missing: run `rustup component add rustfmt`".to_owned()));
    }

    #[test]
    fn a_missing_program_is_named() {
        let missing = SystemProgram { name: "no-such-program", package: "pkg", needed_for: "nothing" };
        let message = check_system_programs(&[missing]).unwrap_err();
        assert_eq!(message, "no-such-program is missing, needed for nothing: install the package pkg");
        let there = SystemProgram { name: "sh", package: "dash", needed_for: "scripts" };
        assert_eq!(check_system_programs(&[there]), Ok(()));
    }
}
