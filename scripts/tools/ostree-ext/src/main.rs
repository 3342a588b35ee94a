//! The command line of ostree-ext, which its crate holds as a function: see Cargo.toml.
fn main() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(ostree_ext_lib::cli::run_from_iter(std::env::args_os()))
}
