//! Tokenizers from SentencePiece models of the type Unigram, as XLM-RoBERTa and CamemBERT have
//! them.
//!
//! The result is the tokenizer that the "fast" classes of Hugging Face's `transformers` 4.49 make
//! of the same model. Ids are not those of the model: fairseq, which trained these encoders, has
//! special tokens before the pieces.

pub(super) mod character_map;
mod model_file;

use std::path::Path;

use tokenizers::{
    AddedToken, NormalizerWrapper, Tokenizer,
    models::unigram::Unigram,
    normalizers::{Precompiled, Replace, Sequence, Strip, replace::ReplacePattern},
    pre_tokenizers::metaspace::Metaspace,
    processors::roberta::RobertaProcessing,
};

use self::model_file::{ModelFile, Piece, PieceKind};
use super::settings::{ClassNames, WRITE_JSON};
use crate::{Error, Result, error::Cause};

/// The names of model files, the preferred ones first.
pub(super) const FILES: [&str; 3] = ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model"];

const UNKNOWN: &str = "<unk>";
const OPENING: &str = "<s>";
const CLOSING: &str = "</s>";
const PADDING: &str = "<pad>";
const MASK: &str = "<mask>";
/// The score of a token that is never chosen.
const NEVER: f64 = -100.0;

/// A class of tokenizers in `transformers`. It determines the special tokens before and after the
/// pieces of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenizerClass {
    XlmRoberta,
    Camembert,
}

impl TokenizerClass {
    /// The class that a directory names, else that of the encoder's family.
    ///
    /// # Errors
    /// If no class is named or another one than these.
    pub(super) fn of(names: &ClassNames) -> Result<Self, String> {
        let name = names.class.as_ref().or(names.model_type.as_ref());
        match name.map_or("", String::as_str) {
            "XLMRobertaTokenizer" | "xlm-roberta" => Ok(Self::XlmRoberta),
            "CamembertTokenizer" | "camembert" => Ok(Self::Camembert),
            name => Err(format!(
                "has a SentencePiece model of the tokenizer {name:?}; only those of XLM-RoBERTa \
                 and CamemBERT are read; {WRITE_JSON}"
            )),
        }
    }

