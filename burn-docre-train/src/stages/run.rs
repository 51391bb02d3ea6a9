//! A run: its options, its training and its results.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn_docre::{BackendTask, DocReBackend, io::soft_labels::SoftLabelStore};

use super::{
    context::{Context, check_devices, finished_model, named_stage, placement, stage_config},
    fit, label,
};
use crate::{
    config::{Corpus, Need, RunConfig, Stage},
    run::{
        corpora::{self, Corpora},
        directory::{Mode, RunDir},
        hub::LocalConfig,
        manifest::Placement,
    },
    session::Session,
    ui::table::Table,
};

/// The stages that a run trains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All stages of the plan, in order; soft labels are computed when a stage needs them. The
    /// plan's teacher is skipped if its student has another one.
    Plan,
    /// The stage of this name; everything that it needs must exist.
    Stage(String),
}

impl Selection {
    fn stages(&self, config: &RunConfig) -> Result<Vec<&'static Stage>> {
        match self {
            Self::Plan => {
                let stages = config.plan.plan().stages.iter();
                Ok(stages.filter(|stage| !is_replaced(config, stage)).collect())
            }
            Self::Stage(name) => Ok(vec![named_stage(config, name)?]),
        }
    }
}

/// The options of a new or resumed run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration.
    pub config: RunConfig,
    /// The directory of the results.
    pub directory: PathBuf,
    /// The choice between a new run and the continuation of an existing one.
    pub mode: Mode,
    /// The stages to train.
    pub selection: Selection,
}

/// A run with its documents. Its directory is locked while this value lives.
pub struct Run<'a> {
    context: Context<'a>,
    selection: Selection,
}

impl<'a> Run<'a> {
    /// Checks the options, locks the directory, and reads and encodes the documents.
    ///
    /// # Errors
    /// If an option is invalid, the directory belongs to another run, or an input cannot be read.
    /// No file of the directory has changed then.
    pub fn open(session: &Session<'a>, options: RunOptions) -> Result<Self> {
        let RunOptions { config, directory: root, mode, selection } = options;
        let stages = selection.stages(&config)?;
        for stage in &stages {
            stage_config(&config, stage)?;
        }
        let before = RunDir::placement(&root, mode)?;
        let placement = placement(session, &config, before.as_ref())?;
        let session = Session { backend: Some(placement.backend), ..*session };
        check_devices(&placement)?;
        let mut directory = RunDir::open(&root, mode)?;
        directory.check_config(&config)?;
        let local = LocalConfig::fetch(&config, directory.hub_commits()?, session.ui)?;
        let inputs = directory.check_inputs(&local, &placement)?;
        let given = config;
        let LocalConfig { config, commits, .. } = local;
        let corpora = Corpora::load(&config, &corpora_of(&stages), session.ui, session.stop)?;
        for stage in &stages {
            fit::with_pairs(stage, corpora.documents(stage.documents))?;
        }
        if let Selection::Stage(_) = selection {
            check_needs(&directory, &config, stages[0])?;
        }
        if let Some(before) = before.filter(|before| before.backend != placement.backend) {
            let (from, to) = (before.backend, placement.backend);
            session.ui.note(&format!("the run continues on {to}; it ran on {from} before"));
        }
        directory.start(&given, inputs, commits, &placement)?;
        corpora::write_synthetic(&config, &directory.root().join("data"))?;
        let Placement { devices: device_numbers, precision, .. } = placement;
        let context = Context { session, config, directory, corpora, device_numbers, precision };
        Ok(Self { context, selection })
    }

    /// Trains the selected stages; finished ones are skipped.
    ///
    /// # Errors
    /// [`Stopped`](crate::ui::signals::Stopped) if the session's flag was set, else the first
    /// failure.
    pub fn train(&self) -> Result<()> {
        let context = &self.context;
        context.session.dispatch_on(context.device_numbers[0], TrainStages(self))
    }

    /// The dev scores of the finished stages in percent, one row for each stage.
    ///
    /// # Errors
    /// If `results.json` cannot be read.
    pub fn results_table(&self) -> Result<String> {
        let results = self.context.directory.results()?;
        let plan = self.context.config.plan.plan();
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
}

/// Checks that the results that a single stage needs exist. Their content is checked when the stage
/// begins.
fn check_needs(directory: &RunDir, config: &RunConfig, stage: &Stage) -> Result<()> {
    let section = stage_config(config, stage)?;
    for need in stage.needs {
        match need {
            Need::Stage(name) => drop(finished_model(directory, name)?),
            Need::SoftLabels { teacher } if section.distillation().is_some() => {
                // The files of another teacher are inputs of the run, which were read already.
                if section.teacher.is_none() {
                    finished_model(directory, teacher)?;
                }
                let labels = directory.labels();
                ensure!(
                    SoftLabelStore::has_begun(&labels)?,
                    "{}: the stage `{}` needs the teacher's logits; label the documents with `docre label`",
                    labels.display(),
                    stage.name
                );
            }
            Need::SoftLabels { .. } => {}
        }
    }
    Ok(())
}

struct TrainStages<'a>(&'a Run<'a>);

impl BackendTask for TrainStages<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let Run { context, selection } = self.0;
        for stage in selection.stages(&context.config)? {
            if *selection == Selection::Plan {
                make_soft_labels::<B>(context, stage, &device)?;
            }
            fit::fit::<B>(context, stage, &device)?;
        }
        Ok(())
    }
}

/// Computes the soft labels that `stage` needs, unless they exist.
fn make_soft_labels<B: DocReBackend>(
    context: &Context,
    stage: &Stage,
    device: &B::Device,
) -> Result<()> {
    let distils = stage_config(&context.config, stage)?.distillation().is_some();
    for need in stage.needs {
        match need {
            Need::SoftLabels { teacher } if distils => {
                label::make_labels::<B>(context, stage, teacher, device)?;
            }
            Need::SoftLabels { .. } | Need::Stage(_) => {}
        }
    }
    Ok(())
}

/// Reports whether the student of `stage` has another teacher.
fn is_replaced(config: &RunConfig, stage: &Stage) -> bool {
    let replaces = |student: &Stage| {
        let section = config.stages.get(student.name);
        section.is_some_and(|section| section.teacher.is_some())
            && student.needs.contains(&Need::SoftLabels { teacher: stage.name })
    };
    config.plan.plan().stages.iter().any(replaces)
}

/// The corpora that the stages train on.
fn corpora_of(stages: &[&Stage]) -> Vec<Corpus> {
    stages.iter().map(|stage| stage.documents).collect()
}
