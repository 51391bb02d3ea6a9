//! The training of one stage: its documents, initial model and objective.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use burn::backend::Autodiff;
use burn_docre::{
    DocReBackend, Precision,
    io::{
        model_directory::{self, ModelDirectory, ModelSpec},
        pretrained::{describe_unused, load_pretrained},
        weights::Loaded,
    },
    model::DocReModel,
    ops,
    text::encoded::EncodedDocument,
};

use super::{
    context::{Context, stage_config},
    label::open_labels,
};
use crate::{
    config::{EncoderSource, Need, ObjectiveKind, RunConfig, Stage, Start},
    run::{corpora::Corpora, files},
    train::{
        checkpoint,
        dev_set::DevSet,
        loader::mix,
        objective::Objective,
        objectives::{EmObjective, PairLoss, RelationObjective, SoftLabels},
        state::TrainingState,
        training_loop::{StageEnd, Training},
    },
    ui::signals::Stopped,
};

/// Trains `stage` or resumes it, unless it is finished.
pub(super) fn fit<B: DocReBackend>(
    context: &Context,
    stage: &Stage,
    device: &B::Device,
) -> Result<()> {
    let state = TrainingState::load(&context.directory.stage(stage.name))?;
    let start_model = start_model_id(context, stage, &state)?;
    if state.finished {
        context.session.ui.note(&format!("{}: already finished", stage.name));
        return finish(context, stage);
    }
    let soft_labels = open_needs(context, stage)?;
    if state.checkpoint.is_none() {
        context.directory.forget(stage.name)?;
    }
    let objective = {
        let Context { config, corpora, precision, .. } = context;
        stage_objective(config, corpora, stage, *precision, soft_labels)
    };
    let fit = Fit { context, stage, start_model };
    let end = match objective {
        StageObjective::Relation(objective) => fit.train::<B, _>(objective, device)?,
        StageObjective::Em(objective) => fit.train::<B, _>(objective, device)?,
    };
    match end {
        StageEnd::Finished => finish(context, stage),
        StageEnd::Interrupted => Err(Stopped.into()),
    }
}

/// Reports whether `stage` is finished.
pub(super) fn is_finished(context: &Context, stage: &Stage) -> Result<bool> {
    Ok(TrainingState::load(&context.directory.stage(stage.name))?.finished)
}

/// The id of the model that `stage` starts from. `None` for a fresh model, or if the model is gone.
///
/// # Errors
/// If the stage, whose progress is `state`, has begun with another model.
fn start_model_id(
    context: &Context,
    stage: &Stage,
    state: &TrainingState,
) -> Result<Option<String>> {
    let Start::Stage(name) = stage.start else { return Ok(None) };
    let model = context.directory.model(name);
    if !model_directory::is_complete(&model) {
        return Ok(None);
    }
    let id = model_directory::id_of(&model)?.to_string();
    ensure!(
        state.start_model.as_ref().is_none_or(|begun_with| *begun_with == id),
        "{}: the stage began with another model of the stage `{name}` than {}; remove the first \
         directory to train the stage again",
        context.directory.stage(stage.name).display(),
        model.display()
    );
    Ok(Some(id))
}

/// The objective of a stage.
pub(super) enum StageObjective {
    /// All parameters minimise one loss.
    Relation(RelationObjective),
    /// Extractor and key classifier of a KMGRE model are trained by EM.
    Em(EmObjective),
}

/// The objective of `stage`. The model decides between EM and one loss.
pub(super) fn stage_objective(
    config: &RunConfig,
    corpora: &Corpora,
    stage: &Stage,
    precision: Precision,
    soft_labels: Option<SoftLabels>,
) -> StageObjective {
    let loss = match stage.objective {
        // A student without soft labels trains by naive adaptation.
        ObjectiveKind::Relation | ObjectiveKind::Distillation => {
            PairLoss { relation: config.loss, soft_labels }
        }
    };
    let relation = RelationObjective {
        loss,
        precision,
        spec: Arc::new(corpora.model_spec.clone()),
        dev: Arc::new(DevSet::new(corpora.dev.clone(), corpora.scorer.clone())),
    };
    match (config.em, config.model.key_selection()) {
        (Some(em), Some(selection)) => {
            let em = em.of_stage(stage.start);
            StageObjective::Em(EmObjective { relation, em, selection })
        }
        _ => StageObjective::Relation(relation),
    }
}

