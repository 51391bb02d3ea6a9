//! `docre evaluate`: scores a file of predictions.

mod table;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn_docre::{
    PairSet,
    data::{
        docred::{DocRedReader, Labels},
        document::Document,
        relation::RelationVocab,
        submission::read_submission,
    },
    eval::{FrequentRelations, PredictionSet, Report, Scorer},
    input::is_standard,
};

use super::inputs::fetch;
use crate::{
    cli::{EvaluateArgs, FrequentSet, ReadingArgs},
    run::corpora::LabelCounts,
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
    session.ui.results(&text)
}

/// The text that `docre evaluate` prints; `note` receives messages for standard error.
fn evaluate(session: &Session, args: &EvaluateArgs, mut note: impl FnMut(&str)) -> Result<String> {
    check_standard_input(args)?;
    let frequent = frequent_relations(args)?;
    let args = &fetch(session, args)?;
    let vocab = match &args.relations {
        Some(path) => RelationVocab::from_rel2id(path, None, args.threshold_class.as_deref())?,
        None => RelationVocab::docred(),
    };
    match frequent.n_unknown(&vocab) {
        0 => {}
        n_unknown => {
            let remedy = match args.train {
                None => "give `--train` to count the facts of this corpus",
                Some(_) => "leave out `--frequent-relations` to count those of `--train`",
            };
            note(&format!(
                "{n_unknown} of Re-DocRED's ten frequent relations are none of the vocabulary; {remedy}"
            ));
        }
    }
    let mut gold = Vec::new();
    let pair_set = args.self_relations.into();
    let corpora = Corpora { session, vocab: &vocab, pair_set, reading: &args.reading };
    corpora.read(&args.gold, |document| {
        gold.push(document);
        Ok(())
    })?;
    ensure!(!gold.is_empty(), "{}: there are no documents to score", args.gold.display());
    let mut scorer = match args.train {
        Some(_) => Scorer::new(&gold, [])?,
        None => Scorer::without_training(&gold)?,
    };
    if let Some(train) = &args.train {
        corpora.read(train, |document| Ok(scorer.add_training_document(&document)?))?;
    }
    if let Some(distant) = &args.distant {
        scorer.ignore_distant();
        corpora.read(distant, |document| Ok(scorer.add_distant_document(&document)?))?;
    }
    let predictions = read_predictions(&args.predictions, &gold, &vocab, &mut note)?;
    let report = Report::new(&scorer, &predictions, &vocab, frequent);
    if args.json {
        let json = serde_json::to_string_pretty(&report)
            .context("the scores cannot be written as JSON")?;
        return Ok(json + "\n");
    }
    Ok(table::render(&report, &vocab))
}

/// Checks that standard input, which can be read once, is at most one of the inputs.
fn check_standard_input(args: &EvaluateArgs) -> Result<()> {
    let EvaluateArgs { predictions, gold, train, distant, relations, .. } = args;
    let inputs = [Some(predictions), Some(gold), train.as_ref(), distant.as_ref()];
    let inputs = inputs.into_iter().chain([relations.as_ref()]).flatten();
    let n_standard = inputs.filter(|path| is_standard(path)).count();
    ensure!(n_standard <= 1, "only one input can be `-`, standard input");
    Ok(())
}

/// The source of the frequent relation types. Without training documents, it is Re-DocRED's list.
fn frequent_relations(args: &EvaluateArgs) -> Result<FrequentRelations> {
    match (args.frequent_relations, &args.train) {
        (Some(FrequentSet::Train), None) => {
            bail!(
                "`--frequent-relations train` counts the facts of training documents; give `--train`"
            )
        }
        (Some(set), _) => Ok(set.into()),
        (None, Some(_)) => Ok(FrequentRelations::Train),
        (None, None) => Ok(FrequentRelations::ReDocRed),
    }
}

/// The corpora of the command.
struct Corpora<'a> {
    session: &'a Session<'a>,
    vocab: &'a RelationVocab,
    pair_set: PairSet,
    reading: &'a ReadingArgs,
}

impl Corpora<'_> {
    /// Reads the documents at `path` one by one, so that the distant corpus need not fit into
    /// memory.
    ///
    /// # Errors
    /// If there are documents, but none has a label, and the errors of `use_document`.
    fn read(
        &self,
        path: &Path,
        mut use_document: impl FnMut(Document) -> Result<()>,
    ) -> Result<()> {
        let ui = self.session.ui;
        let mut task = ui.task(&format!("{}: documents", path.display()), None);
        let documents = DocRedReader::open(path, Labels::Resolve(self.vocab))?;
        let &ReadingArgs { on_invalid, hacred_view } = self.reading;
        let documents = documents.with_hacred_view(hacred_view);
        let mut documents = documents.with_pair_set(self.pair_set).on_invalid(on_invalid);
        let mut counts = LabelCounts::default();
        for document in documents.by_ref() {
            self.session.stop.check()?;
            let document = document?;
            counts.add(&document);
            use_document(document)?;
            task.advance(1);
        }
        drop(task);
        ui.note_skipped(path, documents.skipped());
        counts.check(path, documents.n_unlabelled(), |message| ui.note(message))
    }
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
    let n_unknown = predictions.n_of_unknown_documents();
    if n_unknown > 0 {
        note(&format!("{path}: {n_unknown} predictions for unknown titles are counted as wrong"));
    }
    Ok(predictions)
}

#[cfg(test)]
mod tests;
