//! The documents of a run, and the configuration, tokenizer and relations of its models.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use burn_docre::{
    PairSet,
    data::{
        corpora::HacRedView,
        docred::{DocRedReader, Labels, OnInvalid, write_documents},
        document::Document,
        relation::RelationVocab,
        synthetic::SyntheticCorpus,
    },
    eval::Scorer,
    io::{
        atomic_file::write_atomically, model_directory::ModelSpec, pretrained::PretrainedEncoder,
    },
    model::ModelConfig,
    text::{
        encoded::{EncodedDocument, encode_all},
        tokenizer::DocumentTokenizer,
    },
};

use crate::{
    config::{Corpus, DataConfig, EncoderSource, RunConfig},
    run::files,
    ui::{Ui, signals::StopFlag},
};

/// The encoded documents of a run, and the specification of its models.
pub struct Corpora {
    /// The configuration, tokenizer and relations of the run's models.
    pub model_spec: ModelSpec,
    /// The human-annotated documents.
    pub train: Vec<Arc<EncodedDocument>>,
    /// The dev documents.
    pub dev: Vec<Arc<EncodedDocument>>,
    /// The scorer of predictions on the dev documents.
    pub scorer: Arc<Scorer>,
    /// The distantly labelled documents; may be empty if no stage needs them.
    pub distant: Vec<Arc<EncodedDocument>>,
}

/// The number of documents and labels of a corpus that should have labels.
#[derive(Default)]
pub struct LabelCounts {
    n_documents: usize,
    n_facts: usize,
}

impl LabelCounts {
    /// Counts a document.
    pub fn add(&mut self, document: &Document) {
        self.n_documents += 1;
        self.n_facts += document.facts.len();
    }

    /// Checks that the corpus at `path` has labels. `note` receives a message if `n_unlabelled`
    /// documents lack the key `labels`.
    ///
    /// # Errors
    /// If there are documents, but none has a label.
    pub fn check(self, path: &Path, n_unlabelled: usize, note: impl FnOnce(&str)) -> Result<()> {
        let path = path.display();
        if self.n_documents == 0 {
            return Ok(());
        }
        ensure!(self.n_facts > 0, "{path}: no document has a label; the key is `labels`");
        if n_unlabelled > 0 {
            note(&format!(
                "{path}: {n_unlabelled} of {} documents have no `labels`; they count as documents \
                 without relations",
                self.n_documents
            ));
        }
        Ok(())
    }
}

/// The dev documents of a run with its relations, and the scorer of predictions for them.
pub struct DevCorpus {
    /// The documents.
    pub documents: Vec<Document>,
    /// The relations.
    pub vocab: RelationVocab,
    /// The scorer, with the training documents for Ign F1 and the frequent relations.
    pub scorer: Scorer,
}

impl DevCorpus {
    /// Reads the dev and training documents.
    ///
    /// # Errors
    /// If a file cannot be read, or there are no dev documents.
    pub fn load(data: &DataConfig, ui: &Ui, stop: &StopFlag) -> Result<Self> {
        let data = DataConfig { distant: None, ..data.clone() };
        let Documents { vocab, train, dev, .. } = Documents::load(&data, false, ui, stop)?;
        ensure!(!dev.is_empty(), "there are no dev documents; check `data.dev`");
        let scorer = Scorer::new(&dev, &train)?;
        Ok(Self { documents: dev, vocab, scorer })
    }
}

/// The documents before tokenization.
struct Documents {
    vocab: RelationVocab,
    train: Vec<Document>,
    dev: Vec<Document>,
    distant: Vec<Document>,
}

impl Corpora {
    /// Reads and encodes the training and dev documents, and the other corpora that `needed` names.
    ///
    /// # Errors
    /// If a file cannot be read, or a needed corpus has no documents.
    pub fn load(config: &RunConfig, needed: &[Corpus], ui: &Ui, stop: &StopFlag) -> Result<Self> {
        let needs_distant = needed.contains(&Corpus::Distant);
        let mut data = config.data.clone();
        // An encoder from scratch has a vocabulary over all documents, so that it is the same in
        // every stage.
        if !needs_distant && !matches!(config.encoder, EncoderSource::Scratch(_)) {
            data.distant = None;
        }
        let documents = Documents::load(&data, config.learns_distant_labels(), ui, stop)?;
        documents.note_overlaps(ui);
        let model_spec = model_spec(config, &documents)?;
        let encode =
            |what: &str, documents: &[Document]| encode(what, documents, &model_spec, ui, stop);
        let train = encode("train", &documents.train)?;
        let dev = encode("dev", &documents.dev)?;
        let distant = encode("distant", &documents.distant)?;
        ui.note(&format!(
            "{} training, {} dev and {} distant documents, {} relations",
            train.len(),
            dev.len(),
            distant.len(),
            model_spec.vocab.n_classes() - 1
        ));
        ensure!(
            !needs_distant || !distant.is_empty(),
            "there are no distant documents; give `data.distant`"
        );
        let scorer = Arc::new(Scorer::new(&documents.dev, &documents.train)?);
        Ok(Self { train, dev, scorer, distant, model_spec })
    }

