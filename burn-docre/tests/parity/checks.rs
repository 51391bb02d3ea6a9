//! The comparisons of a parity case and their tolerances; `kmgre` has those of KMGRE's case.

use std::collections::{BTreeMap, BTreeSet};

use burn::{
    module::{AutodiffModule, Module, ModuleVisitor, Param},
    tensor::{
        Tensor, TensorData,
        backend::{AutodiffBackend, Backend},
    },
};
use burn_autodiff::Autodiff;
use burn_docre::{
    DocReBackend,
    batch::DocReBatch,
    encoder::names::HUGGING_FACE,
    entity::DocumentEncoding,
    inference::decode::Decoder,
    io::weights::{self, Weight, WeightFile},
    loss::{DistillationLoss, RelationLoss},
    model::{DocReModel, Observer},
    text::encoded::EncodedDocument,
};
use serde::Deserialize;

use crate::case::{Case, Worst};

/// Intermediates and logits: `|a - b| <= TENSOR_TOLERANCE * max(1, max |b|)`.
const TENSOR_TOLERANCE: f32 = 1e-4;
/// Losses: `|a - b| <= LOSS_TOLERANCE * |b|`.
const LOSS_TOLERANCE: f64 = 1e-5;
/// Gradients: `‖a - b‖ <= GRADIENT_TOLERANCE * ‖b‖`.
const GRADIENT_TOLERANCE: f64 = 1e-3;

/// Records a difference if it is the largest of its kind.
fn record(case: &Case, kind: impl FnOnce(&mut Worst) -> &mut f64, difference: f64) {
    let mut worst = case.worst.borrow_mut();
    let worst = kind(&mut worst);
    *worst = worst.max(difference);
}

/// The expected results of one document, besides tensors.
#[derive(Deserialize)]
struct Expected {
    /// The value of each loss, by name.
    losses: BTreeMap<String, f64>,
    /// Each prediction as `[head, tail, class]`.
    predictions: Vec<[usize; 3]>,
}

/// Runs every check of one case.
pub(crate) fn run<B: DocReBackend>(case: &Case, device: &B::Device) {
    let weights = case.weights("head.safetensors");
    let encoders = [case.weights("encoder.safetensors")];
    let model = load::<Autodiff<B>>(case, &encoders, device, |name| {
        weights.read(name).expect("a weight of the relation module")
    });
    let inner = model.valid();
    let expected: Vec<Expected> = case.read("expected.json");
    assert_eq!(expected.len(), case.documents.len());
    for (document, expected) in expected.iter().enumerate() {
        check_intermediates(case, document, &inner, device);
        check_outputs(case, document, expected, &inner, device);
    }
    check_batch(case, &inner, device);
    check_gradients(case, &model, device);
}

/// Loads the model: one file for each encoder, and `weight` for the other weights by name.
pub(crate) fn load<B: DocReBackend>(
    case: &Case,
    encoders: &[WeightFile<'_>],
    device: &B::Device,
    weight: impl Fn(&str) -> Weight,
) -> DocReModel<B> {
    let model = case.config.init::<B>(device);
    // The weights are in several files. The encoders are loaded first. Their weights are then
    // merged with those of the relation module, because loading a model needs all weights.
    let mut encoders = encoders.iter();
    let model = model
        .try_map_encoders(|encoder| {
            let file = encoders.next().expect("a file for each encoder");
            weights::load(encoder, file, |path| HUGGING_FACE.rename(path))
                .map(|loaded| loaded.module)
        })
        .expect("encoder weights");
    assert!(encoders.next().is_none(), "an encoder for each file");
    let merged = tempfile::tempdir().expect("a directory");
    let path = merged.path().join("merged.safetensors");
    let weights = weights::collect(&model, |path| case.config.weight_name(path)).into_iter().map(
        |(name, loaded)| {
            let is_encoder = name.split('.').any(|part| part == "encoder");
            let weight = if is_encoder { loaded } else { weight(&name) };
            (name, weight)
        },
    );
    weights::write_safetensors(&path, &weights.collect::<Vec<_>>()).expect("written");
    let file = WeightFile::open(&path).expect("a file");
    weights::load(model, &file, |path| case.config.weight_name(path)).expect("all weights").module
}

pub(crate) fn batch<B: DocReBackend>(
    case: &Case,
    documents: &[&EncodedDocument],
    device: &B::Device,
) -> DocReBatch<B> {
    DocReBatch::new(documents, &case.config.encoder, device)
}

/// Compares the intermediate tensors of the forward pass with the reference's.
struct Comparison<'a> {
    case: &'a Case,
    document: usize,
    compared: BTreeSet<String>,
}

