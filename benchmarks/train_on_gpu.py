"""Trains the shipped segmentation weights further on one NVIDIA GPU, with all other cores rendering.

    python -m benchmarks.train_on_gpu --out runs/gpu --seconds 540 --hand-mesh runs/hand-shapes

A GPU learns faster than 15 cores render. Frames therefore stay for minutes in the GPU's memory, as the network meets
them in use (sampled at its working scale, with neighbours), and every step takes some of them whole and other windows
out of them. What is rendered is what the later phases of `train_shipped_weights.py` train on.

Two networks learn from the same batches: `dense-attention-small` from its shipped weights, and a wider one
(`MEDIUM`) that begins by computing the same. The time that there is decides: the learning rate falls with it to 0 and
the contour loss comes in its last part. OUT/NAME.safetensors holds averaged weights, every minute and at the end;
`--finish NAME` makes the model folder OUT/NAME of such a file, with new batch-norm statistics. Copied to
RUNS/8-gpu/model and RUNS/8-gpu/final it is that phase of `train_shipped_weights.py --out RUNS`. No real frame and no
held-out kind of object is seen.

With `--device cpu` processors do it too: one run a core, each with a `--seed` and an OUT of its own, fewer frames
(`--most-frames` ends the rendering when the rest of the time is worth more) and smaller batches. `--finish NAME
--average-with OUT...` takes the mean of their weights.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import mmap
import os
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from benchmarks.train_shipped_weights import NETWORK, ON_GPU, PLAN, grown, hand_mesh_of, phase_config, views_of
from benchmarks.train_shipped_weights import with_statistics_of_whole_frames as with_new_statistics
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from graspcut.frames.json_files import write_json_atomically
from graspcut.labels import HAND, OBJECT
from graspcut.nn.averaging import between
from graspcut.runtime.model_folder import find_model_folder, load_model_folder, save_model_folder
from graspcut.segmentation.data import SegmentationBatch
from graspcut.segmentation.models import build_model
from graspcut.segmentation.models.dense_attention_small import DenseAttentionSmallConfig
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.train.optimisation import build_optimiser
from graspcut.train.views import View

MEDIUM = dataclasses.replace(
    NETWORK,
    widths=(24, 40, 72, 144, 192),
    blocks=(0, 1, 3, 4, 3),
    context_width=144,
    squeeze_width=24,
    decoder_widths=(96, 72, 48, 24, 24),
)
NETWORKS = {"small": NETWORK, "medium": MEDIUM}
# Windows are taken out of whole frames here.
PHASE = dataclasses.replace(next(phase for phase in PLAN if phase.name == ON_GPU), whole_share=1.0)
WARM_UP, FINAL_LEARNING_RATE = 0.03, 1e-4  # parts of the time and of the highest rate

_HEIGHT, _WIDTH, _WINDOW = 240, 320, 128
_STEPS_A_MM = 4  # int16 then reaches 8 m
_CENTRES = 16
STORED = np.dtype(
    [
        ("depth", np.int16, (4, _HEIGHT, _WIDTH)),  # the frame and its three neighbours
        ("labels", np.uint8, (_HEIGHT, _WIDTH)),
        ("focal_px", np.float32),
        # (row, column) of pixels of hands and of objects in turn; of any, without them
        ("centres", np.int16, (_CENTRES, 2)),
        ("padding", np.uint8, 60),
    ]
)
_SLOTS = 24  # of each renderer
_TRAINED = "trained.json"


def stored(item: Any, rng: np.random.Generator) -> NDArray[Any]:
    """An item of `WorkingTarget` as a record of `STORED`."""
    record = np.zeros((), STORED)
    depth = np.concatenate((item.depth_mm, item.neighbours_mm))
    record["depth"] = np.minimum(np.rint(depth * _STEPS_A_MM), 32_767)
    record["labels"], record["focal_px"] = item.labels, item.focal_px
    found = [np.flatnonzero(item.labels == label) for label in (HAND, OBJECT)]
    places = [pixels for pixels in found if len(pixels)] or [np.arange(item.labels.size)]
    chosen = [rng.choice(places[number % len(places)]) for number in range(_CENTRES)]
    record["centres"] = np.stack(np.unravel_index(chosen, item.labels.shape), axis=1)
    return record


class Renderers:
    """Processes that render without end, each into slots of its own in shared memory.

    Args:
        views: of whole frames.
        count: of the processes.
        seed: of the frames.
    """

    def __init__(self, views: Sequence[View], count: int, seed: int) -> None:
        self._full = np.frombuffer(mmap.mmap(-1, count * _SLOTS), np.uint8)
        slots = np.frombuffer(mmap.mmap(-1, count * _SLOTS * STORED.itemsize), np.uint8)
        self._slots = slots.reshape(-1, STORED.itemsize)  # bytes are copied without the interpreter's lock
        self._views, self._count, self._seed = views, count, seed
        self._processes: list[int] = []

    def start(self) -> None:
        """Forks them: all that is compiled and read by now is shared. CUDA must not be in use yet."""
        for number in range(self._count):
            child = os.fork()
            if child == 0:
                try:
                    self._render(number)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(1)
            self._processes.append(child)

    def _render(self, number: int) -> None:
        os.nice(5)
        rng = np.random.default_rng([self._seed, number])
        shares = np.array([view.probability for view in self._views])
        shares /= shares.sum()
        index, parent = number, os.getppid()
        while os.getppid() == parent:
            for slot in range(number * _SLOTS, (number + 1) * _SLOTS):
                view = self._views[int(rng.choice(len(self._views), p=shares))]
                batch = dataclasses.replace(view, batch_size=1).batch(index, self._seed)
                record = stored(type(batch)(*(part[0] for part in batch)), rng)
                while self._full[slot] and os.getppid() == parent:
                    time.sleep(0.002)
                self._slots[slot] = np.frombuffer(record.tobytes(), np.uint8)
                self._full[slot] = 1
                index += self._count

    def take(self, into: NDArray[Any]) -> int:
        """Moves up to len(into) finished records there, as bytes; how many."""
        ready = np.flatnonzero(self._full.copy())[: len(into)]  # more become full meanwhile
        for place, slot in enumerate(ready):
            into[place] = self._slots[slot]
            self._full[slot] = 0
        return len(ready)

    def stop(self) -> None:
        """Ends them, whatever they do; once is enough."""
        for child in self._processes:
            os.kill(child, 9)
            os.waitpid(child, 0)
        self._processes = []


class Store:
    """The last frames that were rendered, in the memory of the device.

    Args:
        capacity: frames.
        device: where.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._bytes = torch.empty((capacity, STORED.itemsize), dtype=torch.uint8, device=device)
        self._device, self.capacity, self.rendered = device, capacity, 0

    def _part(self, name: str, kind: torch.dtype) -> Tensor:
        field, offset = STORED.fields[name][:2]  # type: ignore[index]
        whole = self._bytes[:, offset : offset + field.itemsize].view(kind)
        return whole.unflatten(1, field.shape) if field.shape else whole[:, 0]  # type: ignore[no-untyped-call]

    def fill(self, renderers: Renderers, stopped: threading.Event) -> None:
        """Takes what is rendered until `stopped`; for a thread of its own."""
        on_gpu = self._device.type == "cuda"
        pinned = torch.empty((32, STORED.itemsize), dtype=torch.uint8, pin_memory=on_gpu)
        records = pinned.numpy()
        stream = torch.cuda.Stream() if on_gpu else None  # type: ignore[no-untyped-call]
        while not stopped.is_set():
            first = self.rendered % self.capacity
            count = renderers.take(records[: self.capacity - first])
            if not count:
                time.sleep(0.002)
                continue
            if stream is None:
                self._bytes[first : first + count] = pinned[:count]
            else:
                with torch.cuda.stream(stream):
                    self._bytes[first : first + count].copy_(pinned[:count], non_blocking=True)
                stream.synchronize()
            self.rendered += count

    def _chosen(self, count: int) -> Tensor:
        """Frames at random, none that is just being written."""
        held = min(self.rendered, self.capacity)
        chosen = torch.randint(held - 64 if held == self.capacity else held, (count,), device=self._device)
        return (chosen + (self.rendered + 64 if held == self.capacity else 0)) % self.capacity

    def frames(self, count: int) -> SegmentationBatch:
        """Whole frames."""
        chosen = self._chosen(count)
        return self._batch(chosen, self._part("depth", torch.int16)[chosen], self._part("labels", torch.uint8)[chosen])

    def windows(self, count: int) -> SegmentationBatch:
        """Windows, nine of ten around something of a hand or an object."""
        chosen, device = self._chosen(count), self._device
        each = torch.arange(count, device=device)
        centres = self._part("centres", torch.int16)[chosen]
        centre = centres[each, torch.randint(_CENTRES, (count,), device=device)].float()
        centre = centre + torch.randn((count, 2), device=device) * 0.22 * _WINDOW
        size = torch.tensor([_HEIGHT, _WIDTH], device=device)
        anywhere = torch.rand((count, 2), device=device) * size
        centre = torch.where(torch.rand((count, 1), device=device) < 0.1, anywhere, centre)
        first = (centre - _WINDOW / 2).long().clamp(min=0).minimum(size - _WINDOW)
        span = torch.arange(_WINDOW, device=device)
        rows, columns = (first[:, axis, None] + span for axis in range(2))
        depth = self._part("depth", torch.int16)[
            chosen[:, None, None, None],
            torch.arange(4, device=device)[None, :, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]
        labels = self._part("labels", torch.uint8)[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        return self._batch(chosen, depth, labels)

    def _batch(self, chosen: Tensor, depth: Tensor, labels: Tensor) -> SegmentationBatch:
        depth_mm = depth.float() / _STEPS_A_MM
        focal_px = self._part("focal_px", torch.float32)[chosen]
        return SegmentationBatch(depth_mm[:, :1], focal_px, labels, depth_mm[:, 1:])


def widened(start: nn.Module, config: DenseAttentionSmallConfig) -> nn.Module:
    """A network with more channels and blocks that computes what `start` computes.

    Old channels come first in every layer and see nothing of the new ones, which begin at random; new blocks add
    nothing, as in `grown`.
    """
    network = build_model({"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(config)})
    old, new = start.state_dict(), network.state_dict()
    for name, tensor in new.items():
        if name not in old:
            if name.endswith(".norm.weight"):
                tensor.zero_()
            continue
        source = old[name]
        if source.shape == tensor.shape:
            tensor.copy_(source)
            continue
        # (inputs, outputs, ...) for transposed convolutions, (outputs, inputs, ...) for others
        transposed = name.startswith("decoder.")
        outputs = source.shape[1 if transposed and source.dim() > 1 else 0]
        if source.dim() == 1:
            tensor[:outputs] = source
            continue
        taken = _inputs_of_old(name, source, tensor, config)
        kept = torch.movedim(tensor, 1, 0) if transposed else tensor
        given = torch.movedim(source, 1, 0) if transposed else source
        kept[:outputs] = 0
        kept[:outputs, taken] = given
    network.load_state_dict(new)
    return network


def _inputs_of_old(name: str, source: Tensor, tensor: Tensor, config: DenseAttentionSmallConfig) -> list[int]:
    """Which inputs of a layer of the new network are those of the old one: its inputs are joined from several parts."""
    if name == "encoder.levels.5.project.0.weight":
        parts = 2 + len(config.context_dilations)
        return [
            part * (tensor.shape[1] // parts) + channel
            for part in range(parts)
            for channel in range(source.shape[1] // parts)
        ]
    if not name.startswith("decoder."):
        return list(range(source.shape[1]))
    last = len(config.decoder_widths)
    number = last if name.startswith("decoder.classify") else int(name.split(".")[2])
    if number == 0:
        return list(range(source.shape[0]))
    width = config.decoder_widths[number - 1]
    old_skip, old_width = NETWORK.squeeze_width, NETWORK.decoder_widths[number - 1]
    return [*range(old_width), *range(width, width + old_skip)]


def recipe(learning_rate: float) -> TaskConfig:
    """The recipe of the phase, with thousandths of the time as its steps."""
    config = phase_config(dataclasses.replace(PHASE, steps=1000, learning_rate=learning_rate))
    schedule = dataclasses.replace(config.optimisation, warm_up=WARM_UP, final_learning_rate=FINAL_LEARNING_RATE)
    return dataclasses.replace(config, optimisation=schedule)


class Trainee:
    """A network with its losses, its optimiser and its averaged weights.

    Args:
        network: on the device.
        config: from `recipe`.
    """

    def __init__(self, network: nn.Module, config: TaskConfig) -> None:
        self.task = SegmentationTask({}, config, model=network.train())
        assert self.task.average is not None
        self.average = self.task.average
        self._optimiser, _ = build_optimiser(network, config.optimisation)

    def step(self, batches: Sequence[SegmentationBatch], progress: float) -> Tensor:
        """One step on all batches, each by its pixels, at this part of the time; the loss."""
        config, labels = self.task.config, batches[0].labels
        thousandth = min(config.steps - 1, int(progress * config.steps))
        pixels = sum(batch.labels.numel() for batch in batches)
        total = torch.zeros((), device=labels.device)
        for batch in batches:
            with torch.autocast(labels.device.type, torch.bfloat16):
                terms = self.task.loss_terms(batch, thousandth)
            loss = torch.stack(list(terms.values())).sum() * (batch.labels.numel() / pixels)
            loss.backward()
            total += loss.detach()
        for group in self._optimiser.param_groups:
            group["lr"] = config.optimisation.learning_rate_at(thousandth)
        assert config.optimisation.gradient_clip is not None
        nn.utils.clip_grad_norm_(self.task.model.parameters(), config.optimisation.gradient_clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.average.update_parameters(self.task.model)
        return total


def save(trainees: dict[str, Trainee], out: Path) -> None:
    """Writes the averaged weights, whole or not at all."""
    for name, trainee in trainees.items():
        tensors = {key: value.contiguous().cpu() for key, value in trainee.average.module.state_dict().items()}
        size = sum(value.numel() * value.element_size() for value in tensors.values())
        names = sorted(tensors)
        parts = math.ceil(size / 14e6)  # what brings files back from machines may take no larger ones
        for part in range(parts):
            path = out / (f"{name}.safetensors" if parts == 1 else f"{name}-{part + 1}-of-{parts}.safetensors")
            save_file({key: tensors[key] for key in names[part::parts]}, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)


def train(options: argparse.Namespace) -> None:
    """Renders and trains until the time is over."""
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    views = views_of(PHASE, 1, options.seed, hand_mesh_of(options))
    for view in views:  # compiled once, before the processes part
        for index in range(8):
            dataclasses.replace(view, batch_size=1).batch(index, options.seed)
    print(f"compiled after {time.monotonic() - began:.0f} s", flush=True)
    renderers = Renderers(views, options.renderers, options.seed)
    renderers.start()
    device = torch.device(options.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(options.seed)
    store, stopped = Store(options.frames, device), threading.Event()
    thread = threading.Thread(target=store.fill, args=(renderers, stopped), daemon=True)
    thread.start()
    start = grown(find_model_folder(options.start))
    config, trainees = recipe(options.learning_rate), {}
    for name in options.networks:
        network = copy.deepcopy(start) if name == "small" else widened(start, NETWORKS[name])
        trainees[name] = Trainee(network.to(device), config)
    while store.rendered < options.first_frames:
        time.sleep(0.1)
    print(f"{store.rendered} frames after {time.monotonic() - began:.0f} s; training", flush=True)
    first, said, saved, steps = time.monotonic(), time.monotonic(), time.monotonic(), 0
    last_step, losses = 0, {name: torch.zeros((), device=device) for name in trainees}
    try:
        while (now := time.monotonic()) < began + options.seconds:
            progress = (now - first) / (began + options.seconds - first)
            batches = (store.frames(options.whole), store.windows(options.windows))
            for name, trainee in trainees.items():
                losses[name] += trainee.step(batches, progress)
            steps += 1
            if steps % 5 == 0 and device.type == "cuda":
                torch.cuda.synchronize()  # the schedule goes by time: never far ahead of the device
            if now > said + options.say_every:
                means = {name: round(float(loss) / (steps - last_step), 4) for name, loss in losses.items()}
                rate = round((steps - last_step) / (now - said), 2)
                row: dict[str, Any] = {
                    "s": round(now - began, 1),
                    "steps": steps,
                    "a_second": rate,
                    "rendered": store.rendered,
                }
                row["loss"] = means
                print(json.dumps(row), flush=True)
                losses = {name: torch.zeros((), device=device) for name in trainees}
                said, last_step = now, steps
            if options.most_frames is not None and store.rendered >= options.most_frames:
                renderers.stop()
            if now > saved + 60:
                save(trainees, options.out)
                saved = now
    finally:
        stopped.set()
        save(trainees, options.out)
        renderers.stop()
    pixels = steps * (options.whole * _HEIGHT * _WIDTH + options.windows * _WINDOW**2)
    done = {
        "steps": steps,
        "windows": round(pixels / _WINDOW**2),
        "rendered": store.rendered,
        "learning_rate": options.learning_rate,
        "contour_steps": round(PHASE.contour_part * steps),
        "seed": options.seed,
        "warm_up": WARM_UP,
        "final_learning_rate": FINAL_LEARNING_RATE,
    }
    write_json_atomically(options.out / _TRAINED, done)
    print(json.dumps(done), flush=True)


def averaged_weights(folders: Sequence[Path], name: str) -> dict[str, Tensor]:
    """What `save` wrote into one folder, or the mean of several.

    Raises:
        FileNotFoundError: a folder has no such weights.
    """
    mean: dict[str, Tensor] = {}
    for number, folder in enumerate(folders, start=1):
        files = sorted(folder.glob(f"{name}*.safetensors"))
        if not files:
            raise FileNotFoundError(f"{folder} has no {name}*.safetensors: it is no --out folder of this script")
        own = {key: value for file in files for key, value in load_file(file).items()}
        mean = between(mean, own, 1 / number) if mean else own
    return mean


def finish(name: str, options: argparse.Namespace) -> None:
    """OUT/NAME, a model folder of the averaged weights with batch-norm statistics of whole frames."""
    start = find_model_folder(options.start)
    config, _ = load_model_folder(start)
    description = {"class": "DenseAttentionSmall", "arguments": dataclasses.asdict(NETWORKS[name])}
    network = build_model(description)
    network.load_state_dict(averaged_weights([options.out, *options.average_with], name))
    with_new_statistics(network.eval())
    done = json.loads((options.out / _TRAINED).read_text("utf-8"))
    recipe = {name: value for name, value in done.items() if name not in ("windows", "rendered")}
    training = {**config["training"], **recipe, "class_weights": PHASE.class_weights}
    config = {**config, "model": description, "training": training, "results": {}}
    save_model_folder(options.out / name, config, network.state_dict(), (start / "card.md").read_text("utf-8"))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=540.0, help="compiling and rendering the first included")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--start", default="dense-attention-small", help="model folder or shipped model")
    parser.add_argument("--hand-mesh", type=Path, help="skinned hand (.glb), or a folder of them; else fetched (94 MB)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--renderers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--frames", type=int, default=60_000, help="that the device holds; 0.7 MB each")
    parser.add_argument("--most-frames", type=int, help="rendered in all: then every core trains")
    parser.add_argument("--first-frames", type=int, default=2_000, help="before training begins")
    parser.add_argument("--whole", type=int, default=80, help="whole frames of a step")
    parser.add_argument("--windows", type=int, default=64, help="windows of a step")
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--say-every", type=float, default=10.0, help="seconds")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--finish", choices=NETWORKS, help="make a model folder of what was trained, instead")
    parser.add_argument(
        "--average-with",
        type=Path,
        nargs="+",
        default=[],
        help="further OUT folders, whose weights --finish averages in",
    )
    options = parser.parse_args()
    if not options.finish and options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no NVIDIA GPU that PyTorch can use: train_shipped_weights.py trains without one")
    if options.finish:
        finish(options.finish, options)
    else:
        train(options)


if __name__ == "__main__":
    main()
