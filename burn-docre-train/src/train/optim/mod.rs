//! The optimizer of every stage.
//!
//! AdamW has one learning rate and weight decay for the encoders and another for all other
//! parameters. Gradients are clipped by their global norm. The learning rates warm up and decay
//! linearly, once per optimizer step.

mod adamw;
mod clipping;
mod groups;
mod schedule;

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use burn::{
    module::{AutodiffModule, ModuleMapper, ModuleVisitor, Param, ParamId},
    optim::{
        GradientsParams, MultiGradientsParams, Optimizer, SimpleOptimizer, record::AdaptorRecord,
    },
    tensor::{Tensor, backend::AutodiffBackend},
};
use burn_docre::DocReBackend;
use hashbrown::{HashMap, HashSet};

use self::{adamw::AdamW, clipping::clipping_factor, groups::group};
pub use self::{
    groups::{Group, ParameterCount, ParameterGroups, ParameterIds},
    schedule::WarmupLinear,
};
use crate::config::StageConfig;

/// AdamW over two parameter groups with global-norm clipping.
#[derive(Clone)]
pub struct GroupedAdamW<M, B>
where
    M: AutodiffModule<B>,
    B: AutodiffBackend<InnerBackend: DocReBackend>,
{
    config: OptimizerConfig,
    states: States<B>,
    skipped: SkippedSteps,
    module: PhantomData<M>,
}

/// A shared count of successive skipped steps, whose gradients were not finite.
#[derive(Clone, Debug, Default)]
pub struct SkippedSteps(Arc<AtomicUsize>);

impl SkippedSteps {
    /// The number of skipped steps since the last step that was not skipped.
    pub fn in_a_row(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// AdamW's state of each parameter, in the form that Burn's recorders write.
type States<B> = HashMap<ParamId, AdaptorRecord<AdamW, B>>;

/// The rates and limits of the optimizer.
#[derive(Clone, Copy, Debug)]
pub struct OptimizerConfig {
    /// The rates of the encoders.
    pub encoder: GroupConfig,
    /// The rates of all other parameters.
    pub relation: GroupConfig,
    /// AdamW's epsilon, added to the root of the second moment.
    pub epsilon: f64,
    /// The largest global norm of the gradients; larger gradients are scaled down.
    pub max_grad_norm: f64,
}

/// Rates of one parameter group.
#[derive(Clone, Copy, Debug)]
pub struct GroupConfig {
    /// The peak learning rate, at the schedule's factor 1.
    pub learning_rate: f64,
    /// AdamW's weight decay.
    pub weight_decay: f64,
}

impl From<&StageConfig> for OptimizerConfig {
    fn from(stage: &StageConfig) -> Self {
        let group = |learning_rate, weight_decay| GroupConfig { learning_rate, weight_decay };
        Self {
            encoder: group(stage.encoder_lr, stage.encoder_weight_decay),
            relation: group(stage.relation_lr, stage.relation_weight_decay),
            epsilon: stage.adam_epsilon,
            max_grad_norm: stage.max_grad_norm,
        }
    }
}

impl<M, B> GroupedAdamW<M, B>
where
    M: AutodiffModule<B>,
    B: AutodiffBackend<InnerBackend: DocReBackend>,
{
    /// An optimizer that has taken no step.
    pub fn new(config: OptimizerConfig) -> Self {
        Self {
            config,
            states: States::new(),
            skipped: SkippedSteps::default(),
            module: PhantomData,
        }
    }

    /// Counts skipped steps in `skipped`.
    pub fn counting(self, skipped: SkippedSteps) -> Self {
        Self { skipped, ..self }
    }
}

impl<M, B> Optimizer<M, B> for GroupedAdamW<M, B>
where
    M: ParameterGroups<B>,
    B: AutodiffBackend<InnerBackend: DocReBackend>,
{
    type Record = States<B>;

    /// Updates every parameter that has a gradient; `factor` scales the learning rates.
    ///
    /// A step whose gradients are not finite is skipped and counted.
    fn step(&mut self, factor: f64, module: M, grads: GradientsParams) -> M {
        let Some(grad_scale) = clipping_factor(&module, &grads, self.config.max_grad_norm) else {
            self.skipped.0.fetch_add(1, Ordering::Relaxed);
            return module;
        };
        self.skipped.0.store(0, Ordering::Relaxed);
        let Self { config, states, .. } = self;
        let group_step = |group: GroupConfig| GroupStep {
            learning_rate: factor * group.learning_rate,
            adamw: AdamW { epsilon: config.epsilon, weight_decay: group.weight_decay, grad_scale },
        };
        let mut update = Update {
            encoder_parameters: module.encoder_parameters(),
            encoder: group_step(config.encoder),
            relation: group_step(config.relation),
            grads,
            states,
        };
        module.map(&mut update)
    }

    /// Sums the gradients of several devices on the first device and takes one step.
    fn step_multi(&mut self, factor: f64, module: M, grads: MultiGradientsParams) -> M {
        let mut merged = GradientsParams::new();
        module.visit(&mut Merge { from: grads, into: &mut merged });
        self.step(factor, module, merged)
    }

    fn to_record(&self) -> Self::Record {
        self.states.clone()
    }

    fn load_record(self, states: Self::Record) -> Self {
        Self { states, ..self }
    }
}

/// Keeps the gradients of the parameters in `updated` and drops the others.
pub fn gradients_of<M, B>(
    updated: &HashSet<ParamId>,
    module: &M,
    grads: GradientsParams,
) -> GradientsParams
where
    M: AutodiffModule<B>,
    B: AutodiffBackend,
{
    let mut kept = GradientsParams::new();
    module.visit(&mut Keep { updated, from: grads, into: &mut kept });
    kept
}

/// A visitor that moves the gradients of the parameters in `updated`.
struct Keep<'a> {
    updated: &'a HashSet<ParamId>,
    from: GradientsParams,
    into: &'a mut GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Keep<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if !self.updated.contains(&param.id) {
            return;
        }
        if let Some(grad) = self.from.remove::<B::InnerBackend, D>(param.id) {
            self.into.register::<B::InnerBackend, D>(param.id, grad);
        }
    }
}

