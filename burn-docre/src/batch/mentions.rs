//! Mentions of a batch: their tokens, entities and attention rows.
//!
//! An *appearance* is a mention in a window. A mention in the overlap of two windows has two
//! appearances.

use std::ops::Range;

use burn::tensor::{Int, Tensor, backend::Backend};

use super::{
    packing::{MASKED, float_tensor, index_tensor},
    sources::{SourceList, Sources},
    windows::WindowPlan,
};
use crate::text::encoded::EncodedDocument;

/// The tokens and entities of mentions.
#[derive(Clone, Debug)]
pub struct MentionIndex<B: Backend> {
    /// The cell of each mention's marker in the document grid, `[m]`.
    pub cell: Tensor<B, 1, Int>,
    /// The mentions of each entity, `[entities * longest]`, padded with mention 0. `longest` is the
    /// largest number of mentions of an entity.
    pub of_entity: Tensor<B, 1, Int>,
    /// The mask of `of_entity`, `[entities, longest]`: 0 at mentions, -1e30 at padding.
    pub of_entity_bias: Tensor<B, 2>,
    /// The matrix that averages the mentions of each cell of the entity grid, `[b * e, m]`.
    pub average: Tensor<B, 2>,
    /// The attention rows of each appearance, one per attention head, `[appearances * n_heads]`.
    ///
    /// They index the last layer's probabilities, reshaped to `[windows * n_heads * l, l]`.
    pub attention_rows: Tensor<B, 1, Int>,
    /// The mapping from appearances to mentions. `None` if every document fits one window, because
    /// each mention then has one appearance.
    pub merge: Option<AppearanceMerge<B>>,
}

/// The mapping from appearances in overlapping windows to mentions.
#[derive(Clone, Debug)]
pub struct AppearanceMerge<B: Backend> {
    /// The appearances of each window that has any.
    pub windows: Vec<WindowAppearances>,
    /// The appearances of each mention, `[m]`, the second with the weight 1.
    pub sources: Sources<B>,
    /// 1 for mentions of documents of several windows, else 0, `[m, 1]`. Merged attention is
    /// normalised again in the former.
    pub is_windowed: Tensor<B, 2>,
}

/// The appearances of mentions in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowAppearances {
    /// The range of appearances.
    pub appearances: Range<usize>,
    /// The index in the document of the window's first content token.
    pub document_start: usize,
    /// The positions of the content in the window, without the special tokens put around it.
    pub content: Range<usize>,
}

impl<B: Backend> MentionIndex<B> {
    pub(super) fn new(
        documents: &[&EncodedDocument],
        plan: &WindowPlan,
        n_heads: usize,
        device: &B::Device,
    ) -> Self {
        let mentions = Mentions::new(documents);
        let appearances = appearances(&mentions, plan);
        let attention_rows = appearances.iter().flat_map(|appearance| {
            let first = appearance.window * n_heads;
            (first..first + n_heads)
                .map(|block| (block * plan.longest_window + appearance.position) as i32)
        });
        let (of_entity, of_entity_bias) = by_entity(documents, device);
        Self {
            cell: index_tensor(mentions.cells(plan.longest_document), device),
            of_entity,
            of_entity_bias,
            average: average(documents, mentions.places.len(), device),
            attention_rows: index_tensor(attention_rows.collect(), device),
            merge: plan.is_windowed.then(|| merge(&mentions, &appearances, plan, device)),
        }
    }
}

/// All mentions of a batch, document by document, entity by entity.
struct Mentions {
    places: Vec<Place>,
    /// The mentions of each document.
    of_document: Vec<Range<usize>>,
}

/// The place of a mention's marker.
struct Place {
    document: usize,
    token: usize,
}

impl Mentions {
    fn new(documents: &[&EncodedDocument]) -> Self {
        let (mut places, mut of_document) = (Vec::new(), Vec::new());
        for (document, encoded) in documents.iter().enumerate() {
            let start = places.len();
            let tokens = encoded.mentions.iter().flatten();
            places.extend(tokens.map(|token| Place { document, token: *token }));
            of_document.push(start..places.len());
        }
        Self { places, of_document }
    }

    fn cells(&self, longest_document: usize) -> Vec<i32> {
        let cell = |place: &Place| (place.document * longest_document + place.token) as i32;
        self.places.iter().map(cell).collect()
    }
}

/// See [`MentionIndex::of_entity`] and [`MentionIndex::of_entity_bias`].
fn by_entity<B: Backend>(
    documents: &[&EncodedDocument],
    device: &B::Device,
) -> (Tensor<B, 1, Int>, Tensor<B, 2>) {
    let sizes: Vec<usize> =
        documents.iter().flat_map(|document| &document.mentions).map(Vec::len).collect();
    let longest = sizes.iter().copied().max().unwrap_or(0);
    let mut of_entity = vec![0; sizes.len() * longest];
    let mut bias = vec![MASKED; sizes.len() * longest];
    let mut mention = 0;
    for (row, size) in sizes.iter().enumerate() {
        for slot in row * longest..row * longest + size {
            of_entity[slot] = mention;
            bias[slot] = 0.0;
            mention += 1;
        }
    }
    (index_tensor(of_entity, device), float_tensor(bias, [sizes.len(), longest], device))
}

