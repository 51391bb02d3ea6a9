//! Encoder weights under Hugging Face's names.
//!
//! | ours | Hugging Face |
//! |---|---|
//! | `embedding.{word,position,token_type}` | `embeddings.{word,position,token_type}_embeddings` |
//! | `embedding.norm` | `embeddings.LayerNorm` |
//! | `layers.N.attention.{query,key,value}` | `encoder.layer.N.attention.self.{query,key,value}` |
//! | `layers.N.attention.output` | `encoder.layer.N.attention.output.dense` |
//! | `layers.N.attention_norm` | `encoder.layer.N.attention.output.LayerNorm` |
//! | `layers.N.{intermediate,output}` | `encoder.layer.N.{intermediate,output}.dense` |
//! | `layers.N.output_norm` | `encoder.layer.N.output.LayerNorm` |

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;

use super::{Encoder, EncoderConfig};
use crate::{
    Error, Result,
    io::weights::{self, WeightFile},
};

/// The name under which Hugging Face stores the parameter at `path` of an [`Encoder`].
pub fn hugging_face_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts[..] {
        ["embedding", "norm", parameter] => format!("embeddings.LayerNorm.{parameter}"),
        ["embedding", table, parameter] => format!("embeddings.{table}_embeddings.{parameter}"),
        ["layers", n, "attention", "output", parameter] => {
            format!("encoder.layer.{n}.attention.output.dense.{parameter}")
        }
        ["layers", n, "attention", projection, parameter] => {
            format!("encoder.layer.{n}.attention.self.{projection}.{parameter}")
        }
        ["layers", n, "attention_norm", parameter] => {
            format!("encoder.layer.{n}.attention.output.LayerNorm.{parameter}")
        }
        ["layers", n, "output_norm", parameter] => {
            format!("encoder.layer.{n}.output.LayerNorm.{parameter}")
        }
        ["layers", n, block, parameter] => format!("encoder.layer.{n}.{block}.dense.{parameter}"),
        _ => path.to_string(),
    }
}

/// The weight file of a Hugging Face directory.
///
/// # Errors
/// If there is neither `model.safetensors` nor `pytorch_model.bin`.
pub fn weight_file(directory: &Path) -> Result<PathBuf> {
    let candidates = ["model.safetensors", "pytorch_model.bin"];
    candidates.iter().map(|name| directory.join(name)).find(|path| path.is_file()).ok_or_else(
        || Error::format(directory, "has neither model.safetensors nor pytorch_model.bin"),
    )
}

/// Fills `encoder` with the weights of a Hugging Face directory, whatever prefix (`bert.`, `roberta.`) they carry.
///
/// # Errors
/// If the weight file is missing or truncated, or a weight is missing or has another shape.
pub fn load_pretrained<B: Backend>(encoder: Encoder<B>, directory: &Path) -> Result<Encoder<B>> {
    let file = WeightFile::open(&weight_file(directory)?)?;
    let prefix = prefix(&file);
    weights::load(encoder, &file, |path| {
        let name = format!("{prefix}{}", hugging_face_name(path));
        legacy_name(&file, name)
    })
}

/// The configuration of a Hugging Face directory.
///
/// # Errors
/// If `config.json` is missing or describes an unsupported encoder.
pub fn pretrained_config(directory: &Path) -> Result<EncoderConfig> {
    EncoderConfig::from_file(&directory.join("config.json"))
}

fn prefix(file: &WeightFile) -> &'static str {
    let word_embedding = "embeddings.word_embeddings.weight";
    ["", "bert.", "roberta.", "model."]
        .into_iter()
        .find(|prefix| file.contains(&format!("{prefix}{word_embedding}")))
        .unwrap_or_default()
}

/// Files converted from TensorFlow call the parameters of a normalisation `gamma` and `beta`.
fn legacy_name(file: &WeightFile, name: String) -> String {
    if !name.contains("LayerNorm") || file.contains(&name) {
        return name;
    }
    let legacy = name.replace(".weight", ".gamma").replace(".bias", ".beta");
    if file.contains(&legacy) { legacy } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_layer_has_its_hugging_face_name() {
        for (ours, theirs) in [
            ("embedding.word.weight", "embeddings.word_embeddings.weight"),
            ("embedding.norm.bias", "embeddings.LayerNorm.bias"),
            ("layers.3.attention.query.bias", "encoder.layer.3.attention.self.query.bias"),
            ("layers.3.attention.output.weight", "encoder.layer.3.attention.output.dense.weight"),
            ("layers.0.attention_norm.weight", "encoder.layer.0.attention.output.LayerNorm.weight"),
            ("layers.0.intermediate.bias", "encoder.layer.0.intermediate.dense.bias"),
            ("layers.0.output.bias", "encoder.layer.0.output.dense.bias"),
            ("layers.0.output_norm.bias", "encoder.layer.0.output.LayerNorm.bias"),
        ] {
            assert_eq!(hugging_face_name(ours), theirs);
        }
    }
}
