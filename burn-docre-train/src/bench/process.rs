//! A process that measures one mode, sample by sample, when it is its turn.
//!
//! Compared processes take turns, so that a change of the machine's speed affects all of them alike. A process writes one
//! line for each event to standard output: `documents N` when N more documents are done, `warm SECONDS DOCUMENTS` when the
//! warm-up is over, where DOCUMENTS is the size of a sample, and `sample` when a sample is done. It starts a sample when it
//! reads a line on standard input. After the last sample it writes its record and ends.

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

/// The interval between checks of a silent process.
const PATIENCE: Duration = Duration::from_millis(100);

/// A message of a benchmark process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Message {
    /// This many more documents are done.
    Documents(usize),
    /// The warm-up is over.
    Warm {
        /// Its duration.
        seconds: f64,
        /// Documents of a sample.
        documents: usize,
    },
    /// A sample is taken.
    Sample,
}

impl Message {
    /// Writes the message to standard output.
    pub(super) fn send(self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match self {
            Self::Documents(n) => writeln!(out, "documents {n}"),
            Self::Warm { seconds, documents } => writeln!(out, "warm {seconds} {documents}"),
            Self::Sample => writeln!(out, "sample"),
        }
        .and_then(|()| out.flush())
        .context("the process that started this benchmark has gone")
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

/// Waits for the turn of this process.
pub(super) fn wait_for_turn() -> Result<()> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => bail!("the process that started this benchmark has gone"),
        Ok(_) => Ok(()),
    }
}

/// A running benchmark process; killed when it is dropped before its end.
pub(super) struct BenchmarkProcess<'a> {
    what: String,
    child: Child,
    turns: Option<ChildStdin>,
    messages: Receiver<Result<Message>>,
    record: PathBuf,
    stop: &'a StopFlag,
}

impl<'a> BenchmarkProcess<'a> {
    /// Starts `command`, which will write its record to `record`.
    pub(super) fn start(
        what: String,
        mut command: Command,
        record: &Path,
        stop: &'a StopFlag,
    ) -> Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
                format!("{what}: {:?} cannot be started", command.get_program())
            })?;
        let turns = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().context("the pipe is missing")?).lines();
        let (sender, messages) = sync_channel(1);
        std::thread::spawn(move || {
            let mut parsed = lines.map_while(Result::ok).map(|line| line.parse());
            // Sending fails once the process is dropped.
            while parsed.next().is_some_and(|message| sender.send(message).is_ok()) {}
        });
        Ok(Self { what, child, turns, messages, record: record.into(), stop })
    }

    /// Waits for the end of the warm-up; returns the number of documents of a sample.
    pub(super) fn warm_up(&mut self, ui: &Ui) -> Result<usize> {
        ui.note(&format!("{}: warming up", self.what));
        let mut task = ui.task(&format!("{}, warming up: documents", self.what), None);
        loop {
            match self.next_message()? {
                Message::Documents(n) => task.advance(n),
                Message::Warm { seconds, documents } => {
                    drop(task);
                    ui.note(&format!("{}: warmed up in {seconds:.1} s", self.what));
                    return Ok(documents);
                }
                Message::Sample => bail!("{}: a sample before the end of the warm-up", self.what),
            }
        }
    }

    /// Starts a sample and waits for its end.
    pub(super) fn sample(&mut self, task: &mut Task) -> Result<()> {
        let turns = self.turns.as_mut().context("the pipe is missing")?;
        // A process that has ended meanwhile fails below.
        let _ = turns.write_all(b"\n").and_then(|()| turns.flush());
        loop {
            match self.next_message()? {
                Message::Documents(n) => task.advance(n),
                Message::Sample => return Ok(()),
                Message::Warm { .. } => bail!("{}: warmed up twice", self.what),
            }
        }
    }

    /// Waits for the end of the process and reads its record.
    pub(super) fn finish(mut self) -> Result<Vec<Record>> {
        self.turns = None;
        while self.child.try_wait().context("the measuring process is lost")?.is_none() {
            self.stop.check()?;
            std::thread::sleep(PATIENCE / 10);
        }
        let status = self.child.wait().context("the measuring process is lost")?;
        if !status.success() {
            return Err(self.failure());
        }
        record::read(&self.record)
    }

    fn next_message(&mut self) -> Result<Message> {
        loop {
            self.stop.check()?;
            match self.messages.recv_timeout(PATIENCE) {
                Ok(message) => return message.with_context(|| self.what.clone()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure()),
            }
        }
    }

    /// The reason of an early end.
    fn failure(&mut self) -> anyhow::Error {
        // A process that sends other lines, or has closed its end of the pipe, may still run.
        let _ = self.child.kill();
        let status = self.child.wait();
        // A signal from the terminal reaches both.
        if let Err(stopped) = self.stop.check() {
            return stopped;
        }
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        anyhow!("{} failed ({status}); its message stands above", self.what)
    }
}

impl Drop for BenchmarkProcess<'_> {
    fn drop(&mut self) {
        // An error means that the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_are_written_and_others_are_refused() {
        let message = |line: &str| line.parse::<Message>().ok();
        assert_eq!(message("documents 4"), Some(Message::Documents(4)));
        assert_eq!(message("warm 1.5 16"), Some(Message::Warm { seconds: 1.5, documents: 16 }));
        assert_eq!(message("sample"), Some(Message::Sample));
        assert_eq!([message("documents x"), message(""), message("sample 1")], [None; 3]);
    }
}
