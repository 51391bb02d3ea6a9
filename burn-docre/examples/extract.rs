//! Prints the relations that a model finds in the first document of a file.
//!
//! ```console
//! $ cargo run --release --example extract -- MODEL_DIRECTORY documents.json
//! ```

// The lint keeps the library from printing; an example prints its results.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::{error::Error, path::Path};

use burn_docre::{
    Device, Extractor,
    data::docred::{Labels, read_documents},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, documents] = arguments.as_slice() else {
        return Err("usage: extract MODEL_DIRECTORY DOCUMENTS.json".into());
    };
    let extractor = Extractor::open(Path::new(model), Device::default())?;
    let documents = read_documents(Path::new(documents), Labels::Ignore)?;
    let document = documents.first().ok_or("the file has no document")?;
    let name = |entity: usize| &document.entities[entity].mentions[0].name;
    for relation in extractor.extract(&documents[..1])?.remove(0) {
        let (head, tail) = (name(relation.head), name(relation.tail));
        println!("{head} | {} | {tail} | {:.2}", relation.name, relation.score);
    }
    Ok(())
}
