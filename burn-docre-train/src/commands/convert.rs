//! `docre convert`: writes the documents of another corpus in DocRED's format.

use std::{io, path::Path};

use anyhow::{Context, Result, ensure};
use burn_docre::{
    PairSet,
    data::{
        corpora::Omitted,
        docred::{DocRedReader, DocumentWriter, Labels, Layout},
        document::Document,
        relation::RelationVocab,
    },
    input::is_standard,
};
use serde_json::json;

use super::{
    inputs::fetch,
    output::{has_extension, without_compression, write_text},
    titles::Titles,
};
use crate::{
    cli::{ConvertArgs, ReadingArgs},
    run::files,
    session::Session,
};

/// Writes the documents and, if wanted, the relations of the corpus, and reports their numbers.
pub(super) fn run(session: &Session, args: &ConvertArgs) -> Result<()> {
    check(args)?;
    let args = &fetch(session, args)?;
    let known = match &args.relations {
        Some(path) => {
            Some(RelationVocab::from_rel2id(path, None, args.threshold_class.as_deref())?)
        }
        None => args.from.relations(),
    };
    let ReadingArgs { on_invalid, hacred_view } = args.reading;
    let labels = known.as_ref().map_or(Labels::Collect, Labels::Resolve);
    let mut reader = DocRedReader::open(&args.input, labels)?
        .with_format(args.from)
        .with_hacred_view(hacred_view)
        .with_split(args.split.clone())
        .with_pair_set(PairSet::All)
        .on_invalid(on_invalid);
    let counts = write(session, args, &mut reader, known.as_ref())?;
    let relations = known.as_ref().unwrap_or(reader.relations());
    if let Some(path) = &args.relations_output {
        write_relations(session, path, relations)
            .with_context(|| format!("the documents are written to {}", args.output.display()))?;
    }
    report(session, args, &counts, &reader, relations);
    Ok(())
}

/// Checks the combination of files, and that only a corpus with splits has `--split`.
fn check(args: &ConvertArgs) -> Result<()> {
    let ConvertArgs { from, input, output, relations, relations_output, split, .. } = args;
    ensure!(
        split.is_none() || from.has_splits(),
        "`--split` is for dwie: the records of {from} name no split"
    );
    let inputs: Vec<&Path> = std::iter::once(input).chain(relations).map(AsRef::as_ref).collect();
    let outputs: Vec<&Path> =
        std::iter::once(output).chain(relations_output).map(AsRef::as_ref).collect();
    for (paths, what) in [(&inputs, "input"), (&outputs, "output")] {
        let n_standard = paths.iter().filter(|path| is_standard(path)).count();
        ensure!(n_standard <= 1, "only one {what} can be `-`");
    }
    ensure!(
        relations_output.as_ref() != Some(output),
        "{}: `--output` and `--relations-output` are the same file",
        output.display()
    );
    outputs.iter().try_for_each(|output| {
        files::check_output(output, &inputs)?;
        files::check_directory_of(output)
    })
}

/// The numbers of what is written.
#[derive(Default)]
struct Counts {
    documents: usize,
    entities: usize,
    mentions: usize,
    facts: usize,
    self_relations: usize,
    titles: Titles,
}

impl Counts {
    fn add(&mut self, document: &Document) {
        let Document { title, entities, facts, .. } = document;
        self.documents += 1;
        self.entities += entities.len();
        self.mentions += entities.iter().map(|entity| entity.mentions.len()).sum::<usize>();
        self.facts += facts.len();
        self.self_relations += facts.iter().filter(|fact| fact.pair.head == fact.pair.tail).count();
        self.titles.add(title);
    }
}

/// Writes the documents of `reader`.
fn write(
    session: &Session,
    args: &ConvertArgs,
    reader: &mut DocRedReader,
    known: Option<&RelationVocab>,
) -> Result<Counts> {
    let is_lines = has_extension(without_compression(&args.output), "jsonl");
    let layout = if is_lines { Layout::Lines } else { Layout::Array };
    let mut counts = Counts::default();
    let mut failure = None;
    let mut task = session.ui.task("converting documents", None);
    let written = write_text(session.ui, &args.output, |out| {
        let mut writer = DocumentWriter::new(out, layout);
        loop {
            let document = match next(session, reader) {
                Ok(Some(document)) => document,
                Ok(None) => break,
                Err(error) => {
                    // The error makes `write_text` discard the incomplete file. The error of the
                    // document itself is returned below.
                    let stop = io::Error::other(error.to_string());
                    failure = Some(error);
                    return Err(stop);
                }
            };
            writer.write(&document, known.unwrap_or(reader.relations()))?;
            counts.add(&document);
            task.advance(1);
        }
        if counts.documents == 0 {
            failure = Some(anyhow::anyhow!("{}: there are no documents", args.input.display()));
            return Err(io::Error::other("no documents"));
        }
        writer.finish()
    });
    match failure {
        Some(error) => Err(error),
        None => written.map(|()| counts),
    }
}

fn next(session: &Session, reader: &mut DocRedReader) -> Result<Option<Document>> {
    session.stop.check()?;
    Ok(reader.next().transpose()?)
}

fn write_relations(session: &Session, path: &Path, relations: &RelationVocab) -> Result<()> {
    ensure!(
        relations.n_classes() > 1,
        "{}: not written, because no document has a label",
        path.display()
    );
    write_text(session.ui, path, |out| out.write_all(relations.to_json().as_bytes()))
}

/// Notes the numbers of what is written and of what is not.
fn report(
    session: &Session,
    args: &ConvertArgs,
    counts: &Counts,
    reader: &DocRedReader,
    relations: &RelationVocab,
) {
    let ui = session.ui;
    let &Counts { documents, entities, mentions, facts, self_relations, .. } = counts;
    let n_relations = relations.n_classes() - 1;
    let omitted: &Omitted = reader.omitted();
    ui.line(
        &format!(
            "{}: {documents} documents, {entities} entities, {mentions} mentions, {facts} facts, \
             {n_relations} relations",
            args.output.display()
        ),
        || {
            json!({ "event": "converted", "output": args.output, "documents": documents,
                    "entities": entities, "mentions": mentions, "facts": facts,
                    "relations": n_relations, "self_relations": self_relations,
                    "omitted": omitted, "skipped_mentions": reader.skipped().n_mentions,
                    "skipped_documents": reader.skipped().n_documents })
        },
    );
    for (what, number) in omitted {
        ui.note(&format!("left out: {number} {what}"));
    }
    ui.note_skipped(&args.input, reader.skipped());
    if reader.n_unlabelled() > 0 {
        ui.note(&format!("{} documents have no labels", reader.n_unlabelled()));
    }
    if self_relations > 0 {
        ui.note(&format!(
            "{self_relations} facts relate an entity to itself; runs need `data.self_relations`, \
             and `docre evaluate` needs `--self-relations`"
        ));
    }
    if let Some(note) = counts.titles.note() {
        ui.note(&format!("{}: {note}", args.output.display()));
    }
}
