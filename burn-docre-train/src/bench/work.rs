//! The work that every backend gets: documents, a model, and batches of fixed composition.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use burn_docre::{
    DocReBackend,
    data::{
        docred::{DocRedReader, Labels},
        document::{Document, Entity, EntityPair, Mention, RelationFact},
        relation::RelationVocab,
    },
    encoder::{EncoderConfig, EncoderFamily},
    inference::Inference,
    io::{
        atomic_file::write_atomically,
        model_directory::{ModelDirectory, ModelSpec},
    },
    model::{DecodingConfig, DocReModel, DocumentSize, KdDocreConfig, ModelConfig, SystemConfig},
    nn::rounding::with_precision,
    pair::{PairMixerConfig, mixer::AxialStackConfig},
    text::{
        encoded::{EncodedDocument, encode_all},
        tokenizer::DocumentTokenizer,
    },
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::cli::BenchArgs;

/// Seeds the synthetic documents and the weights of a model that is not read from a directory.
const SEED: u64 = 66;

/// The model and the documents that are measured.
pub struct Work {
    /// The model's configuration, tokenizer and relations.
    pub parts: ModelSpec,
    /// The documents as they were read.
    pub documents: Vec<Document>,
    /// The same, tokenized.
    pub encoded: Vec<Arc<EncodedDocument>>,
    /// Documents a batch.
    pub batch_size: usize,
}

impl Work {
    /// The model and documents that the command line names, or those of DocRED's size.
    pub fn load(args: &BenchArgs) -> Result<Self> {
        let vocabulary = vocabulary();
        let parts = match &args.model {
            Some(directory) => ModelDirectory::open(directory)?.into_spec(),
            None => minilm_size(&vocabulary)?,
        };
        let documents = match &args.input {
            Some(path) => read(path, args.documents, &parts.vocab)?,
            None => synthetic(args.documents, &vocabulary, parts.vocab.n_classes()),
        };
        let encoded = encode_all(&documents, &parts.tokenizer)
            .map(|document| Ok(Arc::new(document?)))
            .collect::<Result<_>>()?;
        Ok(Self { parts, documents, encoded, batch_size: args.batch_size })
    }

    /// The model, from its directory or drawn from a fixed seed.
    pub fn model<B: DocReBackend>(
        &self,
        directory: Option<&Path>,
        device: &B::Device,
    ) -> Result<DocReModel<B>> {
        match directory {
            Some(directory) => Ok(ModelDirectory::open(directory)?.model(device)?),
            None => {
                B::seed(device, SEED);
                Ok(self.parts.config.init(device))
            }
        }
    }

    /// The model for inference, with as many documents in work as a batch has.
    pub fn inference<B: DocReBackend>(
        &self,
        args: &BenchArgs,
        device: &B::Device,
    ) -> Result<Inference<B>> {
        let model = with_precision(self.model(args.model.as_deref(), device)?, args.precision);
        let inference = Inference::new(model, self.parts.config.clone(), device.clone());
        Ok(inference.with_documents_at_once(self.batch_size))
    }

    /// The tokenized documents, as inference takes them.
    pub fn encoded_documents(&self) -> impl Iterator<Item = Result<Arc<EncodedDocument>>> + '_ {
        self.encoded.iter().cloned().map(Ok)
    }

    /// The batches in their order.
    pub fn batches(&self) -> impl Iterator<Item = &[Arc<EncodedDocument>]> {
        self.encoded.chunks(self.batch_size)
    }

    /// Tokens of all documents.
    pub fn n_tokens(&self) -> usize {
        self.encoded.iter().map(|document| document.token_ids.len()).sum()
    }

    /// Classified pairs of all documents.
    pub fn n_pairs(&self) -> usize {
        self.encoded.iter().map(|document| document.n_pairs()).sum()
    }

    /// Operations of a forward pass over all documents.
    pub fn forward_flops(&self) -> u64 {
        let flops = |document: &Arc<EncodedDocument>| {
            let (n_tokens, n_entities) = (document.token_ids.len(), document.n_entities());
            self.parts.config.forward_flops(DocumentSize { n_tokens, n_entities })
        };
        self.encoded.iter().map(flops).sum()
    }

    /// Writes the batches for a program in another language (`tools/peer`).
    pub fn dump(&self, path: &Path) -> Result<()> {
        let batches: Vec<Vec<_>> = self
            .batches()
            .map(|batch| batch.iter().map(|document| in_json(document)).collect())
            .collect();
        let text = json!({ "batch_size": self.batch_size, "forward_flops": self.forward_flops(),
                           "batches": batches })
        .to_string();
        Ok(write_atomically(path, |out| std::io::Write::write_all(out, text.as_bytes()))?)
    }
}

fn in_json(document: &EncodedDocument) -> serde_json::Value {
    let labels: Vec<[usize; 3]> =
        document.facts.iter().map(|fact| [fact.pair.head, fact.pair.tail, fact.relation]).collect();
    json!({ "token_ids": document.token_ids, "mentions": document.mentions,
            "n_entities": document.n_entities(), "labels": labels })
}

/// The first `n` documents of a file that have a pair.
fn read(path: &Path, n: usize, vocab: &RelationVocab) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for document in DocRedReader::open(path, Labels::Resolve(vocab))? {
        let document = document?;
        if document.entities.len() > 1 {
            documents.push(document);
        }
        if documents.len() == n {
            break;
        }
    }
    ensure!(!documents.is_empty(), "{}: no document has two entities", path.display());
    Ok(documents)
}

fn vocabulary() -> Vec<String> {
    (0..30_517).map(|word| format!("w{word}")).collect()
}

/// A model of the size of `configs/redocred-minilm.toml`, for words of `vocabulary`.
fn minilm_size(vocabulary: &[String]) -> Result<ModelSpec> {
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
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            hidden_act: "gelu".into(),
            position_embedding_type: "absolute".into(),
        },
        system: SystemConfig::KdDocre(KdDocreConfig {
            emb_size: 768,
            group_size: 64,
            mixer: PairMixerConfig::AxialStack(AxialStackConfig { layers: 6, heads: 8 }),
        }),
        n_classes: vocab.n_classes(),
        decoding: DecodingConfig::default(),
    };
    config.validate().context("the built-in model")?;
    Ok(ModelSpec { config, tokenizer, vocab })
}

/// Documents of random words with the average sizes of DocRED's annotated ones (Yao et al. 2019, table 1): 8 sentences,
/// 198 words, 19.5 entities, 26 mentions, 12.5 facts.
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

    #[test]
    fn the_synthetic_documents_are_the_same_every_time() {
        let words = vocabulary();
        assert_eq!(synthetic(3, &words, 97), synthetic(3, &words, 97));
    }
}
