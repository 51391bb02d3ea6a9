//! The facts of a document as a table, best first.

use burn_docre::{data::relation::RelationVocab, inference::decode::Prediction};

use crate::ui::table::Table;

/// The number of columns of text: head, relation and tail.
const N_TEXT: usize = 3;

/// Formats the predictions of a document whose entities have these `names`. The column of the
/// evidence, sentences counted from 1, exists if a prediction has evidence.
pub(super) fn render(
    names: &[String],
    predictions: &[Prediction],
    vocab: &RelationVocab,
) -> String {
    if predictions.is_empty() {
        return "no relation found\n".to_owned();
    }
    let has_evidence = predictions.iter().any(|found| !found.fact.evidence.is_empty());
    let columns = if has_evidence { 5 } else { 4 };
    let mut table = Table::new().with_text_columns(N_TEXT);
    let header = ["head", "relation", "tail", "score", "evidence"];
    table.row(header.into_iter().take(columns).map(str::to_owned));
    let mut best_first: Vec<_> = predictions.iter().collect();
    // Scores are never NaN: the decoder refuses such logits. The sort is stable.
    best_first.sort_by(|a, b| b.score.total_cmp(&a.score));
    for Prediction { fact, score, .. } in best_first {
        let name = |entity: usize| names.get(entity).cloned().unwrap_or_default();
        let evidence: Vec<_> =
            fact.evidence.iter().map(|sentence| (sentence + 1).to_string()).collect();
        let cells = [
            name(fact.pair.head),
            vocab.name(fact.relation).to_owned(),
            name(fact.pair.tail),
            format!("{score:.2}"),
            evidence.join(", "),
        ];
        table.row(cells.into_iter().take(columns));
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use burn_docre::{EntityPair, RelationFact};

    use super::*;

    fn prediction(head: usize, tail: usize, id: &str, score: f32) -> Prediction {
        let relation = RelationVocab::docred().index_of(id).unwrap();
        let fact = RelationFact { pair: EntityPair { head, tail }, relation, evidence: Vec::new() };
        Prediction { fact, score, threshold: 0.0, key_mention_pairs: Vec::new() }
    }

    fn rendered(predictions: &[Prediction]) -> String {
        let names = ["Marie Curie", "Warsaw", "Poland"].map(str::to_owned);
        render(&names, predictions, &RelationVocab::docred())
    }

    #[test]
    fn facts_have_names_and_scores_and_the_best_comes_first() {
        let predictions = [prediction(1, 2, "P17", 0.254), prediction(0, 1, "P19", 12.5)];
        let expected = "\
head         relation        tail    score
Marie Curie  place of birth  Warsaw  12.50
Warsaw       country         Poland   0.25
";
        assert_eq!(rendered(&predictions), expected);
    }

    #[test]
    fn evidence_is_a_column_where_a_prediction_has_it() {
        let mut predictions = [prediction(1, 2, "P17", 1.0), prediction(0, 1, "P19", 2.0)];
        predictions[0].fact.evidence = vec![0, 10];
        let text = rendered(&predictions);
        assert!(text.lines().next().unwrap().ends_with("score  evidence"), "{text}");
        assert!(text.lines().last().unwrap().ends_with(" 1.00     1, 11"), "{text}");
    }

    #[test]
    fn a_document_without_relations_says_so() {
        assert_eq!(rendered(&[]), "no relation found\n");
    }
}
