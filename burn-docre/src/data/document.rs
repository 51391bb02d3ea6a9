//! What a document is: plain data, no tensors.
//!
//! A [`Document`] is DocRED's record with its names spelled out. Spans count words and are half open.

/// One occurrence of an entity in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The text of the mention as the corpus gives it (used by Ign F1).
    pub name: String,
    /// Index of the sentence.
    pub sentence: usize,
    /// First word within the sentence.
    pub start: usize,
    /// One past the last word within the sentence.
    pub end: usize,
}

/// One entity: all the mentions that refer to it, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The corpus's type label (`PER`, `LOC`, …).
    pub kind: String,
    /// Its mentions, in the order of the corpus.
    pub mentions: Vec<Mention>,
}

/// An ordered pair of entities, by index into [`Document::entities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityPair {
    /// The entity that the relation starts from.
    pub head: usize,
    /// The entity that the relation points at.
    pub tail: usize,
}

/// A relation that holds between two entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationFact {
    /// Which entities, in which order.
    pub pair: EntityPair,
    /// Class index in the [`RelationVocab`](crate::data::relation::RelationVocab); never the threshold class.
    pub relation: usize,
    /// Indices of the sentences that support it; often empty.
    pub evidence: Vec<usize>,
}

/// A document with its entities and, where they are known, its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Unique within a corpus: the key by which predictions are scored.
    pub title: String,
    /// Words by sentence.
    pub sentences: Vec<Vec<String>>,
    /// The entities; a document may have none.
    pub entities: Vec<Entity>,
    /// The labelled facts; empty for unlabelled documents.
    pub facts: Vec<RelationFact>,
}

impl EntityPair {
    /// The pair's place among the off-diagonal pairs of `n_entities` entities, heads slower than tails.
    ///
    /// # Panics
    /// If the pair is on the diagonal.
    pub fn off_diagonal_row(self, n_entities: usize) -> usize {
        assert_ne!(self.head, self.tail, "the diagonal is not classified");
        let tail = if self.tail > self.head { self.tail - 1 } else { self.tail };
        self.head * (n_entities - 1) + tail
    }

    /// The pair at a place among the off-diagonal pairs: the inverse of [`EntityPair::off_diagonal_row`].
    ///
    /// # Panics
    /// If there are fewer than two entities.
    pub fn from_off_diagonal_row(row: usize, n_entities: usize) -> Self {
        let (head, tail) = (row / (n_entities - 1), row % (n_entities - 1));
        Self { head, tail: if tail >= head { tail + 1 } else { tail } }
    }
}