/// A visitor that sums the gradients of all devices.
struct Merge<'a> {
    from: MultiGradientsParams,
    into: &'a mut GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Merge<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some((grad, _)) = self.from.remove::<B::InnerBackend, D>(param.id) {
            self.into.register::<B::InnerBackend, D>(param.id, grad);
        }
    }
}

/// The learning rate and AdamW of one parameter group in one step.
#[derive(Clone, Copy)]
struct GroupStep {
    learning_rate: f64,
    adamw: AdamW,
}

/// A mapper that updates every parameter that has a gradient.
struct Update<'a, B: AutodiffBackend<InnerBackend: DocReBackend>> {
    encoder_parameters: HashSet<ParamId>,
    encoder: GroupStep,
    relation: GroupStep,
    grads: GradientsParams,
    states: &'a mut States<B>,
}

impl<B: AutodiffBackend<InnerBackend: DocReBackend>> ModuleMapper<B> for Update<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(grad) = self.grads.remove::<B::InnerBackend, D>(param.id) else { return param };
        let GroupStep { learning_rate, adamw } = match group(&self.encoder_parameters, param.id) {
            Group::Encoder => self.encoder,
            Group::Relation => self.relation,
        };
        let (id, tensor, mapper) = param.consume();
        let state = self
            .states
            .remove(&id)
            .map(|record| AdamW::to_device(record.into_state(), &grad.device()));
        let (tensor, state) = adamw.step(learning_rate, tensor.inner(), grad, state);
        self.states.extend(state.map(|state| (id, AdaptorRecord::from_state(state))));
        Param::from_mapped_value(id, Tensor::from_inner(tensor).require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::{
        backend::Autodiff,
        module::Module,
        nn::{Linear, LinearConfig},
        tensor::{TensorData, backend::Backend},
    };
    use burn_docre::{BackendTask, DocReBackend, dispatch};

    use super::{clipping::SquaredNorm, *};

    /// An encoder of one layer, and two other layers.
    #[derive(Module, Debug)]
    struct Toy<B: Backend> {
        encoder: Linear<B>,
        relation: Vec<Linear<B>>,
    }

    impl<B: AutodiffBackend> ParameterGroups<B> for Toy<B> {
        fn encoder_parameters(&self) -> HashSet<ParamId> {
            let mut ids = ParameterIds::default();
            self.encoder.visit(&mut ids);
            ids.0
        }
    }

    impl<B: AutodiffBackend> ParameterGroups<B> for Linear<B> {
        fn encoder_parameters(&self) -> HashSet<ParamId> {
            HashSet::new()
        }
    }

    impl<B: Backend> Toy<B> {
        /// The weights and the input are constants. A seed would not fix them: all threads share the
        /// generator.
        fn new(device: &B::Device) -> Self {
            let weights =
                |n: usize| -> Vec<f32> { (0..n).map(|i| (1.7 * i as f32).sin()).collect() };
            let linear = |n_in, n_out| Linear {
                weight: Param::from_data(
                    TensorData::new(weights(n_in * n_out), [n_in, n_out]),
                    device,
                ),
                bias: Some(Param::from_data(TensorData::new(weights(n_out), [n_out]), device)),
            };
            Self { encoder: linear(3, 4), relation: vec![linear(4, 5), linear(5, 1)] }
        }

        fn loss(&self, device: &B::Device) -> Tensor<B, 1> {
            let input: Vec<f32> = (0..18).map(|i| (2.3 * i as f32).cos()).collect();
            let input = Tensor::<B, 2>::from_data(TensorData::new(input, [6, 3]), device);
            let hidden = self.relation[0].forward(self.encoder.forward(input));
            self.relation[1].forward(hidden).square().mean()
        }
    }

    const CONFIG: OptimizerConfig = OptimizerConfig {
        encoder: GroupConfig { learning_rate: 0.1, weight_decay: 0.0 },
        relation: GroupConfig { learning_rate: 0.01, weight_decay: 0.5 },
        epsilon: 1e-6,
        max_grad_norm: 1.0,
    };

    fn on_a_backend(check: fn(Checks)) {
        struct Task(fn(Checks));
        impl BackendTask for Task {
            type Output = ();
            fn run<B: DocReBackend>(self, device: B::Device) {
                (self.0)(Checks::of::<B>(&device));
            }
        }
        dispatch(None, 0, Task(check)).unwrap();
    }

    /// The values that the tests check.
    struct Checks {
        count: ParameterCount,
        /// The global norm of the gradients.
        norm: f64,
        /// The clipping factors for a limit below the norm and for one above it.
        clipped: Option<f64>,
        unclipped: Option<f64>,
        /// The first weight of the encoder after two steps with NaN gradients.
        encoder_after_nan: f64,
        /// The skipped steps after these two steps and after another one with finite gradients.
        skipped: [usize; 2],
        /// The first weight of the encoder and of the last layer, before and after a step with
        /// factor 1.
        encoder: (f64, f64),
        relation: (f64, f64),
        encoder_grad_sign: f64,
        relation_grad_sign: f64,
        /// The largest change of these weights by a step with a large epsilon and strongly clipped
        /// gradients.
        clipped_change: f64,
    }

    fn first<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> f64 {
        tensor.into_data().iter::<f64>().next().unwrap()
    }

    impl Checks {
        fn of<B: DocReBackend>(device: &B::Device) -> Self {
            let toy = Toy::<Autodiff<B>>::new(device);
            let grads = || GradientsParams::from_grads(toy.loss(device).backward(), &toy);
            let norm = {
                let mut squares = SquaredNorm::<B> { grads: &grads(), squares: Vec::new() };
                toy.visit(&mut squares);
                squares.total().sqrt()
            };
            let weights = |toy: &Toy<Autodiff<B>>| {
                (first(toy.encoder.weight.val()), first(toy.relation[1].weight.val()))
            };
            let before = weights(&toy);
            let grad = |param: &Param<Tensor<Autodiff<B>, 2>>| {
                first(grads().get::<B, 2>(param.id).unwrap()).signum()
            };
            let stepped = |config: OptimizerConfig| {
                weights(&GroupedAdamW::new(config).step(1.0, toy.clone(), grads()))
            };
            let after = stepped(CONFIG);
            let strongly_clipped = OptimizerConfig {
                relation: GroupConfig { weight_decay: 0.0, ..CONFIG.relation },
                epsilon: 1.0,
                max_grad_norm: 1e-6,
                ..CONFIG
            };
            let clipped = stepped(strongly_clipped);
            let with_nan = || {
                let mut with_nan = grads();
                let id = toy.relation[0].weight.id;
                let nan = with_nan.remove::<B, 2>(id).unwrap() * f64::NAN;
                with_nan.register::<B, 2>(id, nan);
                with_nan
            };
            let skipped = SkippedSteps::default();
            let mut optimizer = GroupedAdamW::new(CONFIG).counting(skipped.clone());
            let after_nan = optimizer.step(1.0, toy.clone(), with_nan());
            let after_nan = optimizer.step(1.0, after_nan, with_nan());
            let skipped_after_nan = skipped.in_a_row();
            optimizer.step(1.0, toy.clone(), grads());
            Self {
                count: ParameterCount::of(&toy),
                norm,
                clipped: clipping_factor(&toy, &grads(), 1e-3),
                unclipped: clipping_factor(&toy, &grads(), 1e9),
                encoder_after_nan: weights(&after_nan).0,
                skipped: [skipped_after_nan, skipped.in_a_row()],
                encoder: (before.0, after.0),
                relation: (before.1, after.1),
                encoder_grad_sign: grad(&toy.encoder.weight),
                relation_grad_sign: grad(&toy.relation[1].weight),
                clipped_change: (clipped.0 - before.0).abs().max((clipped.1 - before.1).abs()),
            }
        }
    }

    #[test]
    fn every_parameter_is_in_exactly_one_group() {
        on_a_backend(|checks| {
            assert_eq!(checks.count, ParameterCount { encoder: 16, relation: 25 + 6 });
        });
    }

    #[test]
    fn gradients_are_clipped_by_their_joint_norm() {
        on_a_backend(|checks| {
            assert!(checks.norm > 1e-3);
            assert_eq!(checks.unclipped, Some(1.0));
            assert!((checks.clipped.unwrap() - 1e-3 / (checks.norm + 1e-6)).abs() < 1e-7);
            assert!(checks.clipped_change < 1e-6, "{}", checks.clipped_change);
        });
    }

    #[test]
    fn gradients_that_are_not_finite_change_nothing_and_are_counted() {
        on_a_backend(|checks| {
            assert_eq!(checks.encoder_after_nan, checks.encoder.0);
            assert_eq!(checks.skipped, [2, 0]);
        });
    }

    #[test]
    fn each_group_has_its_own_learning_rate_and_weight_decay() {
        // The first step of Adam moves a weight by the learning rate, against the gradient's sign.
        on_a_backend(|checks| {
            let (before, after) = checks.encoder;
            assert!((after - (before - 0.1 * checks.encoder_grad_sign)).abs() < 1e-3);
            let (before, after) = checks.relation;
            let expected = before * (1.0 - 0.01 * 0.5) - 0.01 * checks.relation_grad_sign;
            assert!((after - expected).abs() < 1e-4);
        });
    }

    #[test]
    fn a_step_leaves_other_parameters_and_their_moments_unchanged() {
        /// Takes three steps on the last layer, each after a step on the encoder if `with_encoder`.
        /// Returns the weights of the last layer.
        struct Steps {
            with_encoder: bool,
        }
        impl BackendTask for Steps {
            type Output = Vec<f32>;
            fn run<B: DocReBackend>(self, device: B::Device) -> Vec<f32> {
                let mut toy = Toy::<Autodiff<B>>::new(&device);
                let mut optimizer = GroupedAdamW::new(CONFIG);
                let ids_of = |layer: &Linear<Autodiff<B>>| {
                    let mut ids = ParameterIds::default();
                    layer.visit(&mut ids);
                    ids.0
                };
                for _ in 0..3 {
                    let mut turns = vec![ids_of(&toy.relation[1])];
                    if self.with_encoder {
                        turns.insert(0, ids_of(&toy.encoder));
                    }
                    for updated in turns {
                        // Every gradient is 1, so gradients do not depend on the weights.
                        let loss = SumOfParameters::sum(&toy);
                        let grads = GradientsParams::from_grads(loss.backward(), &toy);
                        let grads = gradients_of(&updated, &toy, grads);
                        toy = optimizer.step(1.0, toy, grads);
                    }
                }
                toy.relation[1].weight.val().into_data().to_vec().unwrap()
            }
        }
        /// A visitor that sums all parameters.
        struct SumOfParameters<B: Backend>(Option<Tensor<B, 1>>);
        impl<B: Backend> SumOfParameters<B> {
            fn sum(module: &impl Module<B>) -> Tensor<B, 1> {
                let mut visitor = Self(None);
                module.visit(&mut visitor);
                visitor.0.unwrap()
            }
        }
        impl<B: Backend> ModuleVisitor<B> for SumOfParameters<B> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
                let sum = param.val().sum();
                self.0 = Some(match self.0.take() {
                    Some(before) => before + sum,
                    None => sum,
                });
            }
        }
        let alternating = dispatch(None, 0, Steps { with_encoder: true }).unwrap();
        let alone = dispatch(None, 0, Steps { with_encoder: false }).unwrap();
        assert_eq!(alternating, alone);
    }

    #[test]
    fn adamw_matches_torch_over_three_steps() {
        // torch.optim.AdamW([tensor([1.0, -2.0])], lr=0.1, eps=1e-6, weight_decay=0.01), gradient
        // [0.5, -1.5] each step.
        struct Steps;
        impl BackendTask for Steps {
            type Output = Vec<f64>;
            fn run<B: DocReBackend>(self, device: B::Device) -> Vec<f64> {
                let mut linear: Linear<Autodiff<B>> =
                    LinearConfig::new(1, 2).with_bias(false).init(&device);
                let values = TensorData::from([[1.0f32, -2.0]]);
                linear.weight =
                    linear.weight.map(|_| Tensor::from_data(values, &device).require_grad());
                // `Linear` has no encoder parameters here. The gradients' norm of 1.6 is below the
                // limit.
                let relation = GroupConfig { learning_rate: 0.1, weight_decay: 0.01 };
                let config = OptimizerConfig { relation, max_grad_norm: 2.0, ..CONFIG };
                let mut optimizer = GroupedAdamW::<Linear<_>, Autodiff<B>>::new(config);
                for _ in 0..3 {
                    let mut grads = GradientsParams::new();
                    let grad = TensorData::from([[0.5f32, -1.5]]);
                    grads.register::<B, 2>(linear.weight.id, Tensor::from_data(grad, &device));
                    linear = optimizer.step(1.0, linear, grads);
                }
                linear.weight.val().into_data().iter::<f64>().collect()
            }
        }
        let weights = dispatch(None, 0, Steps).unwrap();
        let expected = [0.697_304, -1.694_306];
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-4, "{weights:?}");
        }
    }
}
