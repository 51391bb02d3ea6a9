//! The documents of a run, and the configuration, tokenizer and relations of its models.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use burn_docre::{
    PairSet,
    data::{
        docred::{DocRedReader, Labels, write_documents},
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
        let documents = Documents::load(&data, ui, stop)?;
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
    fn load(data: &DataConfig, ui: &Ui, stop: &StopFlag) -> Result<Self> {
        if let Some(synthetic) = &data.synthetic {
            let SyntheticCorpus { train, dev, distant, vocab } =
                SyntheticCorpus::generate(synthetic);
            return Ok(Self { vocab, train, dev, distant });
        }
        let relations = data.relations.as_deref().context("`data.relations` is missing")?;
        let vocab = RelationVocab::from_rel2id(relations, data.relation_names.as_deref())?;
        let read = |path: &Option<PathBuf>| match path {
            Some(path) => read(path, &vocab, data.pair_set, ui, stop),
            None => Ok(Vec::new()),
        };
        let (train, dev, distant) = (read(&data.train)?, read(&data.dev)?, read(&data.distant)?);
        Ok(Self { vocab, train, dev, distant })
    }
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

fn read(
    path: &Path,
    vocab: &RelationVocab,
    pair_set: PairSet,
    ui: &Ui,
    stop: &StopFlag,
) -> Result<Vec<Document>> {
    let mut task = ui.task(&format!("reading {}", path.display()), None);
    let mut documents = Vec::new();
    let reader = DocRedReader::open(path, Labels::Resolve(vocab))?;
    for document in reader.with_pair_set(pair_set) {
        documents.push(document?);
        task.advance(1);
        stop.check()?;
    }
    Ok(documents)
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
