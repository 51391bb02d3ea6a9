//! The stages of a run and the commands that run them.

pub mod dry_run;
pub mod finetune;
pub mod fit;
pub mod label;
pub mod student;
pub mod teacher;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn_docre::{
    backend::{self, BackendKind, BackendTask, dispatch},
    io::model_directory,
    loss::Distillation,
    nn::precision::Precision,
    ops::DocReBackend,
};

use crate::{
    cli::{DistillArgs, GlobalArgs, RunArgs, StageName, TrainArgs},
    config::{RunConfig, StageConfig},
    run::{
        corpora::{self, Corpora},
        directory::RunDir,
        manifest::Placement,
    },
    train::dev_set::DevScores,
    ui::{
        Ui,
        signals::{StopFlag, Stopped},
    },
};

/// What every command works with.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The program's voice.
    pub ui: &'a Ui,
    /// Set by signals.
    pub stop: &'a StopFlag,
    backend: Option<BackendKind>,
    device: Option<usize>,
}

impl<'a> Session<'a> {
    /// The session that the global options describe.
    pub fn new(ui: &'a Ui, stop: &'a StopFlag, args: &GlobalArgs) -> Self {
        Self { ui, stop, backend: args.backend, device: args.device }
    }

    /// Runs `task` on the chosen backend.
    pub fn dispatch<T>(&self, task: impl BackendTask<Output = Result<T>>) -> Result<T> {
        self.dispatch_on(self.device(), task)
    }

    fn dispatch_on<T>(
        &self,
        device: usize,
        task: impl BackendTask<Output = Result<T>>,
    ) -> Result<T> {
        dispatch(self.backend, device, task)?
    }

    /// The number of the device that the command line names, else 0.
    pub fn device(&self) -> usize {
        self.device.unwrap_or(0)
    }

    /// The backend that the command line names.
    pub fn chosen_backend(&self) -> Option<BackendKind> {
        self.backend
    }

    /// The backend that tasks run on.
    pub fn backend(&self) -> Result<BackendKind> {
        self.backend
            .or_else(|| BackendKind::compiled().first().copied())
            .context("this build has no backend; build with `--features flex`")
    }

    /// An error if `device`, which is one of [`Self::backend`], does not compute in `precision`.
    pub fn check_precision<B: DocReBackend>(
        &self,
        precision: Precision,
        device: &B::Device,
    ) -> Result<()> {
        Ok(precision.check::<B>(self.backend()?, device)?)
    }
}

/// One run with its documents.
pub struct Pipeline<'a> {
    /// The program's voice and the stop flag, on the run's backend.
    pub session: Session<'a>,
    /// The resolved configuration.
    pub config: RunConfig,
    /// Where results go.
    pub run: RunDir,
    /// The documents.
    pub corpora: Corpora,
    devices: Vec<usize>,
    /// The command that goes on with this run after an interruption.
    resume_command: String,
}

impl<'a> Pipeline<'a> {
    fn open(
        session: &'a Session<'a>,
        command: &str,
        args: &RunArgs,
        config: RunConfig,
        with_distant: bool,
    ) -> Result<Self> {
        let before = RunDir::placement(args)?;
        let placement = placement(session, &config, before.as_ref())?;
        let session = Session { backend: Some(placement.backend), ..*session };
        check_devices(&session, &placement.devices, config.compute.precision)?;
        let run = RunDir::open(args)?;
        let inputs = run.check(&config, &placement)?;
        let corpora = Corpora::load(&config, with_distant, session.ui, session.stop)?;
        if let Some(before) = before.filter(|before| before.backend != placement.backend) {
            let (from, to) = (before.backend, placement.backend);
            session.ui.note(&format!("the run was on {from} so far, and goes on on {to}"));
        }
        run.start(&config, inputs, &placement)?;
        corpora::write_synthetic(&config, &run.root().join("data"))?;
        let resume_command = resume_command(command, args, run.root());
        Ok(Self { session, config, run, corpora, devices: placement.devices, resume_command })
    }

    /// Runs `stages` on the chosen backend and prints the scores so far.
    fn run(&self, stages: impl BackendTask<Output = Result<()>>) -> Result<()> {
        match self.session.dispatch_on(self.devices[0], stages) {
            Err(error) if error.is::<Stopped>() => {
                bail!("{error}; go on by `{}`", self.resume_command)
            }
            result => result?,
        }
        self.session.ui.results(&table(&self.run)?)
    }

    /// The schedule of a stage.
    pub fn stage_config(&self, stage: StageName) -> Result<&StageConfig> {
        stage_config(&self.config, stage)
    }

    /// The devices that train together; `first` is the first of them.
    pub fn devices<B: DocReBackend>(&self, first: &B::Device) -> Result<Vec<B::Device>> {
        let kind = self.session.backend()?;
        let others =
            self.devices[1..].iter().map(|&number| Ok(backend::device::<B>(kind, number)?));
        std::iter::once(Ok(first.clone())).chain(others).collect()
    }

    /// What the student learns from the teacher; `None` where it learns nothing from it.
    pub fn distillation(&self) -> Option<Distillation> {
        self.config.stages.student.as_ref()?.distillation?.distillation()
    }

