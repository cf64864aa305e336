"""The HTML page around charts and tables: one skeleton and one style sheet for every page that exphil writes.

A page is one file without script or network, for light and dark, wide and narrow screens.
"""

from collections.abc import Iterable, Sequence
from html import escape

NUM_COLOURS = 8
"""Colours ``--c0`` to ``--c7`` tell things apart; ``--c8`` and ``--c9`` are greys."""


def page(title: str, sections: Iterable[str], *, header: str = "", footer: str = "", is_flowing: bool = False) -> str:
    """A whole page.

    Args:
        title: its name, as text.
        sections: HTML from ``section``.
        header: HTML below the title.
        footer: text.
        is_flowing: whether sections flow into columns like a newspaper's instead of standing in a grid.
    """
    name, flow = escape(title), ' class="flow"' if is_flowing else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><header><h1>{name}</h1>{header}</header><main{flow}>{''.join(sections)}</main>\n"
        f"<footer>{escape(footer)}</footer></body></html>\n"
    )


def section(title: str, body: str, caption: str = "", *, is_wide: bool = False) -> str:
    """One sheet of a page: HTML below a title and a caption, which are text."""
    kind = ' class="wide"' if is_wide else ""
    below = f"<p>{escape(caption)}</p>" if caption else ""
    return f"<section{kind}><h2>{escape(title)}</h2>{below}{body}</section>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts that scrolls sideways where it is too wide; no ``heads`` leaves out the first line."""
    first = f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return scrolling(first + body)


def scrolling(rows: str) -> str:
    """A table of HTML rows that scrolls sideways where it is too wide."""
    return f'<div class="scroll"><table>{rows}</table></div>'


_STYLE = """
:root { color-scheme: light dark; --ground: #f6f5f2; --sheet: #fff; --ink: #22242a; --soft: #666a75; --line: #e2e0da;
  --mark: #2f6f8f; --out: #b4573f; --good: #cfe8d6; --bad: #f4d9d0; --c0: #0b6aa8; --c1: #c2540a; --c2: #0f8a5f; --c3: #8e44ad;
  --c4: #b8860b; --c5: #b3204d; --c6: #3b8ea5; --c7: #5d6d1e; --c8: #6b6f7a; --c9: #a3a6ad; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181d; --sheet: #1f2229; --ink: #e8e8ea; --soft: #a2a7b2;
  --line: #333843; --mark: #6fb7d6; --out: #e08d74; --good: #1f4a33; --bad: #57302a; --c0: #5db3ee; --c1: #f2955a; --c2: #4fc99a;
  --c3: #c58be0; --c4: #e3b94a; --c5: #f0789c; --c6: #7fd0e4; --c7: #b3c665; --c8: #a2a7b2; --c9: #70757f; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; padding: clamp(12px, 3vw, 40px);
  max-width: 1240px; margin: auto; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; }
a { color: var(--mark); }
section > p, header > p { color: var(--soft); font-size: .9rem; margin: .2rem 0 .7rem; max-width: 75ch; }
.notes p { border-left: 3px solid var(--c4); padding: .1rem .7rem; margin: .4rem 0; max-width: 80ch; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem 2.2rem; margin: .9rem 0 1.2rem; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: .85rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 14px; margin-top: 14px;
  align-items: start; }
main.flow { display: block; columns: 3 20rem; column-gap: 14px; }
section { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px 16px; min-width: 0; }
.flow section { margin-bottom: 14px; break-inside: avoid; }
.wide { grid-column: 1 / -1; }
.scroll { overflow-x: auto; }
pre { overflow-x: auto; font-size: .85rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .55rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; vertical-align: bottom; white-space: normal; line-height: 1.25; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--sheet); }
td small { color: var(--soft); }
td.reason { min-width: 18rem; white-space: normal; text-align: left; }
.best { font-weight: 700; }
.baseline td { color: var(--soft); }
td.good { background: var(--good); }
td.bad { background: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85rem; margin-bottom: .5rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; margin-right: .35rem;
  vertical-align: -.06rem; }
.bars { display: grid; grid-template-columns: fit-content(45%) 1fr; gap: .28rem .7rem; align-items: center; font-size: .88rem; }
.bars dd { display: flex; align-items: center; gap: .45rem; min-width: 0; padding-right: 4.6rem; position: relative; }
.bars i { flex: none; height: .8rem; min-width: 2px; background: var(--mark); border-radius: 2px; }
.bars span { flex: none; width: 0; white-space: nowrap; color: var(--soft); font-variant-numeric: tabular-nums; }
.out i { background: var(--out); }
svg { display: block; width: 100%; height: auto; max-width: 680px; margin: auto; fill: var(--mark); }
svg line { stroke: var(--line); }
svg text { fill: var(--soft); font-size: 11px; }
svg text.name { fill: var(--ink); font-size: 12px; }
svg polyline { fill: none; stroke-width: 2; }
.discs { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 18px 22px;
  margin-top: .8rem; }
.plots figure { max-width: none; margin: 0; display: flex; flex-direction: column; justify-content: space-between; }
.plots figcaption { text-align: left; overflow-wrap: anywhere; margin-bottom: .4rem; }
.plots svg { margin: 0; }
.plots small { color: var(--soft); }
summary { cursor: pointer; font-weight: 700; }
ol { padding-left: 1.4rem; }
ol li { margin: .35rem 0; max-width: 90ch; }
figure { max-width: 300px; width: 100%; margin: auto; }
figcaption { text-align: center; font-size: .88rem; }
.disc path { stroke: var(--line); }
.disc text.name { font-size: 15px; }
.heat { max-width: 300px; }
.heat circle { fill: none; stroke: var(--line); stroke-width: .3; }
.heat rect { shape-rendering: crispEdges; }
.none, footer { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
footer { margin-top: 1.2rem; }
"""
