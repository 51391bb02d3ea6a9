//! `docre train --dry-run`: estimates the cost of a stage from a few real batches.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use burn::{
    backend::Autodiff,
    data::dataloader::{DataLoader, Progress},
    module::AutodiffModule,
    train::Learner,
};
use burn_docre::{
    BackendTask, DocReBackend, Precision,
    model::{DocReModel, DocumentSize},
    text::encoded::EncodedDocument,
};

use super::{
    context::{check_devices, named_stage, placement, stage_config},
    fit::{StageObjective, fresh_model, stage_objective, with_pairs},
};
use crate::{
    config::{RunConfig, Stage, StageConfig},
    memory::{self, gib},
    run::{
        corpora::Corpora,
        hub::{Commits, LocalConfig},
    },
    session::{Session, synchronize},
    train::{
        dev_set::DevSet,
        failure::Failure,
        learner::{Components, learner},
        loader::{BatchSizes, Position, StepBatch, TrainLoader},
        objective::{Objective, Step},
        objectives::RelationObjective,
        optim::{ParameterCount, SkippedSteps, WarmupLinear},
    },
    ui::duration,
};

/// The number of timed training batches.
const TIMED_BATCHES: usize = 4;
/// The number of timed dev documents.
const TIMED_DOCUMENTS: usize = 16;

/// Estimates the parameters, steps, memory and time of the stage of this name.
///
/// A few batches of each phase are trained without distillation, so that a teacher's logits are not
/// needed.
///
/// # Errors
/// If the plan has no such stage, or an input cannot be read.
pub fn report(session: &Session, config: &RunConfig, stage: &str) -> Result<String> {
    let stage = named_stage(config, stage)?;
    stage_config(config, stage)?;
    let placement = placement(session, config, None)?;
    check_devices(&placement)?;
    let local = LocalConfig::fetch(config, Commits::new(), session.ui)?;
    let config = &local.config;
    let corpora = Corpora::load(config, &[stage.documents], session.ui, session.stop)?;
    let (n_devices, precision) = (placement.devices.len(), placement.precision);
    let dry_run = DryRun { config, stage, corpora: &corpora, n_devices, precision };
    session.dispatch_on(placement.devices[0], dry_run)
}

struct DryRun<'a> {
    config: &'a RunConfig,
    stage: &'a Stage,
    corpora: &'a Corpora,
    n_devices: usize,
    precision: Precision,
}

impl BackendTask for DryRun<'_> {
    type Output = Result<String>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<String> {
        let stage = stage_config(self.config, self.stage)?;
        let documents = with_pairs(self.stage, self.corpora.documents(self.stage.documents))?;
        let sizes = BatchSizes::of(stage, self.n_devices);
        let n_batches = sizes.batches_per_epoch(documents.len());
        let steps_per_epoch = sizes.steps_per_epoch(documents.len());
        // The distillation loss costs little, and the teacher's logits may not exist yet.
        let timing =
            match stage_objective(self.config, self.corpora, self.stage, self.precision, None) {
                StageObjective::Relation(objective) => {
                    self.time::<B, _>(objective.clone(), &objective, documents, &device)?
                }
                StageObjective::Em(objective) => {
                    self.time::<B, _>(objective.clone(), &objective.relation, documents, &device)?
                }
            };
        let n_epochs = stage.epochs_to_run();
        // The devices compute at the same time, each of them every n-th batch.
        let epoch = timing.batch * n_batches as f64 / self.n_devices as f64 + timing.dev;
        let devices = match self.n_devices {
            1 => String::new(),
            n => format!(", if {n} devices run at equal speed"),
        };
        let memory = memory::peak().map_or("unknown on this system".into(), |bytes| {
            format!("{} resident at its peak, without that of a GPU", gib(bytes))
        });
        let ParameterCount { encoder, relation } = timing.parameters;
        Ok(format!(
            "stage       {}\n\
             parameters  {} (encoder {encoder}, relation module {relation})\n\
             steps       {} in {n_epochs} epochs, {steps_per_epoch} per epoch\n\
             memory      {memory}\n\
             time        {} per epoch, {} in total, dev evaluation included{devices}\n",
            self.stage.name,
            encoder + relation,
            steps_per_epoch * n_epochs,
            duration(epoch),
            duration(epoch * n_epochs as f64),
        ))
    }
}

