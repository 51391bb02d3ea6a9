//! EM training of KMGRE's relation extractor and key classifier.
//!
//! Jiang et al., *Key Mention Pairs Guided Document-Level Relation Extraction*, COLING 2022,
//! Algorithm 1.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use burn::{
    backend::Autodiff,
    data::dataloader::Progress,
    module::{AutodiffModule, Module, ModuleVisitor},
    tensor::{Tensor, activation::sigmoid, backend::Backend},
};
use burn_docre::{
    DocReBackend,
    batch::{DocReBatch, MentionPairIndex},
    loss::BinaryFocalLoss,
    mention_pair::{KeySelection, fuse, pseudo_labels},
    model::{DocReModel, KmgreModel, MentionPairLogits},
    nn::rounding::with_precision,
    text::encoded::EncodedDocument,
};

use super::{
    evidence_agreement::Support,
    relation::{RelationBatch, RelationObjective},
};
use crate::{
    config::EmConfig,
    train::objective::{DevMetric, Loss, Objective, Step},
};

/// Trains relation extractor and key classifier of KMGRE in turn.
///
/// | phase | epochs | updates | minimises |
/// |---|---|---|---|
/// | warm-up | the first `em.warmup_epochs` | both | both losses; all mention pairs are fused |
/// | E step | then the 1st, 3rd, … | key classifier | focal loss against the pseudo labels |
/// | M step | the 2nd, 4th, … | extractor | pair loss over the classifier's key mention pairs |
///
/// Pseudo labels come from the extractor. In the warm-up, pseudo labels come from the training pass
/// itself, dropout included.
///
/// The module that an E or M step does not update runs in evaluation mode, without a graph. With a
/// shared encoder, both steps update the encoder.
#[derive(Clone, Debug)]
pub struct EmObjective {
    /// The pair loss, the model and the dev documents.
    pub relation: RelationObjective,
    /// Warm-up, focal loss and growth of the threshold's bound in this stage.
    pub em: EmConfig,
    /// The key threshold of the model. Its bound grows to `tau`.
    pub selection: KeySelection,
}

/// The phase of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    EStep,
    MStep,
}

/// Documents with their targets, with and without autodiff.
pub struct EmBatch<B: DocReBackend> {
    /// The documents and targets.
    relation: RelationBatch<Autodiff<B>>,
    /// The mention pairs of the documents.
    pairs: MentionPairIndex<Autodiff<B>>,
    /// The documents without autodiff.
    detached: Detached<B>,
    /// The support of each mention pair by annotated evidence.
    support: Support,
}

/// The documents of a batch without autodiff.
struct Detached<B: DocReBackend> {
    inputs: DocReBatch<B>,
    pairs: MentionPairIndex<B>,
}

impl Phase {
    fn of_epoch(epoch: usize, warmup_epochs: usize) -> Self {
        match epoch.checked_sub(warmup_epochs + 1) {
            None => Self::WarmUp,
            Some(pass) if pass.is_multiple_of(2) => Self::EStep,
            Some(_) => Self::MStep,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm-up",
            Self::EStep => "E step",
            Self::MStep => "M step",
        }
    }
}

impl EmObjective {
    const KEY_LOSS: &str = "Key Loss";
    const AGREEMENT: &str = "Evidence Agreement";
    const SHARE: &str = "Evidence Share";

    fn phase_of(&self, step: Step) -> Phase {
        Phase::of_epoch(step.epoch, self.em.warmup_epochs)
    }

    /// The key threshold of optimizer step `step`. Its bound grows from 0 to `tau`.
    fn selection_of(&self, step: Step) -> KeySelection {
        let growth = 1.0 - self.em.tau_decay.powf(step.number as f64);
        KeySelection { tau: self.selection.tau * growth, ..self.selection }
    }

    /// The model without autodiff, in the objective's precision.
    fn detached<B: DocReBackend>(&self, model: &DocReModel<Autodiff<B>>) -> DocReModel<B> {
        with_precision(model.valid(), self.relation.precision)
    }

    /// The sum of both losses, with all mention pairs fused.
    fn warm_up<B: DocReBackend>(
        &self,
        model: &DocReModel<Autodiff<B>>,
        batch: EmBatch<B>,
    ) -> Loss<Autodiff<B>> {
        let EmBatch { relation: RelationBatch { inputs, targets }, pairs, support, .. } = batch;
        let model = with_precision(model.clone(), self.relation.precision);
        let MentionPairLogits { relations, key } = kmgre(&model).forward_both(&inputs, &pairs);
        let key_labels = pseudo_labels(relations.clone(), targets.labels.clone(), &pairs);
        let logits = fuse(relations, key_labels.ones_like(), &pairs);
        let key_loss = self.key_loss(key.expect(HAS_CLASSIFIER), key_labels, &support);
        self.relation.loss.forward(logits, targets).plus(key_loss)
    }