    /// The tokens by id, with their scores. Special tokens have the score 0.
    ///
    /// # Errors
    /// If the model does not begin with the special tokens that this class replaces.
    fn vocabulary(self, pieces: &[Piece<'_>]) -> Result<Vec<(String, f64)>, String> {
        let found: Vec<&str> = pieces.iter().take(3).map(|piece| piece.text).collect();
        if found != [UNKNOWN, OPENING, CLOSING] {
            return Err(format!(
                "its pieces begin with {found:?} in place of `{UNKNOWN}`, `{OPENING}` and \
                 `{CLOSING}`; {WRITE_JSON}"
            ));
        }
        let (special, n_replaced) = match self {
            Self::XlmRoberta => (&[OPENING, PADDING, CLOSING, UNKNOWN][..], 3),
            Self::Camembert => (&["<s>NOTUSED", PADDING, "</s>NOTUSED", UNKNOWN][..], 1),
        };
        let mut vocabulary: Vec<_> = special.iter().map(|token| (token.to_string(), 0.0)).collect();
        if self == Self::Camembert {
            vocabulary.push(("<unk>NOTUSED".to_owned(), NEVER));
        }
        let pieces = pieces[n_replaced..].iter();
        vocabulary.extend(pieces.map(|piece| (piece.text.to_owned(), piece.score.into())));
        vocabulary.push((MASK.to_owned(), 0.0));
        Ok(vocabulary)
    }

    /// The tokens that are recognised before a text is normalised and cut into pieces.
    fn added_tokens(self, pieces: &[Piece<'_>]) -> Vec<AddedToken> {
        let special: &[&str] = match self {
            Self::XlmRoberta => &[OPENING, PADDING, CLOSING, UNKNOWN],
            Self::Camembert => {
                &["<s>NOTUSED", PADDING, "</s>NOTUSED", UNKNOWN, "<unk>NOTUSED", OPENING, CLOSING]
            }
        };
        let special = special.iter().map(|token| AddedToken::from(*token, true));
        let of_model = pieces.iter().filter_map(|piece| match piece.kind {
            PieceKind::Control => Some(AddedToken::from(piece.text, true)),
            PieceKind::UserDefined => Some(AddedToken::from(piece.text, false).normalized(false)),
            PieceKind::Other => None,
        });
        // The two classes differ here in `transformers` too.
        let mask = AddedToken::from(MASK, true).lstrip(true).normalized(self == Self::XlmRoberta);
        special.chain(of_model).chain([mask]).collect()
    }
}

/// Builds the tokenizer of the model in `bytes`, the content of the file `path`.
///
/// # Errors
/// [`Error::Format`] if the model is damaged, or exceeds the limits of [`ModelFile::parse`] or of
/// [`character_map::check`]. If it is no Unigram model, has bytes as pieces, or does not begin with
/// `<unk>`, `<s>` and `</s>`.
pub(super) fn tokenizer(bytes: &[u8], class: TokenizerClass, path: &Path) -> Result<Tokenizer> {
    let damaged = |cause: Cause| {
        Error::format(path, "not a supported SentencePiece model").with_source(cause)
    };
    let model = ModelFile::parse(bytes).map_err(damaged)?;
    if model.algorithm != ModelFile::UNIGRAM || model.has_byte_fallback {
        let kind =
            if model.has_byte_fallback { "with bytes as pieces" } else { "that is no Unigram" };
        let reason = format!("a SentencePiece model {kind}, which is not read; {WRITE_JSON}");
        return Err(Error::format(path, reason));
    }
    let vocabulary =
        class.vocabulary(&model.pieces).map_err(|reason| Error::format(path, reason))?;
    assembled(&model, class, vocabulary).map_err(damaged)
}

fn assembled(
    model: &ModelFile<'_>,
    class: TokenizerClass,
    vocabulary: Vec<(String, f64)>,
) -> Result<Tokenizer, Cause> {
    let id = |token: &str| vocabulary.iter().position(|(other, _)| other == token);
    let with_id = |token: &str| -> Result<(String, u32), Cause> {
        let id = id(token).ok_or_else(|| format!("it has no token {token}"))?;
        Ok((token.to_owned(), u32::try_from(id)?))
    };
    let processor = RobertaProcessing::new(with_id(CLOSING)?, with_id(OPENING)?)
        .trim_offsets(false)
        .add_prefix_space(false);
    let unknown = id(UNKNOWN);
    let mut tokenizer = Tokenizer::new(Unigram::from(vocabulary, unknown, false)?);
    tokenizer.with_normalizer(Some(normalizer(model.character_map)?));
    tokenizer.with_pre_tokenizer(Some(Metaspace::default()));
    tokenizer.with_decoder(Some(Metaspace::default()));
    tokenizer.with_post_processor(Some(processor));
    for token in class.added_tokens(&model.pieces) {
        if token.special {
            tokenizer.add_special_tokens(&[token]);
        } else {
            tokenizer.add_tokens(&[token]);
        }
    }
    Ok(tokenizer)
}

/// Replaces characters by the model's map, strips spaces at the end, and replaces two or more
/// spaces in a row by one `▁`.
fn normalizer(character_map: &[u8]) -> Result<Sequence, Cause> {
    let spaces = Replace::new(ReplacePattern::Regex(" {2,}".to_owned()), "▁")?;
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if !character_map.is_empty() {
        character_map::check(character_map)?;
        steps.push(Precompiled::from(character_map)?.into());
    }
    steps.push(Strip::new(false, true).into());
    steps.push(spaces.into());
    Ok(Sequence::new(steps))
}

#[cfg(test)]
mod tests;
