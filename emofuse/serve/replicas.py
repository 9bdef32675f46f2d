"""Replicas: the service under Ray Serve, as many of the same application as there is work for, behind Ray's proxy.

caller ─▶ proxy ─┬─▶ replica: application, model, batcher, places      quotas: one actor for all replicas
                 ├─▶ replica …                                         queue: in the proxy, bounded, then 429
                 └─▶ /v1/jobs: a replica of its own, with the folder of jobs
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from emofuse.batch_jobs.carriers.cluster import connect
from emofuse.batch_jobs.run import stoppable
from emofuse.errors import EmofuseError, first_line, require_package
from emofuse.model.folder import locate
from emofuse.serve.keys import Caller, KeyRing
from emofuse.serve.problems import RefusedError
from emofuse.serve.quota import Quotas
from emofuse.serve.server import listen
from emofuse.serve.settings import Settings

NAME = "emofuse"
"""Of the application; that of jobs is NAME-jobs, and the actor of quotas NAME-quotas."""
MARGIN = 16
"""Requests that a replica is handed beyond its places: it refuses them itself, and says how it is when it is full."""
STARTS = 2
"""Times that a replica is started before the service is given up."""
RETRY = 1.0
"""Seconds after which to come back where the proxy's queue is full."""


@dataclass(frozen=True)
class Scale:
    """How many replicas there are, and what each has."""

    least: int = 1
    most: int = 1
    """More than `least`: as many as there is work for."""
    queued: int = 64
    """Requests that wait in a proxy while every replica is full; the next is refused with 429."""
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Raises EmofuseError for numbers that cannot be met."""
        if not 1 <= self.least <= self.most:
            raise EmofuseError(f"{self.least} to {self.most} replicas are none; give N, or A-B with 1 ≤ A ≤ B")
        if self.queued < 1 or self.cpus <= 0 or self.gpus < 0:
            raise EmofuseError("a replica needs a processor, and a queue at least one place: raise --cpus or --queued")

    def options(self, settings: Settings) -> dict[str, Any]:
        """Of a deployment."""
        told: dict[str, Any] = {
            "max_ongoing_requests": settings.places + settings.streams + MARGIN,
            "max_queued_requests": self.queued,
            "backpressure_config": {"status_code": 429, "retry_after_s": RETRY},
            "ray_actor_options": {"num_cpus": self.cpus, "num_gpus": self.gpus},
            "max_constructor_retry_count": STARTS,
            "graceful_shutdown_timeout_s": settings.drain_seconds,
            "graceful_shutdown_wait_loop_s": min(1.0, settings.drain_seconds or 1.0),
        }
        if self.least == self.most:
            return told | {"num_replicas": self.least}
        scaling = {"min_replicas": self.least, "max_replicas": self.most}
        return told | {"autoscaling_config": scaling | {"target_ongoing_requests": max(1.0, settings.working / 2)}}


def read_replicas(text: str) -> tuple[int, int]:
    """(least, most) of "2" or "1-4". Raises EmofuseError."""
    first, dash, last = text.partition("-")
    if not first.isdecimal() or not (last.isdecimal() if dash else True) or max(len(first), len(last)) > 4:
        raise EmofuseError(f"--replicas {text!r} is neither a number nor a range such as 1-4")
    return int(first), int(last or first)


@contextmanager
def replicated(
    model: Mapping[str, Any],
    settings: Settings,
    scale: Scale,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    address: str | None = None,
    otel: bool = False,
) -> Iterator[str]:
    """Serve with Ray until the block ends; the service's address.

    `model`: the arguments of `emofuse.load`, which each replica calls: what they name must be there on every node.
    `address` of a cluster; None = the one RAY_ADDRESS names, else Ray on this machine, which then ends with the block.
    Where Ray Serve runs already, the host and the port are its own. Raises EmofuseError where Ray cannot be reached, or
    the replicas do not start.
    """
    require_package("ray", "ray")
    _check(model, settings)
    port = _free(host, port) if address is None else port
    import ray
    from ray import serve

    mine = not ray.is_initialized()
    if mine:
        connect(address)
    started: list[str] = []
    try:
        quotas = _keeper(settings)
        serve.start(http_options={"host": host, "port": port})
        for name, prefix, application in _applications(model, settings, scale, quotas, otel):
            started.append(name)
            serve.run(application, name=name, route_prefix=prefix)
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    except (RuntimeError, OSError, ray.exceptions.RayError) as error:
        told = getattr(error, "cause", None) or error  # of an error in an actor, what was raised there
        raise EmofuseError(f"Ray does not serve: {first_line(told)}") from error
    finally:
        for name in started:
            serve.delete(name)
        if mine:
            ray.shutdown()


def wait(
    model: Mapping[str, Any], settings: Settings, scale: Scale, ready: Callable[[str], object], **where: Any
) -> None:
    """Serve until Ctrl-C or SIGTERM; `ready` is called with the address, `where` are the others of `replicated`."""
    serving = replicated(model, settings, scale, **where)
    with suppress(KeyboardInterrupt), serving as address, stoppable():  # last: Ray takes SIGTERM as it starts
        ready(address)
        threading.Event().wait()


def _check(model: Mapping[str, Any], settings: Settings) -> None:
    """Raise here what a replica would meet at its start: CheckpointError, EmofuseError."""
    locate(model["model"])
    if settings.keys is not None:
        KeyRing.read(settings.keys)


def _free(host: str, port: int) -> int:
    """A port that can be listened at. Raises EmofuseError where the one that is asked for is taken."""
    with listen(host, port) as listening:
        return listening.getsockname()[1]


def _applications(
    model: Mapping[str, Any], settings: Settings, scale: Scale, quotas: Any, otel: bool
) -> Iterator[tuple[str, str, Any]]:
    """(name, route prefix, application) of what answers at once, and of jobs, which one process alone may do."""
    options = scale.options(settings)
    at_once = replace(settings, state=None)
    yield NAME, "/", _deployment(NAME, model, at_once, quotas, otel).options(**options).bind()
    if settings.state is not None:
        alone = {k: v for k, v in options.items() if k != "autoscaling_config"} | {"num_replicas": 1}
        jobs = _deployment(f"{NAME}-jobs", model, settings, quotas, otel)
        yield f"{NAME}-jobs", "/v1/jobs", jobs.options(**alone).bind()


def _deployment(name: str, model: Mapping[str, Any], settings: Settings, quotas: Any, otel: bool) -> Any:
    """The application as a class of replicas; what a replica needs of this process is what is closed over here."""
    from ray import serve

    told = dict(model)

    def build() -> Any:
        from emofuse.serve.replicas import application

        return application(told, settings, quotas, otel)

    class Replica:
        """One process with a model."""

        def check_health(self) -> None:
            """Ray starts another in its place where the model's thread is gone."""
            service = self.app.service  # type: ignore[attr-defined]
            if not service.batcher.alive and not service.admission.draining:
                raise RuntimeError("the model's thread has ended")

    Replica.__name__ = Replica.__qualname__ = name
    return serve.deployment(serve.ingress(build)(Replica), name=name)


