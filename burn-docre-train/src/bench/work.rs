//! The work of a benchmark, the same for every backend: a model, and documents in fixed batches.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use burn_docre::{
    DocReBackend, EntityPair, PairSet,
    data::{
        docred::{DocRedReader, Labels, Skipped},
        document::{Document, Entity, Mention, RelationFact},
        relation::RelationVocab,
    },
    encoder::{EncoderConfig, EncoderFamily},
    inference::Inference,
    io::model_directory::{ModelDirectory, ModelSpec},
    mention_pair::KeySelection,
    model::{
        AtlopConfig, DecodingConfig, DocReModel, DocumentSize, KdDocreConfig, KeyClassifierConfig,
        KmgreConfig, ModelConfig, SystemConfig,
    },
    nn::{precision::Precision, rounding::with_precision},
    ops,
    pair::{PairMixerConfig, mixer::AxialStackConfig},
    text::{
        encoded::{EncodedDocument, encode_all},
        tokenizer::DocumentTokenizer,
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::{
    cli::{BenchArgs, BenchSystem, ReadingArgs},
    ui::Ui,
};

/// The seed of the synthetic documents and of the weights of the built-in model.
const SEED: u64 = 66;

/// The specification of the model, and the documents.
pub struct Work {
    /// The model's configuration, tokenizer and relations.
    pub spec: ModelSpec,
    /// The documents before tokenization.
    pub documents: Vec<Document>,
    /// The tokenized documents, in the same order.
    pub encoded: Vec<Arc<EncodedDocument>>,
    /// The number of documents per batch.
    pub batch_size: usize,
}

impl Work {
    /// Loads the model and documents of the command line. The defaults are the built-in model and
    /// synthetic documents. `ui` receives a note about skipped documents and mentions.
    ///
    /// # Errors
    /// If a file cannot be read, or no document has a pair of entities.
    pub fn load(ui: &Ui, args: &BenchArgs) -> Result<Self> {
        let vocabulary = vocabulary();
        let spec = match &args.model {
            Some(directory) => ModelDirectory::open(directory)?.into_spec(),
            None => minilm_size(&vocabulary, args.system)?,
        };
        let documents = match &args.input {
            Some(path) => {
                let (documents, skipped) = read(path, &args.reading, args.documents, &spec)?;
                ui.note_skipped(path, &skipped);
                documents
            }
            None => synthetic(args.documents, &vocabulary, spec.vocab.n_classes()),
        };
        let encoded = encode_all(&documents, &spec)
            .map(|document| Ok(Arc::new(document?)))
            .collect::<Result<_>>()?;
        Ok(Self { spec, documents, encoded, batch_size: args.batch_size })
    }

    /// Loads the model from `directory`, or draws its weights from a fixed seed.
    ///
    /// # Errors
    /// If a file of the directory is missing or damaged.
    pub fn model<B: DocReBackend>(
        &self,
        directory: Option<&Path>,
        device: &B::Device,
    ) -> Result<DocReModel<B>> {
        match directory {
            Some(directory) => Ok(ModelDirectory::open(directory)?.model(device)?),
            None => Ok(ops::seeded::<B, _>(SEED, device, || self.spec.config.init(device))),
        }
    }

    /// Loads the model for inference on as many documents at once as a batch has.
    ///
    /// # Errors
    /// If a file of the model directory is missing or damaged.
    pub fn inference<B: DocReBackend>(
        &self,
        model: Option<&Path>,
        precision: Precision,
        device: &B::Device,
    ) -> Result<Inference<B>> {
        let model = with_precision(self.model(model, device)?, precision);
        let inference = Inference::new(model, self.spec.config.clone(), device.clone());
        Ok(inference.with_documents_at_once(self.batch_size))
    }

    /// The tokenized documents, as the input of [`Inference::run`].
    pub fn encoded_documents(&self) -> impl Iterator<Item = Result<Arc<EncodedDocument>>> + '_ {
        self.encoded.iter().cloned().map(Ok)
    }

    /// The batches, in order.
    pub fn batches(&self) -> impl Iterator<Item = &[Arc<EncodedDocument>]> {
        self.encoded.chunks(self.batch_size)
    }

    /// The number of tokens of all documents.
    pub fn n_tokens(&self) -> usize {
        self.encoded.iter().map(|document| document.token_ids.len()).sum()
    }

    /// The number of classified pairs of all documents.
    pub fn n_pairs(&self) -> usize {
        self.encoded.iter().map(|document| document.n_pairs()).sum()
    }

    /// The floating-point operations of a forward pass over all documents.
    pub fn forward_flops(&self) -> u64 {
        let flops = |document: &Arc<EncodedDocument>| {
            self.spec.config.forward_flops(DocumentSize::of(document))
        };
        self.encoded.iter().map(flops).sum()
    }

    /// The floating-point operations of training on all documents: three forward passes.
    ///
    /// EM takes an E step and an M step. Each of them trains one part, which costs three of its
    /// forward passes, and needs a forward pass of the other part.
    pub fn training_flops(&self) -> u64 {
        let forward = self.forward_flops();
        match self.key_classifier() {
            Some(KeyClassifierConfig::OwnEncoder(_)) => 4 * forward,
            // A forward pass of the model runs the encoder once, one of each part runs it twice.
            Some(KeyClassifierConfig::SharedEncoder(_)) => 4 * (forward + self.encoder_flops()),
            Some(KeyClassifierConfig::None {}) | None => 3 * forward,
        }
    }

    /// The floating-point operations of a forward pass of the encoder over all documents.
    fn encoder_flops(&self) -> u64 {
        let encoder = &self.spec.config.encoder;
        self.encoded.iter().map(|document| encoder.forward_flops(document.token_ids.len())).sum()
    }

    /// The selection of key mention pairs by the model's key classifier, which EM trains; `None` if
    /// the model has none.
    pub fn key_selection(&self) -> Option<KeySelection> {
        self.key_classifier().and_then(KeyClassifierConfig::selection)
    }

    fn key_classifier(&self) -> Option<&KeyClassifierConfig> {
        match &self.spec.config.system {
            SystemConfig::Kmgre(kmgre) => Some(&kmgre.key_classifier),
            SystemConfig::KdDocre(_) | SystemConfig::Atlop(_) => None,
        }
    }

    /// The batches as JSON for a program in another language, such as `tools/peer`.
    ///
    /// # Errors
    /// If the model classifies self relations.
    pub fn to_json(&self) -> Result<String> {
        ensure!(
            self.spec.config.pair_set == PairSet::OffDiagonal,
            "programs in other languages classify no self relations; give a model without \
             `self_relations`"
        );
        let batches: Vec<Vec<_>> = self
            .batches()
            .map(|batch| batch.iter().map(|document| to_json(document)).collect())
            .collect();
        let work = json!({ "batch_size": self.batch_size, "forward_flops": self.forward_flops(),
                           "batches": batches });
        Ok(work.to_string())
    }
}

