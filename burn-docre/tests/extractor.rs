//! [`Extractor`] with a small model of random weights.

#[allow(dead_code, reason = "the documents of the other tests are not needed here")]
mod common;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use burn_docre::{
    BackendKind, BackendTask, Device, DocReBackend, Document, Entity, EntityPair, Error,
    ExtractedRelation, Extractor, Mention, MentionPair, ModelBytes, PairSet, RelationFact,
    RelationVocab,
    batch::DocReBatch,
    data::relation::Relation,
    dispatch,
    inference::Inference,
    io::model_directory::{ModelDirectory, ModelSpec},
    mention_pair::KeySelection,
    model::{AtlopConfig, DocReModel, KeyClassifierConfig, ModelConfig, SystemConfig},
    text::{encoded::EncodedDocument, tokenizer::DocumentTokenizer},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const WORDS: [&str; 6] = ["Anna", "lives", "in", "Oslo", ".", "She"];

/// The configuration, tokenizer and relations of a model of five classes.
fn spec() -> ModelSpec {
    let relation = |id: &str| Relation { id: id.into(), name: format!("name of {id}") };
    ModelSpec {
        config: common::config(common::every_system()[0].clone()),
        tokenizer: DocumentTokenizer::word_level(WORDS).unwrap(),
        vocab: RelationVocab::new(["Na", "P1", "P2", "P3", "P4"].map(relation).to_vec()).unwrap(),
    }
}

/// Saves one random model in a directory for each set of classified pairs.
struct Save<'a>(&'a [(&'a Path, PairSet)]);

impl BackendTask for Save<'_> {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let mut spec = spec();
        let model = common::seeded_model::<B>(&spec.config, 7, &device);
        for &(directory, pair_set) in self.0 {
            spec.config.pair_set = pair_set;
            spec.save(directory, &model).unwrap();
        }
    }
}

fn model_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    dispatch(None, 0, Save(&[(directory.path(), PairSet::OffDiagonal)])).unwrap();
    directory
}

/// Saves and opens a random model of each system.
struct SaveAndOpen;

impl BackendTask for SaveAndOpen {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        for system in common::every_system() {
            let spec = ModelSpec { config: common::config(system), ..spec() };
            let model = common::seeded_model::<B>(&spec.config, 7, &device);
            let directory = tempfile::tempdir().unwrap();
            spec.save(directory.path(), &model).unwrap();
            let opened = ModelDirectory::open(directory.path()).unwrap();
            assert_eq!(opened.spec().config, spec.config);
            let opened = opened.model::<B>(&device).unwrap();
            let document = common::document(40, &[&[1, 30], &[20], &[5], &[33]]);
            let batch = DocReBatch::new(&[&document], &spec.config.encoder, &device);
            let logits = |model: &DocReModel<B>| model.forward(&batch).logits.into_data();
            assert_eq!(logits(&opened), logits(&model), "{:?}", spec.config.system);

            let extractor = Extractor::open(directory.path(), Device::default()).unwrap();
            extractor.extract(&random_documents(3, 5)).unwrap();
        }
    }
}

/// The key mention pairs that a model without a key classifier names: all of a pair.
fn all_mention_pairs(document: &Document, found: &ExtractedRelation) -> Vec<MentionPair> {
    let n_mentions = |entity: usize| document.entities[entity].mentions.len();
    let of_head = |head| (0..n_mentions(found.tail)).map(move |tail| MentionPair { head, tail });
    (0..n_mentions(found.head)).flat_map(of_head).collect()
}

/// The sentences that the mentions stand in, by the document before tokenization.
fn sentences(document: &Document, found: &ExtractedRelation) -> Vec<usize> {
    let sentence =
        |entity: usize, mention: usize| document.entities[entity].mentions[mention].sentence;
    let of_pair =
        |pair: &MentionPair| [sentence(found.head, pair.head), sentence(found.tail, pair.tail)];
    let sentences: BTreeSet<usize> = found.key_mention_pairs.iter().flat_map(of_pair).collect();
    sentences.into_iter().collect()
}

