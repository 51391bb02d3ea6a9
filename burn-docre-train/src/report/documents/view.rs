//! The plain data of the documents.

use std::collections::{BTreeMap, BTreeSet};

use burn_docre::{
    Document, EntityPair, MentionPair, RelationFact, RelationVocab,
    inference::decode::Prediction,
    model::SystemConfig,
    pair::{PairMixerConfig, mixer::AxialStackConfig},
};

/// The maximum number of facts of a document. Wrong predictions beyond it are not listed, the best
/// scores first.
const MAX_FACTS: usize = 400;

/// Documents with the facts that a model predicted, and its attention.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentViews {
    /// The name of the model.
    pub model: String,
    /// True if its system names evidence for its predictions.
    pub names_evidence: bool,
    /// The pair mixer of the system.
    pub mixer: MixerView,
    /// Number of dev documents, of which `documents` are a choice.
    pub n_dev: usize,
    /// The rule of the choice in words.
    pub rule: String,
    /// The chosen documents.
    pub documents: Vec<DocumentView>,
    /// The reason why the axial attention is missing, with the model's name.
    pub missing: Option<String>,
}

/// The pair mixer of a system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MixerView {
    /// No mixer, so there is no axial attention.
    None,
    /// The axial stack.
    AxialStack {
        /// Number of layers.
        layers: usize,
        /// Number of attention heads.
        heads: usize,
    },
    /// Two-hop attention: one layer with one attention head.
    TwoHop,
}

/// A document.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentView {
    /// The title.
    pub title: String,
    /// The id of the document in the page. It depends on the title only.
    pub anchor: String,
    /// The words of each sentence.
    pub sentences: Vec<Vec<String>>,
    /// The entities.
    pub entities: Vec<EntityView>,
    /// The gold and the predicted facts by status, then by head, tail and relation.
    pub facts: Vec<FactView>,
    /// Number of wrong predictions that `facts` lacks.
    pub n_unlisted: usize,
    /// The axial attention; `None` if the system has none, it could not be computed, or the limits
    /// leave no pair.
    pub attention: Option<Attention>,
}

/// An entity.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityView {
    /// The name of its first mention.
    pub name: String,
    /// The type label.
    pub kind: String,
    /// The mentions.
    pub mentions: Vec<Span>,
}

/// The words `start..end` of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the sentence.
    pub sentence: usize,
    /// Index of the first word.
    pub start: usize,
    /// Index after the last word.
    pub end: usize,
}

/// A comparison of prediction and gold label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Predicted and labelled.
    Correct,
    /// Labelled and not predicted.
    Missed,
    /// Predicted and not labelled.
    Wrong,
}

/// A fact that is labelled, predicted or both.
#[derive(Clone, Debug, PartialEq)]
pub struct FactView {
    /// Prediction and label compared.
    pub status: Status,
    /// Index of the head in the entities.
    pub head: usize,
    /// Index of the tail in the entities.
    pub tail: usize,
    /// The relation's id.
    pub id: String,
    /// The relation's name.
    pub name: String,
    /// The sentences that the label names, in ascending order. Empty if there are none.
    pub gold_evidence: Vec<usize>,
    /// The sentences that the system names, in ascending order. Empty if there are none.
    pub evidence: Vec<usize>,
    /// The key mention pairs: a mention of the head, a mention of the tail.
    pub key_mention_pairs: Vec<[usize; 2]>,
    /// The margin of the logit over the threshold; `None` if the fact is not predicted.
    pub score: Option<f32>,
}

/// The axial attention of pairs of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Number of entities. A further weight in a list is that of the pad entity.
    pub n_entities: usize,
    /// The pairs of the listed facts, in the order of the facts, up to a limit.
    pub pairs: Vec<PairAttention>,
    /// Number of pairs of listed facts beyond the limit.
    pub n_left_out: usize,
}

/// The attention of one pair in each layer.
#[derive(Clone, Debug, PartialEq)]
pub struct PairAttention {
    /// Index of the head.
    pub head: usize,
    /// Index of the tail.
    pub tail: usize,
    /// The layers, the lowest first.
    pub layers: Vec<LayerWeights>,
}

/// The attention of a pair in one layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerWeights {
    /// To the pairs `(k, tail)` of each entity `k`.
    pub column: Weights,
    /// To the pairs `(head, k)` of each entity `k`.
    pub row: Weights,
}

