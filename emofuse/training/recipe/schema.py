"""The recipe schema: a training run as one typed page, closed to unknown keys.

Sections stand in the order the data flows. Development data choose the epoch and the temperature; the test split has
no field here, so no recipe can choose on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, model_validator

from emofuse.data.compose import Compose
from emofuse.errors import RecipeError, nearest
from emofuse.files import home_path
from emofuse.modalities import Modality
from emofuse.tasks import KINDS, TASKS, Task
from emofuse.training.recipe.augmentation import Augment
from emofuse.training.recipe.machine import Output, Train
from emofuse.training.recipe.section import Decay, Probability, Section, Seed, Size

MethodName = Literal["ours", "late", "mult", "misa", "tfn"]


class Source(Section):
    """One corpus among the training data, and how much of it an epoch sees."""

    corpus: str
    root: str = "."
    """Folder of the corpus (of a manifest, the file), relative to the recipe's `root`, or absolute."""
    options: dict[str, Any] = {}
    """Handed to the corpus reader (folds, channels, label sets)."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Share of the corpus in one epoch: 1 = every utterance once, 0.5 = half of them, the other half next epoch."""
    balance: str | None = None
    """A categorical task whose classes come equally often, and within a class its speakers; None = as they occur."""
    tasks: list[str] | None = None
    """Tasks its labels serve; None = all tasks of the model that it has labels for."""
    modalities: list[Modality] | None = None
    """Modalities taken from it; None = all that are there."""
    labels: dict[str, dict[str, Any]] = {}
    """Changes to the folding of its labels, by task: `{emotion: {excited: joy}}`."""
    evaluate: bool = True
    """Whether its dev split counts in the score that chooses the epoch."""
    train: bool = True


class Cache(Section):
    """A folder for decoded videos, inputs of modalities that are not augmented, and tokens of frozen encoders."""

    folder: str = ".cache/emofuse"
    gb: Annotated[float, Field(gt=0)] = 20.0
    """Largest size, in GB; the least recently used leave first."""


class Data(Section):
    """Which corpora, and how they are mixed."""

    sources: Annotated[list[Source], Field(min_length=1)]
    compose: Compose | None = None
    modality_dropout: Probability = 0.0
    """Probability that a sample with several modalities keeps only a random one of its subsets."""
    cache_mb: Annotated[int, Field(ge=0, le=1_000_000_000)] = 2048
    """Memory for decoded media, in MiB; the oldest entries leave first."""
    cache: Cache | None = None
    """None = nothing is kept on disk."""


class Model(Section):
    """What is trained, and where its weights start; the encoder and fusion fields are those of the model's config."""

    tasks: Annotated[list[str], Field(min_length=1)] = ["emotion"]
    more_tasks: list[dict[str, Any]] = []
    """Tasks beyond the built-in ones: `{name, kind, classes}` or `{name, kind: scalar, low, high}`."""
    encoders: dict[Modality, dict[str, Any]]
    fusion: dict[str, Any] = {}
    head_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    init: dict[Modality | Literal["fusion", "all"], str] = {}
    """Checkpoints that start a part: a modality (its encoder and own heads), `fusion`, or `all`."""
    start_pool: Literal["even", "fitted"] = "even"
    """Weights of the modalities before the first step: all alike, or fitted on the dev samples that choose the epoch,
    so that a weak part does not spoil a strong one."""

    def all_tasks(self) -> tuple[Task, ...]:
        """The tasks by name, built-in ones first; raises RecipeError for a name that is neither."""
        known = TASKS | {t.name: t for t in map(_task, self.more_tasks)}
        for name in self.tasks:
            if name not in known:
                raise RecipeError(f"model.tasks: unknown task {name!r}; {nearest(name, known)}")
        return tuple(known[name] for name in self.tasks)


class Strategy(Section):
    """How one encoder is tuned."""

    kind: Literal["full", "top", "frozen", "probe", "lora", "adalora", "prefix", "prompt", "ia3"] = "full"
    freeze: Literal["front"] | None = None
    """`front`: what the input meets first stays as it is: convolutions over sound, the projection of patches, word
    embeddings."""
    layers: Size = 2
    """`top`: how many last layers learn."""
    rank: Size = 8
    alpha: Size = 16
    dropout: Probability = 0.05
    tokens: Size = 16
    """`prefix`, `prompt`: virtual tokens."""
    targets: list[str] | None = None
    """Names of the linear layers that get adapters; None = attention and feed-forward projections."""
    heads: list[str] = []
    """Tasks whose head of this modality alone, and the pooling under all of them, stay as they start."""
    merge: bool = True
    """Fold adapters into the weights of the saved checkpoint; else they are saved alone as well."""


