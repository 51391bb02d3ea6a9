//! The time to score 100,000 predictions for 1,000 documents of Re-DocRED's sizes.
//!
//! ```text
//! cargo bench -p burn-docre --bench eval
//! ```

use std::path::Path;

use burn_docre::{
    Document, Entity, EntityPair, Mention, RelationFact, RelationVocab,
    data::submission::SubmittedFact,
    eval::{FrequentRelations, PredictionSet, Report, Scorer},
};
use divan::Bencher;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_DOCUMENTS: usize = 1_000;
const N_PREDICTIONS: usize = 100_000;
/// Re-DocRED has 19.4 entities, 26 mentions and 35 facts per document.
const N_ENTITIES: usize = 20;
/// The number of mentions of each entity.
const N_MENTIONS: usize = 2;
const N_FACTS: usize = 35;
const N_SENTENCES: usize = 8;

fn main() {
    divan::main();
}

fn random_fact(n_classes: usize, random: &mut ChaCha8Rng) -> RelationFact {
    let head = random.random_range(0..N_ENTITIES);
    let tail = (head + random.random_range(1..N_ENTITIES)) % N_ENTITIES;
    let evidence = vec![random.random_range(0..N_SENTENCES)];
    let relation = random.random_range(1..n_classes);
    RelationFact { pair: EntityPair { head, tail }, relation, evidence }
}

fn random_document(index: usize, n_classes: usize, random: &mut ChaCha8Rng) -> Document {
    let mut entity = || {
        let mention = |_| {
            let (sentence, start) =
                (random.random_range(0..N_SENTENCES), random.random_range(0..25));
            let name = format!("name {}", random.random_range(0..5_000));
            Mention { name, sentence, start, end: start + 1 }
        };
        let mentions = (0..N_MENTIONS).map(mention).collect();
        Entity { kind: "MISC".into(), mentions }
    };
    let entities = (0..N_ENTITIES).map(|_| entity()).collect();
    Document {
        title: format!("document {index}"),
        sentences: vec![vec!["word".to_owned(); 25]; N_SENTENCES],
        entities,
        facts: (0..N_FACTS).map(|_| random_fact(n_classes, random)).collect(),
    }
}

/// Gold documents and random predictions for them. A fifth of the predictions repeat a gold fact.
fn corpus(vocab: &RelationVocab) -> (Vec<Document>, Vec<SubmittedFact>) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let n_classes = vocab.n_classes();
    let gold: Vec<_> =
        (0..N_DOCUMENTS).map(|index| random_document(index, n_classes, &mut random)).collect();
    let mut prediction = || {
        let document = &gold[random.random_range(0..N_DOCUMENTS)];
        let fact = match random.random_bool(0.2) {
            true => document.facts[random.random_range(0..N_FACTS)].clone(),
            false => random_fact(n_classes, &mut random),
        };
        SubmittedFact::new(&document.title, &fact, vocab)
    };
    let submission = (0..N_PREDICTIONS).map(|_| prediction()).collect();
    (gold, submission)
}

/// Computes all metrics from documents and a submission. The gold documents are also the training
/// documents.
#[divan::bench(sample_count = 10)]
fn all_metrics(bencher: Bencher) {
    let vocab = RelationVocab::docred();
    let (gold, submission) = corpus(&vocab);
    bencher.bench_local(|| {
        let scorer = Scorer::new(&gold, &gold).unwrap();
        let predictions =
            PredictionSet::from_submission(Path::new("p"), &submission, &gold, &vocab).unwrap();
        Report::new(&scorer, &predictions, &vocab, FrequentRelations::Train)
    });
}