    /// The model directory of an earlier stage.
    pub fn finished_model(&self, stage: StageName) -> Result<std::path::PathBuf> {
        let directory = self.run.model(stage);
        ensure!(
            self.is_finished(stage)? && model_directory::is_complete(&directory),
            "the stage `{}` is not finished in {}; run it first",
            stage.name(),
            self.run.root().display()
        );
        Ok(directory)
    }

    fn is_finished(&self, stage: StageName) -> Result<bool> {
        Ok(crate::train::state::TrainingState::load(&self.run.stage(stage))?.finished)
    }
}

/// `docre distill`: all stages in order.
pub fn distill(session: &Session, args: &DistillArgs) -> Result<()> {
    let config = RunConfig::load(&args.run.config, &args.run.overrides)?;
    for stage in [StageName::Teacher, StageName::Student, StageName::Finetune] {
        stage_config(&config, stage)?;
    }
    let pipeline = Pipeline::open(session, "distill", &args.run, config, true)?;
    ensure!(
        !pipeline.corpora.distant.is_empty(),
        "there are no distant documents; give `data.distant`"
    );
    pipeline.run(AllStages(&pipeline))
}

/// `docre train`: one stage.
pub fn train(session: &Session, args: &TrainArgs) -> Result<()> {
    let config = RunConfig::load(&args.run.config, &args.run.overrides)?;
    stage_config(&config, args.stage)?;
    if args.dry_run {
        return dry_run::run(session, config, args.stage);
    }
    let command = format!("train --stage {}", args.stage.name());
    let with_distant = args.stage == StageName::Student;
    let pipeline = Pipeline::open(session, &command, &args.run, config, with_distant)?;
    pipeline.run(OneStage(&pipeline, args.stage))
}

struct AllStages<'a>(&'a Pipeline<'a>);

impl BackendTask for AllStages<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        teacher::run::<B>(self.0, &device)?;
        if self.0.distillation().is_some() {
            label::run_stage::<B>(self.0, &device)?;
        }
        student::run::<B>(self.0, &device)?;
        finetune::run::<B>(self.0, &device)
    }
}

struct OneStage<'a>(&'a Pipeline<'a>, StageName);

impl BackendTask for OneStage<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        match self.1 {
            StageName::Teacher => teacher::run::<B>(self.0, &device),
            StageName::Student => student::run::<B>(self.0, &device),
            StageName::Finetune => finetune::run::<B>(self.0, &device),
        }
    }
}

/// Where a run is to be computed: as the command line says, else as it was before, else as the configuration says.
fn placement(
    session: &Session,
    config: &RunConfig,
    before: Option<&Placement>,
) -> Result<Placement> {
    let backend = match (session.backend, before) {
        (None, Some(before)) => before.backend,
        _ => session.backend()?,
    };
    let devices = match (session.device, before, &config.compute.devices[..]) {
        (Some(number), ..) => vec![number],
        (None, Some(before), _) => before.devices.clone(),
        (None, None, []) => vec![0],
        (None, None, numbers) => numbers.to_vec(),
    };
    Ok(Placement { backend, devices })
}

/// An error if a device is not there or does not compute in the precision.
fn check_devices(session: &Session, devices: &[usize], precision: Precision) -> Result<()> {
    for &device in devices {
        session.dispatch_on(device, IsAble { session, precision })?;
    }
    Ok(())
}

/// Whether a device computes in the precision.
struct IsAble<'a> {
    session: &'a Session<'a>,
    precision: Precision,
}

impl BackendTask for IsAble<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        self.session.check_precision::<B>(self.precision, &device)
    }
}

fn stage_config(config: &RunConfig, stage: StageName) -> Result<&StageConfig> {
    let stages = &config.stages;
    let section = match stage {
        StageName::Teacher => &stages.teacher,
        StageName::Student => &stages.student,
        StageName::Finetune => &stages.finetune,
    };
    section.as_ref().with_context(|| format!("the configuration has no `stages.{}`", stage.name()))
}

/// The run itself remembers its backend and its devices.
fn resume_command(command: &str, args: &RunArgs, root: &Path) -> String {
    let path = |path: &Path| shell_word(&path.display().to_string());
    let mut text = format!("docre {command} {} --out {}", path(&args.config), path(root));
    for item in &args.overrides {
        text += &format!(" --set {}", shell_word(item));
    }
    text + " --resume"
}

/// `text` as a shell reads it, in quotes where it needs them.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The dev scores of the finished stages, in per cent.
fn table(run: &RunDir) -> Result<String> {
    let results = run.results()?;
    let mut text = format!("{:<22}{:>8}{:>8}\n", "", "dev F1", "Ign F1");
    for (stage, label) in [
        (StageName::Teacher, "teacher"),
        (StageName::Student, "student"),
        (StageName::Finetune, "student, fine-tuned"),
    ] {
        if let Some(DevScores { f1, ign_f1, .. }) = results.get(stage.name()) {
            text += &format!("{label:<22}{:>8.2}{:>8.2}\n", 100.0 * f1, 100.0 * ign_f1);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(shell_word("stages.teacher.epochs=3"), "stages.teacher.epochs=3");
        assert_eq!(shell_word("two words"), "'two words'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
