//! Pairs of entities and of mentions, and the choice of the pairs that are classified.

use serde::{Deserialize, Serialize};

/// An ordered pair of entities, by index into [`Document::entities`](super::document::Document).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityPair {
    /// Index of the head, `h` of a label in DocRED.
    pub head: usize,
    /// Index of the tail, `t` of a label in DocRED.
    pub tail: usize,
}

/// A mention of a pair's head and a mention of its tail, by index into
/// [`Entity::mentions`](super::document::Entity).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MentionPair {
    /// Index of the mention of the head.
    pub head: usize,
    /// Index of the mention of the tail.
    pub tail: usize,
}

/// The ordered pairs of a document's entities that are classified: a property of a corpus, and of
/// the models trained on it.
///
/// The pairs of a document are numbered by rows: by head, then by tail. Configuration files have
/// the set as a boolean, `self_relations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum PairSet {
    /// The pairs of different entities, as in DocRED.
    #[default]
    OffDiagonal,
    /// All pairs. A fact can relate an entity to itself, as in DWIE.
    All,
}

impl PairSet {
    /// Number of pairs of `n_entities` entities.
    pub fn n_pairs(self, n_entities: usize) -> usize {
        n_entities * self.n_tails(n_entities)
    }

    /// Returns `true` if the set has the pair. The number of entities is not checked.
    pub fn contains(self, pair: EntityPair) -> bool {
        self == Self::All || pair.head != pair.tail
    }

    /// The row of a pair in the logits `[p, r]` of a document with `n_entities` entities.
    ///
    /// # Panics
    /// If the set does not [contain](Self::contains) the pair.
    pub fn row(self, pair: EntityPair, n_entities: usize) -> usize {
        assert!(self.contains(pair), "a pair of an entity with itself has no row");
        let EntityPair { head, tail } = pair;
        let is_shifted = self == Self::OffDiagonal && tail > head;
        head * self.n_tails(n_entities) + tail - usize::from(is_shifted)
    }

    /// The pair of a row: the inverse of [`row`](Self::row).
    ///
    /// # Panics
    /// If a document with `n_entities` entities has no pairs.
    pub fn pair(self, row: usize, n_entities: usize) -> EntityPair {
        let n_tails = self.n_tails(n_entities);
        let (head, tail) = (row / n_tails, row % n_tails);
        let is_shifted = self == Self::OffDiagonal && tail >= head;
        EntityPair { head, tail: tail + usize::from(is_shifted) }
    }

    /// The pairs of `n_entities` entities, in the order of their rows.
    pub fn pairs(self, n_entities: usize) -> impl Iterator<Item = EntityPair> {
        (0..self.n_pairs(n_entities)).map(move |row| self.pair(row, n_entities))
    }

    /// Returns `true` for the default, which configuration files omit.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Number of tails of each head.
    fn n_tails(self, n_entities: usize) -> usize {
        match self {
            Self::OffDiagonal => n_entities.saturating_sub(1),
            Self::All => n_entities,
        }
    }
}

impl From<bool> for PairSet {
    fn from(self_relations: bool) -> Self {
        if self_relations { Self::All } else { Self::OffDiagonal }
    }
}

impl From<PairSet> for bool {
    fn from(pairs: PairSet) -> Self {
        pairs == PairSet::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [PairSet; 2] = [PairSet::OffDiagonal, PairSet::All];

    #[test]
    fn rows_and_pairs_are_inverse_to_each_other() {
        for set in SETS {
            for n in 0..6 {
                for (row, pair) in set.pairs(n).enumerate() {
                    assert!(set.contains(pair) && pair.head < n && pair.tail < n, "{set:?}");
                    assert_eq!((set.row(pair, n), set.pair(row, n)), (row, pair), "{set:?}");
                }
            }
        }
    }

    #[test]
    fn only_the_set_of_all_pairs_has_the_diagonal() {
        let rows = |set: PairSet, n| -> Vec<_> {
            set.pairs(n).map(|EntityPair { head, tail }| (head, tail)).collect()
        };
        assert_eq!(rows(PairSet::OffDiagonal, 2), [(0, 1), (1, 0)]);
        assert_eq!(rows(PairSet::All, 2), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(rows(PairSet::All, 1), [(0, 0)]);
        for (set, expected) in SETS.into_iter().zip([[0, 0, 2, 6], [0, 1, 4, 9]]) {
            assert_eq!([0, 1, 2, 3].map(|n| set.n_pairs(n)), expected);
        }
    }

    #[test]
    #[should_panic(expected = "an entity with itself has no row")]
    fn an_excluded_pair_has_no_row() {
        PairSet::OffDiagonal.row(EntityPair { head: 1, tail: 1 }, 3);
    }

    #[test]
    fn a_file_has_the_set_as_a_boolean() {
        for (set, json) in SETS.into_iter().zip(["false", "true"]) {
            assert_eq!(serde_json::to_string(&set).unwrap(), json);
            assert_eq!(serde_json::from_str::<PairSet>(json).unwrap(), set);
        }
    }
}
