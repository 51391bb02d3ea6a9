//! Measures one mode on one device by the protocol of burn-bench.
//!
//! The process warms up until its passes take a steady time. It then takes several samples, each on
//! request of the parent process. The device is synchronised before and after every pass.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use burn::{
    backend::Autodiff,
    optim::{GradientsParams, Optimizer},
    tensor::{Distribution, Tensor},
    train::TrainStep,
};
use burn_docre::{
    BackendTask, DocReBackend,
    backend::{BackendKind, DeviceInfo},
    batch::DocReBatch,
    eval::Scorer,
    inference::{DocumentLogits, Inference},
    io::{
        model_directory::ModelId,
        soft_labels::{Shard, SoftLabelWriter},
    },
    loss::RelationLoss,
    model::DocReModel,
    nn::precision::Precision,
    text::encoded::{EncodedDocument, encode_all},
};

use super::{
    process::{Message, wait_for_turn},
    record::{Record, Statistics, SystemInfo},
    work::Work,
};
use crate::{
    cli::{BenchArgs, BenchMode},
    config::EmConfig,
    session::{Session, synchronize},
    train::{
        dev_set::DevSet,
        learner::ModuleOf,
        loader::StepBatch,
        objective::{Objective, Step},
        objectives::{EmObjective, PairLoss, RelationObjective},
        optim::{GroupConfig, GroupedAdamW, OptimizerConfig, gradients_of},
    },
    version,
};

/// The maximum number of warm-up passes.
const MAX_WARMUP: usize = 8;
/// A pass is faster than an earlier one if it takes less than this fraction of its time.
const STEADY: f64 = 0.93;

/// The measurement of one mode on one device.
pub(super) struct Measure<'a> {
    /// The output and the stop flag.
    pub session: &'a Session<'a>,
    /// The command line.
    pub args: &'a BenchArgs,
    /// The mode.
    pub mode: BenchMode,
    /// The file for the record.
    pub record: &'a Path,
    /// The backend.
    pub kind: BackendKind,
    /// The device.
    pub device: DeviceInfo,
    /// The precision on the device.
    pub precision: Precision,
}

impl BackendTask for Measure<'_> {
    type Output = Result<Record>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<Record> {
        self.precision.check::<B>(self.kind, &device)?;
        let work = Work::load(self.session.ui, self.args)?;
        let n = work.encoded.len();
        let timing = match self.mode {
            BenchMode::Preprocess => self.time::<B>(&device, n, Preprocess(&work))?,
            BenchMode::Inference => {
                self.time::<B>(&device, n, Predict::new(&work, &self, &device)?)?
            }
            BenchMode::Training => {
                B::on_all_threads(&device, || self.time_training::<B>(&device, &work))?
            }
            BenchMode::Label => {
                let labels = Label::new(&work, &self, &device)?;
                self.time::<B>(&device, n, labels)?
            }
        };
        Ok(self.record(&work, timing))
    }
}

/// A workload.
trait Pass<B: DocReBackend> {
    /// Processes all documents once.
    fn pass(&mut self, device: &B::Device, advance: &mut Advance) -> Result<()>;
}

/// A callback that receives the number of documents just processed. Its error ends the pass.
type Advance<'a> = dyn FnMut(usize) -> Result<()> + 'a;

struct Timing {
    /// Milliseconds since 1970 at the first sample.
    started: u64,
    /// Seconds of the warm-up.
    warmup: f64,
    /// True if the passes reached a steady time within [`MAX_WARMUP`] passes.
    is_steady: bool,
    samples: Vec<Duration>,
    /// Floating-point operations per second of a matrix product: the median of one measurement
    /// after each sample.
    matmul_peak_flops: f64,
    threads: usize,
    peak_memory_bytes: Option<u64>,
}