impl<B: Backend> Observer<B> for Comparison<'_> {
    fn observe<const D: usize>(
        &mut self,
        name: &'static str,
        tensor: impl FnOnce() -> Tensor<B, D>,
    ) {
        let reference = match name {
            "entities" => "entity",
            "head" => "zs",
            "tail" => "zo",
            "mixed" => "pair_out",
            name => name,
        };
        assert_close(self.case, self.document, reference, tensor());
        self.compared.insert(reference.to_string());
    }
}

/// Checks every intermediate tensor of a batch with one document.
fn check_intermediates<B: DocReBackend>(
    case: &Case,
    document: usize,
    model: &DocReModel<B>,
    device: &B::Device,
) {
    let encoded = &case.documents[document];
    let mut comparison = Comparison { case, document, compared: BTreeSet::new() };
    model.forward_observed(&batch(case, &[encoded], device), &mut comparison);
    assert_eq!(comparison.compared, intermediates(case, document), "{}", case.name);

    // If every token is an entity, the entity attention is the whole attention matrix.
    let every_token = EncodedDocument {
        mentions: (0..encoded.token_ids.len()).map(|token| vec![token]).collect(),
        facts: Vec::new(),
        ..encoded.clone()
    };
    let batch = batch(case, &[&every_token], device);
    let encoding = DocumentEncoding::new(model.encoder().forward(&batch.tokens), &batch);
    let attention = encoding.entity_attention.permute([0, 2, 1, 3]);
    assert_close(case, document, "attention", attention);
}

/// The names of the intermediate tensors that the reference has for one document.
fn intermediates(case: &Case, document: usize) -> BTreeSet<String> {
    let others = ["labels", "logits", "teacher_logits", "attention"];
    let prefix = format!("doc{document}.");
    let names = case.tensors.names();
    names
        .filter_map(|name| name.strip_prefix(&prefix).map(str::to_string))
        .filter(|name| !name.starts_with("grad.") && !others.contains(&name.as_str()))
        .collect()
}

/// The expected logits `[p, r]` of one document, without the diagonal.
fn expected_logits(case: &Case, document: usize) -> Vec<f32> {
    off_diagonal(case, document, &case.tensor(document, "logits").expect("logits").values)
}

/// The rows `[p, r]` of a grid `[e, e, r]`, without its diagonal.
pub(crate) fn off_diagonal(case: &Case, document: usize, grid: &[f32]) -> Vec<f32> {
    let (e, r) = (case.documents[document].n_entities(), case.config.n_classes);
    let cells = (0..e * e).filter(|cell| cell / e != cell % e);
    cells.flat_map(|cell| grid[cell * r..(cell + 1) * r].to_vec()).collect()
}

/// Checks the logits of every document in one batch of all documents.
fn check_batch<B: DocReBackend>(case: &Case, model: &DocReModel<B>, device: &B::Device) {
    let all: Vec<&EncodedDocument> = case.documents.iter().collect();
    let together = batch(case, &all, device);
    let logits = floats(model.forward(&together).logits);
    let mut rows = logits.chunks_exact(case.config.n_classes);
    for (document, n_pairs) in together.pairs_per_document().iter().enumerate() {
        let mine: Vec<f32> = rows.by_ref().take(*n_pairs).flatten().copied().collect();
        assert_values(
            case,
            &format!("doc{document}.logits (batched)"),
            &mine,
            &expected_logits(case, document),
        );
    }
}

