//! A run: its options, its training and its results.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn_docre::{BackendTask, DocReBackend, io::soft_labels::SoftLabelStore};

use super::{
    context::{Context, check_devices, finished_model, named_stage, placement, stage_config},
    dev_report::DevReport,
    fit, label,
};
use crate::{
    config::{Corpus, Need, RunConfig, Stage},
    run::{
        corpora::{self, Corpora},
        directory::{Mode, RunDir},
        files,
        hub::LocalConfig,
        manifest::{Inputs, Placement},
    },
    session::Session,
    ui::{percent, table::Table},
};

/// The stages that a run trains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All stages of the plan, in order; soft labels are computed when a stage needs them. The
    /// plan's teacher is skipped if its student has another one.
    Plan,
    /// The stage of this name; everything that it needs must exist.
    Stage(String),
    /// The stages of these names and those that they need, in the order of the plan; soft labels
    /// are computed when a stage needs them.
    WithNeeds(Vec<String>),
}

impl Selection {
    fn makes_soft_labels(&self) -> bool {
        matches!(self, Self::Plan | Self::WithNeeds(_))
    }

    /// The stages to train. With `has_other_teacher`, the plan's teacher is that of another run.
    fn stages(&self, config: &RunConfig, has_other_teacher: bool) -> Result<Vec<&'static Stage>> {
        match self {
            Self::Plan => {
                let stages = config.plan.plan().stages.iter();
                let is_replaced = |stage: &Stage| is_replaced(config, stage, has_other_teacher);
                Ok(stages.filter(|stage| !is_replaced(stage)).collect())
            }
            Self::Stage(name) => Ok(vec![named_stage(config, name)?]),
            Self::WithNeeds(names) => {
                let named = names.iter().map(|name| named_stage(config, name));
                with_needs(config, named.collect::<Result<_>>()?, has_other_teacher)
            }
        }
    }
}

/// The stages `wanted` and those that they need, in the order of the plan.
fn with_needs(
    config: &RunConfig,
    wanted: Vec<&'static Stage>,
    has_other_teacher: bool,
) -> Result<Vec<&'static Stage>> {
    let mut stages: Vec<&'static Stage> = Vec::new();
    // A stage follows those that it needs.
    for stage in config.plan.plan().stages.iter().rev() {
        let mut is_needed = wanted.contains(&stage);
        for later in &stages {
            is_needed |= needs_stage(config, later, stage, has_other_teacher)?;
        }
        if is_needed {
            stages.push(stage);
        }
    }
    stages.reverse();
    Ok(stages)
}

/// Reports whether `later` starts from the model of `stage` or learns from its logits.
fn needs_stage(
    config: &RunConfig,
    later: &Stage,
    stage: &Stage,
    has_other_teacher: bool,
) -> Result<bool> {
    let section = stage_config(config, later)?;
    let needs_teacher =
        section.distillation().is_some() && section.teacher.is_none() && !has_other_teacher;
    Ok(later.needs.iter().any(|need| match *need {
        Need::Stage(name) => name == stage.name,
        Need::SoftLabels { teacher } => teacher == stage.name && needs_teacher,
    }))
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
    /// The directory of another run, whose teacher this run learns from in place of its own. The
    /// runs share the teacher's logits. A teacher that the configuration names takes precedence;
    /// its logits are shared too.
    pub teacher_run: Option<PathBuf>,
}

/// A run with its documents. Its directory is locked while this value lives.
pub struct Run<'a> {
    context: Context<'a>,
    stages: Vec<&'static Stage>,
    makes_soft_labels: bool,
}

impl<'a> Run<'a> {
    /// Checks the options, locks the directory, and reads and encodes the documents.
    ///
    /// # Errors
    /// If an option is invalid, the directory belongs to another run, or an input cannot be read.
    /// No file of the directory has changed then.
    pub fn open(session: &Session<'a>, options: RunOptions) -> Result<Self> {
        let Opening { session, stages, mut directory, local, inputs, before, placement } =
            Opening::new(session, &options)?;
        let RunOptions { config: given, selection, .. } = options;
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
        Ok(Self { context, stages, makes_soft_labels: selection.makes_soft_labels() })
    }

    /// Reports whether a run in the directory has finished the selected stages. No document is
    /// read, and no file changes.
    ///
    /// # Errors
    /// If the configuration or an input file of the run has changed.
    pub fn is_finished(session: &Session<'a>, options: &RunOptions) -> Result<bool> {
        if !options.directory.exists() {
            return Ok(false);
        }
        let Opening { stages, directory, .. } = Opening::new(session, options)?;
        let results = directory.results()?;
        Ok(stages.iter().all(|stage| results.contains_key(stage.name)))
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

    /// Writes all metrics of a finished stage's best model on the dev documents to
    /// [`RunDir::dev_report`], unless the file exists.
    ///
    /// # Errors
    /// [`Stopped`](crate::ui::signals::Stopped) if the session's flag was set, else if the stage is
    /// not finished, its model cannot be read, or the file cannot be written.
    pub fn write_dev_report(&self, stage: &str) -> Result<()> {
        let path = self.context.directory.dev_report(stage);
        if path.exists() {
            return Ok(());
        }
        let context = &self.context;
        let scoring = DevReport { context, stage };
        let report = context.session.dispatch_on(context.device_numbers[0], scoring)?;
        files::write_json(&path, &report)
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
                score.map_or("-".into(), |score| percent(*score))
            });
            table.row(std::iter::once(stage.title.to_string()).chain(cells));
        }
        Ok(table.to_string())
    }
}