impl Measure<'_> {
    fn inference<B: DocReBackend>(&self, work: &Work, device: &B::Device) -> Result<Inference<B>> {
        work.inference(self.args.model.as_deref(), self.precision, device)
    }

    /// Times the training of the model: by EM if it has a key classifier.
    fn time_training<B: DocReBackend>(&self, device: &B::Device, work: &Work) -> Result<Timing> {
        let (n, precision) = (work.encoded.len(), self.precision);
        let model = work.model::<Autodiff<B>>(self.args.model.as_deref(), device)?;
        let relation = relation_objective(work, precision)?;
        match work.key_selection() {
            Some(selection) => {
                let em = EmObjective { relation, em: EM, selection };
                self.time::<B>(device, n, Training::new(work, model, em, &E_AND_M_STEP))
            }
            None => self.time::<B>(device, n, Training::new(work, model, relation, &ONE_STEP)),
        }
    }

    fn time<B: DocReBackend>(
        &self,
        device: &B::Device,
        documents: usize,
        mut work: impl Pass<B>,
    ) -> Result<Timing> {
        let begun = Instant::now();
        let passes = self.warm_up(device, &mut work)?;
        let warmup = begun.elapsed().as_secs_f64();
        Message::Warm { seconds: warmup, documents }.send()?;
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (mut samples, mut peaks, mut memory) = (Vec::new(), Vec::new(), None);
        for turn in 0..self.args.samples {
            wait_for_turn()?;
            samples.push(self.timed_pass(device, &mut work)?);
            // Read before the first matrix product, whose operands would count.
            if turn == 0 {
                memory = peak_memory::<B>(device);
            }
            peaks.push(matmul_peak::<B>(device, self.precision)?);
            Message::Sample.send()?;
        }
        peaks.sort_by(f64::total_cmp);
        Ok(Timing {
            started: started.as_millis() as u64,
            warmup,
            is_steady: are_steady(&passes),
            samples,
            matmul_peak_flops: peaks[peaks.len() / 2],
            threads: if B::runs_on_processor(device) {
                B::n_threads(device)
            } else {
                std::thread::available_parallelism().map_or(1, usize::from)
            },
            peak_memory_bytes: memory,
        })
    }

    /// Runs passes until they take a steady time; returns the duration of each.
    fn warm_up<B: DocReBackend>(
        &self,
        device: &B::Device,
        work: &mut impl Pass<B>,
    ) -> Result<Vec<Duration>> {
        let mut passes = Vec::new();
        while passes.len() < MAX_WARMUP && !are_steady(&passes) {
            passes.push(self.timed_pass(device, work)?);
        }
        Ok(passes)
    }

    /// The duration of a pass.
    fn timed_pass<B: DocReBackend>(
        &self,
        device: &B::Device,
        work: &mut impl Pass<B>,
    ) -> Result<Duration> {
        synchronize::<B>(device)?;
        let started = Instant::now();
        work.pass(device, &mut |n| {
            Message::Documents(n).send()?;
            self.session.stop.check()
        })?;
        synchronize::<B>(device)?;
        Ok(started.elapsed())
    }

    fn record(&self, work: &Work, timing: Timing) -> Record {
        let Statistics { max, mean, median, min, variance } = Statistics::of(&timing.samples);
        let spirv = if self.kind.is_spirv() { "-spirv" } else { "" };
        let fused = if self.kind.is_fused() { "-fusion" } else { "" };
        Record {
            file: 0,
            backend: self.kind.name().into(),
            device: self.device.name.clone(),
            drivers: self.device.drivers.clone(),
            feature: format!("{}{spirv}{fused}", self.kind),
            git_hash: version::COMMIT.unwrap_or_default().into(),
            burn_version: version::BURN.into(),
            system: Some(work.spec.config.system.kind().into()),
            name: self.mode.name().into(),
            operation: self.mode.name().into(),
            options: None,
            shapes: vec![vec![work.batch_size, work.encoded.len()]],
            max,
            mean,
            median,
            min,
            variance,
            num_samples: timing.samples.len(),
            raw_durations: timing.samples,
            system_info: SystemInfo::of_this_machine(&self.device.name),
            timestamp: timing.started,
            flops: match self.mode {
                BenchMode::Preprocess => None,
                BenchMode::Inference | BenchMode::Label => Some(work.forward_flops()),
                BenchMode::Training => Some(work.training_flops()),
            },
            documents: work.encoded.len(),
            tokens: work.n_tokens(),
            pairs: work.n_pairs(),
            warmup_seconds: timing.warmup,
            is_steady: timing.is_steady,
            peak_memory_bytes: timing.peak_memory_bytes,
            threads: timing.threads,
            precision: self.precision.to_string(),
            version: format!("docre {}", version::PROGRAM),
            matmul_peak_flops: timing.matmul_peak_flops,
        }
    }
}

