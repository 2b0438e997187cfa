"""Puts files into the wheel that the repository has outside the packages; all else is in setup.cfg.

Where a file is wanted that is one of these, the code asks `algoperf.shipped`, which knows both places.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = {
    "algoperf/shipped_files": ("RULES.md", "submissions/README.md", "submissions/template/*.*"),
    "audit/conformance_checks": ("tests/helpers/conformance.py", "tests/helpers/bound_workloads.py"),
}
"""Folder of the wheel -> files of the repository; below the first they keep their paths."""
FLAT = ("audit/conformance_checks",)


class BuildWithShippedFiles(build_py):
    """Copies them once the packages are there; an editable installation finds them where they are."""

    def run(self) -> None:
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for target, source in self._shipped():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))

    def _shipped(self) -> list[tuple[Path, Path]]:
        return [
            (Path(self.build_lib) / folder / (source.name if folder in FLAT else source), source)
            for folder, patterns in SHIPPED.items()
            for pattern in patterns
            for source in sorted(Path().glob(pattern))
        ]


setup(cmdclass={"build_py": BuildWithShippedFiles})
