//! Properties of every system with random weights, on the first backend of the build.

#![recursion_limit = "256"]

mod common;

use std::sync::Arc;

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module, ModuleVisitor, Param},
    tensor::{
        DType, Tensor,
        backend::{AutodiffBackend, Backend},
    },
};
use burn_docre::{
    BackendTask, DocReBackend, PairSet,
    batch::DocReBatch,
    dispatch,
    encoder::EncoderConfig,
    inference::Inference,
    model::{
        DocReModel, Evidence, Intermediates, KdDocreConfig, KeyClassifierConfig, ModelConfig,
        SystemConfig,
    },
    nn::{precision::Precision, rounding::with_precision},
    ops,
    pair::PairMixerConfig,
    text::encoded::EncodedDocument,
};
use common::{config, document, documents, every_system};

/// A check of one model, generic over the backend.
trait Check {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    );
}

/// Runs a check on every system.
struct OnEveryConfig<C>(C);

impl<C: Check> BackendTask for OnEveryConfig<C> {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        for config in every_system().into_iter().map(config) {
            let model = common::seeded_model::<B>(&config, 3, &device);
            self.0.check(&config, &model, &device);
        }
    }
}

fn run(check: impl Check) {
    dispatch(None, 0, OnEveryConfig(check)).expect("a backend");
}

fn logits<B: DocReBackend>(
    config: &ModelConfig,
    model: &DocReModel<B>,
    documents: &[&EncodedDocument],
    device: &B::Device,
) -> Vec<f32> {
    let batch = DocReBatch::new(documents, &config.encoder, device);
    if batch.n_pairs() == 0 {
        return Vec::new();
    }
    model.forward(&batch).logits.into_data().convert::<f32>().into_vec().expect("floats")
}

fn assert_close(a: &[f32], b: &[f32], name: &str) {
    assert_eq!(a.len(), b.len(), "{name}");
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-4, "{name}: {a} and {b}");
    }
}

struct BatchedIsSingle;

impl Check for BatchedIsSingle {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let documents = documents();
        let all: Vec<&EncodedDocument> = documents.iter().collect();
        let together = logits(config, model, &all, device);
        let alone: Vec<f32> =
            all.iter().flat_map(|document| logits(config, model, &[document], device)).collect();
        assert_close(&together, &alone, &format!("{:?}", config.system));
        let pairs = DocReBatch::<B>::new(&all, &config.encoder, device);
        assert_eq!(pairs.pairs_per_document(), [6, 0, 20, 0, 12]);
    }
}

#[test]
fn documents_of_a_batch_do_not_affect_each_other() {
    run(BatchedIsSingle);
}

struct InOrder;

impl Check for InOrder {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let documents: Vec<_> = (0..6).flat_map(|_| documents()).map(Arc::new).collect();
        let inputs = || documents.iter().cloned().map(Ok::<_, burn_docre::Error>);
        let inference = Inference::new(model.clone(), config.clone(), device.clone());
        for at_once in [1, 2, 5] {
            let inference = inference.clone().with_documents_at_once(at_once);
            let found: Vec<_> = inference.run(inputs()).map(Result::unwrap).collect();
            assert_eq!(found.len(), documents.len());
            for (found, document) in found.iter().zip(&documents) {
                assert_eq!(found.document, *document, "{at_once} at once");
                assert_close(&found.logits, &logits(config, model, &[document], device), "logits");
            }
        }
        // Dropping a run with unfinished work must not block.
        assert!(inference.run(inputs()).next().is_some());
    }
}

#[test]
fn inference_gives_the_logits_of_each_document_in_the_order_of_the_documents() {
    run(InOrder);
}

struct BrokenDocument;

impl Check for BrokenDocument {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let mut documents = documents();
        documents[2].mentions[0] = vec![100_000];
        let inference = Inference::new(model.clone(), config.clone(), device.clone());
        let documents = documents.into_iter().map(|document| Ok(Arc::new(document)));
        let found: Vec<burn_docre::Result<_>> = inference.run(documents).collect();
        assert!(found.len() == 3 && found[..2].iter().all(Result::is_ok));
        let error = found[2].as_ref().unwrap_err().to_string();
        assert!(error.contains("document 2") && error.contains("token 100000 of 40"), "{error}");
    }
}

