//! Names of parameters in other projects.

/// A table of prefixes of parameter paths and another project's names for them.
///
/// `*` in a prefix matches one part of a path, such as a layer's index. The `*` of the name keeps
/// that part. The first matching row applies.
#[derive(Clone, Copy, Debug)]
pub struct NameTable(&'static [(&'static str, &'static str)]);

/// Hugging Face's names of an [`Encoder`](super::Encoder)'s modules.
pub const HUGGING_FACE: NameTable = NameTable(&[
    ("embedding.word", "embeddings.word_embeddings"),
    ("embedding.position", "embeddings.position_embeddings"),
    ("embedding.token_type", "embeddings.token_type_embeddings"),
    ("embedding.norm", "embeddings.LayerNorm"),
    ("layers.*.attention.query", "encoder.layer.*.attention.self.query"),
    ("layers.*.attention.key", "encoder.layer.*.attention.self.key"),
    ("layers.*.attention.value", "encoder.layer.*.attention.self.value"),
    ("layers.*.attention.output", "encoder.layer.*.attention.output.dense"),
    ("layers.*.attention_norm", "encoder.layer.*.attention.output.LayerNorm"),
    ("layers.*.intermediate", "encoder.layer.*.intermediate.dense"),
    ("layers.*.output", "encoder.layer.*.output.dense"),
    ("layers.*.output_norm", "encoder.layer.*.output.LayerNorm"),
]);

impl NameTable {
    /// Creates a table of rows `(prefix of a path, the other project's name)`.
    pub const fn new(rows: &'static [(&'static str, &'static str)]) -> Self {
        Self(rows)
    }

    /// The other project's name for the parameter at `path`; `path` itself if no row matches.
    pub fn rename(&self, path: &str) -> String {
        self.0
            .iter()
            .find_map(|(ours, theirs)| renamed(path, ours, theirs))
            .unwrap_or_else(|| path.to_string())
    }
}

/// `path` with the prefix `ours` replaced by `theirs`; `None` if the prefix does not match.
fn renamed(path: &str, ours: &str, theirs: &str) -> Option<String> {
    let mut parts = path.split('.');
    let mut kept = Vec::new();
    for expected in ours.split('.') {
        let part = parts.next()?;
        match expected {
            "*" => kept.push(part),
            _ if part == expected => {}
            _ => return None,
        }
    }
    let mut kept = kept.into_iter();
    let filled =
        theirs.split('.').map(|part| if part == "*" { kept.next().unwrap_or(part) } else { part });
    Some(filled.chain(parts).collect::<Vec<_>>().join("."))
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
            assert_eq!(HUGGING_FACE.rename(ours), theirs);
        }
    }

    #[test]
    fn a_row_replaces_whole_parts_at_the_beginning_of_a_path() {
        const TABLE: NameTable = NameTable::new(&[("a.*.b", "x.*"), ("a", "y")]);
        for (ours, theirs) in
            [("a.7.b.c", "x.7.c"), ("a.7.bb", "y.7.bb"), ("aa.b", "aa.b"), ("c.a", "c.a")]
        {
            assert_eq!(TABLE.rename(ours), theirs);
        }
    }
}
