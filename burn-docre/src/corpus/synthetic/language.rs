//! Ways to say things. `{h}` and `{t}` stand for head and tail; common ways come first.

use super::world::{ANAPHORS, Kind, Rel};

/// Sentences that state a fact. One that starts with `{h}` can take up the subject of the sentence
/// before it (“she”, “the firm”).
pub(super) fn statements(rel: Rel) -> &'static [&'static str] {
    match rel {
        Rel::Country => &[
            "{h} is a town in {t}",
            "{h} lies in the south of {t}",
            "{h} is one of the oldest towns of {t}",
            "{t} built a railway to its town of {h}",
            "{h} belongs to {t}",
            "the people of {h} pay their taxes to {t}",
            "among the ports of {t} is {h}",
            "{h} elects two members of the parliament of {t}",
        ],
        Rel::Born => &[
            "{h} was born in {t}",
            "{h} came from {t}",
            "{h} is a native of {t}",
            "{t} is the birthplace of {h}",
            "{h} first saw the light in {t}",
            "the parents of {h} lived in {t} when the child was born",
            "{h} grew up where life had begun , in {t}",
            "{t} is proud of its daughter or son {h}",
        ],
        Rel::Employer => &[
            "{h} worked for {t}",
            "{h} joined {t} as an engineer",
            "{t} employed {h} for many years",
            "{h} found a post at {t}",
            "{h} kept the books of {t}",
            "{t} hired {h}",
            "{h} drew a salary from {t}",
            "at {t} there was a desk for {h}",
        ],
        Rel::Seat => &[
            "{h} is based in {t}",
            "{h} has its head office in {t}",
            "{t} is home to {h}",
            "{h} moved its headquarters to {t}",
            "{h} is run from {t}",
            "the directors of {h} meet in {t}",
            "from an office in {t} , {h} sells to the world",
        ],
        Rel::Author => &[
            "{h} was written by {t}",
            "{t} wrote {h}",
            "{h} is a novel by {t}",
            "{t} is the author of {h}",
            "{h} came from the pen of {t}",
            "{t} spent ten years on {h}",
            "{t} finished {h} in a single summer",
        ],
        Rel::Setting => &[
            "{h} is set in {t}",
            "{h} takes place in {t}",
            "the plot of {h} unfolds in {t}",
            "{t} is the scene of {h}",
            "{h} follows a family in {t}",
            "the heroes of {h} never leave {t}",
        ],
        Rel::Spouse => &[
            "{h} married {t}",
            "{h} and {t} were husband and wife",
            "{h} shared a home and a name with {t}",
            "{t} became the partner of {h} for life",
            "the wedding of {h} and {t} was a quiet one",
        ],
        Rel::Founder => &[
            "{h} was founded by {t}",
            "{t} founded {h}",
            "{h} was started by {t} with borrowed money",
            "{t} set up {h}",
            "{h} owes its existence to {t}",
            "{t} opened the doors of {h} for the first time",
        ],
        Rel::Publisher => &[
            "{h} was published by {t}",
            "{t} published {h}",
            "{h} appeared with {t}",
            "{t} brought out {h}",
            "{t} printed the first copies of {h}",
            "the rights to {h} belong to {t}",
        ],
        Rel::Citizen | Rel::WorksIn | Rel::Origin => &[],
    }
}

/// Insertions behind the head that state a fact: “Alda Merrow , *born in Torvale* , …”.
pub(super) fn insertions(rel: Rel) -> &'static [&'static str] {
    match rel {
        Rel::Country => &["a town in {t}", "in {t}", "which {t} calls its own"],
        Rel::Born => &["born in {t}", "a native of {t}", "once a child of {t}"],
        Rel::Employer => &["who worked for {t}", "an employee of {t}", "on the staff of {t}"],
        Rel::Seat => &["based in {t}", "with its seat in {t}", "run from {t}"],
        Rel::Author => &["written by {t}", "a novel by {t}", "from the pen of {t}"],
        Rel::Setting => &["set in {t}", "a story of life in {t}"],
        Rel::Spouse => &["married to {t}", "the partner of {t}"],
        Rel::Founder => &["founded by {t}", "the creation of {t}"],
        Rel::Publisher => &["published by {t}", "printed by {t}"],
        Rel::Citizen | Rel::WorksIn | Rel::Origin => &[],
    }
}

