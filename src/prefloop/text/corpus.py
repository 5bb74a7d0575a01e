"""Text to learn from: documents one at a time from their file, and their tokens in a file of the run's folder."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from prefloop.errors import UserError
from prefloop.files.atomic import make_folder, writing
from prefloop.files.index import Lazy
from prefloop.files.tables import read_rows
from prefloop.text.codec import Codec

TOGETHER = 256
"""Documents that are tokenised at once."""
CHARACTERS = 1 << 20
"""Read at once of a .txt file."""


def texts(path: str) -> Iterator[str]:
    """Documents of a .jsonl (field `text`) or .txt file. Raises: UserError with file and line."""
    num = 0
    for text in _blocks(path) if path.endswith(".txt") else _fields(path):
        num += 1
        yield text
    if not num:
        raise UserError(f"{path}: the file has no documents.")


def _blocks(path: str) -> Iterator[str]:
    """What stands between empty lines."""
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file. Give a .txt or .jsonl file.")
    rest = ""
    with open(path, encoding="utf-8") as file:
        while more := file.read(CHARACTERS):
            *blocks, rest = (rest + more).split("\n\n")
            yield from (block for block in blocks if block.strip())
    if rest.strip():
        yield rest


def _fields(path: str) -> Iterator[str]:
    for line, row in read_rows(path):
        if not isinstance(row.get("text"), str) or not row["text"]:
            raise UserError(
                f"{path}:{line}: a document needs a field `text` that is not empty; found "
                f"{', '.join(row) or 'nothing'}."
            )
        yield row["text"]


def encoded(codec: Codec, texts: list[str]) -> list[list[int]]:
    """Documents as tokens between end-of-text tokens, cut to the context (nothing is lost: the rest starts anew)."""
    end, room = codec.stop_ids[0], codec.context - 1
    pieces = []
    for encoding in codec.tokenizer(texts, add_special_tokens=False)["input_ids"]:
        ids = [*encoding, end]
        pieces += [[end, *ids[i : i + room]] for i in range(0, len(ids), room)]
    return pieces


class Documents(Lazy[list[int]]):
    """Documents in tokens, in a file: in memory are 12 bytes of each."""

    def __init__(self, codec: Codec, texts: Iterable[str], file: Path) -> None:
        """Tokenises all, and writes them."""
        lengths, texts = array("I"), iter(texts)
        make_folder(file.parent)
        with writing(file), file.open("wb") as tokens:
            while few := list(islice(texts, TOGETHER)):
                for piece in encoded(codec, few):
                    tokens.write(np.array(piece, dtype=np.uint32).tobytes())
                    lengths.append(len(piece))
        self.lengths = np.frombuffer(lengths, dtype=np.uint32) if lengths else np.zeros(0, dtype=np.uint32)
        """(n,) tokens in each"""
        self._ends = self.lengths.cumsum(dtype=np.int64)
        self._file = file

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, numbers: Sequence[int] | np.ndarray) -> list[list[int]]:
        """Some documents, in the order asked for."""
        taken = []
        with self._file.open("rb") as file:
            for number in numbers:
                length = int(self.lengths[number])
                file.seek(4 * (int(self._ends[number]) - length))
                taken.append(np.frombuffer(file.read(4 * length), dtype=np.uint32).tolist())
        return taken
