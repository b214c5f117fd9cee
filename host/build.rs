//! Has the crate compiled again when a template is added: the macro that embeds them looks only
//! at those that were there.

#[expect(clippy::print_stdout, reason = "how a build script talks to cargo")]
fn main() {
    println!("cargo::rerun-if-changed=templates");
    println!("cargo::rerun-if-changed=build.rs");
}
