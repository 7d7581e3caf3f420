"""The sample programs in a browser: headless Chromium joined to a shell script, a Python and a C program, and a terminal
on a page with a program that uses curses."""

import json
import re
import shutil
import subprocess

import pytest

from rig import tls
from rig.bridge import Bridge
from rig.browser import PATIENCE, Browser
from rig.client import wait_until
from rig.gateway import REPOSITORY
from rig.programs import program
from rig.sessions import ROOT, join

SAMPLES = REPOSITORY / "conf.d"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def samples(start_shared):
    """The repository's own tenants that have programs."""
    gateway = start_shared(start=False, machine=tls.LISTEN)
    folder = gateway.directory / "conf.d"
    gateway.sites = {}
    for name in ("live", "life", "terminal"):
        shutil.copytree(SAMPLES / name, folder / name)
        gateway.sites[f"{name}.conf"] = (SAMPLES / f"{name}.conf").read_text().replace(" session ", f" session {ROOT}")
    subprocess.run([program("cc"), "-O2", "-o", folder / "life/life", folder / "life/life.c"], check=True)
    return gateway.start()


@pytest.fixture
def page(samples, tmp_path):
    def opened(url):
        assert browser.open(f"http://{url.replace('/', f':{samples.port}/', 1)}") == ""
        return browser
    with Browser(tmp_path, tmp_path) as browser:
        yield opened


def test_a_shell_script_counts_and_a_python_program_plays(page, tmp_path):
    """Issue: headless Chromium runs the sample pages against a shell and a Python program."""
    browser = page("live.localhost/")

    def text(place):
        return browser.evaluate(f"document.querySelector('{place}').value")
    first = int(wait_until(lambda: text("#number").isdigit() and text("#number"), PATIENCE, "a number"))
    wait_until(lambda: int(text("#number")) > first, PATIENCE, "a later number")
    wait_until(lambda: "I think of a number" in text("#answer"), PATIENCE, "the program's question")
    for number, pattern in (("0", "More than that"), ("101", "Less than that"), ("x", "That is no number")):
        browser.evaluate(f"""(form => {{ form.number.value = '{number}'; form.requestSubmit(); }})(document.querySelector('#guess'))""")
        wait_until(lambda: re.search(pattern, text("#answer")), PATIENCE, f"the answer to {number}")
    browser.screenshot(tmp_path / "live.png")
    assert browser.complaints() == []


def test_a_python_chat_that_speaks_json(page, samples, tmp_path):
    """Issue: a Python chat program that speaks JSON, one process for two browsers' worth of clients."""
    browser = page("live.localhost/")
    browser.await_text(r"guest \d+ has joined")
    with join(samples, "/chat", host="live.localhost") as other:
        def heard(kind):
            while (message := json.loads(other.recv(timeout=PATIENCE)))["type"] != kind:
                pass
            return message
        browser.await_text(f"{heard('joined')['name']} has joined")
        browser.evaluate("""(form => { form.name.value = 'Ann'; form.text.value = 'Grüße & <b>more</b>'; form.requestSubmit(); })
                            (document.querySelector('#say'))""")
        assert heard("said") == {"type": "said", "name": "Ann", "text": "Grüße & <b>more</b>"}
        browser.await_text("Ann Grüße & <b>more</b>")
        for nonsense in ("no JSON", "[]", '{"text": 7}'):
            other.send(nonsense)
        other.send(json.dumps({"name": "Bob", "text": "fine"}))
        browser.await_text("Bob fine")
    browser.await_text("Bob has left")
    browser.screenshot(tmp_path / "chat.png")
    assert browser.complaints() == []


def test_a_program_in_c_lives_on_a_page(page, tmp_path):
    """Issue: and against a C program, which the Makefile compiles."""
    browser = page("life.localhost/")
    browser.await_text(r"generation [1-9]\d*, \d+ alive")
    browser.screenshot(tmp_path / "life.png")

    def press(word):
        browser.evaluate(f"document.querySelector('[data-word={word}]').click()")
    press("stop")
    browser.await_text(r"alive, stopped")
    press("clear")
    browser.await_text(r"generation 0, 0 alive, stopped")
    place = browser.evaluate("(({left, top, width, height}) => [left, top, width, height])(document.querySelector('canvas').getBoundingClientRect())")
    for column in (10, 11, 12):
        browser.click(place[0] + place[2] * (column + .5) / 48, place[1] + place[3] * 10.5 / 32)
    browser.await_text(r"generation 0, 3 alive, stopped")
    press("step")
    # Three in a row are three in a column a generation later.
    browser.await_text(r"generation 1, 3 alive, stopped")
    assert browser.complaints() == []


@pytest.mark.parametrize("width, height", [(1280, 900), (844, 390), (390, 844)])
@pytest.mark.parametrize("where", ["terminal.localhost/", "live.localhost/", "life.localhost/"])
def test_a_page_fits_into_its_window(page, width, height, where):
    """No page is wider than its window, the terminal's last row can be seen, and what steers the world as well."""
    browser = page(where)
    browser.resize(width, height)
    last = {"terminal.localhost/": ".xterm-screen", "live.localhost/": "h1", "life.localhost/": "footer"}[where]
    wait_until(lambda: browser.evaluate(f"document.querySelector('{last}').getBoundingClientRect().bottom") <= height,
               PATIENCE, f"{last} in the window", .1)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