/// Extracts relations with random KMGRE models, and checks their evidence.
struct ExtractWithEvidence;

/// A selection that keeps only mention pairs far above the mean of their pair, whatever the level of
/// a random classifier's probabilities.
const NARROW: KeySelection = KeySelection { xi: 0.4, tau: 1.0 };

impl BackendTask for ExtractWithEvidence {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let documents = random_documents(9, 40);
        let classifiers = [
            KeyClassifierConfig::OwnEncoder(NARROW),
            KeyClassifierConfig::SharedEncoder(NARROW),
            KeyClassifierConfig::None {},
        ];
        for (classifier, pair_set) in classifiers.into_iter().flat_map(|c| {
            [PairSet::OffDiagonal, PairSet::All].map(|pair_set| (c.clone(), pair_set))
        }) {
            let selects = classifier.selection().is_some();
            let config = common::config(common::kmgre(classifier));
            let spec = ModelSpec { config: ModelConfig { pair_set, ..config }, ..spec() };
            let directory = tempfile::tempdir().unwrap();
            let model = common::seeded_model::<B>(&spec.config, 7, &device);
            spec.save(directory.path(), &model).unwrap();
            let extractor = Extractor::open(directory.path(), Device::default()).unwrap();
            let relations = extractor.extract(&documents).unwrap();
            let (mut n_found, mut n_narrowed) = (0, 0);
            for (document, found) in documents.iter().zip(&relations) {
                for found in found {
                    let all = all_mention_pairs(document, found);
                    assert!(!found.key_mention_pairs.is_empty(), "{found:?}");
                    assert!(found.key_mention_pairs.iter().all(|pair| all.contains(pair)));
                    assert_eq!(found.evidence, sentences(document, found), "{found:?}");
                    n_found += 1;
                    n_narrowed += usize::from(found.key_mention_pairs != all);
                }
            }
            assert!(n_found > 0, "no relation");
            assert_eq!(n_narrowed > 0, selects, "{n_narrowed} of {n_found}");
        }
    }
}

#[test]
fn kmgre_names_the_mention_pairs_and_the_sentences_of_every_relation() {
    dispatch(None, 0, ExtractWithEvidence).unwrap();
}

#[test]
fn a_model_of_every_system_is_the_same_after_saving_and_opening() {
    dispatch(None, 0, SaveAndOpen).unwrap();
}

fn extractor() -> Extractor {
    Extractor::open(model_directory().path(), Device::default()).unwrap()
}

/// A valid document with up to six entities and forty words.
fn random_document(rng: &mut ChaCha8Rng) -> Document {
    let sentences: Vec<Vec<String>> = (0..rng.random_range(1..5))
        .map(|_| {
            let n_words = rng.random_range(1..11);
            (0..n_words).map(|_| WORDS[rng.random_range(0..WORDS.len())].to_owned()).collect()
        })
        .collect();
    let mut entity = || {
        let mut mention = || {
            let sentence = rng.random_range(0..sentences.len());
            let start = rng.random_range(0..sentences[sentence].len());
            let end = rng.random_range(start + 1..=sentences[sentence].len());
            Mention { name: String::new(), sentence, start, end }
        };
        let mentions = vec![mention(), mention()];
        Entity { kind: String::new(), mentions }
    };
    let entities: Vec<Entity> = [(); 6].map(|()| entity()).into();
    let n_entities = rng.random_range(0..=entities.len());
    let facts = match n_entities {
        0 | 1 => Vec::new(),
        _ => vec![RelationFact {
            pair: EntityPair { head: 0, tail: 1 },
            relation: 1,
            evidence: vec![0],
        }],
    };
    let title = format!("{}", rng.random::<u32>());
    Document { title, sentences, entities: entities[..n_entities].to_vec(), facts }
}

fn random_documents(seed: u64, n: usize) -> Vec<Document> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| random_document(&mut rng)).collect()
}

