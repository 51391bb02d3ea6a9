//! Words and sentences of a text with annotated spans of characters.
//!
//! Words are maximal sequences of letters and digits, and single other characters. Sentences end at
//! a line break. They also end after `.`, `!`, `?` or `…` and white space, if a capital letter, a
//! digit, or an opening quote or bracket follows. A `.` after an initial or a known abbreviation
//! ends no sentence. No word crosses the boundary of an annotated span, and no sentence ends within
//! one.
//!
//! [`data::marked_text`](crate::data::marked_text) has other rules: a sentence there goes over line
//! breaks, and an abbreviation keeps its `.`. Common rules would change converted corpora.

use std::collections::BTreeSet;
use std::ops::Range;

/// Abbreviations before a name or a number, after which no sentence ends.
const ABBREVIATIONS: [&str; 16] = [
    "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Gen", "Col", "Lt", "Sgt", "Sen", "Rep", "Gov", "No",
    "vs", "Jr",
];

/// The words of a text.
pub(super) struct Segmentation {
    /// The words of each sentence.
    pub(super) sentences: Vec<Vec<String>>,
    /// The range of characters of each word.
    words: Vec<Range<usize>>,
    /// The index of the first word of each sentence.
    starts: Vec<usize>,
}

/// The place of a span in sentences.
#[derive(Debug, PartialEq)]
pub(super) struct WordSpan {
    pub(super) sentence: usize,
    /// The range of words, counted in the sentence.
    pub(super) words: Range<usize>,
}

impl Segmentation {
    /// Splits `text` into words and sentences. `tokens` are the ranges of the words if the corpus
    /// has them; `spans` are the annotated spans. Both are ranges of characters of `text`.
    pub(super) fn new(
        text: &[char],
        tokens: Option<Vec<Range<usize>>>,
        spans: &[Range<usize>],
    ) -> Self {
        let boundaries: BTreeSet<usize> =
            spans.iter().flat_map(|span| [span.start, span.end]).collect();
        let tokens = tokens.unwrap_or_else(|| words_of(text));
        let tokens = tokens.into_iter().flat_map(|token| cut(token, &boundaries));
        let words: Vec<Range<usize>> =
            tokens.filter(|word| text[word.clone()].iter().any(|c| !c.is_whitespace())).collect();
        let is_inside = inside(spans, &words);
        let mut starts = vec![0];
        for next in 1..words.len() {
            if !is_inside[next] && ends_sentence(text, &words[..next], &words[next]) {
                starts.push(next);
            }
        }
        let ends = starts[1..].iter().copied().chain([words.len()]);
        let word = |word: &Range<usize>| text[word.clone()].iter().collect();
        let sentences = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| words[start..end].iter().map(word).collect());
        Self { sentences: sentences.collect(), words, starts }
    }

    /// The place of an annotated span; `None` if no word lies in it.
    pub(super) fn locate(&self, span: &Range<usize>) -> Option<WordSpan> {
        let start = self.words.partition_point(|word| word.start < span.start);
        let end = self.words.partition_point(|word| word.end <= span.end);
        if start >= end {
            return None;
        }
        let sentence = self.starts.partition_point(|&first| first <= start) - 1;
        let first = self.starts[sentence];
        Some(WordSpan { sentence, words: start - first..end - first })
    }
}

/// The maximal sequences of letters and digits, and the other visible characters.
fn words_of(text: &[char]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for (index, character) in text.iter().enumerate() {
        match words.last_mut() {
            _ if character.is_whitespace() => {}
            Some(last)
                if last.end == index
                    && character.is_alphanumeric()
                    && text[last.start].is_alphanumeric() =>
            {
                last.end += 1;
            }
            _ => words.push(index..index + 1),
        }
    }
    words
}

/// Cuts a range at the boundaries within it.
fn cut(range: Range<usize>, boundaries: &BTreeSet<usize>) -> Vec<Range<usize>> {
    let inner = boundaries.range(range.start.saturating_add(1)..range.end.max(range.start + 1));
    let mut start = range.start;
    let mut parts = Vec::new();
    for &boundary in inner {
        parts.push(start..boundary);
        start = boundary;
    }
    parts.push(start..range.end);
    parts
}

/// Reports for each word whether it and the word before it are in one span.
fn inside(spans: &[Range<usize>], words: &[Range<usize>]) -> Vec<bool> {
    // The change, at each word, of the number of spans that contain it and the word before it.
    let mut changes = vec![0_i64; words.len() + 1];
    for span in spans {
        let start = words.partition_point(|word| word.start < span.start);
        let end = words.partition_point(|word| word.end <= span.end);
        if start + 1 < end {
            changes[start + 1] += 1;
            changes[end] -= 1;
        }
    }
    let n_spans = changes[..words.len()].iter().scan(0, |n, change| {
        *n += change;
        Some(*n)
    });
    n_spans.map(|n| n > 0).collect()
}

