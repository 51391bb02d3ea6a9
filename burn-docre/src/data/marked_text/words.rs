//! Words and the ends of sentences.

use std::ops::RangeInclusive;

/// Abbreviations whose period is part of the word, beside those of single and joined letters.
const ABBREVIATIONS: [&str; 14] =
    ["Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Jr", "Sr", "Inc", "Ltd", "Co", "Corp", "Bros", "vs"];

/// The punctuation marks and symbols beyond ASCII: those of Latin-1 and the blocks of Unicode that
/// have no letters. Joiners and marks of direction are not in them.
const SYMBOLS: [RangeInclusive<char>; 10] = [
    '\u{A1}'..='\u{F7}',
    '\u{2010}'..='\u{2027}',
    '\u{2030}'..='\u{205E}',
    '\u{20A0}'..='\u{20CF}',
    '\u{2190}'..='\u{245F}',
    '\u{2500}'..='\u{2BFF}',
    '\u{2E00}'..='\u{2E7F}',
    '\u{3001}'..='\u{3003}',
    '\u{3008}'..='\u{3020}',
    '\u{FF01}'..='\u{FF65}',
];

/// Marks that end a sentence before white space.
const MARKS: [&str; 4] = [".", "!", "?", "…"];
/// Marks that end a sentence also without white space.
const FULL_WIDTH_MARKS: [&str; 3] = ["。", "！", "？"];
/// Quotes and brackets that belong to the sentence before them if they follow it directly.
const CLOSING: [&str; 11] = ["\"", "'", ")", "]", "}", "”", "’", "»", "」", "』", "）"];

/// The separator between a word and the one before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    Nothing,
    WhiteSpace,
    EmptyLine,
}

/// A word of the text.
pub(super) struct Word {
    pub(super) text: String,
    /// The index of the mention that it belongs to; `None` outside of mentions.
    pub(super) mention: Option<usize>,
    gap: Gap,
}

impl Word {
    /// Returns true if the word is one of these and not part of a mention.
    fn is_one_of(&self, texts: &[&str]) -> bool {
        self.mention.is_none() && texts.contains(&self.text.as_str())
    }
}

/// Collects the words of the pieces of a text.
#[derive(Default)]
pub(super) struct Words {
    words: Vec<Word>,
    /// True if white space follows the last word.
    has_space: bool,
    /// The number of line breaks in that white space.
    n_newlines: usize,
}

impl Words {
    /// Appends the words of plain text or of the name of a mention.
    pub(super) fn push(&mut self, text: &str, mention: Option<usize>) {
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            if char.is_whitespace() {
                self.has_space = true;
                self.n_newlines += usize::from(char == '\n');
                rest = &rest[char.len_utf8()..];
                continue;
            }
            let (chunk, after) =
                rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            for word in split(chunk) {
                let gap = self.take_gap();
                self.words.push(Word { text: word.to_owned(), mention, gap });
            }
            rest = after;
        }
    }

    /// All words in their order.
    pub(super) fn finish(self) -> Vec<Word> {
        self.words
    }

    fn take_gap(&mut self) -> Gap {
        let gap = match (self.has_space, self.n_newlines) {
            (false, _) => Gap::Nothing,
            (true, 0 | 1) => Gap::WhiteSpace,
            (true, _) => Gap::EmptyLine,
        };
        (self.has_space, self.n_newlines) = (false, 0);
        gap
    }
}

/// Divides text without white space into words.
fn split(chunk: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut before = None;
    let mut rest = chunk;
    while let Some(char) = rest.chars().next() {
        let at = chunk.len() - rest.len();
        let end = at + char.len_utf8();
        rest = &chunk[end..];
        let after = rest.chars().next();
        let word = &chunk[start..at];
        if is_possessive(char, rest) {
            words.extend((!word.is_empty()).then_some(word));
            start = at;
        } else if char == '.' && is_abbreviation(word) && !joins(before, char, after) {
            words.push(&chunk[start..end]);
            start = end;
        } else if is_symbol(char) && !joins(before, char, after) {
            words.extend((!word.is_empty()).then_some(word));
            words.push(&chunk[at..end]);
            start = end;
        }
        before = Some(char);
    }
    words.extend((start < chunk.len()).then(|| &chunk[start..]));
    words
}

/// Returns true if the symbol `char` is part of the word of its neighbours.
fn joins(before: Option<char>, char: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    match char {
        '.' | '\'' | '’' => !is_symbol(before) && !is_symbol(after),
        ',' => before.is_numeric() && after.is_numeric(),
        _ => false,
    }
}

/// Returns true if `char` and `rest`, the text after it, start with the ending `'s`.
fn is_possessive(char: char, rest: &str) -> bool {
    let is_end = |after: &str| after.chars().next().is_none_or(is_symbol);
    matches!(char, '\'' | '’') && rest.strip_prefix('s').is_some_and(is_end)
}

/// Returns true if a period after `word` is part of it.
fn is_abbreviation(word: &str) -> bool {
    let is_short = |part: &str| {
        (1..=2).contains(&part.chars().count()) && part.chars().all(char::is_alphabetic)
    };
    let is_capital = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let is_joined = word.contains('.') && word.split('.').all(is_short);
    is_capital || is_joined || ABBREVIATIONS.contains(&word)
}

/// Returns true for punctuation marks and symbols.
fn is_symbol(char: char) -> bool {
    let is_listed = || SYMBOLS.iter().any(|range| range.contains(&char));
    char.is_ascii_punctuation() || !char.is_alphanumeric() && is_listed()
}

/// Returns true if a sentence ends after the word at `at`, by the rules of the
/// [module](super).
pub(super) fn ends_sentence(words: &[Word], at: usize) -> bool {
    let Some(next) = words.get(at + 1) else { return true };
    if next.mention.is_some() && next.mention == words[at].mention {
        return false;
    }
    if next.gap == Gap::EmptyLine {
        return true;
    }
    let is_closing = |word: &Word| word.gap == Gap::Nothing && word.is_one_of(&CLOSING);
    let mut trailing = words[..=at].iter().rev();
    let Some(mark) = trailing.find(|word| !is_closing(word)) else { return false };
    if mark.is_one_of(&FULL_WIDTH_MARKS) {
        let continues = next.gap == Gap::Nothing && next.is_one_of(&FULL_WIDTH_MARKS);
        return !continues && !is_closing(next);
    }
    let continues = next.text.starts_with(|char: char| char.is_lowercase() || char.is_numeric());
    mark.is_one_of(&MARKS) && next.gap == Gap::WhiteSpace && !continues
}