def _strategy(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class Distil(Section):
    """Learning what a larger model answers (Hinton et al. 2015), or several together, beside the labels."""

    teacher: str | Annotated[list[str], Field(min_length=1)]
    """A checkpoint that reads the same inputs: a shipped name, a folder, or a hub id. Of several, the mean answers."""
    to: Annotated[list[Modality], Field(min_length=1)] | None = None
    """Modalities whose own heads learn what the teacher answers from all that it reads, as a voice and a face learn
    from words (Yun et al. 2024); it may lack them. None = the fused heads, and each own head from its like."""
    kind: Literal["hinton", "dist"] = "hinton"
    """Divergence of softened answers, or the correlation of them between and within classes (Huang et al. 2022)."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 2.0


class Groups(Section):
    """A loss by group of people in place of the mean over samples; samples whose group is not known are one group."""

    by: str = "sex"
    """What groups are told by, as the corpus says: sex, speaker, language, age, …"""
    how: Literal["balanced", "worst"] = "worst"
    """`balanced`: every group counts the same; `worst`: those with the larger loss count ever more (Sagawa et al. 2020,
    algorithm 1)."""
    step: Annotated[float, Field(gt=0)] = 0.01
    """Of `worst`: how fast weights move, η of that paper."""


class Loss(Section):
    """The masked multi-task loss."""

    weights: dict[str, NonNegativeFloat] = {}
    """By task; 1 where not named."""
    auxiliary: NonNegativeFloat = 0.5
    """Weight of the heads of the single modalities."""
    soft: bool = True
    """Keep votes as distributions; false takes the majority, of a tie both."""
    class_weights: Literal["none", "inverse_sqrt", "inverse", "effective"] = "none"
    logit_adjustment: NonNegativeFloat = 0.0
    """τ of Menon et al. 2021: priors added to the logits in training."""
    focal: NonNegativeFloat = 0.0
    """γ of Lin et al. 2017."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    smoothing_to: Literal["uniform", "wheel"] = "uniform"
    """Where the smoothed share of a label goes: to all classes alike, or to those near it on Plutchik's wheel of
    emotions; tasks with classes that the wheel lacks stay with the first."""
    rdrop: NonNegativeFloat = 0.0
    """α of Liang et al. 2021: two passes with different dropout, drawn together."""
    contrastive: NonNegativeFloat = 0.0
    """Weight of the supervised contrastive loss (Khosla et al. 2020) on the fused state."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    adversarial: Literal["none", "fgm", "pgd"] = "none"
    epsilon: Annotated[float, Field(gt=0)] = 0.5
    """Length of the adversarial step on the embeddings."""
    adversarial_steps: Size = 3
    distil: Distil | None = None
    groups: Groups | None = None
    """None = every sample counts the same."""


class Optim(Section):
    """AdamW and its schedule."""

    kind: Literal["adamw", "adamw8bit"] = "adamw"
    """`adamw8bit` keeps both moments in 8 bits, by bitsandbytes, where that is installed (Dettmers et al. 2022)."""

    lr: Annotated[float, Field(gt=0)] = 3e-4
    """Of fusion and heads."""
    encoder_lr: dict[Modality, Annotated[float, Field(gt=0)]] = {}
    """Of the top layer of an encoder; `lr` where not named."""
    pool_lr: Annotated[float, Field(gt=0)] | None = None
    """Of the few numbers that weigh what modalities say alone; None = `lr`."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each encoder layer below the top learns at this times the rate of the one above it."""
    weight_decay: NonNegativeFloat = 0.01
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    warmup: Probability = 0.1
    """Share of all steps."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    clip: NonNegativeFloat = 1.0
    """Largest gradient norm; 0 = none."""


class Stage(Section):
    """One step of a staged training: the modalities it trains, and what it changes in the recipe's sections."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    modalities: Annotated[list[Modality], Field(min_length=1)] | None = None
    """None = all of the recipe's. One alone is trained with its own heads and nothing else."""
    strategy: dict[Modality, Any] = {}
    data: dict[str, Any] = {}
    fusion: dict[str, Any] = {}
    augment: dict[str, Any] = {}
    loss: dict[str, Any] = {}
    optim: dict[str, Any] = {}
    train: dict[str, Any] = {}


class Recipe(Section):
    """All of a training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    seed: Seed = 0
    seeds: list[Seed] | None = None
    """Train once per seed and report mean ± standard deviation; `seed` alone otherwise."""
    folds: str | list[str | int] | None = None
    """Train once per fold of the corpus (its reader's option `fold`), for the recipes of one corpus that has them: all,
    another set by its name (`speakers` of IEMOCAP), 10-fold of a corpus without a published split, or a list."""
    root: Path | None = None
    method: list[MethodName] | None = None
    """Methods of fusion that are compared on the same states, a run each; `method: tfn` stands for
    `model.fusion.method: tfn`."""
    stages: list[Stage] = []
    """Trained one after the other, each from what those before it have learnt; [] = everything at once."""
    data: Data
    model: Model
    strategy: dict[Modality, Annotated[Strategy, BeforeValidator(_strategy)]] = {}
    augment: Augment = Augment()
    loss: Loss = Loss()
    optim: Optim = Optim()
    train: Train = Train()
    output: Output = Output()

    @model_validator(mode="before")
    @classmethod
    def _one_method(cls, values: Any) -> Any:
        one = isinstance(values, dict) and isinstance(values.get("method"), str)
        return with_method(values, values["method"]) | {"method": None} if one else values

    @model_validator(mode="after")
    def _stages_agree(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise RecipeError(f"stages: each has a name of its own; got {', '.join(names)}")
        for stage in self.stages:
            for name in set(stage.modalities or ()) - set(self.model.encoders):
                raise RecipeError(
                    f"stages.{stage.name}.modalities: the model has no {name} encoder; "
                    + nearest(name, self.model.encoders)
                )
        if self.stages and set(self.stages[-1].modalities or self.model.encoders) != set(self.model.encoders):
            raise RecipeError(f"stages: the last one, {names[-1]}, trains the whole model: leave its modalities out")
        return self

    @model_validator(mode="after")
    def _names_agree(self) -> Recipe:
        tasks = {t.name for t in self.model.all_tasks()}
        named = {"train.metric": [self.train.metric.partition(".")[0]], "loss.weights": self.loss.weights}
        named |= {f"data.sources.{i}.tasks": s.tasks or () for i, s in enumerate(self.data.sources)}
        named |= {f"data.sources.{i}.balance": [s.balance] for i, s in enumerate(self.data.sources) if s.balance}
        named |= {f"strategy.{m}.heads": s.heads for m, s in self.strategy.items()}
        for where, names in named.items():
            for name in set(names) - tasks:
                raise RecipeError(f"{where}: the model has no task {name!r}; {nearest(name, tasks)}")
        learners = set(self.loss.distil.to or ()) if self.loss.distil else set()
        for name in learners - set(self.model.encoders):
            raise RecipeError(f"loss.distil.to: the model has no {name} encoder; {nearest(name, self.model.encoders)}")
        for where, given in {"strategy": self.strategy, "optim.encoder_lr": self.optim.encoder_lr}.items():
            for name in set(given) - set(self.model.encoders):
                raise RecipeError(f"{where}: the model has no {name} encoder; {nearest(name, self.model.encoders)}")
        return self

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output.folder.format(name=self.name))

    def source_root(self, source: Source) -> Path:
        """The folder of a source; raises RecipeError where it is not absolute and `root` is not given."""
        own = home_path(source.root)
        if self.root is None and not own.is_absolute():
            raise RecipeError(f"recipe {self.name!r} needs the folder of its data; add root=FOLDER, or name it whole")
        return own if self.root is None else home_path(self.root) / own


def with_method(values: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Plain values of a recipe with another method of fusion; one that answers for itself has no pool."""
    own = ("mult", "misa", "tfn")
    model = dict(values.get("model") or {})
    gone = ("pool", "correction", "unimodal", "alone") if method in own else ()
    fusion = {k: v for k, v in dict(model.get("fusion") or {}).items() if k not in gone} | {"method": method}
    return {**values, "model": {**model, "fusion": fusion}}


def _task(values: Mapping[str, Any]) -> Task:
    """A task of `more_tasks`; raises RecipeError for what is missing, unknown or of another type."""
    valid = {"name", "kind", "classes", "low", "high"}
    for key in set(values) - valid:
        raise RecipeError(f"model.more_tasks: unknown key {key!r}; {nearest(key, valid)}")
    where, name, kind = f"model.more_tasks: {dict(values)!r:.80}", values.get("name"), values.get("kind")
    if not isinstance(name, str) or not name:
        raise RecipeError(f"{where} has no name; give {{name: NAME, kind: KIND, …}}")
    if kind not in KINDS:
        raise RecipeError(f"{where} is of kind {kind!r}; valid: {', '.join(KINDS)}")
    classes, low, high = values.get("classes", ()), values.get("low", 0.0), values.get("high", 1.0)
    named = isinstance(classes, (list, tuple)) and all(isinstance(c, str) for c in classes)
    if not named or (len(set(classes)) < 2) == (kind != "scalar") or (kind == "scalar" and classes):
        few = "no classes but low and high" if kind == "scalar" else "two or more names in classes"
        raise RecipeError(f"{where} has classes {classes!r:.80}; a {kind} task has {few}")
    if not all(isinstance(v, (int, float)) for v in (low, high)) or not low < high:
        raise RecipeError(f"{where} goes from {low!r} to {high!r}; give numbers, low below high")
    return Task(name, kind, tuple(classes), low, high)