#[test]
fn a_mention_outside_its_document_is_an_error_after_the_results_of_earlier_documents() {
    run(BrokenDocument);
}

struct PermutedEntities;

impl Check for PermutedEntities {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let original = document(40, &[&[1, 30], &[20], &[5], &[33]]);
        let order = [2, 0, 3, 1];
        let permuted = EncodedDocument {
            mentions: order.iter().map(|&entity| original.mentions[entity].clone()).collect(),
            ..original.clone()
        };
        let before = logits(config, model, &[&original], device);
        let after = logits(config, model, &[&permuted], device);
        let (n, r) = (order.len(), config.n_classes);
        let row = |head: usize, tail: usize| {
            let pair = burn_docre::EntityPair { head, tail };
            permuted.row(pair) * r
        };
        for head in 0..n {
            for tail in (0..n).filter(|tail| *tail != head) {
                let (new, old) = (row(head, tail), row(order[head], order[tail]));
                assert_close(&after[new..new + r], &before[old..old + r], "permuted entities");
            }
        }
    }
}

#[test]
fn permuted_entities_give_permuted_logits() {
    run(PermutedEntities);
}

/// With self relations, the rows of pairs of different entities are those without, and the diagonal
/// has rows of its own.
struct Diagonal;

impl Check for Diagonal {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let r = config.n_classes;
        for default in documents() {
            let all = EncodedDocument { pair_set: PairSet::All, ..default.clone() };
            let with_diagonal = logits(config, model, &[&all], device);
            let without = logits(config, model, &[&default], device);
            assert_eq!(with_diagonal.len(), all.n_entities() * all.n_entities() * r);
            for (row, pair) in all.pairs().enumerate() {
                let found = &with_diagonal[row * r..(row + 1) * r];
                if pair.head == pair.tail {
                    assert!(found.iter().all(|logit| logit.is_finite()));
                } else {
                    let row = default.row(pair);
                    assert_close(found, &without[row * r..(row + 1) * r], "self relations");
                }
            }
        }
    }
}

#[test]
fn classifying_the_diagonal_changes_no_other_logit() {
    run(Diagonal);
}

struct MentionOrder;

impl Check for MentionOrder {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let one = document(90, &[&[3, 40, 80], &[88], &[22, 23]]);
        let other = document(90, &[&[80, 3, 40], &[88], &[23, 22]]);
        let one = logits(config, model, &[&one], device);
        assert_close(&one, &logits(config, model, &[&other], device), "mentions in another order");
        assert!(one.iter().all(|logit| logit.is_finite()));
    }
}

#[test]
fn the_order_of_mentions_does_not_change_the_logits() {
    run(MentionOrder);
}

struct Observed;

impl Check for Observed {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let documents = documents();
        let all: Vec<&EncodedDocument> = documents.iter().collect();
        let batch = DocReBatch::new(&all, &config.encoder, device);
        let mut intermediates = Intermediates::default();
        let observed = model.forward_observed(&batch, &mut intermediates).logits.into_data();
        assert_eq!(observed, model.forward(&batch).logits.into_data(), "{:?}", config.system);
        check_axial_attention(config, &intermediates);
        if model.kmgre().is_some() {
            return assert_finite(&intermediates, &["hidden", "mention_context", "mention_logits"]);
        }

        // The attention of a pair is a distribution over tokens if its entities share a window, and
        // 0 otherwise. Of the 51 pairs, diagonal included, four share no window. They are in the
        // last document: the third entity with the second and the fourth, in both directions.
        let attention = intermediates.get("pair_attention").expect("the localized context");
        let [b, e] = batch.pairs.shape;
        assert_eq!(attention.shape[..2], [b, e * e]);
        let attention: Vec<f32> = attention.iter::<f32>().collect();
        let sums: Vec<f32> =
            attention.chunks_exact(90).map(|tokens| tokens.iter().sum::<f32>()).collect();
        let n_distributions = sums.iter().filter(|sum| (**sum - 1.0).abs() < 1e-2).count();
        assert_eq!(n_distributions, 47);
        assert_eq!(sums.iter().filter(|sum| **sum == 0.0).count(), sums.len() - 47);
        let names = ["hidden", "entities", "entity_attention", "context", "head", "tail"];
        assert_finite(&intermediates, &names);
    }
}

