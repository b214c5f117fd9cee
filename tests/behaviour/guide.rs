//! The author's guide, `handlers/README.md`, held against what it speaks of: its snippets are in
//! the code that is built and tested, its defaults are the real ones, its links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lockstep::deployment;
use lockstep::handler::Handler;
use lockstep_tests::paths;

/// Where a snippet is from: the comment above its fence.
const SOURCE: &str = "<!-- from ";
/// The languages of fences that must say where they are from.
const CODE: &[&str] = &["rust", "wit", "toml", "json", "js", "javascript", "python", "c"];

fn guide() -> String {
    let file = paths::workspace().join("handlers/README.md");
    fs::read_to_string(&file).expect("the guide can be read")
}

/// A fenced piece of the guide.
#[derive(Debug)]
struct Snippet {
    /// Its line in the guide.
    line: usize,
    language: String,
    source: Option<String>,
    text: String,
}

fn snippets(guide: &str) -> Vec<Snippet> {
    let mut snippets = Vec::new();
    let mut source = None;
    let mut lines = guide.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(from) = line.strip_prefix(SOURCE) {
            source = from.strip_suffix(" -->").map(str::to_owned);
        } else if let Some(language) = line.strip_prefix("```") {
            let text: Vec<_> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            snippets.push(Snippet {
                line: number + 1,
                language: language.to_owned(),
                source: source.take(),
                text: text.join("\n"),
            });
        } else if !line.trim().is_empty() {
            assert!(source.is_none(), "line {number}: a source without a fence below it");
        }
    }
    snippets
}

#[test]
fn every_snippet_is_in_the_file_that_it_names() {
    let snippets = snippets(&guide());
    assert!(snippets.len() > 10, "the guide's fences are found: {}", snippets.len());
    for Snippet { line, language, source, text } in &snippets {
        let Some(source) = source else {
            let is_code = CODE.contains(&language.as_str());
            assert!(!is_code, "line {line}: name the file that this {language} is from");
            continue;
        };
        let file = paths::workspace().join(source);
        let content = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("line {line}: {source} cannot be read: {error}"));
        assert!(
            content.contains(&format!("{text}\n")),
            "line {line}: this is not in {source} any more:\n{text}"
        );
    }
}

/// The rows of the guide's tables whose first cell is a key of this table of a manifest: the key
/// and its default, as TOML.
fn defaults(guide: &str, table: &str) -> Vec<(String, String)> {
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let rows = guide.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(cell);
        Some((cells.next()?, cells.next()?))
    });
    rows.filter(|(key, _)| key.starts_with(&format!("{table}."))).collect()
}

/// A manifest with these lines.
fn manifest(lines: &str) -> Result<Handler, String> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let minimal = "name = \"h\"\ncomponent = \"h.wasm\"\nfrom = [\"in\"]";
    let file = directory.path().join("handler.toml");
    fs::write(&file, format!("{minimal}\n{lines}")).expect("the directory can be written");
    let handler = deployment::load(&file).map_err(|error| error.to_string())?;
    // The folder is another one each time.
    Ok(Handler { component: PathBuf::new(), ..handler })
}

#[test]
fn every_limit_is_listed_with_its_real_default() {
    let guide = guide();
    let bare = format!("{:?}", manifest("").expect("a minimal manifest is sound"));
    for table in ["limits", "batch"] {
        let listed = defaults(&guide, table);
        for (key, default) in &listed {
            let said = manifest(&format!("{key} = {default}"))
                .unwrap_or_else(|error| panic!("the guide says {key} = {default}: {error}"));
            assert_eq!(format!("{said:?}"), bare, "the guide says {key} = {default}");
        }
        let known = manifest(&format!("{table}.zzz = 1")).expect_err("there is no such key");
        let known = known.rsplit_once("the keys here are ").expect("the keys are listed").1;
        let known: BTreeSet<_> = known.split(", ").map(|key| format!("{table}.{key}")).collect();
        let listed: BTreeSet<_> = listed.into_iter().map(|(key, _)| key).collect();
        assert_eq!(listed, known, "the guide lists every key of {table}");
    }
}

#[test]
fn what_the_guide_says_of_policies_is_what_a_manifest_means() {
    let bare = format!("{:?}", manifest("").expect("a minimal manifest is sound"));
    let said = "on_failure = \"dead-letter\"\ninstances = \"reused\"\nworkers = 1\n\
                provenance = true\ndead_letter_topic = \"h.dead-letters\"\n\
                [retry]\nattempts = 5\ninitial = \"100ms\"\nmax = \"30s\"\nmultiplier = 2.0";
    assert_eq!(format!("{:?}", manifest(said).expect("these are keys")), bare);
    for line in ["on_failure = \"stop\"", "instances = \"per-event\"", "provenance = false"] {
        assert!(guide().contains(line), "{line} is in the guide");
        assert!(manifest(line).is_ok_and(|handler| format!("{handler:?}") != bare), "{line}");
    }
}

#[test]
fn every_kind_of_failure_is_in_the_guide() {
    let guide = guide();
    for kind in lockstep::handler::FailureKind::ALL {
        assert!(guide.contains(kind.as_str()), "the guide says nothing of {kind}");
    }
}

#[test]
fn every_link_of_the_guide_leads_somewhere() {
    let guide = guide();
    let anchors: BTreeSet<_> = guide
        .lines()
        .filter_map(|line| {
            line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))
        })
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let folder: &Path = &paths::workspace().join("handlers");
    for (_, rest) in guide.match_indices("](").map(|(at, _)| guide.split_at(at + 2)) {
        let target = rest.split(')').next().unwrap_or_default();
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        if file.is_empty() {
            assert!(anchors.contains(anchor), "there is no section #{anchor}");
        } else if !file.contains("://") {
            assert!(folder.join(file).exists(), "there is no {target}");
        }
    }
}
