//! The runs of an ablation, one after the other, and the results so far.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use burn_docre::io::atomic_file::write_atomically;
use serde_json::{Value, json};

use super::{
    catalogue::{MetricSpec, TableSpec},
    results::{
        ABLATIONS, AblationRow, AblationTable, Ablations, Metric, OrderedRows, Scores, SeedScores,
    },
    schedule::{Job, PlannedGroup, PlannedRow, Schedule},
    table,
};
use crate::{
    cli::AblationGroup,
    config::RunConfig,
    run::{
        directory::{Mode, RunFiles},
        files,
    },
    session::Session,
    stages::{Run, RunOptions, Selection},
    ui::{signals::Stopped, table::Table},
};

/// The configuration of an ablation, which marks its directory.
const CONFIG: &str = "ablation.toml";
/// The tables as Markdown.
const TABLES: &str = "ablations.md";

/// The options of a new or continued ablation.
#[derive(Clone, Debug)]
pub struct AblationOptions {
    /// The base: the configuration that the variants change.
    pub config: RunConfig,
    /// The directory of the runs and results.
    pub directory: PathBuf,
    /// The number of seeds, the first of which is that of the configuration.
    pub n_seeds: usize,
    /// The groups to run; all if it is empty.
    pub only: Vec<AblationGroup>,
}

/// An ablation with its runs.
pub struct Ablation {
    options: AblationOptions,
    schedule: Schedule,
}

impl Ablation {
    /// Plans the runs. No file is read or written.
    ///
    /// # Errors
    /// If no group fits the configuration.
    pub fn new(options: AblationOptions) -> Result<Self> {
        let AblationOptions { config, directory, n_seeds, only } = &options;
        let schedule = Schedule::new(config, *n_seeds, only, directory)?;
        Ok(Self { options, schedule })
    }

    /// Trains and scores every run that is not finished, and returns the results. They are also
    /// written after each run. A failed training, such as one that diverges, does not stop the
    /// others.
    ///
    /// # Errors
    /// [`Stopped`] if the session's flag was set. If a run cannot be opened, or a training has
    /// failed. The same options continue the ablation.
    pub fn run(&self, session: &Session) -> Result<Ablations> {
        let out = &self.options.directory;
        files::create_directory(out)?;
        let _lock = self.open()?;
        for omitted in &self.schedule.omitted {
            session.ui.note(&format!("left out: {omitted}"));
        }
        let n_jobs = self.schedule.jobs.len();
        let mut failures = Vec::new();
        for (number, job) in (1..).zip(&self.schedule.jobs) {
            session.stop.check()?;
            let name = || format!("run {number} of {n_jobs}, {}", job.name());
            let Some(run) = self.open_run(session, job, number).with_context(name)? else {
                continue;
            };
            match train_and_score(&run, job).with_context(name) {
                Ok(()) => {}
                Err(error) if error.is::<Stopped>() => return Err(error),
                Err(error) => {
                    session.ui.note(&format!("{error:#}; the ablation goes on without it"));
                    failures.push(error);
                }
            }
            self.write(&self.results()?)?;
        }
        let results = self.results()?;
        self.write(&results)?;
        let n_failed = failures.len();
        match failures.into_iter().next() {
            Some(first) => Err(first.context(format!(
                "{n_failed} of {n_jobs} runs failed; {} has the tables without them, and the same \
                 command tries them again; the first failure",
                out.join(TABLES).display()
            ))),
            None => Ok(results),
        }
    }

    /// The runs as a table: name, stages, changed keys and progress. No file is written.
    ///
    /// # Errors
    /// If the directory belongs to another ablation.
    pub fn list(&self) -> Result<String> {
        self.check_directory()?;
        let mut table = Table::new().with_text_columns(4);
        table.row(["run", "stages", "changed keys", ""].map(String::from));
        for job in &self.schedule.jobs {
            let changes = if job.changes.is_empty() { "-".into() } else { job.changes.join(", ") };
            let progress = match (is_scored(job), job.directory.exists()) {
                (true, _) => "finished",
                (false, true) => "begun",
                (false, false) => "",
            };
            table.row([job.name(), job.stages.join(", "), changes, progress.into()]);
        }
        let mut text = table.to_string();
        for omitted in &self.schedule.omitted {
            text += &format!("left out: {omitted}\n");
        }
        Ok(text)
    }