fn to_json(document: &EncodedDocument) -> serde_json::Value {
    let labels: Vec<[usize; 3]> =
        document.facts.iter().map(|fact| [fact.pair.head, fact.pair.tail, fact.relation]).collect();
    json!({ "token_ids": document.token_ids, "mentions": document.mentions,
            "n_entities": document.n_entities(), "labels": labels })
}

/// Reads the first `n` documents with pairs that the model classifies. Returns also what is skipped
/// before the last of them.
fn read(
    path: &Path,
    reading: &ReadingArgs,
    n: usize,
    spec: &ModelSpec,
) -> Result<(Vec<Document>, Skipped)> {
    let mut documents = Vec::new();
    let pair_set = spec.config.pair_set;
    let &ReadingArgs { on_invalid, hacred_view } = reading;
    let reader = DocRedReader::open(path, Labels::Resolve(&spec.vocab))?;
    let reader = reader.on_invalid(on_invalid).with_hacred_view(hacred_view);
    let mut reader = reader.with_pair_set(pair_set);
    for document in reader.by_ref() {
        let document = document?;
        if pair_set.n_pairs(document.entities.len()) > 0 {
            documents.push(document);
        }
        if documents.len() == n {
            break;
        }
    }
    ensure!(
        !documents.is_empty(),
        "{}: no document has a pair of entities; give other documents",
        path.display()
    );
    Ok((documents, reader.skipped().clone()))
}

/// The words of the synthetic documents.
fn vocabulary() -> Vec<String> {
    (0..30_517).map(|word| format!("w{word}")).collect()
}

/// The built-in model: `system` on an encoder as large as that of `configs/redocred-minilm.toml`,
/// with a tokenizer for the words of `vocabulary`.
fn minilm_size(vocabulary: &[String], system: BenchSystem) -> Result<ModelSpec> {
    let tokenizer = DocumentTokenizer::word_level(vocabulary.iter().map(String::as_str))?;
    let vocab = RelationVocab::docred();
    let config = ModelConfig {
        encoder: EncoderConfig {
            model_type: EncoderFamily::Bert,
            vocab_size: tokenizer.vocab_size(),
            hidden_size: 384,
            num_hidden_layers: 6,
            num_attention_heads: 12,
            intermediate_size: 1536,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            max_position_embeddings: 512,
            max_window: None,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            hidden_act: "gelu".into(),
            position_embedding_type: "absolute".into(),
        },
        system: system_config(system),
        n_classes: vocab.n_classes(),
        decoding: DecodingConfig::default(),
        pair_set: PairSet::OffDiagonal,
    };
    config.validate().context("the built-in model is invalid")?;
    Ok(ModelSpec { config, tokenizer, vocab })
}

