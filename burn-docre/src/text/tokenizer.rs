//! The tokenizer of documents: word pieces, with markers around mentions as in the code of ATLOP
//! and KD-DocRE.
//!
//! Every word is tokenized separately. A marker `*` precedes each word that starts a mention and
//! follows each word that ends one. Mentions that share a boundary share the marker. The
//! tokenizer's special tokens surround the document. The position of a mention is that of its
//! opening marker:
//!
//! ```text
//! [CLS] * Anna * lives in * Os ##lo * . [SEP]
//!       ^ 1               ^ 6
//! ```

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::precompiled::Precompiled;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Tokenizer};

use crate::data::document::Document;
use crate::data::pair::PairSet;
use crate::input::{self, JsonError};
use crate::text::sentence_piece::{self, TokenizerClass};
use crate::text::settings::{ADDED_TOKENS, SETTINGS, TokenizerSettings, WRITE_JSON};
use crate::text::vocabulary::{byte_pairs, word_pieces};
use crate::{Error, Result};

/// The text that marks the boundaries of mentions.
const MARKER: &str = "*";
/// The first ids of a [word-level](DocumentTokenizer::word_level) vocabulary.
const WORD_LEVEL_SPECIALS: [&str; 4] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
/// The maximum number of words in a [`WordCache`]. Most corpora have fewer different words.
const MAX_CACHED_WORDS: usize = 1 << 18;

/// The files that hold a tokenizer or its vocabulary, the preferred ones first.
const TOKENIZER_FILES: [&str; 3] = ["tokenizer.json", "vocab.txt", "vocab.json"];
/// The merges that belong to `vocab.json`.
const MERGES: &str = "merges.txt";

/// A Hugging Face tokenizer for documents that are already split into words.
///
/// The truncation and padding of the tokenizer's file are disabled.
#[derive(Clone, Debug)]
pub struct DocumentTokenizer {
    tokenizer: Tokenizer,
    path: PathBuf,
    /// The token ids of the mention marker.
    marker: Vec<u32>,
    opening: Vec<u32>,
    closing: Vec<u32>,
}

/// The tokens of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedDocument {
    /// The token ids of the whole document, special tokens and mention markers included.
    pub token_ids: Vec<u32>,
    /// The position in `token_ids` of the opening marker of each mention, entity by entity.
    pub mentions: Vec<Vec<usize>>,
    /// The span of each sentence in `token_ids`, mention markers included.
    pub sentences: Vec<Range<usize>>,
}

/// The token ids of words that were tokenized before, for one tokenizer.
#[derive(Debug, Default)]
pub(crate) struct WordCache(HashMap<String, Vec<u32>>);

