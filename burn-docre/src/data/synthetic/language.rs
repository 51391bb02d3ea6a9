//! Sentence templates. `{h}` stands for the head, `{t}` for the tail and `{y}` for a year. The
//! first templates of a list are the most frequent.

use super::kind::Kind;
use super::world::{ANAPHORS, Rel};

/// Sentences that state a fact. In sentences that start with `{h}`, an anaphor (“she”, “the firm”)
/// can replace a head that was the subject of the previous sentence.
pub(super) fn statements(rel: Rel) -> &'static [&'static str] {
    match rel {
        Rel::Country => &[
            "{h} is a town in {t}",
            "{h} lies in the south of {t}",
            "{h} is one of the oldest towns of {t}",
        ],
        Rel::Born => &["{h} was born in {t}", "{h} came from {t}", "{h} is a native of {t}"],
        Rel::Employer => &[
            "{h} worked for {t}",
            "{h} joined {t} as an engineer",
            "{t} employed {h} for many years",
        ],
        Rel::Seat => {
            &["{h} is based in {t}", "{h} has its head office in {t}", "{t} is home to {h}"]
        }
        Rel::Author => &["{h} was written by {t}", "{t} wrote {h}", "{h} is a novel by {t}"],
        Rel::Setting => {
            &["{h} is set in {t}", "{h} takes place in {t}", "the plot of {h} unfolds in {t}"]
        }
        Rel::Spouse => &[
            "{h} married {t}",
            "{h} and {t} were husband and wife",
            "{h} shared a home and a name with {t}",
        ],
        Rel::Founder => &[
            "{h} was founded by {t}",
            "{t} founded {h}",
            "{h} was started by {t} with borrowed money",
        ],
        Rel::Publisher => {
            &["{h} was published by {t}", "{t} published {h}", "{h} appeared with {t}"]
        }
        Rel::Citizen | Rel::WorksIn | Rel::Origin => &[],
    }
}

/// Insertions after the head that state a fact: “Alda Marl , *born in Torvale* , …”.
pub(super) fn insertions(rel: Rel) -> &'static [&'static str] {
    match rel {
        Rel::Country => &["a town in {t}"],
        Rel::Born => &["born in {t}"],
        Rel::Employer => &["who worked for {t}"],
        Rel::Seat => &["based in {t}"],
        Rel::Author => &["written by {t}"],
        Rel::Setting => &["set in {t}"],
        Rel::Spouse => &["married to {t}"],
        Rel::Founder => &["founded by {t}"],
        Rel::Publisher => &["published by {t}"],
        Rel::Citizen | Rel::WorksIn | Rel::Origin => &[],
    }
}

/// Sentences that mention head and tail without a relation of the vocabulary, some of them with
/// similar words.
pub(super) fn distractions(head: Kind, tail: Kind) -> &'static [&'static str] {
    match (head, tail) {
        (Kind::Person, Kind::Town) => &["{h} visited {t}", "{h} spent a winter in {t}"],
        (Kind::Person, Kind::Firm) => &["{h} turned down an offer from {t}", "{h} sued {t}"],
        (Kind::Person, Kind::Person) => &["{h} met {t}", "{h} quarrelled with {t}"],
        (Kind::Person, Kind::Country) => {
            &["{h} travelled through {t}", "{h} learned the language of {t}"]
        }
        (Kind::Book, Kind::Town) => &["{h} was banned in {t}", "{h} sold well in {t}"],
        (Kind::Book, Kind::Person) => &["{h} is dedicated to {t}", "{t} praised {h}"],
        (Kind::Book, Kind::Firm) => &["{t} turned down {h}", "{t} gave every worker a copy of {h}"],
        (Kind::Book, Kind::Country) => &["{h} was a success in {t}", "{h} was forbidden by {t}"],
        (Kind::Firm, Kind::Town) => &["{h} opened a shop in {t}", "{h} closed its factory in {t}"],
        (Kind::Firm, Kind::Person) => &["{h} was sued by {t}", "{h} named a prize after {t}"],
        (Kind::Firm, Kind::Country) => &["{h} exports to {t}", "{h} lost its licence in {t}"],
        (Kind::Town, Kind::Country) => &["{h} trades with {t}", "{h} was once attacked by {t}"],
        _ => &[],
    }
}

/// Phrases before a sentence.
pub(super) const OPENINGS: [&str; 4] = ["in {y} ,", "at first ,", "later ,", "as is well known ,"];

/// Phrases after a sentence.
pub(super) const CLOSINGS: [&str; 3] = ["in {y}", "at that time", "before the war"];

/// The values of `{y}`.
pub(super) const YEARS: [&str; 4] = ["1897", "1902", "1909", "1913"];

/// The words of all sentences, without names.
pub(super) fn plain_words() -> impl Iterator<Item = &'static str> {
    let facts = Rel::TABLE.into_iter().flat_map(|(rel, ..)| [statements(rel), insertions(rel)]);
    let others =
        Kind::ALL.into_iter().flat_map(|head| Kind::ALL.map(|tail| distractions(head, tail)));
    let anaphors = ANAPHORS.into_iter().map(|(_, anaphors)| anaphors);
    let frames: [&[&str]; 4] = [&OPENINGS, &CLOSINGS, &YEARS, &["and", ",", ".", "it"]];
    facts
        .chain(others)
        .chain(anaphors)
        .chain(frames)
        .flatten()
        .flat_map(|text| text.split_whitespace())
        .filter(|word| !word.starts_with('{'))
}