    /// The documents of a corpus.
    pub fn documents(&self, corpus: Corpus) -> &[Arc<EncodedDocument>] {
        match corpus {
            Corpus::Train => &self.train,
            Corpus::Distant => &self.distant,
        }
    }
}

impl Documents {
    /// Reads the documents. `learns_distant_labels` is true if a stage trains on the labels of the
    /// distant documents.
    fn load(
        data: &DataConfig,
        learns_distant_labels: bool,
        ui: &Ui,
        stop: &StopFlag,
    ) -> Result<Self> {
        if let Some(synthetic) = &data.synthetic {
            let SyntheticCorpus { train, dev, distant, vocab } =
                SyntheticCorpus::generate(synthetic);
            return Ok(Self { vocab, train, dev, distant });
        }
        let relations = data.relations.as_deref().context("`data.relations` is missing")?;
        let (names, threshold) = (&data.relation_names, &data.threshold_class);
        let vocab = RelationVocab::from_rel2id(relations, names.as_deref(), threshold.as_deref())?;
        let reading = Reading {
            vocab: &vocab,
            pair_set: data.pair_set,
            on_invalid: data.on_invalid,
            hacred_view: data.hacred_view,
            ui,
            stop,
        };
        let (train, dev) = (reading.read(&data.train, true)?, reading.read(&data.dev, true)?);
        let distant = reading.read(&data.distant, learns_distant_labels)?;
        Ok(Self { vocab, train, dev, distant })
    }

    /// Writes a note if dev documents are also training documents.
    fn note_overlaps(&self, ui: &Ui) {
        for (name, corpus) in [("train", &self.train), ("distant", &self.distant)] {
            if let Some(overlap) = overlap(corpus, &self.dev) {
                ui.note(&format!("`data.{name}` and `data.dev` share {overlap}"));
            }
        }
    }
}

/// Describes the dev documents whose text is also in `corpus`; `None` if there are none.
fn overlap(corpus: &[Document], dev: &[Document]) -> Option<String> {
    let texts: HashSet<_> = corpus.iter().map(|document| &document.sentences).collect();
    let mut shared = dev.iter().filter(|document| texts.contains(&document.sentences));
    let first = &shared.next()?.title;
    Some(format!(
        "{} documents, the first is {first:?}; the dev scores are too high",
        shared.count() + 1
    ))
}

/// Writes the documents of a synthetic run into `directory`, for `docre label`, `docre predict` and
/// `docre evaluate`. Existing files are kept.
///
/// # Errors
/// If a file cannot be written.
pub fn write_synthetic(config: &RunConfig, directory: &Path) -> Result<()> {
    let Some(synthetic) = &config.data.synthetic else { return Ok(()) };
    let SyntheticCorpus { train, dev, distant, vocab } = SyntheticCorpus::generate(synthetic);
    files::create_directory(directory)?;
    for (name, documents) in [("train", train), ("dev", dev), ("distant", distant)] {
        let path = directory.join(name).with_extension("json");
        if !path.exists() {
            write_atomically(&path, |out| write_documents(out, &documents, &vocab))?;
        }
    }
    Ok(())
}

/// The settings of the reader of a run's documents.
struct Reading<'a> {
    vocab: &'a RelationVocab,
    pair_set: PairSet,
    on_invalid: OnInvalid,
    hacred_view: Option<HacRedView>,
    ui: &'a Ui,
    stop: &'a StopFlag,
}

