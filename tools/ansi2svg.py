#!/usr/bin/env python3
"""A terminal screen as SVG: `tmux capture-pane -e -p | tools/ansi2svg.py > screen.svg`."""

import html
import re
import sys

CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 12
BACKGROUND, FOREGROUND = "#16181d", "#d7dae0"
COLOURS = ["#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf"]


def colour(codes, default):
    """Reads the colour after the SGR code 38 or 48; returns it and the remaining codes."""
    if codes[:1] == ["2"]:
        return "#{:02x}{:02x}{:02x}".format(*map(int, codes[1:4])), codes[4:]
    if codes[:1] == ["5"]:
        return (COLOURS[int(codes[1]) % 8] if int(codes[1]) < 16 else default), codes[2:]
    return default, codes


def apply(codes, style):
    """Applies one SGR sequence; returns the new style."""
    codes = codes or ["0"]
    while codes:
        code, codes = codes[0] or "0", codes[1:]
        number = int(code)
        if number == 0:
            style = {"fg": FOREGROUND, "bg": None, "bold": False}
        elif number == 1:
            style = {**style, "bold": True}
        elif number == 7:
            style = {**style, "fg": style["bg"] or BACKGROUND, "bg": style["fg"]}
        elif 30 <= number <= 37 or 90 <= number <= 97:
            style = {**style, "fg": COLOURS[number % 10]}
        elif 40 <= number <= 47:
            style = {**style, "bg": COLOURS[number % 10]}
        elif number == 38:
            value, codes = colour(codes, FOREGROUND)
            style = {**style, "fg": value}
        elif number == 48:
            value, codes = colour(codes, None)
            style = {**style, "bg": value}
        elif number == 39:
            style = {**style, "fg": FOREGROUND}
        elif number == 49:
            style = {**style, "bg": None}
    return style


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style = apply(["0"], {})
    shapes, columns = [], 0
    for row, line in enumerate(lines):
        column = 0
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if part.startswith("\x1b["):
                style = apply(part[2:-1].split(";"), style)
                continue
            part = re.sub(r"\x1b\(.|\x0e|\x0f", "", part)
            if not part:
                continue
            x, y = MARGIN + column * CELL_WIDTH, MARGIN + row * CELL_HEIGHT
            width = len(part) * CELL_WIDTH
            if style["bg"]:
                shapes.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{CELL_HEIGHT}" fill="{style["bg"]}"/>')
            if part.strip():
                weight = ' font-weight="bold"' if style["bold"] else ""
                shapes.append(f'<text x="{x:.1f}" y="{y + 13}" textLength="{width:.1f}" fill="{style["fg"]}"{weight}>'
                              f"{html.escape(part)}</text>")
            column += len(part)
        columns = max(columns, column)
    width, height = 2 * MARGIN + columns * CELL_WIDTH, 2 * MARGIN + len(lines) * CELL_HEIGHT
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" xml:space="preserve" '
          f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" role="img">')
    print(f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>')
    print("\n".join(shapes) + "\n</svg>")


if __name__ == "__main__":
    main()
