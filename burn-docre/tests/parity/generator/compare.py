"""Compares generated cases with committed ones.

usage: python compare.py GENERATED [COMMITTED]      (COMMITTED: the folder `cases` beside this one)
"""

import sys
from pathlib import Path

from safetensors.torch import load_file


def differences(generated, committed):
    """Describes the largest relative difference of a tensor, by norm, and counts bit-equal tensors."""
    ours, theirs = load_file(generated), load_file(committed)
    if set(ours) != set(theirs):
        return f"other names: {sorted(set(ours) ^ set(theirs))}"
    n_equal = sum(ours[name].equal(theirs[name]) for name in ours)
    worst = max(((ours[name] - theirs[name]).norm() / theirs[name].norm()).item() for name in ours)
    return f"{n_equal} of {len(ours)} tensors equal, the others within {worst:.1e} of their norm"


def main():
    generated = Path(sys.argv[1])
    beside = Path(__file__).resolve().parent.parent / "cases"
    committed = Path(sys.argv[2]) if len(sys.argv) > 2 else beside
    for file in sorted(committed.glob("*/*")):
        name = file.relative_to(committed)
        if not (generated / name).exists():
            print(f"{name}: not generated")
        elif (generated / name).read_bytes() == file.read_bytes():
            print(f"{name}: equal")
        elif file.suffix == ".safetensors":
            print(f"{name}: {differences(generated / name, file)}")
        else:
            print(f"{name}: differs")


if __name__ == "__main__":
    main()
