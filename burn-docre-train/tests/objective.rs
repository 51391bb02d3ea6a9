//! An objective outside the crate: two layers are trained alternately on two losses, as in an EM
//! algorithm.
//!
//! An interrupted and resumed training writes the same bytes as an uninterrupted one.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use burn::{
    backend::Autodiff,
    data::dataloader::Progress,
    module::{Module, ModuleVisitor, Param},
    nn::Linear,
    tensor::{ElementConversion, Tensor, TensorData, backend::Backend},
};
use burn_docre::{BackendTask, DocReBackend, dispatch};
use burn_docre_train::{
    cli::LogFormat,
    config::StageConfig,
    train::{
        objective::{DevMetric, Loss, Objective, Step},
        training_loop::{StageEnd, Training},
    },
    ui::{Ui, signals::StopFlag},
};

/// A model of two linear layers. The first layer has the encoder's learning rate.
#[derive(Module, Debug)]
struct Toy<B: Backend> {
    first: Linear<B>,
    second: Linear<B>,
}

impl<B: Backend> Toy<B> {
    /// The weights depend on `seed` alone. All threads share the backend's generator, so a test
    /// that draws from it depends on the tests beside it.
    fn new(seed: u8, device: &B::Device) -> Self {
        let linear = |from, to, offset: f32| {
            let value = |i: usize| (f32::from(seed) + offset + i as f32).sin() / 2.0;
            let parameter = |shape: Vec<usize>| {
                let values = (0..shape.iter().product()).map(value).collect();
                TensorData::new::<f32, _>(values, shape)
            };
            Linear {
                weight: Param::from_data(parameter(vec![from, to]), device),
                bias: Some(Param::from_data(parameter(vec![to]), device)),
            }
        };
        Self { first: linear(2, 3, 0.0), second: linear(3, 1, 0.5) }
    }

    /// All weights, as bytes.
    fn weights(&self) -> Vec<u8> {
        let matrices = [&self.first.weight, &self.second.weight].map(|w| w.val().into_data());
        let biases =
            [&self.first.bias, &self.second.bias].map(|b| b.as_ref().map(|b| b.val().into_data()));
        let data = matrices.into_iter().chain(biases.into_iter().flatten());
        data.flat_map(|data| data.to_vec::<f32>().unwrap()).flat_map(f32::to_le_bytes).collect()
    }

    fn error(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
        let sum = x.clone().sum_dim(1);
        (self.second.forward(self.first.forward(x)) - sum).square().mean()
    }
}

/// An objective with alternating losses.
///
/// Odd steps fit the first layer's output to 1. Even steps fit the second layer's output to the sum
/// of the inputs.
#[derive(Clone, Debug)]
struct Alternating {
    stop: StopFlag,
    stop_at: Option<usize>,
    fault: Option<Fault>,
}

/// A fault of the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The dev evaluation returns an error.
    Evaluation,
    /// The loss panics.
    Loss,
}

impl Alternating {
    fn is_first(step: Step) -> bool {
        step.number % 2 == 1
    }
}

impl<B: DocReBackend> Objective<B> for Alternating {
    type Model = Toy<Autodiff<B>>;
    type InnerModel = Toy<B>;
    type Example = [f32; 2];
    type Batch = Tensor<Autodiff<B>, 2>;

    fn batch(&self, examples: &[&[f32; 2]], device: &B::Device) -> Result<Self::Batch> {
        let values: Vec<f32> =
            examples.iter().flat_map(|example| example.iter().copied()).collect();
        Ok(Tensor::from_data(TensorData::new(values, [examples.len(), 2]), device))
    }

    fn loss_parts(&self) -> Vec<&'static str> {
        vec!["First Loss", "Second Loss"]
    }

    fn loss(&self, model: &Self::Model, x: Self::Batch, step: Step) -> Loss<Autodiff<B>> {
        assert!(self.fault != Some(Fault::Loss), "out of memory");
        if self.stop_at == Some(step.number) {
            self.stop.set();
        }
        if Self::is_first(step) {
            Loss::part("First Loss", (model.first.forward(x) - 1.0).square().mean(), 1.0)
        } else {
            // The first layer also has a gradient, which the step must not use.
            Loss::part("Second Loss", model.error(x), 0.5)
        }
    }

    fn visit_updated<V>(&self, model: &Self::Model, step: Step, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        let updated = if Self::is_first(step) { &model.first } else { &model.second };
        updated.visit(visitor);
    }

    fn visit_encoders<V>(&self, model: &Self::Model, visitor: &mut V)
    where
        V: ModuleVisitor<Autodiff<B>>,
    {
        model.first.visit(visitor);
    }

    fn dev_metrics(&self) -> Vec<DevMetric> {
        vec![DevMetric { name: "Negative Error", scale: 1.0 }]
    }

    fn evaluate(
        &self,
        model: &Toy<B>,
        device: &B::Device,
        go_on: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Option<Vec<f64>>> {
        ensure!(self.fault != Some(Fault::Evaluation), "out of memory");
        let x = Tensor::<B, 2>::from_data([[0.5, -0.5], [1.0, 2.0]], device);
        let error = (model.first.forward(x) - 1.0).square().mean();
        let error: f64 = error.into_scalar().elem();
        Ok(go_on(Progress::new(2, 2)).then_some(vec![-error]))
    }

    fn save(&self, model: &Toy<B>, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        Ok(std::fs::write(directory.join("weights"), model.weights())?)
    }
}

