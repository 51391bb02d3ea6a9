//! Documents as tensors: named index tensors with their masks.
//!
//! Everything is built on the host in one pass over the documents. Sizes follow the batch's own maximum; there is no limit
//! on entities, mentions or tokens.

pub mod packing;
pub mod windows;

use std::ops::Range;

use burn::tensor::{Int, Tensor, backend::Backend};

use crate::{
    batch::{
        packing::{MASKED, Packing, float_tensor, index_tensor, key_bias},
        windows::{Window, WindowRule},
    },
    data::relation::THRESHOLD_CLASS,
    encoder::{EncoderConfig, TokenGrid},
    ops::{Line, Lines},
    text::encoded::EncodedDocument,
};

/// A batch of documents, ready for a model.
#[derive(Clone, Debug)]
pub struct DocReBatch<B: Backend> {
    /// The windows that the encoder reads.
    pub tokens: TokenGrid<B>,
    /// How windows become documents.
    pub documents: DocumentIndex<B>,
    /// Where mentions stand and which entity they belong to.
    pub mentions: MentionIndex<B>,
    /// The pairs of entities.
    pub pairs: PairIndex<B>,
    positives: Vec<(usize, usize)>,
    pairs_per_document: Vec<usize>,
    device: B::Device,
}

/// How the rows of windows become a grid of documents.
#[derive(Clone, Debug)]
pub struct DocumentIndex<B: Backend> {
    /// Documents and the longest document's length, `[b, l]`.
    pub shape: [usize; 2],
    /// How to merge windows; `None` if every document is one window, when the token grid is the document grid.
    pub merge: Option<WindowMerge<B>>,
}

/// The one or two window rows that each token of the document grid comes from.
#[derive(Clone, Debug)]
pub struct WindowMerge<B: Backend> {
    /// Row of the first window that covers the token, `[b * l]`.
    pub first: Tensor<B, 1, Int>,
    /// Row of the second, or of the first again, `[b * l]`.
    pub second: Tensor<B, 1, Int>,
    /// The second's weight: one half where two windows cover the token, else 0, `[b * l, 1]`.
    pub second_weight: Tensor<B, 2>,
}

/// Where mentions stand and which entity they belong to.
#[derive(Clone, Debug)]
pub struct MentionIndex<B: Backend> {
    /// Cell of the document grid of each mention's marker, `[m]`.
    pub cell: Tensor<B, 1, Int>,
    /// Mentions of each entity, `[entities * longest]`, padded with mention 0.
    pub of_entity: Tensor<B, 1, Int>,
    /// The mask of that padding: 0 or hugely negative, `[entities, longest]`.
    pub of_entity_bias: Tensor<B, 2>,
    /// Averages mentions into the entity grid, `[b * e, m]`.
    pub average: Tensor<B, 2>,
    /// Rows of the last attention, seen as `[windows * n_heads * l, l]`, for each appearance of a mention in a window,
    /// `[appearances * n_heads]`.
    pub attention_rows: Tensor<B, 1, Int>,
    /// How appearances in windows become mentions; `None` if every document is one window.
    pub merge: Option<AppearanceMerge<B>>,
}

/// How appearances of mentions in overlapping windows become mentions.
#[derive(Clone, Debug)]
pub struct AppearanceMerge<B: Backend> {
    /// Consecutive appearances that share a window.
    pub windows: Vec<WindowAppearances>,
    /// The first appearance of each mention, `[m]`.
    pub first: Tensor<B, 1, Int>,
    /// The second appearance, or the first again, `[m]`.
    pub second: Tensor<B, 1, Int>,
    /// 1 where there is a second appearance, else 0, `[m, 1]`.
    pub second_weight: Tensor<B, 2>,
    /// 1 for mentions of documents of several windows, whose attention is normalised again, else 0, `[m, 1]`.
    pub is_windowed: Tensor<B, 2>,
}

