//! Inputs from the Hugging Face Hub, against a server of the test.

#![cfg(all(unix, feature = "hub"))]

#[allow(dead_code, reason = "the other tests use the rest")]
mod common;
#[path = "common/corpus.rs"]
mod corpus;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use common::{Sandbox, stderr, stdout};
use corpus::{RELATIONS, documents, lay_encoder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NEWER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A run on documents and an encoder of the hub.
const CONFIG: &str = r#"
seed = 7

[data]
train = "hf:datasets/lab/corpus/data/train.json"
dev = "hf:datasets/lab/corpus/data/dev.json"
relations = "rel2id.json"

[encoder]
pretrained = "hf:lab/encoder"

[model]
kind = "atlop"
emb_size = 16
group_size = 8

[loss]
kind = "atl"

[stages.teacher]
epochs = 1
batch_size = 4
encoder_lr = 1e-4
relation_lr = 1e-3
encoder_weight_decay = 0.0
relation_weight_decay = 0.0
"#;
const TRAIN: [&str; 6] = ["train", "run.toml", "--stage", "teacher", "--out", "run"];
const DRY_RUN: [&str; 5] = ["train", "run.toml", "--stage", "teacher", "--dry-run"];

/// A privileged port, which no server of a test has.
const NO_SERVER: &str = "127.0.0.1:1";

/// The pause of a slow server: longer than the five seconds between two lines of progress.
const PAUSE: Duration = Duration::from_millis(5500);

/// A fault of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Large files are cut off in the middle of each answer.
    CutOff,
    /// Large files have the checksum of other files.
    WrongChecksum,
    /// Every answer has the status 503.
    Unavailable,
    /// The server accepts connections and does not answer.
    Silent,
    /// There is a pause of [`PAUSE`] in the middle of large files.
    Slow,
}

/// The content of the server.
struct Content {
    commit: &'static str,
    /// The files by repository and name, as in `lab/encoder/config.json`.
    files: BTreeMap<String, Vec<u8>>,
    fault: Option<Fault>,
    /// The path of each request for a file, and the offset of the first byte that it asks for.
    requests: Vec<(String, usize)>,
    /// The connections that get no answer. They are kept open until the server is dropped.
    held: Vec<TcpStream>,
    is_stopped: bool,
}