/// The batches of a phase.
struct Batches<T> {
    /// The batch of the heaviest documents, which reaches the peak memory and warms up.
    heaviest: StepBatch<T>,
    /// The timed batches.
    typical: Vec<StepBatch<T>>,
}

/// The epochs of a phase.
#[derive(Debug, PartialEq, Eq)]
struct PhaseEpochs {
    name: Option<&'static str>,
    /// The first epoch, from 1.
    first: usize,
    n_epochs: usize,
}

/// The phases of the first `n_epochs` epochs, given the name of the phase of an epoch.
fn phases(phase_of: impl Fn(usize) -> Option<&'static str>, n_epochs: usize) -> Vec<PhaseEpochs> {
    let mut phases: Vec<PhaseEpochs> = Vec::new();
    for epoch in 1..=n_epochs {
        let name = phase_of(epoch);
        match phases.iter_mut().find(|phase| phase.name == name) {
            Some(phase) => phase.n_epochs += 1,
            None => phases.push(PhaseEpochs { name, first: epoch, n_epochs: 1 }),
        }
    }
    phases
}

/// Builds the batches of the phase that begins with `epoch`.
fn batches<B: DocReBackend, O: Objective<B>>(
    loader: &TrainLoader<B, O>,
    stage: &StageConfig,
    epoch: usize,
) -> Result<Batches<O::Batch>> {
    let heaviest: Vec<usize> = (0..stage.batch_size.min(loader.num_items())).collect();
    let (position, failure) = (Arc::new(Position::default()), Failure::default());
    position.set(epoch, 0);
    let loader = loader.clone().with_handles(&position, &failure);
    let typical: Vec<_> = loader.iter().take(TIMED_BATCHES).collect();
    failure.check()?;
    let heaviest = StepBatch {
        batch: loader.batch(&heaviest)?,
        weight: 1.0,
        step: Step { number: 1, epoch },
        dropout_seed: 0,
        panics: None,
    };
    Ok(Batches { heaviest, typical })
}

/// Trains on all batches; returns the mean time of the typical ones. Passes and updates are timed
/// apart, because a training updates once in `accumulation` batches.
fn time_batches<B: DocReBackend, O: Objective<B>>(
    learner: &mut Learner<Components<B, O>>,
    Batches { heaviest, typical }: Batches<O::Batch>,
    accumulation: usize,
    device: &B::Device,
) -> Result<Duration> {
    let n_timed = typical.len().max(1) as u32;
    let (mut passes, mut updates) = (Duration::ZERO, Duration::ZERO);
    for (index, batch) in std::iter::once(heaviest).chain(typical).enumerate() {
        let started = Instant::now();
        learner.lr_step();
        let output = learner.train_step(batch);
        synchronize::<B>(device)?;
        let pass = started.elapsed();
        learner.optimizer_step(output.grads);
        synchronize::<B>(device)?;
        // The heaviest batch is the first one, and only warms up.
        if index > 0 {
            passes += pass;
            updates += started.elapsed() - pass;
        }
    }
    Ok((passes + updates / accumulation as u32) / n_timed)
}

struct Timing {
    parameters: ParameterCount,
    /// Seconds per training batch, the mean over all epochs.
    batch: f64,
    /// Seconds per dev evaluation.
    dev: f64,
}

