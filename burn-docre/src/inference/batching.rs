//! Validation of documents and their division into batches of limited size.

use std::{iter::Peekable, sync::Arc};

use crate::{Error, Result, data::pair::PairSet, text::encoded::EncodedDocument};

/// The limits of a batch on a CPU. They are independent of the number of threads, because the
/// division into batches affects the last bits of the logits.
pub(super) const BATCH: Limits = Limits { documents: 4, tokens: 2048, cells: 8192 };
/// The limits of a batch on a GPU, which is more efficient on large matrix products.
pub(super) const LARGE_BATCH: Limits = Limits { documents: 16, tokens: 8192, cells: 32_768 };

/// The documents of an iterator. An invalid document becomes an error with its index.
pub(super) struct Checked<I> {
    documents: I,
    /// The number of token embeddings of the model.
    vocab_size: usize,
    /// The pairs that the model classifies.
    pair_set: PairSet,
    /// The number of documents taken from the iterator.
    n_read: usize,
}

impl<I> Checked<I> {
    pub(super) fn new(documents: I, vocab_size: usize, pair_set: PairSet) -> Self {
        Self { documents, vocab_size, pair_set, n_read: 0 }
    }

    fn check(&self, document: &EncodedDocument) -> Result<()> {
        document.validate()?;
        if document.pair_set != self.pair_set {
            let reason = "encoded for another value of `self_relations` than the model's; encode it \
                          with the specification of the model";
            return Err(Error::document(document.title.clone(), reason));
        }
        let vocab_size = self.vocab_size;
        match document.token_ids.iter().find(|&&id| id as usize >= vocab_size) {
            Some(id) => {
                let reason = format!("token id {id}, but the model has {vocab_size} embeddings");
                Err(Error::document(document.title.clone(), reason))
            }
            None => Ok(()),
        }
    }
}

impl<I, E> Iterator for Checked<I>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
    E: From<Error>,
{
    type Item = Result<Arc<EncodedDocument>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.documents.next()?;
        let index = self.n_read;
        self.n_read += 1;
        Some(document.and_then(|document| match self.check(&document) {
            Ok(()) => Ok(document),
            Err(error) => Err(error.at_index(index).into()),
        }))
    }
}

/// Groups consecutive documents into batches. The first error is the last item.
pub(super) struct Batches<I: Iterator> {
    documents: Peekable<I>,
    limits: Limits,
    has_failed: bool,
}

impl<I: Iterator> Batches<I> {
    pub(super) fn new(documents: I, limits: Limits) -> Self {
        Self { documents: documents.peekable(), limits, has_failed: false }
    }
}

impl<I, E> Iterator for Batches<I>
where
    I: Iterator<Item = Result<Arc<EncodedDocument>, E>>,
{
    type Item = Result<Vec<Arc<EncodedDocument>>, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let mut batch = match self.documents.next()? {
            Ok(document) => vec![document],
            Err(error) => {
                self.has_failed = true;
                return Some(Err(error));
            }
        };
        let mut size = Size::of(&batch);
        while let Some(Ok(document)) = self.documents.next_if(|next| {
            next.as_ref().is_ok_and(|document| self.limits.allow(size.with(document)))
        }) {
            size = size.with(&document);
            batch.push(document);
        }
        Some(Ok(batch))
    }
}

/// The maximum size of a batch. A batch of one document may exceed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Number of documents.
    pub(super) documents: usize,
    /// Number of tokens, padding included.
    pub(super) tokens: usize,
    /// Number of cells of the `[b, e, e]` pair grid, padding included.
    pub(super) cells: usize,
}

/// The size of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    /// Number of documents.
    documents: usize,
    /// Number of tokens of the longest document.
    max_tokens: usize,
    /// Number of entities of the document with the most entities.
    max_entities: usize,
}

impl Size {
    pub(super) fn of(batch: &[Arc<EncodedDocument>]) -> Self {
        batch.iter().fold(Self::default(), |size, document| size.with(document))
    }

    fn with(self, document: &EncodedDocument) -> Self {
        Self {
            documents: self.documents + 1,
            max_tokens: self.max_tokens.max(document.token_ids.len()),
            max_entities: self.max_entities.max(document.n_entities()),
        }
    }
}

impl Limits {
    /// Returns `true` if a batch of this size is within the limits.
    pub(super) fn allow(&self, size: Size) -> bool {
        let Size { documents, max_tokens, max_entities } = size;
        let n_tokens = documents.saturating_mul(max_tokens);
        let n_cells = documents.saturating_mul(max_entities).saturating_mul(max_entities);
        documents <= self.documents && n_tokens <= self.tokens && n_cells <= self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document((n_tokens, n_entities): (usize, usize)) -> Arc<EncodedDocument> {
        Arc::new(EncodedDocument {
            title: String::new(),
            token_ids: vec![0; n_tokens],
            mentions: vec![vec![0]; n_entities],
            sentences: Vec::new(),
            facts: Vec::new(),
            pair_set: PairSet::OffDiagonal,
        })
    }

    /// The number of documents of each batch; 0 for an error.
    fn batch_sizes(documents: impl IntoIterator<Item = Result<(usize, usize), ()>>) -> Vec<usize> {
        let documents = documents.into_iter().map(|size| size.map(document));
        let batches = Batches::new(documents, BATCH);
        batches.map(|batch| batch.map_or(0, |batch| batch.len())).collect()
    }

    #[test]
    fn batches_contain_every_document_once_and_keep_the_limits() {
        let sizes = [(100, 5), (600, 9), (700, 3), (5000, 2), (10, 200), (10, 3), (10, 3)];
        assert_eq!(batch_sizes(sizes.map(Ok)), [2, 1, 1, 1, 2]);
        assert_eq!(batch_sizes([(10, 2); BATCH.documents + 1].map(Ok)), [BATCH.documents, 1]);
        assert!(batch_sizes([]).is_empty());
    }

    #[test]
    fn an_error_follows_the_documents_before_it_and_is_the_last_item() {
        assert_eq!(batch_sizes([Ok((10, 2)), Ok((10, 2)), Err(()), Ok((10, 2))]), [2, 0]);
    }

    #[test]
    fn an_inconsistent_document_is_an_error_with_its_index() {
        let good = || document((10, 2));
        let without_mentions =
            EncodedDocument { mentions: vec![vec![0], vec![]], ..good().as_ref().clone() };
        let outside = EncodedDocument { mentions: vec![vec![10]], ..good().as_ref().clone() };
        let unknown =
            EncodedDocument { token_ids: vec![0, 50], mentions: vec![], ..good().as_ref().clone() };
        let empty =
            EncodedDocument { token_ids: vec![], mentions: vec![], ..good().as_ref().clone() };
        let all_pairs = EncodedDocument { pair_set: PairSet::All, ..good().as_ref().clone() };
        for (wrong, reason) in [
            (all_pairs, "another value of `self_relations`"),
            (without_mentions, "entity 1 has no mentions"),
            (outside, "mention at token 10 of 10"),
            (unknown, "token id 50, but the model has 50 embeddings"),
            (empty, "0 tokens"),
        ] {
            let documents = [Ok(good()), Ok(Arc::new(wrong))];
            let found: Vec<Result<_>> =
                Checked::new(documents.into_iter(), 50, PairSet::OffDiagonal).collect();
            assert!(found[0].is_ok());
            let error = found[1].as_ref().unwrap_err().to_string();
            assert!(error.contains("document 1") && error.contains(reason), "{error}");
        }
    }
}
