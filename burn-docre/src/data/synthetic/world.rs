//! The entities of a document, the facts about them, and the rules that derive facts from others.

use super::dice::Dice;
use super::kind::Kind;
use super::lexicon::{Name, NameSource};

/// The relations. The number is the class index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rel {
    Country = 1,
    Born = 2,
    Citizen = 3,
    Employer = 4,
    Seat = 5,
    WorksIn = 6,
    Author = 7,
    Setting = 8,
    Spouse = 9,
    Founder = 10,
    Publisher = 11,
    Origin = 12,
}

impl Rel {
    /// Wikidata id and name of each relation, in class order.
    pub(super) const TABLE: [(Rel, &'static str, &'static str); 12] = [
        (Rel::Country, "P17", "country"),
        (Rel::Born, "P19", "place of birth"),
        (Rel::Citizen, "P27", "country of citizenship"),
        (Rel::Employer, "P108", "employer"),
        (Rel::Seat, "P159", "headquarters location"),
        (Rel::WorksIn, "P937", "work location"),
        (Rel::Author, "P50", "author"),
        (Rel::Setting, "P840", "narrative location"),
        (Rel::Spouse, "P26", "spouse"),
        (Rel::Founder, "P112", "founded by"),
        (Rel::Publisher, "P123", "publisher"),
        (Rel::Origin, "P495", "country of origin"),
    ];

    /// Rules `(r1, r2, r3)`: a –r1→ b and b –r2→ c imply a –r3→ c. In this order one pass over the
    /// rules finds all conclusions.
    const RULES: [(Rel, Rel, Rel); 4] = [
        (Rel::Born, Rel::Country, Rel::Citizen),
        (Rel::Employer, Rel::Seat, Rel::WorksIn),
        (Rel::Seat, Rel::Country, Rel::Country),
        (Rel::Author, Rel::Citizen, Rel::Origin),
    ];
}

/// A relation between two members of a [`Cast`], by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fact {
    pub(super) rel: Rel,
    pub(super) head: usize,
    pub(super) tail: usize,
}

/// An entity of a document.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) kind: Kind,
    pub(super) name: Name,
    /// The pronoun or noun that refers to the entity in the sentence after one about it.
    pub(super) anaphor: &'static str,
}

/// The anaphors of each kind. A member uses one of them throughout.
pub(super) const ANAPHORS: [(Kind, &[&str]); 4] = [
    (Kind::Town, &["the town", "the city", "the place"]),
    (Kind::Firm, &["the company", "the firm", "the house"]),
    (Kind::Person, &["she", "he"]),
    (Kind::Book, &["the book", "the novel", "it"]),
];

/// The entities that a document can mention, and the true facts about them.
#[derive(Debug, Default)]
pub(super) struct Cast {
    pub(super) members: Vec<Member>,
    /// The facts that sentences can state. [`closure`] derives the others.
    pub(super) facts: Vec<Fact>,
}

impl Cast {
    pub(super) fn random(dice: &mut Dice) -> Self {
        let (mut cast, mut names) = (Self::default(), NameSource::default());
        let sizes = [
            (Kind::Country, 1, 2),
            (Kind::Town, 2, 3),
            (Kind::Firm, 1, 2),
            (Kind::Person, 2, 2),
            (Kind::Book, 1, 1),
        ];
        for (kind, low, high) in sizes {
            for _ in 0..dice.between(low, high) {
                let name = names.name(kind, dice);
                let anaphors = ANAPHORS.iter().find(|(of, _)| *of == kind);
                let anaphor = anaphors.map_or("it", |(_, anaphors)| dice.pick(anaphors));
                cast.members.push(Member { kind, name, anaphor });
            }
        }
        cast.draw_facts(dice);
        cast
    }

    fn draw_facts(&mut self, dice: &mut Dice) {
        let of = |kind| -> Vec<usize> {
            (0..self.members.len()).filter(|&member| self.members[member].kind == kind).collect()
        };
        let (countries, towns, firms) = (of(Kind::Country), of(Kind::Town), of(Kind::Firm));
        let (people, books) = (of(Kind::Person), of(Kind::Book));
        let facts = &mut self.facts;
        let mut draw = |rel, heads: &[usize], tails: &[usize], probability| {
            for &head in heads {
                if dice.chance(probability) {
                    facts.push(Fact { rel, head, tail: dice.pick(tails) });
                }
            }
        };
        draw(Rel::Country, &towns, &countries, 1.0);
        draw(Rel::Born, &people, &towns, 1.0);
        draw(Rel::Employer, &people, &firms, 0.8);
        draw(Rel::Seat, &firms, &towns, 1.0);
        draw(Rel::Founder, &firms, &people, 0.5);
        draw(Rel::Author, &books, &people, 1.0);
        draw(Rel::Setting, &books, &towns, 0.6);
        draw(Rel::Publisher, &books, &firms, 0.6);
        draw(Rel::Spouse, &people[..1], &people[1..], 0.5);
    }
}

