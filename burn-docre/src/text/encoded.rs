//! Encoded documents, the input of models: token ids, mention positions, sentence spans, facts.

use std::fmt;
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::data::document::{
    Document, RelationFact, check_pair_and_relation, check_relations, fault_of,
};
use crate::data::pair::{EntityPair, PairSet};
use crate::text::hex::write_hex;
use crate::text::tokenizer::{DocumentTokenizer, WordCache};
use crate::{Error, Result};

/// A tokenized document with its facts.
///
/// [`encode`](Self::encode) returns valid documents. [`Inference`](crate::inference::Inference)
/// calls [`validate`](Self::validate) on every document, so that documents can also be built by
/// hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedDocument {
    /// The title of the document.
    pub title: String,
    /// The token ids of the whole document, special tokens and mention markers included.
    pub token_ids: Vec<u32>,
    /// The position in `token_ids` of the opening marker of each mention, entity by entity.
    pub mentions: Vec<Vec<usize>>,
    /// The span of each sentence in `token_ids`, mention markers included.
    pub sentences: Vec<Range<usize>>,
    /// The labelled facts, about pairs of `pair_set`.
    pub facts: Vec<RelationFact>,
    /// The pairs that are classified. They must be those of the model.
    pub pair_set: PairSet,
}

/// The properties of a model that the encoding of documents depends on.
///
/// A tokenizer alone converts to the encoding of a model that does not classify the diagonal.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// The tokenizer.
    pub tokenizer: &'a DocumentTokenizer,
    /// The pairs that the model classifies.
    pub pair_set: PairSet,
}

impl<'a> From<&'a DocumentTokenizer> for Encoding<'a> {
    fn from(tokenizer: &'a DocumentTokenizer) -> Self {
        Self { tokenizer, pair_set: PairSet::OffDiagonal }
    }
}

/// A SHA-256 hash of the token ids and mention positions of a document.
///
/// Title, sentence spans and facts do not contribute. Soft labels on disk are stored under this
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey(pub [u8; 32]);

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl EncodedDocument {
    /// Tokenizes `document`. The [`Encoding`] is given by a tokenizer, or by the
    /// [`ModelSpec`](crate::io::model_directory::ModelSpec) of a model.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] with the title, when `document` is not
    /// [valid](Document::validate_for) or the tokenizer fails on one of its words.
    pub fn encode<'a>(document: &Document, encoding: impl Into<Encoding<'a>>) -> Result<Self> {
        Self::encode_with(document, encoding.into(), &mut WordCache::default())
    }

    /// Checks that the document is consistent.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] with the title, when
    /// - there is no token, or there are more than 2³¹ − 1;
    /// - an entity has no mention, or there are more than [`Document::MAX_ENTITIES`] entities;
    /// - a mention or a sentence lies outside the tokens;
    /// - a fact names an entity that does not exist, is about a pair that is not classified, or has
    ///   the threshold class as its relation.
    pub fn validate(&self) -> Result<()> {
        let checked = self.check_tokens().and_then(|()| self.check_facts());
        checked.map_err(|reason| Error::document(self.title.clone(), reason))
    }

    /// Checks that the relation of each fact is below `n_classes`, as
    /// [`DocReBatch::labels`](crate::batch::DocReBatch::labels) requires.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] with the title, when a fact's relation is the threshold class or not
    /// below `n_classes`.
    pub fn validate_relations(&self, n_classes: usize) -> Result<()> {
        check_relations(&self.facts, n_classes)
            .map_err(|reason| Error::document(self.title.clone(), reason))
    }

    /// Number of entities.
    pub fn n_entities(&self) -> usize {
        self.mentions.len()
    }

    /// Number of classified pairs.
    pub fn n_pairs(&self) -> usize {
        self.pair_set.n_pairs(self.n_entities())
    }

    /// The classified pairs, in the order of the rows of the logits.
    pub fn pairs(&self) -> impl Iterator<Item = EntityPair> + use<> {
        self.pair_set.pairs(self.n_entities())
    }

    /// The row of a classified pair in the logits `[p, r]`.
    ///
    /// # Panics
    ///
    /// When the pair is not classified.
    pub fn row(&self, pair: EntityPair) -> usize {
        self.pair_set.row(pair, self.n_entities())
    }

    /// Number of mention pairs of all classified pairs. A mention pair is a mention of the head
    /// with a mention of the tail.
    pub fn n_mention_pairs(&self) -> usize {
        self.pairs().map(|pair| self.n_mention_pairs_of(pair)).sum()
    }

    /// Number of mention pairs of one pair.
    ///
    /// # Panics
    ///
    /// When the document does not have one of the entities.
    pub fn n_mention_pairs_of(&self, pair: EntityPair) -> usize {
        self.mentions[pair.head].len() * self.mentions[pair.tail].len()
    }

    /// The index of the sentence that has the token `position`; `None` for a token outside all
    /// sentences, such as a special token.
    pub fn sentence_of(&self, position: usize) -> Option<usize> {
        self.sentences.iter().position(|span| span.contains(&position))
    }

    /// The key of the document.
    pub fn key(&self) -> DocumentKey {
        // Each list is preceded by its length, so that different documents hash different bytes.
        let mut hash = Sha256::new();
        let number = |hash: &mut Sha256, number: usize| hash.update((number as u64).to_le_bytes());
        number(&mut hash, self.token_ids.len());
        for id in &self.token_ids {
            hash.update(id.to_le_bytes());
        }
        number(&mut hash, self.mentions.len());
        for positions in &self.mentions {
            number(&mut hash, positions.len());
            for &position in positions {
                number(&mut hash, position);
            }
        }
        DocumentKey(hash.finalize().into())
    }

    fn encode_with(
        document: &Document,
        Encoding { tokenizer, pair_set }: Encoding<'_>,
        cache: &mut WordCache,
    ) -> Result<Self> {
        document.validate_for(pair_set)?;
        let tokenized = tokenizer.tokenize_with(document, cache).map_err(|error| {
            Error::document(document.title.clone(), "cannot be tokenized").with_source(error)
        })?;
        let encoded = Self {
            title: document.title.clone(),
            token_ids: tokenized.token_ids,
            mentions: tokenized.mentions,
            sentences: tokenized.sentences,
            facts: document.facts.clone(),
            pair_set,
        };
        // A document without words is empty if the tokenizer has no special tokens.
        encoded.validate()?;
        Ok(encoded)
    }

    fn check_tokens(&self) -> Result<(), String> {
        let n_tokens = self.token_ids.len();
        if n_tokens == 0 || i32::try_from(n_tokens).is_err() {
            return Err(format!("{n_tokens} tokens; 1 to {} are possible", i32::MAX));
        }
        Document::check_entity_count(self.n_entities())?;
        for (entity, positions) in self.mentions.iter().enumerate() {
            if positions.is_empty() {
                return Err(format!("entity {entity} has no mentions"));
            }
            if let Some(position) = positions.iter().find(|&&position| position >= n_tokens) {
                return Err(format!("entity {entity}: mention at token {position} of {n_tokens}"));
            }
        }
        match self.sentences.iter().find(|span| span.start > span.end || span.end > n_tokens) {
            Some(span) => Err(format!("sentence at tokens {span:?} of {n_tokens}")),
            None => Ok(()),
        }
    }

    fn check_facts(&self) -> Result<(), String> {
        let n_entities = self.n_entities();
        self.facts.iter().try_for_each(|fact| {
            check_pair_and_relation(fact, n_entities, self.pair_set)
                .map_err(|reason| fault_of(fact, &reason))
        })
    }
}