/// Reports whether a sentence ends between the words `before` and the word `next`.
fn ends_sentence(text: &[char], before: &[Range<usize>], next: &Range<usize>) -> bool {
    let Some(last) = before.last() else { return false };
    let gap = &text[last.end..next.start];
    if gap.contains(&'\n') {
        return true;
    }
    let is_quote = |c: char| matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']');
    let opens = |c: char| matches!(c, '"' | '\'' | '“' | '‘' | '«' | '(' | '[');
    let first = text[next.start];
    if gap.is_empty() || !(first.is_uppercase() || first.is_numeric() || opens(first)) {
        return false;
    }
    // Closing quotes and brackets directly after the mark belong to the sentence.
    let n_closing = before
        .iter()
        .rev()
        .zip(before.iter().rev().skip(1))
        .take_while(|(word, earlier)| earlier.end == word.start && is_quote(text[word.start]))
        .count();
    let Some(mark) = before.len().checked_sub(n_closing + 1) else { return false };
    match text[before[mark].start] {
        '!' | '?' | '…' => true,
        '.' => !is_abbreviated(text, &before[..mark], before[mark].start),
        _ => false,
    }
}

/// Reports whether the last of `words` ends at `dot` and is an initial or an abbreviation.
fn is_abbreviated(text: &[char], words: &[Range<usize>], dot: usize) -> bool {
    let Some(word) = words.last().filter(|word| word.end == dot) else { return false };
    let word = &text[word.clone()];
    let is_initial = word.len() == 1 && word[0].is_uppercase();
    is_initial || ABBREVIATIONS.iter().any(|known| known.chars().eq(word.iter().copied()))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn segmented(text: &str, spans: &[Range<usize>]) -> Segmentation {
        Segmentation::new(&text.chars().collect::<Vec<_>>(), None, spans)
    }

    fn sentences(text: &str, spans: &[Range<usize>]) -> Vec<String> {
        segmented(text, spans).sentences.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn words_are_sequences_of_letters_and_digits_and_single_marks() {
        assert_eq!(sentences("Zoë's  €1.25, ok…", &[]), ["Zoë ' s € 1 . 25 , ok …"]);
        assert_eq!(sentences("", &[]), [""]);
        assert_eq!(sentences(" \n ", &[]), [""]);
    }

    #[test]
    fn a_sentence_ends_at_a_line_break_and_at_a_mark_before_a_capital_letter_or_a_digit() {
        assert_eq!(
            sentences("Title\nOne. Two! three? 4", &[]),
            ["Title", "One .", "Two ! three ?", "4"]
        );
        assert_eq!(
            sentences("He said \"no.\" \"Yes.\" Then", &[]),
            ["He said \" no . \"", "\" Yes . \"", "Then"]
        );
    }

    #[test]
    fn no_sentence_ends_after_an_initial_or_an_abbreviation_or_within_a_span() {
        assert_eq!(sentences("Dr. Kay of the U.S. Army", &[]).len(), 1);
        assert_eq!(sentences("a. B c", &[]).len(), 2);
        assert_eq!(sentences("a. B c", slice::from_ref(&(0..4))).len(), 1);
        assert_eq!(sentences("a\nB c", slice::from_ref(&(0..3))).len(), 1);
        // Two spans that meet at the boundary do not join the sentences.
        assert_eq!(sentences("ab. B c", &[0..3, 4..5]).len(), 2);
    }

    #[test]
    fn a_span_is_whole_words_because_words_are_cut_at_its_boundaries() {
        let text = segmented("pro-EU Germany's. Next 1990s", &[4..6, 7..14, 23..27]);
        let words = |span: &Range<usize>| {
            let WordSpan { sentence, words } = text.locate(span).unwrap();
            (sentence, text.sentences[sentence][words].join(" "))
        };
        assert_eq!(words(&(4..6)), (0, "EU".to_owned()));
        assert_eq!(words(&(7..14)), (0, "Germany".to_owned()));
        assert_eq!(words(&(23..27)), (1, "1990".to_owned()));
        assert_eq!(text.sentences[1], ["Next", "1990", "s"]);
        assert_eq!(text.locate(&(17..18)), None);
    }

    #[test]
    fn given_tokens_are_kept_but_for_white_space_and_cut_at_spans() {
        let text: Vec<char> = "don't go-to X".chars().collect();
        let tokens = vec![0..2, 2..5, 5..6, 6..11, 11..11, 12..13];
        let found = Segmentation::new(&text, Some(tokens), slice::from_ref(&(9..11)));
        assert_eq!(found.sentences, [["do", "n't", "go-", "to", "X"]]);
        assert_eq!(found.locate(&(9..11)), Some(WordSpan { sentence: 0, words: 3..4 }));
    }
}