/// Sentences that name both and state none of our relations, though some sound like it.
pub(super) fn distractions(head: Kind, tail: Kind) -> &'static [&'static str] {
    match (head, tail) {
        (Kind::Person, Kind::Town) => &[
            "{h} visited {t}",
            "{h} spent a winter in {t}",
            "{h} gave a lecture in {t}",
            "{h} is buried in {t}",
            "{h} was not born in {t} , whatever people say",
            "{h} lost a court case in {t}",
            "a street in {t} bears the name of {h}",
        ],
        (Kind::Person, Kind::Firm) => &[
            "{h} turned down an offer from {t}",
            "{h} sued {t}",
            "{h} bought shares of {t}",
            "{t} honoured {h} with a prize",
            "{h} never worked for {t}",
            "{t} apologised to {h}",
        ],
        (Kind::Person, Kind::Person) => &[
            "{h} met {t}",
            "{h} quarrelled with {t}",
            "{h} was a pupil of {t}",
            "{h} wrote many letters to {t}",
            "{h} and {t} never married",
            "{h} painted a portrait of {t}",
        ],
        (Kind::Person, Kind::Country) => &[
            "{h} travelled through {t}",
            "{h} learned the language of {t}",
            "{h} dreamed of {t}",
            "{h} was expelled from {t}",
        ],
        (Kind::Book, Kind::Town) => &[
            "{h} was banned in {t}",
            "{h} sold well in {t}",
            "a theatre in {t} made a play of {h}",
            "{h} is not set in {t}",
        ],
        (Kind::Book, Kind::Person) => &[
            "{h} is dedicated to {t}",
            "{t} praised {h}",
            "{t} translated {h}",
            "{t} was not pleased with {h}",
            "{h} was illustrated by {t}",
        ],
        (Kind::Book, Kind::Firm) => {
            &["{t} turned down {h}", "{t} gave every worker a copy of {h}", "{h} makes fun of {t}"]
        }
        (Kind::Book, Kind::Country) => {
            &["{h} was a success in {t}", "{h} was forbidden by {t}", "critics in {t} disliked {h}"]
        }
        (Kind::Firm, Kind::Town) => &[
            "{h} opened a shop in {t}",
            "{h} closed its factory in {t}",
            "{h} has customers in {t}",
            "{h} paid for a bridge in {t}",
            "{h} has no office in {t}",
        ],
        (Kind::Firm, Kind::Person) => &[
            "{h} was sued by {t}",
            "{h} named a prize after {t}",
            "{h} was praised by {t}",
            "{h} was nearly bought by {t}",
        ],
        (Kind::Firm, Kind::Country) => {
            &["{h} exports to {t}", "{h} lost its licence in {t}", "{h} lent money to {t}"]
        }
        (Kind::Town, Kind::Country) => &[
            "{h} trades with {t}",
            "{h} was once attacked by {t}",
            "{h} receives many guests from {t}",
            "{h} never belonged to {t}",
        ],
        _ => &[],
    }
}

/// What a sentence may open with.
pub(super) const OPENINGS: [&str; 12] = [
    "in {y} ,",
    "at first ,",
    "later ,",
    "as is well known ,",
    "in those days ,",
    "according to a local paper ,",
    "after the war ,",
    "by all accounts ,",
    "some years before ,",
    "in the spring of {y} ,",
    "to the surprise of many ,",
    "as the archives show ,",
];

/// What a sentence may end with.
pub(super) const CLOSINGS: [&str; 10] = [
    "in {y}",
    "at that time",
    "before the war",
    "for a while",
    "against all advice",
    "as records show",
    "until {y}",
    "to the delight of the neighbours",
    "without much noise",
    "and was glad of it",
];

/// What `{y}` stands for.
pub(super) const YEARS: [&str; 12] = [
    "1897", "1902", "1909", "1913", "1921", "1926", "1934", "1948", "1955", "1963", "1971", "1988",
];

/// Every word that a sentence can contain beside names.
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
