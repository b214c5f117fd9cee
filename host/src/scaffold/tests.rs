use super::*;
use crate::deployment;

const LANGUAGES: [Language; 5] =
    [Language::Rust, Language::RustComponent, Language::JavaScript, Language::Python, Language::C];

fn scaffold(name: &str, language: Language, fallible: bool) -> Scaffold {
    let topics = |end: &str| vec![format!("{name}-{end}"), format!("{name}-{end}-more")];
    Scaffold { name: name.to_owned(), language, fallible, from: topics("in"), to: topics("out") }
}

#[test]
fn every_language_and_world_makes_a_handler_with_cases_and_a_readme() {
    for (language, fallible) in LANGUAGES.iter().flat_map(|l| [(*l, false), (*l, true)]) {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = dir.path().join("greet");
        scaffold("greet", language, fallible).write(&folder).unwrap();
        let handler = deployment::load(&folder).unwrap();
        assert_eq!(handler.name, "greet");
        assert_eq!(
            handler.from.iter().map(|t| &**t).collect::<Vec<_>>(),
            ["greet-in", "greet-in-more"]
        );
        assert_eq!(handler.to.len(), 2);
        for file in [".gitignore", "README.md", "sample.json", CONTRACT_FILE, "wit/world.wit"] {
            assert!(folder.join(file).is_file(), "{language:?} has no {file}");
        }
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.lines().count() <= 15 && readme.contains("`greet-in`"), "{readme}");
        let world = fs::read_to_string(folder.join("wit/world.wit")).unwrap();
        assert_eq!(world.contains("fallible-handler"), fallible, "{world}");
        let cases = fs::read_dir(folder.join("cases")).unwrap().flatten().map(|c| c.path());
        let (mut errors, mut outputs) = (0, 0);
        for case in cases {
            assert!(case.join("in.json").is_file(), "{case:?}");
            errors += usize::from(case.join("error.json").is_file());
            outputs += usize::from(case.join("out.json").is_file());
        }
        assert!(outputs > 0, "{language:?}");
        assert_eq!(errors > 0, fallible, "{language:?}");
    }
}

#[test]
fn no_place_for_a_name_is_left_and_no_name_is_taken_for_one() {
    for (language, fallible) in LANGUAGES.iter().flat_map(|l| [(*l, false), (*l, true)]) {
        for (path, text) in scaffold("fn", language, fallible).files() {
            assert!(!text.contains("my-handler") && !text.contains("my_crate"), "{path:?}: {text}");
            assert!(!path.to_string_lossy().ends_with(TEMPLATE_SUFFIX), "{path:?}");
        }
    }
    let tricky = scaffold("my-handler-in", Language::Rust, false);
    let text = tricky.with_names("[\"my-handler-in\"] my-handler my_crate my-handlers");
    assert_eq!(
        text,
        "[\"my-handler-in-in\", \"my-handler-in-in-more\"] my-handler-in my_handler_in \
         my-handler-ins"
    );
}

#[test]
fn rust_gets_a_name_that_it_takes() {
    for (name, expected) in
        [("weather", "weather"), ("2fa", "handler-2fa"), ("fn", "handler-fn"), ("a-1", "a-1")]
    {
        assert_eq!(crate_name(name), expected);
    }
}

#[test]
fn a_name_that_is_none_is_refused_with_one_that_is() {
    assert_eq!(check_name("weather-2"), Ok(()));
    for (name, hint) in [
        ("Weather", "try \"weather\""),
        ("my handler", "try \"my-handler\""),
        ("my_handler", "try \"my-handler\""),
        ("-x-", "try \"x\""),
        ("é", "is not a handler name"),
        ("", "is not a handler name"),
    ] {
        let problem = check_name(name).unwrap_err();
        assert!(problem.contains(hint), "{problem}");
    }
}

#[test]
fn what_is_there_is_not_overwritten() {
    let dir = tempfile::TempDir::new().unwrap();
    let made = scaffold("greet", Language::Rust, false);
    made.write(dir.path()).unwrap();
    let problem = made.write(dir.path()).unwrap_err().to_string();
    assert!(problem.contains("is not empty"), "{problem}");
    let file = dir.path().join("README.md");
    let problem = made.write(&file).unwrap_err().to_string();
    assert!(problem.contains("is no folder"), "{problem}");
}
