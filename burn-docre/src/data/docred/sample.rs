//! A document and its vocabulary for the tests of this folder.

use crate::data::relation::{Relation, RelationVocab};

/// A document of two sentences, two entities and one fact, with a field that is not read.
pub(in crate::data) const ANNA: &str = r#"{"title":"Anna","sents":[["Anna","lives","in","Oslo","."],["She","left","."]],
    "vertexSet":[[{"name":"Anna","type":"PER","sent_id":0,"pos":[0,1]},
                  {"name":"She","type":"PER","sent_id":1,"pos":[0,1]}],
                 [{"name":"Oslo","sent_id":0,"pos":[3,4]}]],
    "labels":[{"r":"P551","h":0,"t":1,"evidence":[0]}],"extra":{"deep":[1,{"x":null}]}}"#;

/// `P551`, the relation of [`ANNA`], and `P27`.
pub(super) fn vocab() -> RelationVocab {
    let relation = |id: &str| Relation { id: id.to_owned(), name: id.to_owned() };
    RelationVocab::new(["Na", "P551", "P27"].map(relation).to_vec()).unwrap()
}
