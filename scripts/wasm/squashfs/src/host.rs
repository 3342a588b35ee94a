//! What the host does for us. It throws its own errors, through us, to whoever called us.

use backhand::compression::{CompressionAction, Compressor};
use backhand::{BackhandError, BufReadSeek, FilesystemCompressor, SuperBlock};
use std::io::{self, BufReader, Read, Seek, SeekFrom};

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Fills `length` bytes from `offset` of the image.
    fn read_image(to: *mut u8, length: usize, offset: f64);
    /// Unpacks a block of metadata to at most `limit` bytes, and tells how many there are.
    fn unpack_metadata(from: *const u8, length: usize, to: *mut u8, limit: usize) -> usize;
}

/// Metadata blocks are of this many bytes and a header of two: most of them come in one read.
const BUFFER: usize = 8192;

pub fn image(length: u64) -> impl BufReadSeek {
    BufReader::with_capacity(BUFFER, Image { at: 0, length })
}

struct Image {
    at: u64,
    length: u64,
}

impl Read for Image {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let length = left.min(to.len() as u64) as usize;
        unsafe { read_image(to.as_mut_ptr(), length, self.at as f64) };
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Image {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Metadata blocks only: data is unpacked elsewhere.
pub struct Unpacker;

impl CompressionAction for Unpacker {
    type Error = BackhandError;
    type Compressor = Compressor;
    type FilesystemCompressor = FilesystemCompressor;
    type SuperBlock = SuperBlock;

    /// `out` has room for a whole block of metadata.
    fn decompress(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        _: Compressor,
    ) -> Result<(), BackhandError> {
        out.resize(out.capacity(), 0);
        let made =
            unsafe { unpack_metadata(bytes.as_ptr(), bytes.len(), out.as_mut_ptr(), out.len()) };
        out.truncate(made);
        Ok(())
    }

    fn compress(
        &self,
        _: &[u8],
        _: FilesystemCompressor,
        _: u32,
    ) -> Result<Vec<u8>, BackhandError> {
        Err(BackhandError::MissingCompressor)
    }
}