/// Checks the logits, predictions and losses of a batch with one document.
fn check_outputs<B: DocReBackend>(
    case: &Case,
    document: usize,
    expected: &Expected,
    model: &DocReModel<B>,
    device: &B::Device,
) {
    let encoded = &case.documents[document];
    let batch = batch(case, &[encoded], device);
    let logits = model.forward(&batch).logits;

    let values = floats(logits.clone());
    assert_values(
        case,
        &format!("doc{document}.logits"),
        &values,
        &expected_logits(case, document),
    );
    let predictions =
        Decoder::of(&case.config).decode(encoded, &values).expect("logits without NaN");
    let mut predicted: Vec<_> =
        predictions.iter().map(|p| [p.fact.pair.head, p.fact.pair.tail, p.fact.relation]).collect();
    predicted.sort();
    assert_eq!(predicted, expected.predictions, "{}: doc{document} predictions", case.name);

    check_losses(case, document, expected, &logits, &batch.labels(case.config.n_classes));
}

/// Checks every loss of one document, given its logits and labels `[p, r]`.
fn check_losses<B: DocReBackend>(
    case: &Case,
    document: usize,
    expected: &Expected,
    logits: &Tensor<B, 2>,
    labels: &Tensor<B, 2>,
) {
    for (name, value) in &expected.losses {
        let loss = match distillation(name) {
            Some(loss) => {
                let teacher = case.tensor(document, "teacher_logits").expect("teacher logits");
                let teacher = TensorData::new(teacher.values, teacher.shape);
                loss.forward(logits.clone(), Tensor::from_data(teacher, &logits.device()))
            }
            None => relation_loss(name).forward(logits.clone(), labels.clone()),
        };
        assert_loss(case, &format!("doc{document} {name}"), loss, *value);
    }
}

pub(crate) fn assert_loss<B: Backend>(case: &Case, name: &str, loss: Tensor<B, 1>, expected: f64) {
    let loss = f64::from(floats(loss)[0]);
    let difference = (loss - expected).abs();
    record(case, |worst| &mut worst.loss, difference / expected.abs());
    assert!(
        difference <= LOSS_TOLERANCE * expected.abs(),
        "{}: {name}: {loss} instead of {expected}",
        case.name
    );
}

/// The relation losses of the cases.
const RELATION_LOSSES: [&str; 4] =
    ["atl", "afl_paper_gamma_0.5", "afl_paper_gamma_2", "afl_reference_gamma_1"];

fn relation_loss(name: &str) -> RelationLoss {
    match name {
        "atl" => RelationLoss::Atl {},
        "afl_paper_gamma_0.5" => RelationLoss::AflPaper { gamma: 0.5 },
        "afl_paper_gamma_2" => RelationLoss::AflPaper { gamma: 2.0 },
        "afl_reference_gamma_1" => RelationLoss::AflAuthors { gamma: 1.0 },
        other => panic!("unknown loss {other}"),
    }
}

fn distillation(name: &str) -> Option<DistillationLoss> {
    match name {
        "kd_mse" => Some(DistillationLoss::Mse {}),
        "kd_kl_t1" => Some(DistillationLoss::Kl { temperature: 1.0 }),
        "kd_kl_t2" => Some(DistillationLoss::Kl { temperature: 2.0 }),
        _ => None,
    }
}