/// Reports whether the last two passes were no faster than the fastest pass before them. One pass
/// is not enough, because other load on the machine may have slowed it down.
fn are_steady(passes: &[Duration]) -> bool {
    let Some((before, last)) = passes.split_last_chunk::<2>() else { return false };
    let Some(fastest) = before.iter().min() else { return false };
    last.iter().all(|pass| pass.as_secs_f64() >= STEADY * fastest.as_secs_f64())
}

/// The peak memory so far in bytes: of the process on a CPU device, else of the device.
fn peak_memory<B: DocReBackend>(device: &B::Device) -> Option<u64> {
    if B::runs_on_processor(device) { crate::memory::peak() } else { B::memory_held(device) }
}

/// From words to index tensors on the device.
struct Preprocess<'a>(&'a Work);

impl<B: DocReBackend> Pass<B> for Preprocess<'_> {
    fn pass(&mut self, device: &B::Device, advance: &mut Advance) -> Result<()> {
        let Work { spec, documents, batch_size, .. } = self.0;
        for documents in documents.chunks(*batch_size) {
            let encoded = encode_all(documents, spec).collect::<Result<Vec<_>, _>>()?;
            let encoded: Vec<&EncodedDocument> = encoded.iter().collect();
            let _batch = DocReBatch::<B>::new(&encoded, &spec.config.encoder, device);
            advance(encoded.len())?;
        }
        Ok(())
    }
}

/// From token ids to predictions.
struct Predict<'a, B: DocReBackend> {
    work: &'a Work,
    inference: Inference<B>,
}

impl<'a, B: DocReBackend> Predict<'a, B> {
    fn new(work: &'a Work, measure: &Measure, device: &B::Device) -> Result<Self> {
        Ok(Self { work, inference: measure.inference(work, device)? })
    }
}

impl<B: DocReBackend> Pass<B> for Predict<'_, B> {
    fn pass(&mut self, _: &B::Device, advance: &mut Advance) -> Result<()> {
        for found in self.inference.run(self.work.encoded_documents()) {
            let _predictions = found?.predictions()?;
            advance(1)?;
        }
        Ok(())
    }
}

/// From token ids to logits on disk.
struct Label<'a, B: DocReBackend> {
    work: &'a Work,
    inference: Inference<B>,
    directory: PathBuf,
    n_passes: u64,
}

impl<'a, B: DocReBackend> Label<'a, B> {
    /// Loads the model. Logits go into a directory beside the record, which the parent process
    /// removes.
    fn new(work: &'a Work, measure: &Measure, device: &B::Device) -> Result<Self> {
        let inference = measure.inference(work, device)?;
        Ok(Self {
            work,
            inference,
            directory: measure.record.with_extension("labels"),
            n_passes: 0,
        })
    }
}

impl<B: DocReBackend> Pass<B> for Label<'_, B> {
    fn pass(&mut self, _: &B::Device, advance: &mut Advance) -> Result<()> {
        let n_classes = self.work.spec.config.n_classes;
        self.n_passes += 1;
        let directory = self.directory.join(self.n_passes.to_string());
        let teacher = ModelId([0; 32]);
        let mut writer = SoftLabelWriter::create(&directory, Shard::WHOLE, teacher, n_classes)?;
        for found in self.inference.run(self.work.encoded_documents()) {
            let DocumentLogits { document, logits, .. } = found?;
            writer.push(document.key(), document.n_pairs(), &logits)?;
            advance(1)?;
        }
        writer.finish()?;
        Ok(())
    }
}

/// Optimizer steps on every batch: forward pass with dropout, backward pass and update.
struct Training<'a, B: DocReBackend, O: Objective<B>> {
    work: &'a Work,
    objective: O,
    module: ModuleOf<B, O>,
    optimizer: GroupedAdamW<ModuleOf<B, O>, Autodiff<B>>,
    /// The optimizer steps on a batch, in order.
    steps: &'a [Step],
}

