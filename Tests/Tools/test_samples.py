"""The sample tenants: their compressed siblings are current, and their pages stand on their own."""
import gzip
import re
from pathlib import Path

import brotli
import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = [ROOT / "conf.d/site", ROOT / "conf.d/app"]
DECODERS = {".gz": gzip.decompress, ".br": brotli.decompress}


def files(*suffixes):
    found = [p for folder in SAMPLES for p in sorted(folder.rglob("*")) if p.suffix in suffixes]
    assert found
    return [pytest.param(p, id=str(p.relative_to(ROOT))) for p in found]


@pytest.mark.parametrize("sibling", files(".gz", ".br"))
def test_a_compressed_sibling_holds_what_the_file_holds(sibling):
    """Tools/precompress was run after the last change."""
    assert DECODERS[sibling.suffix](sibling.read_bytes()) == sibling.with_suffix("").read_bytes()


@pytest.mark.parametrize("page", files(".html", ".css", ".js"))
def test_a_page_loads_nothing_from_elsewhere(page):
    text = page.read_text()
    loaded = re.findall(r"""(?:src=|<link[^>]*href=|url\(|import\s|fetch\()["']?([^"')>\s]+)""", text)
    assert [u for u in loaded if re.match(r"(https?:)?//", u)] == []


@pytest.mark.parametrize("page", files(".html"))
def test_what_a_page_links_to_is_there(page):
    site = next(folder for folder in SAMPLES if folder in page.parents)
    for link in re.findall(r'(?:src|href)="([^":#?]+)"', page.read_text()):
        target = site / link[1:] if link.startswith("/") else page.parent / link
        own_route = site.name == "app" and not link.startswith("/assets/")
        assert own_route or target.exists(), link
