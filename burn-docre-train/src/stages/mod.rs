//! Runs: the stages of a configuration's plan, trained one after the other in one directory.

pub mod dry_run;
mod fit;
pub mod label;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use burn_docre::{
    BackendTask, DocReBackend, backend, io::model_directory, nn::precision::Precision,
};

use crate::{
    config::{Corpus, Need, RunConfig, Stage, StageConfig},
    run::{
        corpora::{self, Corpora},
        directory::{Mode, RunDir},
        manifest::Placement,
    },
    session::Session,
    train::state::TrainingState,
    ui::table::Table,
};

/// The stages that a run trains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All stages of the plan in order; soft labels are made when a stage needs them.
    Plan,
    /// The stage of this name; everything that it needs must exist.
    Stage(String),
}

impl Selection {
    fn stages(&self, config: &RunConfig) -> Result<Vec<&'static Stage>> {
        match self {
            Self::Plan => Ok(config.plan.plan().stages.iter().collect()),
            Self::Stage(name) => Ok(vec![named_stage(config, name)?]),
        }
    }
}

/// Everything that starts or resumes a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration.
    pub config: RunConfig,
    /// The directory of the results.
    pub directory: PathBuf,
    /// Whether a started run is continued.
    pub mode: Mode,
    /// The stages to train.
    pub selection: Selection,
}

/// One run with its documents, locked in its directory.
pub struct Run<'a> {
    session: Session<'a>,
    config: RunConfig,
    directory: RunDir,
    corpora: Corpora,
    devices: Vec<usize>,
    selection: Selection,
}

impl<'a> Run<'a> {
    /// Checks the options, locks the directory, and reads and encodes the documents.
    ///
    /// # Errors
    /// If an option is invalid, the directory belongs to another run, or an input cannot be read. The directory then stays
    /// as it was.
    pub fn open(session: &Session<'a>, options: RunOptions) -> Result<Self> {
        let RunOptions { config, directory: root, mode, selection } = options;
        let stages = selection.stages(&config)?;
        for stage in &stages {
            stage_config(&config, stage)?;
        }
        let before = RunDir::placement(&root, mode)?;
        let placement = placement(session, &config, before.as_ref())?;
        let session = Session { backend: Some(placement.backend), ..*session };
        check_devices(&session, &placement.devices, config.compute.precision)?;
        let directory = RunDir::open(&root, mode)?;
        let inputs = directory.check(&config, &placement)?;
        let corpora = Corpora::load(&config, &corpora_of(&stages), session.ui, session.stop)?;
        if let Some(before) = before.filter(|before| before.backend != placement.backend) {
            let (from, to) = (before.backend, placement.backend);
            session.ui.note(&format!("the run was on {from} so far, and goes on on {to}"));
        }
        directory.start(&config, inputs, &placement)?;
        corpora::write_synthetic(&config, &directory.root().join("data"))?;
        Ok(Self { session, config, directory, corpora, devices: placement.devices, selection })
    }

    /// Trains the selected stages; finished ones are skipped.
    ///
    /// # Errors
    /// [`Stopped`](crate::ui::signals::Stopped) if the session's flag was set, else the first failure.
    pub fn train(&self) -> Result<()> {
        self.session.dispatch_on(self.devices[0], TrainStages(self))
    }

    /// The dev scores of the finished stages in per cent, one row for each stage.
    ///
    /// # Errors
    /// If `results.json` cannot be read.
    pub fn results_table(&self) -> Result<String> {
        let results = self.directory.results()?;
        let plan = self.config.plan.plan();
        let mut table = Table::new().with_min_widths(&[22, 8, 8]);
        let titles = plan.columns.iter().map(|column| column.title.to_string());
        table.row(std::iter::once(String::new()).chain(titles));
        for stage in plan.stages {
            let Some(scores) = results.get(stage.name) else { continue };
            let cells = plan.columns.iter().map(|column| {
                let score = scores.get(column.metric);
                score.map_or("-".into(), |score| format!("{:.2}", 100.0 * score))
            });
            table.row(std::iter::once(stage.title.to_string()).chain(cells));
        }
        Ok(table.to_string())
    }

    /// The devices that train together; `first` is the first of them.
    fn devices<B: DocReBackend>(&self, first: &B::Device) -> Result<Vec<B::Device>> {
        let kind = self.session.backend_kind()?;
        let others =
            self.devices[1..].iter().map(|&number| Ok(backend::device::<B>(kind, number)?));
        std::iter::once(Ok(first.clone())).chain(others).collect()
    }

    /// The model directory of a finished stage.
    fn finished_model(&self, stage: &str) -> Result<PathBuf> {
        let directory = self.directory.model(stage);
        let state = TrainingState::load(&self.directory.stage(stage))?;
        ensure!(
            state.finished && model_directory::is_complete(&directory),
            "the stage `{stage}` is not finished in {}; run it first",
            self.directory.root().display()
        );
        Ok(directory)
    }
}

struct TrainStages<'a>(&'a Run<'a>);

impl BackendTask for TrainStages<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let run = self.0;
        for stage in run.selection.stages(&run.config)? {
            if run.selection == Selection::Plan {
                make_needs::<B>(run, stage, &device)?;
            }
            fit::fit::<B>(run, stage, &device)?;
        }
        Ok(())
    }
}

/// Makes what `stage` needs besides the stages before it.
fn make_needs<B: DocReBackend>(run: &Run, stage: &Stage, device: &B::Device) -> Result<()> {
    let distils = stage_config(&run.config, stage)?.distillation().is_some();
    for need in stage.needs {
        match need {
            Need::SoftLabels { teacher } if distils => {
                label::make_labels::<B>(run, teacher, device)?;
            }
            Need::SoftLabels { .. } | Need::Stage(_) => {}
        }
    }
    Ok(())
}

/// The stage of this name in the configuration's plan.
fn named_stage(config: &RunConfig, name: &str) -> Result<&'static Stage> {
    let plan = config.plan.plan();
    plan.stage(name).with_context(|| {
        format!("the plan `{}` has no stage {name:?}; it has {}", plan.name, plan.stage_names())
    })
}

fn stage_config<'a>(config: &'a RunConfig, stage: &Stage) -> Result<&'a StageConfig> {
    let section = config.stages.get(stage.name);
    section.with_context(|| format!("the configuration has no `stages.{}`", stage.name))
}

/// The corpora that the stages train on.
fn corpora_of(stages: &[&Stage]) -> Vec<Corpus> {
    stages.iter().map(|stage| stage.documents).collect()
}

/// The backend and devices of a run: the session's request, else those before a resume, else the configuration's.
fn placement(
    session: &Session,
    config: &RunConfig,
    before: Option<&Placement>,
) -> Result<Placement> {
    let backend = match (session.backend, before) {
        (None, Some(before)) => before.backend,
        _ => session.backend_kind()?,
    };
    let devices = match (session.device, before, &config.compute.devices[..]) {
        (Some(number), ..) => vec![number],
        (None, Some(before), _) => before.devices.clone(),
        (None, None, []) => vec![0],
        (None, None, numbers) => numbers.to_vec(),
    };
    Ok(Placement { backend, devices })
}

/// Checks that every device exists and computes in `precision`.
fn check_devices(session: &Session, devices: &[usize], precision: Precision) -> Result<()> {
    for &device in devices {
        session.dispatch_on(device, CheckDevice { session, precision })?;
    }
    Ok(())
}

struct CheckDevice<'a> {
    session: &'a Session<'a>,
    precision: Precision,
}

impl BackendTask for CheckDevice<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        self.session.check_precision::<B>(self.precision, &device)
    }
}