impl DocumentTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be read. [`Error::Format`] when it is not a tokenizer, or
    /// has no token for the marker `*`.
    pub fn from_file(path: &Path) -> Result<Self> {
        Self::parse(&input::read(path)?, path)
    }

    /// Reads the tokenizer of a directory in Hugging Face's layout: `tokenizer.json`, else
    /// `vocab.txt` (BERT), else `vocab.json` with `merges.txt` (RoBERTa), else a SentencePiece model
    /// of the kind Unigram (XLM-RoBERTa and CamemBERT): `sentencepiece.bpe.model`, `spiece.model`
    /// or `tokenizer.model`.
    ///
    /// A `tokenizer_config.json` beside a vocabulary or a model is respected, and so are the tokens
    /// of an `added_tokens.json`. Both may be missing. A SentencePiece model then needs the
    /// `config.json` of its encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] when the directory has none of these files, when `tokenizer_config.json` or
    /// `config.json` name a class of tokenizers that is not read, when a SentencePiece model is of
    /// another kind, or under the conditions of [`from_file`](Self::from_file).
    pub fn from_directory(directory: &Path) -> Result<Self> {
        let [whole, words, bytes] = TOKENIZER_FILES.map(|name| directory.join(name));
        if whole.is_file() {
            return Self::from_file(&whole);
        }
        let settings = TokenizerSettings::of(directory)?;
        let names = settings.class_names(directory)?;
        let added = settings.added_tokens(directory)?;
        let (path, json) = if words.is_file() {
            let json = word_pieces(&read_text(&words)?, &settings, &names);
            (words, json)
        } else if bytes.is_file() {
            let vocab = input::read_json(&bytes, "not a vocabulary of tokens and their ids")?;
            let merges = read_text(&directory.join(MERGES))?;
            let json = byte_pairs(vocab, &merges, &settings, &names);
            (bytes, json)
        } else if let Some(path) = sentence_piece_model(directory) {
            let class =
                TokenizerClass::of(&names).map_err(|reason| Error::format(directory, reason))?;
            let tokenizer = sentence_piece::tokenizer(&input::read(&path)?, class, &path)?;
            added
                .check(|token| tokenizer.token_to_id(token))
                .map_err(|reason| Error::format(&path, reason))?;
            return Self::prepare(tokenizer, &path);
        } else {
            let reason = format!(
                "has neither tokenizer.json nor vocab.txt nor vocab.json with merges.txt nor \
                 sentencepiece.bpe.model; {WRITE_JSON}"
            );
            return Err(Error::format(directory, reason));
        };
        let json = json.and_then(|mut json| added.insert_into(&mut json).map(|()| json));
        let json = json.map_err(|reason| Error::format(&path, reason))?;
        Self::parse(json.to_string().as_bytes(), &path)
    }

    /// The files in `directory` that [`from_directory`](Self::from_directory) reads, but for the
    /// encoder's `config.json`.
    pub fn files_in(directory: &Path) -> Vec<PathBuf> {
        let names = Self::file_names(|name| directory.join(name).is_file());
        names.into_iter().map(|name| directory.join(name)).collect()
    }

    /// The names of the files that [`from_directory`](Self::from_directory) reads, of those that
    /// exist.
    pub fn file_names(exists: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let [whole, words, bytes] = TOKENIZER_FILES;
        let names = if exists(whole) {
            vec![whole]
        } else if exists(words) {
            vec![words, SETTINGS, ADDED_TOKENS]
        } else if exists(bytes) {
            vec![bytes, MERGES, SETTINGS, ADDED_TOKENS]
        } else {
            let model = sentence_piece::FILES.into_iter().find(|name| exists(name));
            model.into_iter().chain([SETTINGS, ADDED_TOKENS]).collect()
        };
        names.into_iter().filter(|name| exists(name)).collect()
    }

    /// Reads a `tokenizer.json` from memory.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] under the conditions of [`from_file`](Self::from_file).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes, Path::new("tokenizer.json"))
    }

    /// A tokenizer in which every word is one token.
    ///
    /// The ids 0 to 4 are `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `*`. The words of `vocab` follow
    /// in order, each once.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] when the tokenizer cannot be built.
    pub fn word_level<'a>(vocab: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let path = Path::new("word-level tokenizer");
        let mut seen = HashSet::new();
        let words = WORD_LEVEL_SPECIALS.into_iter().chain([MARKER]).chain(vocab);
        let ids = words.filter(|&word| seen.insert(word)).map(str::to_owned).zip(0..).collect();
        let [_, unknown, opening, closing] = WORD_LEVEL_SPECIALS;
        let model = WordLevel::builder().vocab(ids).unk_token(unknown.to_owned()).build();
        let mut tokenizer = Tokenizer::new(model.map_err(|error| {
            Error::format(path, "cannot be built from the vocabulary").with_source(error)
        })?);
        tokenizer.with_pre_tokenizer(Some(WhitespaceSplit));
        tokenizer.with_post_processor(Some(BertProcessing::new(
            (closing.to_owned(), 3),
            (opening.to_owned(), 2),
        )));
        tokenizer.add_special_tokens(&WORD_LEVEL_SPECIALS.map(|word| AddedToken::from(word, true)));
        Self::prepare(tokenizer, path)
    }

    /// The tokenizer as the text of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] when a part of the tokenizer cannot be serialised.
    pub fn to_json(&self) -> Result<String> {
        let json = self.tokenizer.to_string(true);
        json.map_err(|error| {
            Error::format(&self.path, "the tokenizer cannot be written as json").with_source(error)
        })
    }

    /// The special tokens before a document: `[CLS]` or `<s>`.
    pub fn opening(&self) -> &[u32] {
        &self.opening
    }

    /// The special tokens after a document: `[SEP]` or `</s>`.
    pub fn closing(&self) -> &[u32] {
        &self.closing
    }

    /// The number of rows that a word embedding needs: the largest token id plus one.
    ///
    /// Added and special tokens count. If the ids have gaps, the result exceeds the number of
    /// tokens.
    pub fn vocab_size(&self) -> usize {
        let special = self.opening.iter().chain(&self.closing).copied();
        let ids = self.tokenizer.get_vocab(true).into_values().chain(special);
        ids.max().map_or(0, |id| id as usize + 1)
    }

    /// The text of the token `id`; `None` if there is no such token.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The file that the tokenizer was read from, or a description where there is none.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tokenizes `document` with mention markers and special tokens, at its full length.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] when `document` is not [valid](Document::validate_for). [`Error::Format`]
    /// when the tokenizer fails on a word.
    pub fn tokenize(&self, document: &Document) -> Result<TokenizedDocument> {
        document.validate_for(PairSet::All)?;
        self.tokenize_with(document, &mut WordCache::default())
    }

    /// As [`tokenize`](Self::tokenize), for a valid document, with a cache of this tokenizer.
    pub(crate) fn tokenize_with(
        &self,
        document: &Document,
        cache: &mut WordCache,
    ) -> Result<TokenizedDocument> {
        let boundaries = MentionBoundaries::of(document);
        let mut token_ids = self.opening.clone();
        let mut starts = HashMap::new();
        let mut sentences = Vec::with_capacity(document.sentences.len());
        for (sentence_idx, sentence) in document.sentences.iter().enumerate() {
            let first = token_ids.len();
            for (word_idx, word) in sentence.iter().enumerate() {
                let place = (sentence_idx, word_idx);
                if boundaries.starts.contains(&place) {
                    starts.insert(place, token_ids.len());
                    token_ids.extend_from_slice(&self.marker);
                }
                self.extend_with_pieces(&mut token_ids, word, cache)?;
                if boundaries.last_words.contains(&place) {
                    token_ids.extend_from_slice(&self.marker);
                }
            }
            sentences.push(first..token_ids.len());
        }
        token_ids.extend_from_slice(&self.closing);
        let mentions = document
            .entities
            .iter()
            .map(|entity| entity.mentions.iter().map(|m| starts[&(m.sentence, m.start)]).collect())
            .collect();
        Ok(TokenizedDocument { token_ids, mentions, sentences })
    }

    fn extend_with_pieces(
        &self,
        token_ids: &mut Vec<u32>,
        word: &str,
        cache: &mut WordCache,
    ) -> Result<()> {
        if let Some(pieces) = cache.0.get(word) {
            token_ids.extend_from_slice(pieces);
            return Ok(());
        }
        let pieces = encode(&self.tokenizer, word, false, &self.path)?;
        token_ids.extend_from_slice(&pieces);
        if cache.0.len() < MAX_CACHED_WORDS {
            cache.0.insert(word.to_owned(), pieces);
        }
        Ok(())
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let bytes = input::without_byte_order_mark(bytes);
        let checked = FragileParts::check(bytes).map_err(Into::into);
        let tokenizer = checked.and_then(|()| Tokenizer::from_bytes(bytes)).map_err(|error| {
            let cause = match error.downcast::<serde_json::Error>() {
                Ok(error) => JsonError::from(*error).into(),
                Err(other) => other,
            };
            Error::format(path, "not a tokenizer.json").with_source(cause)
        })?;
        Self::prepare(tokenizer, path)
    }

    fn prepare(mut tokenizer: Tokenizer, path: &Path) -> Result<Self> {
        tokenizer.with_truncation(None).map_err(|error| {
            Error::format(path, "truncation cannot be disabled").with_source(error)
        })?;
        tokenizer.with_padding(None);
        let marker = marker_pieces(&tokenizer, path)?;
        let (opening, closing) = special_tokens(&tokenizer, path)?;
        Ok(Self { tokenizer, path: path.to_path_buf(), marker, opening, closing })
    }
}

