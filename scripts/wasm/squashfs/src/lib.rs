//! The crate backhand as a WebAssembly module that tells where in a squashfs image the bytes of its files
//! are. The host reads the image and unpacks its metadata. See src/formats/rootfs/squashfs/module.ts.
//!
//! One instance is for one image, in one thread. What is wrong with the image is an error of `open`, or a trap.

mod host;

use backhand::v4::filesystem::node::InnerNode;
use backhand::{BackhandError, DataSize, FilesystemReader, SquashfsFileReader, kind::Kind};
use std::cell::{OnceCell, UnsafeCell};
use std::ffi::OsStr;
use std::os::wasi::ffi::OsStrExt;
use std::path::Path;

const MAX_PATH: usize = 4096;
/// In a size field: the block is stored as it is. The size has the bits below.
const AS_IS: u32 = 1 << 24;

/// What `find` and `fragment` tell, as module.ts reads it. All of it fits into a double.
#[repr(C)]
struct Answer {
    size: f64,
    /// Of the first block, in the image.
    start: f64,
    blocks: f64,
    fragment: f64,
    fragment_offset: f64,
    /// For `block`.
    node: f64,
}

struct Shared<T>(UnsafeCell<T>);
// There are no threads in here.
unsafe impl<T> Sync for Shared<T> {}

static PATH: Shared<[u8; MAX_PATH]> = Shared(UnsafeCell::new([0; MAX_PATH]));
static LENGTH: Shared<usize> = Shared(UnsafeCell::new(0));
static ANSWER: Shared<Answer> = Shared(UnsafeCell::new(Answer {
    size: 0.0,
    start: 0.0,
    blocks: 0.0,
    fragment: 0.0,
    fragment_offset: 0.0,
    node: 0.0,
}));
static IMAGE: Shared<OnceCell<FilesystemReader<'static>>> =
    Shared(UnsafeCell::new(OnceCell::new()));

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// To be called first. With it, the linker lets the other exports be called again and again.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    unsafe { __wasm_call_ctors() }
}

fn image() -> &'static FilesystemReader<'static> {
    unsafe { &*IMAGE.0.get() }.get().expect("no image is open")
}

fn answer(answer: Answer) {
    unsafe { *ANSWER.0.get() = answer }
}

/// Where the host puts a path for `find`: `max_path` bytes.
#[unsafe(no_mangle)]
pub extern "C" fn path() -> *mut u8 {
    PATH.0.get().cast()
}

#[unsafe(no_mangle)]
pub extern "C" fn max_path() -> usize {
    MAX_PATH
}

#[unsafe(no_mangle)]
pub extern "C" fn answer_at() -> *const f64 {
    ANSWER.0.get().cast()
}

/// Reads all tables of the image, `length` bytes; 0 if that worked.
#[unsafe(no_mangle)]
pub extern "C" fn open(length: f64) -> i32 {
    match read_tables(length as u64) {
        Ok(reader) => unsafe { &*IMAGE.0.get() }.set(reader).is_err().into(),
        Err(_) => 1, // without their texts, which take a library of their own, errors are all the same
    }
}

fn read_tables(length: u64) -> Result<FilesystemReader<'static>, BackhandError> {
    let kind = Kind::new_v4(&host::Unpacker);
    FilesystemReader::from_reader_with_offset_and_kind(host::image(length), 0, kind)
}

/// What is at the absolute path of `length` bytes: 0 nothing, 1 a regular file (then there is an answer),
/// 2 a folder, 3 something else.
#[unsafe(no_mangle)]
pub extern "C" fn find(length: usize) -> i32 {
    let bytes = unsafe { &(&*PATH.0.get())[..length] };
    let path = Path::new(OsStr::from_bytes(bytes));
    let nodes = &image().root.nodes;
    let Ok(node) = nodes.binary_search_by(|node| node.fullpath.as_path().cmp(path)) else {
        return 0;
    };
    describe(node)
}

/// As `find`, of the node of a number; its path comes to `path`, and `length` has its bytes. -1 behind the last.
#[unsafe(no_mangle)]
pub extern "C" fn node(index: usize) -> i32 {
    let Some(node) = image().root.nodes.get(index) else {
        return -1;
    };
    let bytes = node.fullpath.as_os_str().as_bytes();
    let length = bytes.len().min(MAX_PATH);
    unsafe {
        (&mut *PATH.0.get())[..length].copy_from_slice(&bytes[..length]);
        *LENGTH.0.get() = length;
    }
    describe(index)
}

/// Bytes of the path that `node` has told.
#[unsafe(no_mangle)]
pub extern "C" fn length() -> usize {
    unsafe { *LENGTH.0.get() }
}

fn describe(node: usize) -> i32 {
    match &image().root.nodes[node].inner {
        InnerNode::File(file) => {
            // Not file_len() and frag_index(): those are of 32 bits here.
            let (size, fragment) = match file {
                SquashfsFileReader::Basic(file) => (file.file_size.into(), file.frag_index),
                SquashfsFileReader::Extended(file) => (file.file_size, file.frag_index),
            };
            answer(Answer {
                size: size as f64,
                start: file.blocks_start() as f64,
                blocks: file.block_sizes().len() as f64,
                fragment: fragment.into(),
                fragment_offset: file.block_offset().into(),
                node: node as f64,
            });
            1
        }
        InnerNode::Dir(_) => 2,
        _ => 3,
    }
}

/// The size field of a block of the file that `find` has numbered.
#[unsafe(no_mangle)]
pub extern "C" fn block(node: usize, block: usize) -> u32 {
    match &image().root.nodes[node].inner {
        InnerNode::File(file) => size_field(&file.block_sizes()[block]),
        _ => unreachable!(),
    }
}

/// The size field of a fragment block, 0 if there is none; the answer's `start` tells where it is.
#[unsafe(no_mangle)]
pub extern "C" fn fragment(index: usize) -> u32 {
    let Some(fragment) = image()
        .fragments
        .as_ref()
        .and_then(|table| table.get(index))
    else {
        return 0;
    };
    unsafe { (*ANSWER.0.get()).start = fragment.start as f64 };
    size_field(&fragment.size)
}

fn size_field(size: &DataSize) -> u32 {
    size.size() | if size.uncompressed() { AS_IS } else { 0 }
}
