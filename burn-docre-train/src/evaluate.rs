//! `docre evaluate`: every score of a file of predictions.

mod table;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn_docre::corpus::docred::{DocRedReader, Labels, read_documents};
use burn_docre::document::Document;
use burn_docre::eval::{FrequentRelations, PredictionSet, Report, Scorer};
use burn_docre::relation::RelationVocab;
use burn_docre::submission::read_submission;
use clap::{Args, ValueEnum};

/// `docre evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Predictions in the DocRED submission format.
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// Documents with the gold labels.
    #[arg(long, value_name = "DOCS")]
    pub gold: PathBuf,
    /// Human-annotated training documents, whose facts Ign F1 discounts.
    #[arg(long, value_name = "DOCS")]
    pub train: PathBuf,
    /// Distantly labelled training documents, for the second Ign F1.
    #[arg(long, value_name = "DOCS")]
    pub distant: Option<PathBuf>,
    /// Relations: a rel2id.json or a model's relations.json [default: the 96 relations of DocRED].
    #[arg(long, value_name = "FILE")]
    pub relations: Option<PathBuf>,
    /// Which ten relation types are frequent; the others are the long tail.
    #[arg(long, value_name = "SET", value_enum, default_value_t = FrequentSet::Train)]
    pub frequent_relations: FrequentSet,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Where the frequent relation types come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FrequentSet {
    /// The ten with the most facts in the training documents.
    Train,
    /// The fixed list of the Re-DocRED scorer.
    Redocred,
}

impl From<FrequentSet> for FrequentRelations {
    fn from(set: FrequentSet) -> Self {
        match set {
            FrequentSet::Train => Self::Train,
            FrequentSet::Redocred => Self::ReDocRed,
        }
    }
}

/// Scores the predictions: the result to standard output, remarks to standard error.
pub fn run(args: EvaluateArgs) -> Result<()> {
    let note = |message: &str| {
        // A remark that nobody can read is no reason to stop.
        let _ = writeln!(io::stderr(), "{message}");
    };
    let text = evaluate(&args, note)?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// What `docre evaluate` prints; `note` hears what the reader should know beside it.
pub fn evaluate(args: &EvaluateArgs, mut note: impl FnMut(&str)) -> Result<String> {
    let vocab = read_vocab(args.relations.as_deref())?;
    let gold = read_documents(&args.gold, Labels::Resolve(&vocab))?;
    let mut scorer = Scorer::new(&gold, []);
    if scorer.n_gold_facts() == 0 {
        bail!(
            "{}: no document has a label, there is nothing to score against",
            args.gold.display()
        );
    }
    for_each_document(&args.train, &vocab, |document| scorer.add_training_document(document))?;
    if let Some(distant) = &args.distant {
        for_each_document(distant, &vocab, |document| scorer.add_distant_document(document))?;
    }
    let predictions = read_predictions(&args.predictions, &gold, &vocab, &mut note)?;
    let report = Report::new(&scorer, &predictions, &vocab, args.frequent_relations.into());
    if args.json {
        let json = serde_json::to_string_pretty(&report).context("writing the scores as JSON")?;
        return Ok(json + "\n");
    }
    Ok(table::render(&report, &vocab))
}

/// The built-in relations, or those of a file in either of the two formats.
fn read_vocab(path: Option<&Path>) -> Result<RelationVocab> {
    let Some(path) = path else { return Ok(RelationVocab::docred()) };
    let vocab = match first_byte(path).with_context(|| format!("{}: reading", path.display()))? {
        Some(b'[') => RelationVocab::load(path)?,
        _ => RelationVocab::from_rel2id(path, None)?,
    };
    Ok(vocab)
}

/// The first byte that is not white space.
fn first_byte(path: &Path) -> io::Result<Option<u8>> {
    let mut reader = BufReader::new(File::open(path)?);
    loop {
        let bytes = reader.fill_buf()?;
        let len = bytes.len();
        if let Some(byte) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            return Ok(Some(*byte));
        }
        if len == 0 {
            return Ok(None);
        }
        reader.consume(len);
    }
}

/// Shows the documents of a corpus one by one: the distant corpus need not fit into memory.
fn for_each_document(
    path: &Path,
    vocab: &RelationVocab,
    mut visit: impl FnMut(&Document),
) -> Result<()> {
    for document in DocRedReader::open(path, Labels::Resolve(vocab))? {
        visit(&document?);
    }
    Ok(())
}

fn read_predictions(
    path: &Path,
    gold: &[Document],
    vocab: &RelationVocab,
    note: &mut impl FnMut(&str),
) -> Result<PredictionSet> {
    let submission = read_submission(path)?;
    let predictions = PredictionSet::from_submission(path, &submission, gold, vocab)?;
    let path = path.display();
    if submission.is_empty() {
        note(&format!("{path}: there are no predictions, every score is 0"));
    }
    let n_repeated = submission.len() - predictions.len();
    if n_repeated > 0 {
        note(&format!("{path}: {n_repeated} repeated predictions are counted once"));
    }
    let n_unknown = predictions.n_unknown_documents();
    if n_unknown > 0 {
        note(&format!("{path}: {n_unknown} predictions for unknown titles are counted as wrong"));
    }
    Ok(predictions)
}

#[cfg(test)]
mod tests;
