//! Tokenizers from vocabulary files: BERT's `vocab.txt`, RoBERTa's `vocab.json` with `merges.txt`.
//!
//! The result is the content of the `tokenizer.json` that Hugging Face's `transformers` makes of
//! these files.

use serde_json::{Map, Value, json};

use super::settings::{ClassNames, TokenizerSettings, WRITE_JSON};

/// The classes of tokenizers in `transformers` that read a `vocab.txt` as BERT's does.
const WORD_PIECE_CLASSES: [&str; 3] = ["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"];
/// The classes that read `vocab.json` and `merges.txt` as RoBERTa's does.
const BYTE_PAIR_CLASSES: [&str; 3] = ["RobertaTokenizer", "LongformerTokenizer", "BartTokenizer"];

/// Makes the `tokenizer.json` of BERT's WordPiece tokenizer. `vocab` has one token a line, in the
/// order of the ids.
///
/// # Errors
/// If the vocabulary lacks `[UNK]`, `[CLS]` or `[SEP]`. If the class is another one, such as that of
/// Japanese BERT, which cuts a text into words by a dictionary.
pub(super) fn word_pieces(
    vocab: &str,
    settings: &TokenizerSettings,
    names: &ClassNames,
) -> Result<Value, String> {
    check_class(names, &WORD_PIECE_CLASSES)?;
    if settings.do_basic_tokenize == Some(false) {
        return Err(format!("`do_basic_tokenize` is false, which is not read; {WRITE_JSON}"));
    }
    let lines = vocab.strip_suffix('\n').unwrap_or(vocab).split('\n');
    let tokens = lines.map(|line| line.strip_suffix('\r').unwrap_or(line));
    let vocab: Map<String, Value> =
        tokens.zip(0u32..).map(|(token, id)| (token.to_owned(), id.into())).collect();
    let is_special = |token: &str| token.starts_with('[') && token.ends_with(']');
    let has_capitals = || {
        let words = vocab.keys().filter(|token| !is_special(token));
        words.flat_map(|token| token.chars()).any(char::is_uppercase)
    };
    let lower_case = settings.do_lower_case.unwrap_or_else(|| !has_capitals());
    let [unknown, opening, closing] = ["[UNK]", "[CLS]", "[SEP]"];
    id_of(&vocab, unknown)?;
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "decoder": null,
        "added_tokens": special_tokens(&vocab, &[unknown, opening, closing, "[PAD]", "[MASK]"]),
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "lowercase": lower_case,
            "handle_chinese_chars": settings.tokenize_chinese_chars.unwrap_or(true),
            "strip_accents": settings.strip_accents,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "BertProcessing",
            "sep": [closing, id_of(&vocab, closing)?], "cls": [opening, id_of(&vocab, opening)?],
        },
        "model": {
            "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    }))
}

/// Makes the `tokenizer.json` of RoBERTa's byte-level BPE tokenizer. `merges` has one pair a line,
/// the first merge first.
///
/// # Errors
/// If the vocabulary lacks `<unk>`, `<s>` or `</s>`. If the class is another one, such as that of
/// HerBERT, whose pieces are of characters.
pub(super) fn byte_pairs(
    vocab: Map<String, Value>,
    merges: &str,
    settings: &TokenizerSettings,
    names: &ClassNames,
) -> Result<Value, String> {
    check_class(names, &BYTE_PAIR_CLASSES)?;
    let lines = merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let merges: Vec<&str> = lines.collect();
    let [unknown, opening, closing] = ["<unk>", "<s>", "</s>"];
    id_of(&vocab, unknown)?;
    let add_prefix_space = settings.add_prefix_space.unwrap_or(false);
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "decoder": null,
        "added_tokens": special_tokens(&vocab, &[unknown, opening, closing, "<pad>", "<mask>"]),
        "normalizer": null,
        "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true,
            "use_regex": true,
        },
        "post_processor": {
            "type": "RobertaProcessing", "trim_offsets": true, "add_prefix_space": add_prefix_space,
            "sep": [closing, id_of(&vocab, closing)?], "cls": [opening, id_of(&vocab, opening)?],
        },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges,
        },
    }))
}

/// Checks that the tokenizer's class is one of `known`, or not given.
fn check_class(names: &ClassNames, known: &[&str]) -> Result<(), String> {
    match &names.class {
        Some(class) if !known.contains(&class.as_str()) => Err(format!(
            "a vocabulary of the tokenizer {class:?}; only {} are read from this file; {WRITE_JSON}",
            known.join(", ")
        )),
        _ => Ok(()),
    }
}

/// The id of a token that a tokenizer needs; an error if the vocabulary lacks it.
fn id_of<'a>(vocab: &'a Map<String, Value>, token: &str) -> Result<&'a Value, String> {
    vocab.get(token).ok_or_else(|| format!("the vocabulary has no token {token}"))
}