/// A fact and its evidence: the indices of the sentences that support it.
pub(super) type Supported = (Fact, Vec<usize>);

/// The stated and the derived facts, each once. The evidence of a derived fact is the union of the
/// evidence of its premises.
pub(super) fn closure(stated: &[Supported]) -> Vec<Supported> {
    let mut known: Vec<Supported> = Vec::new();
    for (fact, evidence) in stated {
        add(&mut known, *fact, evidence.clone());
        if fact.rel == Rel::Spouse {
            add(&mut known, Fact { head: fact.tail, tail: fact.head, ..*fact }, evidence.clone());
        }
    }
    for (first, second, conclusion) in Rel::RULES {
        for (a, evidence_a) in known.clone() {
            for (b, evidence_b) in known.clone() {
                if a.rel == first && b.rel == second && a.tail == b.head {
                    let fact = Fact { rel: conclusion, head: a.head, tail: b.tail };
                    add(&mut known, fact, [&evidence_a[..], &evidence_b].concat());
                }
            }
        }
    }
    known
}

/// Appends a fact unless it is known.
fn add(known: &mut Vec<Supported>, fact: Fact, mut evidence: Vec<usize>) {
    if known.iter().all(|(other, _)| *other != fact) {
        evidence.sort_unstable();
        evidence.dedup();
        known.push((fact, evidence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(rel: Rel, head: usize, tail: usize) -> Fact {
        Fact { rel, head, tail }
    }

    #[test]
    fn derived_facts_have_the_evidence_of_their_premises() {
        // Book 0 was written by person 1, who was born in town 2 in country 3.
        let stated = [
            (fact(Rel::Country, 2, 3), vec![4]),
            (fact(Rel::Author, 0, 1), vec![2]),
            (fact(Rel::Born, 1, 2), vec![1]),
        ];
        let concluded = &closure(&stated)[3..];
        assert_eq!(
            concluded,
            [(fact(Rel::Citizen, 1, 3), vec![1, 4]), (fact(Rel::Origin, 0, 3), vec![1, 2, 4])]
        );
    }

    #[test]
    fn the_seat_of_a_firm_implies_its_country_and_the_work_location_of_its_employees() {
        let stated = [
            (fact(Rel::Employer, 0, 1), vec![0]),
            (fact(Rel::Seat, 1, 2), vec![1]),
            (fact(Rel::Country, 2, 3), vec![1]),
        ];
        let concluded = &closure(&stated)[3..];
        assert_eq!(
            concluded,
            [(fact(Rel::WorksIn, 0, 2), vec![0, 1]), (fact(Rel::Country, 1, 3), vec![1])]
        );
    }

    #[test]
    fn spouse_is_symmetric_and_no_fact_is_repeated() {
        let stated = [(fact(Rel::Spouse, 0, 1), vec![0]), (fact(Rel::Spouse, 1, 0), vec![1])];
        assert_eq!(closure(&stated).len(), 2);
    }

    #[test]
    fn every_town_is_in_one_country_and_every_fact_relates_the_right_kinds() {
        for index in 0..200 {
            let cast = Cast::random(&mut Dice::new(3, 0, index));
            let kind = |member: usize| cast.members[member].kind;
            for fact in &cast.facts {
                let expected = match fact.rel {
                    Rel::Country => (Kind::Town, Kind::Country),
                    Rel::Born => (Kind::Person, Kind::Town),
                    Rel::Employer => (Kind::Person, Kind::Firm),
                    Rel::Seat => (Kind::Firm, Kind::Town),
                    Rel::Author => (Kind::Book, Kind::Person),
                    Rel::Setting => (Kind::Book, Kind::Town),
                    Rel::Spouse => (Kind::Person, Kind::Person),
                    Rel::Founder => (Kind::Firm, Kind::Person),
                    Rel::Publisher => (Kind::Book, Kind::Firm),
                    Rel::Citizen | Rel::WorksIn | Rel::Origin => panic!("stated: {fact:?}"),
                };
                assert_eq!((kind(fact.head), kind(fact.tail)), expected);
                assert_ne!(fact.head, fact.tail);
            }
            let towns = cast.facts.iter().filter(|fact| fact.rel == Rel::Country);
            let n_towns = cast.members.iter().filter(|member| member.kind == Kind::Town).count();
            assert_eq!(towns.count(), n_towns);
        }
    }

    #[test]
    fn the_table_is_in_class_order() {
        for (index, (rel, ..)) in Rel::TABLE.into_iter().enumerate() {
            assert_eq!(rel as usize, index + 1);
        }
    }
}
