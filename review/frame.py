"""The frame of a page for reviewers: its style, and that it loads nothing and runs nothing."""

from scoring import markup

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1b1b1b }
h1, h2, h3, h4 { line-height: 1.2 } h2 { border-top: 2px solid #888; padding-top: 1rem; margin-top: 3rem }
table { border-collapse: collapse; margin: .4rem 0 1rem } td, th { text-align: left; vertical-align: top;
  padding: .15rem .7rem .15rem 0; border-bottom: 1px solid #ddd } td table { margin: 0 }
.runs { overflow-x: auto } .runs td { white-space: nowrap }
details { margin: .3rem 0 } summary { cursor: pointer } mark { background: #ffd54a; font-size: .8em }
pre { background: #f6f6f4; padding: .5rem; overflow-x: auto; font-size: 13px; line-height: 1.4 } pre a { color: #999;
  text-decoration: none; display: inline-block; width: 4em; user-select: none }
.note { color: #555 } .review { color: #8a5a00 } .forbidden, .bad { color: #b00020; font-weight: 600 }
.good { color: #1c6b2e }
.here { display: block; background: #fff; border-left: 4px solid; margin: .1rem 0 .1rem 4em; padding: .1rem .6rem;
  white-space: normal; font-family: system-ui, sans-serif } :target { background: #fff3c4 }
@media print { details > * { display: block } }
"""


def page(title: str, *parts: object) -> str:
    """A whole page."""
    return markup.page(title, *parts, style=STYLE)
