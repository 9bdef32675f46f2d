"""Atomic writes, whole under their name or not at all and never in place of an input; and files the package brings."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emofuse.errors import CheckpointError, OutputError

PathOrName = str | os.PathLike[str]

_PACKAGE = Path(__file__).resolve().parent


def bundled_folder() -> Path:
    """The folder of the weights that come with this installation: the wheel's, or a clone's `checkpoints/`."""
    homes = (_PACKAGE / "_checkpoints", _PACKAGE.parent / "checkpoints")
    return next((home for home in homes if home.is_dir()), homes[0])


def bundled(name: str) -> Path:
    """A file of `bundled_folder`. Raises CheckpointError where this installation lacks it."""
    path = bundled_folder() / name
    if not path.is_file():
        raise CheckpointError(f"this installation lacks {name} in {bundled_folder()}: install emofuse again")
    return path


def as_path(path: object, valid: str) -> Path:
    """The path that a caller gave, for `valid`, as in "out.json". Raises OutputError for what is none."""
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise OutputError(f"a path is a string or a Path, as in {valid!r}, not {path!r:.80}")
    return Path(path)


def home_path(path: PathOrName) -> Path:
    """The path with `~` or `~NAME` as that user's home; as it is where nobody is called so."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def write_file(path: PathOrName, content: str | bytes) -> Path:
    """Write bytes, or a text as UTF-8, as a whole. Raises OutputError."""
    data = content if isinstance(content, bytes) else well_formed(content).encode()
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def well_formed(text: str) -> str:
    """The text as Unicode: bytes that Python could not decode as UTF-8 read as it after all, or as U+FFFD.

    They stand in names of files, and in arguments where the locale is C; halves of characters become U+FFFD too.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@contextmanager
def replacing(path: PathOrName) -> Iterator[Path]:
    """A temporary file beside `path`, of the same ending, that takes its place when the block ends without an error.

    A link stays a link, to the new content; a device or a pipe stays one and is written to; a file that is there
    already keeps its mode. Raises OutputError for whatever the file system refuses.
    """
    path = Path(path)
    with _as_output_error(path):
        target = _resolved(path)
        special = target.exists() and not target.is_file()
        temporary = _created(Path(tempfile.gettempdir()) if special else target.parent, target.suffix)
        try:
            yield temporary
            if special:
                with temporary.open("rb") as content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
            else:
                if target.exists():
                    shutil.copymode(target, temporary)
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: PathOrName, keep: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """An empty folder beside `folder` that takes its place when the block ends without an error.

    `keep` says of each entry of an earlier folder, where the new one has none of that name, whether it is carried
    over. Folders above are made. Raises OutputError for whatever the file system refuses.
    """
    folder = Path(folder)
    with _as_output_error(folder):
        target = _resolved(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".emofuse-", dir=target.parent))
        try:
            yield building
            for old in target.iterdir() if target.exists() else ():
                new = building / old.name
                if not new.exists() and keep(old):
                    shutil.copytree(old, new) if old.is_dir() else shutil.copy2(old, new)
            building.chmod(0o755)
            _swap(building, target)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def check_outputs(outputs: Iterable[PathOrName | None], inputs: Iterable[PathOrName | None] = ()) -> None:
    """Refuse, before any work, what could not or must not be written after it. Raises OutputError.

    An output may be neither one of the inputs nor another output, by whatever name or link it is reached; its folder
    must be there and take new files. None stands for what was not asked for or given, "-" for stdout and stdin.
    """
    taken = {_identity(path): "an input" for path in _named(inputs)}
    for path in _named(outputs):
        check_writable(path)
        if (role := taken.get(_identity(path))) is not None:
            raise OutputError(f"cannot write {str(path)!r}: it is also {role}; name another file")
        taken[_identity(path)] = "another output"


def check_output_folder(folder: PathOrName, inputs: Iterable[PathOrName | None] = ()) -> None:
    """Refuse, before any work, a folder that could not be made or written to, or that is one of the inputs."""
    folder = Path(folder)
    if _identity(folder) in {_identity(path) for path in _named(inputs)}:
        raise OutputError(f"cannot write {str(folder)!r}: it is also an input; name another folder")
    with _as_output_error(folder):
        nearest = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
        if not nearest.is_dir():
            raise OutputError(f"cannot write {str(folder)!r}: {str(nearest)!r} is a file; name a folder")
        _created(nearest).unlink()


def check_writable(path: Path) -> None:
    """Raise OutputError where a file of this name could not be written."""
    with _as_output_error(path):
        target = _resolved(path)
        if target.is_dir() or not target.parent.is_dir():
            problem = "it is a folder" if target.is_dir() else f"there is no folder {str(path.parent)!r}"
            raise OutputError(f"cannot write {str(path)!r}: {problem}; name a file in a folder that is there")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"cannot write {str(path)!r}: the file is read-only; make it writable or name another")
        if target.is_file() or not target.exists():
            _created(target.parent, target.suffix).unlink()


def _named(paths: Iterable[PathOrName | None]) -> Iterator[Path]:
    return (Path(path) for path in paths if path is not None and str(path) != "-")


def _identity(path: Path) -> object:
    """What is equal for two names of one file, whether it is there already or not."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return os.path.normcase(_resolved(path))
    return found.st_dev, found.st_ino


def _resolved(path: Path) -> Path:
    """The path that links lead to."""
    try:
        return path.resolve()
    except (RuntimeError, ValueError, OSError) as error:  # links in a circle, a zero byte, a folder that is gone
        raise OutputError(f"cannot write {str(path)!r}: {error}; name another file") from error


def _created(folder: Path, suffix: str = "") -> Path:
    """A new, empty, hidden file, with the mode that any new file gets here."""
    path = folder / f".emofuse-{secrets.token_hex(8)}{suffix if len(suffix) < 32 else ''}"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return path


def _swap(building: Path, folder: Path) -> None:
    """Put one folder in the place of another, which is deleted once the new one stands."""
    retired = building.with_name(f"{building.name}-old")
    if folder.exists():
        folder.rename(retired)
    try:
        building.rename(folder)
    except OSError:
        if retired.exists():
            retired.rename(folder)
        raise
    shutil.rmtree(retired, ignore_errors=True)


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename and Path(error.filename).parent != path.parent else ""
        why = f"{error.strerror or error}{where}"
        raise OutputError(f"cannot write {str(path)!r}: {why}; name another file, in a writable folder") from error
