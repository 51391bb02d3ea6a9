//! `docre train --dry-run`: estimates the cost of a stage from a few real batches.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use burn::{
    backend::Autodiff,
    data::dataloader::{DataLoader, Progress},
    module::AutodiffModule,
};
use burn_docre::{BackendTask, DocReBackend, text::encoded::EncodedDocument};

use super::{
    context::{check_devices, named_stage, placement, stage_config},
    fit::{fresh_model, relation_objective, with_pairs},
};
use crate::{
    config::{ObjectiveKind, RunConfig, Stage, StageConfig},
    memory::{self, gib},
    run::corpora::Corpora,
    session::{Session, synchronize},
    train::{
        dev_set::DevSet,
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
/// A few batches are trained with the relation loss alone, so that a teacher's logits are not
/// needed.
///
/// # Errors
/// If the plan has no such stage, or an input cannot be read.
pub fn report(session: &Session, config: &RunConfig, stage: &str) -> Result<String> {
    let stage = named_stage(config, stage)?;
    stage_config(config, stage)?;
    let placement = placement(session, config, None)?;
    check_devices(session, &placement.devices, config.compute.precision)?;
    let corpora = Corpora::load(config, &[stage.documents], session.ui, session.stop)?;
    let n_devices = placement.devices.len();
    let dry_run = DryRun { config, stage, corpora: &corpora, n_devices };
    session.dispatch_on(placement.devices[0], dry_run)
}

struct DryRun<'a> {
    config: &'a RunConfig,
    stage: &'a Stage,
    corpora: &'a Corpora,
    n_devices: usize,
}

impl BackendTask for DryRun<'_> {
    type Output = Result<String>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<String> {
        let stage = stage_config(self.config, self.stage)?;
        let documents = with_pairs(self.stage, self.corpora.documents(self.stage.documents))?;
        let sizes = BatchSizes {
            examples_per_batch: stage.batch_size,
            batches_per_step: stage.accumulation * self.n_devices,
        };
        let n_batches = sizes.batches_per_epoch(documents.len());
        let steps_per_epoch = sizes.steps_per_epoch(documents.len());
        let timing = self.time::<B>(stage, documents, steps_per_epoch, &device)?;
        let n_epochs = stage.epochs_to_run();
        // The devices compute at the same time, each of them every n-th batch.
        let epoch = timing.batch * n_batches as f64 / self.n_devices as f64 + timing.dev;
        let devices = match self.n_devices {
            1 => String::new(),
            n => format!(", if {n} devices run at equal speed"),
        };
        let memory = memory::peak().map_or("unknown on this system".into(), |bytes| {
            format!("{} resident at its peak", gib(bytes))
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

type Batch<B> = StepBatch<<RelationObjective as Objective<B>>::Batch>;

/// The batches of a dry run.
struct Batches<B: DocReBackend> {
    /// The batch of the heaviest documents, which reaches the peak memory and warms up.
    heaviest: Batch<B>,
    /// The timed batches.
    typical: Vec<Batch<B>>,
}

struct Timing {
    parameters: ParameterCount,
    /// Seconds per training batch.
    batch: f64,
    /// Seconds per dev evaluation.
    dev: f64,
}

impl DryRun<'_> {
    /// Trains the batches and evaluates the first dev documents.
    fn time<B: DocReBackend>(
        &self,
        stage: &StageConfig,
        documents: Vec<Arc<EncodedDocument>>,
        steps_per_epoch: usize,
        device: &B::Device,
    ) -> Result<Timing> {
        let model_spec = &self.corpora.model_spec;
        let seed = self.config.seed;
        let model = fresh_model::<Autodiff<B>>(self.config, model_spec, seed, device)?.module;
        let objective = match self.stage.objective {
            // The distillation loss costs little, and the teacher's logits may not exist yet.
            ObjectiveKind::Relation | ObjectiveKind::Distillation => {
                relation_objective(self.config, self.corpora, None)
            }
        };
        let schedule = WarmupLinear::new(stage.epochs * steps_per_epoch, stage.warmup_ratio);
        let mut learner: burn::train::Learner<Components<B, RelationObjective>> =
            learner(model, objective.clone(), stage.into(), schedule, &SkippedSteps::default());
        let parameters = ParameterCount::of(&learner.model());
        let Batches { heaviest, typical } =
            self.batches::<B>(objective.clone(), stage, documents, device)?;
        let n_timed = typical.len().max(1) as f64;
        let mut started = Instant::now();
        for (index, batch) in std::iter::once(heaviest).chain(typical).enumerate() {
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
        let model = learner.model().valid().model;
        let dev = self.time_dev::<B>(objective, &model, device)?;
        Ok(Timing { parameters, batch, dev })
    }

    /// Builds the batches; the heaviest documents are those with the most pairs and tokens.
    fn batches<B: DocReBackend>(
        &self,
        objective: RelationObjective,
        stage: &StageConfig,
        mut documents: Vec<Arc<EncodedDocument>>,
        device: &B::Device,
    ) -> Result<Batches<B>> {
        documents.sort_by_key(|document| {
            std::cmp::Reverse(document.n_pairs() + document.token_ids.len())
        });
        let heaviest: Vec<usize> = (0..stage.batch_size.min(documents.len())).collect();
        let sizes = BatchSizes {
            examples_per_batch: stage.batch_size,
            batches_per_step: stage.accumulation,
        };
        let position = Arc::new(Position::default());
        position.set(1, 0);
        let loader = TrainLoader::<B, _>::new(
            objective,
            documents.into(),
            sizes,
            self.config.seed,
            device.clone(),
        )
        .with_handles(&position, &Default::default());
        let typical: Vec<_> = loader.iter().take(TIMED_BATCHES).collect();
        let heaviest = StepBatch {
            batch: loader.batch(&heaviest)?,
            weight: 1.0,
            step: Step { number: 1, epoch: 1 },
            dropout_seed: 0,
        };
        Ok(Batches { heaviest, typical })
    }

    /// Estimates the seconds of a dev evaluation from its first documents.
    fn time_dev<B: DocReBackend>(
        &self,
        objective: RelationObjective,
        model: &<RelationObjective as Objective<B>>::InnerModel,
        device: &B::Device,
    ) -> Result<f64> {
        let documents = &self.corpora.dev;
        let sample = documents[..documents.len().min(TIMED_DOCUMENTS)].to_vec();
        let n_timed = sample.len().max(1) as f64;
        let dev = Arc::new(DevSet::new(sample, self.corpora.scorer.clone()));
        let objective = RelationObjective { dev, ..objective };
        let started = Instant::now();
        objective
            .evaluate(model, device, &mut |_: Progress| true)?
            .context("the dev evaluation was interrupted")?;
        Ok(started.elapsed().as_secs_f64() * documents.len() as f64 / n_timed)
    }
}