impl<'a, B, O> Training<'a, B, O>
where
    B: DocReBackend,
    O: Objective<B, Model = DocReModel<Autodiff<B>>>,
{
    fn new(
        work: &'a Work,
        model: DocReModel<Autodiff<B>>,
        objective: O,
        steps: &'a [Step],
    ) -> Self {
        let module = ModuleOf::<B, _>::new(model, objective.clone());
        Self { work, objective, module, optimizer: GroupedAdamW::new(OPTIMIZER), steps }
    }

    /// Takes an optimizer step, the building of the batch included.
    fn step(&mut self, documents: &[&O::Example], step: Step, device: &B::Device) -> Result<()> {
        let batch = self.objective.batch(documents, device)?;
        let batch = StepBatch { batch, weight: 1.0, step, dropout_seed: 0, panics: None };
        let grads: GradientsParams = self.module.step(batch).grads;
        let grads = gradients_of(&self.module.updated_parameters(step), &self.module, grads);
        self.module = self.optimizer.step(1.0, self.module.clone(), grads);
        Ok(())
    }
}

impl<B, O> Pass<B> for Training<'_, B, O>
where
    B: DocReBackend,
    O: Objective<B, Model = DocReModel<Autodiff<B>>, Example = Arc<EncodedDocument>>,
{
    fn pass(&mut self, device: &B::Device, advance: &mut Advance) -> Result<()> {
        let work = self.work;
        for documents in work.batches() {
            let documents: Vec<_> = documents.iter().collect();
            for &step in self.steps {
                self.step(&documents, step, device)?;
            }
            advance(documents.len())?;
        }
        Ok(())
    }
}

/// The objective of models that minimise one loss, and of the extractor in EM.
fn relation_objective(work: &Work, precision: Precision) -> Result<RelationObjective> {
    let no_documents = DevSet::new(Vec::new(), Arc::new(Scorer::without_training(&[])?));
    Ok(RelationObjective {
        loss: PairLoss::relation(RelationLoss::AflAuthors { gamma: 1.0 }),
        precision,
        spec: Arc::new(work.spec.clone()),
        dev: Arc::new(no_documents),
    })
}

/// The optimizer step on a batch for models that minimise one loss.
const ONE_STEP: [Step; 1] = [Step { number: 1, epoch: 1 }];

/// EM without warm-up, with the key classifier's loss of the paper and the constant bound `tau` of
/// the key threshold.
const EM: EmConfig = EmConfig { warmup_epochs: 0, alpha: 0.3, gamma: 2.0, tau_decay: 0.0 };

/// The optimizer steps on a batch by [`EM`]. Without warm-up, epoch 1 has E steps and epoch 2 has M
/// steps.
const E_AND_M_STEP: [Step; 2] = [Step { number: 1, epoch: 1 }, Step { number: 2, epoch: 2 }];

/// The optimizer of `configs/redocred-minilm.toml` with learning rates that hardly change the
/// weights.
const OPTIMIZER: OptimizerConfig = {
    let group = GroupConfig { learning_rate: 1e-9, weight_decay: 0.01 };
    OptimizerConfig { encoder: group, relation: group, epsilon: 1e-6, max_grad_norm: 1.0 }
};