/// Checks the gradients of the first document that the case has.
fn check_gradients<B: DocReBackend>(
    case: &Case,
    model: &DocReModel<Autodiff<B>>,
    device: &B::Device,
) {
    let mut expected: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for tensor in case.tensors.names() {
        let Some(rest) = tensor.strip_prefix("doc0.grad.") else { continue };
        let loss = RELATION_LOSSES
            .into_iter()
            .find(|loss| rest.starts_with(&format!("{loss}.")))
            .unwrap_or_else(|| panic!("{tensor}: unknown loss"));
        let weight = rest[loss.len() + 1..].to_string();
        expected.entry(loss.to_string()).or_default().push((tensor.to_string(), weight));
    }
    assert!(!expected.is_empty(), "{}: no gradient to compare", case.name);
    for (loss, weights) in expected {
        let batch = batch::<Autodiff<B>>(case, &[&case.documents[0]], device);
        let logits = model.forward(&batch).logits;
        let labels = batch.labels(case.config.n_classes);
        let gradients = relation_loss(&loss).forward(logits, labels).backward();
        let found = gradients_by_name(case, model, gradients);
        for (tensor, weight) in weights {
            // The case names encoder weights without the prefix `encoder.`.
            let prefixed = format!("encoder.{weight}");
            let gradient = found.get(&prefixed).or_else(|| found.get(&weight));
            let gradient = gradient.unwrap_or_else(|| panic!("no gradient of {weight}"));
            assert_gradient(case, &tensor, gradient);
        }
    }
}

/// The gradient of each weight by name, in PyTorch's layout; empty for a weight without gradient.
pub(crate) fn gradients_by_name<B: AutodiffBackend>(
    case: &Case,
    model: &DocReModel<B>,
    gradients: B::Gradients,
) -> BTreeMap<String, Vec<f32>> {
    let mut collector = Gradients::<B> { gradients, found: Vec::new() };
    model.visit(&mut collector);
    let names = weights::collect(model, |path| case.config.weight_name(path)).into_iter();
    names.map(|(name, _)| name).zip(collector.found).collect()
}

/// A visitor that collects every gradient, in the module's order and PyTorch's layout.
struct Gradients<B: AutodiffBackend> {
    gradients: B::Gradients,
    found: Vec<Vec<f32>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Gradients<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let gradient = param.val().grad(&self.gradients).map(|gradient| {
            // The only matrices that are compared are linear weights, which PyTorch stores
            // transposed.
            if D == 2 { floats(gradient.swap_dims(0, 1)) } else { floats(gradient) }
        });
        self.found.push(gradient.unwrap_or_default());
    }
}

pub(crate) fn assert_gradient(case: &Case, name: &str, gradient: &[f32]) {
    let expected = case.tensors.read(name).expect("a gradient").values;
    assert_eq!(gradient.len(), expected.len(), "{name}");
    let norm = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
    };
    let difference = norm(&mut gradient.iter().zip(&expected).map(|(a, b)| a - b));
    let size = norm(&mut expected.iter().copied());
    if size > 0.0 {
        record(case, |worst| &mut worst.gradient, difference / size);
    }
    assert!(
        difference <= GRADIENT_TOLERANCE * size,
        "{}: {name}: the difference has norm {difference}, the gradient {size}",
        case.name
    );
}

fn assert_close<B: Backend, const D: usize>(
    case: &Case,
    document: usize,
    name: &str,
    tensor: Tensor<B, D>,
) {
    let expected = case.tensor(document, name).unwrap_or_else(|| panic!("no {name}"));
    assert_values(case, &format!("doc{document}.{name}"), &floats(tensor), &expected.values);
}

pub(crate) fn assert_values(case: &Case, name: &str, values: &[f32], expected: &[f32]) {
    assert_eq!(values.len(), expected.len(), "{}: {name}", case.name);
    let scale = expected.iter().fold(1f32, |max, value| max.max(value.abs()));
    let worst = values.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let worst = worst.fold(0f32, |max, d| if d.is_nan() { f32::INFINITY } else { max.max(d) });
    record(case, |worst| &mut worst.tensor, f64::from(worst / scale));
    assert!(
        worst <= TENSOR_TOLERANCE * scale,
        "{}: {name} differs by {worst} at a scale of {scale}",
        case.name
    );
}

pub(crate) fn floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("floats")
}
