//! Records the commit of the build, for the manifests of runs, and the folder of libtorch.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    record_commit();
    if env::var_os("CARGO_FEATURE_TCH").is_some() {
        find_libtorch_at_run_time();
    }
}

/// Returns the output of a program, if it succeeds and the output is not empty.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn record_commit() {
    let git = |arguments: &[&str]| output_of("git", arguments);
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo::rustc-env=DOCRE_COMMIT={commit}");
    }
    // A new commit changes the log of HEAD, if the checkout has one.
    if let Some(log) =
        git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists())
    {
        println!("cargo::rerun-if-changed={log}");
    }
}

/// Adds the folder of libtorch to the binary's library search path.
///
/// On the machine of the build, the binary then starts without `LD_LIBRARY_PATH`.
fn find_libtorch_at_run_time() {
    for variable in ["LIBTORCH", "LIBTORCH_LIB", "LIBTORCH_USE_PYTORCH", "PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if !matches!(env::var("CARGO_CFG_TARGET_FAMILY").as_deref(), Ok("unix")) {
        return;
    }
    let from_python = || {
        env::var_os("LIBTORCH_USE_PYTORCH")?;
        let folder =
            "import os, torch; print(os.path.join(os.path.dirname(torch.__file__), 'lib'))";
        output_of("python3", &["-c", folder])
            .or_else(|| output_of("python", &["-c", folder]))
            .map(PathBuf::from)
    };
    let from_variables = || {
        let root = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH"))?;
        Some(PathBuf::from(root).join("lib"))
    };
    if let Some(folder) = from_python().or_else(from_variables) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
