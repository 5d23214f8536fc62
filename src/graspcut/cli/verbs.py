"""The verbs of the command line: where each lives, what it is for, and an example.

The files of the verbs, and everything below them, are imported only when the verb is used. That keeps `graspcut --help`
fast, and lets recording and generating data work on a machine without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cyclopts import App, Group

from graspcut.version import __version__

_TASKS = ("See it work", "Segment", "Cut out", "Make data", "Train and measure", "Make it fast")


class Verb(NamedTuple):
    """One verb.

    Attributes:
        name: What is typed: one word, or two ("train segmentation").
        task: The heading it is listed under.
        target: "module:function" inside `graspcut.cli`, or "module:APP" of a verb with verbs below it (see `family`).
        help: First line for the list; further paragraphs for the verb's own help.
        example: Lines that can be typed as they are.
    """

    name: str
    task: str
    target: str
    help: str
    example: str


VERBS = (
    Verb(
        "demo",
        "See it work",
        "demo:demo",
        "Segment the bundled recording and show the result.\n\n"
        "Prints mean IoU and time per frame, and writes a contact sheet and a coloured point cloud.",
        "graspcut demo",
    ),
    Verb(
        "doctor",
        "See it work",
        "doctor:doctor",
        "Say which hardware, back ends and weights will be used.",
        "graspcut doctor",
    ),
    Verb(
        "info",
        "See it work",
        "info:info",
        "Say what a file or folder is, and check that it is whole.\n\n"
        "Knows depth images, recordings, dataset folders, model folders, graphs, runs and checkpoints. Exit code 1 "
        "if something is damaged.",
        "graspcut info my-recording",
    ),
    Verb(
        "segment",
        "Segment",
        "segment:segment",
        "Label every pixel of depth files, folders or recordings.\n\n"
        "Writes NAME.png for every frame (0 background, 1 hand, 2 object, as large as the input) and summary.json. "
        "Frames whose result is already there are skipped, so a stopped command continues; a bad file is reported, the "
        "others are done, and the exit code is 1.",
        "graspcut segment my-recording --out labels --overlay\n"
        "graspcut segment depth/*.png --depth-unit-mm 1 --focal-px 475 --out labels",
    ),
    Verb(
        "live",
        "Segment",
        "live:live",
        "Label what a camera sees while it sees it, and show it in a browser.\n\n"
        "The page is on 127.0.0.1: depth in colour, hand and object, the rate, and the time from camera to screen. "
        "Always the newest frame; the frames before steady the labels. A camera that is pulled out is found again when "
        "it is put back; a recording plays as if it were a camera.",
        "graspcut live\n"
        "graspcut live --source demo --loop\n"
        "graspcut live --source my-recording --port 0 --no-browser\n"
        "graspcut live --rerun",
    ),
    Verb(
        "matte",
        "Cut out",
        "matte:matte",
        "Cut out with soft edges: an image with a trimap, or hand and object of depth frames with colour.\n\n"
        "Writes NAME_alpha.png, NAME_foreground.png and NAME_rgba.png. Without a trimap, depth segmentation makes "
        "one. What is done is not done again; a bad input is reported, the others are done, and the exit code is 1.",
        "graspcut matte photo.png trimap.png --out cut --over white\ngraspcut matte my-recording --out cut --keep hand",
    ),
    Verb(
        "foreground",
        "Cut out",
        "foreground:foreground",
        "Estimate the foreground's colours, for putting it over something else.\n\n"
        "Smooth where the foreground is transparent, unchanged where it is opaque. --separate also takes the "
        "background out of half-transparent pixels, which is what a photograph needs.",
        "graspcut foreground photo.png alpha.png --out foreground.png --separate",
    ),
    Verb(
        "pose",
        "Segment",
        "pose:pose",
        "Find the parts and the 21 joints of every hand in depth files, folders or recordings.\n\n"
        "Writes NAME_parts.png (1..20 hand parts, 21 forearm), NAME_joints.json (millimetres in the camera frame; "
        "absent joints are null), overlay/NAME.png, joints.csv for the whole input, and summary.json. A stopped "
        "command continues; a bad file is reported, the others are done, and the exit code is 1.",
        "graspcut pose my-recording --out joints\n"
        "graspcut pose depth/*.png --depth-unit-mm 1 --focal-px 475 --out joints",
    ),
    Verb(
        "propose",
        "Segment",
        "instances:propose",
        "Find each hand and each object: one mask a thing, with an id that stays over a recording.\n\n"
        "Writes NAME.png (0 none, else the id), overlay/NAME.png, instances.json (what each id is, which hand holds "
        "it) and proposals.json (all proposals in COCO's result format). A stopped command continues.",
        "graspcut propose my-recording --out things",
    ),
    Verb(
        "synth",
        "Make data",
        "synth:APP",
        "Render labelled frames into a dataset folder.\n\n"
        "The same seed gives the same bytes, whatever the number of workers. A stopped command continues.",
        "graspcut synth --count 1000 --out frames --seed 7 --workers 2",
    ),
    Verb(
        "record",
        "Make data",
        "record:record",
        "Record a RealSense camera: raw depth and colour, calibration, timestamps.\n\n"
        "The disk never holds up the camera; frames that were lost are counted. Ctrl-C ends the recording.",
        "graspcut record my-recording --seconds 120",
    ),
    Verb(
        "import",
        "Make data",
        "record:import_",
        "Make a recording of a RealSense, ROS, MCAP, Azure Kinect or iPhone file, or of image pairs.\n\n"
        "Frames are counted against the source and every gap is told; exit code 1 if a frame is missing or damaged.",
        "graspcut import camera.db3 --out my-recording\n"
        "graspcut import depth --colour rgb --registered --depth-unit-mm 1 --out mine",
    ),
    Verb(
        "annotate",
        "Make data",
        "annotate:annotate",
        "Label a recording with colour: skin is the hand, other colours are the object.\n\n"
        "Writes a dataset folder with quality figures (quality.json) and a contact sheet. The colours are found from "
        "the recording, pointed at with --click, or given with --rules. A stopped command continues; a bad frame is "
        "reported, the others are done, and the exit code is 1.",
        "graspcut annotate my-recording --out mine\n"
        "graspcut annotate my-recording --out mine --click 12:310,220=skin\n"
        "graspcut annotate other-recording --out more --rules mine/rules.json\n"
        "graspcut annotate depth-only --out dark --from-model dense-attention-small",
    ),
    Verb(
        "synth matting",
        "Make data",
        "synth_matting:matting",
        "Draw foregrounds with exact alpha over backgrounds.\n\n"
        "Hair, fur, feathers, lace, leaves, glass, smoke and hands. Writes numbered PNG files into foreground, "
        "background, alpha, trimap and image. A stopped command continues.",
        "graspcut synth matting --count 100 --out mattes --size 512x512 --seed 7",
    ),
    Verb(
        "review",
        "Make data",
        "review:review",
        "Look through annotated frames in a browser: accept, discard, correct.\n\n"
        "The page is on 127.0.0.1 and works by keyboard alone; the most doubtful frames come first. Every verdict and "
        "stroke is saved at once.",
        "graspcut review mine",
    ),
    Verb(
        "split",
        "Make data",
        "split:split",
        "Split dataset folders into frames for training and for validation.\n\n"
        "By recording, so that neighbouring frames do not lie on both sides; only frames that reviewers accepted. "
        "Writes splits.json into each folder; training and validation follow it.",
        "graspcut split mine more\ngraspcut split mine --random-frames --validation-share 0.1",
    ),
    Verb(
        "pack",
        "Make data",
        "split:pack",
        "Write dataset folders as WebDataset tar files for streaming training.\n\n"
        "graspcut train segmentation --data SHARDS reads them.",
        "graspcut pack mine more --out shards",
    ),
    Verb(
        "labels export",
        "Make data",
        "labels:export_",
        "Write labels as COCO JSON or as a folder of PNG label maps, without loss.",
        "graspcut labels export mine --out mine.json\ngraspcut labels export mine --out label-maps",
    ),
    Verb(
        "labels follow",
        "Make data",
        "labels:follow",
        "Carry the labels of corrected and accepted frames to the frames around them.\n\n"
        "Along the flow of depth, forwards and backwards, where the surfaces agree. Frames with a verdict stay as they "
        "are.",
        "graspcut labels follow mine",
    ),
    Verb(
        "labels import",
        "Make data",
        "labels:import_",
        "Take labels from COCO JSON, CVAT, labelme or label maps.",
        "graspcut labels import mine annotations.xml --name palm=hand",
    ),
    Verb(
        "train segmentation",
        "Train and measure",
        "train:segmentation",
        "Train a segmentation network from the renderer or from dataset folders.",
        "graspcut train segmentation --folder runs/first --steps 2000\n"
        "graspcut train segmentation --folder runs/mine --data frames more --steps 5000\n"
        "graspcut train segmentation --folder runs/own --network-file my_net.py\n"
        "graspcut train segmentation --folder runs/second --config recipe.toml",
    ),
    Verb(
        "fetch-weights",
        "Train and measure",
        "fetch_weights:fetch_weights",
        "Say where public ImageNet weights lie; download them when told to.\n\n"
        "Without --download nothing leaves this machine. A download shows how far it is, goes on after it was stopped, "
        "is checked against the published checksum, and is there whole or not at all. Encoders take the file with "
        "--pretrained.",
        "graspcut fetch-weights\ngraspcut fetch-weights resnet50 --download --out weights",
    ),
    Verb(
        "adapt",
        "Train and measure",
        "adapt:adapt",
        "Make a network better for your camera and place, from recordings without labels.\n\n"
        "The network's own labels, steadied by the frames before and after, teach it where they are sure; fresh "
        "rendered frames are mixed in so that nothing is forgotten. --quick only takes normalisation statistics.",
        "graspcut adapt my-recording --out my-model\ngraspcut segment my-recording --model my-model --out labels",
    ),
    Verb(
        "train instances",
        "Train and measure",
        "train_instances:instances",
        "Train a network that proposes instances, from composed frames or from dataset folders with instance maps.",
        "graspcut train instances --folder runs/things --steps 4000\n"
        "graspcut train instances --folder runs/mine --data frames --steps 4000",
    ),
    Verb(
        "train matting",
        "Train and measure",
        "train_matting:matting",
        "Train a matting network on composites of foregrounds with alpha and backgrounds.",
        "graspcut train matting --folder runs/mattes --data mattes --steps 5000\n"
        "graspcut train matting --preset paper --data AIM --folder runs/lsa",
    ),
    Verb(
        "train pose-parts",
        "Train and measure",
        "train_pose:parts",
        "Train the network of hand parts, from rendered hands or from dataset folders with part maps.",
        "graspcut train pose-parts --folder runs/parts --steps 20000",
    ),
    Verb(
        "train pose-joints",
        "Train and measure",
        "train_pose:joints",
        "Train the network of hand joints, which sees the parts that a part network finds.",
        "graspcut train pose-joints --folder runs/joints --parts hand-parts",
    ),
    Verb(
        "train pose-weak",
        "Train and measure",
        "train_pose:weak",
        "Fine-tune a part network on hands whose joints alone are known.\n\n"
        "Its maps are restored from a dictionary of label patches; those that come nearer to the joints teach. "
        "Needs the extra pose (FAISS).",
        "graspcut train pose-weak --folder runs/weak --target mine.npz",
    ),
    Verb(
        "evaluate segmentation",
        "Train and measure",
        "evaluate:segmentation",
        "Compare a model's labels, or label images, with the truth.",
        "graspcut evaluate segmentation frames --model runs/first runs/mine\n"
        "graspcut evaluate segmentation --predictions labels --labels truth",
    ),
    Verb(
        "compare",
        "Train and measure",
        "compare:compare",
        "Score and time several models on the same frames: one table, and plots.\n\n"
        "Takes run folders, model folders, shipped models and exported graphs. Prints all scores, parameters, "
        "multiply-accumulates and milliseconds; with --out also writes them as Markdown and CSV, with the learning "
        "curves of runs and object IoU by visible size.",
        "graspcut compare runs/first dense-attention-small --data test --out compared",
    ),
    Verb(
        "evaluate pose",
        "Train and measure",
        "evaluate:pose",
        "Compare predicted joints with the truth: mean errors in mm, and frames with all joints within a distance.\n\n"
        "Reads text files with u v d (pixels, pixels, mm) of every joint, one frame a line, as NYU's "
        "published results.",
        "graspcut evaluate pose --predictions results.txt --groundtruth truth.txt",
    ),
    Verb(
        "evaluate instances",
        "Train and measure",
        "instances:evaluate",
        "Compare masks or boxes with the truth: AP and AR as COCO defines them, recall of proposals, mAP^r.\n\n"
        "Prints AP, AP50, AP75 and AR@1/10/100 with COCO's categories; with --proposals AR@10/100/1000 without them.",
        "graspcut evaluate instances --groundtruth coco.json --results mine.json\n"
        "graspcut evaluate instances --groundtruth a.json --results b.json --proposals",
    ),
    Verb(
        "evaluate matting",
        "Train and measure",
        "evaluate_matting:matting",
        "Score alpha mattes: SAD, MSE, gradient and connectivity error.\n\n"
        "Per image and as means, over the unknown pixels (128) of the trimaps. Files belong together by name.",
        "graspcut evaluate matting --predictions mattes --alpha alpha --trimap trimap",
    ),
    Verb(
        "export",
        "Make it fast",
        "export:export",
        "Write a model as one ONNX or OpenVINO graph, from raw millimetres to labels.\n\n"
        "The graph takes depth of any size and needs no torch. It is compared with PyTorch before it is kept; int8 is "
        "calibrated and scored first, and refused if it loses more than half a point of mean IOU.",
        "graspcut export dense-attention-small --format openvino --out exported\n"
        "graspcut export mine --precision int8 --calibration frames --out mine",
    ),
    Verb(
        "benchmark segmentation",
        "Make it fast",
        "benchmark_segmentation:segmentation",
        "Train, score and time every network of Table 2 under one recipe.\n\n"
        "Writes table2.md, table3.md and figures 6, 7 and 8. One row at a time; a stopped command continues, so it can "
        "run in the background for days.",
        "graspcut benchmark segmentation --out runs/table2\n"
        "graspcut benchmark segmentation --out runs/table2 --seeds 0 1 2 --ablations",
    ),
    Verb(
        "benchmark speed",
        "Make it fast",
        "benchmark:speed",
        "Time a model on every back end of this machine, beside what the machine can do at best.\n\n"
        "Medians of one run, with the machine, the versions and the command; see docs/performance.md.",
        "graspcut benchmark speed\ngraspcut benchmark speed --threads 2 --size 640x480 --save speed.json",
    ),
)

_GROUP_HELP = {
    "benchmark": "Compare networks, and measure how fast this machine is.",
    "train": "Train a network.",
    "evaluate": "Measure a network or its predictions.",
    "labels": "Exchange labels with other programs.",
}


def family(name: str, function: Callable[..., object]) -> App:
    """A verb with verbs below it: `graspcut synth` renders frames, `graspcut synth matting` something else.

    Args:
        name: The verb.
        function: What it does when no verb follows.
    """
    own = next(verb for verb in VERBS if verb.name == name)
    app = App(name=name, help=own.help, help_format="plaintext", help_epilogue=_example(own))
    app.default(function)
    for verb in VERBS:
        if verb.name.startswith(f"{name} "):
            _add(app, verb, Group("Other data"))
    return app


def _add(parent: App, verb: Verb, group: Group | None) -> None:
    parent.command(
        f"graspcut.cli.{verb.target}",
        name=verb.name.split()[-1],
        group=group,
        help=verb.help,
        help_format="plaintext",
        help_epilogue=_example(verb),
    )


def _example(verb: Verb) -> str:
    return "Example:\n\n" + "\n".join(f"  {line}" for line in verb.example.splitlines())


def build_app() -> App:
    """The command line with all verbs, none of them imported yet."""
    app = App(
        name="graspcut",
        help="Cuts hands and the objects they hold out of depth frames.",
        version=__version__,
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
        help_epilogue="Every verb explains itself and has an example: graspcut segment --help",
    )
    own_options = Group("Options", sort_key=len(_TASKS))
    app.register_install_completion_command(
        help="Let the shell (bash, zsh, fish) complete verbs and options.", group=own_options
    )
    tasks = {task: Group(task, sort_key=position) for position, task in enumerate(_TASKS)}
    app["--help"].group = app["--version"].group = own_options
    parents: dict[str, App] = {}
    for verb in VERBS:
        *first, last = verb.name.split()
        if first and first[0] not in _GROUP_HELP:
            continue  # below a verb, see `family`
        if verb.target.endswith(":APP"):
            app.command(f"graspcut.cli.{verb.target}", name=last, group=tasks[verb.task], help=verb.help)
            continue
        parent = app
        if first:
            parent = parents.get(first[0]) or parents.setdefault(
                first[0],
                App(name=first[0], help=_GROUP_HELP[first[0]], help_format="plaintext", group=tasks[verb.task]),
            )
        _add(parent, verb, None if first else tasks[verb.task])
    for name, group in parents.items():
        child = next(verb.name for verb in VERBS if verb.name.startswith(f"{name} "))
        group.help_epilogue = f"Options of each: graspcut {child} --help"
        app.command(group)
    return app
