//! Text with marked entities, for documents that people write by hand.
//!
//! ```text
//! [Marie Curie|PER|1] was born in [Warsaw|LOC|2] . [Curie|PER|1] studied in [Paris|LOC|3] .
//! ```
//!
//! # Mentions
//!
//! A mention is `[name|TYPE|number]`. The type is any label. Mentions of one entity have the same
//! number and the same type. The entities of the document are in ascending order of their numbers,
//! which need not be consecutive.
//!
//! `\[`, `\]`, `\|` and `\\` are the characters without their meaning. Outside of a mention, `|`
//! has no meaning. Mentions are not nested.
//!
//! # Words
//!
//! White space separates words. A mention begins and ends at the limit of a word. Each punctuation
//! mark or symbol is a word, as in DocRED, except:
//!
//! - an apostrophe or a period between letters or digits is part of their word (`O'Brien`, `4.5`),
//!   and so is a comma between digits (`1,000`);
//! - the period of an abbreviation is part of its word. Abbreviations are a capital letter (`J.`)
//!   and parts of one or two letters joined by periods (`U.S.`, `Ph.D.`). So are the words `Mr`,
//!   `Mrs`, `Ms`, `Dr`, `Prof`, `St`, `Jr`, `Sr`, `Inc`, `Ltd`, `Co`, `Corp`, `Bros` and `vs`;
//! - the ending `'s` is one word (`Curie 's`).
//!
//! # Sentences
//!
//! A sentence ends after the word `.`, `!`, `?` or `…`. White space and a word must follow, and the
//! word must begin neither with a lower-case letter nor with a digit. Closing quotes and brackets
//! directly after the mark belong to the sentence. A sentence ends after `。`, `！` and `？` without
//! white space, too. It ends at an empty line. It does not end inside of a mention.

mod markup;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

pub use self::markup::MarkupError;
use self::markup::{MarkedMention, Piece};
use self::words::{Word, Words};
use crate::data::document::{Document, Entity, Mention};
use crate::input::{self, is_standard};
use crate::{Error, Result};

/// The title of a document that is not read from a file.
const UNTITLED: &str = "text";

/// Makes a document of marked-up text, which the [module](self) describes.
///
/// The document has no labelled facts. It has no entities if nothing is marked.
///
/// # Errors
///
/// [`MarkupError`] at the first character that the format does not allow.
pub fn parse_marked_text(title: &str, text: &str) -> Result<Document, MarkupError> {
    let mut words = Words::default();
    let mut mentions = Vec::new();
    for piece in markup::pieces(text)? {
        match piece {
            Piece::Plain(plain) => words.push(&plain, None),
            Piece::Mention(mention) => {
                words.push(&mention.name, Some(mentions.len()));
                mentions.push(mention);
            }
        }
    }
    let (sentences, spans) = sentences(words.finish(), mentions.len());
    let mut entities = BTreeMap::<usize, Entity>::new();
    for (marked, Span { sentence, start, end }) in mentions.into_iter().zip(spans) {
        let MarkedMention { name, kind, kind_offset, number } = marked;
        let entity = entities
            .entry(number)
            .or_insert_with(|| Entity { kind: kind.clone(), mentions: Vec::new() });
        if entity.kind != kind {
            let reason = format!(
                "entity {number} has the type {kind} here and {} before; mentions with equal \
                 numbers are one entity",
                entity.kind
            );
            return Err(MarkupError::at(text, kind_offset, reason));
        }
        entity.mentions.push(Mention { name, sentence, start, end });
    }
    let entities = entities.into_values().collect();
    Ok(Document { title: title.to_owned(), sentences, entities, facts: Vec::new() })
}

/// Reads a document of marked-up text from a file, which may be compressed, a pipe, or
/// [`STANDARD`](crate::input::STANDARD). Its title is the name of the file without the extension.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be read. [`Error::Format`] with the line and the column when
/// it is not UTF-8 or not marked-up text.
pub fn read_marked_text(path: &Path) -> Result<Document> {
    let refuse = |cause: MarkupError| {
        Error::format(path, "not text with marked entities").with_source(cause)
    };
    let bytes = input::read(path)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        refuse(MarkupError::at(&text, valid, "the bytes are not UTF-8".to_owned()))
    })?;
    let stem = path.file_stem().filter(|_| !is_standard(path));
    let title = stem.map_or(UNTITLED.into(), |stem| stem.to_string_lossy());
    parse_marked_text(&title, &text).map_err(refuse)
}