/// A small Hugging Face Hub on this machine, until it is dropped.
struct Server {
    address: String,
    content: Arc<Mutex<Content>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server with the encoder `lab/encoder` and the data set `lab/corpus`.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let content = Content {
            commit: COMMIT,
            files: files(),
            fault: None,
            requests: Vec::new(),
            held: Vec::new(),
            is_stopped: false,
        };
        let content = Arc::new(Mutex::new(content));
        let shared = content.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut content = shared.lock().unwrap();
                if content.is_stopped {
                    return;
                }
                // A client that hangs up is no failure of the server.
                let _ = answer(stream.unwrap(), &mut content);
            }
        });
        Self { address, content, thread: Some(thread) }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// The names of the requested files of a repository, each once.
    fn requested(&self, repository: &str) -> Vec<String> {
        let content = self.content();
        let names = content.requests.iter().filter_map(|(path, _)| {
            path.strip_prefix(repository)?.strip_prefix('/').map(str::to_string)
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        names
    }

    /// Runs `docre` with this server as the hub.
    fn docre(&self, sandbox: &Sandbox, arguments: &[&str]) -> Output {
        docre(sandbox, &self.address, arguments).output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        let output = self.docre(sandbox, arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    }

    #[track_caller]
    fn fail(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        let output = self.docre(sandbox, arguments);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.content().is_stopped = true;
        // The thread waits for a connection.
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// `docre ARGUMENTS` with a cache in the sandbox, without a proxy.
fn docre(sandbox: &Sandbox, address: &str, arguments: &[&str]) -> Command {
    let mut command = sandbox.docre(arguments);
    command.env("HF_ENDPOINT", format!("http://{address}"));
    command.env("HF_HOME", sandbox.path("cache"));
    for name in
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"]
    {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
}

/// The files of the server, and others that no command needs.
fn files() -> BTreeMap<String, Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    lay_encoder(directory.path(), "bert");
    let mut files = BTreeMap::new();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        files.insert(format!("lab/encoder/{name}"), fs::read(directory.path().join(name)).unwrap());
    }
    for name in ["README.md", "pytorch_model.bin", "tf_model.h5", "vocab.txt", "onnx/model.onnx"] {
        files.insert(format!("lab/encoder/{name}"), b"not needed".to_vec());
    }
    files.insert("datasets/lab/corpus/data/train.json".into(), documents(6).into());
    files.insert("datasets/lab/corpus/data/dev.json".into(), documents(2).into());
    files
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reports whether the hub keeps a file apart from its repository, under its checksum.
fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

/// Answers one request as the hub does: the description of a repository, a file of it, or the
/// redirection to a large file.
fn answer(mut stream: TcpStream, content: &mut Content) -> std::io::Result<()> {
    // The client asks for the first byte alone to learn the size of a large file.
    let (mut path, mut first, mut asks_size) = (String::new(), 0, false);
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if let Some(rest) = line.strip_prefix("GET /") {
            path = rest.split(' ').next().unwrap().to_string();
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        if name.eq_ignore_ascii_case("range") {
            let begin = value.trim_start_matches("bytes=").split('-').next().unwrap();
            first = begin.parse().unwrap();
            asks_size = value == "bytes=0-0";
        }
        if line.is_empty() {
            break;
        }
    }
    let address = stream.local_addr()?;
    let mut respond = |status: &str, headers: &[String], body: &[u8], length: usize| {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    };
    if content.fault == Some(Fault::Silent) {
        content.held.push(stream);
        return Ok(());
    }
    if content.fault == Some(Fault::Unavailable) {
        return respond("503 Service Unavailable", &[], b"", 0);
    }
    if let Some(rest) = path.strip_prefix("api/") {
        let (repository, revision) = rest.split_once("/revision/").unwrap_or((rest, ""));
        let repository = repository.trim_start_matches("models/").to_string() + "/";
        let names = content.files.keys().filter_map(|key| key.strip_prefix(&repository));
        let siblings: Vec<_> = names.map(|name| json!({ "rfilename": name })).collect();
        if siblings.is_empty() {
            return respond("404 Not Found", &[], b"", 0);
        }
        let commit = if revision.len() == 40 { revision } else { content.commit };
        let body = json!({ "sha": commit, "siblings": siblings }).to_string();
        let headers = ["Content-Type: application/json".to_string()];
        return respond("200 OK", &headers, body.as_bytes(), body.len());
    }
    let (key, commit) = match path.split_once("/resolve/") {
        Some((repository, rest)) => {
            let (commit, name) = rest.split_once('/').unwrap_or_default();
            (format!("{repository}/{name}"), commit)
        }
        None => (path.trim_start_matches("cdn/").to_string(), ""),
    };
    let Some(file) = content.files.get(&key) else {
        return respond("404 Not Found", &[], b"", 0);
    };
    content.requests.push((key.clone(), first));
    let checksum = match content.fault {
        Some(Fault::WrongChecksum) if is_large(&key) => hex(&Sha256::digest(b"another file")),
        _ => hex(&Sha256::digest(file)),
    };
    let commit = format!("X-Repo-Commit: {commit}");
    if is_large(&key) && !path.starts_with("cdn/") {
        let place = format!("Location: http://{address}/cdn/{key}");
        return respond(
            "302 Found",
            &[place, commit, format!("X-Linked-Etag: \"{checksum}\"")],
            b"",
            0,
        );
    }
    let n_bytes = file.len();
    if first >= n_bytes {
        return respond("416 Range Not Satisfiable", &[], b"", 0);
    }
    let range = format!("Content-Range: bytes {first}-{}/{n_bytes}", n_bytes - 1);
    let rest = &file[first..];
    let sent = match content.fault {
        Some(Fault::CutOff) if is_large(&key) => &rest[..rest.len() / 2],
        _ => rest,
    };
    let etag = format!("ETag: \"{}\"", &checksum[..40]);
    let is_slow = content.fault == Some(Fault::Slow) && is_large(&key) && !asks_size;
    let (now, later) = sent.split_at(if is_slow { sent.len() / 2 } else { sent.len() });
    respond("206 Partial Content", &[range, commit, etag], now, rest.len())?;
    if is_slow {
        std::thread::sleep(PAUSE);
    }
    stream.write_all(later)
}

/// A directory with the configuration of a run.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("run.toml", CONFIG);
    sandbox.write("rel2id.json", RELATIONS);
    sandbox
}

#[test]
fn a_run_reads_only_what_it_needs_and_keeps_the_commits_of_its_start() {
    let (server, sandbox) = (Server::start(), sandbox());
    let notes = server.succeed(&sandbox, &TRAIN);
    assert!(notes.contains("hf:lab/encoder/model.safetensors: downloaded"), "{notes}");
    let encoder = ["config.json", "model.safetensors", "tokenizer.json"];
    assert_eq!(server.requested("lab/encoder"), encoder);
    assert_eq!(server.requested("datasets/lab/corpus"), ["data/dev.json", "data/train.json"]);
    let commits = json!({ "hf:datasets/lab/corpus": COMMIT, "hf:lab/encoder": COMMIT });
    let manifest = sandbox.json("run/manifest.json");
    assert_eq!(manifest["hub_commits"], commits);
    let inputs = manifest["input_sha256"].as_object().unwrap();
    let weights = format!("hf:lab/encoder at {COMMIT}: model.safetensors");
    assert!(inputs.contains_key(&weights), "{inputs:?}");
    let config = fs::read_to_string(sandbox.path("run/config.toml")).unwrap();
    assert!(config.contains("pretrained = \"hf:lab/encoder\""), "{config}");

    // The branch moves on. The run stays at its commit, whose files are in the cache.
    {
        let mut content = server.content();
        content.commit = NEWER_COMMIT;
        content.files.insert("lab/encoder/config.json".into(), b"{}".to_vec());
        content.requests.clear();
    }
    let resume = [&TRAIN[..], &["--resume"]].concat();
    let notes = server.succeed(&sandbox, &resume);
    assert!(notes.contains("already finished"), "{notes}");
    assert!(server.content().requests.is_empty());
    let message = server.fail(&sandbox, &DRY_RUN);
    assert!(message.contains(NEWER_COMMIT) && message.contains("config.json"), "{message}");

    let pinned = format!("encoder.pretrained=hf:lab/encoder@{COMMIT}");
    let pinned = [&DRY_RUN[..], &["--set", &pinned]].concat();
    server.succeed(&sandbox, &pinned);
    let output = docre(&sandbox, NO_SERVER, &resume).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be reached"), "{}", stderr(&output));
    let output = docre(&sandbox, NO_SERVER, &pinned).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("HF_HUB_OFFLINE is set; the cached commit"));
}

/// The inputs of [`COMMANDS`] by their name in the sandbox and their address.
const INPUTS: [(&str, &str); 8] = [
    ("model", "hf:lab/model"),
    ("encoder", "hf:lab/encoder@main"),
    ("train.json", "hf:datasets/lab/corpus/data/train.json"),
    ("dev.json", "hf:datasets/lab/corpus/data/dev.json"),
    ("text.txt", "hf:datasets/lab/corpus/text.txt"),
    ("facts.json", "hf:datasets/lab/corpus/facts.json"),
    ("rel2id.json", "hf:datasets/lab/corpus/rel2id.json"),
    ("atlop.safetensors", "hf:lab/checkpoint/atlop.safetensors"),
];

/// Every command that reads documents, relations, predictions or models. `OUT` is its output.
const COMMANDS: [&str; 8] = [
    "predict --model model --input dev.json --all-scores --output OUT.jsonl",
    "predict --model model --text-file text.txt --all-scores --output OUT.jsonl",
    "label --model model --input dev.json --output OUT",
    "evaluate --predictions facts.json --gold dev.json --train train.json --distant train.json \
     --relations rel2id.json",
    "convert --from docred-jsonl --input dev.json --relations rel2id.json --output OUT.json",
    "export --model model --format atlop --output OUT.safetensors",
    "import --weights atlop.safetensors --encoder encoder --relations rel2id.json --output OUT",
    "bench --model model --input dev.json --documents 2 --dump-inputs OUT.json",
];

/// Lays the inputs of [`COMMANDS`] in the sandbox and on the server.
fn lay_inputs(server: &Server, sandbox: &Sandbox) {
    server.succeed(sandbox, &TRAIN);
    fs::rename(sandbox.path("run/teacher/model"), sandbox.path("model")).unwrap();
    lay_encoder(&sandbox.path("encoder"), "bert");
    sandbox.write("train.json", documents(6));
    sandbox.write("dev.json", documents(2));
    sandbox.write("text.txt", "[Anna|PER|1] lives in [Oslo|LOC|2] and [Rome|LOC|3]");
    let fact = json!([{ "title": "document 0", "h_idx": 0, "t_idx": 1, "r": "P551" }]);
    sandbox.write("facts.json", fact.to_string());
    let export = "export --model model --format atlop --output atlop.safetensors";
    sandbox.succeed(&export.split(' ').collect::<Vec<_>>());
    let mut content = server.content();
    let mut serve = |address: &str, path: &str| {
        let file = fs::read(sandbox.path(path)).unwrap();
        content.files.insert(address.trim_start_matches("hf:").into(), file);
    };
    for (path, address) in INPUTS {
        if sandbox.path(path).is_file() {
            serve(address, path);
        }
    }
    for name in ["config.json", "tokenizer.json", "relations.json", "model.safetensors"] {
        serve(&format!("lab/model/{name}"), &format!("model/{name}"));
    }
}

/// The files at `path`, which may be a directory, by name.
fn files_at(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect(),
        false => vec![path.to_path_buf()],
    };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

#[test]
fn every_command_reads_inputs_at_addresses_as_it_reads_local_files() {
    let (server, sandbox) = (Server::start(), sandbox());
    lay_inputs(&server, &sandbox);
    let address = |word: &'static str| {
        INPUTS.iter().find(|(path, _)| *path == word).map_or(word, |&(_, address)| address)
    };
    for command in COMMANDS {
        let local = command.replace("OUT", "out/local");
        fs::create_dir_all(sandbox.path("out")).unwrap();
        let expected = sandbox.succeed(&local.split_whitespace().collect::<Vec<_>>());
        let words: Vec<_> = command.split_whitespace().map(address).collect();
        let words: Vec<_> = words.iter().map(|word| word.replace("OUT", "out/fetched")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let found = server.docre(&sandbox, &words);
        assert!(found.status.success(), "{words:?}: {}", stderr(&found));
        assert_eq!(stdout(&found), stdout(&expected), "{words:?}");
        let output = command.split_whitespace().find(|word| word.starts_with("OUT"));
        if let Some(output) = output {
            let [local, fetched] = ["out/local", "out/fetched"]
                .map(|place| sandbox.path(&output.replace("OUT", place)));
            let rename = |(name, file): (String, Vec<u8>)| (name.replace("local", "fetched"), file);
            let expected: BTreeMap<_, _> = files_at(&local).into_iter().map(rename).collect();
            assert!(!expected.is_empty());
            assert!(files_at(&fetched) == expected, "{words:?}");
        }
        fs::remove_dir_all(sandbox.path("out")).unwrap();
    }
}

#[test]
fn an_address_that_is_no_model_directory_is_refused_before_weights_are_downloaded() {
    let (server, sandbox) = (Server::start(), sandbox());
    let input = ["--input", "hf:datasets/lab/corpus/data/dev.json"];
    for (model, expected) in [
        ("hf:datasets/lab/corpus", "not a whole model; write `hf:ORG/NAME`"),
        ("hf:lab/encoder/config.json", "not a whole model; write `hf:ORG/NAME`"),
        ("hf:lab/encoder", "hf:lab/encoder/relations.json: the repository has no such file"),
    ] {
        let predict = ["predict", "--model", model, "--output", "facts.json"];
        let message = server.fail(&sandbox, &[&predict[..], &input].concat());
        assert!(message.contains(expected), "{model}: {message}");
        assert!(!message.contains("model.safetensors: downloaded"), "{message}");
    }
}

#[test]
fn a_long_download_reports_its_progress() {
    let (server, sandbox) = (Server::start(), sandbox());
    server.content().fault = Some(Fault::Slow);
    let size = server.content().files["lab/encoder/model.safetensors"].len();
    let arguments = [&DRY_RUN[..], &["--log-format", "json"]].concat();
    let lines = server.succeed(&sandbox, &arguments);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let progress = events
        .filter(|event| event["event"] == "progress")
        .find(|event| event["task"] == "hf:lab/encoder/model.safetensors");
    let progress = progress.unwrap_or_else(|| panic!("no progress: {lines}"));
    assert_eq!(progress["total"], size);
    let done = progress["done"].as_u64().unwrap() as usize;
    assert!(done > size / 2 && done <= size, "{progress}");
    assert!(progress["per_second"].as_f64().unwrap() > 0.0, "{progress}");
}

#[test]
fn a_download_that_breaks_off_is_an_error_and_is_continued_the_next_time() {
    let (server, sandbox) = (Server::start(), sandbox());
    server.content().fault = Some(Fault::CutOff);
    let message = server.fail(&sandbox, &DRY_RUN);
    let expected = "hf:lab/encoder/model.safetensors: the download broke off";
    assert!(message.contains(expected), "{message}");
    {
        let mut content = server.content();
        content.fault = None;
        content.requests.clear();
    }
    server.succeed(&sandbox, &DRY_RUN);
    let content = server.content();
    let begins = content.requests.iter().filter(|(path, _)| path.ends_with("safetensors"));
    assert!(begins.map(|(_, first)| *first).max().unwrap() > 0, "{:?}", content.requests);
}

#[test]
fn a_file_with_another_checksum_is_refused_and_not_kept() {
    let (server, sandbox) = (Server::start(), sandbox());
    server.content().fault = Some(Fault::WrongChecksum);
    for _ in 0..2 {
        let message = server.fail(&sandbox, &DRY_RUN);
        for part in ["hf:lab/encoder/model.safetensors: its checksum is", "try again"] {
            assert!(message.contains(part), "{message}");
        }
    }
    server.content().fault = None;
    server.succeed(&sandbox, &DRY_RUN);
    // A copy that is damaged in the cache is downloaded again.
    let snapshot = sandbox.path("cache/hub/models--lab--encoder/snapshots").join(COMMIT);
    let weights = snapshot.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let notes = server.succeed(&sandbox, &DRY_RUN);
    assert!(notes.contains("the copy in the cache is removed"), "{notes}");
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    let (server, sandbox) = (Server::start(), sandbox());
    for (item, expected) in [
        ("encoder.pretrained=hf:lab/no-such-model", "hf:lab/no-such-model: http://127.0.0.1"),
        ("data.dev=hf:datasets/lab/corpus/dev.json", "has no such file at commit 0123456789"),
        ("encoder.pretrained=hf:lab/encoder/x", "not a whole model"),
        ("data.dev=hf:datasets/lab/corpus", "names no file of the repository"),
    ] {
        let message = server.fail(&sandbox, &[&DRY_RUN[..], &["--set", item]].concat());
        assert!(message.contains(expected), "{item}: {message}");
    }
    server.content().files.retain(|name, _| !is_large(name));
    let message = server.fail(&sandbox, &DRY_RUN);
    assert!(message.contains("has neither model.safetensors nor pytorch_model.bin"), "{message}");
}

#[test]
fn a_run_is_resumed_from_the_cache_after_its_repositories_are_gone() {
    let (server, sandbox) = (Server::start(), sandbox());
    server.succeed(&sandbox, &TRAIN);
    server.content().files.clear();
    let notes = server.succeed(&sandbox, &[&TRAIN[..], &["--resume"]].concat());
    for repository in ["hf:lab/encoder", "hf:datasets/lab/corpus"] {
        let line = notes.lines().find(|line| line.contains(repository)).unwrap_or_default();
        assert!(line.contains("HTTP status 404") && line.contains(COMMIT), "{notes}");
    }
    // A new run asks for the newest commit, which the cache does not know.
    let message = server.fail(&sandbox, &DRY_RUN);
    assert!(message.contains("give a token by HF_TOKEN"), "{message}");
}

#[test]
fn without_the_hub_and_without_a_copy_the_reason_is_named() {
    let (server, sandbox) = (Server::start(), sandbox());
    server.content().fault = Some(Fault::Unavailable);
    let message = server.fail(&sandbox, &DRY_RUN);
    assert!(message.contains("cannot be reached (HTTP status 503)"), "{message}");
    server.content().fault = Some(Fault::Silent);
    let silent = docre(&sandbox, &server.address, &DRY_RUN)
        .env("HF_HUB_ETAG_TIMEOUT", "0.2")
        .output()
        .unwrap();
    let message = stderr(&silent);
    assert_eq!(silent.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot be reached (timeout"), "{message}");
    let output = docre(&sandbox, NO_SERVER, &DRY_RUN).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in ["hf:datasets/lab/corpus: not in the cache", "cannot be reached", "give their path"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(message.lines().filter(|line| line.starts_with("error")).count(), 1, "{message}");
}

#[test]
fn shards_are_fetched_by_their_list_and_a_pickle_only_without_safetensors() {
    let (server, sandbox) = (Server::start(), sandbox());
    let whole = "lab/encoder/model.safetensors";
    let weights = server.content().files.remove(whole).unwrap();
    let header_end = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&weights[8..header_end]).unwrap();
    let names = header.as_object().unwrap().keys().filter(|name| *name != "__metadata__");
    let shard = "model-00001-of-00001.safetensors";
    let map: serde_json::Map<_, _> = names.map(|name| (name.clone(), json!(shard))).collect();
    let index = json!({ "weight_map": map }).to_string();
    {
        let mut content = server.content();
        content.files.insert("lab/encoder/model.safetensors.index.json".into(), index.into());
        content.files.insert(format!("lab/encoder/{shard}"), weights);
    }
    server.succeed(&sandbox, &DRY_RUN);
    let expected = ["config.json", shard, "model.safetensors.index.json", "tokenizer.json"];
    assert_eq!(server.requested("lab/encoder"), expected);
    // Without safetensors, the weights are `pytorch_model.bin`, which is no pickle here.
    server.content().files.retain(|name, _| !name.contains("safetensors"));
    fs::remove_dir_all(sandbox.path("cache")).unwrap();
    let message = server.fail(&sandbox, &DRY_RUN);
    assert!(message.contains("pytorch_model.bin"), "{message}");
}