/// Checks the attention of every layer of the mixer: the weights of each pair sum to 1 over the
/// entities of its document and the pad entity, and are 0 at padding.
fn check_axial_attention(config: &ModelConfig, intermediates: &Intermediates) {
    let SystemConfig::KdDocre(KdDocreConfig { mixer, .. }) = &config.system else {
        return assert!(intermediates.layer("row_attention", 0).is_none());
    };
    let (n_layers, pad_to) = match mixer {
        PairMixerConfig::AxialStack(stack) => (stack.layers, stack.pad_to.unwrap_or(0)),
        PairMixerConfig::TwoHop(_) => (1, 0),
        PairMixerConfig::None {} => (0, 0),
    };
    let n_keys = |document: &EncodedDocument| {
        let n = document.n_entities();
        n + usize::from((1..pad_to).contains(&n))
    };
    let n_keys: Vec<usize> = documents().iter().map(n_keys).collect();
    for name in ["column_attention", "row_attention"] {
        assert!(intermediates.layer(name, n_layers).is_none());
        for layer in 0..n_layers {
            let weights = intermediates.layer(name, layer).expect("one tensor for each layer");
            let [b, e, e_tail, n_heads, e_key] = weights.shape.dims();
            assert_eq!([b, e, e_tail, e_key], [n_keys.len(), 5, 5, 5]);
            let weights: Vec<f32> = weights.iter::<f32>().collect();
            for (document, &n) in n_keys.iter().enumerate() {
                for (head, tail) in (0..n * n).map(|pair| (pair / n, pair % n)) {
                    let cell = (document * e + head) * e + tail;
                    for weights in weights[cell * n_heads * e..][..n_heads * e].chunks_exact(e) {
                        let sum: f32 = weights[..n].iter().sum();
                        assert!((sum - 1.0).abs() < 1e-5, "{name} of layer {layer}: {weights:?}");
                        assert!(weights[n..].iter().all(|weight| *weight == 0.0), "{weights:?}");
                    }
                }
            }
        }
    }
}

fn assert_finite(intermediates: &Intermediates, names: &[&str]) {
    for name in names {
        let tensor = intermediates.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(tensor.iter::<f32>().all(f32::is_finite), "{name}");
    }
}

#[test]
fn an_observer_receives_the_intermediates_and_does_not_change_the_logits() {
    run(Observed);
}

struct LabelsOfBatches;

impl Check for LabelsOfBatches {
    fn check<B: DocReBackend>(&self, config: &ModelConfig, _: &DocReModel<B>, device: &B::Device) {
        let documents = documents();
        let all: Vec<&EncodedDocument> = documents.iter().collect();
        let batch = DocReBatch::<B>::new(&all, &config.encoder, device);
        let labels = batch.labels(config.n_classes).into_data().convert::<f32>();
        let labels: Vec<f32> = labels.into_vec().expect("floats");
        for (row, labels) in labels.chunks_exact(config.n_classes).enumerate() {
            // The first pair of each document has relation 2. The documents with pairs have 6, 20
            // and 12.
            let expected = match row {
                0 | 6 | 26 => [0.0, 0.0, 1.0, 0.0, 0.0],
                _ => [1.0, 0.0, 0.0, 0.0, 0.0],
            };
            assert_eq!(labels, expected, "row {row}");
        }
    }
}

#[test]
fn each_pair_has_its_labels_or_else_the_threshold_class() {
    run(LabelsOfBatches);
}

/// A visitor that concatenates the gradients of all parameters.
struct Gradients<'a, B: AutodiffBackend> {
    grads: &'a B::Gradients,
    values: Vec<f32>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Gradients<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = param.val().grad(self.grads) {
            self.values.extend(grad.into_data().iter::<f32>());
        }
    }
}

/// The logits that are continuous functions of the weights, in one row. The choice of key mention
/// pairs is not continuous, so these are KMGRE's logits of mention pairs.
fn continuous_logits<B: DocReBackend>(
    model: &DocReModel<B>,
    batch: &DocReBatch<B>,
) -> Tensor<B, 1> {
    let Some(kmgre) = model.kmgre() else { return model.forward(batch).logits.flatten(0, 1) };
    let logits = kmgre.forward_both(batch, &batch.mention_pairs());
    Tensor::cat(
        [Some(logits.relations.flatten(0, 1)), logits.key].into_iter().flatten().collect(),
        0,
    )
}