/// See [`MentionIndex::average`]; `m` is the number of mentions.
fn average<B: Backend>(
    documents: &[&EncodedDocument],
    m: usize,
    device: &B::Device,
) -> Tensor<B, 2> {
    let e = documents.iter().map(|document| document.n_entities()).max().unwrap_or(0);
    let mut average = vec![0.0; documents.len() * e * m];
    let mut mention = 0;
    for (d, document) in documents.iter().enumerate() {
        for (entity, mentions) in document.mentions.iter().enumerate() {
            let row = (d * e + entity) * m;
            average[row + mention..row + mention + mentions.len()]
                .fill(1.0 / mentions.len() as f32);
            mention += mentions.len();
        }
    }
    float_tensor(average, [documents.len() * e, m], device)
}

/// One appearance of a mention in a window.
struct Appearance {
    window: usize,
    /// The position in the window.
    position: usize,
    mention: usize,
}

/// All appearances, window by window.
fn appearances(mentions: &Mentions, plan: &WindowPlan) -> Vec<Appearance> {
    let mut all = Vec::new();
    for (window, planned) in plan.windows.iter().enumerate() {
        for mention in mentions.of_document[planned.document].clone() {
            let token = mentions.places[mention].token;
            if planned.window.content.contains(&token) {
                all.push(Appearance { window, position: planned.position(token), mention });
            }
        }
    }
    all
}

fn merge<B: Backend>(
    mentions: &Mentions,
    appearances: &[Appearance],
    plan: &WindowPlan,
    device: &B::Device,
) -> AppearanceMerge<B> {
    let m = mentions.places.len();
    let mut sources = SourceList::new(m);
    let mut is_windowed = vec![0.0; m];
    for (i, appearance) in appearances.iter().enumerate() {
        sources.add(appearance.mention, i);
        let window = &plan.windows[appearance.window].window;
        if window.opened || window.closed {
            is_windowed[appearance.mention] = 1.0;
        }
    }
    let mut first = 0;
    let windows = appearances.chunk_by(|a, b| a.window == b.window).map(|chunk| {
        let planned = &plan.windows[chunk[0].window];
        let appearances = first..first + chunk.len();
        first = appearances.end;
        WindowAppearances {
            appearances,
            document_start: planned.window.content.start,
            content: planned.content_positions(),
        }
    });
    AppearanceMerge {
        windows: windows.collect(),
        sources: sources.tensors(1.0, device),
        is_windowed: float_tensor(is_windowed, [m, 1], device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TestBackend,
        batch::testing::{INPUT, document, indices},
    };

    fn index(documents: &[EncodedDocument], n_heads: usize) -> MentionIndex<TestBackend> {
        let documents: Vec<_> = documents.iter().collect();
        let lengths = documents.iter().map(|document| document.token_ids.len());
        let plan = WindowPlan::new(lengths, INPUT.window_rule());
        MentionIndex::new(&documents, &plan, n_heads, &Default::default())
    }

    fn floats<const D: usize>(tensor: Tensor<TestBackend, D>) -> Vec<f32> {
        tensor.into_data().to_vec().unwrap()
    }

    #[test]
    fn mention_indices_continue_across_documents() {
        let index = index(&[document(6, &[&[1], &[2, 4]]), document(4, &[&[2]])], 2);
        assert!(index.merge.is_none());
        assert_eq!(indices(index.cell), [1, 2, 4, 6 + 2]);
        assert_eq!(indices(index.of_entity), [0, 0, 1, 2, 3, 0]);
        assert_eq!(floats(index.of_entity_bias), [0.0, MASKED, 0.0, 0.0, 0.0, MASKED]);
        #[rustfmt::skip]
        let average = [
            1.0, 0.0, 0.0, 0.0,
            0.0, 0.5, 0.5, 0.0,
            0.0, 0.0, 0.0, 1.0,
            0.0, 0.0, 0.0, 0.0, // the second document has no second entity
        ];
        assert_eq!(floats(index.average), average);
        // Windows of at most six tokens and two attention heads: the row of a mention is
        // (window * 2 + attention head) * 6 + position.
        assert_eq!(indices(index.attention_rows), [1, 7, 2, 8, 4, 10, 14, 20]);
    }

    #[test]
    fn a_mention_in_the_overlap_of_two_windows_appears_twice() {
        // The second document has tokens 0 to 6 in its first window and 4 to 10 in its second,
        // there at positions 1 to 7.
        let index = index(&[document(3, &[&[1]]), document(11, &[&[1, 5], &[9]])], 1);
        let merge = index.merge.expect("two windows");
        let windows = [
            WindowAppearances { appearances: 0..1, document_start: 0, content: 0..3 },
            WindowAppearances { appearances: 1..3, document_start: 0, content: 0..7 },
            WindowAppearances { appearances: 3..5, document_start: 4, content: 1..8 },
        ];
        assert_eq!(merge.windows, windows);
        assert_eq!(indices(index.attention_rows), [1, 8 + 1, 8 + 5, 16 + 2, 16 + 6]);
        assert_eq!(indices(merge.sources.first), [0, 1, 2, 4]);
        assert_eq!(indices(merge.sources.second), [0, 1, 3, 4]);
        assert_eq!(floats(merge.sources.second_weight), [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(floats(merge.is_windowed), [0.0, 1.0, 1.0, 1.0]);
    }
}
