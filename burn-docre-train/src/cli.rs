//! The command line as typed values. The modules of [`commands`](crate::commands) execute them.

use std::{fmt, path::PathBuf};

use burn_docre::{
    backend::BackendKind,
    data::{
        corpora::{CorpusFormat, HacRedView},
        docred::OnInvalid,
    },
    io::soft_labels::Shard,
    nn::precision::PrecisionChoice,
};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Trains, distils, evaluates and runs document-level relation extraction models.
///
/// Progress goes to standard error, results to standard output. The exit code is 0 after success, 1
/// after a failure or an interruption, and 2 if the command line is invalid.
///
/// Inputs may be compressed with gzip, pipes, or `-` for standard input. An output may be `-` for
/// standard output, and is compressed if its name ends in `.gz`.
#[derive(Debug, Parser)]
#[command(name = "docre", version)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Backend to compute on [default: the first one compiled in, see `docre backends`].
    #[arg(long, global = true, value_name = "NAME")]
    pub backend: Option<BackendKind>,
    /// Number of the backend's device [default: the devices of the configuration, else 0].
    #[arg(long, global = true, value_name = "N")]
    pub device: Option<usize>,
    /// Format of the lines on standard error.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

/// The format of the lines on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain sentences.
    Human,
    /// One JSON object per line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all stages of the configuration's plan, for example teacher, student and fine-tuning with
    /// the soft labels in between.
    Distill(DistillArgs),
    /// Run one training stage.
    Train(TrainArgs),
    /// Train the variants of the papers' ablations, with several seeds, and print their tables.
    Ablate(AblateArgs),
    /// Write a teacher's logits for a corpus.
    Label(LabelArgs),
    /// Extract relations from documents.
    Predict(PredictArgs),
    /// Score predictions against gold documents.
    Evaluate(EvaluateArgs),
    /// Write the documents of another corpus in DocRED's format.
    Convert(ConvertArgs),
    /// Make a model directory from a checkpoint of the KD-DocRE or ATLOP authors' code.
    Import(ImportArgs),
    /// Write a model's weights under the names of the authors' code.
    Export(ExportArgs),
    /// List the backends, their devices, and why a backend cannot start here.
    Backends,
    /// Compare the throughput of the backends of this build on equal work.
    Bench(BenchArgs),
    /// Write one HTML page about runs, benchmarks and ablations.
    Report(ReportArgs),
}

/// The configuration and the directory of a run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration of the run.
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Directory of the run, new or empty [default: artifacts/NAME for NAME.toml].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Resume an interrupted run.
    #[arg(long)]
    pub resume: bool,
    /// Replace a value of the configuration; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// The reading of documents.
#[derive(Clone, Debug, Args)]
pub struct ReadingArgs {
    /// Treatment of invalid documents: error, skip-mention or skip-document. Skipped ones are
    /// counted and listed.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub on_invalid: OnInvalid,
    /// Words of HacRED's documents: char or word [default: char, or word where a document has no
    /// characters].
    #[arg(long, value_name = "VIEW")]
    pub hacred_view: Option<HacRedView>,
}

/// `docre distill`.
#[derive(Debug, Args)]
pub struct DistillArgs {
    /// Configuration and directory.
    #[command(flatten)]
    pub run: RunArgs,
}

/// `docre train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Configuration and directory.
    #[command(flatten)]
    pub run: RunArgs,
    /// A stage of the configuration's plan; the stages that it needs must be finished in the same
    /// directory.
    #[arg(long, value_name = "NAME")]
    pub stage: String,
    /// Print parameters, steps, memory and time, and train nothing.
    #[arg(long, conflicts_with_all = ["resume", "out"])]
    pub dry_run: bool,
}

/// `docre ablate`.
///
/// The same command continues an interrupted ablation: finished runs are skipped.
#[derive(Debug, Args)]
pub struct AblateArgs {
    /// Base configuration, which each variant changes in one choice.
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Number of seeds: that of the configuration and the next ones. The seed of a generated corpus
    /// rises with them, so each seed has its own documents.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive)]
    pub seeds: usize,
    /// Run only this group of tables; may be repeated [default: all that fit the configuration].
    #[arg(long, value_name = "GROUP", value_enum)]
    pub only: Vec<AblationGroup>,
    /// Directory of the runs and tables, new or of this ablation [default:
    /// artifacts/NAME-ablations for NAME.toml].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace a value of the configuration; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// List the runs with their stages and changed keys, and train nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// The groups of tables of `docre ablate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AblationGroup {
    /// Axial stack, two-hop attention or no pair mixer; trained on annotated documents.
    Mixer,
    /// The same with distant documents: teacher, student and fine-tuning.
    MixerDistant,
    /// AFL in both forms, or ATL; trained on annotated documents.
    Loss,
    /// The same with distant documents: teacher, student and fine-tuning.
    LossDistant,
    /// Distillation by squared error, by KL divergence, or none.
    Distillation,
    /// KMGRE's key classifier with its own encoder, with the extractor's encoder, or none.
    KeyClassifier,
}

