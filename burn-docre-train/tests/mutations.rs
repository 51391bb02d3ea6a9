//! Mutated inputs: every reader ends in a value or an error, within a second of processor time and
//! bounded memory, and without a panic.
//!
//! The mutations are seeded. The variable `DOCRE_MUTATIONS` is the number of inputs of each test,
//! and `DOCRE_MUTATION_SEED` the seed of the generator. A failure names the seed, the index of the
//! input, and a file with the input.

#![cfg(unix)]
#![expect(clippy::print_stderr, reason = "the long run reports its figures")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod common;
#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/mutator.rs"]
mod mutator;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    env, fs,
    io::{Cursor, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use burn_docre::{
    BackendTask, DocReBackend, ModelBytes, RelationVocab,
    data::{
        docred::{DocRedReader, Labels, OnInvalid},
        submission::read_submission,
    },
    dispatch,
    eval::{PredictionSet, Scorer},
    io::{
        model_directory::ModelDirectory, pretrained::PretrainedEncoder,
        published::PublishedCheckpoint, weights::WeightFile,
    },
    text::{encoded::EncodedDocument, tokenizer::DocumentTokenizer},
};
use burn_docre_train::config::RunConfig;
use common::{Sandbox, TINY, TRAIN_TEACHER};
use corpus::{RELATIONS, documents, lay_encoder};
use mutator::Mutator;

/// The most processor time that reading one input may take.
const TIME_LIMIT: Duration = Duration::from_secs(1);
/// The most memory that reading one input may need at any moment.
const MEMORY_LIMIT: usize = 128 << 20;
/// The number of inputs of each test without `DOCRE_MUTATIONS`.
const SHORT_RUN: usize = 100;

/// Counts the bytes that the current thread has allocated.
struct CountingAllocator;

thread_local! {
    static ALLOCATED: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends may free memory after its counters are dropped.
    let _ = ALLOCATED.try_with(|allocated| {
        allocated.set(allocated.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(allocated.get())));
    });
}

// SAFETY: every method passes its arguments on to the allocator of the system, and counting
// allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// The processor time of the current thread. Unlike the time of a clock, it does not depend on the
/// load of the machine.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn variable(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// The measured values of one test.
#[derive(Default)]
struct Figures {
    n_accepted: usize,
    n_refused: usize,
    slowest: Duration,
    largest: usize,
}

/// Reads mutations of `seeds` with `read`, which reports whether an input is accepted.
///
/// # Panics
/// If an input panics, or exceeds a limit.
fn assert_survives(kind: &str, seeds: &[Vec<u8>], read: impl Fn(&[u8]) -> bool) {
    let n_inputs = variable("DOCRE_MUTATIONS", SHORT_RUN);
    let seed = variable("DOCRE_MUTATION_SEED", 1);
    for seed in seeds {
        assert!(read(seed), "{kind}: an input without mutations is refused");
    }
    let (mut mutator, mut figures) = (Mutator::new(seed as u64), Figures::default());
    for index in 0..n_inputs {
        let input = mutator.mutate(seeds);
        let started = processor_time();
        let before = ALLOCATED.get();
        PEAK.set(before);
        let result = catch_unwind(AssertUnwindSafe(|| read(&input)));
        let memory = PEAK.get().saturating_sub(before) as usize;
        let time = processor_time() - started;
        if result.is_err() || time > TIME_LIMIT || memory > MEMORY_LIMIT {
            let path = env::temp_dir().join(format!("docre-mutation-{kind}-{seed}-{index}"));
            fs::write(&path, &input).unwrap();
            panic!(
                "{kind}, seed {seed}, input {index} ({}): {}, {time:?}, {memory} bytes",
                path.display(),
                if result.is_err() { "panicked" } else { "ended" }
            );
        }
        match result {
            Ok(true) => figures.n_accepted += 1,
            _ => figures.n_refused += 1,
        }
        figures.slowest = figures.slowest.max(time);
        figures.largest = figures.largest.max(memory);
    }
    let Figures { n_accepted, n_refused, slowest, largest } = figures;
    eprintln!(
        "{kind}: {n_inputs} inputs, {n_accepted} accepted, {n_refused} refused; at most \
         {slowest:?} and {:.1} MiB",
        largest as f64 / (1 << 20) as f64
    );
    assert!(n_refused > 0, "{kind}: the mutations change nothing");
}

/// A directory and a file in it, which each input overwrites.
struct InputFile {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl InputFile {
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().join(name), _directory: directory }
    }

    fn write(&self, input: &[u8]) -> &Path {
        fs::write(&self.path, input).unwrap();
        &self.path
    }
}

