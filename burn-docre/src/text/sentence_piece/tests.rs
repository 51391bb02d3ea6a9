use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::*;
use crate::{
    data::document::Document,
    error::chain_of,
    text::tokenizer::{DocumentTokenizer, TokenizedDocument},
};

const MODEL: &str = "sentencepiece.bpe.model";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sentence_piece").join(name)
}

/// The tokens that `transformers` computes, written by `tools/encoders/sentence_piece.py`.
#[derive(Deserialize)]
struct Expected {
    words: Vec<String>,
    #[serde(flatten)]
    classes: BTreeMap<String, ExpectedTokens>,
}

#[derive(Deserialize)]
struct ExpectedTokens {
    opening: u32,
    closing: u32,
    size: usize,
    /// The token ids of each word.
    ids: Vec<Vec<u32>>,
}

/// Creates a directory with the model under the name `model`, and other files of the given texts.
fn directory(model: &str, others: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(fixture(MODEL), directory.path().join(model)).unwrap();
    for (name, text) in others {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn opened(directory: &tempfile::TempDir) -> Result<DocumentTokenizer> {
    DocumentTokenizer::from_directory(directory.path())
}

/// Tokenizes each word as a sentence.
fn tokenize(tokenizer: &DocumentTokenizer, words: &[String]) -> TokenizedDocument {
    let sentences = words.iter().map(|word| vec![word.clone()]).collect();
    let (entities, facts) = (Vec::new(), Vec::new());
    let document = Document { title: String::new(), sentences, entities, facts };
    tokenizer.tokenize(&document).unwrap()
}

#[test]
fn every_word_has_the_tokens_that_transformers_gives_it() {
    let expected: Expected =
        serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    assert_eq!(expected.classes.len(), 2);
    for (class, tokens) in &expected.classes {
        let config = format!(r#"{{"model_type": "{class}"}}"#);
        let tokenizer = opened(&directory(MODEL, &[("config.json", &config)])).unwrap();
        assert_eq!(tokenizer.opening(), [tokens.opening], "{class}");
        assert_eq!(tokenizer.closing(), [tokens.closing], "{class}");
        assert_eq!(tokenizer.vocab_size(), tokens.size, "{class}");
        let saved = DocumentTokenizer::from_bytes(tokenizer.to_json().unwrap().as_bytes()).unwrap();
        for tokenizer in [tokenizer, saved] {
            let found = tokenize(&tokenizer, &expected.words);
            let words = expected.words.iter().zip(&tokens.ids).zip(found.sentences);
            assert_eq!(words.len(), tokens.ids.len());
            for ((word, ids), span) in words {
                assert_eq!(found.token_ids[span], ids[..], "{class}: {word:?}");
            }
        }
    }
}

#[test]
fn the_class_is_read_from_either_configuration_and_the_tokenizers_own_comes_first() {
    let settings = r#"{"tokenizer_class": "CamembertTokenizer"}"#;
    let in_encoder = r#"{"tokenizer_class": "CamembertTokenizerFast", "model_type": "roberta"}"#;
    let xlm_roberta = r#"{"model_type": "xlm-roberta"}"#;
    for others in [
        &[("tokenizer_config.json", settings), ("config.json", xlm_roberta)][..],
        &[("tokenizer_config.json", settings)],
        &[("tokenizer_config.json", "{}"), ("config.json", in_encoder)],
    ] {
        for model in FILES {
            let directory = directory(model, others);
            assert_eq!(opened(&directory).unwrap().closing(), [6], "{others:?}");
            let files = DocumentTokenizer::files_in(directory.path());
            assert_eq!(files[0], directory.path().join(model));
        }
    }
}

#[test]
fn the_model_of_another_class_is_refused_with_the_remedy() {
    for (others, name) in [
        (&[("config.json", r#"{"model_type": "bert"}"#)][..], "\"bert\""),
        (&[("tokenizer_config.json", r#"{"tokenizer_class": "T5Tokenizer"}"#)], "\"T5Tokenizer\""),
        (&[], "\"\""),
    ] {
        let error = opened(&directory(MODEL, others)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(WRITE_JSON), "{error}");
    }
}

#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    let path = Path::new(MODEL);
    chain_of(&tokenizer(bytes, TokenizerClass::XlmRoberta, path).map(|_| ()).unwrap_err())
}

#[test]
fn a_model_of_byte_pairs_is_refused_with_the_remedy() {
    let error = refusal(&std::fs::read(fixture("bpe.model")).unwrap());
    assert!(error.contains("a SentencePiece model that is no Unigram"), "{error}");
    assert!(error.contains(WRITE_JSON), "{error}");
}

#[test]
fn a_model_without_the_special_tokens_of_its_class_is_refused() {
    let bytes = std::fs::read(fixture(MODEL)).unwrap();
    let at = bytes.windows(3).position(|window| window == b"<s>").unwrap();
    let mut changed = bytes.clone();
    changed[at + 1] = b'x';
    let error = refusal(&changed);
    assert!(error.contains(r#"begin with ["<unk>", "<x>", "</s>"]"#), "{error}");
}

/// Changes and cuts a model. Each result is read or refused, without a panic.
#[test]
fn damaged_models_are_errors_or_other_tokenizers() {
    let mut random = 1u64;
    let mut next = move |n: usize| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) as usize % n
    };
    let whole = std::fs::read(fixture(MODEL)).unwrap();
    let words = ["Anna", "\u{ff21}e\u{301}", "\u{200b}½…", "東京"].map(str::to_owned);
    let (mut n_read, mut n_refused) = (0, 0);
    for round in 0..100 {
        let mut bytes = whole.clone();
        for _ in 0..1 + round % 5 {
            let at = next(bytes.len());
            bytes[at] = next(256) as u8;
        }
        if round % 7 == 0 {
            bytes.truncate(next(whole.len()));
        }
        let directory = directory(MODEL, &[("config.json", r#"{"model_type": "xlm-roberta"}"#)]);
        std::fs::write(directory.path().join(MODEL), &bytes).unwrap();
        match opened(&directory) {
            Ok(tokenizer) => {
                tokenize(&tokenizer, &words);
                n_read += 1;
            }
            Err(_) => n_refused += 1,
        }
    }
    assert!(n_read > 10 && n_refused > 10, "{n_read} read, {n_refused} refused");
}

#[test]
fn an_added_token_that_the_model_lacks_is_refused_with_the_remedy() {
    let with = |tokens: &str| {
        let encoder = ("config.json", r#"{"model_type": "xlm-roberta"}"#);
        opened(&directory(MODEL, &[encoder, ("added_tokens.json", tokens)]))
    };
    let size = with("{}").unwrap().vocab_size();
    assert!(with(&format!(r#"{{"<mask>": {}}}"#, size - 1)).is_ok());
    for token in ["<mask>", "[E1]"] {
        let error = chain_of(&with(&format!(r#"{{"{token}": {size}}}"#)).unwrap_err());
        assert!(error.contains(token) && error.contains(WRITE_JSON), "{error}");
    }
}