    /// The key classifier's loss against the pseudo labels of the extractor.
    fn e_step<B: DocReBackend>(
        &self,
        model: &DocReModel<Autodiff<B>>,
        batch: EmBatch<B>,
    ) -> Loss<Autodiff<B>> {
        let EmBatch { relation: RelationBatch { inputs, targets }, pairs, detached, support } =
            batch;
        let extractor = self.detached(model);
        let mention_logits = kmgre(&extractor).mention_logits(&detached.inputs, &detached.pairs);
        let key_labels = pseudo_labels(mention_logits, targets.labels.inner(), &detached.pairs);
        let model = with_precision(model.clone(), self.relation.precision);
        let key_logits = kmgre(&model).key_logits(&inputs, &pairs).expect(HAS_CLASSIFIER);
        self.key_loss(key_logits, Tensor::from_inner(key_labels), &support)
    }

    /// The extractor's loss over the key mention pairs of the key classifier.
    fn m_step<B: DocReBackend>(
        &self,
        model: &DocReModel<Autodiff<B>>,
        batch: EmBatch<B>,
        step: Step,
    ) -> Loss<Autodiff<B>> {
        let EmBatch { relation: RelationBatch { inputs, targets }, pairs, detached, .. } = batch;
        let classifier = self.detached(model);
        let key_logits = kmgre(&classifier).key_logits(&detached.inputs, &detached.pairs);
        let p_key = sigmoid(key_logits.expect(HAS_CLASSIFIER));
        let is_key = self.selection_of(step).select(p_key, &detached.pairs);
        let model = with_precision(model.clone(), self.relation.precision);
        let mention_logits = kmgre(&model).mention_logits(&inputs, &pairs);
        let logits = fuse(mention_logits, Tensor::from_inner(is_key), &pairs);
        self.relation.loss.forward(logits, targets)
    }

    /// The focal loss of `key_logits`, `[q]`, against `key_labels`, `[q]`. Its measures are the
    /// agreement of the labels with the annotated evidence, and the share of supported mention
    /// pairs, the reference for the agreement.
    fn key_loss<B: Backend>(
        &self,
        key_logits: Tensor<B, 1>,
        key_labels: Tensor<B, 1>,
        support: &Support,
    ) -> Loss<B> {
        let EmConfig { alpha, gamma, .. } = self.em;
        let labels: Vec<f32> = key_labels.to_data().iter().collect();
        let loss = BinaryFocalLoss { alpha, gamma }.forward(key_logits, key_labels);
        let loss = Loss::part(Self::KEY_LOSS, loss, 1.0);
        let measures =
            [(Self::AGREEMENT, support.agreement(&labels)), (Self::SHARE, support.share())];
        measures.into_iter().fold(loss, |loss, (name, value)| match value {
            Some(value) => loss.with_measure(name, value),
            None => loss,
        })
    }
}

/// The message of a panic that cannot occur: the configuration requires a key classifier for EM.
const HAS_CLASSIFIER: &str = "EM trains a model with a key classifier";

/// The parts of a KMGRE model.
///
/// # Panics
/// If the model is of another system. The configuration allows EM for KMGRE only.
fn kmgre<B: Backend>(model: &DocReModel<B>) -> KmgreModel<'_, B> {
    model.kmgre().expect("EM trains KMGRE")
}

impl<B: DocReBackend> Objective<B> for EmObjective {
    type Model = DocReModel<Autodiff<B>>;
    type InnerModel = DocReModel<B>;
    type Example = Arc<EncodedDocument>;
    type Batch = EmBatch<B>;

    fn batch(&self, examples: &[&Arc<EncodedDocument>], device: &B::Device) -> Result<EmBatch<B>> {
        let relation = Objective::<B>::batch(&self.relation, examples, device)?;
        let documents: Vec<&EncodedDocument> =
            examples.iter().map(|document| &***document).collect();
        let inputs = DocReBatch::new(&documents, &self.relation.model().encoder, device);
        let detached = Detached { pairs: inputs.mention_pairs(), inputs };
        let MentionPairIndex { rows, .. } = &detached.pairs;
        let support = Support::new(&documents, rows.head(), rows.tail());
        let pairs = relation.inputs.mention_pairs();
        Ok(EmBatch { relation, pairs, detached, support })
    }

