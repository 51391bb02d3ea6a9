//! A document as a model sees it: token ids, mention positions, facts.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::data::document::{Document, RelationFact};
use crate::text::tokenizer::{DocumentTokenizer, WordCache};
use crate::{Error, Result};

/// A tokenized document with its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedDocument {
    /// The title of the document.
    pub title: String,
    /// The tokens of the whole document, special tokens in place.
    pub token_ids: Vec<u32>,
    /// For each mention of each entity, where in `token_ids` its opening marker stands.
    pub mentions: Vec<Vec<usize>>,
    /// The labelled facts.
    pub facts: Vec<RelationFact>,
}

/// Identifies what a model sees of a document: its tokens and mention positions, neither its title
/// nor its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey(pub [u8; 32]);

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl EncodedDocument {
    /// Tokenizes `document`.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] when the tokenizer fails on a word; it names the document's title.
    pub fn encode(document: &Document, tokenizer: &DocumentTokenizer) -> Result<Self> {
        Self::encode_with(document, tokenizer, &mut WordCache::default())
            .map_err(|error| in_document(error, &format!("{:?}", document.title)))
    }

    /// Number of entities.
    pub fn n_entities(&self) -> usize {
        self.mentions.len()
    }

    /// Number of ordered pairs of different entities.
    pub fn n_pairs(&self) -> usize {
        self.n_entities() * self.n_entities().saturating_sub(1)
    }

    /// The key of the document's content.
    pub fn key(&self) -> DocumentKey {
        // Every list goes with its length, so that different documents are different bytes.
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
        tokenizer: &DocumentTokenizer,
        cache: &mut WordCache,
    ) -> Result<Self> {
        let tokenized = tokenizer.tokenize_with(document, cache)?;
        Ok(Self {
            title: document.title.clone(),
            token_ids: tokenized.token_ids,
            mentions: tokenized.mentions,
            facts: document.facts.clone(),
        })
    }
}

/// Tokenizes `documents` one after the other; faster than each by itself, because most words come again.
///
/// # Errors
///
/// An item is [`Error::Format`] when the tokenizer fails on a word; it names the document's index and title.
pub fn encode_all(
    documents: &[Document],
    tokenizer: &DocumentTokenizer,
) -> impl Iterator<Item = Result<EncodedDocument>> {
    let mut cache = WordCache::default();
    documents.iter().enumerate().map(move |(index, document)| {
        EncodedDocument::encode_with(document, tokenizer, &mut cache)
            .map_err(|error| in_document(error, &format!("{index} ({:?})", document.title)))
    })
}

/// An error of the tokenizer with the document that it happened in.
fn in_document(error: Error, document: &str) -> Error {
    match error {
        Error::Format { path, reason } => {
            Error::Format { path, reason: format!("document {document}: {reason}") }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::document::{Entity, EntityPair, Mention};

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
    fn the_key_depends_on_content_only() {
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
    fn the_key_never_changes_between_versions() {
        // Soft labels on disk are found by it. sha256 of little-endian
        // 1u64 (tokens), 7u32, 1u64 (entities), 1u64 (its mentions), 0u64 (the position).
        let document = EncodedDocument {
            title: String::new(),
            token_ids: vec![7],
            mentions: vec![vec![0]],
            facts: Vec::new(),
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
        let error = encoded[1].as_ref().unwrap_err().to_string();
        assert!(
            error.contains("document 1 (\"Anna\"): the tokenizer fails on \"lives\""),
            "{error}"
        );
        let error = EncodedDocument::encode(&anna(), &tokenizer).unwrap_err().to_string();
        assert!(error.contains("document \"Anna\": the tokenizer fails on \"lives\""), "{error}");
    }
}
