//! `docre predict`: writes the relations that a model finds in documents.

mod scores;
mod source;
mod table;

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, bail, ensure};
use burn_docre::{
    BackendTask, DocReBackend,
    data::{
        document::{Document, Mention},
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

use self::{
    scores::Scores,
    source::{Source, path_of},
};
use super::{
    inputs::fetch,
    output::{has_extension, without_compression, write_text},
    titles::Titles,
};
use crate::{
    cli::{PredictArgs, PredictInput},
    run::files,
    session::Session,
    ui::{Task, table::printable},
};

/// Writes the relations of the input documents, in the format that the extension of the output
/// names. Without an output, writes tables to standard output.
pub(super) fn run(session: &Session, args: &PredictArgs) -> Result<()> {
    let target = match &args.output {
        Some(path) => Target::File { path, format: check_output(path, args)? },
        None => Target::Tables,
    };
    let args = &fetch(session, args)?;
    session.dispatch(Predict { session, args, target })
}

/// The format of `output`, which must not be one of the inputs.
fn check_output(output: &Path, args: &PredictArgs) -> Result<Format> {
    let format = Format::of(output)?;
    ensure!(
        !args.all_scores || matches!(format, Format::Lines | Format::Tensors),
        "{}: `--all-scores` writes JSON lines or tensors; give a `.jsonl` file or a `.safetensors` \
         file",
        output.display()
    );
    let model = model_directory::FILES.map(|name| args.model.join(name));
    let PredictInput { input, text_file, .. } = &args.documents;
    let inputs = input.iter().chain(text_file).chain(&model).map(PathBuf::as_path);
    files::check_output(output, &inputs.collect::<Vec<_>>())?;
    files::check_directory_of(output)?;
    ensure!(
        args.all_scores || format != Format::Tensors,
        "{}: a safetensors file holds the logits of all pairs; give `--all-scores`, too",
        output.display()
    );
    Ok(format)
}

/// The place for the relations.
enum Target<'a> {
    /// Standard output, as tables.
    Tables,
    File {
        path: &'a Path,
        format: Format,
    },
}

struct Predict<'a> {
    session: &'a Session<'a>,
    args: &'a PredictArgs,
    target: Target<'a>,
}

impl BackendTask for Predict<'_> {
    type Output = Result<()>;

    fn run<B: DocReBackend>(self, device: B::Device) -> Result<()> {
        let Self { session, args, target } = self;
        let mut source = Source::open(&args.documents, &args.reading)?;
        let place = path_of(&args.documents);
        if let Some(note) = source.note() {
            session.ui.note(&format!("{}: {note}", place.display()));
        }
        let directory = ModelDirectory::open(&args.model)?;
        let precision = session.precision::<B>(args.precision, &device)?;
        let model = with_precision(directory.model::<B>(&device)?, precision);
        let spec = directory.into_spec();
        let inference = Inference::new(model, spec.config.clone(), device);
        let names = RefCell::new(VecDeque::new());
        let documents = source.by_ref().map(|document| {
            let document = document?;
            names.borrow_mut().push_back(names_of(&document));
            Ok(Arc::new(EncodedDocument::encode(&document, &spec)?))
        });
        let mut documents = Predictions {
            session,
            logits: inference.run(documents),
            names: &names,
            task: session.ui.task("predicting documents", None),
            titles: Titles::default(),
            all_scores: args.all_scores,
            has_titles: args.documents.input.is_some(),
            error: None,
        };
        let written = match target {
            Target::Tables => write_tables(session, &mut documents, &spec.vocab),
            Target::File { path, format } => {
                write(session, path, format, &mut documents, &spec.vocab)
            }
        };
        let Predictions { logits, task, titles, error, .. } = documents;
        drop((logits, task));
        match error {
            Some(error) => return Err(error),
            None => written?,
        }
        if let Some(skipped) = source.skipped() {
            session.ui.note_skipped(place, skipped);
        }
        if let Some(note) = titles.note() {
            session.ui.note(&format!("{}: {note}", place.display()));
        }
        Ok(())
    }
}

/// The names of the entities: those of their first mentions.
fn names_of(document: &Document) -> Vec<String> {
    let name = |mention: &Mention| mention.name.clone();
    let entities = document.entities.iter();
    entities.map(|entity| entity.mentions.first().map(name).unwrap_or_default()).collect()
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
    if format == Format::Tensors {
        return Ok(write_atomically(path, |out| {
            let mut scores = Scores::new(path, vocab)?;
            for Predicted { found: DocumentLogits { document, logits, .. }, .. } in
                documents.by_ref()
            {
                scores.add(&document.title, document.pairs(), &logits)?;
            }
            documents.check()?;
            scores.write(out)
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

/// Writes the tables of all documents to standard output, and fails at the first error that
/// `documents` stores.
fn write_tables<I: Iterator<Item = Result<DocumentLogits>>>(
    session: &Session,
    documents: &mut Predictions<I>,
    vocab: &RelationVocab,
) -> Result<()> {
    let has_titles = documents.has_titles;
    session.ui.results_with(|out| {
        let mut space = "";
        for Predicted { found, predictions, names } in documents.by_ref() {
            let table = table::render(&names, &predictions, vocab);
            if has_titles {
                write!(out, "{space}{}\n\n", printable(&found.document.title))?;
                space = "\n\n";
            }
            write!(out, "{table}")?;
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
    /// The logits of all pairs as safetensors.
    Tensors,
}

impl Format {
    /// The format that the extension of `output`, in any case, names: `zip`, `jsonl`,
    /// `safetensors`, or any other for the submission. A further `gz` compresses the file.
    fn of(output: &Path) -> Result<Self> {
        let text = without_compression(output);
        if has_extension(text, "jsonl") {
            Ok(Self::Lines)
        } else if has_extension(output, "zip") {
            Ok(Self::Archive)
        } else if has_extension(text, "zip") {
            bail!("{}: an archive is compressed already; remove `.gz`", output.display())
        } else if has_extension(output, "safetensors") {
            Ok(Self::Tensors)
        } else if has_extension(text, "safetensors") {
            bail!("{}: safetensors files are not compressed; remove `.gz`", output.display())
        } else {
            Ok(Self::Submission)
        }
    }
}

/// The logits of a document and the relations decoded from them.
struct Predicted {
    found: DocumentLogits,
    predictions: Vec<Prediction>,
    /// The names of the entities.
    names: Vec<String>,
}

/// An iterator over decoded documents. It ends at the first error and stores it in `error`.
struct Predictions<'a, I> {
    session: &'a Session<'a>,
    logits: I,
    /// The names of the entities of the documents that are encoded and not yet decoded.
    names: &'a RefCell<VecDeque<Vec<String>>>,
    task: Task,
    titles: Titles,
    all_scores: bool,
    /// True if the tables of the documents stand under their titles.
    has_titles: bool,
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
        let names = self.names.borrow_mut().pop_front().unwrap_or_default();
        self.titles.add(&found.document.title);
        self.task.advance(1);
        Ok(Predicted { found, predictions, names })
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
        let Predicted { found: DocumentLogits { document, .. }, predictions, .. } = document;
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
fn predictions(
    Predicted { found, predictions, .. }: &Predicted,
    vocab: &RelationVocab,
) -> Vec<Value> {
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
        assert_eq!(format("all.SafeTensors"), Format::Tensors);
        for output in ["facts.zip.gz", "all.safetensors.gz"] {
            let error = Format::of(Path::new(output)).unwrap_err().to_string();
            assert!(error.ends_with("remove `.gz`"), "{error}");
        }
    }
}