    /// Locks the directory and checks that it is empty or belongs to this ablation.
    fn open(&self) -> Result<File> {
        let lock = files::lock_directory(&self.options.directory)?;
        self.check_directory()?;
        files::remove_partial(&self.options.directory);
        Ok(lock)
    }

    fn check_directory(&self) -> Result<()> {
        let AblationOptions { directory, config, .. } = &self.options;
        let path = directory.join(CONFIG);
        if !path.exists() {
            ensure!(
                !directory.exists() || !files::has_files(directory)?,
                "{} is not empty, and it is not the directory of an ablation: it has no {CONFIG}; \
                 choose another `--out`",
                directory.display()
            );
            return Ok(());
        }
        let before = RunConfig::load(&path, &[])?;
        if let Some(difference) = config.difference(&before)? {
            bail!(
                "{}: the configuration has changed since the ablation began: {difference}; choose \
                 another `--out`",
                directory.display()
            );
        }
        Ok(())
    }

    /// Writes the configuration, unless it is there. Returns its path if it is new.
    fn mark_directory(&self) -> Result<Option<PathBuf>> {
        let path = self.options.directory.join(CONFIG);
        if path.exists() {
            return Ok(None);
        }
        let text = self.options.config.to_toml()?;
        write_atomically(&path, |out| out.write_all(text.as_bytes()))?;
        Ok(Some(path))
    }