/// The weights of all entities, and of the pad entity if there is one. 255 stands for 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// The mean over the attention heads.
    pub mean: Vec<u8>,
    /// The maximum over the attention heads.
    pub maximum: Vec<u8>,
}

impl MixerView {
    /// The mixer of a system.
    pub(super) fn of(system: &SystemConfig) -> Self {
        match system {
            SystemConfig::KdDocre(config) => match &config.mixer {
                PairMixerConfig::AxialStack(AxialStackConfig { layers, heads, .. }) => {
                    Self::AxialStack { layers: *layers, heads: *heads }
                }
                PairMixerConfig::TwoHop(_) => Self::TwoHop,
                PairMixerConfig::None {} => Self::None,
            },
            SystemConfig::Atlop(_) | SystemConfig::Kmgre(_) => Self::None,
        }
    }
}

impl MixerView {
    /// The number of layers with axial attention.
    pub(super) fn n_layers(self) -> usize {
        match self {
            Self::None => 0,
            Self::AxialStack { layers, .. } => layers,
            Self::TwoHop => 1,
        }
    }
}

impl Attention {
    /// Reports whether there is a pad entity.
    pub(super) fn has_pad(&self) -> bool {
        let lists = self.pairs.iter().flat_map(|pair| &pair.layers);
        lists.into_iter().any(|layer| layer.row.mean.len() > self.n_entities)
    }
}

impl Status {
    /// All values in their order.
    pub(super) const ALL: [Self; 3] = [Self::Correct, Self::Missed, Self::Wrong];

    /// The name, also that of the class in the style sheet.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Missed => "missed",
            Self::Wrong => "wrong",
        }
    }

    /// A sign that tells the values apart without colours.
    pub(super) fn sign(self) -> char {
        match self {
            Self::Correct => '✓',
            Self::Missed => '○',
            Self::Wrong => '✗',
        }
    }
}

impl DocumentView {
    /// The view of a document with its predictions, without attention.
    ///
    /// # Panics
    /// If a relation is not in `vocab`.
    pub(super) fn new(
        document: &Document,
        predictions: &[Prediction],
        vocab: &RelationVocab,
        anchor: String,
    ) -> Self {
        let (facts, n_unlisted) = limit(facts(&document.facts, predictions, vocab));
        Self {
            title: document.title.clone(),
            anchor,
            sentences: document.sentences.clone(),
            entities: document.entities.iter().map(EntityView::new).collect(),
            facts,
            n_unlisted,
            attention: None,
        }
    }