/// Changes one detail of the document. Most changes make it invalid.
fn mutate(document: &mut Document, rng: &mut ChaCha8Rng) {
    let number = [0, 1, 2, 7, 1000, usize::MAX - 1, usize::MAX][rng.random_range(0..7)];
    let n_sentences = document.sentences.len().max(1);
    let sentence = rng.random_range(0..n_sentences);
    let entity = rng.random_range(0..document.entities.len().max(1));
    let mention = document.entities.get_mut(entity).and_then(|entity| entity.mentions.first_mut());
    match (rng.random_range(0..14), mention) {
        (0, Some(mention)) => mention.sentence = number,
        (1, Some(mention)) => mention.start = number,
        (2, Some(mention)) => mention.end = number,
        (3, Some(mention)) => std::mem::swap(&mut mention.start, &mut mention.end),
        (4, Some(_)) => document.entities[entity].mentions.clear(),
        (5, Some(_)) => document.entities[entity].mentions.truncate(1),
        (6, _) => document.sentences.clear(),
        (7, _) => document.sentences.iter_mut().skip(sentence).for_each(Vec::clear),
        (8, _) => document.sentences.iter_mut().flatten().for_each(String::clear),
        (9, _) => document.entities.push(Entity { kind: String::new(), mentions: Vec::new() }),
        (10, _) => document.facts.extend(document.facts.clone()),
        (11, _) => document.facts.iter_mut().for_each(|fact| fact.pair.head = number),
        (12, _) => document.facts.iter_mut().for_each(|fact| fact.relation = number),
        (13, _) => document.facts.iter_mut().for_each(|fact| fact.evidence.push(number)),
        _ => document.title.clear(),
    }
}

fn assert_valid(document: &Document, relations: &[ExtractedRelation]) {
    for found in relations {
        assert!(found.head != found.tail, "{found:?}");
        assert!(found.head.max(found.tail) < document.entities.len(), "{found:?}");
        assert!(found.score > 0.0 && found.score.is_finite() && found.threshold.is_finite());
        assert_eq!(found.id, format!("P{}", found.relation));
        assert_eq!(found.name, format!("name of {}", found.id));
    }
}

#[test]
fn invalid_documents_are_errors_and_valid_documents_give_valid_relations() {
    let (extractor, tokenizer) = (extractor(), spec().tokenizer);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut valid, mut n_invalid) = (Vec::new(), 0);
    for _ in 0..4000 {
        let mut document = random_document(&mut rng);
        for _ in 0..rng.random_range(0..3) {
            mutate(&mut document, &mut rng);
        }
        match (document.validate(), EncodedDocument::encode(&document, &tokenizer)) {
            (Ok(()), Ok(encoded)) => {
                encoded.validate().unwrap();
                assert_eq!(encoded.sentences.len(), document.sentences.len());
                valid.push(document);
            }
            (Err(error), Err(_)) => {
                assert!(matches!(error, Error::Document { .. }));
                let error = extractor.extract(std::slice::from_ref(&document)).unwrap_err();
                assert!(matches!(error, Error::Document { index: Some(0), .. }), "{error}");
                n_invalid += 1;
            }
            (validated, encoded) => panic!("{validated:?}, {encoded:?}: {document:?}"),
        }
    }
    assert!(n_invalid > 1000 && valid.len() > 1000, "{n_invalid} invalid, {} valid", valid.len());
    let relations = extractor.extract(&valid).unwrap();
    assert_eq!(relations.len(), valid.len());
    for (document, relations) in valid.iter().zip(&relations) {
        assert_valid(document, relations);
    }
    assert!(relations.iter().any(|relations| !relations.is_empty()));
}

