"""The folder of a job: its plan, its options and model as they were at its start, its parts."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from emofuse.batch_jobs import plan
from emofuse.batch_jobs.plan import Item
from emofuse.errors import DataError, OutputError
from emofuse.files import check_output_folder, replacing, write_file
from emofuse.media.talk import Count, read_count, read_names
from emofuse.pipeline.conversation.acts import parse_acts
from emofuse.pipeline.prototypes import parse_labels
from emofuse.pipeline.rules import parse_rules
from emofuse.version import __version__

SCHEMA = 1
_PASSING = re.compile(r"\.emofuse-|job-\d+\.part$")
"""Names of what is being written."""
FORMATS = ("csv", "jsonl", "json", "srt", "vtt")
"""What a job may write beside its parts: tables of all (csv, jsonl), or a file a clip (json, srt, vtt)."""


@dataclass(frozen=True)
class JobOptions:
    """What the answers depend on; whoever goes on with a job has the same."""

    model: str = "emofuse-small"
    device: str = "auto"
    precision: str = "auto"
    """Of the encoders; "auto" is settled when the job begins, so that all who work on it have the same."""
    asr: str | None = None
    language: str | None = None
    channels: tuple[str, ...] | None = None
    """Who speaks in each channel of every recording."""
    speakers: Count | None = None
    """How many voices are told apart in every clip that names nobody."""
    only: tuple[str, ...] | None = None
    """The speakers who are predicted; nobody else is."""
    acts: str | None = None
    """What is applied to each clip, as the text of an acts file: whatever becomes of the file, the job has it."""
    rules: str | None = None
    """What is laid over the answers, as `Rules.to_text` has it: the rows of a lexicon too."""
    labels: str | None = None
    """Labels that are answered by prototype, with their examples, as `labels_to_text` has them."""
    batch_size: int = 16
    threads: int = 1
    """Of PyTorch or ONNX Runtime, in each process: sums depend on how they are shared out."""
    attempts: int = 2
    """Ends of a process while a clip is open after which the clip is set aside."""
    embeddings: bool = False
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises MediaError for names and numbers of speakers that no clip could have, DataError for wrong acts,
        rules or labels."""
        object.__setattr__(self, "formats", tuple(self.formats))
        for name in ("channels", "only"):
            object.__setattr__(self, name, read_names(getattr(self, name), name))
        read_count(self.speakers)
        if self.acts is not None:
            parse_acts(self.acts)
        if self.rules is not None:
            parse_rules(self.rules)
        if self.labels is not None:
            parse_labels(self.labels)


class Job:
    """A job that has been begun."""

    def __init__(self, folder: Path) -> None:
        """Raises DataError where there is no job in the folder, or one of another schema."""
        self.folder = folder
        try:
            self.told: dict[str, Any] = json.loads((folder / "job.json").read_text("utf-8"))
            schema = self.told["schema"]
        except FileNotFoundError:
            raise DataError(
                f"no job in {str(folder)!r}: there is no job.json; begin one: emofuse batch INPUT… --out FOLDER"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder / 'job.json'} cannot be read ({type(error).__name__}); take another folder"
            ) from error
        if schema != SCHEMA:
            raise DataError(f"{folder} is a job of schema {schema}, this emofuse reads {SCHEMA}")
        try:
            self.parts: list[str] = self.told["parts"]
            self.counts: list[int] = self.told["counts"]
            """Items of each shard."""
            self.options = JobOptions(**self.told["options"])
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{folder / 'job.json'} is not as this emofuse ({__version__}) writes it ({error}); go on with the "
                "emofuse that began it, or take another folder"
            ) from error

    @property
    def shards(self) -> range:
        """Their numbers."""
        return range(len(self.parts))

    @property
    def work(self) -> Path:
        """Attempts, locks and fetched copies; gone when all is done."""
        return self.folder / "work"

    @cached_property
    def items(self) -> int:
        """How many there are in all."""
        return self.told["items"]

    def part(self, table: str, shard: int) -> Path:
        """Where a shard's rows of "segments" or "clips" stand."""
        return self.folder / table / f"part-{shard:05d}-{self.parts[shard]}.parquet"

    def done(self, shard: int) -> bool:
        """Whether a shard is committed."""
        return self.part("clips", shard).is_file()

    def left(self, shards: Sequence[int]) -> list[int]:
        """Those that are not committed yet; one listing of the folder for all."""
        folder = self.folder / "clips"
        there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
        return [shard for shard in shards if self.part("clips", shard).name not in there]

    def read(self, shard: int) -> list[Item]:
        """A shard's items. Raises DataError for a plan that was damaged."""
        try:
            return plan.read_shard(self.folder / "plan.parquet", shard)
        except (OSError, ValueError, IndexError) as error:
            raise DataError(f"{self.folder / 'plan.parquet'} cannot be read ({error}); begin the job anew") from error

    @contextmanager
    def lock(self, shard: int | str, seconds: float = 0) -> Iterator[bool]:
        """Whether this process holds a shard; the lock goes with the process, however it ends."""
        from filelock import FileLock, Timeout

        name = f"{shard:05d}" if isinstance(shard, int) else shard
        self.work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.work / f"{name}.lock")
        try:
            lock.acquire(timeout=seconds)
        except (Timeout, FileNotFoundError):  # or the last one has just cleared the folder away
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def clear(self) -> None:
        """Take away what only work needs, once all is done."""
        shutil.rmtree(self.work, ignore_errors=True)
        for table in ("segments", "clips"):
            for left in (self.folder / table).glob(".emofuse-*"):
                left.unlink(missing_ok=True)