    fn loss_parts(&self) -> Vec<&'static str> {
        let mut parts = self.relation.loss.parts();
        parts.push(Self::KEY_LOSS);
        parts
    }

    fn measures(&self) -> Vec<&'static str> {
        vec![Self::AGREEMENT, Self::SHARE]
    }

    fn phase(&self, step: Step) -> Option<&'static str> {
        Some(self.phase_of(step).name())
    }

    fn loss(
        &self,
        model: &DocReModel<Autodiff<B>>,
        batch: EmBatch<B>,
        step: Step,
    ) -> Loss<Autodiff<B>> {
        match self.phase_of(step) {
            Phase::WarmUp => self.warm_up(model, batch),
            Phase::EStep => self.e_step(model, batch),
            Phase::MStep => self.m_step(model, batch, step),
        }
    }

    fn visit_updated<V>(&self, model: &DocReModel<Autodiff<B>>, step: Step, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        match self.phase_of(step) {
            Phase::WarmUp => model.visit(visitor),
            Phase::EStep => kmgre(model).visit_key_classifier(visitor),
            Phase::MStep => kmgre(model).visit_extractor(visitor),
        }
    }

    fn visit_encoders<V>(&self, model: &DocReModel<Autodiff<B>>, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        Objective::<B>::visit_encoders(&self.relation, model, visitor);
    }

    fn dev_metrics(&self) -> Vec<DevMetric> {
        Objective::<B>::dev_metrics(&self.relation)
    }

    fn evaluate(
        &self,
        model: &DocReModel<B>,
        device: &B::Device,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Vec<f64>>> {
        self.relation.evaluate(model, device, go_on)
    }

    fn save(&self, model: &DocReModel<B>, directory: &Path) -> Result<()> {
        Objective::<B>::save(&self.relation, model, directory)
    }
}

#[cfg(test)]
mod tests {
    use burn::{module::ParamId, optim::GradientsParams};
    use burn_docre::{BackendTask, Precision, dispatch};
    use hashbrown::HashSet;

    use super::*;
    use crate::{
        cli::LogFormat,
        config::RunConfig,
        run::corpora::Corpora,
        train::{
            dev_set::DevSet,
            learner::ModuleOf,
            objectives::PairLoss,
            optim::{ParameterIds, gradients_of},
        },
        ui::{Ui, signals::StopFlag},
    };

    /// One epoch of warm-up. The phases have one epoch each.
    const WARM_UP: Step = Step { number: 1, epoch: 1 };
    const E_STEP: Step = Step { number: 2, epoch: 2 };
    const M_STEP: Step = Step { number: 3, epoch: 3 };

    fn config(classifier: &str) -> RunConfig {
        let demo = include_str!("../../../../configs/kmgre-demo.toml");
        let model = format!(
            "model={{ kind = \"kmgre\", key_classifier = {{ kind = \"{classifier}\", xi = 0.15, tau = 0.5 }} }}"
        );
        let overrides = [
            "data.synthetic.n_train=2",
            "data.synthetic.n_dev=1",
            "data.synthetic.n_distant=1",
            "em={ warmup_epochs = 1 }",
            &model,
        ];
        RunConfig::parse(demo, &overrides.map(str::to_string)).unwrap()
    }

    fn objective(config: &RunConfig, corpora: &Corpora) -> EmObjective {
        let relation = RelationObjective {
            loss: PairLoss::relation(config.loss),
            precision: Precision::F32,
            spec: Arc::new(corpora.model_spec.clone()),
            dev: Arc::new(DevSet::new(corpora.dev.clone(), corpora.scorer.clone())),
        };
        let selection = config.model.key_selection().unwrap();
        EmObjective { relation, em: config.em.unwrap(), selection }
    }

    #[test]
    fn e_and_m_passes_alternate_after_the_warm_up() {
        let phases = |warmup_epochs| -> Vec<Phase> {
            (1..=5).map(|epoch| Phase::of_epoch(epoch, warmup_epochs)).collect()
        };
        use Phase::{EStep, MStep, WarmUp};
        assert_eq!(phases(2), [WarmUp, WarmUp, EStep, MStep, EStep]);
        assert_eq!(phases(0), [EStep, MStep, EStep, MStep, EStep]);
    }

