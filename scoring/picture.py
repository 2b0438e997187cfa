"""The performance-profile plot as SVG, written line by line: a plotting library takes longer than all of scoring."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

# Pixels: the area of the plot, and what stands around it.
LEFT, TOP, WIDTH, HEIGHT = 62, 40, 520, 320
BELOW = 50
LINE = 20
"""From one name of the legend to the next."""
SAMPLE = 26
"""Length of a line in the legend."""
LETTER = 6.7
"""Width of a letter at 12 pixels, for the room that the legend needs."""
HEADROOM = 1.02
"""Top of the vertical axis: a profile at 1 is no line on the frame."""
COLORS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
DASHES = ("", "6 3", "2 2")
"""Of the first ten lines, the second ten, and so on."""

Line = tuple[str, Sequence[float], Sequence[float]]
"""Name, ratios at which the profile jumps, share of workloads from there on."""


def draw(lines: Sequence[Line], *, title: str, x_name: str, y_name: str, x_max: float) -> str:
    """The SVG of step functions on [1, `x_max`], with a legend on the right; the same input gives the same text."""
    height = max(TOP + HEIGHT + BELOW, TOP + LINE * (len(lines) + 1))
    width = LEFT + WIDTH + 40 + SAMPLE + LETTER * max((len(name) for name, _, _ in lines), default=0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:.0f}" height="{height}" fill="white"/>',
        words(LEFT + WIDTH / 2, TOP - 16, title, 'text-anchor="middle" font-size="15"'),
        *grid(x_max),
        words(LEFT + WIDTH / 2, TOP + HEIGHT + 40, x_name, 'text-anchor="middle"'),
        words(
            0, 0, y_name, f'text-anchor="middle" transform="translate(16 {TOP + HEIGHT / 2:g}) rotate(-90)"'
        ),
    ]
    for number, (name, taus, shares) in enumerate(lines):
        color, dash = COLORS[number % len(COLORS)], DASHES[number // len(COLORS) % len(DASHES)]
        look = f'fill="none" stroke="{color}" stroke-width="1.8"' + (
            f' stroke-dasharray="{dash}"' if dash else ""
        )
        parts.append(f'<path d="{steps(taus, shares, x_max)}" {look}/>')
        x, y = LEFT + WIDTH + 16, TOP + 10 + LINE * number
        parts.append(f'<path d="M{x} {y}h{SAMPLE}" {look}/>')
        parts.append(words(x + SAMPLE + 8, y + 4, name))
    return "\n".join([*parts, "</svg>", ""])


def steps(taus: Sequence[float], shares: Sequence[float], x_max: float) -> str:
    """The path of a right-continuous step function: along to the next jump, then up.

    >>> steps([1.0, 4.0], [0.0, 0.0], 4.0)
    'M62 360H582V360'
    """
    parts = [f"M{across(taus[0], x_max)} {up(shares[0])}"]
    parts += [f"H{across(tau, x_max)}V{up(share)}" for tau, share in zip(taus[1:], shares[1:])]
    return "".join(parts)


def grid(x_max: float) -> list[str]:
    """Lines and numbers of both axes, and the frame."""
    spacing = next(one for one in (0.5, 1, 2, 5, 10, 20, 50, 100, (x_max - 1) / 6) if (x_max - 1) / one <= 6)
    ratios = [1 + number * spacing for number in range(int((x_max - 1) / spacing + 1e-9) + 1)]
    parts = []
    for ratio in ratios:
        x = across(ratio, x_max)
        parts.append(f'<path d="M{x} {TOP}V{TOP + HEIGHT}" stroke="#ddd"/>')
        parts.append(words(float(x), TOP + HEIGHT + 18, f"{ratio:g}", 'text-anchor="middle"'))
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        y = up(share)
        parts.append(f'<path d="M{LEFT} {y}h{WIDTH}" stroke="#ddd"/>')
        parts.append(words(LEFT - 8, float(y) + 4, f"{share:g}", 'text-anchor="end"'))
    frame = f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="black"/>'
    return [*parts, frame]


def across(ratio: float, x_max: float) -> str:
    """Pixels from the left."""
    return f"{LEFT + WIDTH * (ratio - 1) / (x_max - 1):.6g}"


def up(share: float) -> str:
    """Pixels from the top."""
    return f"{TOP + HEIGHT * (1 - share / HEADROOM):.6g}"


def words(x: float, y: float, text: str, look: str = "") -> str:
    """Text that starts at (`x`, `y`), or is placed as `look` says."""
    return f'<text x="{x:g}" y="{y:g}"{" " + look if look else ""}>{escape(text)}</text>'
