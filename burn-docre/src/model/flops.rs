//! How much arithmetic a forward pass is.

use super::{ModelConfig, ModelKind};
use crate::pair::PairAttentionKind;

impl ModelConfig {
    /// Floating-point operations of the matrix products in a forward pass over one document of `n_tokens` tokens and
    /// `n_entities` entities; element-wise operations and padding are not counted. A training step is three times as
    /// much.
    pub fn forward_flops(&self, n_tokens: usize, n_entities: usize) -> u64 {
        let (l, n) = (n_tokens as u64, n_entities as u64);
        let d = self.encoder.hidden_size as u64;
        let inner = self.encoder.intermediate_size as u64;
        let emb = self.head.emb_size as u64;
        let classes = self.n_classes as u64;
        // All cells of the pair grid, of which the diagonal is not classified.
        let pairs = n * n;

        let layer = l * (4 * d * d + 2 * d * inner) + 2 * l * l * d;
        let encoder = self.encoder.num_hidden_layers as u64 * layer;
        let context = pairs * l * d;
        let extractor = 2 * (n + pairs) * d * emb;
        let bilinear_out = if self.kind == ModelKind::Atlop { classes } else { d };
        let bilinear = pairs * emb * self.head.group_size as u64 * bilinear_out;
        let along_axes = 2 * 2 * pairs * n * d;
        let attention = match self.head.pair_attention {
            PairAttentionKind::AxialStack => {
                self.head.axial_layers as u64 * (pairs * 9 * d * d + along_axes)
            }
            PairAttentionKind::TwoHop => pairs * 6 * d * d + along_axes,
            PairAttentionKind::None => 0,
        };
        let classifier = if self.kind == ModelKind::Atlop { 0 } else { pairs * d * classes };
        2 * (encoder + context + extractor + bilinear + attention + classifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoder::{EncoderConfig, EncoderFamily},
        model::HeadConfig,
    };

    #[test]
    fn the_terms_of_a_tiny_model_worked_by_hand() {
        let config = ModelConfig {
            kind: ModelKind::KdDocre,
            encoder: EncoderConfig {
                model_type: EncoderFamily::Bert,
                vocab_size: 9,
                hidden_size: 2,
                num_hidden_layers: 1,
                num_attention_heads: 1,
                intermediate_size: 3,
                hidden_dropout_prob: 0.0,
                attention_probs_dropout_prob: 0.0,
                max_position_embeddings: 16,
                type_vocab_size: 1,
                layer_norm_eps: 1e-12,
                pad_token_id: 0,
                hidden_act: "gelu".into(),
                position_embedding_type: "absolute".into(),
            },
            head: HeadConfig {
                emb_size: 4,
                group_size: 2,
                pair_attention: PairAttentionKind::AxialStack,
                axial_layers: 1,
                axial_heads: 1,
            },
            n_classes: 5,
            max_relations_per_pair: 4,
        };
        // Encoder 5·(16 + 12) + 2·25·2, context 9·5·2, extractor 2·12·8, bilinear 9·8·2, axial 9·36 + 4·27·2,
        // classifier 9·2·5.
        let expected = 240 + 90 + 192 + 144 + 324 + 216 + 90;
        assert_eq!(config.forward_flops(5, 3), 2 * expected);
    }
}
