"""Put trained networks among the course's data: `python -m data.recipe.publish runs/*`.

Copies each run's snapshots and log to data/weights/ and writes data/SHA256SUMS, the list that
every reading is checked against. Without arguments it only writes the list.
"""

import argparse
import hashlib
import shutil
from pathlib import Path

from lecture_utils.store import DATA

PUBLISHED = ("miniatures", "weights", "kept")


def write_sums() -> None:
    """List every published file below data/ with its sha256."""
    files = [path for part in PUBLISHED for path in (DATA / part).rglob("*.*")]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(DATA).as_posix()}\n"
        for path in sorted(files)
        if path.is_file() and not path.name.startswith(".")
    ]
    (DATA / "SHA256SUMS").write_text("".join(lines), encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="*", help="folders written by train.py")
    for run in parser.parse_args().runs:
        if not (run / "log.csv").exists():
            raise SystemExit(f"{run} is no finished run: it has no log.csv")
        target = DATA / "weights" / run.name
        target.mkdir(parents=True, exist_ok=True)
        for path in target.glob("epoch_*.safetensors"):
            path.unlink()
        for path in [*run.glob("epoch_*.safetensors"), run / "log.csv"]:
            shutil.copyfile(path, target / path.name)
    write_sums()


if __name__ == "__main__":
    main()