/// Finds the SentencePiece model of a directory.
fn sentence_piece_model(directory: &Path) -> Option<PathBuf> {
    let mut paths = sentence_piece::FILES.iter().map(|name| directory.join(name));
    paths.find(|path| path.is_file())
}

/// The parts of a `tokenizer.json` on whose errors `tokenizers` 0.22 panics. They are read here
/// first, in the same way.
#[derive(Deserialize)]
struct FragileParts {
    #[serde(rename = "decoder")]
    _decoder: Option<Value>,
    normalizer: Option<Value>,
    post_processor: Option<Value>,
}

impl FragileParts {
    fn check(json: &[u8]) -> serde_json::Result<()> {
        let parts: Self = serde_json::from_slice(json)?;
        parts.normalizer.as_ref().map_or(Ok(()), check_normalizer)?;
        parts.post_processor.as_ref().map_or(Ok(()), check_post_processor)
    }
}

/// Checks the compiled tables of SentencePiece in a normalizer, or in a sequence of them.
fn check_normalizer(normalizer: &Value) -> serde_json::Result<()> {
    if normalizer.get("type").and_then(Value::as_str) == Some("Precompiled") {
        serde_json::from_str::<Precompiled>(&normalizer.to_string())?;
        let map = normalizer.get("precompiled_charsmap").and_then(Value::as_str);
        let map =
            BASE64_STANDARD.decode(map.unwrap_or_default()).map_err(serde::de::Error::custom)?;
        sentence_piece::character_map::check(&map).map_err(serde::de::Error::custom)?;
    }
    let parts = normalizer.get("normalizers").and_then(Value::as_array);
    parts.into_iter().flatten().try_for_each(check_normalizer)
}

