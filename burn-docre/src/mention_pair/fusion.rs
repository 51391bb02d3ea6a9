//! Fusion of mention pairs into pairs (eq. 16 of KMGRE).

use burn::tensor::{Tensor, backend::Backend};

use crate::batch::{MentionPairGroup, MentionPairIndex, packing::MASKED};

/// Fuses the logits of the key mention pairs of each classified pair by log-sum-exp:
/// `l = log sum_{key} exp(l_{i,j})`.
///
/// # Shapes
/// - `mention_logits`: `[q, r]`
/// - `is_key`: `[q]`, 1 for a key mention pair and 0 for the others; each pair has at least one;
///   receives no gradient
/// - output: `[p, r]`
pub fn fuse<B: Backend>(
    mention_logits: Tensor<B, 2>,
    is_key: Tensor<B, 1>,
    index: &MentionPairIndex<B>,
) -> Tensor<B, 2> {
    let is_key = is_key.detach();
    let groups =
        index.groups.iter().map(|group| fuse_group(mention_logits.clone(), is_key.clone(), group));
    index.pairs_in_order(groups.collect())
}

/// Fuses the pairs of one group.
///
/// # Shapes
/// - output: `[n, r]`
fn fuse_group<B: Backend>(
    mention_logits: Tensor<B, 2>,
    is_key: Tensor<B, 1>,
    group: &MentionPairGroup<B>,
) -> Tensor<B, 2> {
    let [n, size] = group.shape;
    let r = mention_logits.dims()[1];
    let logits = group.rows(mention_logits);
    let is_key = group.values(is_key) * group.mask.clone();
    let masked = logits + ((is_key - 1.0) * -MASKED).reshape([n, size, 1]);
    // Subtracting the maximum avoids overflow. It is detached, because its gradient cancels.
    let max = masked.clone().detach().max_dim(1);
    let sum = (masked - max.clone()).exp().sum_dim(1);
    (sum.log() + max).reshape([n, r])
}

#[cfg(test)]
mod tests {
    use burn::backend::Autodiff;

    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{mention_pair_testing::mention_pairs, packing::float_tensor},
        mention_pair::KeySelection,
    };

    type Diff = Autodiff<TestBackend>;

    fn floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
        tensor.into_data().to_vec().unwrap()
    }

    #[test]
    fn only_key_mention_pairs_are_fused() {
        // Pairs of three mention pairs and of one, in the order (0, 1), (0, 2), (1, 0), ….
        let device = Default::default();
        let index = mention_pairs::<TestBackend>(&[1, 3, 1], &device);
        let logits: Vec<f32> = (0..14).map(|i| i as f32).collect();
        let mut is_key = vec![1.0; 14];
        is_key[1] = 0.0;
        let logits = float_tensor(logits, [14, 1], &device);
        let fused = floats(fuse(logits, float_tensor(is_key, [14], &device), &index));
        let log_sum =
            |rows: &[i32]| rows.iter().map(|i| f64::from(*i).exp()).sum::<f64>().ln() as f32;
        let expected = [
            log_sum(&[0, 2]),
            3.0,
            log_sum(&[4, 5, 6]),
            log_sum(&[7, 8, 9]),
            10.0,
            log_sum(&[11, 12, 13]),
        ];
        assert_eq!(fused.len(), expected.len());
        for (fused, expected) in fused.iter().zip(expected) {
            assert!((fused - expected).abs() < 1e-5, "{fused} instead of {expected}");
        }
    }

    /// The threshold 0.42 exceeds each of the ten probabilities.
    #[test]
    fn gradients_are_finite_and_reach_the_first_maximum_where_the_threshold_leaves_no_mention_pair()
    {
        let device = Default::default();
        let index = mention_pairs::<Diff>(&[1, 10], &device);
        let mut probabilities = vec![0.4; 20];
        (probabilities[9], probabilities[19]) = (0.0, 0.0);
        let probabilities = float_tensor::<Diff, 1>(probabilities, [20], &device).require_grad();
        let logits = Tensor::<Diff, 2>::zeros([20, 2], &device).require_grad();
        let is_key = KeySelection { xi: 0.15, tau: 0.5 }.select(probabilities.clone(), &index);
        let fused = fuse(logits.clone(), is_key, &index);
        assert_eq!(floats(fused.clone()), [0.0; 4]);
        let gradients = fused.sum().backward();
        let gradient = floats(logits.grad(&gradients).expect("tracked"));
        let expected: Vec<f32> =
            (0..40).map(|i| if [0, 1, 20, 21].contains(&i) { 1.0 } else { 0.0 }).collect();
        assert_eq!(gradient, expected);
        assert!(probabilities.grad(&gradients).is_none(), "the keys are detached");
    }

    #[test]
    fn the_gradient_of_each_key_mention_pair_is_its_share_of_the_sum() {
        let device = Default::default();
        let index = mention_pairs::<Diff>(&[1, 3], &device);
        let logits: Vec<f32> = [1f32, 2.0, 3.0].iter().chain(&[1.0; 3]).map(|x| x.ln()).collect();
        let logits = float_tensor::<Diff, 2>(logits, [6, 1], &device).require_grad();
        let is_key = Tensor::ones([6], &device);
        let gradients = fuse(logits.clone(), is_key, &index).sum().backward();
        let gradient = floats(logits.grad(&gradients).expect("tracked"));
        for (gradient, share) in gradient.iter().zip([1.0, 2.0, 3.0, 2.0, 2.0, 2.0]) {
            assert!((gradient - share / 6.0).abs() < 1e-6, "{gradient} instead of {share} / 6");
        }
    }

    #[test]
    fn nan_reaches_the_logits_of_its_pair() {
        let device = Default::default();
        let index = mention_pairs::<TestBackend>(&[1, 2], &device);
        let logits = Tensor::zeros([4, 1], &device);
        let is_key = float_tensor(vec![1.0, f32::NAN, 1.0, 1.0], [4], &device);
        let fused = floats(fuse(logits, is_key, &index));
        assert!(fused[0].is_nan() && fused[1].is_finite(), "{fused:?}");
    }
}
