//! What a handler needs of Python: a virtual environment with what its `requirements.txt` names.

use std::fs;
use std::path::Path;

use super::{BuildError, Step};

const REQUIREMENTS: &str = "requirements.txt";
const ENVIRONMENT: &str = ".venv";
/// A copy of the requirements that are installed.
const INSTALLED: &str = ".venv/installed-requirements.txt";

/// Whether a file of requirements in the folder names this package.
pub(super) fn requires(folder: &Path, package: &str) -> bool {
    [REQUIREMENTS, "pyproject.toml"]
        .iter()
        .any(|file| fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains(package)))
}

/// Makes `.venv` when it is missing, and installs the requirements when they changed.
pub(super) fn prepare(step: &Step<'_>) -> Result<(), BuildError> {
    let Ok(requirements) = fs::read(step.folder.join(REQUIREMENTS)) else { return Ok(()) };
    let installed = step.folder.join(INSTALLED);
    if fs::read(&installed).is_ok_and(|installed| installed == requirements) {
        return Ok(());
    }
    if !step.has(".venv/bin/python") {
        let python = ["python3", "python"].into_iter().find(|name| which::which(name).is_ok());
        let Some(python) = python else {
            return Err(BuildError::Tool(format!(
                "python3 was not found, which installs what {REQUIREMENTS} names; install Python \
                 3.10 or newer, for example with `apt-get install python3 python3-venv`"
            )));
        };
        (step.say)("making a virtual environment of Python in .venv");
        step.run(&format!("{python} -m venv {ENVIRONMENT}"))?;
    }
    (step.say)("installing Python packages into .venv");
    step.run(&format!(
        ".venv/bin/python -m pip install --disable-pip-version-check --requirement {REQUIREMENTS}"
    ))?;
    fs::write(&installed, requirements).map_err(|source| BuildError::NotRun {
        command: format!("write {INSTALLED}"),
        folder: step.folder.to_owned(),
        source,
    })
}
