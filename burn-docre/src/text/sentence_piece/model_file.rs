//! The file of a SentencePiece model: a message of Protocol Buffers.
//!
//! The fields and their numbers are those of `sentencepiece_model.proto`. Unknown fields are
//! skipped.

use crate::error::Cause;

/// The maximum number of pieces. The largest vocabulary of an XLM-RoBERTa has 0.9 million (XLM-V).
const MAX_PIECES: usize = 1 << 21;
/// The maximum length of a piece in bytes. SentencePiece's default is 16 characters.
const MAX_PIECE: usize = 1024;
/// The maximum length of all pieces in bytes. A tokenizer's trie has up to one node for each byte.
const MAX_TEXT: usize = 16 << 20;

/// The parts of a model that tokenizers have.
#[derive(Debug)]
pub(super) struct ModelFile<'a> {
    /// The pieces by id.
    pub(super) pieces: Vec<Piece<'a>>,
    /// The algorithm, such as [`UNIGRAM`](Self::UNIGRAM).
    pub(super) algorithm: u64,
    /// True if characters without a piece become the bytes of their UTF-8 form.
    pub(super) has_byte_fallback: bool,
    /// The compiled map of characters, `precompiled_charsmap`; empty if texts are not changed.
    pub(super) character_map: &'a [u8],
}

/// A piece of text.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// The logarithm of its probability, finite.
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// The kinds of pieces that tokenizers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// A special token, such as `<s>`.
    Control,
    /// A token that is never cut.
    UserDefined,
    Other,
}

impl<'a> ModelFile<'a> {
    /// The algorithm Unigram.
    pub(super) const UNIGRAM: u64 = 1;

    /// Reads a model.
    ///
    /// # Errors
    /// If the file is cut off, is no message of Protocol Buffers, has no pieces, or exceeds the
    /// limits of number and length. If a piece is empty or not UTF-8, or a score is not a finite
    /// number.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Cause> {
        let mut model = Self {
            pieces: Vec::new(),
            algorithm: Self::UNIGRAM,
            has_byte_fallback: false,
            character_map: &[],
        };
        let mut n_bytes = 0;
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => {
                    let piece = Piece::parse(piece)?;
                    n_bytes += piece.text.len();
                    if model.pieces.len() == MAX_PIECES || n_bytes > MAX_TEXT {
                        return Err("it has too many pieces".into());
                    }
                    model.pieces.push(piece);
                }
                (2, Value::Bytes(trainer)) => model.read_trainer(trainer)?,
                (3, Value::Bytes(normalizer)) => model.read_normalizer(normalizer)?,
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err("it has no pieces".into());
        }
        Ok(model)
    }

    fn read_trainer(&mut self, message: &[u8]) -> Result<(), Cause> {
        for field in Fields(message) {
            match field? {
                (3, Value::Integer(algorithm)) => self.algorithm = algorithm,
                (35, Value::Integer(flag)) => self.has_byte_fallback = flag != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_normalizer(&mut self, message: &'a [u8]) -> Result<(), Cause> {
        for field in Fields(message) {
            if let (2, Value::Bytes(map)) = field? {
                self.character_map = map;
            }
        }
        Ok(())
    }
}

impl<'a> Piece<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, Cause> {
        let mut piece = Self { text: "", score: 0.0, kind: PieceKind::Other };
        for field in Fields(message) {
            match field? {
                (1, Value::Bytes(text)) => piece.text = std::str::from_utf8(text)?,
                (2, Value::Four(bytes)) => piece.score = f32::from_le_bytes(bytes),
                (3, Value::Integer(kind)) => {
                    piece.kind = match kind {
                        3 => PieceKind::Control,
                        4 => PieceKind::UserDefined,
                        _ => PieceKind::Other,
                    };
                }
                _ => {}
            }
        }
        if piece.text.is_empty() || piece.text.len() > MAX_PIECE {
            return Err(format!("a piece is empty or longer than {MAX_PIECE} bytes").into());
        }
        if !piece.score.is_finite() {
            return Err(format!("the score of a piece is {}", piece.score).into());
        }
        Ok(piece)
    }
}