fn gradients<B: DocReBackend>(
    model: &DocReModel<Autodiff<B>>,
    config: &ModelConfig,
    precision: Precision,
    device: &B::Device,
) -> Vec<f32> {
    let documents = documents();
    let documents: Vec<&EncodedDocument> = documents.iter().collect();
    let batch = DocReBatch::<Autodiff<B>>::new(&documents, &config.encoder, device);
    let rounded = with_precision(model.clone(), precision);
    let grads = continuous_logits(&rounded, &batch).square().mean().backward();
    let mut visitor = Gradients::<Autodiff<B>> { grads: &grads, values: Vec::new() };
    model.visit(&mut visitor);
    visitor.values
}

/// `‖a − b‖ / ‖b‖`.
fn relative_distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut b.iter().map(|b| f64::from(*b)))
}

struct HalfPrecision;

impl Check for HalfPrecision {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let documents = documents();
        let all: Vec<&EncodedDocument> = documents.iter().collect();
        let batch = DocReBatch::new(&all, &config.encoder, device);
        let logits = |model: &DocReModel<B>| -> Vec<f32> {
            continuous_logits(model, &batch).into_data().iter::<f32>().collect()
        };
        let exact = logits(model);
        for (precision, tolerance) in [(Precision::Bf16, 0.05), (Precision::F16, 0.01)] {
            if !precision.is_supported::<B>(device) {
                continue;
            }
            let rounded = with_precision(model.clone(), precision);
            let distance = relative_distance(&logits(&rounded), &exact);
            assert!(
                distance > 0.0 && distance < tolerance,
                "{precision}: the logits differ by {distance}"
            );
        }
        if Precision::Bf16.is_supported::<B>(device) {
            let model = common::seeded_model::<Autodiff<B>>(config, 5, device);
            let [rounded, exact] = [Precision::Bf16, Precision::F32]
                .map(|precision| gradients::<B>(&model, config, precision, device));
            let distance = relative_distance(&rounded, &exact);
            assert!(distance > 0.0 && distance < 0.1, "the gradients differ by {distance}");
        }
    }
}

#[test]
fn half_precision_stays_near_single_and_its_gradients_reach_the_master_weights() {
    run(HalfPrecision);
}

/// A visitor that counts the matrices of a data type.
struct Matrices {
    dtype: DType,
    n: usize,
}

impl<B: Backend> ModuleVisitor<B> for Matrices {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.n += usize::from(D == 2 && param.val().dtype() == self.dtype);
    }
}

struct RoundedEncoders;

impl Check for RoundedEncoders {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        if !Precision::Bf16.is_supported::<B>(device) {
            return;
        }
        let rounded = with_precision(model.clone(), Precision::Bf16);
        let mut matrices = Matrices { dtype: DType::BF16, n: 0 };
        rounded.visit_encoders(&mut matrices);
        let own = KeyClassifierConfig::OwnEncoder(common::SELECTION);
        let n_encoders = 1 + usize::from(config.system == common::kmgre(own));
        // Six linear layers in each of two layers.
        assert_eq!(matrices.n, n_encoders * 12, "{:?}", config.system);
    }
}

#[test]
fn every_encoder_has_the_precision_of_the_model() {
    run(RoundedEncoders);
}

/// The key mention pairs of documents in one batch and alone.
struct BatchedEvidence;

impl Check for BatchedEvidence {
    fn check<B: DocReBackend>(
        &self,
        config: &ModelConfig,
        model: &DocReModel<B>,
        device: &B::Device,
    ) {
        let evidence = |documents: &[&EncodedDocument]| -> Vec<f32> {
            let batch = DocReBatch::new(documents, &config.encoder, device);
            if batch.n_pairs() == 0 {
                return Vec::new();
            }
            match model.forward(&batch).evidence {
                Some(Evidence::KeyMentionPairs(is_key)) => {
                    is_key.into_data().iter::<f32>().collect()
                }
                other => {
                    assert!(model.kmgre().is_none() && other.is_none(), "{:?}", config.system);
                    Vec::new()
                }
            }
        };
        let documents = documents();
        let all: Vec<&EncodedDocument> = documents.iter().collect();
        let together = evidence(&all);
        let alone: Vec<f32> = all.iter().flat_map(|document| evidence(&[document])).collect();
        assert_eq!(together, alone, "{:?}", config.system);
        let keys = together.iter().filter(|is_key| **is_key == 1.0).count();
        let others = together.iter().filter(|is_key| **is_key == 0.0).count();
        assert_eq!(keys + others, together.len());
        if let Some(kmgre) = model.kmgre() {
            // The 38 pairs have at least one key mention pair each, and 72 mention pairs in all.
            assert_eq!(
                together.len(),
                documents.iter().map(EncodedDocument::n_mention_pairs).sum::<usize>()
            );
            assert!(keys >= 38 && (others > 0) == kmgre.key_selection().is_some(), "{keys}");
        }
    }
}

