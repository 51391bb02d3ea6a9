//! The words that names are made of.
//!
//! A person, a town and a company may share a name word (Alda Merrow, Merrow Bay, Merrow Works):
//! what a short name stands for has to be read from the text.

use super::dice::Dice;
use super::world::Kind;

const FIRST_NAMES: [&str; 32] = [
    "Alda", "Brona", "Cessi", "Delka", "Elvin", "Farro", "Gessa", "Hanno", "Ilka", "Jorin", "Kasia",
    "Leuka", "Mirko", "Nelda", "Orsin", "Petra", "Quill", "Rosko", "Sanne", "Tibor", "Ulla", "Vasco",
    "Wenda", "Xaver", "Yorick", "Zelda", "Anselm", "Birte", "Corvin", "Dorle", "Emmo", "Fritha",
];
const STEM_BEGINNINGS: [&str; 12] =
    ["Mer", "Tor", "Bel", "Cas", "Dun", "Fal", "Gor", "Hal", "Lan", "Rav", "Sel", "Wex"];
const STEM_ENDINGS: [&str; 8] = ["row", "vale", "mont", "wick", "lin", "dorn", "bury", "sen"];
const TOWN_WORDS: [&str; 8] = ["Bay", "Bridge", "Falls", "Hill", "Cross", "Harbour", "Ford", "Heath"];
const FIRM_WORDS: [&str; 8] =
    ["Works", "Press", "Institute", "Bank", "Mills", "Union", "Brothers", "Foundry"];
const COUNTRY_WORDS: [&str; 6] = ["Upper", "Lower", "Greater", "United", "New", "Old"];
const COUNTRIES: [&str; 16] = [
    "Vandria", "Ostmark", "Lurien", "Kesh", "Morania", "Tarsk", "Belmarch", "Iskor", "Palundia",
    "Rhodan", "Sundra", "Veltland", "Arbor", "Norrland", "Quendia", "Zamar",
];
const TITLE_ADJECTIVES: [&str; 16] = [
    "Silent", "Golden", "Broken", "Distant", "Hollow", "Burning", "Frozen", "Hidden", "Crooked",
    "Pale", "Crimson", "Endless", "Borrowed", "Second", "Sunken", "Restless",
];
const TITLE_NOUNS: [&str; 16] = [
    "River", "Garden", "Winter", "Mirror", "Orchard", "Lantern", "Voyage", "Letters", "Harvest",
    "Shadow", "Clock", "Island", "Promise", "Bell", "Feast", "Road",
];

/// What an entity is called.
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
    let stem =
        |dice: &mut Dice| format!("{}{}", dice.pick(&STEM_BEGINNINGS), dice.pick(&STEM_ENDINGS));
    let (full, short_idx) = match kind {
        Kind::Person => ([dice.pick(&FIRST_NAMES).to_string(), stem(dice)], 1),
        Kind::Town => ([stem(dice), dice.pick(&TOWN_WORDS).to_string()], 0),
        Kind::Firm => ([stem(dice), dice.pick(&FIRM_WORDS).to_string()], 0),
        Kind::Country => {
            ([dice.pick(&COUNTRY_WORDS).to_string(), dice.pick(&COUNTRIES).to_string()], 1)
        }
        Kind::Book => {
            ([dice.pick(&TITLE_ADJECTIVES).to_string(), dice.pick(&TITLE_NOUNS).to_string()], 1)
        }
    };
    let short = full[short_idx].clone();
    Name { full, short }
}

/// Every word that a name can contain.
pub(super) fn name_words() -> impl Iterator<Item = String> {
    let stems = STEM_BEGINNINGS
        .iter()
        .flat_map(|beginning| STEM_ENDINGS.iter().map(move |ending| format!("{beginning}{ending}")));
    let lists: [&[&str]; 7] = [
        &FIRST_NAMES,
        &TOWN_WORDS,
        &FIRM_WORDS,
        &COUNTRY_WORDS,
        &COUNTRIES,
        &TITLE_ADJECTIVES,
        &TITLE_NOUNS,
    ];
    stems.chain(lists.into_iter().flatten().map(|word| word.to_string()))
}
