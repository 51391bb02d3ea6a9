//! The state that the stages of a run share, and the checks before a run starts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use burn_docre::{
    BackendTask, DocReBackend, Precision, PrecisionChoice, backend, dispatch, io::model_directory,
};

use crate::{
    config::{RunConfig, Stage, StageConfig},
    run::{
        corpora::Corpora,
        directory::{RunDir, RunFiles},
        manifest::Placement,
    },
    session::Session,
    train::state::TrainingState,
};

/// The state that the stages of a run share.
pub(super) struct Context<'a> {
    /// The session, on the run's backend.
    pub(super) session: Session<'a>,
    /// The configuration, with local paths of all inputs.
    pub(super) config: RunConfig,
    /// The directory of the results.
    pub(super) directory: RunDir,
    /// The documents.
    pub(super) corpora: Corpora,
    /// The numbers of the devices that train together, at least one.
    pub(super) device_numbers: Vec<usize>,
    /// The precision of the large matrix products.
    pub(super) precision: Precision,
}

impl Context<'_> {
    /// The devices that train together; `first` is the device of the first number.
    pub(super) fn devices<B: DocReBackend>(&self, first: &B::Device) -> Result<Vec<B::Device>> {
        let kind = self.session.backend_kind()?;
        let others =
            self.device_numbers[1..].iter().map(|&number| Ok(backend::device::<B>(kind, number)?));
        std::iter::once(Ok(first.clone())).chain(others).collect()
    }

    /// The model directory of a finished stage.
    ///
    /// # Errors
    /// If the stage is not finished.
    pub(super) fn finished_model(&self, stage: &str) -> Result<PathBuf> {
        finished_model(self.directory.root(), stage)
    }
}

/// The model directory of a finished stage of the run in the directory `root`.
///
/// # Errors
/// If the stage is not finished.
pub(super) fn finished_model(root: &Path, stage: &str) -> Result<PathBuf> {
    let files = RunFiles::new(root);
    let model = files.model(stage);
    let state = TrainingState::load(&files.stage(stage))?;
    ensure!(
        state.finished && model_directory::is_complete(&model),
        "the stage `{stage}` is not finished in {}; run it first",
        root.display()
    );
    Ok(model)
}

/// The stage of this name in the configuration's plan.
pub(super) fn named_stage(config: &RunConfig, name: &str) -> Result<&'static Stage> {
    let plan = config.plan.plan();
    plan.stage(name).with_context(|| {
        format!("the plan `{}` has no stage {name:?}; it has {}", plan.name, plan.stage_names())
    })
}

/// The configuration's section of a stage.
pub(super) fn stage_config<'a>(config: &'a RunConfig, stage: &Stage) -> Result<&'a StageConfig> {
    let section = config.stages.get(stage.name);
    section.with_context(|| format!("the configuration has no `stages.{}`", stage.name))
}

/// Chooses the backend, the devices and the precision of a run.
///
/// The command line takes precedence over `before`, the placement at the last start of a resumed
/// run. `before` takes precedence over the configuration.
pub(super) fn placement(
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
    let precision = match (config.compute.precision, before) {
        (PrecisionChoice::Auto, Some(before)) => before.precision,
        (choice, _) => choice.resolve(backend, &devices)?,
    };
    Ok(Placement { backend, devices, precision })
}

/// Checks that every device of a placement exists and computes in its precision.
pub(super) fn check_devices(placement: &Placement) -> Result<()> {
    for &device in &placement.devices {
        dispatch(Some(placement.backend), device, CheckDevice(placement))??;
    }
    Ok(())
}

struct CheckDevice<'a>(&'a Placement);

impl BackendTask for CheckDevice<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        Ok(self.0.precision.check::<B>(self.0.backend, &device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::LogFormat,
        ui::{Ui, signals::StopFlag},
    };

    #[test]
    fn auto_is_chosen_by_the_device_at_the_start_and_kept_on_resume() {
        let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
        let session = Session::new(&ui, &stop);
        let config = |precision: &str| {
            let demo = include_str!("../../../configs/demo.toml");
            RunConfig::parse(demo, &[format!("compute.precision={precision}")]).unwrap()
        };
        let kind = session.backend_kind().unwrap();
        let before_start = |precision| Placement { backend: kind, devices: vec![0], precision };
        let chosen = |name, before: Option<Precision>| {
            let before = before.map(before_start);
            placement(&session, &config(name), before.as_ref()).unwrap().precision
        };
        let native = kind.device(0).unwrap().native_bf16;
        assert_eq!(chosen("auto", None) == Precision::Bf16, native);
        for precision in [Precision::F32, Precision::Bf16] {
            assert_eq!(chosen("auto", Some(precision)), precision);
            assert_eq!(chosen(precision.name(), None), precision);
        }
    }
}
