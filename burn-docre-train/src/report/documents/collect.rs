//! Collects the documents of a report: the predictions of a model, and its axial attention.

use anyhow::{Result, ensure};
use burn_docre::{
    DocReBackend, Document, EntityPair,
    io::model_directory::{ModelDirectory, ModelSpec},
    model::DocReModel,
    text::encoded::EncodedDocument,
};

use super::{
    anchor::anchors,
    attention::attention_of,
    choice::Choice,
    view::{Attention, DocumentView, DocumentViews, MixerView},
};
use crate::{report::scored_model::ScoredModel, session::Session, ui::signals::Stopped};

/// The maximum number of entities of a document whose attention is computed. A layer's tensor has
/// its third power.
pub(super) const MAX_ENTITIES: usize = 128;
/// The maximum number of attention weights of all documents. Each takes two characters in the page.
pub(super) const MAX_WEIGHTS: usize = 1 << 20;

/// Collects the chosen documents of `scored` with its predictions. The model computes the axial
/// attention if its system has any, unless it is gone or has been replaced since it predicted.
///
/// # Errors
/// If a chosen document does not exist, or the stop flag is set.
pub fn collect<B: DocReBackend>(
    session: &Session,
    scored: &ScoredModel,
    choice: &Choice,
    device: &B::Device,
) -> Result<DocumentViews> {
    let corpus = &scored.corpus;
    let chosen = choice.indices(&corpus.documents)?;
    // The anchors of all documents, so that the choice does not change them.
    let anchors = anchors(corpus.documents.iter().map(|document| document.title.as_str()));
    let view = |&index: &usize| {
        let (document, predictions) = (&corpus.documents[index], &scored.predictions[index]);
        DocumentView::new(document, predictions, &scored.vocab, anchors[index].clone())
    };
    let mut views: Vec<DocumentView> = chosen.iter().map(view).collect();

    let mixer = MixerView::of(&scored.system);
    let mut missing = None;
    if mixer != MixerView::None {
        match add_attention::<B>(session, scored, &chosen, &mut views, device) {
            Ok(()) => {}
            Err(error) if error.is::<Stopped>() => return Err(error),
            Err(error) => {
                // The predictions are not lost, and no document has more than the others.
                views.iter_mut().for_each(|view| view.attention = None);
                let message = format!("{}: no axial attention: {error:#}", scored.name);
                session.ui.note(&message);
                missing = Some(message);
            }
        }
    }
    Ok(DocumentViews {
        model: scored.name.clone(),
        names_evidence: scored.system.names_evidence(),
        mixer,
        n_dev: corpus.documents.len(),
        rule: choice.rule(),
        documents: views,
        missing,
    })
}

/// Adds the axial attention of the model that has predicted.
fn add_attention<B: DocReBackend>(
    session: &Session,
    scored: &ScoredModel,
    chosen: &[usize],
    views: &mut [DocumentView],
    device: &B::Device,
) -> Result<()> {
    let directory = ModelDirectory::open(&scored.directory)?;
    ensure!(directory.id()? == scored.id, "the model was replaced after its predictions");
    let model = directory.model::<B>(device)?;
    let max_weights = MAX_WEIGHTS / views.len().max(1);
    let mixing = Mixing { model, spec: directory.into_spec(), max_weights, device };
    let mut task = session.ui.task("computing axial attention", Some(views.len()));
    for (view, &index) in views.iter_mut().zip(chosen) {
        session.stop.check()?;
        view.attention = mixing.attention(&scored.corpus.documents[index], view.pairs())?;
        task.advance(1);
    }
    Ok(())
}

/// A model with a pair mixer.
struct Mixing<'a, B: DocReBackend> {
    model: DocReModel<B>,
    spec: ModelSpec,
    /// The maximum number of weights of a document.
    max_weights: usize,
    device: &'a B::Device,
}

