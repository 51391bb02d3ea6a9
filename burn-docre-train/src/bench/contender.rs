//! A process that measures one mode, sample by sample, when it is its turn.
//!
//! Whoever is compared takes turns, so that a machine whose speed changes from minute to minute changes for all alike. On
//! its standard output the process says, a line each: `documents N` when N more are done, `warm SECONDS DOCUMENTS` when it
//! has warmed up (DOCUMENTS are those of a sample), and `sample` when a sample is taken. It begins a sample when a line
//! comes on its standard input. After the last it writes its record and ends.

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

/// How often a process that says nothing is looked after.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a measuring process says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Word {
    /// So many more documents are done.
    Documents(usize),
    /// The warm-up is over.
    Warm {
        /// How long it took.
        seconds: f64,
        /// Documents of a sample.
        documents: usize,
    },
    /// A sample is taken.
    Sample,
}

impl Word {
    /// Says it, to whoever reads this process's standard output.
    pub fn say(self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match self {
            Self::Documents(n) => writeln!(out, "documents {n}"),
            Self::Warm { seconds, documents } => writeln!(out, "warm {seconds} {documents}"),
            Self::Sample => writeln!(out, "sample"),
        }
        .and_then(|()| out.flush())
        .context("whoever asked for the measurement has gone")
    }
}

impl FromStr for Word {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = match words[..] {
            ["documents", n] => n.parse().ok().map(Self::Documents),
            ["warm", seconds, documents] => {
                let numbers = seconds.parse().ok().zip(documents.parse().ok());
                numbers.map(|(seconds, documents)| Self::Warm { seconds, documents })
            }
            ["sample"] => Some(Self::Sample),
            _ => None,
        };
        word.with_context(|| {
            format!("{line:?} is none of `documents N`, `warm SECONDS DOCUMENTS`, `sample`")
        })
    }
}

/// Waits for the turn of this process.
pub fn wait_for_turn() -> Result<()> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => bail!("whoever asked for the measurement has gone"),
        Ok(_) => Ok(()),
    }
}

/// A measuring process; killed when it is dropped before its end.
pub struct Contender<'a> {
    what: String,
    child: Child,
    turns: Option<ChildStdin>,
    words: Receiver<Result<Word>>,
    record: PathBuf,
    stop: &'a StopFlag,
}

impl<'a> Contender<'a> {
    /// Starts `command`, which will write its record to `record`.
    pub fn start(
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
        let (sender, words) = sync_channel(1);
        std::thread::spawn(move || {
            let mut words = lines.map_while(Result::ok).map(|line| line.parse());
            // Nobody listens any more once the contender is dropped.
            while words.next().is_some_and(|word| sender.send(word).is_ok()) {}
        });
        Ok(Self { what, child, turns, words, record: record.into(), stop })
    }

    /// Waits until it has warmed up; the number of documents of a sample.
    pub fn warm_up(&mut self, ui: &Ui) -> Result<usize> {
        ui.note(&format!("{}: warming up", self.what));
        let mut task = ui.task(&format!("{}, warming up: documents", self.what), None);
        loop {
            match self.next_word()? {
                Word::Documents(n) => task.advance(n),
                Word::Warm { seconds, documents } => {
                    drop(task);
                    ui.note(&format!("{}: warmed up in {seconds:.1} s", self.what));
                    return Ok(documents);
                }
                Word::Sample => bail!("{}: a sample before the end of the warm-up", self.what),
            }
        }
    }

    /// Lets it take a sample.
    pub fn sample(&mut self, task: &mut Task) -> Result<()> {
        let turns = self.turns.as_mut().context("the pipe is missing")?;
        // One that has ended meanwhile is found out below.
        let _ = turns.write_all(b"\n").and_then(|()| turns.flush());
        loop {
            match self.next_word()? {
                Word::Documents(n) => task.advance(n),
                Word::Sample => return Ok(()),
                Word::Warm { .. } => bail!("{}: warmed up twice", self.what),
            }
        }
    }

    /// Waits for its end and reads what it measured.
    pub fn finish(mut self) -> Result<Vec<Record>> {
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

    fn next_word(&mut self) -> Result<Word> {
        loop {
            self.stop.check()?;
            match self.words.recv_timeout(PATIENCE) {
                Ok(word) => return word.with_context(|| self.what.clone()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure()),
            }
        }
    }

    /// Why it has ended before its time.
    fn failure(&mut self) -> anyhow::Error {
        // One that says nonsense, or has closed its end of the pipe, may be at work still.
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

impl Drop for Contender<'_> {
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written_and_others_are_refused() {
        let word = |line: &str| line.parse::<Word>().ok();
        assert_eq!(word("documents 4"), Some(Word::Documents(4)));
        assert_eq!(word("warm 1.5 16"), Some(Word::Warm { seconds: 1.5, documents: 16 }));
        assert_eq!(word("sample"), Some(Word::Sample));
        assert_eq!([word("documents x"), word(""), word("sample 1")], [None; 3]);
    }
}
