//! The words that names are made of.
//!
//! The lists are short on purpose: every name returns in many documents, each time in another role,
//! so that knowing a name says what kind of thing it is and nothing else.

use super::dice::Dice;
use super::kind::Kind;

const FIRST_NAMES: [&str; 12] = [
    "Alda", "Brona", "Corvin", "Delka", "Emmo", "Farro", "Gessa", "Hanno", "Ilka", "Jorin",
    "Kasia", "Leuka",
];
const SURNAMES: [&str; 16] = [
    "Abrel", "Bostick", "Corrow", "Dessen", "Everlin", "Falk", "Gorst", "Hadley", "Imsel",
    "Jarrow", "Kestrin", "Lomond", "Marl", "Nordin", "Ostrel", "Pask",
];
const TOWNS: [&str; 12] = [
    "Belmont", "Casvale", "Dunwick", "Felbury", "Gorsen", "Halrow", "Lanmere", "Merford",
    "Ravdorn", "Selwick", "Torvale", "Wexlin",
];
const TOWN_WORDS: [&str; 4] = ["Bay", "Bridge", "Falls", "Hill"];
const FIRMS: [&str; 12] = [
    "Altana", "Brevo", "Cintra", "Dalmec", "Eurix", "Fontal", "Gravo", "Helix", "Intara", "Jovis",
    "Kortex", "Lumina",
];
const FIRM_WORDS: [&str; 4] = ["Works", "Press", "Institute", "Bank"];
const COUNTRIES: [&str; 8] =
    ["Vandria", "Ostmark", "Lurien", "Kesh", "Morania", "Tarsk", "Belmarch", "Iskor"];
const COUNTRY_WORDS: [&str; 4] = ["Upper", "Lower", "Greater", "United"];
const TITLE_ADJECTIVES: [&str; 8] =
    ["Silent", "Golden", "Broken", "Distant", "Hollow", "Burning", "Frozen", "Hidden"];
const TITLE_NOUNS: [&str; 12] = [
    "River", "Garden", "Winter", "Mirror", "Orchard", "Lantern", "Voyage", "Letters", "Harvest",
    "Shadow", "Clock", "Island",
];

/// The name of an entity.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) full: [String; 2],
    pub(super) short: String,
}

/// Hands out names; within a document no two entities share a short name.
#[derive(Default)]
pub(super) struct NameSource {
    taken: Vec<String>,
}

impl NameSource {
    pub(super) fn name(&mut self, kind: Kind, dice: &mut Dice) -> Name {
        loop {
            let name = random_name(kind, dice);
            if !self.taken.contains(&name.short) {
                self.taken.push(name.short.clone());
                return name;
            }
        }
    }
}

fn random_name(kind: Kind, dice: &mut Dice) -> Name {
    let (first, second, short_idx) = word_lists(kind);
    let full = [dice.pick(first).to_owned(), dice.pick(second).to_owned()];
    let short = full[short_idx].clone();
    Name { full, short }
}

/// The first and second words of the names of a kind, and which of the two is the short name.
fn word_lists(kind: Kind) -> (&'static [&'static str], &'static [&'static str], usize) {
    match kind {
        Kind::Person => (&FIRST_NAMES, &SURNAMES, 1),
        Kind::Town => (&TOWNS, &TOWN_WORDS, 0),
        Kind::Firm => (&FIRMS, &FIRM_WORDS, 0),
        Kind::Country => (&COUNTRY_WORDS, &COUNTRIES, 1),
        Kind::Book => (&TITLE_ADJECTIVES, &TITLE_NOUNS, 1),
    }
}

/// Every word that a name can contain.
pub(super) fn name_words() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().flat_map(|kind| {
        let (first, second, _) = word_lists(kind);
        first.iter().chain(second).copied()
    })
}