impl<B: DocReBackend> Mixing<'_, B> {
    /// The attention of the first of `pairs`, as many as the limit allows. `None` for a document
    /// with too many entities, or if there is no pair to show, also because of the limit.
    fn attention(
        &self,
        document: &Document,
        mut pairs: Vec<EntityPair>,
    ) -> Result<Option<Attention>> {
        let n_entities = document.entities.len();
        // Mean and maximum for two axes of each layer, and possibly a pad entity.
        let of_pair = MixerView::of(&self.spec.config.system).n_layers() * 4 * (n_entities + 1);
        let n_left_out = pairs.len().saturating_sub(self.max_weights / of_pair);
        pairs.truncate(pairs.len() - n_left_out);
        if n_entities > MAX_ENTITIES || pairs.is_empty() {
            return Ok(None);
        }
        let encoded = EncodedDocument::encode(document, &self.spec)?;
        let encoder = &self.spec.config.encoder;
        let pairs = attention_of(&self.model, encoder, &encoded, &pairs, self.device)?;
        Ok(Some(Attention { n_entities, pairs, n_left_out }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burn_docre::{
        BackendTask, PairSet, RelationVocab, dispatch,
        encoder::ScratchEncoderConfig,
        eval::{FrequentRelations, PredictionSet, Report, Scorer},
        io::model_directory,
        model::{DecodingConfig, ModelConfig},
        ops,
        text::tokenizer::DocumentTokenizer,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        cli::LogFormat,
        report::documents::view::testing,
        run::corpora::DevCorpus,
        ui::{Ui, signals::StopFlag},
    };

    fn spec(system: &Value) -> ModelSpec {
        let document = testing::document();
        let words = document.sentences.iter().flatten().map(String::as_str);
        let tokenizer = DocumentTokenizer::word_level(words).unwrap();
        let scratch = ScratchEncoderConfig {
            layers: 1,
            hidden_size: 8,
            heads: 2,
            intermediate_size: 8,
            max_tokens: 32,
            dropout: 0.0,
        };
        let vocab = RelationVocab::docred();
        let config = ModelConfig {
            encoder: scratch.encoder(tokenizer.vocab_size()),
            system: serde_json::from_value(system.clone()).unwrap(),
            n_classes: vocab.n_classes(),
            decoding: DecodingConfig::default(),
            pair_set: PairSet::OffDiagonal,
        };
        ModelSpec { config, tokenizer, vocab }
    }

    /// The test document and one without entities, without predictions.
    fn scored(model: &std::path::Path) -> ScoredModel {
        let empty = Document {
            title: "Empty".into(),
            sentences: Vec::new(),
            entities: Vec::new(),
            facts: Vec::new(),
        };
        let documents = vec![testing::document(), empty];
        let (scorer, vocab) = (Scorer::new(&documents, &[]).unwrap(), RelationVocab::docred());
        let none = PredictionSet::default();
        let report = Report::new(&scorer, &none, &vocab, FrequentRelations::ReDocRed);
        ScoredModel {
            index: 0,
            key: "A".into(),
            name: "test".into(),
            directory: model.into(),
            id: model_directory::id_of(model).unwrap(),
            system: ModelDirectory::open(model).unwrap().spec().config.system.clone(),
            vocab: vocab.clone(),
            corpus: Arc::new(DevCorpus { documents, vocab, scorer }),
            predictions: vec![Vec::new(); 2],
            report,
        }
    }

    /// Collects the documents with a model of random weights of this system.
    struct Collected<'a>(&'a Value);

    impl BackendTask for Collected<'_> {
        type Output = DocumentViews;

        fn run<B: DocReBackend>(self, device: B::Device) -> DocumentViews {
            let directory = tempfile::tempdir().unwrap();
            let spec = spec(self.0);
            spec.save(directory.path(), &spec.config.init::<B>(&device)).unwrap();
            let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
            let (session, choice) =
                (Session::new(&ui, &stop), Choice::Named(vec!["0".into(), "1".into()]));
            collect::<B>(&session, &scored(directory.path()), &choice, &device).unwrap()
        }
    }

    fn with_mixer(mixer: Value) -> Value {
        json!({ "kind": "kd-docre", "emb_size": 8, "group_size": 4, "mixer": mixer })
    }

    #[test]
    fn every_system_with_a_mixer_shows_the_attention_of_the_gold_pairs() {
        let stack = |pad_to: Option<usize>| json!({ "kind": "axial-stack", "layers": 2, "heads": 2, "pad_to": pad_to });
        for (system, n_layers, n_weights) in [
            (with_mixer(stack(None)), 2, 3),
            (with_mixer(stack(Some(5))), 2, 4),
            (with_mixer(json!({ "kind": "two-hop" })), 1, 3),
        ] {
            let views = dispatch(None, 0, Collected(&system)).unwrap();
            assert!(!views.names_evidence && views.n_dev == 2, "{system}");
            let [document, empty] = &views.documents[..] else { panic!("two documents") };
            assert_eq!(empty.attention, None);
            let attention = document.attention.as_ref().expect("a system with a mixer");
            assert_eq!((attention.n_left_out, attention.has_pad()), (0, n_weights == 4));
            let pairs: Vec<_> = attention.pairs.iter().map(|p| (p.head, p.tail)).collect();
            assert_eq!(pairs, [(0, 1), (1, 2)]);
            for layers in attention.pairs.iter().map(|pair| &pair.layers) {
                assert_eq!(layers.len(), n_layers);
                for weights in layers.iter().flat_map(|layer| [&layer.column, &layer.row]) {
                    assert_eq!((weights.mean.len(), weights.maximum.len()), (n_weights, n_weights));
                    let sum: i32 = weights.mean.iter().map(|weight| i32::from(*weight)).sum();
                    assert!((sum - 255).abs() <= 2, "{system}: {weights:?}");
                    let both = weights.mean.iter().zip(&weights.maximum);
                    assert!(both.into_iter().all(|(mean, maximum)| mean <= maximum));
                }
            }
        }
    }

    /// Collects the documents with a model that is replaced after its predictions.
    struct Replaced;

    impl BackendTask for Replaced {
        type Output = DocumentViews;

        fn run<B: DocReBackend>(self, device: B::Device) -> DocumentViews {
            let directory = tempfile::tempdir().unwrap();
            let spec = spec(&with_mixer(json!({ "kind": "two-hop" })));
            let save = |seed| {
                let model = ops::seeded::<B, _>(seed, &device, || spec.config.init::<B>(&device));
                spec.save(directory.path(), &model).unwrap();
            };
            save(1);
            let scored = scored(directory.path());
            save(2);
            let (ui, stop) = (Ui::new(LogFormat::Json), StopFlag::default());
            let session = Session::new(&ui, &stop);
            collect::<B>(&session, &scored, &Choice::default(), &device).unwrap()
        }
    }

    #[test]
    fn a_model_that_was_replaced_after_its_predictions_has_no_attention_and_a_message() {
        let views = dispatch(None, 0, Replaced).unwrap();
        assert!(views.documents.iter().all(|view| view.attention.is_none()));
        let expected = "test: no axial attention: the model was replaced after its predictions";
        assert_eq!(views.missing.as_deref(), Some(expected));
    }

    #[test]
    fn a_system_without_a_mixer_has_no_attention() {
        let atlop = json!({ "kind": "atlop", "emb_size": 8, "group_size": 4 });
        let kmgre = json!({ "kind": "kmgre", "key_classifier": { "kind": "none" } });
        for (system, names_evidence) in
            [(with_mixer(json!({ "kind": "none" })), false), (atlop, false), (kmgre, true)]
        {
            let views = dispatch(None, 0, Collected(&system)).unwrap();
            assert_eq!(views.names_evidence, names_evidence, "{system}");
            assert!(views.documents.iter().all(|view| view.attention.is_none()), "{system}");
        }
    }
}