    /// The different pairs of the facts, in their order.
    pub(super) fn pairs(&self) -> Vec<EntityPair> {
        let mut pairs = Vec::new();
        for FactView { head, tail, .. } in &self.facts {
            let pair = EntityPair { head: *head, tail: *tail };
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        pairs
    }

    /// The number of facts of this status, those that are not listed included.
    pub(super) fn count(&self, status: Status) -> usize {
        let n_listed = self.facts.iter().filter(|fact| fact.status == status).count();
        // Only wrong predictions are left out of the list.
        if status == Status::Wrong { n_listed + self.n_unlisted } else { n_listed }
    }

    /// The label of an entity, counted from 1, with its name.
    pub(super) fn label(&self, entity: usize) -> String {
        let name = self.entities.get(entity).map_or("", |entity| entity.name.as_str());
        format!("{} {name}", entity + 1)
    }
}

impl EntityView {
    fn new(entity: &burn_docre::Entity) -> Self {
        let mentions = &entity.mentions;
        Self {
            name: mentions.first().map(|mention| mention.name.clone()).unwrap_or_default(),
            kind: entity.kind.clone(),
            mentions: mentions
                .iter()
                .map(|m| Span { sentence: m.sentence, start: m.start, end: m.end })
                .collect(),
        }
    }
}

/// Merges labels and predictions. Of equal labels the last counts, of equal predictions the first,
/// as in the official scorer.
fn facts(gold: &[RelationFact], found: &[Prediction], vocab: &RelationVocab) -> Vec<FactView> {
    type Key = (EntityPair, usize);
    let key = |fact: &RelationFact| -> Key { (fact.pair, fact.relation) };
    let gold: BTreeMap<Key, &RelationFact> = gold.iter().map(|fact| (key(fact), fact)).collect();
    let found: BTreeMap<Key, &Prediction> = found.iter().rev().map(|p| (key(&p.fact), p)).collect();
    let wrong = found.keys().filter(|key| !gold.contains_key(key));
    let view =
        |key: &Key| FactView::new(*key, gold.get(key).copied(), found.get(key).copied(), vocab);
    let mut facts: Vec<FactView> = gold.keys().chain(wrong).map(view).collect();
    // The sort is stable: facts of one status stay ordered by head, tail and relation.
    facts.sort_by_key(|fact| fact.status);
    facts
}

impl FactView {
    /// A fact that is labelled, predicted or both.
    fn new(
        (pair, relation): (EntityPair, usize),
        gold: Option<&RelationFact>,
        found: Option<&Prediction>,
        vocab: &RelationVocab,
    ) -> Self {
        let sentences = |fact: &RelationFact| {
            let mut sentences = fact.evidence.clone();
            sentences.sort_unstable();
            sentences.dedup();
            sentences
        };
        let mentions = |pair: &MentionPair| [pair.head, pair.tail];
        Self {
            status: match (gold, found) {
                (Some(_), Some(_)) => Status::Correct,
                (Some(_), None) => Status::Missed,
                (None, _) => Status::Wrong,
            },
            head: pair.head,
            tail: pair.tail,
            id: vocab.id(relation).into(),
            name: vocab.name(relation).into(),
            gold_evidence: gold.map(sentences).unwrap_or_default(),
            evidence: found.map(|found| sentences(&found.fact)).unwrap_or_default(),
            key_mention_pairs: found
                .map(|found| found.key_mention_pairs.iter().map(mentions).collect())
                .unwrap_or_default(),
            score: found.map(|found| found.score),
        }
    }
}

/// Removes the wrong predictions with the lowest scores if there are too many facts. Returns the
/// number of removed ones.
fn limit(facts: Vec<FactView>) -> (Vec<FactView>, usize) {
    let is_wrong = |fact: &FactView| fact.status == Status::Wrong;
    let n_gold = facts.iter().filter(|fact| !is_wrong(fact)).count();
    let (n_wrong, room) = (facts.len() - n_gold, MAX_FACTS.saturating_sub(n_gold));
    if n_wrong <= room {
        return (facts, 0);
    }
    let mut wrong: Vec<usize> = (0..facts.len()).filter(|&i| is_wrong(&facts[i])).collect();
    // Every wrong fact is a prediction and has a score. The sort is stable.
    let score = |i: &usize| facts[*i].score.unwrap_or(f32::NEG_INFINITY);
    wrong.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let removed: BTreeSet<usize> = wrong.split_off(room).into_iter().collect();
    let kept = facts.into_iter().enumerate().filter(|(i, _)| !removed.contains(i));
    (kept.map(|(_, fact)| fact).collect(), removed.len())
}

#[cfg(test)]
pub(super) mod testing {
    //! A small document with gold and predicted facts.

    use burn_docre::{Entity, Mention};

    use super::*;

    /// A prediction of class `relation` for a pair, with evidence.
    pub(crate) fn prediction(head: usize, tail: usize, relation: usize, score: f32) -> Prediction {
        let fact = fact(head, tail, relation, &[]);
        Prediction { fact, score, threshold: 0.0, key_mention_pairs: Vec::new() }
    }

    pub(crate) fn fact(
        head: usize,
        tail: usize,
        relation: usize,
        evidence: &[usize],
    ) -> RelationFact {
        RelationFact { pair: EntityPair { head, tail }, relation, evidence: evidence.to_vec() }
    }

    /// Two sentences; Anna and Oslo stand in both, Norway in the second.
    pub(crate) fn document() -> Document {
        let sentences = ["Anna lives in Oslo .", "Anna likes Oslo in Norway ."];
        let mention = |name: &str, sentence, start| Mention {
            name: name.into(),
            sentence,
            start,
            end: start + 1,
        };
        let entity = |kind: &str, mentions| Entity { kind: kind.into(), mentions };
        Document {
            title: "Anna & Oslo".into(),
            sentences: sentences.map(|text| text.split(' ').map(str::to_owned).collect()).into(),
            entities: vec![
                entity("PER", vec![mention("Anna", 0, 0), mention("Anna", 1, 0)]),
                entity("LOC", vec![mention("Oslo", 0, 3), mention("Oslo", 1, 2)]),
                entity("LOC", vec![mention("Norway", 1, 4)]),
            ],
            facts: vec![fact(0, 1, 1, &[1]), fact(1, 2, 2, &[1, 0, 1]), fact(0, 1, 1, &[0])],
        }
    }