    #[test]
    fn the_bound_of_the_threshold_grows_from_0_to_tau() {
        let config = config("own-encoder");
        let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
        let objective = objective(&config, &Corpora::load(&config, &[], &ui, &stop).unwrap());
        let tau = |number| objective.selection_of(Step { number, epoch: 1 }).tau;
        assert!((tau(1) - 0.5 * 0.001).abs() < 1e-12, "{}", tau(1));
        assert!((tau(1000) - 0.5 * (1.0 - 0.999_f64.powi(1000))).abs() < 1e-12);
        assert!((tau(100_000) - 0.5).abs() < 1e-12);
        assert_eq!(objective.selection_of(E_STEP).xi, 0.15);
    }

    /// The parameters and losses of the phases of a model.
    struct Phases {
        all: HashSet<ParamId>,
        encoders: HashSet<ParamId>,
        /// Warm-up, E step and M step.
        phases: [PhaseOfModel; 3],
    }

    struct PhaseOfModel {
        /// The parameters that a step updates.
        updated: HashSet<ParamId>,
        /// The number of parameters with a gradient, and the number of these that are updated.
        n_gradients: [usize; 2],
        /// The names of the parts of the loss and of the measures.
        values: Vec<&'static str>,
    }

    /// A step of each phase, with this kind of key classifier.
    struct StepOfEachPhase(&'static str);

    impl BackendTask for StepOfEachPhase {
        type Output = Phases;

        fn run<B: DocReBackend>(self, device: B::Device) -> Phases {
            let config = config(self.0);
            let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
            let corpora = Corpora::load(&config, &[], &ui, &stop).unwrap();
            let objective = objective(&config, &corpora);
            let model = corpora.model_spec.config.init::<Autodiff<B>>(&device);
            let (mut all, mut encoders) = (ParameterIds::default(), ParameterIds::default());
            model.visit(&mut all);
            Objective::<B>::visit_encoders(&objective, &model, &mut encoders);
            let module = ModuleOf::<B, _>::new(model, objective.clone());
            let phases = [WARM_UP, E_STEP, M_STEP].map(|step| {
                let documents: Vec<_> = corpora.train.iter().collect();
                let batch = Objective::<B>::batch(&objective, &documents, &device).unwrap();
                let loss = objective.loss(&module.model, batch, step);
                assert!(loss.value.is_finite() && loss.value > 0.0, "{step:?}: {}", loss.value);
                let grads = GradientsParams::from_grads(loss.tensor.backward(), &module);
                let updated = module.updated_parameters(step);
                let n_all = grads.len();
                let n_updated = gradients_of(&updated, &module, grads).len();
                let values = loss.values.iter().map(|(name, _)| *name).collect();
                PhaseOfModel { updated, n_gradients: [n_all, n_updated], values }
            });
            Phases { all: all.0, encoders: encoders.0, phases }
        }
    }

    #[test]
    fn each_phase_updates_its_module_and_has_no_gradient_elsewhere() {
        let Phases { all, encoders, phases } =
            dispatch(None, 0, StepOfEachPhase("own-encoder")).unwrap();
        for PhaseOfModel { n_gradients: [n_all, n_updated], .. } in &phases {
            assert!(n_all == n_updated && *n_all > 0, "{n_updated} of {n_all} gradients are used");
        }
        let [warm_up, e_step, m_step] = phases;
        assert_eq!(
            warm_up.values,
            ["Relation Loss", "Key Loss", "Evidence Agreement", "Evidence Share"]
        );
        assert_eq!(e_step.values, ["Key Loss", "Evidence Agreement", "Evidence Share"]);
        assert_eq!(m_step.values, ["Relation Loss"]);
        assert_eq!(warm_up.updated, all);
        assert!(e_step.updated.is_disjoint(&m_step.updated));
        assert_eq!(&e_step.updated | &m_step.updated, all);
        let in_encoders = |updated: &HashSet<ParamId>| (updated & &encoders).len();
        assert_eq!(2 * in_encoders(&e_step.updated), encoders.len());
        assert_eq!(2 * in_encoders(&m_step.updated), encoders.len());
    }

    #[test]
    fn both_steps_update_a_shared_encoder() {
        let Phases { all, encoders, phases: [_, e_step, m_step] } =
            dispatch(None, 0, StepOfEachPhase("shared-encoder")).unwrap();
        assert_eq!(&e_step.updated & &m_step.updated, encoders);
        assert_eq!(&e_step.updated | &m_step.updated, all);
    }
}