/// The appearances of mentions in one window.
#[derive(Clone, Debug)]
pub struct WindowAppearances {
    /// Which appearances.
    pub appearances: Range<usize>,
    /// Where the window's content begins in the document.
    pub document_start: usize,
    /// The window's positions that hold content of the document.
    pub content: Range<usize>,
}

/// The pairs of entities of a batch.
#[derive(Clone, Debug)]
pub struct PairIndex<B: Backend> {
    /// Documents and the largest number of entities, `[b, e]`; the pair grid is `[b, e, e]`, head first.
    pub shape: [usize; 2],
    /// Rows of pairs, the diagonal included, ↔ cells of the pair grid.
    pub packing: Packing<B>,
    /// The head's row among the entities, for each pair row.
    pub head: Tensor<B, 1, Int>,
    /// The tail's row among the entities, for each pair row.
    pub tail: Tensor<B, 1, Int>,
    /// The pairs of one head: the rows of the grid.
    pub row_lines: Lines,
    /// The pairs of one tail: the columns of the grid.
    pub column_lines: Lines,
    /// The mask of missing entities, `[b, e]`: 0 or hugely negative; `None` if no document has fewer than `e`.
    pub entity_bias: Option<Tensor<B, 2>>,
    /// The pair rows off the diagonal, in row order: those that are classified, `[p]`.
    pub off_diagonal: Tensor<B, 1, Int>,
}

impl<B: Backend> DocReBatch<B> {
    /// Builds the batch.
    ///
    /// # Panics
    /// If `documents` is empty, or a document has no token or a mention outside its tokens: encoded documents always
    /// have their special tokens and mentions within.
    pub fn new(
        documents: &[&EncodedDocument],
        encoder: &EncoderConfig,
        device: &B::Device,
    ) -> Self {
        assert!(!documents.is_empty(), "a batch needs at least one document");
        let plan = WindowPlan::new(documents, encoder);
        let pairs_per_document: Vec<usize> = documents.iter().map(|d| d.n_pairs()).collect();
        Self {
            tokens: plan.token_grid(documents, encoder, device),
            documents: plan.document_index(documents, device),
            mentions: mention_index(documents, &plan, encoder, device),
            pairs: pair_index(documents, device),
            positives: positives(documents, &pairs_per_document),
            pairs_per_document,
            device: device.clone(),
        }
    }

    /// The number of pairs that are classified, over all documents; a batch of none cannot be run through a model.
    pub fn n_pairs(&self) -> usize {
        self.pairs_per_document.iter().sum()
    }

    /// The number of classified pairs of each document: how logits are split by document.
    pub fn pairs_per_document(&self) -> &[usize] {
        &self.pairs_per_document
    }

    /// The labels of the classified pairs, `[p, n_classes]`: 1 for each relation that holds, and 1 for the threshold
    /// class where none does.
    ///
    /// # Panics
    /// If a fact's relation is not below `n_classes`.
    pub fn labels(&self, n_classes: usize) -> Tensor<B, 2> {
        let p = self.n_pairs();
        let mut labels = vec![0.0; p * n_classes];
        for row in 0..p {
            labels[row * n_classes + THRESHOLD_CLASS] = 1.0;
        }
        for (row, class) in &self.positives {
            assert!(*class < n_classes, "class {class} of {n_classes}");
            labels[row * n_classes + THRESHOLD_CLASS] = 0.0;
            labels[row * n_classes + class] = 1.0;
        }
        float_tensor(labels, [p, n_classes], &self.device)
    }
}

/// The windows of a batch, on the host.
struct WindowPlan {
    windows: Vec<PlannedWindow>,
    /// The longest window.
    width: usize,
    /// The longest document.
    longest: usize,
    is_windowed: bool,
}

struct PlannedWindow {
    document: usize,
    window: Window,
    /// Tokens put in front of the content.
    n_opening: usize,
    /// Tokens in all.
    len: usize,
    /// The packed row of the first token.
    first_row: usize,
}