impl fmt::Display for AblationGroup {
    /// Writes the name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mixer => "mixer",
            Self::MixerDistant => "mixer-distant",
            Self::Loss => "loss",
            Self::LossDistant => "loss-distant",
            Self::Distillation => "distillation",
            Self::KeyClassifier => "key-classifier",
        })
    }
}

/// `docre label`.
#[derive(Clone, Debug, Args)]
pub struct LabelArgs {
    /// Model directory of the teacher.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Documents in DocRED format; their labels are ignored.
    #[arg(long, value_name = "DOCS")]
    pub input: PathBuf,
    /// Directory for the logits.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Label part I of N parts: the I-th document and every N-th one after it. I starts at 1. The
    /// parts can run on different machines.
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = parse_shard)]
    pub shard: Shard,
    /// Precision of the large matrix products: f32, bf16, f16, or auto: bf16 where the device
    /// computes it natively, else f32.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub precision: PrecisionChoice,
    /// The reading of documents.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// `docre predict`.
#[derive(Clone, Debug, Args)]
pub struct PredictArgs {
    /// Model directory.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The documents.
    #[command(flatten)]
    pub documents: PredictInput,
    /// Precision of the large matrix products: f32, bf16, f16, or auto: bf16 where the device
    /// computes it natively, else f32.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub precision: PrecisionChoice,
    /// Output file in the DocRED submission format. The extension `.zip` gives the leaderboard's
    /// archive, `.jsonl` the scores and thresholds of each document. A further `.gz` compresses
    /// [default: a table of each document on standard output].
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the logits of all pairs of entities and all classes, not only of the predicted facts.
    /// The output must be a `.jsonl` or a `.safetensors` file; the classes are in the order of
    /// `relations.json`.
    #[arg(long, requires = "output")]
    pub all_scores: bool,
    /// The reading of documents.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// The documents of `docre predict`, in one of three forms.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PredictInput {
    /// Documents in DocRED format; their labels are ignored.
    #[arg(long, value_name = "DOCS")]
    pub input: Option<PathBuf>,
    /// Text with marked entities, as in `[Marie Curie|PER|1] was born in [Warsaw|LOC|2].` A mention
    /// is `[name|TYPE|number]`; mentions of one entity have equal numbers. `\[`, `\]`, `\|` and `\\`
    /// are the characters themselves.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        conflicts_with_all = ["on_invalid", "hacred_view"]
    )]
    pub text: Option<String>,
    /// File with text in the form of `--text`, as one document.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["on_invalid", "hacred_view"])]
    pub text_file: Option<PathBuf>,
}

/// `docre evaluate`.
#[derive(Clone, Debug, Args)]
pub struct EvaluateArgs {
    /// Predictions: a DocRED submission, a leaderboard archive, or JSON lines.
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// Documents with the gold labels.
    #[arg(long, value_name = "DOCS")]
    pub gold: PathBuf,
    /// Human-annotated training documents; Ign F1 ignores their facts. Without them there is no Ign
    /// F1.
    #[arg(long, value_name = "DOCS")]
    pub train: Option<PathBuf>,
    /// Distantly labelled training documents, for a second Ign F1.
    #[arg(long, value_name = "DOCS")]
    pub distant: Option<PathBuf>,
    /// Relations: a rel2id.json or a model's relations.json [default: the 96 relations of DocRED].
    #[arg(long, value_name = "FILE")]
    pub relations: Option<PathBuf>,
    /// Id of the threshold class, class 0 of `--relations`, if it is none of the known names.
    #[arg(long, value_name = "ID", requires = "relations")]
    pub threshold_class: Option<String>,
    /// Source of the ten frequent relation types; all others are the long tail [default: train, or
    /// redocred without `--train`].
    #[arg(long, value_name = "SET", value_enum)]
    pub frequent_relations: Option<FrequentSet>,
    /// Accept labels that relate an entity to itself, as in DWIE; without this option they are an
    /// error.
    #[arg(long)]
    pub self_relations: bool,
    /// The reading of documents.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// The source of the frequent relation types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FrequentSet {
    /// The ten with the most facts in the training documents.
    Train,
    /// The fixed list of Re-DocRED's scorer.
    Redocred,
}

