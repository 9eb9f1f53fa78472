//! The programs that tests run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The server under test: of the same profile as the test, built once, or the one that `E2E_TAPELOG` names.
///
/// # Panics
/// When it does not compile.
pub fn tapelog() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("E2E_TAPELOG").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    let folder = test.ancestors().nth(2).and_then(Path::file_name).and_then(|name| name.to_str());
    let profile = match folder.expect("cargo puts tests into a folder named for the profile, and there into `deps`") {
        "debug" => "dev",
        other => other,
    };
    // The whole workspace, so that dependencies have the features with which the tests were built just before.
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo says of the package under test: build scripts that look at it would run again, with all that follows.
    for name in env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        cargo.env_remove(name);
    }
    let output = cargo
        .args(["build", "--workspace", "--bin", "tapelog", "--locked", "--message-format", "json-render-diagnostics"])
        .args(["--profile", profile])
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs, since it runs the tests");
    assert!(output.status.success(), "the server does not compile");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "tapelog").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.expect("cargo names what it has built")
}

/// The root of the repository.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// A nats-server, from `PATH` or from where `setup.sh` puts it.
///
/// # Panics
/// When there is none.
pub fn nats_server() -> PathBuf {
    let on_path = env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/share")));
    on_path
        .chain(data.map(|data| data.join("tapelog/bin")))
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .expect("there is no nats-server: run ./setup.sh")
}

/// Runs ffmpeg or ffprobe in a folder, and gives what it printed.
///
/// # Panics
/// When it is missing, or fails.
pub fn ffmpeg(program: &str, folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let command = Command::new(program)
        .args(["-hide_banner", "-loglevel", "error"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let output = command.unwrap_or_else(|error| panic!("{program} cannot be run ({error}): run ./setup.sh"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", said(&output));
    output.stdout
}

/// What a program that has ended wrote, for a message.
pub fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\nstandard output:\n{out}\nstandard error:\n{err}", output.status)
}