impl PlannedWindow {
    /// Position within the window of a token of the document.
    fn position(&self, token: usize) -> usize {
        token - self.window.content.start + self.n_opening
    }
}

impl WindowPlan {
    fn new(documents: &[&EncodedDocument], encoder: &EncoderConfig) -> Self {
        let rule = WindowRule {
            max_tokens: encoder.max_tokens(),
            // A tokenizer that opens a document otherwise, or does not close it, is refused with the model directory.
            n_opening: 1,
            n_closing: encoder.n_window_end_tokens(),
        };
        let mut windows = Vec::new();
        let mut first_row = 0;
        for (document, encoded) in documents.iter().enumerate() {
            assert!(!encoded.token_ids.is_empty(), "an encoded document has its special tokens");
            for window in rule.windows(encoded.token_ids.len()) {
                let n_opening = if window.opened { rule.n_opening } else { 0 };
                let n_closing = if window.closed { rule.n_closing } else { 0 };
                let len = n_opening + window.content.len() + n_closing;
                windows.push(PlannedWindow { document, window, n_opening, len, first_row });
                first_row += len;
            }
        }
        Self {
            width: windows.iter().map(|w| w.len).max().unwrap_or(0),
            longest: documents.iter().map(|d| d.token_ids.len()).max().unwrap_or(0),
            is_windowed: windows.len() > documents.len(),
            windows,
        }
    }

    fn token_grid<B: Backend>(
        &self,
        documents: &[&EncodedDocument],
        encoder: &EncoderConfig,
        device: &B::Device,
    ) -> TokenGrid<B> {
        let mut ids = Vec::new();
        let mut positions = Vec::new();
        let mut is_real = vec![false; self.windows.len() * self.width];
        for (w, planned) in self.windows.iter().enumerate() {
            let tokens = &documents[planned.document].token_ids;
            let opening = std::iter::repeat_n(tokens[0], planned.n_opening);
            let content = tokens[planned.window.content.clone()].iter().copied();
            let n_closing = planned.len - planned.n_opening - planned.window.content.len();
            let closing = std::iter::repeat_n(tokens[tokens.len() - 1], n_closing);
            ids.extend(opening.chain(content).chain(closing).map(|id| id as i32));
            positions.extend((0..planned.len).map(|p| (p + encoder.position_offset()) as i32));
            is_real[w * self.width..w * self.width + planned.len].fill(true);
        }
        let shape = [self.windows.len(), self.width];
        TokenGrid {
            shape,
            ids: index_tensor(ids, device),
            positions: index_tensor(positions, device),
            packing: Packing::new(&is_real, device),
            lines: self.lines(),
            key_bias: key_bias(&is_real, shape, device),
        }
    }

    /// The packed rows of each window.
    fn lines(&self) -> Lines {
        let line = |w: &PlannedWindow| Line { first: w.first_row, stride: 1, len: w.len };
        Lines::new(self.windows.iter().map(line).collect())
    }

    fn document_index<B: Backend>(
        &self,
        documents: &[&EncodedDocument],
        device: &B::Device,
    ) -> DocumentIndex<B> {
        let shape = [documents.len(), self.longest];
        if !self.is_windowed {
            return DocumentIndex { shape, merge: None };
        }
        let n_cells = shape[0] * shape[1];
        let mut first = vec![None; n_cells];
        let mut second = vec![None; n_cells];
        for planned in &self.windows {
            for token in planned.window.content.clone() {
                let cell = planned.document * self.longest + token;
                let row = (planned.first_row + planned.position(token)) as i32;
                let slot = if first[cell].is_none() { &mut first[cell] } else { &mut second[cell] };
                *slot = Some(row);
            }
        }
        let weights = second.iter().map(|row| if row.is_some() { 0.5 } else { 0.0 }).collect();
        let first: Vec<i32> = first.into_iter().map(Option::unwrap_or_default).collect();
        let second = second.iter().zip(&first).map(|(s, f)| s.unwrap_or(*f)).collect();
        let merge = WindowMerge {
            first: index_tensor(first, device),
            second: index_tensor(second, device),
            second_weight: float_tensor(weights, [n_cells, 1], device),
        };
        DocumentIndex { shape, merge: Some(merge) }
    }
}