fn vocab() -> RelationVocab {
    RelationVocab::from_rel2id(
        InputFile::new("rel2id.json").write(RELATIONS.as_bytes()),
        None,
        None,
    )
    .unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive with one file.
fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(bytes).unwrap();
    archive.finish().unwrap().into_inner()
}

/// The file `name` of the library's test inputs.
fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../burn-docre/tests/fixtures");
    fs::read(fixtures.join(name)).unwrap()
}

#[test]
fn mutated_documents_end_in_a_value_or_an_error() {
    let array = documents(2);
    let lines = array.trim_matches(['[', ']']).replace("},{\"labels\"", "}\n{\"labels\"");
    let seeds = [array.clone().into_bytes(), lines.into_bytes(), gzip(array.as_bytes())];
    let (file, vocab) = (InputFile::new("documents.json"), vocab());
    let tokenizer = DocumentTokenizer::word_level(["Anna", "Oslo"]).unwrap();
    assert_survives("documents", &seeds, |input| {
        let on_invalid = match input.len() % 3 {
            0 => OnInvalid::Error,
            1 => OnInvalid::SkipMention,
            _ => OnInvalid::SkipDocument,
        };
        let Ok(reader) = DocRedReader::open(file.write(input), Labels::Resolve(&vocab)) else {
            return false;
        };
        let reader = reader.on_invalid(on_invalid);
        let Ok(documents) = reader.collect::<Result<Vec<_>, _>>() else { return false };
        let encode = |document| EncodedDocument::encode(document, &tokenizer);
        let encoded = documents.iter().all(|document| encode(document).is_ok());
        encoded && Scorer::new(&documents, &documents).is_ok()
    });
}

#[test]
fn mutated_configurations_end_in_a_value_or_an_error() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension() == Some("toml".as_ref()));
    let mut seeds: Vec<_> = paths.map(|path| fs::read(path).unwrap()).collect();
    seeds.sort();
    seeds.push(TINY.into());
    let file = InputFile::new("run.toml");
    assert_survives("configurations", &seeds, |input| {
        let Ok(config) = RunConfig::load(file.write(input), &[]) else { return false };
        let again = RunConfig::parse(&config.to_toml().unwrap(), &[]).unwrap();
        assert!(config == again || format!("{config:?}").contains("NaN"));
        true
    });
}

#[test]
fn mutated_weight_files_end_in_a_value_or_an_error() {
    let names = [
        "plain.safetensors",
        "float64.safetensors",
        "strided-zip.bin",
        "strided-old.bin",
        "views-zip.bin",
        "views-old.bin",
        "training-zip.bin",
        "bfloat16-zip.bin",
    ];
    let seeds = names.map(|name| fixture(&format!("weights/{name}")));
    assert_survives("weights", &seeds, |input| {
        let Ok(weights) = WeightFile::from_bytes(input) else { return false };
        n_readable(&weights) > 0
    });
}

/// The number of tensors that can be read. Damaged tensors and those of integers cannot.
fn n_readable(weights: &WeightFile) -> usize {
    weights.names().filter(|name| weights.read(name).is_ok()).count()
}