/// Checks that the results of earlier stages that `stage` reads exist, and opens the soft labels if
/// it distils.
fn open_needs(context: &Context, stage: &Stage) -> Result<Option<SoftLabels>> {
    let distillation = stage_config(&context.config, stage)?.distillation();
    let mut soft_labels = None;
    for need in stage.needs {
        match (*need, distillation) {
            (Need::Stage(name), _) => {
                context.finished_model(name)?;
            }
            (Need::SoftLabels { teacher }, Some(distillation)) => {
                let store = Arc::new(open_labels(context, stage, teacher)?);
                soft_labels = Some(SoftLabels { distillation, store });
            }
            (Need::SoftLabels { .. }, None) => {}
        }
    }
    ensure!(
        soft_labels.is_some() == distillation.is_some(),
        "{}: the plan has no soft labels for this stage",
        stage.name
    );
    Ok(soft_labels)
}

/// Records the dev metrics of a finished stage and removes its checkpoints.
fn finish(context: &Context, stage: &Stage) -> Result<()> {
    let directory = context.directory.stage(stage.name);
    let model = context.directory.model(stage.name);
    ensure!(
        model_directory::is_complete(&model),
        "{}: the model of the finished stage is missing; remove the directory of the stage to train it again",
        model.display()
    );
    let state = TrainingState::load(&directory)?;
    let best =
        state.best().with_context(|| format!("{}: no epoch is recorded", directory.display()))?;
    context.directory.record(stage.name, best.dev.clone())?;
    checkpoint::remove_all(&directory)
}

/// An unfinished stage.
struct Fit<'a> {
    context: &'a Context<'a>,
    stage: &'a Stage,
    /// The id of the model that the stage starts from; `None` for a fresh model.
    start_model: Option<String>,
}

impl Fit<'_> {
    fn train<B, O>(self, objective: O, device: &B::Device) -> Result<StageEnd>
    where
        B: DocReBackend,
        O: Objective<B, Model = DocReModel<Autodiff<B>>, Example = Arc<EncodedDocument>>,
    {
        let Self { context, stage, start_model } = self;
        let directory = context.directory.stage(stage.name);
        files::create_directory(&directory)?;
        let examples: Arc<[_]> = documents(context, stage)?.into();
        let devices = context.devices::<B>(device)?;
        let model = initial_model::<Autodiff<B>>(context, stage, &devices[0])?;
        let training = Training::<B, O> {
            name: stage.name,
            ui: context.session.ui,
            stop: context.session.stop,
            directory,
            model_directory: context.directory.model(stage.name),
            config: stage_config(&context.config, stage)?.clone(),
            seed: stage_seed(&context.config, stage),
            start_model,
            devices,
            objective,
            examples,
        };
        training.run(model)
    }
}

/// The documents of a stage that have pairs; notes the number of the others.
fn documents(context: &Context, stage: &Stage) -> Result<Vec<Arc<EncodedDocument>>> {
    let all = context.corpora.documents(stage.documents);
    let kept = with_pairs(stage, all)?;
    let n_skipped = all.len() - kept.len();
    if n_skipped > 0 {
        context.session.ui.note(&format!(
            "{}: {n_skipped} documents without a pair of entities are skipped",
            stage.name
        ));
    }
    Ok(kept)
}

/// The documents that have pairs.
///
/// # Errors
/// If there are none.
pub(super) fn with_pairs(
    stage: &Stage,
    documents: &[Arc<EncodedDocument>],
) -> Result<Vec<Arc<EncodedDocument>>> {
    let kept: Vec<_> =
        documents.iter().filter(|document| document.n_pairs() > 0).cloned().collect();
    ensure!(!kept.is_empty(), "{}: no document has a pair of entities", stage.name);
    Ok(kept)
}

/// The seed of a stage's random numbers.
fn stage_seed(config: &RunConfig, stage: &Stage) -> u64 {
    mix(config.seed, config.plan.plan().position(stage) as u64)
}