    /// The view of [`document`] with a correct, a missed and two wrong facts.
    pub(crate) fn view() -> DocumentView {
        let mut correct = prediction(0, 1, 1, 2.0);
        correct.fact.evidence = vec![1, 0];
        correct.key_mention_pairs = vec![MentionPair { head: 1, tail: 0 }];
        let predictions = [correct, prediction(0, 1, 3, 0.5), prediction(0, 2, 1, 0.25)];
        let vocab = RelationVocab::docred();
        DocumentView::new(&document(), &predictions, &vocab, "doc-anna-1".into())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{prediction, view},
        *,
    };

    #[test]
    fn every_fact_has_the_status_of_its_label_and_its_prediction() {
        let found: Vec<_> =
            view().facts.iter().map(|f| (f.status, f.head, f.tail, f.id.clone())).collect();
        let id = |class| RelationVocab::docred().id(class).to_owned();
        let expected = [
            (Status::Correct, 0, 1, id(1)),
            (Status::Missed, 1, 2, id(2)),
            (Status::Wrong, 0, 1, id(3)),
            (Status::Wrong, 0, 2, id(1)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn evidence_is_sorted_and_that_of_the_last_equal_label_counts() {
        let facts = view().facts;
        assert_eq!(facts[0].gold_evidence, [0]);
        assert_eq!(facts[0].evidence, [0, 1]);
        assert_eq!(facts[0].key_mention_pairs, [[1, 0]]);
        assert_eq!((facts[0].score, facts[1].score), (Some(2.0), None));
        assert_eq!(facts[1].gold_evidence, [0, 1]);
        assert!(facts[1].evidence.is_empty());
    }

    #[test]
    fn of_too_many_facts_the_labels_and_the_best_wrong_predictions_stay() {
        let document = testing::document();
        let scored = |i: usize| prediction(2, 1, 1 + i % 96, (i % 96) as f32);
        let others = (0..500).map(|i| {
            let mut found = scored(i);
            // Pairs that differ, so that all predictions do. Entities are not looked up here.
            found.fact.pair.head += i / 96;
            found
        });
        let predictions: Vec<_> = others.collect();
        let vocab = RelationVocab::docred();
        let view = DocumentView::new(&document, &predictions, &vocab, String::new());
        assert_eq!((view.facts.len(), view.n_unlisted), (MAX_FACTS, 500 - (MAX_FACTS - 2)));
        assert_eq!(view.count(Status::Missed), 2);
        let lowest = view.facts.iter().filter_map(|fact| fact.score).fold(f32::MAX, f32::min);
        let n_better = predictions.iter().filter(|found| found.score > lowest).count();
        assert!(n_better < MAX_FACTS - 2, "{n_better} are better than {lowest}");
        assert_eq!(view.facts.iter().filter(|f| f.score > Some(lowest)).count(), n_better);
    }

    #[test]
    fn of_equal_wrong_predictions_at_the_limit_the_first_stay_and_all_better_ones() {
        let document = testing::document();
        let predictions: Vec<_> = (0..600)
            .map(|i| {
                // 300 pairs with two relations each. The better one is the second.
                let mut found = prediction(2, 1, 1 + i % 2, (1 + i % 2) as f32);
                found.fact.pair.head += i / 2;
                found
            })
            .collect();
        let vocab = RelationVocab::docred();
        let view = DocumentView::new(&document, &predictions, &vocab, String::new());
        let scored = |score| view.facts.iter().filter(|fact| fact.score == Some(score)).count();
        assert_eq!((scored(2.0), scored(1.0)), (300, MAX_FACTS - 2 - 300));
        assert_eq!(view.n_unlisted, 600 - (MAX_FACTS - 2));
    }

    #[test]
    fn pairs_are_listed_once() {
        let pairs: Vec<_> = view().pairs().iter().map(|pair| (pair.head, pair.tail)).collect();
        assert_eq!(pairs, [(0, 1), (1, 2), (0, 2)]);
    }
}
