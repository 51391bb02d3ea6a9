//! Collects the documents of a report: the predictions of a system, and its axial attention.

use anyhow::Result;
use burn_docre::{
    DocReBackend, Document, EntityPair,
    inference::decode::Prediction,
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
use crate::{report::system::System, session::Session};

/// The maximum number of entities of a document whose attention is computed. A layer's tensor has
/// its third power.
pub(super) const MAX_ENTITIES: usize = 128;
/// The maximum number of attention weights of all documents. Each takes two characters in the page.
pub(super) const MAX_WEIGHTS: usize = 1 << 20;

/// Collects the chosen documents of `system` with their predictions. The model computes the axial
/// attention if its system has any.
///
/// # Errors
/// If a chosen document does not exist, the model cannot be opened, or a weight is NaN.
pub fn collect<B: DocReBackend>(
    session: &Session,
    system: &System,
    choice: &Choice,
    device: &B::Device,
) -> Result<DocumentViews> {
    let corpus = &system.corpus;
    let chosen = choice.indices(&corpus.documents)?;
    let chosen: Vec<(&Document, &[Prediction])> = chosen
        .into_iter()
        .map(|index| (&corpus.documents[index], system.predictions[index].as_slice()))
        .collect();
    let anchors = anchors(chosen.iter().map(|(document, _)| document.title.as_str()));
    let view = |((document, predictions), anchor): (&(&Document, &[Prediction]), String)| {
        DocumentView::new(document, predictions, &corpus.vocab, anchor)
    };
    let mut views: Vec<DocumentView> = chosen.iter().zip(anchors).map(view).collect();

    let directory = ModelDirectory::open(&system.model)?;
    let config = &directory.spec().config.system;
    let (mixer, names_evidence) = (MixerView::of(config), config.names_evidence());
    if mixer != MixerView::None {
        let model = directory.model::<B>(device)?;
        let max_weights = MAX_WEIGHTS / views.len().max(1);
        let mixing = Mixing { model, spec: directory.into_spec(), max_weights, device };
        let mut task = session.ui.task("computing axial attention", Some(views.len()));
        for (view, (document, _)) in views.iter_mut().zip(&chosen) {
            session.stop.check()?;
            view.attention = mixing.attention(document, view.pairs())?;
            task.advance(1);
        }
    }
    Ok(DocumentViews {
        system: system.name.clone(),
        names_evidence,
        mixer,
        n_dev: corpus.documents.len(),
        rule: choice.rule(),
        documents: views,
    })
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
    /// with too many entities, or if there is no pair to show.
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