class Screen:
    """What the terminal on the page shows."""

    def __init__(self, browser):
        self.browser = browser

    def text(self) -> str:
        return self.browser.evaluate("""Array.from({length: terminal.rows}, (_, row) =>
            terminal.buffer.active.getLine(terminal.buffer.active.viewportY + row)?.translateToString(true) ?? "").join("\\n")""")

    def size(self) -> str:
        return self.browser.evaluate("`${terminal.cols} by ${terminal.rows}`")

    def wait_for(self, pattern: str) -> str:
        return wait_until(lambda: re.search(pattern, text := self.text()) and text, PATIENCE, f"{pattern!r} on the screen", .1)


def test_a_curses_program_in_the_terminal_on_a_page(page, tmp_path):
    """Issue: headless Chromium types into the terminal page, which runs a curses program, under a strict policy."""
    browser = page("terminal.localhost/")
    screen = Screen(browser)
    # The size that the program knows is the terminal's own.
    wait_until(lambda: screen.size() in screen.text(), PATIENCE, "a program that knows its size", .1)
    browser.type("Dear all,\nthis was typed in a browser: grüße")
    screen.wait_for(r"(?m)^  1 Dear all,\n  2 this was typed in a browser: grüße$")
    for key in ("ArrowUp", "Home"):
        browser.press(key)
    browser.type("Oh d")
    screen.wait_for(r"1 Oh dDear all,")
    for _ in range(3):
        browser.press("Backspace")
    screen.wait_for(r"1 ODear all,")
    browser.screenshot(tmp_path / "terminal.png")
    before = screen.size()
    browser.resize(700, 500)
    wait_until(lambda: screen.size() != before and screen.size() in screen.text(), PATIENCE, "another size", .1)
    browser.press("d", modifiers=2)
    browser.await_text("exit status 0")
    assert browser.evaluate("!document.querySelector('#again').hidden")
    browser.evaluate("document.querySelector('#again').click()")
    screen.wait_for(r"1 lines · 0 words")
    assert browser.complaints() == []


def process(browser) -> str:
    """The program that the page says it has."""
    return browser.await_text(r"process \d+") and re.search(r"process \d+", browser.text()).group(0)


def test_the_terminal_outlives_its_page(page, tmp_path):
    """docs/sessions.md, `resume=`: a page that is loaded again has the same program and the same screen, and so has one
    that went to another program and back."""
    browser = page("terminal.localhost/#notes")
    screen = Screen(browser)
    screen.wait_for(r"1 lines · 0 words")
    browser.type("written before the page was loaded again")
    screen.wait_for(r"1 written before the page was loaded again")
    before = process(browser)
    browser.reload()
    screen.wait_for(r"1 written before the page was loaded again")
    assert process(browser) == before
    browser.type(", and behind that")
    screen.wait_for(r"1 written before the page was loaded again, and behind that")
    browser.evaluate("location.hash = '#shell'")
    wait_until(lambda: process(browser) != before, PATIENCE, "another program")
    browser.evaluate("location.hash = '#notes'")
    screen.wait_for(r"again, and behind that")
    assert process(browser) == before
    browser.press("d", modifiers=2)
    browser.await_text("exit status 0")
    assert browser.evaluate("sessionStorage.getItem('session notes')") is None
    assert browser.complaints() == []


def test_the_terminal_outlives_its_connection(samples, tmp_path):
    """The same where the connection is lost: the page comes back by itself and goes on where it was."""
    with Browser(tmp_path, tmp_path) as browser, Bridge(samples.address) as bridge:
        assert browser.open(f"http://terminal.localhost:{bridge.port}/#notes") == ""
        screen = Screen(browser)
        screen.wait_for(r"1 lines · 0 words")
        browser.type("before the cut")
        screen.wait_for(r"1 before the cut")
        before = process(browser)
        for number in range(2):
            bridge.cut()
            browser.await_text("connection is lost")
            bridge.mend()
            assert process(browser) == before
            browser.type(f" and after {number}")
            screen.wait_for(rf"1 before the cut.* and after {number}")
        browser.press("d", modifiers=2)
        browser.await_text("exit status 0")


def test_a_shell_for_who_sits_at_the_machine(page, samples, tmp_path):
    """Issue: no shell is among the tenants that are served to others than loopback."""
    browser = page("terminal.localhost/#shell")
    screen = Screen(browser)
    screen.wait_for(r"[$#] ?$|[$#] *\n")
    browser.type("printf 'six times seven is %d\\n' $((6 * 7)); stty size\n")
    rows, columns = browser.evaluate("[terminal.rows, terminal.cols]")
    screen.wait_for(rf"six times seven is 42\n{rows} {columns}\n")
    browser.type("exit 3\n")
    browser.await_text("exit status 3")
    assert re.search(r"/shell/[^}]*allow 127\.0\.0\.0/8 ::1\n", (SAMPLES / "terminal.conf").read_text())
    assert browser.complaints() == []