impl Reading<'_> {
    /// Reads a corpus; one without a path is empty.
    fn read(&self, path: &Option<PathBuf>, needs_labels: bool) -> Result<Vec<Document>> {
        let Some(path) = path else { return Ok(Vec::new()) };
        let mut task = self.ui.task(&format!("reading {}", path.display()), None);
        let (mut documents, mut counts) = (Vec::new(), LabelCounts::default());
        let reader = DocRedReader::open(path, Labels::Resolve(self.vocab))?;
        let reader = reader.with_hacred_view(self.hacred_view);
        let mut reader = reader.with_pair_set(self.pair_set).on_invalid(self.on_invalid);
        for document in reader.by_ref() {
            let document = document?;
            counts.add(&document);
            documents.push(document);
            task.advance(1);
            self.stop.check()?;
        }
        drop(task);
        self.ui.note_skipped(path, reader.skipped());
        if needs_labels {
            counts.check(path, reader.n_unlabelled(), |message| self.ui.note(message))?;
        }
        Ok(documents)
    }
}

/// Encodes documents and checks that their relations are classes of the model.
fn encode(
    what: &str,
    documents: &[Document],
    spec: &ModelSpec,
    ui: &Ui,
    stop: &StopFlag,
) -> Result<Vec<Arc<EncodedDocument>>> {
    let mut task = ui.task(&format!("tokenizing {what} documents"), Some(documents.len()));
    let mut encoded = Vec::with_capacity(documents.len());
    for (index, document) in encode_all(documents, spec).enumerate() {
        let document = document?;
        let n_classes = spec.vocab.n_classes();
        document.validate_relations(n_classes).map_err(|error| error.at_index(index))?;
        encoded.push(Arc::new(document));
        task.advance(1);
        stop.check()?;
    }
    Ok(encoded)
}

/// The configuration, tokenizer and relations of the run's models.
fn model_spec(config: &RunConfig, documents: &Documents) -> Result<ModelSpec> {
    let (encoder, tokenizer) = match &config.encoder {
        EncoderSource::Pretrained(directory) => {
            let PretrainedEncoder { config, tokenizer } = PretrainedEncoder::open(directory)?;
            (config, tokenizer)
        }
        EncoderSource::Scratch(scratch) => {
            let corpora = documents.train.iter().chain(&documents.distant);
            let words: BTreeSet<&str> = corpora
                .flat_map(|document| document.sentences.iter().flatten())
                .map(String::as_str)
                .collect();
            let tokenizer = DocumentTokenizer::word_level(words)?;
            (scratch.encoder(tokenizer.vocab_size()), tokenizer)
        }
    };
    ensure!(!documents.train.is_empty(), "there are no training documents; check `data.train`");
    ensure!(!documents.dev.is_empty(), "there are no dev documents; check `data.dev`");
    let vocab = documents.vocab.clone();
    let config = ModelConfig {
        encoder,
        system: config.model.clone(),
        n_classes: vocab.n_classes(),
        decoding: config.decoding.clone(),
        pair_set: config.data.pair_set,
    };
    config.validate()?;
    Ok(ModelSpec { config, tokenizer, vocab })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(title: &str, words: &[&str]) -> Document {
        let sentences = vec![words.iter().map(|word| word.to_string()).collect()];
        Document { title: title.into(), sentences, entities: Vec::new(), facts: Vec::new() }
    }

    #[test]
    fn documents_are_shared_if_their_words_are_equal_whatever_their_titles() {
        let train = [document("a", &["x", "y"]), document("b", &["z"])];
        assert_eq!(overlap(&train, &[document("a", &["x", "z"])]), None);
        assert_eq!(overlap(&train, &[document("a", &["x y"])]), None);
        let dev = [document("c", &["w"]), document("d", &["z"]), document("e", &["x", "y"])];
        let message = overlap(&train, &dev).unwrap();
        assert!(message.starts_with("2 documents, the first is \"d\""), "{message}");
    }

    #[test]
    fn a_corpus_with_documents_needs_a_label_and_documents_without_the_key_are_noted() {
        let path = Path::new("dev.json");
        let check = |n_documents, n_facts, n_unlabelled| {
            let mut notes = Vec::new();
            let counts = LabelCounts { n_documents, n_facts };
            counts.check(path, n_unlabelled, |note| notes.push(note.to_owned())).map(|()| notes)
        };
        assert!(check(0, 0, 0).unwrap().is_empty());
        assert!(check(2, 1, 0).unwrap().is_empty());
        assert!(check(2, 1, 1).unwrap()[0].starts_with("dev.json: 1 of 2 documents"));
        for n_unlabelled in [0, 2] {
            let error = check(2, 0, n_unlabelled).unwrap_err().to_string();
            assert!(error.starts_with("dev.json: no document has a label"), "{error}");
        }
    }
}