/// The entries of those `tokens` that the vocabulary has. Each is one token in any text.
fn special_tokens(vocab: &Map<String, Value>, tokens: &[&str]) -> Vec<Value> {
    let entry = |token: &&str| {
        let id = vocab.get(*token)?;
        Some(json!({
            "id": id, "content": token, "single_word": false, "lstrip": *token == "<mask>",
            "rstrip": false, "normalized": false, "special": true,
        }))
    };
    tokens.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::chain_of, text::tokenizer::DocumentTokenizer};

    const CASED: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nAnna\nanna\nOs\n##lo\n*\nin\n";

    fn tokenizer(json: &Value) -> DocumentTokenizer {
        DocumentTokenizer::from_bytes(json.to_string().as_bytes()).unwrap()
    }

    fn lower_case(vocab: &str, settings: &TokenizerSettings) -> bool {
        word_pieces(vocab, settings, &Default::default()).unwrap()["normalizer"]["lowercase"]
            .as_bool()
            .unwrap()
    }

    #[test]
    fn a_token_has_the_number_of_its_line_as_id() {
        for vocab in [CASED.to_owned(), CASED.replace('\n', "\r\n"), CASED.trim().to_owned()] {
            let tokenizer =
                tokenizer(&word_pieces(&vocab, &Default::default(), &Default::default()).unwrap());
            assert_eq!(tokenizer.vocab_size(), 10);
            assert_eq!(tokenizer.token(7).as_deref(), Some("##lo"));
            assert_eq!((tokenizer.opening(), tokenizer.closing()), (&[2][..], &[3][..]));
        }
    }

    #[test]
    fn a_vocabulary_with_capital_letters_is_cased_unless_the_settings_say_otherwise() {
        let lower = CASED.to_lowercase().replace("[unk]", "[UNK]").replace("[cls]", "[CLS]");
        let lower = lower.replace("[sep]", "[SEP]");
        assert!(!lower_case(CASED, &Default::default()));
        assert!(lower_case(&lower, &Default::default()));
        for given in [true, false] {
            let settings = TokenizerSettings::with_lower_case(given);
            assert_eq!([CASED, &lower].map(|vocab| lower_case(vocab, &settings)), [given; 2]);
        }
    }

    #[test]
    fn byte_pairs_are_merged_in_the_order_of_the_file() {
        let vocab = json!({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "c": 6,
                           "ab": 7, "bc": 8, "*": 9, "#": 10});
        let Value::Object(vocab) = vocab else { panic!("an object") };
        let ids = |merges: &str| {
            let json = byte_pairs(vocab.clone(), merges, &Default::default(), &Default::default())
                .unwrap();
            let tokenizer = tokenizer(&json);
            assert_eq!((tokenizer.opening(), tokenizer.closing()), (&[0][..], &[2][..]));
            let document = crate::data::document::Document {
                title: String::new(),
                sentences: vec![vec!["abc".into(), "z#".into()]],
                entities: Vec::new(),
                facts: Vec::new(),
            };
            tokenizer.tokenize(&document).unwrap().token_ids
        };
        assert_eq!(ids("#version: 0.2\na b\nb c\n"), [0, 7, 6, 3, 10, 2]);
        assert_eq!(ids("#version: 0.2\nb c\na b\n"), [0, 4, 8, 3, 10, 2]);
        assert_eq!(ids(""), [0, 4, 5, 6, 3, 10, 2]);
    }

    #[test]
    fn a_vocabulary_without_a_special_token_is_refused() {
        for token in ["[UNK]", "[CLS]", "[SEP]"] {
            let vocab = CASED.replace(token, "x");
            let error = word_pieces(&vocab, &Default::default(), &Default::default()).unwrap_err();
            assert_eq!(error, format!("the vocabulary has no token {token}"));
        }
        assert!(byte_pairs(Map::new(), "", &Default::default(), &Default::default()).is_err());
    }

    /// Opens the tokenizer of a directory with `files`, pairs of name and text.
    fn opened(files: &[(&str, &str)]) -> Result<DocumentTokenizer, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        DocumentTokenizer::from_directory(directory.path()).map_err(|error| chain_of(&error))
    }

    /// The token ids of a text of one word, without the special tokens.
    fn ids(tokenizer: &DocumentTokenizer, word: &str) -> Vec<u32> {
        let document = crate::data::document::Document {
            title: String::new(),
            sentences: vec![vec![word.into()]],
            entities: Vec::new(),
            facts: Vec::new(),
        };
        let ids = tokenizer.tokenize(&document).unwrap().token_ids;
        ids[1..ids.len() - 1].to_vec()
    }

    const BYTES: &str = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "*": 5}"#;

    #[test]
    fn a_vocabulary_of_another_class_of_tokenizers_is_refused_with_the_remedy() {
        let bytes = [("vocab.json", BYTES), ("merges.txt", "")];
        let words = [("vocab.txt", CASED)];
        for (files, known, others) in [
            (
                &words[..],
                ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer"],
                ["BertJapaneseTokenizer", "PhobertTokenizer", "RobertaTokenizer"],
            ),
            (
                &bytes,
                ["RobertaTokenizer", "RobertaTokenizerFast", "LongformerTokenizer"],
                ["HerbertTokenizerFast", "GPT2Tokenizer", "BertTokenizer"],
            ),
        ] {
            assert!(opened(files).is_ok());
            for file in ["tokenizer_config.json", "config.json"] {
                let with = |class: &str| {
                    let text = format!(r#"{{"tokenizer_class": "{class}"}}"#);
                    opened(&[files, &[(file, &text)]].concat())
                };
                for class in known {
                    assert!(with(class).is_ok(), "{file}: {class}");
                }
                for class in others {
                    let error = with(class).unwrap_err();
                    let class = class.trim_end_matches("Fast");
                    assert!(error.contains(class) && error.contains(WRITE_JSON), "{error}");
                }
            }
        }
        let settings = ("tokenizer_config.json", r#"{"do_basic_tokenize": false}"#);
        let error = opened(&[words[0], settings]).unwrap_err();
        assert!(error.contains("do_basic_tokenize") && error.contains(WRITE_JSON), "{error}");
    }

    #[test]
    fn added_tokens_have_their_ids_even_behind_a_gap() {
        let decoder = r#"{"added_tokens_decoder": {"2": {"content": "[CLS]", "special": true},
                          "20": {"content": "[E1]", "special": true}}}"#;
        for added in [("added_tokens.json", r#"{"[E1]": 20}"#), ("tokenizer_config.json", decoder)]
        {
            let tokenizer = opened(&[("vocab.txt", CASED), added]).unwrap();
            assert_eq!(ids(&tokenizer, "Anna[E1]Oslo"), [4, 20, 6, 7]);
            assert_eq!((tokenizer.vocab_size(), tokenizer.opening()), (21, &[2][..]));
        }
        let bytes =
            [("vocab.json", BYTES), ("merges.txt", ""), ("added_tokens.json", r#"{"[E1]": 9}"#)];
        assert_eq!(ids(&opened(&bytes).unwrap(), "a[E1]a"), [4, 9, 4]);
    }

    #[test]
    fn added_tokens_that_contradict_the_vocabulary_are_refused() {
        for tokens in [r#"{"[E1]": 4}"#, r#"{"Anna": 20}"#, r#"{"": 20}"#, r#"{"a": 30, "b": 30}"#]
        {
            let error = opened(&[("vocab.txt", CASED), ("added_tokens.json", tokens)]).unwrap_err();
            let expected = ["contradicts the vocabulary", "two added tokens share an id"];
            assert!(expected.iter().any(|text| error.contains(text)), "{tokens}: {error}");
        }
        for tokens in ["[]", r#"{"[E1]": -1}"#, r#"{"[E1]": "20"}"#] {
            let error = opened(&[("vocab.txt", CASED), ("added_tokens.json", tokens)]).unwrap_err();
            assert!(error.contains("not a table of added tokens"), "{tokens}: {error}");
        }
    }

    /// The tokens that `transformers` computes, written by `tools/encoders/byte_pairs.py`.
    #[derive(serde::Deserialize)]
    struct Expected {
        words: Vec<String>,
        size: usize,
        /// The token ids of each word.
        without_space: Vec<Vec<u32>>,
        /// The same where a space precedes each text.
        with_space: Vec<Vec<u32>>,
    }

    #[test]
    fn every_word_has_the_byte_pairs_that_transformers_gives_it() {
        let fixture = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/byte_pairs");
            std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
        };
        let expected: Expected = serde_json::from_str(&fixture("expected.json")).unwrap();
        let files = ["vocab.json", "merges.txt", "added_tokens.json"];
        let files = files.map(|name| (name, fixture(name)));
        for (settings, tokens) in [
            ("{}", &expected.without_space),
            (r#"{"add_prefix_space": false}"#, &expected.without_space),
            (r#"{"add_prefix_space": true}"#, &expected.with_space),
        ] {
            let mut files: Vec<_> =
                files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            files.push(("tokenizer_config.json", settings));
            let tokenizer = opened(&files).unwrap();
            assert_eq!(tokenizer.vocab_size(), expected.size);
            assert_eq!(expected.words.len(), tokens.len());
            for (word, tokens) in expected.words.iter().zip(tokens) {
                assert_eq!(&ids(&tokenizer, word), tokens, "{settings}: {word:?}");
            }
        }
    }
}
