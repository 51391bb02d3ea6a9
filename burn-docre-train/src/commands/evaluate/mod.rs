//! `docre evaluate`: scores a file of predictions.

mod table;

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result, bail};
use burn_docre::{
    PairSet,
    data::{
        docred::{DocRedReader, Labels},
        document::Document,
        relation::RelationVocab,
        submission::read_submission,
    },
    eval::{FrequentRelations, PredictionSet, Report, Scorer},
};

use crate::{
    cli::{EvaluateArgs, FrequentSet},
    session::Session,
};

impl From<FrequentSet> for FrequentRelations {
    fn from(set: FrequentSet) -> Self {
        match set {
            FrequentSet::Train => Self::Train,
            FrequentSet::Redocred => Self::ReDocRed,
        }
    }
}

/// Prints all scores of the predictions.
pub(super) fn run(session: &Session, args: &EvaluateArgs) -> Result<()> {
    let text = evaluate(session, args, |message| session.ui.note(message))?;
    match session.ui.results(&text) {
        // The program that reads standard output, such as `head`, has ended.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        result => result,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error: Option<&io::Error> = error.downcast_ref();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The text that `docre evaluate` prints; `note` receives messages for standard error.
fn evaluate(session: &Session, args: &EvaluateArgs, mut note: impl FnMut(&str)) -> Result<String> {
    let vocab = read_vocab(args.relations.as_deref())?;
    let pair_set = args.self_relations.into();
    let gold = documents(session, &args.gold, &vocab, pair_set)?.collect::<Result<Vec<_>>>()?;
    let mut scorer = Scorer::new(&gold, [])?;
    if scorer.n_gold_facts() == 0 {
        bail!("{}: no document has a label; give documents with gold labels", args.gold.display());
    }
    for document in documents(session, &args.train, &vocab, pair_set)? {
        scorer.add_training_document(&document?)?;
    }
    if let Some(distant) = &args.distant {
        for document in documents(session, distant, &vocab, pair_set)? {
            scorer.add_distant_document(&document?)?;
        }
    }
    let predictions = read_predictions(&args.predictions, &gold, &vocab, &mut note)?;
    let report = Report::new(&scorer, &predictions, &vocab, args.frequent_relations.into());
    if args.json {
        let json = serde_json::to_string_pretty(&report)
            .context("the scores cannot be written as JSON")?;
        return Ok(json + "\n");
    }
    Ok(table::render(&report, &vocab))
}

/// The built-in relations, or those of a file.
fn read_vocab(path: Option<&Path>) -> Result<RelationVocab> {
    path.map_or_else(|| Ok(RelationVocab::docred()), read_relations)
}

/// The relations of a `relations.json` or `rel2id.json` file. Only the former starts with `[`.
pub(super) fn read_relations(path: &Path) -> Result<RelationVocab> {
    let vocab =
        match first_byte(path).with_context(|| format!("{}: reading failed", path.display()))? {
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

/// Reads the documents of a corpus one by one, so that the distant corpus need not fit into memory.
fn documents<'a>(
    session: &'a Session,
    path: &Path,
    vocab: &'a RelationVocab,
    pair_set: PairSet,
) -> Result<impl Iterator<Item = Result<Document>> + 'a> {
    let mut task = session.ui.task(&format!("{}: documents", path.display()), None);
    let documents = DocRedReader::open(path, Labels::Resolve(vocab))?.with_pair_set(pair_set);
    Ok(documents.map(move |document| {
        session.stop.check()?;
        task.advance(1);
        Ok(document?)
    }))
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
        note(&format!("{path}: there are no predictions; every score is 0"));
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
