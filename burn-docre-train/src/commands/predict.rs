//! `docre predict`: writes the relations that a model finds in documents.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, bail, ensure};
use burn_docre::{
    BackendTask, DocReBackend,
    data::{
        docred::{DocRedReader, Labels},
        pair::EntityPair,
        relation::RelationVocab,
        submission::{ARCHIVED, SubmittedFact, write_json},
    },
    inference::{DocumentLogits, Inference, decode::Prediction},
    io::{
        atomic_file::write_atomically,
        model_directory::{self, ModelDirectory},
    },
    nn::rounding::with_precision,
    text::encoded::EncodedDocument,
};
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    output::{has_extension, without_compression, write_text},
    titles::Titles,
};
use crate::{
    cli::{PredictArgs, ReadingArgs},
    run::files,
    session::Session,
    ui::Task,
};

/// Writes the relations of the input documents in the format that the extension of the output
/// names.
pub(super) fn run(session: &Session, args: &PredictArgs) -> Result<()> {
    let format = Format::of(&args.output)?;
    ensure!(
        !args.all_scores || format == Format::Lines,
        "{}: `--all-scores` writes JSON lines; give a `.jsonl` file",
        args.output.display()
    );
    let model = model_directory::FILES.map(|name| args.model.join(name));
    let inputs = std::iter::once(&args.input).chain(&model).map(PathBuf::as_path);
    files::check_output(&args.output, &inputs.collect::<Vec<_>>())?;
    session.dispatch(Predict { session, args, format })
}

struct Predict<'a> {
    session: &'a Session<'a>,
    args: &'a PredictArgs,
    format: Format,
}

impl BackendTask for Predict<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let Self { session, args, format } = self;
        let directory = ModelDirectory::open(&args.model)?;
        session.check_precision::<B>(args.precision, &device)?;
        let model = with_precision(directory.model::<B>(&device)?, args.precision);
        let spec = directory.into_spec();
        let inference = Inference::new(model, spec.config.clone(), device);
        let reader = DocRedReader::open(&args.input, Labels::Ignore)?;
        let ReadingArgs { on_invalid, hacred_view } = args.reading;
        let mut reader = reader.on_invalid(on_invalid).with_hacred_view(hacred_view);
        let documents = reader
            .by_ref()
            .map(|document| Ok(Arc::new(EncodedDocument::encode(&document?, &spec)?)));
        let mut documents = Predictions {
            session,
            logits: inference.run(documents),
            task: session.ui.task("predicting documents", None),
            titles: Titles::default(),
            all_scores: args.all_scores,
            error: None,
        };
        let written = write(session, &args.output, format, &mut documents, &spec.vocab);
        let Predictions { logits, task, titles, error, .. } = documents;
        drop((logits, task));
        match error {
            Some(error) => return Err(error),
            None => written?,
        }
        session.ui.note_skipped(&args.input, reader.skipped());
        if let Some(note) = titles.note() {
            session.ui.note(&format!("{}: {note}", args.input.display()));
        }
        Ok(())
    }
}

