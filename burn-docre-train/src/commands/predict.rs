//! `docre predict`: writes the relations that a model finds in documents.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use anyhow::Result;
use burn_docre::{
    BackendTask, DocReBackend,
    data::{
        docred::{DocRedReader, Labels},
        relation::RelationVocab,
        submission::{SubmittedFact, write_json},
    },
    inference::{DocumentLogits, Inference, decode::Prediction},
    io::{atomic_file::write_atomically, model_directory::ModelDirectory},
    nn::rounding::with_precision,
    text::encoded::EncodedDocument,
};
use serde_json::json;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{cli::PredictArgs, session::Session, ui::Task};

/// Writes the relations of the input documents in the format that the extension of the output
/// names.
pub(super) fn run(session: &Session, args: &PredictArgs) -> Result<()> {
    session.dispatch(Predict { session, args })
}

struct Predict<'a> {
    session: &'a Session<'a>,
    args: &'a PredictArgs,
}

impl BackendTask for Predict<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let Self { session, args } = self;
        let directory = ModelDirectory::open(&args.model)?;
        session.check_precision::<B>(args.precision, &device)?;
        let model = with_precision(directory.model::<B>(&device)?, args.precision);
        let spec = directory.into_spec();
        let inference = Inference::new(model, spec.config.clone(), device);
        let documents = DocRedReader::open(&args.input, Labels::Ignore)?
            .map(|document| Ok(Arc::new(EncodedDocument::encode(&document?, &spec)?)));
        let mut documents = Predictions {
            session,
            logits: inference.run(documents),
            task: session.ui.task("predicting documents", None),
            error: None,
        };
        let format = Format::of(&args.output);
        let written = write_atomically(&args.output, |out| {
            match format {
                Format::Lines => write_lines(out, &mut documents, &spec.vocab)?,
                Format::Archive => write_archive(out, &mut documents, &spec.vocab)?,
                Format::Submission => write_json(out, facts(&mut documents, &spec.vocab))?,
            }
            match &documents.error {
                Some(error) => Err(io::Error::other(error.to_string())),
                None => Ok(()),
            }
        });
        match documents.error {
            Some(error) => Err(error),
            None => Ok(written?),
        }
    }
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    /// The DocRED submission.
    Submission,
    /// The submission in a zip file.
    Archive,
    /// One line per document, with scores and thresholds.
    Lines,
}

impl Format {
    /// The format that the extension of `output`, in any case, names: `zip`, `jsonl` or any other
    /// for the submission.
    fn of(output: &Path) -> Self {
        let is = |name| output.extension().is_some_and(|found| found.eq_ignore_ascii_case(name));
        if is("jsonl") {
            Self::Lines
        } else if is("zip") {
            Self::Archive
        } else {
            Self::Submission
        }
    }
}

/// The logits of a document and the relations decoded from them.
struct Predicted {
    found: DocumentLogits,
    predictions: Vec<Prediction>,
}

/// An iterator over decoded documents. It ends at the first error and stores it in `error`.
struct Predictions<'a, I> {
    session: &'a Session<'a>,
    logits: I,
    task: Task,
    error: Option<anyhow::Error>,
}

impl<I: Iterator<Item = Result<DocumentLogits>>> Predictions<'_, I> {
    fn decode(&mut self, found: Result<DocumentLogits>) -> Result<Predicted> {
        self.session.stop.check()?;
        let found = found?;
        let predictions = found.predictions()?;
        self.task.advance(1);
        Ok(Predicted { found, predictions })
    }
}

impl<I: Iterator<Item = Result<DocumentLogits>>> Iterator for Predictions<'_, I> {
    type Item = Predicted;

    fn next(&mut self) -> Option<Predicted> {
        if self.error.is_some() {
            return None;
        }
        let found = self.logits.next()?;
        self.decode(found).map_err(|error| self.error = Some(error)).ok()
    }
}

/// The facts of the submission, in the order of the documents.
fn facts<'a>(
    documents: impl Iterator<Item = Predicted> + 'a,
    vocab: &'a RelationVocab,
) -> impl Iterator<Item = SubmittedFact> + 'a {
    documents.flat_map(move |document| {
        let Predicted { found: DocumentLogits { document, .. }, predictions } = document;
        predictions.into_iter().map(move |prediction| prediction.submitted(&document.title, vocab))
    })
}

/// Writes the leaderboard's archive: `result.json` in a zip file.
fn write_archive(
    out: &mut BufWriter<&File>,
    documents: impl Iterator<Item = Predicted>,
    vocab: &RelationVocab,
) -> io::Result<()> {
    let mut archive = ZipWriter::new(out);
    let options = SimpleFileOptions::default().large_file(true);
    archive.start_file("result.json", options)?;
    let mut json = BufWriter::new(&mut archive);
    write_json(&mut json, facts(documents, vocab))?;
    json.flush()?;
    drop(json);
    archive.finish()?;
    Ok(())
}

/// Writes one JSON line per document: each prediction with its logit, its score, the threshold of
/// its pair and its evidence.
fn write_lines(
    out: &mut impl Write,
    documents: impl Iterator<Item = Predicted>,
    vocab: &RelationVocab,
) -> io::Result<()> {
    let n_classes = vocab.n_classes();
    for Predicted { found: DocumentLogits { document, logits, .. }, predictions } in documents {
        let predictions: Vec<_> = predictions
            .iter()
            .map(|Prediction { fact, score, threshold, key_mention_pairs }| {
                let logit = logits[document.row(fact.pair) * n_classes + fact.relation];
                let mentions: Vec<_> =
                    key_mention_pairs.iter().map(|pair| [pair.head, pair.tail]).collect();
                json!({ "h_idx": fact.pair.head, "t_idx": fact.pair.tail,
                        "r": vocab.id(fact.relation), "logit": logit, "threshold": threshold,
                        "score": score, "evidence": fact.evidence,
                        "key_mention_pairs": mentions })
            })
            .collect();
        let line = json!({ "title": document.title, "n_entities": document.n_entities(),
                           "predictions": predictions });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_selects_the_format_in_any_case() {
        let format = |output: &str| Format::of(Path::new(output));
        for output in ["facts.jsonl", "facts.JSONL", "facts.JsonL"] {
            assert_eq!(format(output), Format::Lines, "{output}");
        }
        for output in ["facts.zip", "facts.ZIP"] {
            assert_eq!(format(output), Format::Archive, "{output}");
        }
        for output in ["facts.json", "facts.JSON", "facts", "zip"] {
            assert_eq!(format(output), Format::Submission, "{output}");
        }
    }
}
