//! `docre train --dry-run`: what a stage will cost, from a few real batches.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use burn::{backend::Autodiff, data::dataloader::DataLoader, tensor::backend::Backend};
use burn_docre::{
    backend::BackendTask, inference::Inference, ops::DocReBackend, text::encoded::EncodedDocument,
};

use super::{
    Session, check_devices,
    fit::{fresh_model, learner},
    placement, stage_config,
};
use crate::{
    cli::StageName,
    config::{RunConfig, StageConfig},
    memory,
    run::corpora::Corpora,
    train::{
        failure::Failure,
        loader::{Position, TrainLoader, TrainSet, n_batches},
        optim::{LeftOut, ParameterCount},
    },
    ui::duration,
};

/// Batches that are timed.
const TIMED_BATCHES: usize = 4;
/// Dev documents that are timed.
const TIMED_DOCUMENTS: usize = 16;

/// Prints parameters, steps, memory and time of a stage.
pub fn run(session: &Session, config: RunConfig, stage: StageName) -> Result<()> {
    let placement = placement(session, &config, None)?;
    check_devices(session, &placement.devices, config.compute.precision)?;
    let corpora = Corpora::load(&config, stage == StageName::Student, session.ui, session.stop)?;
    let n_devices = placement.devices.len();
    let dry_run = DryRun { config: &config, stage, corpora: &corpora, n_devices };
    let report = session.dispatch_on(placement.devices[0], dry_run)?;
    session.ui.results(&report)
}

struct DryRun<'a> {
    config: &'a RunConfig,
    stage: StageName,
    corpora: &'a Corpora,
    n_devices: usize,
}

impl BackendTask for DryRun<'_> {
    type Output = Result<String>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<String> {
        let stage = stage_config(self.config, self.stage)?;
        let documents = match self.stage {
            StageName::Student => &self.corpora.distant,
            StageName::Teacher | StageName::Finetune => &self.corpora.train,
        };
        let documents: Vec<Arc<EncodedDocument>> =
            documents.iter().filter(|document| document.n_pairs() > 0).cloned().collect();
        ensure!(!documents.is_empty(), "{}: no document has two entities", self.stage.name());
        let n_batches = n_batches(documents.len(), stage.batch_size);
        let steps_per_epoch = n_batches.div_ceil(stage.accumulation * self.n_devices);
        let timing = self.time::<B>(stage, documents, steps_per_epoch, &device)?;
        let n_epochs = stage.epochs_to_run();
        // Each device takes every other batch at the same time.
        let epoch = timing.batch * n_batches as f64 / self.n_devices as f64 + timing.dev;
        let devices = match self.n_devices {
            1 => String::new(),
            n => format!(", if {n} devices share it evenly"),
        };
        let memory = memory::peak().map_or("unknown on this system".into(), |bytes| {
            format!("{:.1} GiB resident at most", bytes as f64 / (1u64 << 30) as f64)
        });
        let ParameterCount { encoder, head } = timing.parameters;
        Ok(format!(
            "stage       {}\nparameters  {} (encoder {encoder}, head {head})\nsteps       {} in {n_epochs} epochs, \
             {steps_per_epoch} an epoch\nmemory      {memory}\ntime        {} an epoch, {} in all, dev evaluation included{devices}\n",
            self.stage.name(),
            encoder + head,
            steps_per_epoch * n_epochs,
            duration(epoch),
            duration(epoch * n_epochs as f64),
        ))
    }
}

struct Timing {
    parameters: ParameterCount,
    /// Seconds a training batch.
    batch: f64,
    /// Seconds a dev evaluation.
    dev: f64,
}

impl DryRun<'_> {
    fn time<B: DocReBackend>(
        &self,
        stage: &StageConfig,
        mut documents: Vec<Arc<EncodedDocument>>,
        steps_per_epoch: usize,
        device: &B::Device,
    ) -> Result<Timing> {
        let parts = &self.corpora.parts;
        let model = fresh_model::<Autodiff<B>>(self.config, parts, self.config.seed, device)?;
        let n_steps = stage.epochs * steps_per_epoch;
        let mut learner =
            learner::<B>(self.config, parts, stage, n_steps, model, &LeftOut::default());
        let parameters = ParameterCount::of(&learner.model());
        // The heaviest documents first: the first batch sets the peak of memory and warms up, the others are typical.
        documents.sort_by_key(|document| {
            std::cmp::Reverse(document.n_pairs() + document.token_ids.len())
        });
        let heaviest: Vec<usize> = (0..stage.batch_size.min(documents.len())).collect();
        let position = Arc::new(Position::default());
        let loader = TrainLoader::<Autodiff<B>>::new(
            Arc::new(TrainSet { documents, teacher: None, failure: Failure::default() }),
            Arc::new(parts.config.clone()),
            (stage.batch_size, stage.accumulation),
            self.config.seed,
            position.clone(),
            device.clone(),
        );
        position.set(1, 0);
        let typical: Vec<_> = loader.iter().take(TIMED_BATCHES).collect();
        let n_timed = typical.len().max(1) as f64;
        let mut started = Instant::now();
        for (index, batch) in
            std::iter::once(loader.batch(&heaviest, 1.0, 0)).chain(typical).enumerate()
        {
            learner.lr_step();
            let output = learner.train_step(batch);
            learner.optimizer_step(output.grads);
            if index == 0 {
                synchronize::<B>(device)?;
                started = Instant::now();
            }
        }
        synchronize::<B>(device)?;
        let batch = started.elapsed().as_secs_f64() / n_timed;
        let dev = self.time_dev::<B>(&learner.model().model, device);
        Ok(Timing { parameters, batch, dev })
    }

    fn time_dev<B: DocReBackend>(
        &self,
        model: &burn_docre::model::DocReModel<Autodiff<B>>,
        device: &B::Device,
    ) -> f64 {
        let model = burn::module::AutodiffModule::valid(model);
        let documents = self.corpora.dev.documents();
        let sample = &documents[..documents.len().min(TIMED_DOCUMENTS)];
        let started = Instant::now();
        let inference =
            Inference::<B>::new(model, self.corpora.parts.config.clone(), device.clone());
        let _logits = inference.run(sample.iter().cloned().map(Ok::<_, burn_docre::Error>)).count();
        started.elapsed().as_secs_f64() * documents.len() as f64 / sample.len().max(1) as f64
    }
}

fn synchronize<B: DocReBackend>(device: &B::Device) -> Result<()> {
    <B as Backend>::sync(device).map_err(|error| anyhow::anyhow!("the device failed: {error:?}"))
}
