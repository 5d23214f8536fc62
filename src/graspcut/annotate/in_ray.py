"""The annotation of many recordings on many machines: the same function as in one process, as a Ray Data pipeline.

Ray hands numbers of frames to its workers; each opens the inputs itself, so they and the output must lie where all
machines see them. A worker that dies loses nothing: Ray gives its numbers to another one, which writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from graspcut.annotate.frame_work import AnnotationJob, FrameAnnotator

_FRAMES_A_BATCH = 64

Batch = dict[str, Any]


def annotate_batch(batch: Batch, job: AnnotationJob) -> Batch:
    """Annotates the frames whose numbers are in `batch["index"]`; when it returns, they are on the disk.

    Returns:
        Columns index, name and fault ("" if there is none).
    """
    import cv2

    cv2.setNumThreads(1)
    annotator = FrameAnnotator(job)
    rows = [annotator(int(index)) for index in batch["index"]]
    annotator.flush()
    return {
        "index": [row["index"] for row in rows],
        "name": [row["name"] for row in rows],
        "fault": [row["fault"] or "" for row in rows],
    }


def annotate_in_ray(
    job: AnnotationJob,
    missing: Sequence[int],
    workers: int = 2,
    work: Callable[[Batch, AnnotationJob], Batch] = annotate_batch,
) -> Iterator[dict[str, Any]]:
    """Rows of the missing frames, as `folder.annotate_folder` takes them from `execute`.

    Args:
        job: What to do.
        missing: Numbers of the frames.
        workers: How many Ray tasks run at the same time.
        work: What a task does.

    Raises:
        ModuleNotFoundError: Without the extra `scale`.
    """
    import ray.data

    if not missing:
        return
    ray.data.DataContext.get_current().enable_progress_bars = False
    pipeline = ray.data.from_items([{"index": index} for index in missing]).map_batches(
        lambda batch: work(batch, job),
        batch_size=_FRAMES_A_BATCH,
        compute=ray.data.TaskPoolStrategy(size=max(1, workers)),
    )
    for row in pipeline.iter_rows():
        yield {"index": int(row["index"]), "name": str(row["name"]), "fault": str(row["fault"]) or None}