/// `docre convert`.
#[derive(Clone, Debug, Args)]
pub struct ConvertArgs {
    /// Corpus: hacred, dwie, cdr, gda, hf-datasets, linked-docred or docred-jsonl.
    #[arg(long, value_name = "CORPUS")]
    pub from: CorpusFormat,
    /// File of the corpus.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Output file. The extension `.jsonl` gives one document a line, any other an array. A further
    /// `.gz` compresses.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Relations: a rel2id.json or a model's relations.json. A label with another relation is an
    /// error. [default: those of the corpus; if they are not known, those of the labels]
    #[arg(long, value_name = "FILE")]
    pub relations: Option<PathBuf>,
    /// Id of the threshold class, class 0 of `--relations`, if it is none of the known names.
    #[arg(long, value_name = "ID", requires = "relations")]
    pub threshold_class: Option<String>,
    /// Write the relations to this file, for `--relations` and `data.relations`.
    #[arg(long, value_name = "FILE")]
    pub relations_output: Option<PathBuf>,
    /// Convert only the articles of DWIE with this tag: train or test.
    #[arg(long, value_name = "NAME")]
    pub split: Option<String>,
    /// The reading of documents.
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// `docre import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// State dict of the authors' code: a PyTorch or safetensors file, or its address
    /// `hf:ORG/NAME/FILE`.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Directory with config.json and tokenizer of the checkpoint's encoder, or its address
    /// `hf:ORG/NAME`. Its weights come from the checkpoint.
    #[arg(long, value_name = "DIR")]
    pub encoder: PathBuf,
    /// Relations: a rel2id.json or a model's relations.json.
    #[arg(long, value_name = "FILE")]
    pub relations: PathBuf,
    /// Id of the threshold class, class 0 of `--relations`, if it is none of the known names.
    #[arg(long, value_name = "ID")]
    pub threshold_class: Option<String>,
    /// Model directory, new or empty.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Mask all padding. The authors' code pads every document to 42 entities without a mask, which
    /// changes the logits; so does the imported model by default. KD-DocRE only.
    #[arg(long)]
    pub no_pad_compat: bool,
    /// Attention heads of an axial layer [default: 8]. KD-DocRE only.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub axial_heads: Option<usize>,
    /// The most relations that are decoded for one pair.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = positive)]
    pub max_relations_per_pair: usize,
    /// Length of the longest window in tokens [default: all positions of the encoder].
    #[arg(long, value_name = "N", value_parser = positive)]
    pub max_window: Option<usize>,
}

/// `docre export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// Model directory.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The code that is to load the weights; it must have the model's system.
    #[arg(long, value_name = "NAME", value_enum)]
    pub format: ExportFormat,
    /// Output file, whose name ends in `.safetensors`.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// The formats of `docre export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The names of KD-DocRE's code.
    KdDocre,
    /// The names of ATLOP's code.
    Atlop,
}

/// `docre bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// The modes to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["inference", "training"])]
    pub modes: Vec<BenchMode>,
    /// Model directory [default: a model of MiniLM's size with random weights].
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// System of the model with random weights.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = BenchSystem::KdDocre)]
    #[arg(conflicts_with = "model")]
    pub system: BenchSystem,
    /// Documents in DocRED format [default: documents of random words with DocRED's average sizes].
    #[arg(long, value_name = "DOCS", requires = "model")]
    pub input: Option<PathBuf>,
    /// The reading of documents.
    #[command(flatten)]
    pub reading: ReadingArgs,
    /// Documents per sample.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive)]
    pub documents: usize,
    /// Documents per batch.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = positive)]
    pub batch_size: usize,
    /// Samples after the warm-up.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive)]
    pub samples: usize,
    /// Precision of the large matrix products: f32, bf16, f16, or auto: bf16 where the device
    /// computes it natively, else f32.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub precision: PrecisionChoice,
    /// CPU threads [default: all].
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// Program to compare with in inference and training, with its arguments:
    /// `--peer python3 tools/peer/peer.py`.
    #[arg(long, value_name = "PROGRAM", num_args = 1.., requires = "input")]
    pub peer: Vec<String>,
    /// Directory for `bench.json`, `bench.svg` and `bench.png`.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Compare the records in these files, from other builds, machines or programs, and measure
    /// nothing. Records that are otherwise indistinguishable are numbered in the order of the
    /// files.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = CONFLICTS_OF_MERGE)]
    pub merge: Vec<PathBuf>,
    /// Write the batches to this file for a program in another language, such as `tools/peer`, and
    /// measure nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = CONFLICTS_OF_DUMP_INPUTS)]
    pub dump_inputs: Option<PathBuf>,
    /// Measure one mode in this process and write its record to this file.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with_all = ["output", "peer", "threads"])]
    pub record: Option<PathBuf>,
}