/// Tokenizes `documents` in order.
///
/// The documents share a cache of tokenized words, which makes this faster than separate calls of
/// [`EncodedDocument::encode`].
///
/// # Errors
///
/// An item is an error under the conditions of [`EncodedDocument::encode`]. The error also has the
/// document's index.
pub fn encode_all<'a>(
    documents: &'a [Document],
    encoding: impl Into<Encoding<'a>>,
) -> impl Iterator<Item = Result<EncodedDocument>> + 'a {
    let encoding = encoding.into();
    let mut cache = WordCache::default();
    documents.iter().enumerate().map(move |(index, document)| {
        EncodedDocument::encode_with(document, encoding, &mut cache)
            .map_err(|error| error.at_index(index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::document::{Entity, Mention};
    use crate::error::chain_of;

    fn tokenizer() -> DocumentTokenizer {
        DocumentTokenizer::word_level(["Anna", "lives", "in", "Oslo"]).unwrap()
    }

    fn anna() -> Document {
        let entity = |start| Entity {
            kind: "X".to_owned(),
            mentions: vec![Mention { name: String::new(), sentence: 0, start, end: start + 1 }],
        };
        Document {
            title: "Anna".to_owned(),
            sentences: vec![["Anna", "lives", "in", "Oslo"].map(str::to_owned).to_vec()],
            entities: vec![entity(0), entity(3)],
            facts: vec![RelationFact {
                pair: EntityPair { head: 0, tail: 1 },
                relation: 1,
                evidence: vec![0],
            }],
        }
    }

    #[test]
    fn an_encoded_document_keeps_title_and_facts() {
        let encoded = EncodedDocument::encode(&anna(), &tokenizer()).unwrap();
        assert_eq!((encoded.title.as_str(), &encoded.facts), ("Anna", &anna().facts));
        assert_eq!(encoded.token_ids, [2, 4, 5, 4, 6, 7, 4, 8, 4, 3]);
        assert_eq!(encoded.mentions, [[1], [6]]);
        assert_eq!((encoded.sentences.len(), encoded.sentences[0].clone()), (1, 1..9));
        assert_eq!((encoded.n_entities(), encoded.n_pairs()), (2, 2));
        let both: Result<Vec<_>> = encode_all(&[anna(), anna()], &tokenizer()).collect();
        assert_eq!(both.unwrap(), [encoded.clone(), encoded]);
    }

    #[test]
    fn a_document_without_entities_has_no_pairs() {
        let mut document = anna();
        document.entities.clear();
        document.facts.clear();
        assert_eq!(EncodedDocument::encode(&document, &tokenizer()).unwrap().n_pairs(), 0);
    }

    #[test]
    fn mention_pairs_are_counted_for_each_classified_pair() {
        let mut encoded = EncodedDocument::encode(&anna(), &tokenizer()).unwrap();
        encoded.mentions = vec![vec![1], vec![6, 6], vec![1, 6, 6]];
        let pairs: Vec<_> = encoded.pairs().map(|pair| (pair.head, pair.tail)).collect();
        assert_eq!(pairs, [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(encoded.n_mention_pairs(), 2 + 3 + 2 + 6 + 3 + 6);
        encoded.mentions.truncate(1);
        assert_eq!(encoded.n_mention_pairs(), 0);
    }

    #[test]
    fn a_self_relation_is_encoded_for_a_model_that_classifies_the_diagonal() {
        let mut document = anna();
        document.facts[0].pair = EntityPair { head: 1, tail: 1 };
        let tokenizer = tokenizer();
        let encoding = Encoding { tokenizer: &tokenizer, pair_set: PairSet::All };
        let encoded = EncodedDocument::encode(&document, encoding).unwrap();
        assert_eq!((encoded.n_pairs(), encoded.row(encoded.facts[0].pair)), (4, 3));
        assert_eq!(encoded.n_mention_pairs(), 4);
        assert!(EncodedDocument::encode(&document, &tokenizer).is_err());
        let hidden = EncodedDocument { pair_set: PairSet::OffDiagonal, ..encoded };
        assert!(hidden.validate().unwrap_err().to_string().contains("`self_relations`"));

        // A document of one entity has one pair.
        document.entities.truncate(1);
        document.facts.clear();
        assert_eq!(EncodedDocument::encode(&document, encoding).unwrap().n_pairs(), 1);
    }

    #[test]
    fn a_special_token_is_in_no_sentence() {
        let encoded = EncodedDocument::encode(&anna(), &tokenizer()).unwrap();
        let sentences: Vec<_> = (0..10).map(|token| encoded.sentence_of(token)).collect();
        assert_eq!((sentences[0], sentences[9]), (None, None));
        assert!(sentences[1..9].iter().all(|sentence| *sentence == Some(0)));
    }

    #[test]
    fn the_key_depends_on_tokens_and_mentions_only() {
        let encoded = EncodedDocument::encode(&anna(), &tokenizer()).unwrap();
        let other_labels =
            EncodedDocument { title: "Other".to_owned(), facts: Vec::new(), ..encoded.clone() };
        assert_eq!(encoded.key(), other_labels.key());
        let mut changed = vec![encoded.clone(); 4];
        changed[0].token_ids[0] += 1;
        changed[1].mentions[1][0] += 1;
        changed[2].mentions = vec![vec![1, 6]];
        changed[3].mentions.swap(0, 1);
        for other in changed {
            assert_ne!(encoded.key(), other.key());
        }
    }

    #[test]
    fn the_key_is_equal_in_all_versions() {
        // Soft labels on disk are stored under the key. It is the SHA-256 hash of these
        // little-endian integers: 1u64 (the number of tokens), 7u32 (the token id),
        // 1u64 (the number of entities), 1u64 (the number of mentions), 0u64 (the position).
        let document = EncodedDocument {
            title: String::new(),
            token_ids: vec![7],
            mentions: vec![vec![0]],
            sentences: Vec::new(),
            facts: Vec::new(),
            pair_set: PairSet::OffDiagonal,
        };
        assert_eq!(
            document.key().to_string(),
            "0e86b572af771ece605e86e7d85d92950358100f266d4aeea2d90be4232635d6"
        );
    }

    #[test]
    fn a_word_that_the_tokenizer_fails_on_is_an_error_with_its_document() {
        let json = br#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
            "normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":null,
            "model":{"type":"WordLevel","vocab":{"*":0,"Anna":1},"unk_token":"[UNK]"}}"#;
        let tokenizer = DocumentTokenizer::from_bytes(json).unwrap();
        let mut known = anna();
        known.sentences[0] = vec!["Anna".to_owned(); 4];
        let documents = [known, anna()];
        let encoded: Vec<_> = encode_all(&documents, &tokenizer).collect();
        assert!(encoded[0].is_ok());
        let error = chain_of(encoded[1].as_ref().unwrap_err());
        let cause = "cannot be tokenized: tokenizer.json: the tokenizer fails on \"lives\"";
        assert!(error.starts_with(&format!("document 1 (\"Anna\"): {cause}")), "{error}");
        let error = chain_of(&EncodedDocument::encode(&anna(), &tokenizer).unwrap_err());
        assert!(error.starts_with(&format!("document \"Anna\": {cause}")), "{error}");
    }
}