fn mention_index<B: Backend>(
    documents: &[&EncodedDocument],
    plan: &WindowPlan,
    encoder: &EncoderConfig,
    device: &B::Device,
) -> MentionIndex<B> {
    let e = documents.iter().map(|d| d.n_entities()).max().unwrap_or(0);
    let entities: Vec<&Vec<usize>> = documents.iter().flat_map(|d| &d.mentions).collect();
    let m = entities.iter().map(|mentions| mentions.len()).sum::<usize>();
    let longest = entities.iter().map(|mentions| mentions.len()).max().unwrap_or(0);

    let mut cell = Vec::with_capacity(m);
    let mut average = vec![0.0; documents.len() * e * m];
    for (d, document) in documents.iter().enumerate() {
        for (entity, mentions) in document.mentions.iter().enumerate() {
            for position in mentions {
                average[(d * e + entity) * m + cell.len()] = 1.0 / mentions.len() as f32;
                cell.push((d * plan.longest + position) as i32);
            }
        }
    }
    let mut of_entity = vec![0; entities.len() * longest];
    let mut bias = vec![MASKED; entities.len() * longest];
    let mut mention = 0;
    for (row, mentions) in entities.iter().enumerate() {
        for slot in 0..mentions.len() {
            of_entity[row * longest + slot] = mention;
            bias[row * longest + slot] = 0.0;
            mention += 1;
        }
    }
    let appearances = Appearances::new(documents, plan);
    MentionIndex {
        cell: index_tensor(cell, device),
        of_entity: index_tensor(of_entity, device),
        of_entity_bias: float_tensor(bias, [entities.len(), longest], device),
        average: float_tensor(average, [documents.len() * e, m], device),
        attention_rows: appearances.attention_rows(plan.width, encoder, device),
        merge: plan.is_windowed.then(|| appearances.merge(plan, m, device)),
    }
}

/// Each mention's appearances in windows, by window.
struct Appearances {
    /// `(window, position in the window, mention)`, sorted by window.
    all: Vec<(usize, usize, usize)>,
}

impl Appearances {
    fn new(documents: &[&EncodedDocument], plan: &WindowPlan) -> Self {
        let mut first_mention = vec![0; documents.len() + 1];
        for (d, document) in documents.iter().enumerate() {
            let n: usize = document.mentions.iter().map(Vec::len).sum();
            first_mention[d + 1] = first_mention[d] + n;
        }
        let mut all = Vec::new();
        for (w, planned) in plan.windows.iter().enumerate() {
            let positions = documents[planned.document].mentions.iter().flatten();
            for (i, position) in positions.enumerate() {
                if planned.window.content.contains(position) {
                    all.push((w, planned.position(*position), first_mention[planned.document] + i));
                }
            }
        }
        Self { all }
    }

    fn attention_rows<B: Backend>(
        &self,
        width: usize,
        encoder: &EncoderConfig,
        device: &B::Device,
    ) -> Tensor<B, 1, Int> {
        let n_heads = encoder.num_attention_heads;
        let rows = self.all.iter().flat_map(|(window, position, _)| {
            (0..n_heads).map(move |head| ((window * n_heads + head) * width + position) as i32)
        });
        index_tensor(rows.collect(), device)
    }