/// Writes all documents, and fails at the first error that `documents` stores.
fn write<I: Iterator<Item = Result<DocumentLogits>>>(
    session: &Session,
    path: &Path,
    format: Format,
    documents: &mut Predictions<I>,
    vocab: &RelationVocab,
) -> Result<()> {
    if format == Format::Archive {
        return Ok(write_atomically(path, |out| {
            write_archive(out, &mut *documents, vocab)?;
            documents.check()
        })?);
    }
    write_text(session.ui, path, |mut out| {
        if format == Format::Lines {
            let all_scores = documents.all_scores;
            write_lines(&mut out, &mut *documents, vocab, all_scores)?;
        } else {
            write_json(&mut out, facts(&mut *documents, vocab))?;
        }
        documents.check()
    })
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
    /// for the submission. A further `gz` compresses the file.
    fn of(output: &Path) -> Result<Self> {
        let text = without_compression(output);
        if has_extension(text, "jsonl") {
            Ok(Self::Lines)
        } else if has_extension(output, "zip") {
            Ok(Self::Archive)
        } else if has_extension(text, "zip") {
            bail!("{}: an archive is compressed already; remove `.gz`", output.display())
        } else {
            Ok(Self::Submission)
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
    titles: Titles,
    all_scores: bool,
    error: Option<anyhow::Error>,
}

impl<I: Iterator<Item = Result<DocumentLogits>>> Predictions<'_, I> {
    /// Fails if the documents ended at an error, so that no incomplete file is kept.
    fn check(&self) -> io::Result<()> {
        match &self.error {
            Some(error) => Err(io::Error::other(error.to_string())),
            None => Ok(()),
        }
    }

    fn decode(&mut self, found: Result<DocumentLogits>) -> Result<Predicted> {
        self.session.stop.check()?;
        let found = found?;
        let predictions = found.predictions()?;
        self.titles.add(&found.document.title);
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
    archive.start_file(ARCHIVED, options)?;
    let mut json = BufWriter::new(&mut archive);
    write_json(&mut json, facts(documents, vocab))?;
    json.flush()?;
    drop(json);
    archive.finish()?;
    Ok(())
}

/// Writes one JSON line per document: each prediction with its logit, its score, the threshold of
/// its pair and its evidence, or with `all_scores` the logits of every pair.
fn write_lines(
    out: &mut impl Write,
    documents: impl Iterator<Item = Predicted>,
    vocab: &RelationVocab,
    all_scores: bool,
) -> io::Result<()> {
    for document in documents {
        let (key, values) = if all_scores {
            ("pairs", pairs(&document, vocab))
        } else {
            ("predictions", predictions(&document, vocab))
        };
        let document = &document.found.document;
        let n_entities = document.n_entities();
        let line = json!({ "title": document.title, "n_entities": n_entities, key: values });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The predicted facts of a document.
fn predictions(Predicted { found, predictions }: &Predicted, vocab: &RelationVocab) -> Vec<Value> {
    let value = |prediction: &Prediction| {
        let Prediction { fact, score, threshold, key_mention_pairs } = prediction;
        let row = found.document.row(fact.pair) * vocab.n_classes();
        let logit = found.logits[row + fact.relation];
        let mentions: Vec<_> =
            key_mention_pairs.iter().map(|pair| [pair.head, pair.tail]).collect();
        json!({ "h_idx": fact.pair.head, "t_idx": fact.pair.tail, "r": vocab.id(fact.relation),
                "logit": logit, "threshold": threshold, "score": score,
                "evidence": fact.evidence, "key_mention_pairs": mentions })
    };
    predictions.iter().map(value).collect()
}

/// The classified pairs of a document with the logits of all classes.
fn pairs(Predicted { found, .. }: &Predicted, vocab: &RelationVocab) -> Vec<Value> {
    let rows = found.document.pairs().zip(found.logits.chunks_exact(vocab.n_classes()));
    let value = |(EntityPair { head, tail }, logits): (EntityPair, &[f32])| json!({ "h_idx": head, "t_idx": tail, "logits": logits });
    rows.map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_selects_the_format_in_any_case() {
        let format = |output: &str| Format::of(Path::new(output)).unwrap();
        for output in ["facts.jsonl", "facts.JSONL", "facts.JsonL", "facts.jsonl.gz"] {
            assert_eq!(format(output), Format::Lines, "{output}");
        }
        for output in ["facts.zip", "facts.ZIP"] {
            assert_eq!(format(output), Format::Archive, "{output}");
        }
        for output in ["facts.json", "facts.JSON", "facts", "zip", "-", "facts.json.gz", "x.GZ"] {
            assert_eq!(format(output), Format::Submission, "{output}");
        }
        assert!(Format::of(Path::new("facts.zip.gz")).is_err());
    }
}
