//! `docre predict`: relations of documents, in the submission format.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::Arc,
};

use anyhow::Result;
use burn_docre::{
    atomic_file::write_atomically,
    backend::BackendTask,
    corpus::docred::{DocRedReader, Labels},
    features::EncodedDocument,
    model::DocReModel,
    model_dir::ModelParts,
    ops::DocReBackend,
    precision::with_precision,
    predict::{Prediction, predict},
    relation::{RelationVocab, THRESHOLD_CLASS},
    submission::{SubmittedFact, write_json},
};
use serde_json::json;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    cli::PredictArgs,
    dev::{batches, infer},
    stages::Session,
    ui::Task,
};

/// Documents in memory at a time.
const WAITING: usize = 16;

/// `docre predict`.
pub fn run(session: &Session, args: &PredictArgs) -> Result<()> {
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
        let parts = ModelParts::load(&args.model)?;
        args.precision.check::<B>(&device)?;
        let model = with_precision(parts.load_model(&args.model, &device)?, args.precision);
        let mut documents = Predictions::<B> {
            session,
            parts: &parts,
            model,
            device,
            reader: DocRedReader::open(&args.input, Labels::Ignore)?,
            task: session.ui.task("predicting documents", None),
            ready: Vec::new().into_iter(),
            error: None,
        };
        let extension = args.output.extension().and_then(|extension| extension.to_str());
        let written = write_atomically(&args.output, |out| {
            match extension {
                Some("jsonl") => write_lines(out, &mut documents, &parts.vocab)?,
                Some("zip") => write_archive(out, &mut documents, &parts.vocab)?,
                _ => write_json(out, facts(&mut documents, &parts.vocab))?,
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

/// One document's predictions and its logits.
struct Predicted {
    title: String,
    n_entities: usize,
    predictions: Vec<Prediction>,
    logits: Vec<f32>,
}

/// Predicts document by document; ends at the first error, which it keeps.
struct Predictions<'a, B: DocReBackend> {
    session: &'a Session<'a>,
    parts: &'a ModelParts,
    model: DocReModel<B>,
    device: B::Device,
    reader: DocRedReader<'a>,
    task: Task,
    ready: std::vec::IntoIter<Predicted>,
    error: Option<anyhow::Error>,
}

impl<B: DocReBackend> Predictions<'_, B> {
    fn next_documents(&mut self) -> Result<Vec<Predicted>> {
        let mut documents = Vec::new();
        for document in self.reader.by_ref().take(WAITING) {
            let encoded = EncodedDocument::encode(&document?, &self.parts.tokenizer)?;
            documents.push(Arc::new(encoded));
        }
        let config = &self.parts.config;
        let mut predicted = Vec::new();
        for range in batches(&documents) {
            self.session.stop.check()?;
            let batch = &documents[range];
            let logits = infer(&self.model, config, batch, &self.device);
            for (document, logits) in batch.iter().zip(logits) {
                let n_entities = document.n_entities();
                let predictions =
                    predict(&logits, n_entities, config.n_classes, config.max_relations_per_pair);
                let title = document.title.clone();
                predicted.push(Predicted { title, n_entities, predictions, logits });
            }
            self.task.advance(batch.len());
        }
        Ok(predicted)
    }
}

impl<B: DocReBackend> Iterator for Predictions<'_, B> {
    type Item = Predicted;

    fn next(&mut self) -> Option<Predicted> {
        loop {
            if let Some(predicted) = self.ready.next() {
                return Some(predicted);
            }
            if self.error.is_some() {
                return None;
            }
            match self.next_documents() {
                Ok(documents) if documents.is_empty() => return None,
                Ok(documents) => self.ready = documents.into_iter(),
                Err(error) => self.error = Some(error),
            }
        }
    }
}

/// The submission's facts.
fn facts<'a>(
    documents: impl Iterator<Item = Predicted> + 'a,
    vocab: &'a RelationVocab,
) -> impl Iterator<Item = SubmittedFact> + 'a {
    documents.flat_map(move |document| {
        let Predicted { title, predictions, .. } = document;
        predictions.into_iter().map(move |prediction| SubmittedFact {
            title: title.clone(),
            h_idx: prediction.fact.pair.head,
            t_idx: prediction.fact.pair.tail,
            r: vocab.id(prediction.fact.relation).to_string(),
            evidence: prediction.fact.evidence,
            score: Some(prediction.score),
        })
    })
}

/// The leaderboard's archive: `result.json` in a zip file.
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

/// One line a document: each prediction with its logit and the pair's threshold.
fn write_lines(
    out: &mut impl Write,
    documents: impl Iterator<Item = Predicted>,
    vocab: &RelationVocab,
) -> io::Result<()> {
    let n_classes = vocab.n_classes();
    for document in documents {
        let predictions: Vec<_> = document
            .predictions
            .iter()
            .map(|Prediction { fact, score }| {
                let row = fact.pair.off_diagonal_row(document.n_entities) * n_classes;
                let (logit, threshold) =
                    (document.logits[row + fact.relation], document.logits[row + THRESHOLD_CLASS]);
                json!({ "h_idx": fact.pair.head, "t_idx": fact.pair.tail,
                        "r": vocab.id(fact.relation), "logit": logit, "threshold": threshold,
                        "score": score })
            })
            .collect();
        let line = json!({ "title": document.title, "n_entities": document.n_entities,
                           "predictions": predictions });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