/// A run after all checks that read no documents.
struct Opening<'a> {
    /// The session, on the run's backend.
    session: Session<'a>,
    stages: Vec<&'static Stage>,
    directory: RunDir,
    local: LocalConfig,
    inputs: Inputs,
    /// The backend and devices of the last start.
    before: Option<Placement>,
    placement: Placement,
}

impl<'a> Opening<'a> {
    fn new(session: &Session<'a>, options: &RunOptions) -> Result<Self> {
        let RunOptions { config, directory: root, mode, selection, teacher_run } = options;
        let stages = selection.stages(config, teacher_run.is_some())?;
        for stage in &stages {
            stage_config(config, stage)?;
        }
        let before = RunDir::placement(root, *mode)?;
        let placement = placement(session, config, before.as_ref())?;
        let session = Session { backend: Some(placement.backend), ..*session };
        check_devices(&placement)?;
        let directory = RunDir::open(root, *mode)?.with_teacher_of(teacher_run.clone());
        directory.check_config(config)?;
        let local = LocalConfig::fetch(config, directory.hub_commits()?, session.ui)?;
        let inputs = directory.check_inputs(&local, &placement)?;
        Ok(Self { session, stages, directory, local, inputs, before, placement })
    }
}

/// Checks that the results that a single stage needs exist. Their content is checked when the stage
/// begins.
fn check_needs(directory: &RunDir, config: &RunConfig, stage: &Stage) -> Result<()> {
    let section = stage_config(config, stage)?;
    for need in stage.needs {
        match need {
            Need::Stage(name) => drop(finished_model(directory.root(), name)?),
            Need::SoftLabels { teacher } if section.distillation().is_some() => {
                // The files of another teacher are inputs of the run, which were read already.
                if section.teacher.is_none() {
                    finished_model(directory.teacher_root(), teacher)?;
                }
                let labels = directory.labels();
                ensure!(
                    SoftLabelStore::n_shards(&labels)?.is_some(),
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
        let Run { context, stages, makes_soft_labels } = self.0;
        for stage in stages {
            if *makes_soft_labels && !fit::is_finished(context, stage)? {
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
fn is_replaced(config: &RunConfig, stage: &Stage, has_other_teacher: bool) -> bool {
    let replaces = |student: &Stage| {
        let section = config.stages.get(student.name);
        section.is_some_and(|section| section.teacher.is_some() || has_other_teacher)
            && student.needs.contains(&Need::SoftLabels { teacher: stage.name })
    };
    config.plan.plan().stages.iter().any(replaces)
}

/// The corpora that the stages train on.
fn corpora_of(stages: &[&Stage]) -> Vec<Corpus> {
    stages.iter().map(|stage| stage.documents).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the stages that a selection trains.
    fn stages(items: &[&str], selection: &Selection, has_other_teacher: bool) -> Vec<&'static str> {
        let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
        let demo = include_str!("../../../configs/demo.toml");
        let config = RunConfig::parse(demo, &items).unwrap();
        let stages = selection.stages(&config, has_other_teacher).unwrap();
        stages.into_iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn a_selection_with_needs_has_the_stages_that_the_named_ones_need() {
        let with_needs = |items: &[&str], names: &[&str], has_other_teacher| {
            let names = names.iter().map(|name| name.to_string()).collect();
            stages(items, &Selection::WithNeeds(names), has_other_teacher)
        };
        assert_eq!(with_needs(&[], &["finetune"], false), ["teacher", "student", "finetune"]);
        assert_eq!(with_needs(&[], &["teacher"], false), ["teacher"]);
        // A student that learns from another teacher, or from none, needs no teacher of the plan.
        assert_eq!(with_needs(&[], &["finetune"], true), ["student", "finetune"]);
        let other = "stages.student.teacher=some/model";
        assert_eq!(with_needs(&[other], &["finetune"], false), ["student", "finetune"]);
        let none = "stages.student.distillation={ kind = \"none\" }";
        assert_eq!(with_needs(&[none], &["student"], false), ["student"]);
        assert_eq!(with_needs(&[none], &["finetune", "teacher"], false).len(), 3);
    }

    #[test]
    fn a_plan_skips_the_teacher_that_another_one_replaces() {
        let plan = |items, has_other_teacher| stages(items, &Selection::Plan, has_other_teacher);
        assert_eq!(plan(&[], false), ["teacher", "student", "finetune"]);
        assert_eq!(plan(&[], true), ["student", "finetune"]);
        assert_eq!(plan(&["stages.student.teacher=some/model"], false), ["student", "finetune"]);
    }
}