impl DryRun<'_> {
    /// Trains batches of each phase and evaluates the first dev documents.
    fn time<B, O>(
        &self,
        objective: O,
        relation: &RelationObjective,
        documents: Vec<Arc<EncodedDocument>>,
        device: &B::Device,
    ) -> Result<Timing>
    where
        B: DocReBackend,
        O: Objective<
                B,
                Model = DocReModel<Autodiff<B>>,
                InnerModel = DocReModel<B>,
                Example = Arc<EncodedDocument>,
            >,
    {
        let stage = stage_config(self.config, self.stage)?;
        let (spec, seed) = (&self.corpora.model_spec, self.config.seed);
        let model = fresh_model::<Autodiff<B>>(self.config, spec, seed, device)?.module;
        let steps_per_epoch =
            BatchSizes::of(stage, self.n_devices).steps_per_epoch(documents.len());
        let n_steps = stage.epochs * steps_per_epoch;
        let schedule = WarmupLinear::new(n_steps, stage.warmup_ratio);
        let mut learner: Learner<Components<B, O>> =
            learner(model, objective.clone(), stage.into(), schedule, &SkippedSteps::default());
        let parameters = ParameterCount::of(&learner.model());
        let loader = self.loader::<B, O>(objective.clone(), stage, documents, device);
        let mut seconds = 0.0;
        let phase_of = |epoch| objective.phase(Step { number: 1, epoch });
        for phase in phases(phase_of, stage.epochs_to_run()) {
            let batches = batches(&loader, stage, phase.first)?;
            let batch = time_batches(&mut learner, batches, stage.accumulation, device)?;
            seconds += phase.n_epochs as f64 * batch.as_secs_f64();
        }
        let model = learner.model().valid().model;
        let dev = self.time_dev::<B>(relation, &model, device)?;
        Ok(Timing { parameters, batch: seconds / stage.epochs_to_run() as f64, dev })
    }

    /// A loader of `documents`, the heaviest first: those whose forward pass has the most
    /// operations. In KMGRE these depend on the mention pairs in place of the pairs.
    fn loader<B, O>(
        &self,
        objective: O,
        stage: &StageConfig,
        mut documents: Vec<Arc<EncodedDocument>>,
        device: &B::Device,
    ) -> TrainLoader<B, O>
    where
        B: DocReBackend,
        O: Objective<B, Example = Arc<EncodedDocument>>,
    {
        let model = &self.corpora.model_spec.config;
        documents.sort_by_cached_key(|document| {
            Reverse(model.forward_flops(DocumentSize::of(document)))
        });
        let sizes = BatchSizes::of(stage, self.n_devices);
        TrainLoader::new(objective, documents.into(), sizes, self.config.seed, device.clone())
    }

    /// Estimates the seconds of a dev evaluation from its first documents.
    fn time_dev<B: DocReBackend>(
        &self,
        objective: &RelationObjective,
        model: &DocReModel<B>,
        device: &B::Device,
    ) -> Result<f64> {
        let documents = &self.corpora.dev;
        let sample = documents[..documents.len().min(TIMED_DOCUMENTS)].to_vec();
        let n_timed = sample.len().max(1) as f64;
        let dev = Arc::new(DevSet::new(sample, self.corpora.scorer.clone()));
        let objective = RelationObjective { dev, ..objective.clone() };
        let started = Instant::now();
        objective
            .evaluate(model, device, &mut |_: Progress| true)?
            .context("the dev evaluation was interrupted")?;
        Ok(started.elapsed().as_secs_f64() * documents.len() as f64 / n_timed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epochs_of_a_phase_are_counted_from_its_first_epoch() {
        let names = ["warm-up", "E step", "M step", "E step"];
        let epochs = |name, first, n_epochs| PhaseEpochs { name, first, n_epochs };
        let expected = [("warm-up", 1, 1), ("E step", 2, 2), ("M step", 3, 1)]
            .map(|(name, first, n)| epochs(Some(name), first, n));
        assert_eq!(phases(|epoch| Some(names[epoch - 1]), 4), expected);
        assert_eq!(phases(|_| None, 4), [epochs(None, 1, 4)]);
    }
}