/// Checks that the template for one text in a post-processor, or in a sequence of them, names only
/// special tokens that the post-processor has, and no second text.
fn check_post_processor(processor: &Value) -> serde_json::Result<()> {
    let items = |key: &str| processor.get(key).and_then(Value::as_array).into_iter().flatten();
    let refuse = |reason: String| Err(serde::de::Error::custom(reason));
    for piece in items("single") {
        let name = |kind: &str| piece.get(kind)?.get("id")?.as_str();
        if let Some(token) = name("SpecialToken") {
            let tokens = processor.get("special_tokens");
            if tokens.is_none_or(|tokens| tokens.get(token).is_none()) {
                return refuse(format!("the template has the unknown special token {token:?}"));
            }
        }
        if name("Sequence") == Some("B") {
            return refuse("the template for one text has a second text".into());
        }
    }
    items("processors").try_for_each(check_post_processor)
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(input::read(path)?)
        .map_err(|error| Error::format(path, "not UTF-8 text").with_source(error))
}

/// The first and the last words of all mentions, as indices of sentence and word.
struct MentionBoundaries {
    starts: HashSet<(usize, usize)>,
    last_words: HashSet<(usize, usize)>,
}

impl MentionBoundaries {
    fn of(document: &Document) -> Self {
        let mentions = || document.entities.iter().flat_map(|entity| &entity.mentions);
        Self {
            starts: mentions().map(|mention| (mention.sentence, mention.start)).collect(),
            last_words: mentions().map(|mention| (mention.sentence, mention.end - 1)).collect(),
        }
    }
}