def application(model: Mapping[str, Any], settings: Settings, quotas: Any, otel: bool) -> Any:
    """What a replica answers with: called in its process."""
    from ray import serve

    from emofuse.pipeline.pipeline import load
    from emofuse.serve.app import create_app
    from emofuse.serve.logs import set_up
    from emofuse.serve.tracing import provider

    set_up()
    shared = SharedQuotas(settings.quota, quotas)
    app = create_app(load(**model), settings, tracer_provider=provider() if otel else None, quotas=shared)
    app.state.service.monitor.replica = serve.get_replica_context().replica_tag
    return Unmounted(app)


class Unmounted:
    """An application whose routes have the whole path, wherever Ray mounts it."""

    def __init__(self, app: Any) -> None:
        self.app, self.service, self.routes = app, app.state.service, app.routes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        await self.app(scope if scope["type"] == "lifespan" else {**scope, "root_path": ""}, receive, send)


class Keeper:
    """The actor that counts what every caller has used, in whichever replica."""

    def __init__(self, default: float | None) -> None:
        self.quotas = Quotas(default)

    def left(self, caller: Caller) -> float | None:
        """See `Quotas`."""
        return self.quotas.left(caller)

    def charge(self, caller: Caller, seconds: float) -> tuple[Any, ...] | None:
        """See `Quotas`; what it raises is returned, since an exception of ours does not travel."""
        try:
            self.quotas.charge(caller, seconds)
        except RefusedError as error:
            return error.status, error.code, error.message, error.retry_after
        return None

    def add(self, caller: Caller, seconds: float) -> None:
        """See `Quotas`."""
        self.quotas.add(caller, seconds)

    def saved(self) -> tuple[int, dict[str, float]]:
        """See `Quotas`."""
        return self.quotas.saved()

    def restore(self, hour: int, used: dict[str, float]) -> None:
        """See `Quotas`."""
        self.quotas.restore(hour, used)


class SharedQuotas(Quotas):
    """Quotas that all replicas have in common; who has none is not counted."""

    def __init__(self, default: float | None, keeper: Any) -> None:
        super().__init__(default)
        self._keeper = keeper

    def left(self, caller: Caller) -> float | None:
        """See `Quotas`."""
        return self._ask("left", caller) if self.limited(caller) else None

    def charge(self, caller: Caller, seconds: float) -> None:
        """See `Quotas`."""
        if self.limited(caller) and (refused := self._ask("charge", caller, seconds)):
            raise RefusedError(*refused)

    def add(self, caller: Caller, seconds: float) -> None:
        """See `Quotas`."""
        if self.limited(caller):
            self._ask("add", caller, seconds)

    def saved(self) -> tuple[int, dict[str, float]]:
        """See `Quotas`."""
        return self._ask("saved")

    def restore(self, hour: int, used: dict[str, float]) -> None:
        """See `Quotas`."""
        self._ask("restore", hour, used)

    def _ask(self, method: str, *arguments: Any) -> Any:
        import ray

        return ray.get(getattr(self._keeper, method).remote(*arguments))


def _keeper(settings: Settings) -> Any:
    """The one actor of quotas; restarted where its process ends, with nothing used."""
    import ray

    actor = ray.remote(Keeper).options(num_cpus=0, max_restarts=-1, max_concurrency=1)
    return actor.remote(settings.quota)
