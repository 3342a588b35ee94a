"""Zips as various programs leave them. usage: zips.py FILE FOLDER; judged by `unzip -t` and zipfile in the test."""
import io, os, struct, sys, zipfile, zlib

source, folder = sys.argv[1:]
name = os.path.basename(source)
data = open(source, "rb").read()


class Pipe(io.RawIOBase):
    """A target that cannot seek: sizes go into data descriptors."""

    def __init__(self, path):
        self.file = open(path, "wb")

    def writable(self):
        return True

    def write(self, piece):
        return self.file.write(piece)


def path(kind):
    return os.path.join(folder, kind + ".zip")


def make(kind, target=None, method=zipfile.ZIP_STORED, comment=b"", prefix=b"", wide=False, more=()):
    if prefix:
        with open(path(kind), "wb") as file:
            file.write(prefix)
    with zipfile.ZipFile(target or path(kind), "a" if prefix else "w", method) as archive:
        for other, contents in more:
            archive.writestr(other, contents)
        info = zipfile.ZipInfo(name)
        info.compress_type = method
        with archive.open(info, "w", force_zip64=wide) as entry:
            entry.write(data)
        archive.comment = comment


deflated = zipfile.ZIP_DEFLATED
make("stored-pipe", Pipe(path("stored-pipe")))
make("deflated-pipe", Pipe(path("deflated-pipe")), deflated)
make("wide", wide=True)
make("wide-pipe", Pipe(path("wide-pipe")), wide=True)
make("long-comment", comment=b"c" * 65535)
signatures = b"PK\x05\x06" + b"PK\x01\x02" + b"PK\x03\x04" + b"PK\x07\x08"
make("signs-in-comment", comment=signatures * 30)
make("prefix-counted", prefix=b"#!/bin/sh\n" * 100)
make("folder", more=[("a/", b"")])
make("two", more=[("a/", b""), ("a/b", b"b"), ("c", b"")])
make("bzip2", method=zipfile.ZIP_BZIP2)
make("lzma", method=zipfile.ZIP_LZMA)
with zipfile.ZipFile(path("nothing"), "w"):
    pass
with zipfile.ZipFile(path("empty-file"), "w") as archive:
    archive.writestr(name, b"")
with zipfile.ZipFile(path("folders"), "w") as archive:
    archive.writestr("a/", b"")
with zipfile.ZipFile(path("link"), "w") as archive:
    info = zipfile.ZipInfo("to")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    archive.writestr(info, name)
    archive.write(source, name)

# A whole other zip in the comment.
make("zip-in-comment", comment=open(path("empty-file"), "rb").read())


def put(kind, contents):
    open(path(kind), "wb").write(contents)


plain = zipfile.ZipFile(io.BytesIO(), "w")
plain.writestr(name, data)
buffer = plain.fp
plain.close()
plain = buffer.getvalue()
put("plain", plain)
put("prefix", b"#!/bin/sh\n" * 100 + plain)
# The data of a stored zip contain whole zips.
put("inner", plain)
with zipfile.ZipFile(path("zip-in-zip"), "w") as archive:
    archive.write(path("inner"), name)


def changed(kind, at, new):
    put(kind, plain[:at] + new + plain[at + len(new):])


central = plain.rindex(b"PK\x01\x02")
end = plain.rindex(b"PK\x05\x06")
header = 30 + len(name)
changed("bad-crc", central + 16, b"\0\0\0\0")
changed("bad-data", header + len(data) // 2, bytes([data[len(data) // 2] ^ 1]))
changed("bad-size", central + 24, struct.pack("<I", len(data) - 1))
changed("bad-name", central + 46, b"X")
changed("bad-offset", central + 42, struct.pack("<I", 1))
changed("bad-count", end + 10, struct.pack("<H", 2))
changed("bad-local", 0, b"PK\x03\x05")
changed("encrypted", central + 8, struct.pack("<H", 1))
changed("method-9", central + 10, struct.pack("<H", 9))
put("tail", plain + b"\0\0garbage PK")
put("cut", plain[:-1])
put("cut-front", plain[7:])
# A deflate stream that ends early, and one followed by more bytes, both within the size in the directory.
for kind, stream in (
    ("deflate-behind", zlib.compress(data)[2:-4] + b"x"),
    ("deflate-cut", zlib.compress(data)[2:-104]),
    ("deflate-good", zlib.compress(data)[2:-4]),
):
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, zlib.crc32(data), len(stream), len(data), len(name), 0)
    local = b"PK\x03\x04" + fields + name.encode()
    directory = b"PK\x01\x02" + struct.pack("<H", 20) + fields + bytes(14) + name.encode()
    tail = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(local) + len(stream), 0)
    put(kind, local + stream + directory + b"PK\x05\x06" + tail)
