//! The names of entities.
//!
//! The lists are short, so that every name occurs in many documents with different relations. A
//! model can learn the kind of an entity from its name, but not its relations.

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

/// The name of an entity: two words, one of which is also its short name.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) full: [String; 2],
    pub(super) short: String,
}

/// Draws the names of a document. All short names of a document are different.
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
    let NameWords { words: [first, second], short } = name_words_of(kind);
    let full = [dice.pick(first).to_owned(), dice.pick(second).to_owned()];
    let short = full[short].clone();
    Name { full, short }
}

/// The words of the names of a kind.
struct NameWords {
    /// The choices for the first and the second word.
    words: [&'static [&'static str]; 2],
    /// The index of the word that is the short name.
    short: usize,
}

fn name_words_of(kind: Kind) -> NameWords {
    match kind {
        Kind::Person => NameWords { words: [&FIRST_NAMES, &SURNAMES], short: 1 },
        Kind::Town => NameWords { words: [&TOWNS, &TOWN_WORDS], short: 0 },
        Kind::Firm => NameWords { words: [&FIRMS, &FIRM_WORDS], short: 0 },
        Kind::Country => NameWords { words: [&COUNTRY_WORDS, &COUNTRIES], short: 1 },
        Kind::Book => NameWords { words: [&TITLE_ADJECTIVES, &TITLE_NOUNS], short: 1 },
    }
}

/// The words of all names.
pub(super) fn name_words() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().flat_map(|kind| name_words_of(kind).words).flatten().copied()
}