/// The token ids of the marker: the token `*` if the vocabulary has it, as in the authors' code,
/// and otherwise its word pieces.
fn marker_pieces(tokenizer: &Tokenizer, path: &Path) -> Result<Vec<u32>> {
    let pieces = match tokenizer.token_to_id(MARKER) {
        Some(id) => vec![id],
        None => encode(tokenizer, MARKER, false, path)?,
    };
    if pieces.is_empty() {
        let reason = format!("the vocabulary has no token for the mention marker {MARKER:?}");
        return Err(Error::format(path, reason));
    }
    Ok(pieces)
}

/// The special tokens before and after a text, read off the encoding of the text `*`.
fn special_tokens(tokenizer: &Tokenizer, path: &Path) -> Result<(Vec<u32>, Vec<u32>)> {
    let bare = encode(tokenizer, MARKER, false, path)?;
    let wrapped = encode(tokenizer, MARKER, true, path)?;
    let n_added = wrapped.len().saturating_sub(bare.len());
    let n_opening = match bare.len() {
        0 => Some(n_added.div_ceil(2)),
        n_bare => wrapped.windows(n_bare).position(|window| window == bare),
    };
    let n_opening = n_opening
        .ok_or_else(|| Error::format(path, "the special tokens do not surround the text"))?;
    Ok((wrapped[..n_opening].to_vec(), wrapped[n_opening + bare.len()..].to_vec()))
}