/// Trains in `directory` or resumes there.
struct Train<'a> {
    directory: &'a Path,
    stop_at: Option<usize>,
    fault: Option<Fault>,
    seed: u8,
    n_devices: usize,
}

impl BackendTask for Train<'_> {
    type Output = Result<StageEnd>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<StageEnd> {
        let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
        let examples: Vec<[f32; 2]> =
            (0..11).map(|i| [i as f32 / 8.0, 1.0 - i as f32 / 5.0]).collect();
        let training = Training::<B, _> {
            name: "toy",
            ui: &ui,
            stop: &stop,
            directory: self.directory.to_path_buf(),
            model_directory: self.directory.join("model"),
            config: StageConfig {
                epochs: 4,
                stop_after_epochs: None,
                batch_size: 2,
                accumulation: 2,
                encoder_lr: 0.05,
                relation_lr: 0.05,
                encoder_weight_decay: 0.1,
                relation_weight_decay: 0.1,
                warmup_ratio: 0.1,
                max_grad_norm: 1.0,
                adam_epsilon: 1e-6,
                patience: Some(4),
                checkpoint_every_steps: None,
                distillation: None,
                teacher: None,
            },
            seed: 5,
            start_model: None,
            devices: vec![device.clone(); self.n_devices],
            objective: Alternating { stop: stop.clone(), stop_at: self.stop_at, fault: self.fault },
            examples: examples.into(),
        };
        training.run(Toy::new(self.seed, &device))
    }
}

/// The path and content of every file that a training leaves.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = ["model/weights", "training_state.json", "metrics.jsonl"]
        .map(|name| (name.into(), std::fs::read(directory.join(name)).unwrap()))
        .to_vec();
    files.sort();
    files
}

#[test]
fn a_resumed_alternating_training_writes_the_same_bytes_as_an_uninterrupted_one() {
    for n_devices in [1, 2] {
        let train = |directory: &Path, stop_at, seed| {
            let train = Train { directory, stop_at, fault: None, seed, n_devices };
            dispatch(None, 0, train).unwrap().unwrap()
        };
        let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(train(whole.path(), None, 1), StageEnd::Finished);
        // One stop after an even step and one after an odd step. With one device, both are within
        // an epoch.
        for stop_at in [4, 7] {
            assert_eq!(train(stopped.path(), Some(stop_at), 1), StageEnd::Interrupted);
        }
        // Another seed shows that the weights come from the checkpoint.
        assert_eq!(train(stopped.path(), None, 2), StageEnd::Finished);
        assert_eq!(files(stopped.path()), files(whole.path()), "{n_devices} devices");
        let state = std::fs::read_to_string(whole.path().join("training_state.json")).unwrap();
        assert!(state.contains("\"best_epoch\": 4"), "the compared model is not the last: {state}");
        let log = std::fs::read_to_string(whole.path().join("metrics.jsonl")).unwrap();
        let mut steps = log.lines().filter(|line| line.contains("\"split\":\"train\""));
        let has = |line: Option<&str>, name: &str| line.is_some_and(|line| line.contains(name));
        let (odd, even) = (steps.next(), steps.next());
        assert!(has(odd, "First Loss") && !has(odd, "Second Loss"), "{log}");
        assert!(has(even, "Second Loss") && !has(even, "First Loss"), "{log}");
    }
}

#[test]
fn an_epoch_whose_dev_evaluation_fails_is_not_trained_again() {
    let (whole, failed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let train = |directory: &Path, fault, seed| {
        let train = Train { directory, stop_at: None, fault, seed, n_devices: 1 };
        dispatch(None, 0, train).unwrap()
    };
    train(whole.path(), None, 1).unwrap();
    let error = train(failed.path(), Some(Fault::Evaluation), 1).unwrap_err();
    assert!(error.to_string().contains("out of memory"), "{error}");
    // 11 examples are 6 batches, two for each step.
    let state = std::fs::read_to_string(failed.path().join("training_state.json")).unwrap();
    for part in ["\"step\": 3", "\"checkpoint\": 3", "\"batches_done\": 6", "\"epochs_done\": 0"] {
        assert!(state.contains(part), "{part}: {state}");
    }
    train(failed.path(), None, 2).unwrap();
    assert_eq!(files(failed.path()), files(whole.path()));
}

#[test]
fn a_panic_on_one_of_two_devices_ends_the_training_with_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (directory, fault) = (directory.path(), Some(Fault::Loss));
    let train = Train { directory, stop_at: None, fault, seed: 1, n_devices: 2 };
    let error = dispatch(None, 0, train).unwrap().unwrap_err();
    assert!(error.to_string().contains("a device failed in a training step: out of memory"));
}