/// The place of a mention. `end` is 0 until a word of the mention is found.
#[derive(Clone, Copy, Default)]
struct Span {
    sentence: usize,
    start: usize,
    end: usize,
}

/// Divides words into sentences. Returns the words of each sentence and the place of each mention.
fn sentences(words: Vec<Word>, n_mentions: usize) -> (Vec<Vec<String>>, Vec<Span>) {
    let mut spans = vec![Span::default(); n_mentions];
    let mut sentences = Vec::new();
    let mut sentence = Vec::new();
    let ends: Vec<bool> = (0..words.len()).map(|at| words::ends_sentence(&words, at)).collect();
    for (word, is_last) in words.into_iter().zip(ends) {
        if let Some(mention) = word.mention {
            let span = &mut spans[mention];
            if span.end == 0 {
                *span = Span { sentence: sentences.len(), start: sentence.len(), end: 0 };
            }
            span.end = sentence.len() + 1;
        }
        sentence.push(word.text);
        if is_last {
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    (sentences, spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain_of;

    fn parsed(text: &str) -> Document {
        let document = parse_marked_text("text", text).unwrap();
        document.validate().unwrap();
        document
    }

    /// The sentences, with a space between words.
    fn sentences_of(text: &str) -> Vec<String> {
        parsed(text).sentences.iter().map(|words| words.join(" ")).collect()
    }

    fn mention(name: &str, sentence: usize, start: usize, end: usize) -> Mention {
        Mention { name: name.to_owned(), sentence, start, end }
    }

    #[test]
    fn mentions_of_equal_number_are_one_entity_in_the_order_of_the_numbers() {
        let document = parsed(
            "[Warsaw|LOC|7], where [Marie Curie|PER|2] was born. \
             [Curie|PER|02]'s [lab|ORG|10] moved.",
        );
        let words = [
            "Warsaw , where Marie Curie was born .".split(' ').collect::<Vec<_>>(),
            "Curie 's lab moved .".split(' ').collect(),
        ];
        assert_eq!(document.sentences, words);
        let expected = [
            ("PER", vec![mention("Marie Curie", 0, 3, 5), mention("Curie", 1, 0, 1)]),
            ("LOC", vec![mention("Warsaw", 0, 0, 1)]),
            ("ORG", vec![mention("lab", 1, 2, 3)]),
        ];
        let expected = expected.map(|(kind, mentions)| Entity { kind: kind.into(), mentions });
        assert_eq!(document.entities, expected);
        assert_eq!((document.title.as_str(), document.facts.len()), ("text", 0));
    }

    #[test]
    fn text_without_mentions_and_without_words_is_a_document() {
        assert_eq!(sentences_of("No one | nothing."), ["No one | nothing ."]);
        assert!(parsed("No one.").entities.is_empty());
        assert!(sentences_of(" \n ").is_empty());
    }

    #[test]
    fn escaped_characters_have_no_meaning() {
        let document = parsed(r"a \[b\] \\ \| [c\|d \[e\]\\|X\|Y|1]");
        assert_eq!(sentences_of(r"a \[b\] \\ \| [c\|d \[e\]\\|X\|Y|1]").len(), 1);
        let entity = &document.entities[0];
        assert_eq!((entity.mentions[0].name.as_str(), entity.kind.as_str()), (r"c|d [e]\", "X|Y"));
        assert_eq!(document.sentences[0][..6], ["a", "[", "b", "]", r"\", "|"]);
    }

    #[test]
    fn a_mention_begins_and_ends_at_the_limit_of_a_word() {
        let document = parsed("anti[French|LOC|1]ness [New\n\n  York|LOC|2].");
        assert_eq!(document.sentences, [["anti", "French", "ness", "New", "York", "."]]);
        assert_eq!(document.entities[0].mentions, [mention("French", 0, 1, 2)]);
        assert_eq!(document.entities[1].mentions, [mention("New York", 0, 3, 5)]);
    }

    #[test]
    fn punctuation_marks_are_words_but_not_inside_of_words_and_abbreviations() {
        for (text, words) in [
            ("half-brother (b. 1867)", "half - brother ( b . 1867 )"),
            ("O'Brien’s 4.5% of 1,000, L'Oréal", "O'Brien ’s 4.5 % of 1,000 , L'Oréal"),
            ("J. S. Bach, Ph.D., of the U.S. and", "J. S. Bach , Ph.D. , of the U.S. and"),
            ("Dr. Who vs. St. Paul, Inc.", "Dr. Who vs. St. Paul , Inc."),
            ("\"Yes…\", 'no' its' £5", "\" Yes … \" , ' no ' its ' £ 5"),
            ("Zoe\u{301} हिन्दी 東京", "Zoe\u{301} हिन्दी 東京"),
        ] {
            assert_eq!(sentences_of(text), [words], "{text}");
        }
    }

    #[test]
    fn sentences_end_at_marks_before_capital_letters_and_at_empty_lines() {
        for (text, n_sentences) in [
            ("One. Two! Three? Four… Five", 5),
            ("He said \"Go.\" She (he?) left.) Then came No. 5.", 3),
            ("One.Two. three", 1),
            ("J. Smith of the U.S. Army met Mr. Bean", 1),
            ("A title\n\nA text\nin lines\r\n\r\nand more", 3),
            ("一。二！「三？」四", 4),
            ("[Yahoo!|ORG|1] Inc. was [St. John|PER|2]. [mother!|MISC|3] is a film", 1),
            ("Wait... What?! Yes.", 3),
            (". . .", 3),
        ] {
            assert_eq!(sentences_of(text).len(), n_sentences, "{text}: {:?}", sentences_of(text));
        }
    }

    #[track_caller]
    fn assert_refused(text: &str, reason: &str, line: usize, column: usize) {
        let error = parse_marked_text("text", text).unwrap_err();
        assert!(error.reason.contains(reason), "{error}");
        assert_eq!((error.line, error.column), (line, column), "{error}");
    }

    #[test]
    fn an_error_is_at_the_line_and_column_of_its_cause() {
        for (text, reason, line, column) in [
            ("é [a [b|X|1]|X|2]", "mentions cannot be nested", 1, 6),
            ("ok\n[a|X|1", "no closing `]`", 2, 1),
            ("a\r\n b]", "`]` without `[`", 2, 3),
            (r"a \n", r"write `\\`", 1, 3),
            (r"[a|X|1] \", r"write `\\`", 1, 9),
            ("[a]", "has three parts", 1, 3),
            ("[a|X]", "has three parts", 1, 5),
            ("[a|X|1|2]", "has three parts", 1, 7),
            ("[ |X|1]", "no name", 1, 2),
            ("[a||1]", "no type", 1, 4),
            ("[a|X|]", "no number", 1, 6),
            ("[a|X|+1]", "not a number of an entity", 1, 6),
            ("[a|X|  b]", "not a number of an entity", 1, 8),
            ("[a|X|99999999999999999999]", "99999999999999999999 is too large", 1, 6),
            ("[a|X|1] [b|Y|1]", "the type Y here and X before", 1, 12),
            ("[a|X|1] [b|  Y|1]", "the type Y here and X before", 1, 14),
        ] {
            assert_refused(text, reason, line, column);
        }
    }

    #[test]
    fn a_caret_stands_under_the_column_of_an_error() {
        let error = parse_marked_text("text", "x\n\tsee [a [b|X|1]").unwrap_err().to_string();
        let lines: Vec<_> = error.lines().skip(1).collect();
        assert_eq!(lines, ["   see [a [b|X|1]", "          ^"], "{error}");
        assert!(error.contains("(line 2, column 9)"), "{error}");
        // A Chinese character has the width of two Latin ones.
        let error = parse_marked_text("text", "[東京|LOC|1]は a]").unwrap_err().to_string();
        let lines: Vec<_> = error.lines().skip(1).collect();
        assert_eq!(lines, ["  [東京|LOC|1]は a]", "                  ^"], "{error}");
        let long = format!("{}]{}", "a".repeat(1_000), "b".repeat(1_000));
        let error = parse_marked_text("text", &long).unwrap_err().to_string();
        let lines: Vec<Vec<char>> = error.lines().map(|line| line.chars().collect()).collect();
        let caret = lines[2].iter().position(|&char| char == '^').unwrap();
        assert!(lines[1][caret] == ']' && lines[1].len() < 100, "{error}");
    }

    #[test]
    fn a_file_gives_the_title_and_its_errors_name_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("curie.txt");
        std::fs::write(&path, "\u{feff}[Marie Curie|PER|1]\n").unwrap();
        let document = read_marked_text(&path).unwrap();
        assert_eq!((document.title.as_str(), document.entities.len()), ("curie", 1));
        for (bytes, expected) in [
            (&b"a\nb[c"[..], "curie.txt: not text with marked entities: "),
            (b"a\nb[c", "(line 2, column 2)"),
            (b"a\nb \xFF", "the bytes are not UTF-8 (line 2, column 3)"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = chain_of(&read_marked_text(&path).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
