"""A file on a web server that is read in parts, as a file on disk is (RFC 9110, section 14)."""

import functools
import http.client
import io
import urllib.request

BLOCK = 1 << 17  # bytes; fewer are not worth a request
SILENCE = 10.0  # seconds without an answer after which a server is given up


class FetchError(Exception):
    """A sentence on why what is published cannot be had."""


class RemoteFile(io.RawIOBase):
    """A file on a web server; only the blocks that are read are fetched, each once.

    With `io.BufferedReader` around it, it is read as any other. A server may know nothing of parts:
    then `gives_parts` is false, and `size` that of the whole file, or 0 where it is not told.
    FetchError where the server breaks off.
    """

    def __init__(self, url: str):
        self.url, self.position = url, 0
        self.size, self.gives_parts = 0, True  # until the first answer tells
        self.block = functools.cache(self._fetch)
        self.block(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = max(0, offset + (0, self.position, self.size)[whence])
        return self.position

    def readinto(self, buffer) -> int:
        """Up to the end of a block; `io.BufferedReader` goes on from there."""
        if self.position >= self.size:
            return 0
        number, start = divmod(self.position, BLOCK)
        piece = self.block(number)[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)

    def _fetch(self, number: int) -> bytes:
        start = number * BLOCK
        headers = {"Range": f"bytes={start}-{start + BLOCK - 1}"}
        request = urllib.request.Request(self.url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=SILENCE) as response:
                given = response.headers["Content-Range"]
                if number == 0 and not given:
                    self.gives_parts = False
                    self.size = int(response.headers["Content-Length"] or 0)
                    return b""
                content = response.read(BLOCK)
        except (OSError, http.client.HTTPException) as error:  # zipfile would misread an OSError
            raise FetchError(f"the connection was lost ({error}); try again") from error
        self.size = self.size or int(given.rpartition("/")[2])
        stop = min(start + BLOCK, self.size)
        if given != f"bytes {start}-{stop - 1}/{self.size}" or len(content) != stop - start:
            raise FetchError(f"the server gave {len(content)} of {stop - start} bytes; try again")
        return content
