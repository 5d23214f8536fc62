"""The command `graspcut`. Each verb's file only parses its options, calls one public function and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from graspcut.cli.terminal import INTERRUPTED, forgiving_streams, second_interrupt_ends

__all__ = ["FAILURE", "INTERRUPTED", "WRONG_USAGE", "UsageError", "main"]

FAILURE = 1
WRONG_USAGE = 2

_EXTRAS = {
    "torch": "train",
    "lightning": "train",
    "onnx": "train",
    "tensorboard": "train",
    "matplotlib": "train",
    "numba": "synth",
    "llvmlite": "synth",
    "faiss": "pose",
    "scipy": "pose",
    "trimesh": "mesh",
    "openvino": "openvino",
    "pymatting": "matting",
    "pyrealsense2": "realsense",
    "rosbags": "import",
    "av": "import",
    "lzfse": "import",
    "fastapi": "app",
    "uvicorn": "app",
    "websockets": "app",
    "rerun": "view",
    "ray": "scale",
    "webdataset": "scale",
}


class UsageError(Exception):
    """Options that each make sense and do not fit together."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits.

    Exit codes: 0 done, 1 something failed (the message says what), 2 the command was typed wrongly, 130 stopped by
    Ctrl-C. Errors of the library are printed without a traceback; the environment variable GRASPCUT_TRACEBACK=1
    shows it.

    Args:
        arguments: What follows `graspcut`; by default those of this process.
    """
    with forgiving_streams(), second_interrupt_ends():
        _run(arguments)


def _run(arguments: Sequence[str] | None) -> None:
    from graspcut.cli.verbs import build_app

    app = build_app()
    try:
        typed = list(sys.argv[1:] if arguments is None else arguments)
        if typed[:1] == ["train"]:
            from graspcut.cli.recipe import with_recipe

            typed = with_recipe(app, typed)
        app(typed)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(WRONG_USAGE) from None
    except ImportError as error:
        # The import of a verb's own file comes wrapped.
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError) or os.environ.get("GRASPCUT_TRACEBACK", "0") not in ("", "0"):
            raise
        extra = _EXTRAS.get((missing.name or "").partition(".")[0])
        print(f"error: {missing}{_how_to_install(extra) if extra else ''}", file=sys.stderr)
        raise SystemExit(FAILURE) from None
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("GRASPCUT_TRACEBACK", "0") not in ("", "0"):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(FAILURE) from None
    except KeyboardInterrupt:
        print("stopped; the same command continues where it can", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def _how_to_install(extra: str) -> str:
    from graspcut.runtime.engines import extra_hint

    return f": this needs what is installed by {extra_hint(extra)}"
