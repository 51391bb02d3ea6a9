//! The comparison of KMGRE with an independent PyTorch implementation.

use burn::{
    module::AutodiffModule,
    tensor::{Int, Tensor, TensorData, backend::Backend},
};
use burn_autodiff::Autodiff;
use burn_docre::{
    DocReBackend,
    batch::{DocReBatch, MentionPairIndex},
    loss::{BinaryFocalLoss, RelationLoss},
    mention_pair::{KeySelection, pseudo_labels},
    model::{DocReModel, Evidence, Intermediates},
    text::encoded::EncodedDocument,
};
use serde::Deserialize;

use crate::{
    case::{Case, KMGRE_SELECTION},
    checks::{
        assert_gradient, assert_loss, assert_values, batch, floats, gradients_by_name, load,
        off_diagonal,
    },
};

/// The distance of a probability from its pair's mean below which rounding determines the pseudo
/// label. Such labels are not compared.
const TIE: f64 = 1e-5;

/// The expected losses of one document, with the parameters that give them.
#[derive(Deserialize)]
struct Expected {
    focal_mean: f64,
    atl: f64,
    xi: f64,
    tau: f64,
    alpha: f64,
    gamma: f64,
}

/// The mention pairs of one pair and the indices of its key mention pairs.
#[derive(Deserialize)]
struct Selection {
    p_key: Vec<f32>,
    xi: f64,
    tau: f64,
    kept: Vec<usize>,
}

/// Runs every check of the case.
pub(crate) fn run<B: DocReBackend>(case: &Case, device: &B::Device) {
    let parts = ["extractor", "key_classifier"];
    let encoders = parts.map(|part| case.weights(&format!("{part}_encoder.safetensors")));
    let model = load::<Autodiff<B>>(case, &encoders, device, |name| {
        let (part, name) = name.split_once('.').expect("a part of the model");
        case.weights(&format!("{part}_linear.safetensors")).read(name).expect("a weight")
    });
    let inner = model.valid();
    let all: Vec<&EncodedDocument> = case.documents.iter().collect();
    check_outputs(case, &inner, &all, 0, device);
    let expected: Vec<Expected> = case.read("expected.json");
    for (document, expected) in expected.iter().enumerate() {
        check_outputs(case, &inner, &all[document..document + 1], document, device);
        check_losses(case, &model, document, expected, device);
    }
    let selections: Vec<Selection> = case.read("key_selection.json");
    for selection in &selections {
        check_selection::<B>(case, selection, device);
    }
}

/// The cells of mention pairs in the expected tensors of consecutive documents. These tensors are
/// grids `[m, m, …]` of all pairs of a document's mentions.
struct Grids<'a> {
    case: &'a Case,
    /// The document of each mention pair, and the cell in the document's grid.
    rows: Vec<(usize, usize)>,
}

impl<'a> Grids<'a> {
    /// Finds the mention pairs of a batch whose first document is `first`.
    fn new<B: Backend>(case: &'a Case, first: usize, index: &MentionPairIndex<B>) -> Self {
        let mentions = |rows: &Tensor<B, 1, Int>| -> Vec<usize> {
            rows.clone().into_data().iter::<i64>().map(|row| row as usize).collect()
        };
        let documents = case.documents[first..].iter().enumerate();
        let places: Vec<(usize, usize, usize)> = documents
            .flat_map(|(i, document)| {
                let m: usize = document.mentions.iter().map(Vec::len).sum();
                (0..m).map(move |mention| (first + i, m, mention))
            })
            .collect();
        let rows = mentions(&index.head).into_iter().zip(mentions(&index.tail));
        let rows = rows.map(|(head, tail)| {
            let ((document, m, head), (other, _, tail)) = (places[head], places[tail]);
            assert_eq!(document, other, "both mentions are in one document");
            (document, head * m + tail)
        });
        Self { case, rows: rows.collect() }
    }

    /// The expected values of all mention pairs.
    fn expected(&self, name: &str) -> Vec<f32> {
        let cells = self.rows.iter().flat_map(|(document, cell)| {
            let grid = self.case.tensor(*document, name).expect("a grid");
            let size: usize = grid.shape[2..].iter().product();
            grid.values[cell * size..(cell + 1) * size].to_vec()
        });
        cells.collect()
    }
}

/// Checks the outputs of a batch of consecutive documents, of which the first is `first`.
fn check_outputs<B: DocReBackend>(
    case: &Case,
    model: &DocReModel<B>,
    documents: &[&EncodedDocument],
    first: usize,
    device: &B::Device,
) {
    let batch = batch(case, documents, device);
    let index = batch.mention_pairs();
    let grids = Grids::new(case, first, &index);
    let name = |name: &str| format!("doc{first} and {} more: {name}", documents.len() - 1);
    let mut intermediates = Intermediates::default();
    let output = model.forward_observed(&batch, &mut intermediates);
    for (ours, theirs) in [
        ("mention_context", "context"),
        ("mention_logits", "mention_logits"),
        ("key_probability", "p_key"),
    ] {
        let found = intermediates.get(ours).unwrap_or_else(|| panic!("no {ours}"));
        let found: Vec<f32> = found.iter::<f32>().collect();
        assert_values(case, &name(ours), &found, &grids.expected(theirs));
    }
    let expected = documents.iter().enumerate().flat_map(|(i, _)| {
        let grid = case.tensor(first + i, "entity_logits").expect("entity logits");
        off_diagonal(case, first + i, &grid.values)
    });
    let expected: Vec<f32> = expected.collect();
    assert_values(case, &name("logits"), &floats(output.logits), &expected);
    let Some(Evidence::KeyMentionPairs(is_key)) = output.evidence else {
        panic!("KMGRE names its key mention pairs")
    };
    let selected = KMGRE_SELECTION.select(from_values(&grids.expected("p_key"), device), &index);
    assert_eq!(floats(is_key), floats(selected), "{}", name("key mention pairs"));

    let labels = batch.labels(case.config.n_classes);
    let logits = model.kmgre().expect("KMGRE").mention_logits(&batch, &index);
    let labelled = floats(pseudo_labels(logits, labels.clone(), &index));
    let expected = grids.expected("pseudo_labels");
    assert_eq!(labelled.len(), expected.len());
    let ties = ties(case, &grids, &floats(labels), &index);
    assert!(ties.iter().any(|tie| !tie), "no pseudo label to compare");
    for (i, (label, expected)) in labelled.iter().zip(&expected).enumerate() {
        assert!(ties[i] || label == expected, "{}", name(&format!("pseudo label {i}")));
    }
}