fn initial_model<B: DocReBackend>(
    context: &Context,
    stage: &Stage,
    device: &B::Device,
) -> Result<DocReModel<B>> {
    match stage.start {
        Start::Fresh => {
            let seed = stage_seed(&context.config, stage);
            let Loaded { module, unused } =
                fresh_model(&context.config, &context.corpora.model_spec, seed, device)?;
            if !unused.is_empty() {
                let n_layers = context.corpora.model_spec.config.encoder.num_hidden_layers;
                context.session.ui.note(&format!(
                    "{}: the encoder's weight file has unused tensors: {}",
                    stage.name,
                    describe_unused(&unused, n_layers)
                ));
            }
            Ok(module)
        }
        Start::Stage(name) => {
            let directory = context.finished_model(name)?;
            let model = ModelDirectory::open(&directory)?;
            ensure!(
                model.spec().config == context.corpora.model_spec.config,
                "{}: the configuration of the model differs from that of the run",
                directory.display()
            );
            Ok(model.model(device)?)
        }
    }
}

/// A new model. Its weights are drawn from `seed`, except for the encoder if the configuration
/// names a pretrained one. `unused` lists the tensors of the pretrained file that the encoder does
/// not have.
pub(super) fn fresh_model<B: DocReBackend>(
    config: &RunConfig,
    model_spec: &ModelSpec,
    seed: u64,
    device: &B::Device,
) -> Result<Loaded<DocReModel<B>>> {
    let model = ops::seeded::<B, _>(seed, device, || model_spec.config.init::<B>(device));
    match &config.encoder {
        EncoderSource::Pretrained(directory) => {
            let mut unused = Vec::new();
            let module = model.try_map_encoders(|encoder| {
                load_pretrained(encoder, directory).map(|loaded| {
                    unused = loaded.unused;
                    loaded.module
                })
            })?;
            Ok(Loaded { module, unused })
        }
        EncoderSource::Scratch(_) => Ok(Loaded { module: model, unused: Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use burn::{
        module::{Module, ModuleVisitor, Param, ParamId},
        optim::{GradientsParams, Optimizer},
        tensor::{Tensor, backend::Backend},
    };
    use burn_docre::{BackendTask, dispatch};
    use hashbrown::HashMap;

    use super::*;
    use crate::{
        cli::LogFormat,
        train::{
            learner::ModuleOf,
            optim::{GroupConfig, GroupedAdamW, OptimizerConfig, ParameterCount},
        },
        ui::{Ui, signals::StopFlag},
    };

    /// The values of every parameter.
    #[derive(Default)]
    struct Values(HashMap<ParamId, Vec<f32>>);

    impl Values {
        fn of<B: Backend>(module: &impl Module<B>) -> HashMap<ParamId, Vec<f32>> {
            let mut values = Self::default();
            module.visit(&mut values);
            values.0
        }
    }

    impl<B: Backend> ModuleVisitor<B> for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let values = param.val().into_data().to_vec().unwrap();
            assert!(self.0.insert(param.id, values).is_none(), "a parameter is visited twice");
        }
    }

    /// A gradient of ones for every parameter.
    struct Ones(GradientsParams);

    impl<B: DocReBackend> ModuleVisitor<Autodiff<B>> for Ones {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Autodiff<B>, D>>) {
            self.0.register::<B, D>(param.id, param.val().inner().ones_like());
        }
    }

    /// Takes one optimizer step with a different learning rate for each group, and counts the
    /// values that moved by each.
    struct StepOfBothGroups {
        config: RunConfig,
        n_encoders: usize,
    }

    impl BackendTask for StepOfBothGroups {
        type Output = ();

        fn run<B: DocReBackend>(self, device: B::Device) {
            let Self { config, n_encoders } = self;
            let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
            let corpora = Corpora::load(&config, &[], &ui, &stop).unwrap();
            let spec = &corpora.model_spec;
            let model = fresh_model::<Autodiff<B>>(&config, spec, 1, &device).unwrap().module;
            let encoder = spec.config.encoder.init::<B>(&device);
            let n_encoder = n_encoders * Values::of(&encoder).values().map(Vec::len).sum::<usize>();
            let stage = &config.plan.plan().stages[0];
            let objective = match stage_objective(&config, &corpora, stage, Precision::F32, None) {
                StageObjective::Relation(relation)
                | StageObjective::Em(EmObjective { relation, .. }) => relation,
            };
            let module = ModuleOf::<B, _>::new(model, objective);
            let before = Values::of(&module);
            let n_all: usize = before.values().map(Vec::len).sum();
            let count = ParameterCount { encoder: n_encoder, relation: n_all - n_encoder };
            assert_eq!(ParameterCount::of(&module), count);
            let mut grads = Ones(GradientsParams::new());
            module.visit(&mut grads);
            let group = |learning_rate| GroupConfig { learning_rate, weight_decay: 0.0 };
            let mut optimizer = GroupedAdamW::new(OptimizerConfig {
                encoder: group(0.5),
                relation: group(0.125),
                epsilon: 1e-12,
                max_grad_norm: f64::MAX,
            });
            let after = Values::of(&optimizer.step(1.0, module, grads.0));
            // The first step of Adam moves every value by the learning rate.
            let mut moved = ParameterCount::default();
            for (id, before) in before {
                for (before, after) in before.iter().zip(&after[&id]) {
                    match before - after {
                        change if (change - 0.5).abs() < 1e-3 => moved.encoder += 1,
                        change if (change - 0.125).abs() < 1e-3 => moved.relation += 1,
                        change => panic!("a value moved by {change}"),
                    }
                }
            }
            assert_eq!(moved, count);
        }
    }

    fn check(n_encoders: usize, overrides: &[&str]) {
        let demo = include_str!("../../../configs/demo.toml");
        let small =
            ["data.synthetic.n_train=2", "data.synthetic.n_dev=1", "data.synthetic.n_distant=1"];
        let overrides: Vec<String> =
            small.iter().chain(overrides).map(|item| item.to_string()).collect();
        let config = RunConfig::parse(demo, &overrides).unwrap();
        dispatch(None, 0, StepOfBothGroups { config, n_encoders }).unwrap();
    }

    #[test]
    fn only_a_fresh_model_warms_up() {
        let demo = include_str!("../../../configs/demo.toml");
        let overrides = [
            "data.synthetic.n_train=2",
            "data.synthetic.n_dev=1",
            "data.synthetic.n_distant=1",
            "model={ kind = \"kmgre\", key_classifier = { kind = \"shared-encoder\", xi = 0.15, tau = 0.5 } }",
            "em={ warmup_epochs = 3 }",
        ];
        let config = RunConfig::parse(demo, &overrides.map(str::to_string)).unwrap();
        let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
        let corpora = Corpora::load(&config, &[], &ui, &stop).unwrap();
        let em = |stage| match stage_objective(&config, &corpora, stage, Precision::F32, None) {
            StageObjective::Em(objective) => (objective.em.warmup_epochs, objective.em.tau_decay),
            StageObjective::Relation(_) => panic!("EM trains a model with a key classifier"),
        };
        let of_stages: Vec<_> = config.plan.plan().stages.iter().map(em).collect();
        assert_eq!(of_stages, [(3, 0.999), (3, 0.999), (0, 0.0)]);
    }

    #[test]
    fn every_parameter_of_kd_docre_is_in_exactly_one_group() {
        check(1, &[]);
    }

    #[test]
    fn every_parameter_of_atlop_is_in_exactly_one_group() {
        check(1, &["model={ kind = \"atlop\", emb_size = 64, group_size = 16 }"]);
    }

    #[test]
    fn every_parameter_of_kmgre_is_in_exactly_one_group() {
        for (kind, n_encoders) in [("own-encoder", 2), ("shared-encoder", 1)] {
            let classifier = format!("{{ kind = \"{kind}\", xi = 0.15, tau = 0.5 }}");
            let model = format!("model={{ kind = \"kmgre\", key_classifier = {classifier} }}");
            check(n_encoders, &[&model, "em={ warmup_epochs = 1 }"]);
        }
        check(1, &["model={ kind = \"kmgre\", key_classifier = { kind = \"none\" } }"]);
    }
}
