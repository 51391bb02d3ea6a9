//! A document for the tests.

use crate::data::relation::{Relation, RelationVocab};

pub(super) const ANNA: &str = r#"{"title":"Anna","sents":[["Anna","lives","in","Oslo","."],["She","left","."]],
    "vertexSet":[[{"name":"Anna","type":"PER","sent_id":0,"pos":[0,1]},
                  {"name":"She","type":"PER","sent_id":1,"pos":[0,1]}],
                 [{"name":"Oslo","sent_id":0,"pos":[3,4]}]],
    "labels":[{"r":"P551","h":0,"t":1,"evidence":[0]}],"extra":{"deep":[1,{"x":null}]}}"#;

/// `P551`, which the document has, and `P27`.
pub(super) fn vocab() -> RelationVocab {
    let relation = |id: &str| Relation { id: id.to_owned(), name: id.to_owned() };
    RelationVocab::new(["Na", "P551", "P27"].map(relation).to_vec()).unwrap()
}