/// Reports for each mention pair whether the probability of a relation that holds is nearly the
/// mean over its pair.
fn ties<B: Backend>(
    case: &Case,
    grids: &Grids<'_>,
    labels: &[f32],
    index: &MentionPairIndex<B>,
) -> Vec<bool> {
    let r = case.config.n_classes;
    let logits = grids.expected("mention_logits");
    let probability = |mention_pair: usize, class: usize| {
        1.0 / (1.0 + (-f64::from(logits[mention_pair * r + class])).exp())
    };
    let mut ties = vec![false; grids.rows.len()];
    for group in &index.groups {
        let [pairs, slots] = [&group.pairs, &group.slots]
            .map(|rows| rows.clone().into_data().iter::<i64>().collect::<Vec<_>>());
        let mask = floats(group.mask.clone());
        let slots: Vec<(usize, f32)> = slots.iter().map(|row| *row as usize).zip(mask).collect();
        for (pair, slots) in pairs.iter().zip(slots.chunks_exact(group.shape[1])) {
            let real: Vec<usize> =
                slots.iter().filter(|(_, mask)| *mask > 0.0).map(|(row, _)| *row).collect();
            for class in (1..r).filter(|class| labels[*pair as usize * r + class] > 0.0) {
                let mean = real.iter().map(|row| probability(*row, class)).sum::<f64>()
                    / real.len() as f64;
                for row in real.iter().filter(|row| (probability(**row, class) - mean).abs() < TIE)
                {
                    // A single mention pair is its own mean.
                    ties[*row] = real.len() > 1;
                }
            }
        }
    }
    ties
}

/// Checks both losses of one document and their gradients.
fn check_losses<B: DocReBackend>(
    case: &Case,
    model: &DocReModel<Autodiff<B>>,
    document: usize,
    expected: &Expected,
    device: &B::Device,
) {
    let Expected { focal_mean, atl, xi, tau, alpha, gamma } = *expected;
    assert_eq!(KMGRE_SELECTION, KeySelection { xi, tau });
    let batch = batch::<Autodiff<B>>(case, &[&case.documents[document]], device);
    let labels = batch.labels(case.config.n_classes);
    let index = batch.mention_pairs();
    let parts = model.kmgre().expect("KMGRE");

    let loss = RelationLoss::Atl {}.forward(model.forward(&batch).logits, labels.clone());
    assert_loss(case, &format!("doc{document} ATL"), loss.clone(), atl);
    let gradients = gradients_by_name(case, model, loss.backward());
    let name = format!("doc{document}.grad.atl.extractor.linear.weight");
    assert_gradient(case, &name, &gradients["extractor.weight"]);
    assert!(gradients["key_classifier.weight"].is_empty(), "the key mention pairs are detached");

    let targets = pseudo_labels(parts.mention_logits(&batch, &index), labels, &index);
    let logits = parts.key_logits(&batch, &index).expect("a key classifier");
    let loss = BinaryFocalLoss { alpha, gamma }.forward(logits, targets);
    assert_loss(case, &format!("doc{document} focal loss"), loss.clone(), focal_mean);
    let gradients = gradients_by_name(case, model, loss.backward());
    let name = format!("doc{document}.grad.focal.key_classifier.linear.weight");
    assert_gradient(case, &name, &gradients["key_classifier.weight"]);
    assert!(gradients["extractor.weight"].is_empty(), "the pseudo labels are detached");
}

/// Checks the key mention pairs of two entities with one and `n` mentions. The pairs of both
/// directions have the same probabilities.
fn check_selection<B: DocReBackend>(case: &Case, expected: &Selection, device: &B::Device) {
    let Selection { p_key, xi, tau, kept } = expected;
    let n = p_key.len();
    let document = EncodedDocument {
        mentions: vec![vec![1], (2..n + 2).collect()],
        token_ids: (0..n as u32 + 3).collect(),
        facts: Vec::new(),
        ..case.documents[0].clone()
    };
    let index = DocReBatch::<B>::new(&[&document], &case.config.encoder, device).mention_pairs();
    let rule = KeySelection { xi: *xi, tau: *tau };
    let is_key = floats(rule.select(from_values(&p_key.repeat(2), device), &index));
    let is_kept = (0..n).map(|i| if kept.contains(&i) { 1.0 } else { 0.0 });
    let is_kept: Vec<f32> = is_kept.collect();
    assert_eq!(is_key, is_kept.repeat(2), "{p_key:?}");
}

fn from_values<B: Backend>(values: &[f32], device: &B::Device) -> Tensor<B, 1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}