def begun(folder: Path) -> bool:
    """Whether there is a job in the folder."""
    return (folder / "job.json").is_file()


def begin(folder: Path, items: Sequence[Item], options: JobOptions, model: str, inputs: Sequence[str]) -> Job:
    """A job in this folder: a new one, or the one that is there if it is the same. Raises DataError, OutputError.

    `model`: the fingerprint of its weights and configuration.
    """
    cut = list(plan.shards(items, sum(item.weight for item in items)))
    terms = json.dumps([asdict(options) | {"attempts": 0}, model], sort_keys=True)
    parts = [plan.digest_of(shard, terms) for shard in cut]
    told = {
        "schema": SCHEMA,
        "items": len(items),
        "shards": len(cut),
        "inputs": list(inputs),
        "options": asdict(options),
        "model": model,
        "code": code_fingerprint(),
        "versions": versions(),
        "plan": hashlib.sha256(" ".join(plan.digest_of(shard) for shard in cut).encode()).hexdigest()[:16],
        "parts": parts,
        "counts": [len(shard) for shard in cut],
    }
    if begun(folder):
        job = Job(folder)
        check_same(job, told)
        return job
    _check_empty(folder)
    for table in ("segments", "clips"):
        (folder / table).mkdir(parents=True, exist_ok=True)
    if not (folder / "job.json").exists():  # else it is the plan of whoever wrote that meanwhile
        plan.write_plan(folder / "plan.parquet", cut)
    _write_once(folder / "job.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    job = Job(folder)
    check_same(job, told)
    return job


def check_same(job: Job, told: Mapping[str, Any]) -> None:
    """Refuse to go on with a job under other options, with another model, or on other inputs. Raises DataError."""
    before, now = job.told["options"], told.get("options", job.told["options"])
    differing = [
        f"{key.replace('_', ' ')} {_shown(before.get(key))}, now {_shown(now[key])}"
        for key in (field.name for field in fields(JobOptions))
        if key not in ("model", "formats") and _plain(before.get(key)) != _plain(now[key])
    ]
    if _plain(before["formats"]) != _plain(now["formats"]):
        differing.append(f"format {_shown(before['formats'])}, now {_shown(now['formats'])}")
    if told.get("model", job.told["model"]) != job.told["model"]:
        differing.append(f"model {before['model']} ({job.told['model']}), now {now['model']} ({told['model']})")
    if told.get("plan", job.told["plan"]) != job.told["plan"]:
        differing.append(f"inputs of {job.items} items, now {told['items']}, or what is in them")
    if differing:
        raise DataError(
            f"the job in {str(job.folder)!r} was begun otherwise: {'; '.join(differing)}. Go on with what it was begun "
            "with (emofuse batch --resume --out FOLDER), or take another folder"
        )


def other_versions(job: Job) -> list[str]:
    """What is of another version than at the job's start: the last digits of its answers may differ."""
    now = versions() | {"code": code_fingerprint()}
    before = job.told["versions"] | {"code": job.told["code"]}
    return [f"{name} {before.get(name)}, now {value}" for name, value in now.items() if before.get(name) != value]


def model_fingerprint(model: str) -> str:
    """Sixteen hexadecimal digits of a model's folder: weights, configuration, whatever it holds but pictures and pages.

    Raises CheckpointError.
    """
    from emofuse.model.folder import locate

    digest = hashlib.sha256()
    for path in sorted(locate(model).iterdir()):
        if path.suffix in (".json", ".safetensors", ".txt", ".model") and path.name != "report.json":
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def code_fingerprint() -> str:
    """Sixteen hexadecimal digits of this package's source."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def versions() -> dict[str, str | None]:
    """What numbers depend on; None = not installed."""
    names = ("torch", "onnxruntime", "numpy", "av", "opencv-python-headless", "pyarrow")
    return {"emofuse": __version__, "python": platform.python_version()} | {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _check_empty(folder: Path) -> None:
    check_output_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        own = ("segments", "clips", "plan.parquet", "work", "job.json")  # also of whoever begins the same job meanwhile
        strange = [p.name for p in folder.iterdir() if p.name not in own and not _PASSING.match(p.name)]
        if strange:
            raise OutputError(
                f"{str(folder)!r} is not empty and holds no job ({strange[0]}, …); take a folder of its own"
            )


def _write_once(path: Path, content: str) -> None:
    """Of several who begin the same job at once, the first writes; the others find it there."""
    with replacing(path.with_name(f"job-{os.getpid()}.part")) as temporary:
        temporary.write_text(content, "utf-8")
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            write_file(path, content)
    path.with_name(f"job-{os.getpid()}.part").unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


def _shown(value: Any) -> str:
    if isinstance(value, str) and ("\n" in value or value.startswith("{")):  # the text of a file
        return hashlib.sha256(value.encode()).hexdigest()[:8]
    return ", ".join(value) or "none" if isinstance(value, (tuple, list)) else "none" if value is None else str(value)
