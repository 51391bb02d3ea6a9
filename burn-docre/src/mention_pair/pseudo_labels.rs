//! Pseudo labels of mention pairs (eq. 9 of KMGRE).

use burn::tensor::{Tensor, activation::sigmoid, backend::Backend};

use crate::{
    batch::{MentionPairGroup, MentionPairIndex, packing::float_tensor},
    data::relation::THRESHOLD_CLASS,
};

/// Labels the mention pairs that express a relation of their pair.
///
/// The label is 1 if, for some relation that holds, the mention pair's probability is at least the
/// mean over the pair's mention pairs. The threshold class is no relation. The mention pairs of a
/// pair without relations have the label 0. The result receives no gradient. It is NaN where a
/// probability is NaN.
///
/// # Shapes
/// - `mention_logits`: `[q, r]`; `labels`: `[p, r]`, as of
///   [`DocReBatch::labels`](crate::batch::DocReBatch::labels)
/// - output: `[q]`, 1 or 0
pub fn pseudo_labels<B: Backend>(
    mention_logits: Tensor<B, 2>,
    labels: Tensor<B, 2>,
    index: &MentionPairIndex<B>,
) -> Tensor<B, 1> {
    let probabilities = sigmoid(mention_logits.detach());
    let r = labels.dims()[1];
    let mut is_relation = vec![1.0; r];
    is_relation[THRESHOLD_CLASS] = 0.0;
    let relations = labels.detach() * float_tensor(is_relation, [1, r], &probabilities.device());
    let groups = index
        .groups
        .iter()
        .map(|group| label_group(probabilities.clone(), relations.clone(), group));
    index.in_order(groups.collect())
}

/// Labels the mention pairs of one group.
///
/// # Shapes
/// - `relations`: `[p, r]`, without the threshold class
/// - output: `[n, size]`
fn label_group<B: Backend>(
    probabilities: Tensor<B, 2>,
    relations: Tensor<B, 2>,
    group: &MentionPairGroup<B>,
) -> Tensor<B, 2> {
    let [n, size] = group.shape;
    let r = relations.dims()[1];
    let relations = relations.select(0, group.pairs.clone()).reshape([n, 1, r]);
    // No probability is below 0, so padding is not the maximum.
    let probabilities = group.rows(probabilities) * group.mask.clone().reshape([n, size, 1]);
    let mean = probabilities.clone().sum_dim(1) / group.mask.clone().sum_dim(1).reshape([n, 1, 1]);
    // Rounding must not lift the mean above the maximum.
    let mean = mean.min_pair(probabilities.clone().max_dim(1));
    let is_above = (probabilities.clone() - mean).greater_equal_elem(0.0).float();
    // A comparison with NaN is false, and `max` in WGSL may drop NaN. The sum keeps it.
    let labels = (is_above * relations).max_dim(2) + probabilities.sum_dim(2) * 0.0;
    labels.reshape([n, size])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::TestBackend, batch::mention_pair_testing::mention_pairs};

    /// Labels the mention pairs of two entities with one and three mentions. The first pair has the
    /// given logits and labels, and the second has no relation.
    fn label(logits: [[f32; 3]; 3], labels: [f32; 3]) -> Vec<f32> {
        let device = Default::default();
        let index = mention_pairs::<TestBackend>(&[1, 3], &device);
        let logits = logits.iter().chain(&[[5.0; 3]; 3]).flatten().copied().collect();
        let labels = labels.into_iter().chain([1.0, 0.0, 0.0]).collect();
        let labelled = pseudo_labels(
            float_tensor(logits, [6, 3], &device),
            float_tensor(labels, [2, 3], &device),
            &index,
        );
        let labelled: Vec<f32> = labelled.into_data().to_vec().unwrap();
        assert_eq!(labelled[3..], [0.0; 3], "a pair without relations");
        labelled[..3].to_vec()
    }

    #[test]
    fn mention_pairs_that_reach_the_mean_of_a_relation_that_holds_are_labelled() {
        let logits = [[9.0, 2.0, -1.0], [9.0, -2.0, 0.0], [-9.0, -2.0, 1.0]];
        assert_eq!(label(logits, [0.0, 1.0, 0.0]), [1.0, 0.0, 0.0]);
        assert_eq!(label(logits, [0.0, 0.0, 1.0]), [0.0, 1.0, 1.0]);
        assert_eq!(label(logits, [0.0, 1.0, 1.0]), [1.0, 1.0, 1.0]);
        assert_eq!(label(logits, [1.0, 0.0, 0.0]), [0.0; 3]);
    }

    /// The mean of three equal values can be rounded up, and padding must not lower it.
    #[test]
    fn equal_mention_pairs_of_a_pair_with_a_relation_are_all_labelled() {
        for logit in [-3.0, -0.7, 0.1, 0.4, 2.2, 40.0] {
            assert_eq!(label([[logit; 3]; 3], [0.0, 1.0, 0.0]), [1.0; 3], "{logit}");
        }
    }

    #[test]
    fn nan_stays_nan() {
        let logits = [[0.0, f32::NAN, 0.0], [0.0; 3], [0.0; 3]];
        assert!(label(logits, [0.0, 1.0, 0.0])[0].is_nan());
    }
}
