"""Thread settings of a process that works on a job: the same sums, whoever computes them."""

from __future__ import annotations

from emofuse.errors import installed

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def environment(threads: int) -> dict[str, str]:
    """What a process that is yet to start is told."""
    return dict.fromkeys(VARIABLES, str(threads))


def settle(threads: int) -> None:
    """Let this process's sums be shared out over so many threads, and OpenCV work in its caller's alone."""
    import cv2

    cv2.setNumThreads(1)
    if installed("torch"):
        import torch

        torch.set_num_threads(threads)
