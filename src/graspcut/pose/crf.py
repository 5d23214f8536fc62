"""Restoration as a discrete energy: the CRF variants of section 5.1 of Neverova et al. (2017), table 2.

Every hand pixel chooses one of its N = 10 nearest patches. E(x) = sum of u(x_i) + alpha * sum over neighbours of
b(x_i, x_j): u is the Hamming distance of the patch, b either whether the two patches' centre labels differ ("potts") or
their Hamming distance where they overlap ("overlap"). Minimised by loopy min-sum message passing on the grid of
4-neighbours; a pixel takes the centre label of its patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graspcut.pose import patch_kernels as kernels
from graspcut.pose.patches import Matches, PatchDictionary

Pairwise = Literal["potts", "overlap"]
CANDIDATES = 10


@dataclass(frozen=True)
class CrfConfig:
    """The energy and its minimisation.

    Attributes:
        pairwise: "potts" or "overlap".
        alpha: Weight of the pairwise term, to be chosen on frames that are not reported.
        iterations: Rounds of message passing.
        damping: Share of the old message that is kept.
    """

    pairwise: Pairwise = "potts"
    alpha: float = 10.0
    iterations: int = 20
    damping: float = 0.3

    def __post_init__(self) -> None:
        if self.pairwise not in ("potts", "overlap"):
            raise ValueError(f"pairwise term {self.pairwise!r} is unknown; expected potts or overlap.")
        if self.alpha < 0 or self.iterations < 0 or not 0 <= self.damping < 1:
            raise ValueError(
                f"alpha {self.alpha}, {self.iterations} iterations and damping {self.damping} came; "
                f"expected none below 0 "
                "and a damping below 1."
            )


def grid_edges(index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The 4-neighbours of a map of pixels.

    Args:
        index: (H, W), number of each pixel, -1 where there is none.

    Returns:
        edges: (e, 2) numbers of neighbouring pixels.
        steps: (e, 2), rows and columns from the first to the second.
    """
    edges, steps = [], []
    for down, right in ((0, 1), (1, 0)):
        first = index[: index.shape[0] - down, : index.shape[1] - right]
        second = index[down:, right:]
        both = (first >= 0) & (second >= 0)
        edges.append(np.stack([first[both], second[both]], axis=1))
        steps.append(np.tile(np.array([[down, right]], np.int64), (int(both.sum()), 1)))
    return np.concatenate(edges), np.concatenate(steps)


def energy(
    choice: NDArray[np.int64], unary: NDArray[np.float64], edges: NDArray[np.int64], pairwise: NDArray[np.float64]
) -> float:
    """E(x): `choice` (m,), `unary` (m, N), `edges` (e, 2), `pairwise` (e, N, N) with alpha in it."""
    first, second = edges.T
    pairs = pairwise[np.arange(len(edges)), choice[first], choice[second]]
    return float(unary[np.arange(len(unary)), choice].sum() + pairs.sum())


def minimise(
    unary: NDArray[np.float64],
    edges: NDArray[np.int64],
    pairwise: NDArray[np.float64],
    iterations: int = 20,
    damping: float = 0.3,
) -> NDArray[np.int64]:
    """Min-sum message passing, all messages at once; exact on trees after as many rounds as the longest path.

    Args:
        unary: (m, N) cost of each choice.
        edges: (e, 2).
        pairwise: (e, N, N), cost of the first pixel's and the second's choice.
        iterations: Rounds.
        damping: Share of the old message that is kept.

    Returns:
        (m,) choice of each pixel, the best of all rounds by its energy, improved one pixel at a time until none
        improves.
    """
    count, labels = unary.shape
    first, second = edges.T if len(edges) else np.zeros((2, 0), np.int64)
    to_second, to_first = np.zeros((len(edges), labels)), np.zeros((len(edges), labels))
    best = np.argmin(unary, axis=1)
    least = energy(best, unary, edges, pairwise)
    belief = unary.astype(np.float64).copy()
    for _ in range(iterations if len(edges) else 0):
        forward = (belief[first] - to_first)[:, :, None] + pairwise
        backward = (belief[second] - to_second)[:, None, :] + pairwise
        new_second, new_first = forward.min(axis=1), backward.min(axis=2)
        new_second -= new_second.min(axis=1, keepdims=True)
        new_first -= new_first.min(axis=1, keepdims=True)
        to_second = damping * to_second + (1 - damping) * new_second
        to_first = damping * to_first + (1 - damping) * new_first
        belief = unary.astype(np.float64).copy()
        np.add.at(belief, second, to_second)
        np.add.at(belief, first, to_first)
        choice = np.argmin(belief, axis=1)
        found = energy(choice, unary, edges, pairwise)
        if found < least:
            best, least = choice, found
    assert count == len(best)
    return _descend(best.copy(), unary, edges, pairwise)


def _descend(
    choice: NDArray[np.int64], unary: NDArray[np.float64], edges: NDArray[np.int64], pairwise: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Change one pixel at a time to its best choice, given its neighbours, until nothing improves."""
    around: list[list[tuple[int, int, bool]]] = [[] for _ in range(len(unary))]
    for number, (a, b) in enumerate(edges.tolist()):
        around[a].append((number, b, True))
        around[b].append((number, a, False))
    for _ in range(len(unary)):
        changed = False
        for pixel, neighbours in enumerate(around):
            cost = unary[pixel].astype(np.float64).copy()
            for number, other, is_first in neighbours:
                cost += pairwise[number, :, choice[other]] if is_first else pairwise[number, choice[other]]
            better = int(np.argmin(cost))
            if cost[better] < cost[choice[pixel]] - 1e-9:
                choice[pixel], changed = better, True
        if not changed:
            break
    return choice


def pairwise_costs(
    matches: Matches, dictionary: PatchDictionary, pairwise: Pairwise
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Edges (e, 2) and costs (e, N, N) of a map's candidates, without alpha."""
    edges, steps = grid_edges(matches.index())
    if pairwise == "potts":
        centre = dictionary.centre_labels(matches.patches)
        differs = centre[edges[:, 0]][:, :, None] != centre[edges[:, 1]][:, None, :]
        return edges, differs.astype(np.float64)
    count = matches.patches.shape[1]
    costs = np.zeros((len(edges), count, count), np.float32)
    kernels.overlap_costs(
        dictionary.images,
        dictionary.image_of,
        dictionary.cell_of,
        dictionary.width,
        edges,
        steps,
        matches.patches,
        costs,
    )
    return edges, costs.astype(np.float64)


def restore_with_crf(
    parts: NDArray[np.uint8],
    dictionary: PatchDictionary,
    config: CrfConfig | None = None,
    matches: Matches | None = None,
) -> NDArray[np.uint8]:
    """Restore a part map (H, W) by the CRF; `matches` are its N nearest patches if they are known."""
    config = config or CrfConfig()
    found = matches if matches is not None else dictionary.nearest(parts, CANDIDATES)
    edges, costs = pairwise_costs(found, dictionary, config.pairwise)
    unary = found.distances.astype(np.float64)
    choice = minimise(unary, edges, config.alpha * costs, config.iterations, config.damping)
    restored = np.zeros_like(parts)
    chosen = found.patches[np.arange(len(choice)), choice]
    restored[tuple(found.pixels.T)] = dictionary.centre_labels(chosen)
    return restored
