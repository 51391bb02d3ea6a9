//! Writes facts as sentences and records the mentions of entities.

use super::dice::Dice;
use super::language::{CLOSINGS, OPENINGS, YEARS, insertions, statements};
use super::world::{Cast, Fact};
use crate::data::document::Mention;

/// The sentences written so far, with their mentions and facts.
pub(super) struct Writer<'a> {
    cast: &'a Cast,
    pub(super) sentences: Vec<Vec<String>>,
    /// The mentions of each member of the cast.
    pub(super) mentions: Vec<Vec<Mention>>,
    /// The facts stated so far and the sentence of each.
    pub(super) stated: Vec<(Fact, usize)>,
    /// The subject of the last sentence.
    subject: Option<usize>,
}

/// The current sentence.
#[derive(Default)]
struct Draft {
    words: Vec<String>,
    has_insertion: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(cast: &'a Cast) -> Self {
        Self {
            cast,
            sentences: Vec::new(),
            mentions: vec![Vec::new(); cast.members.len()],
            stated: Vec::new(),
            subject: None,
        }
    }

    pub(super) fn n_words(&self) -> usize {
        self.sentences.iter().map(Vec::len).sum()
    }

    pub(super) fn is_mentioned(&self, member: usize) -> bool {
        !self.mentions[member].is_empty()
    }

    /// The subject of the last sentence; `None` before the first one.
    pub(super) fn subject(&self) -> Option<usize> {
        self.subject
    }

    /// Writes a sentence that states `fact`. An insertion may state one of the `pending` facts,
    /// which is then removed from them.
    pub(super) fn state(&mut self, fact: Fact, pending: &mut Vec<Fact>, dice: &mut Dice) {
        self.stated.push((fact, self.sentences.len()));
        let template = dice.pick_early(statements(fact.rel));
        self.write(template, fact.head, fact.tail, pending, dice);
    }

    /// Writes the sentence `template` about two members, perhaps with an insertion that states one
    /// of the `pending` facts.
    pub(super) fn write(
        &mut self,
        template: &str,
        head: usize,
        tail: usize,
        pending: &mut Vec<Fact>,
        dice: &mut Dice,
    ) {
        let mut draft = Draft::default();
        let opens_with_frame = dice.chance(0.15);
        if opens_with_frame {
            push_text(&mut draft.words, dice.pick(&OPENINGS), dice);
        }
        for (position, word) in template.split_whitespace().enumerate() {
            match word {
                "{h}" if position == 0 && self.subject == Some(head) && dice.chance(0.6) => {
                    push_text(&mut draft.words, self.cast.members[head].anaphor, dice);
                }
                "{h}" => self.mention(&mut draft, head, [head, tail], pending, dice),
                "{t}" => self.mention(&mut draft, tail, [head, tail], pending, dice),
                word => draft.words.push(word.to_owned()),
            }
        }
        if !opens_with_frame && dice.chance(0.15) {
            push_text(&mut draft.words, dice.pick(&CLOSINGS), dice);
        }
        self.finish(draft);
        self.subject = Some(if template.starts_with("{t}") { tail } else { head });
    }

    /// Writes the name of `member` and perhaps an insertion about it, whose tail is none of the
    /// sentence's `main` members.
    fn mention(
        &mut self,
        draft: &mut Draft,
        member: usize,
        main: [usize; 2],
        pending: &mut Vec<Fact>,
        dice: &mut Dice,
    ) {
        self.push_name(draft, member, dice);
        let fits = |fact: &Fact| fact.head == member && !main.contains(&fact.tail);
        let Some(position) = pending.iter().position(fits) else { return };
        if draft.has_insertion || !dice.chance(0.25) {
            return;
        }
        let fact = pending.remove(position);
        draft.words.push(",".to_owned());
        for word in dice.pick_early(insertions(fact.rel)).split_whitespace() {
            match word {
                "{t}" => self.push_name(draft, fact.tail, dice),
                word => draft.words.push(word.to_owned()),
            }
        }
        draft.words.push(",".to_owned());
        draft.has_insertion = true;
        self.stated.push((fact, self.sentences.len()));
    }

    /// Writes the full name of `member` at its first mention, and mostly the short name later.
    fn push_name(&mut self, draft: &mut Draft, member: usize, dice: &mut Dice) {
        let name = &self.cast.members[member].name;
        let start = draft.words.len();
        if !self.is_mentioned(member) || dice.chance(0.3) {
            draft.words.extend_from_slice(&name.full);
        } else {
            draft.words.push(name.short.clone());
        }
        self.mentions[member].push(Mention {
            name: draft.words[start..].join(" "),
            sentence: self.sentences.len(),
            start,
            end: draft.words.len(),
        });
    }

    /// Capitalizes and ends the sentence.
    fn finish(&mut self, mut draft: Draft) {
        if draft.words.last().is_some_and(|word| word == ",") {
            draft.words.pop();
        }
        draft.words.push(".".to_owned());
        draft.words[0] = capitalized(&draft.words[0]);
        self.sentences.push(draft.words);
    }
}

fn push_text(words: &mut Vec<String>, text: &str, dice: &mut Dice) {
    for word in text.split_whitespace() {
        words.push(if word == "{y}" { dice.pick(&YEARS).to_string() } else { word.to_owned() });
    }
}

/// `word` with its first letter in upper case.
pub(super) fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
