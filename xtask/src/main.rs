//! Tasks of this repository: `cargo xtask NAME`.

#![expect(clippy::print_stderr, reason = "a task reports its progress")]

use std::{
    env,
    process::{Command, ExitCode},
    time::Instant,
};

/// A cargo command and the environment that it runs in.
struct Step {
    name: &'static str,
    cargo: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

impl Step {
    const fn new(name: &'static str, cargo: &'static [&'static str]) -> Self {
        Self { name, cargo, environment: &[] }
    }
}

/// The checks of a change on the default backend, in the profile that compiles a change fast.
/// `.ci/run` has the other backends and the slow tests.
const CHECK: &[Step] = &[
    Step::new("format", &["fmt", "--all", "--check"]),
    Step::new(
        "clippy",
        &["clippy", "--profile=quick", "--workspace", "--all-targets", "--", "-D", "warnings"],
    ),
    Step::new(
        "unit tests, parity, rules of the repository",
        &[
            "test",
            "--profile=quick",
            "--workspace",
            "--lib",
            "--bins",
            "--test",
            "parity",
            "--test",
            "properties",
            "--test",
            "house",
            "--test",
            "extractor",
            "--test",
            "dropout",
            "--test",
            "objective",
        ],
    ),
    Step::new(
        "examples in the documentation",
        &["test", "--profile=quick", "--workspace", "--doc"],
    ),
    Step {
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        ..Step::new("documentation", &["doc", "--profile=quick", "--workspace", "--no-deps"])
    },
];

/// The packages of both crates, which cargo also compiles.
const PACKAGE: &[Step] =
    &[Step::new("package", &["package", "--workspace", "--exclude", "xtask", "--allow-dirty"])];

/// A task of `cargo xtask`.
struct Task {
    name: &'static str,
    description: &'static str,
    steps: &'static [Step],
}

/// All tasks.
const TASKS: &[Task] = &[
    Task {
        name: "check",
        description: "the checks of a change, on the default backend",
        steps: CHECK,
    },
    Task { name: "package", description: "the packages of both crates, compiled", steps: PACKAGE },
];

fn main() -> ExitCode {
    let name = env::args().nth(1).unwrap_or_default();
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        for Task { name, description, .. } in TASKS {
            eprintln!("cargo xtask {name:10} {description}");
        }
        return ExitCode::from(2);
    };
    let start = Instant::now();
    for step in task.steps {
        if !run(step) {
            eprintln!("xtask: {} failed: cargo {}", step.name, step.cargo.join(" "));
            return ExitCode::FAILURE;
        }
    }
    eprintln!("xtask: {name} passed in {} s", start.elapsed().as_secs());
    ExitCode::SUCCESS
}

/// Runs a step and reports its time. Returns true if the step succeeds.
fn run(step: &Step) -> bool {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let start = Instant::now();
    let mut command = Command::new(cargo);
    command.args(step.cargo).envs(step.environment.iter().copied());
    let succeeded = command.status().is_ok_and(|status| status.success());
    eprintln!("xtask: {}: {} s", step.name, start.elapsed().as_secs());
    succeeded
}
