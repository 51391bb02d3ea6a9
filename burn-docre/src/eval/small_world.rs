//! A corpus for the tests of this folder, small enough to score by hand.
//!
//! | document | entity: sentences | facts |
//! |---|---|---|
//! | A | 0: 0, 1: 0, 2: 2, 3: 0 and 4 | 0 –P17→ 1, 1 –P17→ 2, 0 –P131→ 2 (a triangle), 2 –P50→ 3 |
//! | B | 0: 0, 1: 1 | 0 –P50→ 1 |
//!
//! The properties of the gold facts and of the predictions. The mentions are those of head and
//! tail; a triangle is defined at [`InferenceScore`](super::InferenceScore).
//!
//! | fact | gold | predicted | distance | mentions | in a triangle |
//! |---|---|---|---|---|---|
//! | A 0 –P17→ 1 | yes | twice | 0 | 2 | yes |
//! | A 1 –P17→ 2 | yes | yes | 2 | 2 | yes |
//! | A 0 –P131→ 2 | yes | yes | 2 | 2 | yes |
//! | A 2 –P50→ 3 | yes | no | 2 | 3 | no |
//! | B 0 –P50→ 1 | yes | no | 1 | 2 | no |
//! | A 0 –P50→ 1 | no | yes | 0 | 2 | yes |
//! | A 3 –P17→ 0 | no | yes | 0 | 3 | no |
//! | A 1 –P17→ 3 | no | yes | 0 | 3 | yes, with 1 → 2 and 2 → 3 |
//! | Nowhere 0 –P17→ 1 | no | yes | none | none | no |

use super::{PredictionSet, Scorer};
use crate::data::document::{Document, Entity, Mention, RelationFact};
use crate::data::pair::EntityPair;
use crate::data::relation::{Relation, RelationVocab};
use crate::data::submission::SubmittedFact;

pub(super) const P17: usize = 1;
pub(super) const P131: usize = 2;
/// The only one of the three relations that is not frequent in Re-DocRED.
pub(super) const P50: usize = 3;

pub(super) fn vocab() -> RelationVocab {
    let relation = |id: &str| Relation { id: id.into(), name: id.into() };
    RelationVocab::new(["Na", "P17", "P131", "P50"].map(relation).to_vec()).unwrap()
}

/// A document in which the sentences `mentions[i]` mention entity `i` by the name `<title><i>`.
pub(super) fn document(title: &str, mentions: &[&[usize]], facts: &[Fact]) -> Document {
    let entity = |(index, sentences): (usize, &&[usize])| {
        let name = format!("{title}{index}");
        let mention =
            |&sentence| Mention { name: name.clone(), sentence, start: index, end: index + 1 };
        Entity { kind: "LOC".into(), mentions: sentences.iter().map(mention).collect() }
    };
    let words = (0..mentions.len()).map(|index| format!("{title}{index}")).collect();
    Document {
        title: title.into(),
        sentences: vec![words; 5],
        entities: mentions.iter().enumerate().map(entity).collect(),
        facts: facts.iter().map(fact).collect(),
    }
}

/// Head, tail, relation and evidence.
pub(super) type Fact<'a> = (usize, usize, usize, &'a [usize]);

fn fact(&(head, tail, relation, evidence): &Fact) -> RelationFact {
    RelationFact { pair: EntityPair { head, tail }, relation, evidence: evidence.to_vec() }
}

/// A document in which sentence 0 mentions one entity of each name.
pub(super) fn named(title: &str, names: &[&str], facts: &[(usize, usize, usize)]) -> Document {
    let facts: Vec<Fact> = facts.iter().map(|&(h, t, r)| (h, t, r, &[][..])).collect();
    let mut document = document(title, &vec![&[0][..]; names.len()], &facts);
    for (entity, name) in document.entities.iter_mut().zip(names) {
        entity.mentions[0].name = (*name).into();
    }
    document
}

pub(super) fn small_gold() -> Vec<Document> {
    let a: &[Fact] =
        &[(0, 1, P17, &[0, 1]), (1, 2, P17, &[1]), (0, 2, P131, &[]), (2, 3, P50, &[3])];
    vec![
        document("A", &[&[0], &[0], &[2], &[0, 4]], a),
        document("B", &[&[0], &[1]], &[(0, 1, P50, &[])]),
    ]
}

/// An annotated training document with a fact that equals A 0 –P17→ 1 by names and relation.
pub(super) fn small_training() -> Vec<Document> {
    vec![named("T", &["x", "A1", "A0"], &[(2, 1, P17), (0, 1, P50)])]
}

/// Distant documents with facts that equal A 0 –P17→ 1 and A 1 –P17→ 2.
pub(super) fn small_distant() -> Vec<Document> {
    vec![
        named("D", &["A0", "A1"], &[(0, 1, P17)]),
        named("E", &["A1", "A2"], &[(0, 1, P17), (1, 0, P17)]),
    ]
}

pub(super) fn small_scorer() -> Scorer {
    let mut scorer = Scorer::new(&small_gold(), &small_training()).unwrap();
    small_distant().iter().for_each(|document| scorer.add_distant_document(document).unwrap());
    scorer
}

/// Three correct facts, one of them twice, and four wrong ones.
pub(super) fn small_predictions() -> PredictionSet {
    let submission = [
        // Correct, with one correct and one wrong sentence.
        submitted("A", 0, 1, "P17", &[0, 2]),
        // A duplicate, which is dropped.
        submitted("A", 0, 1, "P17", &[1]),
        // Correct, with the correct sentence.
        submitted("A", 1, 2, "P17", &[1]),
        // Correct.
        submitted("A", 0, 2, "P131", &[]),
        // A wrong relation of a related pair.
        submitted("A", 0, 1, "P50", &[0]),
        // An unrelated pair.
        submitted("A", 3, 0, "P17", &[]),
        // An unrelated pair that forms a triangle with 1 → 2 and 2 → 3.
        submitted("A", 1, 3, "P17", &[]),
        // A document that is not in the gold corpus.
        submitted("Nowhere", 0, 1, "P17", &[]),
    ];
    let path = std::path::Path::new("predictions.json");
    PredictionSet::from_submission(path, &submission, &small_gold(), &vocab()).unwrap()
}

pub(super) fn submitted(
    title: &str,
    h_idx: usize,
    t_idx: usize,
    r: &str,
    evidence: &[usize],
) -> SubmittedFact {
    let evidence = evidence.to_vec();
    SubmittedFact { title: title.into(), h_idx, t_idx, r: r.into(), evidence, score: None }
}

/// The facts of a document as predictions by index of the document.
pub(super) fn by_position(
    (index, document): (usize, &Document),
) -> impl Iterator<Item = (usize, &RelationFact)> {
    document.facts.iter().map(move |fact| (index, fact))
}

/// The facts of a document as a submission.
pub(super) fn by_title(document: &Document) -> impl Iterator<Item = SubmittedFact> {
    let vocab = vocab();
    document.facts.iter().map(move |fact| {
        let EntityPair { head, tail } = fact.pair;
        submitted(&document.title, head, tail, vocab.id(fact.relation), &fact.evidence)
    })
}
