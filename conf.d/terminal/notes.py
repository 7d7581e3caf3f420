#!/usr/bin/env python3
"""A page to write on, drawn with curses: it knows a terminal, and nothing of the web."""

import curses
import os

os.environ.setdefault("ESCDELAY", "25")


def draw(screen, lines, row, column):
    height, width = screen.getmaxyx()
    screen.erase()
    screen.addnstr(0, 0, " notes ".ljust(width), width, curses.color_pair(1))
    body = max(1, height - 2)
    top = max(0, row - body + 1)
    # A line that is wider than the screen goes to the left as far as the place of the cursor asks for.
    left = max(0, column - max(1, width - 6))
    for place, text in enumerate(lines[top:top + body]):
        screen.addnstr(place + 1, 4, text[left:], max(0, width - 5))
        screen.addnstr(place + 1, 0, f"{top + place + 1:3}", 3, curses.color_pair(2))
    words = sum(len(text.split()) for text in lines)
    status = next((text for text in (
        f" {width} by {height} · {len(lines)} lines · {words} words · Ctrl-D ends ",
        f" {len(lines)} lines · {words} words · Ctrl-D ends ", " Ctrl-D ends ") if len(text) <= width), "")
    # The last cell of a screen cannot be written without scrolling it.
    screen.insnstr(height - 1, 0, status.ljust(width), width, curses.color_pair(1))
    screen.move(row - top + 1, min(width - 1, column - left + 4))
    screen.refresh()


def write(screen):
    curses.start_color()
    curses.use_default_colors()
    curses.init_pair(1, curses.COLOR_BLACK, curses.COLOR_YELLOW)
    curses.init_pair(2, curses.COLOR_CYAN, -1)
    lines, row, column = [""], 0, 0
    while True:
        draw(screen, lines, row, column)
        key = screen.get_wch()
        text = lines[row]
        if key in ("\x03", "\x04"):
            return
        if key in ("\n", "\r"):
            lines[row:row + 1] = [text[:column], text[column:]]
            row, column = row + 1, 0
        elif key in (curses.KEY_BACKSPACE, "\x7f", "\b"):
            if column > 0:
                lines[row], column = text[:column - 1] + text[column:], column - 1
            elif row > 0:
                row, column = row - 1, len(lines[row - 1])
                lines[row:row + 2] = [lines[row] + text]
        elif key == curses.KEY_UP:
            row = max(0, row - 1)
        elif key == curses.KEY_DOWN:
            row = min(len(lines) - 1, row + 1)
        elif key == curses.KEY_LEFT:
            column = max(0, column - 1)
        elif key == curses.KEY_RIGHT:
            column += 1
        elif key == curses.KEY_HOME:
            column = 0
        elif key == curses.KEY_END:
            column = len(lines[row])
        elif isinstance(key, str) and key.isprintable():
            lines[row], column = text[:column] + key + text[column:], column + 1
        column = min(column, len(lines[row]))


if __name__ == "__main__":
    try:
        curses.wrapper(write)
    except KeyboardInterrupt:
        pass