/// The bytes of `archive` with `change` applied to the pickle in it.
fn with_pickle(archive: &[u8], change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut changed = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut change = Some(change);
    let stored = zip::CompressionMethod::Stored;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let (name, mut bytes) = (entry.name().to_string(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        if name.ends_with("data.pkl") {
            bytes = change.take().unwrap()(bytes);
        }
        let options = zip::write::SimpleFileOptions::default().compression_method(stored);
        changed.start_file(name, options.with_alignment(64)).unwrap();
        changed.write_all(&bytes).unwrap();
    }
    changed.finish().unwrap().into_inner()
}

#[test]
fn mutated_pickles_end_in_a_value_or_an_error() {
    let archive = fixture("weights/strided-zip.bin");
    let mut pickle = Vec::new();
    with_pickle(&archive, |bytes| {
        pickle.clone_from(&bytes);
        bytes
    });
    let file = InputFile::new("weights.bin");
    assert_survives("pickles", &[pickle], |input| {
        let archive = with_pickle(&archive, |_| input.to_vec());
        // The file is no checkpoint of the authors' code. It is refused only after the pickle has
        // been read.
        let _ = PublishedCheckpoint::open(file.write(&archive));
        let Ok(weights) = WeightFile::from_bytes(&archive) else { return false };
        n_readable(&weights) > 0
    });
}

#[test]
fn mutated_tokenizers_and_encoder_configurations_end_in_a_value_or_an_error() {
    let directory = tempfile::tempdir().unwrap();
    lay_encoder(directory.path(), "roberta");
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let (config, tokenizer) = (read("config.json"), read("tokenizer.json"));
    let word_pieces = fixture("tiny_wordpiece.json");
    let documents = documents(1);
    let file = InputFile::new("documents.json");
    let vocab = vocab();
    let reader = DocRedReader::open(file.write(documents.as_bytes()), Labels::Resolve(&vocab));
    let document = reader.unwrap().next().unwrap().unwrap();
    assert_survives("tokenizers", &[tokenizer.clone(), word_pieces], |input| {
        let Ok(tokenizer) = DocumentTokenizer::from_bytes(input) else { return false };
        tokenizer.tokenize(&document).is_ok()
    });
    assert_survives("encoder configurations", &[config], |input| {
        PretrainedEncoder::from_bytes(input, &tokenizer).is_ok()
    });
}

#[test]
fn mutated_vocabularies_end_in_a_value_or_an_error() {
    let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n*\nAnna\n##s\n".as_bytes().to_vec();
    let file = InputFile::new("vocab.txt");
    assert_survives("vocab.txt", &[words], |input| {
        DocumentTokenizer::from_directory(file.write(input).parent().unwrap()).is_ok()
    });
    let vocab = r#"{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"*":4,"Ġ*":5,"A":6,"n":7,"An":8,"Ġ":9}"#;
    let file = InputFile::new("vocab.json");
    fs::write(file.path.with_file_name("merges.txt"), "#version: 0.2\nA n\nĠ *\n").unwrap();
    assert_survives("vocab.json", &[vocab.into()], |input| {
        DocumentTokenizer::from_directory(file.write(input).parent().unwrap()).is_ok()
    });
}

#[test]
fn mutated_predictions_and_relations_end_in_a_value_or_an_error() {
    let facts = r#"[{"title":"document 0","h_idx":0,"t_idx":1,"r":"P551","evidence":[0],"score":1.5},
                    {"title":"document 1","h_idx":1,"t_idx":0,"r":"P17"}]"#;
    let lines =
        r#"{"title":"document 0","predictions":[{"h_idx":0,"t_idx":1,"r":"P551","score":2}]}"#;
    let seeds =
        [facts.into(), lines.into(), gzip(lines.as_bytes()), zip("result.json", facts.as_bytes())];
    let (file, vocab) = (InputFile::new("predictions"), vocab());
    let gold = InputFile::new("gold.json");
    let reader =
        DocRedReader::open(gold.write(documents(2).as_bytes()), Labels::Resolve(&vocab)).unwrap();
    let gold: Vec<_> = reader.map(Result::unwrap).collect();
    let scorer = Scorer::new(&gold, &gold).unwrap();
    assert_survives("predictions", &seeds, |input| {
        let path = file.write(input);
        let Ok(facts) = read_submission(path) else { return false };
        let set = PredictionSet::from_submission(path, &facts, &gold, &vocab);
        set.map(|set| scorer.score(&set)).is_ok()
    });
    let relations = vocab.to_json();
    assert_survives("relations", &[RELATIONS.into(), relations.into()], |input| {
        RelationVocab::from_rel2id(file.write(input), None, None).is_ok()
    });
}

/// Opens a model directory from bytes and builds its model.
struct OpenModel<'a>(ModelBytes<'a>);

impl BackendTask for OpenModel<'_> {
    type Output = bool;

    fn run<B: DocReBackend>(self, device: B::Device) -> bool {
        let opened = ModelDirectory::from_bytes(self.0);
        opened.is_ok_and(|directory| directory.model::<B>(&device).is_ok())
    }
}

#[test]
fn mutated_model_directories_end_in_a_value_or_an_error() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&[&TRAIN_TEACHER[..], &["--set", "stages.teacher.epochs=1"]].concat());
    let read = |name: &str| fs::read(sandbox.path("run/teacher/model").join(name)).unwrap();
    let files = ["config.json", "tokenizer.json", "relations.json", "model.safetensors"].map(read);
    for (index, kind) in ["config", "tokenizer", "relations", "weights"].iter().enumerate() {
        assert_survives(&format!("model {kind}"), &[files[index].clone()], |input| {
            let file = |other: usize| if other == index { input } else { &files[other] };
            let bytes = ModelBytes {
                config: file(0),
                tokenizer: file(1),
                relations: file(2),
                weights: file(3),
            };
            dispatch(None, 0, OpenModel(bytes)).unwrap()
        });
    }
}