/// `docre report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Directories of runs, in progress or finished; directories or `ablations.json` of `docre
    /// ablate`; directories or `bench.json` of `docre bench`.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page, one HTML file that loads nothing.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Open no model: leave out everything that needs predictions of the dev documents. Without
    /// this option, the best model of each stage predicts them, in f32.
    #[arg(long)]
    pub no_predictions: bool,
    /// Show this dev document, by its title or its index from 0; repeat it for more. Without this
    /// option, the first eight documents with a label are shown.
    #[arg(long = "document", value_name = "TITLE-OR-INDEX", conflicts_with = "no_predictions")]
    pub documents: Vec<String>,
    /// Show the documents with the predictions of this model, by its key or name in the report, such
    /// as B1 [default: the model of the highest F1].
    #[arg(long, value_name = "MODEL", conflicts_with = "no_predictions")]
    pub documents_of: Option<String>,
}

/// The modes of `docre bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchMode {
    /// From words to index tensors on the device.
    Preprocess,
    /// From token ids to predictions.
    Inference,
    /// Forward pass with dropout, backward pass and optimizer step; an E step and an M step for a
    /// KMGRE model with a key classifier.
    Training,
    /// From token ids to a teacher's logits on disk.
    Label,
}

impl BenchMode {
    /// The name on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Inference => "inference",
            Self::Training => "training",
            Self::Label => "label",
        }
    }
}

/// The systems of the model that `docre bench` builds without `--model`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchSystem {
    /// KD-DocRE with six axial layers.
    KdDocre,
    /// ATLOP.
    Atlop,
    /// KMGRE, whose key classifier has an encoder of its own.
    Kmgre,
}

impl BenchSystem {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::KdDocre => "kd-docre",
            Self::Atlop => "atlop",
            Self::Kmgre => "kmgre",
        }
    }
}

/// The options that conflict with `docre bench --merge`.
const CONFLICTS_OF_MERGE: [&str; 16] = [
    "backend",
    "device",
    "modes",
    "model",
    "system",
    "input",
    "on_invalid",
    "hacred_view",
    "documents",
    "batch_size",
    "samples",
    "precision",
    "threads",
    "peer",
    "dump_inputs",
    "record",
];
/// The options that conflict with `docre bench --dump-inputs`.
const CONFLICTS_OF_DUMP_INPUTS: [&str; 9] =
    ["backend", "device", "modes", "samples", "precision", "threads", "peer", "output", "record"];

/// Parses a positive integer.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected an integer of at least 1".into()),
    }
}

/// Parses `I/N`, in which I starts at 1.
fn parse_shard(text: &str) -> Result<Shard, String> {
    let numbers = text.split_once('/').and_then(|(index, count)| {
        Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    });
    match numbers {
        Some((index, count)) if index >= 1 && index <= count => {
            Ok(Shard { index: index - 1, count })
        }
        _ => Err("expected I/N with I from 1 to N, as in 2/4".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_accepts_the_definition_of_the_command_line() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_group_of_ablations_is_written_as_it_is_read() {
        for group in AblationGroup::value_variants() {
            let name = group.to_possible_value().unwrap();
            assert_eq!(group.to_string(), name.get_name());
        }
    }

    #[test]
    fn shards_are_numbered_from_one() {
        assert_eq!(parse_shard("2/4"), Ok(Shard { index: 1, count: 4 }));
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0"] {
            assert!(parse_shard(wrong).is_err(), "{wrong}");
        }
    }
}
