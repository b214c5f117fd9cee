//! Has the crate compiled again when a template is added: the macro that embeds them looks only
//! at those that were there.

fn main() {
    println!("cargo::rerun-if-changed=templates");
    println!("cargo::rerun-if-changed=build.rs");
}
