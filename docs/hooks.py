"""The site's files: the repository's own pages, under the paths they have in it, so that their links hold in both."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

PAGES = (
    *("*.md", "docs/*.md", "examples/*.md", "examples/*.ipynb", "recipes/*.md", "recipes/*/*.md"),
    *("benchmarks/*.md", "checkpoints/*/*.md"),
)
PICTURES = ("demo/screenshots/*.png", "checkpoints/*/*.png")


@event_priority(100)  # before the plugin that turns notebooks into pages
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Every page and picture of the repository that the site shows, in place of the folder `docs` alone."""
    root = Path(config.config_file_path).parent
    theirs = [file for file in files if not file.src_uri.endswith((".md", ".py"))]
    found = [path for pattern in (*PAGES, *PICTURES) for path in sorted(root.glob(pattern))]
    names = [path.relative_to(root).as_posix() for path in found]
    ours = [File(name, str(root), config.site_dir, config.use_directory_urls) for name in names]
    return Files([*theirs, *ours])
