//! A test directory in which `docre` runs, and a configuration that trains in seconds.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// A configuration whose stages take seconds.
pub(crate) const TINY: &str = r#"
seed = 7

[data.synthetic]
seed = 3
n_train = 12
n_dev = 6
n_distant = 16
dropped = 0.3
spurious = 0.2

[encoder.scratch]
layers = 1
hidden_size = 16
heads = 2
intermediate_size = 32
max_tokens = 192
dropout = 0.1

[model]
kind = "kd-docre"
emb_size = 16
group_size = 8
mixer = { kind = "axial-stack", layers = 1, heads = 2 }

[loss]
kind = "afl-authors"
gamma = 1.0

[stages.teacher]
epochs = 3
batch_size = 2
accumulation = 2
encoder_lr = 3e-3
relation_lr = 3e-3
encoder_weight_decay = 0.01
relation_weight_decay = 0.01

[stages.student]
epochs = 2
batch_size = 4
encoder_lr = 3e-3
relation_lr = 3e-3
encoder_weight_decay = 0.0
relation_weight_decay = 0.0
checkpoint_every_steps = 1
distillation = { kind = "mse" }

[stages.finetune]
epochs = 1
batch_size = 4
encoder_lr = 1e-3
relation_lr = 1e-3
encoder_weight_decay = 0.0
relation_weight_decay = 0.0
"#;

/// [`TINY`] with KMGRE: one epoch of warm-up, then E and M passes, for which the student has one
/// epoch more.
fn tiny_kmgre() -> String {
    let (before, rest) = TINY.split_once("kind = \"kd-docre\"").unwrap();
    let (_, after) = rest.split_once("heads = 2 }\n").unwrap();
    let model = "kind = \"kmgre\"\n\
                 key_classifier = { kind = \"own-encoder\", xi = 0.15, tau = 0.5 }\n";
    let after = after.replace("epochs = 2", "epochs = 3");
    format!("{before}{model}{after}\n[em]\nwarmup_epochs = 1\n")
}

/// The arguments that train the teacher of [`TINY`] in the directory `run`.
pub(crate) const TRAIN_TEACHER: [&str; 6] =
    ["train", "tiny.toml", "--stage", "teacher", "--out", "run"];

/// A temporary directory with the configuration [`TINY`] in `tiny.toml`, and the same with KMGRE in
/// `kmgre.toml`.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tiny.toml"), TINY).unwrap();
        std::fs::write(directory.path().join("kmgre.toml"), tiny_kmgre()).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Reads a JSON file.
    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// The command `docre ARGUMENTS`, to be run in this directory.
    pub(crate) fn docre(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docre"));
        command.args(arguments).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `docre` and returns its output.
    ///
    /// # Panics
    /// If the exit code is not 0.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Output {
        let output = self.docre(arguments).output().unwrap();
        assert!(output.status.success(), "docre {arguments:?}: {}", stderr(&output));
        output
    }

    /// Runs `docre` and returns its standard error.
    ///
    /// # Panics
    /// If the exit code is not `code`.
    pub(crate) fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.docre(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "docre {arguments:?}: {}", stderr(&output));
        stderr(&output)
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