/// The value of a field.
enum Value<'a> {
    Integer(u64),
    /// A text, a message or other bytes.
    Bytes(&'a [u8]),
    Four([u8; 4]),
    Eight,
}

/// The fields of a message, each with its number.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Cause>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), Cause> {
        let tag = self.integer()?;
        let value = match tag & 7 {
            0 => Value::Integer(self.integer()?),
            1 => {
                self.take(8)?;
                Value::Eight
            }
            2 => {
                let n = self.integer()?;
                Value::Bytes(self.take(usize::try_from(n)?)?)
            }
            5 => Value::Four(self.take(4)?.try_into()?),
            other => return Err(format!("a field has the unknown type {other}").into()),
        };
        Ok((tag >> 3, value))
    }

    /// Reads an integer: seven bits a byte, the lowest first. The last byte has its highest bit
    /// clear.
    fn integer(&mut self) -> Result<u64, Cause> {
        let mut integer = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.take(1)?[0];
            integer |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(integer);
            }
        }
        Err("an integer has more than 64 bits".into())
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Cause> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message of a piece: its text, and its score in little-endian order.
    fn piece(text: &str, score: f32) -> Vec<u8> {
        let mut message = vec![0x0A, text.len() as u8];
        message.extend(text.as_bytes());
        message.push(0x15);
        message.extend(score.to_le_bytes());
        [&[0x0A, message.len() as u8][..], &message].concat()
    }

    #[track_caller]
    fn refusal(bytes: &[u8]) -> String {
        ModelFile::parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn missing_fields_have_the_defaults_of_sentencepiece_and_unknown_ones_are_skipped() {
        // Field 15 with 8 bytes, field 300 with an integer of two bytes.
        let unknown = [&[0x79][..], &[1; 8], &[0xE0, 0x12, 0x96, 0x01]].concat();
        let bytes = [unknown, piece("a", -1.5), vec![0x0A, 3, 0x0A, 1, b'b']].concat();
        let model = ModelFile::parse(&bytes).unwrap();
        let pieces: Vec<_> = model.pieces.iter().map(|p| (p.text, p.score, p.kind)).collect();
        assert_eq!(pieces, [("a", -1.5, PieceKind::Other), ("b", 0.0, PieceKind::Other)]);
        assert_eq!((model.algorithm, model.has_byte_fallback), (ModelFile::UNIGRAM, false));
        assert!(model.character_map.is_empty());
    }

    #[test]
    fn a_message_that_is_cut_off_is_refused_at_every_length() {
        let whole = piece("ab", -1.0);
        for n in 1..whole.len() {
            assert_eq!(refusal(&whole[..n]), "it is cut off", "{n}");
        }
        assert_eq!(refusal(b""), "it has no pieces");
        assert_eq!(refusal(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]), "it is cut off");
    }

    #[test]
    fn values_that_no_model_has_are_refused() {
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(refusal(&piece("a", score)).starts_with("the score of a piece is"));
        }
        assert!(refusal(&piece("", 0.0)).starts_with("a piece is empty"));
        assert!(refusal(&[0x0A, 3, 0x0A, 1, 0xFF]).contains("utf-8"));
        assert!(refusal(&[0x0B]).contains("unknown type 3"));
        assert!(refusal(&[0xFF; 11]).contains("more than 64 bits"));
        assert!(refusal(&long_piece(MAX_PIECE + 1)).contains("longer than 1024 bytes"));
    }

    /// The message of a piece of `n` letters.
    fn long_piece(n: usize) -> Vec<u8> {
        let two_bytes = |n: usize| [0x80 | (n & 0x7F) as u8, (n >> 7) as u8];
        let text = [&[0x0A][..], &two_bytes(n), &vec![b'a'; n]].concat();
        [&[0x0A][..], &two_bytes(text.len()), &text].concat()
    }

    #[test]
    fn more_text_than_any_model_has_is_refused() {
        let n = MAX_TEXT / MAX_PIECE;
        assert!(ModelFile::parse(&long_piece(MAX_PIECE).repeat(n)).is_ok());
        assert_eq!(refusal(&long_piece(MAX_PIECE).repeat(n + 1)), "it has too many pieces");
    }
}