/// KD-DocRE and ATLOP with the sizes of `configs/redocred-minilm.toml`; KMGRE with the paper's key
/// classifier.
fn system_config(system: BenchSystem) -> SystemConfig {
    let (emb_size, group_size) = (768, 64);
    match system {
        BenchSystem::KdDocre => SystemConfig::KdDocre(KdDocreConfig {
            emb_size,
            group_size,
            mixer: PairMixerConfig::AxialStack(AxialStackConfig {
                layers: 6,
                heads: 8,
                pad_to: None,
            }),
        }),
        BenchSystem::Atlop => SystemConfig::Atlop(AtlopConfig { emb_size, group_size }),
        BenchSystem::Kmgre => {
            let selection = KeySelection { xi: 0.15, tau: 0.5 };
            let key_classifier = KeyClassifierConfig::OwnEncoder(selection);
            SystemConfig::Kmgre(KmgreConfig { key_classifier })
        }
    }
}

/// Documents of random words with the average sizes of DocRED's annotated documents (Yao et al.
/// 2019, table 1): 8 sentences, 198 words, 19.5 entities, 26 mentions, 12.5 facts.
fn synthetic(n: usize, vocabulary: &[String], n_classes: usize) -> Vec<Document> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    (0..n).map(|index| synthetic_document(index, vocabulary, n_classes, &mut random)).collect()
}

fn synthetic_document(
    index: usize,
    vocabulary: &[String],
    n_classes: usize,
    random: &mut ChaCha8Rng,
) -> Document {
    let sentences: Vec<Vec<String>> = (0..random.random_range(5..=11))
        .map(|_| {
            let n_words = random.random_range(13..=36);
            (0..n_words)
                .map(|_| vocabulary[random.random_range(0..vocabulary.len())].clone())
                .collect()
        })
        .collect();
    let entities: Vec<Entity> = (0..random.random_range(8..=31))
        .map(|_| {
            let mut mentions = vec![mention(&sentences, random)];
            while random.random_bool(0.25) {
                mentions.push(mention(&sentences, random));
            }
            Entity { kind: "MISC".into(), mentions }
        })
        .collect();
    let facts = (0..random.random_range(5..=20))
        .map(|_| {
            let head = random.random_range(0..entities.len());
            let tail = (head + random.random_range(1..entities.len())) % entities.len();
            let relation = random.random_range(1..n_classes);
            RelationFact { pair: EntityPair { head, tail }, relation, evidence: Vec::new() }
        })
        .collect();
    Document { title: format!("synthetic {index}"), sentences, entities, facts }
}

fn mention(sentences: &[Vec<String>], random: &mut ChaCha8Rng) -> Mention {
    let sentence = random.random_range(0..sentences.len());
    let start = random.random_range(0..sentences[sentence].len());
    let end = (start + random.random_range(1..=2)).min(sentences[sentence].len());
    Mention { name: sentences[sentence][start..end].join(" "), sentence, start, end }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_synthetic_documents_have_docreds_average_sizes() {
        let documents = synthetic(2000, &vocabulary(), 97);
        let mean = |count: fn(&Document) -> usize| {
            documents.iter().map(count).sum::<usize>() as f64 / documents.len() as f64
        };
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.04;
        assert!(near(mean(|d| d.sentences.len()), 8.0));
        assert!(near(mean(|d| d.sentences.iter().map(Vec::len).sum()), 198.0));
        assert!(near(mean(|d| d.entities.len()), 19.5));
        assert!(near(mean(|d| d.entities.iter().map(|e| e.mentions.len()).sum()), 26.2));
        assert!(near(mean(|d| d.facts.len()), 12.5));
    }

    /// Three synthetic documents, and KMGRE with this key classifier.
    fn kmgre(key_classifier: KeyClassifierConfig) -> Work {
        let words = vocabulary();
        let mut spec = minilm_size(&words, BenchSystem::Kmgre).unwrap();
        spec.config.system = SystemConfig::Kmgre(KmgreConfig { key_classifier });
        let documents = synthetic(3, &words, spec.vocab.n_classes());
        let encoded = encode_all(&documents, &spec).map(|document| Arc::new(document.unwrap()));
        Work { encoded: encoded.collect(), spec, documents, batch_size: 2 }
    }

    #[test]
    fn the_flops_of_em_are_those_of_an_e_step_and_an_m_step() {
        let selection = KeySelection { xi: 0.15, tau: 0.5 };
        let own = kmgre(KeyClassifierConfig::OwnEncoder(selection));
        let shared = kmgre(KeyClassifierConfig::SharedEncoder(selection));
        let without = kmgre(KeyClassifierConfig::None {});
        let extractor = without.forward_flops();
        let classifier = own.forward_flops() - extractor;
        let (e_step, m_step) = (extractor + 3 * classifier, 3 * extractor + classifier);
        assert!(classifier > 0 && classifier < extractor);
        assert_eq!(own.training_flops(), e_step + m_step);
        assert_eq!(shared.training_flops(), e_step + m_step);
        assert_eq!(without.training_flops(), 3 * extractor);
    }

    #[test]
    fn every_system_has_a_built_in_model_of_its_name() {
        for system in BenchSystem::value_variants() {
            assert_eq!(system_config(*system).kind(), system.name());
        }
    }

    #[test]
    fn the_synthetic_documents_are_reproducible() {
        let words = vocabulary();
        assert_eq!(synthetic(3, &words, 97), synthetic(3, &words, 97));
    }
}