#[test]
fn the_key_mention_pairs_of_a_document_do_not_depend_on_its_batch() {
    run(BatchedEvidence);
}

/// Two entities of 150 mentions each: 45,000 mention pairs.
struct ManyMentions;

impl BackendTask for ManyMentions {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let kmgre = every_system().into_iter().filter(|s| matches!(s, SystemConfig::Kmgre(_)));
        for config in kmgre.map(config) {
            let mentions: Vec<usize> = (1..301).collect();
            let document = document(310, &[&mentions[..150], &mentions[150..]]);
            let batch = DocReBatch::<Autodiff<B>>::new(&[&document], &config.encoder, &device);
            let model = common::seeded_model::<Autodiff<B>>(&config, 3, &device);
            let parts = model.kmgre().expect("KMGRE");
            let logits = parts.forward_both(&batch, &batch.mention_pairs());
            assert_eq!(logits.relations.dims(), [45_000, config.n_classes]);
            let output = model.forward(&batch);
            assert!(output.logits.to_data().iter::<f32>().all(f32::is_finite));
            let key = logits.key.map_or(Tensor::zeros([1], &device), Tensor::sum);
            let grads = (output.logits.sum() + key).backward();
            let mut visitor = Gradients::<Autodiff<B>> { grads: &grads, values: Vec::new() };
            model.visit(&mut visitor);
            assert!(visitor.values.iter().all(|gradient| gradient.is_finite()));
            assert!(visitor.values.iter().any(|gradient| *gradient != 0.0));
        }
    }
}

#[test]
fn two_entities_of_150_mentions_pass_forward_and_backward() {
    dispatch(None, 0, ManyMentions).expect("a backend");
}

/// An encoder with an attention dropout of 0.5 and no other dropout.
struct AttentionDropout;

impl BackendTask for AttentionDropout {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let encoder: EncoderConfig = serde_json::from_value(serde_json::json!({
            "model_type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 4, "intermediate_size": 32, "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.5, "max_position_embeddings": 24,
            "type_vocab_size": 2, "layer_norm_eps": 1e-12
        }))
        .expect("a configuration");
        let document = document(20, &[&[1], &[4]]);
        // Burn draws a weight when it is first read: here, by the copy.
        let model =
            ops::seeded::<B, _>(3, &device, || encoder.init::<Autodiff<B>>(&device).fork(&device));

        let batch = DocReBatch::<B>::new(&[&document], &encoder, &device);
        let attention = model.valid().forward(&batch.tokens).attention;
        let evaluated = attention.into_data().convert::<f32>().into_vec::<f32>().expect("floats");
        let batch = DocReBatch::<Autodiff<B>>::new(&[&document], &encoder, &device);
        let attention = model.forward(&batch.tokens).attention;
        let trained = attention.into_data().convert::<f32>().into_vec::<f32>().expect("floats");

        // Dropout of 0.5 sets values to 0 and doubles the others.
        let is_dropped = |value: &&f32| **value == 0.0;
        assert_eq!(evaluated.iter().filter(is_dropped).count(), 0);
        let share = trained.iter().filter(is_dropped).count() as f64 / trained.len() as f64;
        assert!((0.4..0.6).contains(&share), "{share} of the attention is dropped");
        let is_doubled =
            |(trained, evaluated): &(&f32, &f32)| (**trained - 2.0 * **evaluated).abs() < 1e-5;
        let pairs = || trained.iter().zip(&evaluated).filter(|(trained, _)| **trained != 0.0);
        assert_eq!(pairs().filter(is_doubled).count(), pairs().count());
    }
}

#[test]
fn pooling_reads_the_attention_after_dropout() {
    dispatch(None, 0, AttentionDropout).expect("a backend");
}