/// The floating-point operations per second of the fastest square matrix product in `precision`.
/// The size grows until a product takes at least 20 ms, so that the device is fully used.
fn matmul_peak<B: DocReBackend>(device: &B::Device, precision: Precision) -> Result<f64> {
    const LONG_ENOUGH: Duration = Duration::from_millis(20);
    let mut best: f64 = 0.0;
    for n in [512usize, 1024, 2048, 4096, 8192] {
        let random = || {
            let values = Distribution::Uniform(-1.0, 1.0);
            Tensor::<B, 2>::random([n, n], values, device).cast(precision.dtype())
        };
        let (lhs, rhs) = (random(), random());
        let mut fastest = Duration::MAX;
        for _ in 0..5 {
            synchronize::<B>(device)?;
            let started = Instant::now();
            let _product = lhs.clone().matmul(rhs.clone());
            synchronize::<B>(device)?;
            fastest = fastest.min(started.elapsed());
        }
        best = best.max(2.0 * (n as f64).powi(3) / fastest.as_secs_f64());
        if fastest >= LONG_ENOUGH {
            break;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use burn_docre::dispatch;
    use hashbrown::HashSet;

    use super::*;
    use crate::{
        cli::LogFormat,
        config::RunConfig,
        run::corpora::Corpora,
        train::optim::ParameterIds,
        ui::{Ui, signals::StopFlag},
    };

    /// The small KMGRE model and corpus of the demo.
    fn kmgre_work() -> Work {
        let demo = include_str!("../../../configs/kmgre-demo.toml");
        let sizes = ["n_train=3", "n_dev=1", "n_distant=1"];
        let sizes = sizes.map(|size| format!("data.synthetic.{size}"));
        let config = RunConfig::parse(demo, &sizes).unwrap();
        let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
        let Corpora { model_spec, train, .. } = Corpora::load(&config, &[], &ui, &stop).unwrap();
        Work { spec: model_spec, documents: Vec::new(), encoded: train, batch_size: 2 }
    }

    /// A training pass by EM that takes these steps on each batch.
    struct PassOf(&'static [Step]);

    /// The parameters of both parts, and those that a pass updates.
    struct Updated {
        extractor: HashSet<ParamId>,
        key_classifier: HashSet<ParamId>,
        by_pass: HashSet<ParamId>,
        /// The numbers of documents reported during the pass.
        progress: Vec<usize>,
    }

    impl BackendTask for PassOf {
        type Output = Updated;

        fn run<B: DocReBackend>(self, device: B::Device) -> Updated {
            let work = kmgre_work();
            let model = work.model::<Autodiff<B>>(None, &device).unwrap();
            let (mut extractor, mut key_classifier) = <(ParameterIds, ParameterIds)>::default();
            let parts = model.kmgre().unwrap();
            parts.visit_extractor(&mut extractor);
            parts.visit_key_classifier(&mut key_classifier);
            let relation = relation_objective(&work, Precision::F32).unwrap();
            let selection = work.key_selection().unwrap();
            let em = EmObjective { relation, em: EM, selection };
            let mut training = Training::<B, _>::new(&work, model, em, self.0);
            let mut progress = Vec::new();
            let mut advance = |n| {
                progress.push(n);
                Ok(())
            };
            training.pass(&device, &mut advance).unwrap();
            let by_pass = training.optimizer.to_record().into_keys().collect();
            Updated { extractor: extractor.0, key_classifier: key_classifier.0, by_pass, progress }
        }
    }

    #[test]
    fn a_pass_by_em_trains_extractor_and_key_classifier_on_every_document_once() {
        let [e_step, m_step] = &E_AND_M_STEP;
        let of_steps = |steps| dispatch(None, 0, PassOf(steps)).unwrap();
        let Updated { extractor, key_classifier, by_pass, progress } = of_steps(&E_AND_M_STEP);
        assert!(by_pass.is_superset(&extractor) && by_pass.is_superset(&key_classifier));
        assert_eq!(progress, [2, 1]);
        let Updated { key_classifier, by_pass, .. } = of_steps(std::slice::from_ref(e_step));
        assert_eq!(by_pass, key_classifier);
        let Updated { extractor, by_pass, .. } = of_steps(std::slice::from_ref(m_step));
        assert_eq!(by_pass, extractor);
    }

    #[test]
    fn a_warm_up_ends_after_two_passes_that_are_no_faster() {
        let are_steady = |passes: &[u64]| {
            are_steady(&passes.iter().copied().map(Duration::from_secs).collect::<Vec<_>>())
        };
        assert!(!are_steady(&[]) && !are_steady(&[100]) && !are_steady(&[100, 100]));
        assert!(are_steady(&[100, 100, 94]));
        // A slow pass is followed by faster ones.
        assert!(!are_steady(&[100, 120, 50]));
        assert!(!are_steady(&[100, 120, 50, 51]));
        assert!(are_steady(&[100, 120, 50, 51, 49]));
    }
}
