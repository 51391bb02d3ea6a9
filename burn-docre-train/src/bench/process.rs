//! A benchmark process: measures one mode, and takes each sample on request of its parent process.
//!
//! The processes to compare take their samples in turn, so that a change of the machine's speed
//! affects all of them alike. A line on the standard input of a process requests a sample. The
//! process writes one line per event to standard output:
//!
//! - `documents N`: N more documents are done.
//! - `warm SECONDS DOCUMENTS`: the warm-up is over; a sample has DOCUMENTS documents.
//! - `sample`: a sample is done.
//!
//! After the last sample it writes its record and ends.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    str::FromStr,
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use super::record::{self, Record};
use crate::ui::{Task, Ui, signals::StopFlag};

/// The interval between checks of the stop flag while a process sends no message.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A message of a benchmark process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Message {
    /// The number of documents done since the last message.
    Documents(usize),
    /// The warm-up is over.
    Warm {
        /// The duration of the warm-up.
        seconds: f64,
        /// The number of documents per sample.
        documents: usize,
    },
    /// A sample is done.
    Sample,
}

impl Message {
    /// Writes the message to standard output.
    ///
    /// # Errors
    /// If the parent process has ended.
    pub(super) fn send(self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match self {
            Self::Documents(n) => writeln!(out, "documents {n}"),
            Self::Warm { seconds, documents } => writeln!(out, "warm {seconds} {documents}"),
            Self::Sample => writeln!(out, "sample"),
        }
        .and_then(|()| out.flush())
        .context("the process that started this benchmark has ended")
    }
}

impl FromStr for Message {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let message = match words[..] {
            ["documents", n] => n.parse().ok().map(Self::Documents),
            ["warm", seconds, documents] => {
                let numbers = seconds.parse().ok().zip(documents.parse().ok());
                numbers.map(|(seconds, documents)| Self::Warm { seconds, documents })
            }
            ["sample"] => Some(Self::Sample),
            _ => None,
        };
        message.with_context(|| {
            format!("{line:?} is none of `documents N`, `warm SECONDS DOCUMENTS`, `sample`")
        })
    }
}

/// Waits until the parent process requests a sample.
///
/// # Errors
/// If the parent process has ended.
pub(super) fn wait_for_turn() -> Result<()> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => bail!("the process that started this benchmark has ended"),
        Ok(_) => Ok(()),
    }
}

/// A running benchmark process, seen from its parent. Dropping it kills the process.
pub(super) struct BenchmarkProcess<'a> {
    label: String,
    child: Child,
    /// The standard input of the process; `None` after the last sample.
    requests: Option<ChildStdin>,
    messages: Receiver<Result<Message>>,
    record: PathBuf,
    stop: &'a StopFlag,
}

impl<'a> BenchmarkProcess<'a> {
    /// Starts `command`, which will write its record to the file `record`.
    pub(super) fn start(
        label: String,
        mut command: Command,
        record: &Path,
        stop: &'a StopFlag,
    ) -> Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
                format!("{label}: {:?} cannot be started", command.get_program())
            })?;
        let requests = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().context("the pipe is missing")?).lines();
        let (sender, messages) = sync_channel(1);
        std::thread::spawn(move || {
            let mut parsed = lines.map_while(Result::ok).map(|line| line.parse());
            // Sending fails after the receiver is dropped.
            while parsed.next().is_some_and(|message| sender.send(message).is_ok()) {}
        });
        Ok(Self { label, child, requests, messages, record: record.into(), stop })
    }

    /// Waits for the end of the warm-up; returns the number of documents of a sample.
    pub(super) fn warm_up(&mut self, ui: &Ui) -> Result<usize> {
        ui.note(&format!("{}: warming up", self.label));
        let mut task = ui.task(&format!("{}, warming up: documents", self.label), None);
        loop {
            match self.next_message()? {
                Message::Documents(n) => task.advance(n),
                Message::Warm { seconds, documents } => {
                    drop(task);
                    ui.note(&format!("{}: warmed up in {seconds:.1} s", self.label));
                    return Ok(documents);
                }
                Message::Sample => bail!("{}: a sample before the end of the warm-up", self.label),
            }
        }
    }

    /// Starts a sample and waits for its end.
    pub(super) fn sample(&mut self, task: &mut Task) -> Result<()> {
        let requests = self.requests.as_mut().context("the pipe is missing")?;
        // If the process has ended, `next_message` returns the error.
        let _ = requests.write_all(b"\n").and_then(|()| requests.flush());
        loop {
            match self.next_message()? {
                Message::Documents(n) => task.advance(n),
                Message::Sample => return Ok(()),
                Message::Warm { .. } => bail!("{}: warmed up twice", self.label),
            }
        }
    }

    /// Waits for the end of the process and reads its record.
    pub(super) fn finish(mut self) -> Result<Vec<Record>> {
        self.requests = None;
        while self.child.try_wait().context("the benchmark process cannot be waited for")?.is_none()
        {
            self.stop.check()?;
            std::thread::sleep(POLL_INTERVAL / 10);
        }
        let status = self.child.wait().context("the benchmark process cannot be waited for")?;
        if !status.success() {
            return Err(self.failure());
        }
        record::read(&self.record)
    }

    fn next_message(&mut self) -> Result<Message> {
        loop {
            self.stop.check()?;
            match self.messages.recv_timeout(POLL_INTERVAL) {
                Ok(message) => return message.with_context(|| self.label.clone()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure()),
            }
        }
    }

    /// Ends the process and returns the reason of its failure.
    fn failure(&mut self) -> anyhow::Error {
        // A process that sends other lines, or has closed its end of the pipe, may still run.
        let _ = self.child.kill();
        let status = self.child.wait();
        // Ctrl-C in a terminal ends both processes; the stop is the reason then.
        if let Err(stopped) = self.stop.check() {
            return stopped;
        }
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        anyhow!("{} failed ({status}); see its message above", self.label)
    }
}

impl Drop for BenchmarkProcess<'_> {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_parsed_and_other_lines_are_refused() {
        let message = |line: &str| line.parse::<Message>().ok();
        assert_eq!(message("documents 4"), Some(Message::Documents(4)));
        assert_eq!(message("warm 1.5 16"), Some(Message::Warm { seconds: 1.5, documents: 16 }));
        assert_eq!(message("sample"), Some(Message::Sample));
        assert_eq!([message("documents x"), message(""), message("sample 1")], [None; 3]);
    }
}
