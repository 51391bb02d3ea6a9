//! Prints the tokens, the mention positions and the entities of an encoded document.
//!
//! ```console
//! $ cargo run --release --example inspect_document -- tokenizer.json documents.json 0
//! ```

// The lint keeps the library from printing; an example prints its results.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::Path;

use burn_docre::data::docred::{DocRedReader, Labels};
use burn_docre::text::encoded::EncodedDocument;
use burn_docre::text::tokenizer::DocumentTokenizer;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tokenizer, documents, index] = arguments.as_slice() else {
        return Err("usage: inspect_document TOKENIZER.json DOCUMENTS.json INDEX".into());
    };
    let tokenizer = DocumentTokenizer::from_file(Path::new(tokenizer))?;
    let document = DocRedReader::open(Path::new(documents), Labels::Ignore)?
        .nth(index.parse()?)
        .ok_or("the index is not below the number of documents in the file")??;
    let encoded = EncodedDocument::encode(&document, &tokenizer)?;

    let pieces: Vec<String> = encoded
        .token_ids
        .iter()
        .map(|&id| tokenizer.token(id).unwrap_or_else(|| format!("<{id}>")))
        .collect();
    println!("title     {}", encoded.title);
    println!("key       {}", encoded.key());
    println!("tokens    {}: {}", pieces.len(), pieces.join(" "));
    println!("token ids {:?}", encoded.token_ids);
    println!("positions {:?}", encoded.mentions);
    println!("entities  {}, ordered pairs {}", encoded.n_entities(), encoded.n_pairs());
    for (entity, positions) in document.entities.iter().zip(&encoded.mentions) {
        let names: Vec<_> = entity.mentions.iter().map(|mention| mention.name.as_str()).collect();
        println!("  {:<5} {positions:?} {names:?}", entity.kind);
    }
    Ok(())
}
