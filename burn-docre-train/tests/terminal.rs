//! The program on a terminal: the interface, its keys, and plain lines where they are asked for.

#![cfg(unix)]

#[allow(dead_code, reason = "the other tests use the rest")]
mod common;

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{FromRawFd, OwnedFd},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use common::{Sandbox, TRAIN_TEACHER};

/// A program on a pseudoterminal.
struct OnTerminal {
    child: Child,
    terminal: File,
    /// Everything that the program has written so far.
    output: Arc<Mutex<Vec<u8>>>,
    /// Fills `output` and ends when no process has the terminal open.
    reader: Option<JoinHandle<()>>,
}

impl OnTerminal {
    /// Starts `docre ARGUMENTS` on 100 columns and 30 rows with `variables` in its environment;
    /// `TERM` is `xterm`.
    fn start(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_on([100, 30], sandbox, arguments, variables)
    }

    /// As [`start`](Self::start), on a terminal with these numbers of columns and rows.
    fn start_on(
        [columns, rows]: [u16; 2],
        sandbox: &Sandbox,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let (mut terminal, mut program) = (-1, -1);
        let (name, settings) = (std::ptr::null_mut(), std::ptr::null());
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: both descriptors and the size are valid for the call; name and settings may be
        // null. A result of 0 means that both descriptors are open and owned by nothing else.
        // `fcntl` gets open descriptors.
        let (terminal, program) = unsafe {
            assert_eq!(libc::openpty(&mut terminal, &mut program, name, settings, &size), 0);
            // The programs of other tests must not hold this terminal open.
            for descriptor in [terminal, program] {
                assert_eq!(libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC), 0);
            }
            (OwnedFd::from_raw_fd(terminal), OwnedFd::from_raw_fd(program))
        };
        let mut command = sandbox.docre(arguments);
        for variable in ["CI", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command.env("TERM", "xterm");
        command.envs(variables.iter().copied());
        command.stdin(Stdio::from(program.try_clone().unwrap()));
        command.stdout(Stdio::from(program.try_clone().unwrap())).stderr(Stdio::from(program));
        let child = command.spawn().unwrap();
        drop(command);
        let terminal = File::from(terminal);
        let output = Arc::new(Mutex::new(Vec::new()));
        let (mut source, sink) = (terminal.try_clone().unwrap(), output.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = source.read(&mut bytes) {
                sink.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        Self { child, terminal, output, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// Waits until the program has written `text`.
    fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.text().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, key: &str) {
        self.terminal.write_all(key.as_bytes()).unwrap();
    }

    /// Waits for the end of the program; returns its exit code and its output.
    fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.reader.take().expect("a program ends once").join().unwrap();
        (code, self.text())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // The program has ended already, unless a test fails.
        let _ = self.child.kill();
    }
}

/// A run that ends only when it is stopped.
fn endless() -> Vec<&'static str> {
    [&TRAIN_TEACHER[..], &["--set", "stages.teacher.epochs=100000"]].concat()
}

#[test]
fn the_keys_q_and_k_end_the_program_with_code_1_and_no_panic() {
    let sandbox = Sandbox::new();
    let mut program = OnTerminal::start(&sandbox, &endless(), &[]);
    program.wait_for("Loss");
    program.press("q");
    std::thread::sleep(Duration::from_millis(500));
    program.press("k");
    let (code, text) = program.end();
    assert_eq!(code, Some(1), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    assert!(text.contains("ended by the keys `q` and `k`; resume with `--resume`"), "{text}");
}

#[test]
fn the_keys_q_and_s_stop_the_run_with_a_checkpoint() {
    let sandbox = Sandbox::new();
    let mut program = OnTerminal::start(&sandbox, &endless(), &[]);
    program.wait_for("Loss");
    program.press("q");
    std::thread::sleep(Duration::from_millis(500));
    program.press("s");
    let (code, text) = program.end();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--resume"), "{text}");
    assert!(sandbox.path("run/teacher/checkpoint").is_dir(), "{text}");
}

#[test]
fn a_run_and_a_prediction_succeed_on_terminals_of_every_size() {
    let predict = ["predict", "--model", "run/teacher/model", "--input", "run/data/dev.json"];
    for size in [[1, 1], [300, 1], [1, 100], [2, 2], [20, 5], [80, 24], [300, 100]] {
        let sandbox = Sandbox::new();
        // The scores of the stage, and the titles of the documents.
        for (arguments, expected) in [(&TRAIN_TEACHER[..], "teacher"), (&predict[..], "dev 1\r\n")]
        {
            let (code, text) = OnTerminal::start_on(size, &sandbox, arguments, &[]).end();
            assert_eq!(code, Some(0), "{size:?} {arguments:?}: {text:?}");
            assert!(!text.contains("panicked"), "{size:?} {arguments:?}: {text:?}");
            assert!(text.contains(expected), "{size:?} {arguments:?}: {text:?}");
        }
        assert!(sandbox.path("run/teacher/model/model.safetensors").is_file());
    }
}

#[test]
fn plain_lines_are_written_where_the_environment_asks_for_them() {
    for variable in [("TERM", "dumb"), ("TERM", ""), ("CI", "true"), ("NO_COLOR", "1")] {
        let sandbox = Sandbox::new();
        let (code, text) = OnTerminal::start(&sandbox, &TRAIN_TEACHER, &[variable]).end();
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("teacher") && !text.contains('\u{1b}'), "{variable:?}: {text:?}");
        let (_, help) = OnTerminal::start(&sandbox, &["--help"], &[variable]).end();
        assert!(help.contains("Usage") && !help.contains('\u{1b}'), "{variable:?}: {help:?}");
    }
}