fn encode(tokenizer: &Tokenizer, text: &str, special: bool, path: &Path) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode_fast(text, special).map_err(|error| {
        Error::format(path, format!("the tokenizer fails on {text:?}")).with_source(error)
    })?;
    Ok(encoding.get_ids().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::document::{Entity, Mention};

    /// A WordPiece tokenizer with lower-casing. The file also has truncation and padding to 4
    /// tokens, which must have no effect.
    ///
    /// Ids: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, * 4, anna 5, lives 6, in 7, os 8, ##lo 9, . 10,
    /// new 11.
    const WORD_PIECE: &[u8] = include_bytes!("../../tests/fixtures/tiny_wordpiece.json");

    /// A document of the given sentences; a mention is (sentence, start, end).
    fn document(sentences: &[&[&str]], entities: &[&[(usize, usize, usize)]]) -> Document {
        let mention = |&(sentence, start, end): &(usize, usize, usize)| Mention {
            name: String::new(),
            sentence,
            start,
            end,
        };
        let entity = |mentions: &&[(usize, usize, usize)]| Entity {
            kind: String::new(),
            mentions: mentions.iter().map(mention).collect(),
        };
        Document {
            title: "t".to_owned(),
            sentences: sentences
                .iter()
                .map(|sentence| sentence.iter().map(|&word| word.to_owned()).collect())
                .collect(),
            entities: entities.iter().map(entity).collect(),
            facts: Vec::new(),
        }
    }

    #[track_caller]
    fn assert_tokens(document: &Document, token_ids: &[u32], mentions: &[&[usize]]) {
        let tokenizer = DocumentTokenizer::from_bytes(WORD_PIECE).unwrap();
        let tokenized = tokenizer.tokenize(document).unwrap();
        assert_eq!(tokenized.token_ids, token_ids);
        assert_eq!(tokenized.mentions, mentions);
    }

    #[test]
    fn mentions_are_marked_and_positioned_at_their_opening_marker() {
        assert_tokens(
            &document(&[&["Anna", "lives", "in", "Oslo", "."]], &[&[(0, 3, 4)], &[(0, 0, 1)]]),
            // [CLS] * anna * lives in * os ##lo * . [SEP]
            &[2, 4, 5, 4, 6, 7, 4, 8, 9, 4, 10, 3],
            &[&[6], &[1]],
        );
    }

    #[test]
    fn mentions_that_share_a_boundary_share_its_marker() {
        assert_tokens(
            &document(&[&["New", "Oslo", "lives"]], &[&[(0, 0, 2), (0, 0, 1)], &[(0, 1, 2)]]),
            // "New Oslo", "New" and "Oslo": [CLS] * new * * os ##lo * lives [SEP]
            &[2, 4, 11, 4, 4, 8, 9, 4, 6, 3],
            &[&[1, 1], &[4]],
        );
        assert_tokens(
            &document(&[&["Anna"]], &[&[(0, 0, 1)], &[(0, 0, 1)]]),
            &[2, 4, 5, 4, 3],
            &[&[1], &[1]],
        );
    }

    #[test]
    fn adjacent_mentions_have_separate_markers_even_across_sentences() {
        assert_tokens(
            &document(&[&["Anna", "Oslo"], &["Anna"]], &[&[(0, 0, 1), (1, 0, 1)], &[(0, 1, 2)]]),
            // [CLS] * anna * * os ##lo * * anna * [SEP]
            &[2, 4, 5, 4, 4, 8, 9, 4, 4, 5, 4, 3],
            &[&[1, 8], &[4]],
        );
    }

    #[test]
    fn sentences_span_their_words_and_markers_and_may_be_empty() {
        let tokenizer = DocumentTokenizer::from_bytes(WORD_PIECE).unwrap();
        let sentences: &[&[&str]] = &[&["Anna", "Oslo"], &[], &["Anna"]];
        let document = document(sentences, &[&[(0, 0, 1), (2, 0, 1)], &[(0, 1, 2)]]);
        // [CLS] | * anna * * os ##lo * | | * anna * | [SEP]
        assert_eq!(tokenizer.tokenize(&document).unwrap().sentences, [1..8, 8..8, 8..11]);
    }

    #[test]
    fn an_inconsistent_document_is_refused() {
        let tokenizer = DocumentTokenizer::from_bytes(WORD_PIECE).unwrap();
        for entity in [&[(0, 1, 2)][..], &[(0, 1, 0)], &[(1, 0, 1)], &[(0, 0, usize::MAX)], &[]] {
            let error = tokenizer.tokenize(&document(&[&["Anna"]], &[entity]));
            assert!(matches!(error, Err(Error::Document { .. })), "{entity:?}");
        }
    }

    #[test]
    fn a_word_without_pieces_keeps_its_markers() {
        for word in ["", " ", "\u{a0}", "\u{200b}", "\u{301}"] {
            assert_tokens(
                &document(&[&["in", word, "."]], &[&[(0, 1, 2)], &[(0, 1, 3)]]),
                // [CLS] in * * . * [SEP]: the second mention ends after the full stop.
                &[2, 7, 4, 4, 10, 4, 3],
                &[&[2], &[2]],
            );
        }
    }

    #[test]
    fn emoji_are_unknown_pieces_and_combining_accents_belong_to_their_letter() {
        for (word, pieces) in [("😀", &[1][..]), ("👩\u{200d}👧", &[1]), ("a\u{301}nna", &[5])]
        {
            let ids = [&[2, 7, 4], pieces, &[4, 10, 3]].concat();
            assert_tokens(&document(&[&["in", word, "."]], &[&[(0, 1, 2)]]), &ids, &[&[2]]);
        }
    }

    #[test]
    fn unknown_and_very_long_words_are_one_unknown_piece() {
        let long = "lo".repeat(5_000);
        assert_tokens(&document(&[&["Xyz", &long]], &[&[(0, 1, 2)]]), &[2, 1, 4, 1, 4, 3], &[&[2]]);
    }

    #[test]
    fn a_document_without_words_consists_of_the_special_tokens() {
        assert_tokens(&document(&[], &[]), &[2, 3], &[]);
        assert_tokens(&document(&[&[], &[]], &[]), &[2, 3], &[]);
    }

    #[test]
    fn truncation_and_padding_of_the_file_are_disabled() {
        let words = ["Anna"; 40];
        let ids: Vec<u32> = [2].into_iter().chain([5; 40]).chain([3]).collect();
        assert_tokens(&document(&[&words], &[]), &ids, &[]);
        assert_tokens(&document(&[&["in"]], &[]), &[2, 7, 3], &[]);
    }

    #[test]
    fn special_tokens_are_read_off_the_encoding_of_a_text() {
        let tokenizer = DocumentTokenizer::from_bytes(WORD_PIECE).unwrap();
        assert_eq!((tokenizer.opening(), tokenizer.closing()), (&[2][..], &[3][..]));
        assert_eq!(tokenizer.vocab_size(), 12);
        let json = String::from_utf8(WORD_PIECE.to_vec()).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
        value["post_processor"] = serde_json::Value::Null;
        let plain = DocumentTokenizer::from_bytes(value.to_string().as_bytes()).unwrap();
        assert!(plain.opening().is_empty() && plain.closing().is_empty());
    }

    #[test]
    fn a_cache_does_not_change_the_pieces() {
        let tokenizer = DocumentTokenizer::from_bytes(WORD_PIECE).unwrap();
        let document = document(&[&["Oslo", "Oslo", "OSLO", ""]], &[&[(0, 1, 3)]]);
        let mut cache = WordCache::default();
        let first = tokenizer.tokenize_with(&document, &mut cache).unwrap();
        assert_eq!(tokenizer.tokenize_with(&document, &mut cache).unwrap(), first);
        assert_eq!(tokenizer.tokenize(&document).unwrap(), first);
    }

    #[test]
    fn a_word_level_tokenizer_is_the_same_after_saving() {
        let tokenizer = DocumentTokenizer::word_level(["Oslo", "in", "Oslo", "*", "."]).unwrap();
        assert_eq!(tokenizer.vocab_size(), 8);
        let document = document(&[&["in", "Oslo", "in", "Bergen", ""]], &[&[(0, 1, 2)]]);
        let tokenized = tokenizer.tokenize(&document).unwrap();
        // [CLS] in * Oslo * in [UNK] [SEP]
        assert_eq!(tokenized.token_ids, [2, 6, 4, 5, 4, 6, 1, 3]);
        assert_eq!(tokenized.mentions, [[2]]);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.to_json().unwrap()).unwrap();
        let loaded = DocumentTokenizer::from_file(&path).unwrap();
        assert_eq!(loaded.tokenize(&document).unwrap(), tokenized);
        assert_eq!((loaded.opening(), loaded.closing()), (&[2][..], &[3][..]));
        assert_eq!(loaded.vocab_size(), 8);
    }

    #[test]
    fn a_directory_with_a_vocabulary_has_the_tokenizer_of_its_tokenizer_json() {
        let json: serde_json::Value = serde_json::from_slice(WORD_PIECE).unwrap();
        let Some(vocab) = json["model"]["vocab"].as_object() else { panic!("a vocabulary") };
        let mut tokens = vec![""; vocab.len()];
        for (token, id) in vocab {
            tokens[id.as_u64().unwrap() as usize] = token;
        }
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        let error = DocumentTokenizer::from_directory(directory.path()).unwrap_err().to_string();
        assert!(error.contains("has neither tokenizer.json nor vocab.txt"), "{error}");
        write("vocab.txt", &tokens.join("\n"));
        write("tokenizer_config.json", r#"{"do_lower_case": true, "model_max_length": 512}"#);
        let from_vocabulary = DocumentTokenizer::from_directory(directory.path()).unwrap();
        let document = document(&[&["Anna", "LIVES", "in", "Ósló", "?"]], &[&[(0, 0, 1)]]);
        let expected = DocumentTokenizer::from_bytes(WORD_PIECE).unwrap();
        assert_eq!(
            from_vocabulary.tokenize(&document).unwrap(),
            expected.tokenize(&document).unwrap()
        );
        let files = DocumentTokenizer::files_in(directory.path());
        let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["vocab.txt", "tokenizer_config.json"]);
        write("tokenizer.json", "{}");
        assert!(DocumentTokenizer::from_directory(directory.path()).is_err());
    }

    /// A byte-pair vocabulary, a document, and its ids by `transformers` and the rules of the
    /// authors' code. `tools/roberta_words.py` wrote it.
    const ROBERTA_WORDS: &[u8] = include_bytes!("../../tests/fixtures/roberta_words.json");

    #[derive(Deserialize)]
    struct RobertaWords {
        vocab: HashMap<String, u32>,
        merges: String,
        sentences: Vec<Vec<String>>,
        entities: Vec<Vec<(usize, usize, usize)>>,
        token_ids: Vec<u32>,
    }

    #[test]
    fn words_of_roberta_have_the_ids_of_transformers_without_a_space_before_them() {
        let RobertaWords { vocab, merges, sentences, entities, token_ids } =
            serde_json::from_slice(ROBERTA_WORDS).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("vocab.json"), serde_json::to_string(&vocab).unwrap()).unwrap();
        std::fs::write(path("merges.txt"), merges).unwrap();
        let tokenizer = DocumentTokenizer::from_directory(directory.path()).unwrap();
        let entities: Vec<&[_]> = entities.iter().map(Vec::as_slice).collect();
        let document = Document { sentences, ..document(&[], &entities) };
        let found = tokenizer.tokenize(&document).unwrap();
        assert_eq!(found.token_ids, token_ids);
        // Words and the marker also have a token with a space before them, which is not used.
        for word in ["Oslo", "*"] {
            let (alone, spaced) = (vocab[word], vocab[&format!("Ġ{word}")]);
            assert!(token_ids.contains(&alone) && !token_ids.contains(&spaced), "{word}");
        }
        assert!(found.mentions.iter().flatten().all(|&at| token_ids[at] == vocab["*"]));
    }

    #[test]
    fn bytes_that_are_not_a_tokenizer_are_a_format_error() {
        for bytes in [&b""[..], b"{}", b"[]", b"\xFF", b"{\"model\":7}"] {
            assert!(matches!(DocumentTokenizer::from_bytes(bytes), Err(Error::Format { .. })));
        }
        assert!(DocumentTokenizer::from_bytes(&[b"\xEF\xBB\xBF", WORD_PIECE].concat()).is_ok());
        let missing = Path::new("/nonexistent/tokenizer.json");
        assert!(matches!(DocumentTokenizer::from_file(missing), Err(Error::Io { .. })));
    }

    #[test]
    fn damaged_parts_on_which_the_tokenizers_crate_panics_are_errors() {
        let whole = DocumentTokenizer::word_level(["Anna"]).unwrap().to_json().unwrap();
        let whole: Value = serde_json::from_str(&whole).unwrap();
        let with = |key: &str, part: Value| {
            let mut changed = whole.clone();
            changed[key] = part;
            changed.to_string()
        };
        let table = |bytes: &str| serde_json::json!({ "type": "Precompiled", "precompiled_charsmap": bytes });
        let sequence = serde_json::json!({ "type": "Sequence", "normalizers": [table("AAAA")] });
        // A trie of one unit, whose children would stand behind it.
        let outside = [4_u32.to_le_bytes(), (1_u32 << 10).to_le_bytes()].concat();
        let template = |piece: Value| {
            serde_json::json!({ "type": "TemplateProcessing", "single": [piece], "pair": [],
                                "special_tokens": {} })
        };
        let decoder = with("decoder", "x".into());
        for json in [
            with("normalizer", table("no base64")),
            with("normalizer", table(&BASE64_STANDARD.encode(&outside))),
            with("normalizer", sequence),
            decoder.replace("\"x\"", "\"x\u{1}\""),
            decoder.replace("\"x\"", "\"\\ud800\""),
            decoder.replace("\"x\"", "1e999"),
            with(
                "post_processor",
                template(serde_json::json!({ "SpecialToken": { "id": "[X]", "type_id": 0 } })),
            ),
            with(
                "post_processor",
                template(serde_json::json!({ "Sequence": { "id": "B", "type_id": 0 } })),
            ),
        ] {
            let error = DocumentTokenizer::from_bytes(json.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("not a tokenizer.json"), "{json}: {error}");
        }
    }
}