    /// Opens a run, unless it is finished. `number` counts from 1.
    ///
    /// The mark precedes the files of the first run, so a kill leaves no run in a directory without
    /// it. If the first run cannot be opened, the mark is removed: the configuration may be at fault.
    fn open_run<'a>(
        &self,
        session: &Session<'a>,
        job: &Job,
        number: usize,
    ) -> Result<Option<Run<'a>>> {
        let options = RunOptions {
            config: job.config.clone(),
            directory: job.directory.clone(),
            mode: Mode::Resume,
            selection: Selection::WithNeeds(job.stages.iter().map(ToString::to_string).collect()),
            teacher_run: job.teacher_run.clone(),
        };
        let is_finished = is_scored(job) && Run::is_finished(session, &options)?;
        self.announce(session, job, number, is_finished);
        if is_finished {
            return Ok(None);
        }
        let new_mark = self.mark_directory()?;
        let run = Run::open(session, options);
        if let (Some(mark), Err(_)) = (new_mark, &run)
            && !(job.directory.exists() && files::has_files(&job.directory)?)
        {
            std::fs::remove_file(&mark)
                .with_context(|| format!("{}: the file cannot be removed", mark.display()))?;
        }
        run.map(Some)
    }

    fn announce(&self, session: &Session, job: &Job, number: usize, is_finished: bool) {
        let n_jobs = self.schedule.jobs.len();
        let state = if is_finished { ", already finished" } else { "" };
        let (name, stages) = (job.name(), job.stages.join(", "));
        session.ui.line(&format!("run {number} of {n_jobs}: {name} ({stages}){state}"), || {
            json!({ "event": "run", "number": number, "runs": n_jobs, "name": name,
                    "stages": job.stages, "finished": is_finished })
        });
    }

    /// The results of the runs that are finished, those of earlier commands with other groups or
    /// more seeds included.
    fn results(&self) -> Result<Ablations> {
        let seeds = self.seeds()?;
        let mut tables = Vec::new();
        for planned in &self.schedule.groups {
            for table in planned.group.tables {
                let table = self.table(planned, table, &seeds)?;
                // The base has scores in every group; a comparison needs another row.
                let n_scored = table.rows.iter().filter(|row| !row.seeds.is_empty()).count();
                tables.extend((planned.is_requested || n_scored > 1).then_some(table));
            }
        }
        Ok(Ablations { seeds, tables, omitted: self.schedule.omitted.clone() })
    }

    /// The seeds of this command and those of the directory, in ascending order.
    fn seeds(&self) -> Result<Vec<u64>> {
        let directory = &self.options.directory;
        let context = || format!("{}: the directory cannot be read", directory.display());
        let mut seeds = BTreeSet::from_iter(self.schedule.seeds.iter().copied());
        for entry in std::fs::read_dir(directory).with_context(context)? {
            let name = entry.with_context(context)?.file_name();
            seeds.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        Ok(seeds.into_iter().collect())
    }

    fn table(
        &self,
        planned: &PlannedGroup,
        table: &TableSpec,
        seeds: &[u64],
    ) -> Result<AblationTable> {
        let PlannedGroup { group, rows, .. } = planned;
        let rows = rows.iter().zip(table.paper);
        let rows: Vec<AblationRow> =
            rows.map(|(row, paper)| self.row(table, row, paper, seeds)).collect::<Result<_>>()?;
        let metric =
            |metric: &MetricSpec| Metric { key: metric.key.into(), title: metric.title.into() };
        Ok(AblationTable {
            group: group.name.to_string(),
            title: table.title.into(),
            source: table.source.into(),
            note: (!table.notes.is_empty()).then(|| table.notes.join(" ")),
            stage: table.stage.name(&self.options.config).into(),
            metrics: table.metrics.iter().map(metric).collect(),
            order_metric: table.order_metric.key.into(),
            order: OrderedRows::of(&rows, table.order_metric.key),
            rows,
        })
    }

    fn row(
        &self,
        table: &TableSpec,
        row: &PlannedRow,
        paper: &[f64],
        seeds: &[u64],
    ) -> Result<AblationRow> {
        let stage = table.stage.name(&row.config);
        let mut scored = Vec::new();
        for &seed in seeds {
            let directory = Job::directory(&self.options.directory, seed, row.run);
            let path = RunFiles::new(&directory).dev_report(stage);
            if path.exists() {
                scored.push(SeedScores { seed, scores: scores(&path, table.metrics)? });
            }
        }
        let (name, run) = (row.variant.title.into(), row.run.into());
        let paper = paper_scores(table.metrics, paper);
        Ok(AblationRow::new(name, run, row.changes.clone(), paper, scored))
    }

    fn write(&self, results: &Ablations) -> Result<()> {
        let out = &self.options.directory;
        files::write_json(&out.join(ABLATIONS), results)?;
        let text = table::markdown(results);
        Ok(write_atomically(&out.join(TABLES), |out| out.write_all(text.as_bytes()))?)
    }
}

/// Trains the stages of `job` and scores their models.
fn train_and_score(run: &Run, job: &Job) -> Result<()> {
    run.train()?;
    job.stages.iter().try_for_each(|stage| run.write_dev_report(stage))
}

/// Reports whether all stages of a run have dev reports.
fn is_scored(job: &Job) -> bool {
    let files = RunFiles::new(&job.directory);
    job.stages.iter().all(|stage| files.dev_report(stage).exists())
}

/// The scores in the dev report at `path`.
fn scores(path: &Path, metrics: &[MetricSpec]) -> Result<Scores> {
    let report: Value = files::read_json(path)?;
    let score = |metric: &MetricSpec| {
        let score = report.pointer(metric.pointer).and_then(Value::as_f64);
        let score = score.with_context(|| {
            let (path, key) = (path.display(), metric.pointer);
            format!("{path}: no number at {key}; remove the file to score the model again")
        })?;
        Ok((metric.key.to_string(), score))
    };
    metrics.iter().map(score).collect()
}

/// The paper's scores as fractions, from percent with two decimals; `None` if there are none.
fn paper_scores(metrics: &[MetricSpec], percents: &[f64]) -> Option<Scores> {
    // Rounded to a whole number first, so that 64.19 becomes 0.6419 and no neighbour of it.
    let fraction = |percent: f64| (100.0 * percent).round() / 10_000.0;
    let scores = metrics.iter().zip(percents);
    let scores: Scores =
        scores.map(|(metric, &percent)| (metric.key.to_string(), fraction(percent))).collect();
    (!scores.is_empty()).then_some(scores)
}
