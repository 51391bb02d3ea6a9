//! Mentions pooled into entities.

use burn::tensor::{Tensor, backend::Backend};

use crate::batch::MentionIndex;

/// Pools the mentions of each entity by log-sum-exp (eq. 2 of KD-DocRE).
///
/// # Shapes
/// - `mentions`: `[m, d]` → `[entities, d]`
pub fn entity_embeddings<B: Backend>(
    mentions: Tensor<B, 2>,
    index: &MentionIndex<B>,
) -> Tensor<B, 2> {
    let d = mentions.dims()[1];
    let [entities, longest] = index.of_entity_bias.dims();
    let padded = mentions.select(0, index.of_entity.clone()).reshape([entities, longest, d])
        + index.of_entity_bias.clone().reshape([entities, longest, 1]);
    // Subtracting the maximum avoids overflow. It is detached, because its gradient cancels.
    let max = padded.clone().detach().max_dim(1);
    let sum = (padded - max.clone()).exp().sum_dim(1);
    (sum.log() + max).reshape([entities, d])
}

/// Averages the attention of the mentions of each entity.
///
/// # Shapes
/// - `attention`: `[m, n_heads, l]`; `shape`: the entity grid, `[b, e]`
/// - output: `[b, e, n_heads, l]`, 0 at padding
pub fn entity_attention<B: Backend>(
    attention: Tensor<B, 3>,
    shape: [usize; 2],
    index: &MentionIndex<B>,
) -> Tensor<B, 4> {
    let [m, n_heads, l] = attention.dims();
    let [b, e] = shape;
    let average = index.average.clone();
    average.matmul(attention.reshape([m, n_heads * l])).reshape([b, e, n_heads, l])
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::{
        backend::TestBackend,
        batch::{DocReBatch, packing::float_tensor, testing},
    };

    /// Two documents: entities of one and two mentions, and an entity of one mention.
    fn index() -> MentionIndex<TestBackend> {
        let documents = [testing::document(6, &[&[1], &[2, 4]]), testing::document(4, &[&[2]])];
        let documents: Vec<_> = documents.iter().collect();
        DocReBatch::new(&documents, testing::INPUT, &Default::default()).mentions
    }

    #[test]
    fn an_embedding_is_the_logarithm_of_the_sum_of_exponentials() {
        let mentions = float_tensor(vec![0.5, 1.0, 3f32.ln(), 2.0], [4, 1], &Default::default());
        let entities = entity_embeddings::<TestBackend>(mentions, &index());
        let expected = [0.5, (1f32.exp() + 3.0).ln(), 2.0];
        let found: Vec<f32> = entities.into_data().to_vec().unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
    }

    #[test]
    fn the_attention_of_an_entity_is_the_mean_over_its_mentions() {
        let attention = float_tensor(
            vec![1.0, 0.0, /**/ 0.0, 1.0, /**/ 0.5, 0.5, /**/ 0.25, 0.75],
            [4, 1, 2],
            &Default::default(),
        );
        let entities = entity_attention::<TestBackend>(attention, [2, 2], &index());
        // The second document has no second entity.
        let expected = TensorData::from([1.0f32, 0.0, 0.25, 0.75, 0.25, 0.75, 0.0, 0.0]);
        entities.reshape([8]).into_data().assert_eq(&expected, false);
    }
}