    fn merge<B: Backend>(
        &self,
        plan: &WindowPlan,
        n_mentions: usize,
        device: &B::Device,
    ) -> AppearanceMerge<B> {
        let mut first = vec![None; n_mentions];
        let mut second = vec![None; n_mentions];
        let mut is_windowed = vec![0.0; n_mentions];
        let mut windows: Vec<(usize, WindowAppearances)> = Vec::new();
        for (i, (w, _, mention)) in self.all.iter().enumerate() {
            let planned = &plan.windows[*w];
            if planned.window.opened || planned.window.closed {
                is_windowed[*mention] = 1.0;
            }
            let slot = if first[*mention].is_none() {
                &mut first[*mention]
            } else {
                &mut second[*mention]
            };
            *slot = Some(i as i32);
            match windows.last_mut() {
                Some((last, group)) if last == w => group.appearances.end = i + 1,
                _ => {
                    let content =
                        planned.n_opening..planned.n_opening + planned.window.content.len();
                    let document_start = planned.window.content.start;
                    let appearances = i..i + 1;
                    windows.push((*w, WindowAppearances { appearances, document_start, content }));
                }
            }
        }
        let weights = second.iter().map(|s| if s.is_some() { 1.0 } else { 0.0 }).collect();
        let first: Vec<i32> = first.into_iter().map(Option::unwrap_or_default).collect();
        let second = second.iter().zip(&first).map(|(s, f)| s.unwrap_or(*f)).collect();
        AppearanceMerge {
            windows: windows.into_iter().map(|(_, group)| group).collect(),
            first: index_tensor(first, device),
            second: index_tensor(second, device),
            second_weight: float_tensor(weights, [n_mentions, 1], device),
            is_windowed: float_tensor(is_windowed, [n_mentions, 1], device),
        }
    }
}

fn pair_index<B: Backend>(documents: &[&EncodedDocument], device: &B::Device) -> PairIndex<B> {
    let e = documents.iter().map(|d| d.n_entities()).max().unwrap_or(0);
    let shape = [documents.len(), e];
    let mut is_entity = vec![false; shape[0] * e];
    let mut is_pair = vec![false; shape[0] * e * e];
    let (mut head_rows, mut tail_rows, mut off_diagonal) = (Vec::new(), Vec::new(), Vec::new());
    let mut first_entity = 0;
    for (d, document) in documents.iter().enumerate() {
        let n = document.n_entities();
        is_entity[d * e..d * e + n].fill(true);
        for head in 0..n {
            for tail in 0..n {
                is_pair[(d * e + head) * e + tail] = true;
                if head != tail {
                    off_diagonal.push(head_rows.len() as i32);
                }
                head_rows.push((first_entity + head) as i32);
                tail_rows.push((first_entity + tail) as i32);
            }
        }
        first_entity += n;
    }
    PairIndex {
        shape,
        packing: Packing::new(&is_pair, device),
        head: index_tensor(head_rows, device),
        tail: index_tensor(tail_rows, device),
        row_lines: pair_lines(documents, |first, e, i| Line {
            first: first + i * e,
            stride: 1,
            len: e,
        }),
        column_lines: pair_lines(documents, |first, e, i| Line {
            first: first + i,
            stride: e,
            len: e,
        }),
        entity_bias: key_bias(&is_entity, shape, device),
        off_diagonal: index_tensor(off_diagonal, device),
    }
}

/// The lines of the pair grids, by the line of each entity: from the document's first pair row, its number of entities, and
/// the entity.
fn pair_lines(documents: &[&EncodedDocument], line: impl Fn(usize, usize, usize) -> Line) -> Lines {
    let mut first = 0;
    let mut lines = Vec::new();
    for document in documents {
        let e = document.n_entities();
        lines.extend((0..e).map(|i| line(first, e, i)));
        first += e * e;
    }
    Lines::new(lines)
}

/// The classified pair and class of every fact.
fn positives(documents: &[&EncodedDocument], pairs_per_document: &[usize]) -> Vec<(usize, usize)> {
    let mut first_row = 0;
    let mut positives = Vec::new();
    for (document, n_pairs) in documents.iter().zip(pairs_per_document) {
        for fact in &document.facts {
            let row = first_row + fact.pair.off_diagonal_row(document.n_entities());
            positives.push((row, fact.relation));
        }
        first_row += n_pairs;
    }
    positives
}