#[test]
fn a_model_trained_on_self_relations_extracts_them_and_another_model_does_not() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [all, off_diagonal] = directories.each_ref().map(tempfile::TempDir::path);
    let saved = [(all, PairSet::All), (off_diagonal, PairSet::OffDiagonal)];
    dispatch(None, 0, Save(&saved)).unwrap();
    let [with_diagonal, without] =
        [all, off_diagonal].map(|directory| Extractor::open(directory, Device::default()).unwrap());
    let mut documents = random_documents(8, 40);
    let found = with_diagonal.extract(&documents).unwrap();
    let is_self = |found: &ExtractedRelation| found.head == found.tail;
    assert!(found.iter().flatten().any(is_self), "no self relation");
    let of_one_entity = documents.iter().zip(&found).filter(|(d, _)| d.entities.len() == 1);
    assert!(of_one_entity.flat_map(|(_, found)| found).all(is_self));

    // Both directories hold the same weights, so the other relations are equal.
    let off_diagonal = without.extract(&documents).unwrap();
    let others: Vec<Vec<_>> = found
        .iter()
        .map(|found| found.iter().filter(|f| !is_self(f)).map(|f| (f.head, f.tail, f.relation)))
        .map(Iterator::collect)
        .collect();
    let expected: Vec<Vec<_>> = off_diagonal
        .iter()
        .map(|found| found.iter().map(|f| (f.head, f.tail, f.relation)).collect())
        .collect();
    assert_eq!(others, expected);

    let labelled = documents.iter().position(|document| !document.facts.is_empty()).unwrap();
    documents[labelled].facts[0].pair = EntityPair { head: 0, tail: 0 };
    assert!(with_diagonal.extract(&documents).is_ok());
    let error = without.extract(&documents).unwrap_err().to_string();
    assert!(error.starts_with(&format!("document {labelled} ")), "{error}");
    assert!(error.contains("`self_relations`"), "{error}");
}

/// Extracts relations from a document in which every fifth entity has the same mention.
struct ExtractFromManyEntities(usize);

impl BackendTask for ExtractFromManyEntities {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let words = ["Anna", "lives", "in", "Oslo", "."].map(str::to_owned);
        let entity = |index: usize| {
            let start = index % words.len();
            let mention = Mention { name: String::new(), sentence: 0, start, end: start + 1 };
            Entity { kind: String::new(), mentions: vec![mention] }
        };
        let document = Document {
            title: "many".into(),
            sentences: vec![words.to_vec()],
            entities: (0..self.0).map(entity).collect(),
            facts: Vec::new(),
        };
        // ATLOP scores every pair by itself.
        let atlop = SystemConfig::Atlop(AtlopConfig { emb_size: 16, group_size: 4 });
        let spec = ModelSpec { config: common::config(atlop), ..spec() };
        let directory = tempfile::tempdir().unwrap();
        spec.save(directory.path(), &common::seeded_model::<B>(&spec.config, 7, &device)).unwrap();
        let extractor = Extractor::open(directory.path(), Device::default()).unwrap();
        let found = extractor.extract(std::slice::from_ref(&document)).unwrap().remove(0);
        assert_valid(&document, &found);
        let entities: BTreeSet<usize> = found.iter().flat_map(|f| [f.head, f.tail]).collect();
        assert_eq!(entities.len(), self.0);
        let key = |f: &ExtractedRelation| (f.head % 5, f.tail % 5, f.relation);
        let scores: HashMap<_, f32> = found.iter().map(|f| (key(f), f.score)).collect();
        for relation in &found {
            assert!((relation.score - scores[&key(relation)]).abs() < 1e-4, "{relation:?}");
        }
    }
}

#[test]
fn a_document_with_200_entities_has_relations_between_all_of_them() {
    dispatch(None, 0, ExtractFromManyEntities(200)).unwrap();
}

#[test]
fn concurrent_calls_give_the_relations_of_a_single_call() {
    let extractor = Arc::new(extractor());
    let corpora = [random_documents(2, 40), random_documents(3, 40)];
    let alone = corpora.each_ref().map(|documents| extractor.extract(documents).unwrap());
    let together: Vec<_> = corpora
        .into_iter()
        .cycle()
        .take(4)
        .map(|documents| {
            let extractor = Arc::clone(&extractor);
            thread::spawn(move || extractor.extract(&documents).unwrap())
        })
        .collect();
    for (thread, alone) in together.into_iter().zip(alone.iter().cycle()) {
        assert_eq!(&thread.join().unwrap(), alone);
    }
}

#[test]
fn an_invalid_document_is_an_error_with_its_index_and_does_not_affect_other_calls() {
    let extractor = extractor();
    let documents = random_documents(4, 9);
    let expected = extractor.extract(&documents).unwrap();
    let mut wrong = documents.clone();
    wrong[4].entities.push(Entity { kind: String::new(), mentions: Vec::new() });
    thread::scope(|scope| {
        let refused = scope.spawn(|| extractor.extract(&wrong).unwrap_err().to_string());
        assert_eq!(extractor.extract(&documents).unwrap(), expected);
        let error = refused.join().unwrap();
        assert!(error.starts_with("document 4") && error.ends_with("has no mentions"), "{error}");
    });
    assert_eq!(extractor.extract(&documents).unwrap(), expected);
}

#[test]
fn a_model_loaded_from_bytes_gives_the_relations_of_its_directory() {
    let directory = model_directory();
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    let (config, tokenizer) = (read("config.json"), read("tokenizer.json"));
    let (relations, weights) = (read("relations.json"), read("model.safetensors"));
    let files = ModelBytes {
        config: &config,
        tokenizer: &tokenizer,
        relations: &relations,
        weights: &weights,
    };
    let documents = random_documents(5, 5);
    let kind = BackendKind::compiled()[0];
    assert_eq!(
        Extractor::from_bytes(&files, kind).unwrap().extract(&documents).unwrap(),
        Extractor::open(directory.path(), kind).unwrap().extract(&documents).unwrap()
    );
    let cut = ModelBytes { weights: &weights[..weights.len() / 2], ..files };
    assert!(matches!(Extractor::from_bytes(&cut, kind), Err(Error::Format { .. })));
}

#[test]
fn a_missing_directory_or_device_is_an_error() {
    let missing = Extractor::open(Path::new("/nonexistent"), Device::default());
    assert!(matches!(missing, Err(Error::Io { .. })));
    let device = Device { number: 4711, ..Device::default() };
    let missing = Extractor::open(model_directory().path(), device);
    assert!(matches!(missing, Err(Error::Backend { .. })));
}

/// Counts the inference workers of this process, and the threads that they started, by name.
#[cfg(target_os = "linux")]
fn n_workers() -> usize {
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    // Linux truncates the name of a thread to 15 bytes.
    names.filter(|name| name.starts_with("inference worke")).count()
}

/// Drops an unfinished run, runs a clone to its end, and drops the inference.
struct DropInference;

impl BackendTask for DropInference {
    type Output = ();

    fn run<B: DocReBackend>(self, device: B::Device) {
        let spec = spec();
        let documents = random_documents(6, 30);
        let encoded: Vec<_> = documents
            .iter()
            .map(|document| EncodedDocument::encode(document, &spec.tokenizer).map(Arc::new))
            .map(Result::unwrap)
            .collect();
        let model = common::seeded_model::<B>(&spec.config, 7, &device);
        let inference = Inference::new(model, spec.config, device);
        let inputs = || encoded.iter().cloned().map(Ok::<_, Error>);
        let mut unfinished = inference.run(inputs());
        assert!(unfinished.next().unwrap().is_ok());
        drop(unfinished);
        assert_eq!(inference.clone().run(inputs()).count(), encoded.len());
        drop(inference);
    }
}

/// Runs in a process of its own, because the test counts the threads of its process.
#[test]
#[cfg(target_os = "linux")]
fn inference_workers_end_when_the_last_clone_is_dropped() {
    const IN_OWN_PROCESS: &str = "BURN_DOCRE_ALONE";
    if std::env::var_os(IN_OWN_PROCESS).is_some() {
        dispatch(None, 0, DropInference).unwrap();
        // The workers are joined. Threads of their thread pools can end a little later.
        let is_done = || {
            n_workers() == 0 || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        };
        assert!((0..500).any(|_| is_done()), "{} threads are left", n_workers());
        return;
    }
    let name = "inference_workers_end_when_the_last_clone_is_dropped";
    let alone = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(IN_OWN_PROCESS, "1")
        .output()
        .unwrap();
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
}
