"""``segue train``: foreground networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn

from segue.cli.options import Options, Values
from segue.datasets.foreground.cdnet import FOLDS, only_frames, read_training_frames
from segue.datasets.foreground.folder import ForegroundSequence, open_plain, read_video
from segue.datasets.foreground.isd import IsdClip
from segue.errors import DatasetError, TrainingError
from segue.flow import FlowFiles
from segue.models.mustan import Refinement
from segue.models.mustan_lite import MustanLite
from segue.models.semantic import Architecture
from segue.options import FilePath, OptionModel, option
from segue.utils.notices import notice
from segue.weights.available import check_available
from segue_train.commands.making import (
    LITE,
    MOBILENET,
    PAPER,
    Data,
    RecipeSetup,
    names_in,
    refuse_trained,
    training,
)
from segue_train.data.foreground import material as foreground
from segue_train.recipes import fgsegnet as fgsegnet_recipe
from segue_train.recipes import hofam as hofam_recipe
from segue_train.recipes import mustan as mustan_recipe
from segue_train.recipes import mustan_lite as pool_recipes
from segue_train.recipes import semantic as semantic_recipe
from segue_train.trunks import SHIPPED


class Pooled(Data):
    """Options for artificial clips and the pool of samples."""

    data: list[str] = option()
    """Data for synthetic clips: a folder with JPEGImages/ and Annotations/ (videos) or images/ and masks/
    (still images). Videos of fixed cameras: a folder with VIDEO/input and VIDEO/groundtruth, or
    LAYOUT=FOLDER with LAYOUT one of cdnet, isd, lasiesta, sbi, limu, hofam, foreground. Repeatable."""

    pool: FilePath | None = option(None)
    """Folder of the generated samples.  [default: OUT/pool]"""

    samples: int = option(pool_recipes.SAMPLES, ge=0)
    """Number of samples from synthetic clips; samples from videos are added."""

    sessions: list[Path] | None = option(None)
    """Add the same number of samples from videos that sessions with these weights segment (`shipped` or a
    file), and half that number from videos of moving cameras. They show errors that a network causes itself,
    such as persistent masks. Several files take turns."""

    sway: bool = option(False)
    """Add swaying leaves, water and crowds to most clips, behind and in front of passing objects. They are
    stabilised parts of videos from moving cameras; finding them takes some seconds per video."""

    validation_data: FilePath | None = option(None, flags="validate")
    """Folder of videos in CDnet's layout to measure F on during training."""

    def prepare(self, make: Callable[..., pool_recipes.MustanLiteRecipe], run: Values) -> RecipeSetup:
        """Fill the pool unless it exists."""
        from segue_train.checkpoints import check_output_folder
        from segue_train.validation import f_measure

        for weights in self.sessions or ():
            check_available("foreground", "mustan-lite", None if weights == SHIPPED else weights)
        footage, still_cameras = foreground.gather_foreground(self.data, **self.choice)
        held_out = [] if self.validation_data is None else list(open_plain(self.validation_data))
        trained = (video.name for videos in still_cameras.values() for video in videos)
        refuse_trained(trained, (video.name for video in held_out))
        pool = self.pool or run["out"] / "pool"
        recipe = make(pool)
        # A pool takes minutes; nothing is drawn for a run that may not write.
        check_output_folder(run["out"], recipe.name, resume=run["resume"], overwrite=run["overwrite"])
        notice(
            f"{len(footage.videos)} videos and {len(footage.stills)} still images for clips, "
            f"{sum(map(len, still_cameras.values()))} videos of still cameras"
        )
        samples = self.samples if footage.videos or footage.stills else 0
        if samples < self.samples:
            notice(
                "no artificial clips, which need labelled stills or videos of moving objects (--samples 0)"
            )
        foreground.fill_pool(
            pool,
            footage,
            still_cameras,
            MustanLite.offsets,
            pool_recipes.SAMPLE_SIZE,
            samples=samples,
            seed=run["seed"],
            workers=run["workers"],
            report=notice,
            sessions=self.sessions or (),
            sway=self.sway,
        )
        scored = [(video, None) for video in held_out]
        validate = held_out and (lambda network: f_measure(recipe.runnable(network), scored))
        return recipe, {"validate": validate or None}


@training(
    "mustan-lite",
    Options(Pooled),
    Options(pool_recipes.MustanLiteRecipe),
    begins=MOBILENET,
    **LITE,
    steps=pool_recipes.STEPS,
)
def mustan_lite(pooled: Pooled, options: Values, run: Values) -> RecipeSetup:
    """Train mustan-lite, which segments moving objects and their shadows.

    Objects are cut out of the data and move across its images. torchvision's MobileNetV2 needs
    `--init-scaling imagenet`.

    Examples:

        segue train mustan-lite --data DAVIS --data STILLS --init mobilenet_v2.safetensors --out runs/lite

        segue train mustan-lite --data isd=ISD --data cdnet=CDNET --exclude highway,office --samples 0
        --init mobilenet_v2.safetensors --validate CDNET/baseline --out runs/lite

        segue train mustan-lite --data DAVIS --data STILLS --start runs/lite/mustan-lite.safetensors
        --flow dis --class-in-scale gated --out runs/flow
    """
    return pooled.prepare(partial(pool_recipes.MustanLiteRecipe, **options), run)


class VideoData(OptionModel):
    """Labelled videos."""

    data: list[str] | None = option()
    """Labelled videos: a folder with VIDEO/input and VIDEO/groundtruth, or LAYOUT=FOLDER with LAYOUT one of
    cdnet, isd, lasiesta, sbi, limu, hofam, foreground. Repeatable."""

    exclude: str = option("")
    """Scenes or categories to leave out, separated by commas."""

    fold: int | None = option(None, ge=0, le=FOLDS - 1)
    """Leave out the scenes of this fold of CDnet 2014."""

    measure: bool = option(False, flags="validate")
    """Measure F on the scenes that are left out, and also save the best weights."""

    def gather(self) -> foreground.ForegroundVideos:
        videos = foreground.gather_videos(self.data or (), exclude=names_in(self.exclude), fold=self.fold)
        notice(
            f"{len(videos.real)} real and {len(videos.rendered)} rendered videos to learn from, "
            f"{len(videos.held_out)} left out"
        )
        return videos

    def validation(
        self,
        videos: foreground.ForegroundVideos,
        wrap: Callable[[Any], nn.Module] | None = None,
        flow: Callable[[ForegroundSequence], FlowFiles] | None = None,
    ) -> Callable[[nn.Module], float] | None:
        """Create the F measure on held-out videos, for plain or wrapped networks."""
        if not self.measure:
            return None
        if not videos.held_out:
            raise TrainingError(
                "--validate measures F on scenes that are left out; name some with --exclude or --fold"
            )
        from segue_train.validation import f_measure

        held_out = [(video, flow and flow(video)) for video in videos.held_out]
        score = partial(f_measure, videos=held_out)
        return score if wrap is None else lambda network: score(wrap(network))


class ListedVideos(VideoData):
    """Labelled videos, or selected frames of them."""

    frame_list: str | None = option(None)
    """For real videos, use only the labels of some frames: `published` for FgSegNet_v2's frames in
    CDnet2014, or a JSON file in the same format.  [default: all labelled frames]"""

    labelled: Literal[200, 25] = option(200)
    """Number of frames per video in the list."""

    def gather(self) -> foreground.ForegroundVideos:
        videos = VideoData.gather(self)
        if self.frame_list is not None:
            videos.real = [only_frames(video, self.frame_list, self.labelled) for video in videos.real]
        return videos


class MustanOptions(OptionModel):
    """Options of MUSTAN1 and MUSTAN2."""

    frames: Literal[3, 5, 7] = option(3)
    """Frames per window, an odd number; the paper's next checks are 3, 5 and 7."""

    causal: bool = option(False)
    """Do not use frames after the current frame."""

    frm: Refinement = option("attention")
    """How context changes the features; none is the ablation without context encoders."""

    background: bool = option(False)
    """Add an image of the background to the context."""

    depth_channels: bool = option(False, flags="depth")
    """Also use the depth map of the frame; rendered videos include depth maps."""

    rlim: bool = option(True)
    """Refine the localisation."""

    width: float = option(1.0)
    """Factor on all channels; the paper's network is 1."""

    normals: bool = option(False)
    """Learn surface normals as a second target; rendered videos include normals."""


class Mustan1Options(MustanOptions):
    """Options of MUSTAN1."""

    context: Literal["late", "early"] = option("late")
    """`late` encodes every frame separately, which allows streaming; `early` encodes the whole window."""

    scales: int = option(5, ge=1, le=5)
    """Strides at which context changes the features, from the coarsest."""


class Mustan2Options(MustanOptions):
    """Options of MUSTAN2."""

    share_encoders: bool = option(False)
    """Use one encoder for all frames, so a stream encodes each frame once."""

    scales: int = option(4, ge=1, le=4)
    """Strides at which past and future are fused, from the coarsest; the finest is never fused."""


_MUSTAN_RECIPE = Options(mustan_recipe.MustanRecipe, defaults={"size": "240x320"})


def _mustan(
    name: Literal["mustan1", "mustan2"], data: ListedVideos, network: Values, recipe: Values
) -> RecipeSetup:
    videos = data.gather()
    kinds = [kind for kind in (videos.real, videos.rendered) if kind]
    rendered = (IsdClip.of(video) for kind in kinds for video in kind)
    if network["depth_channels"] and not any(clip.has_depth for clip in rendered):
        raise TrainingError("--depth: no video brings depth maps; `segue synth isd` renders videos that do")
    if network["normals"] and not any(IsdClip.of(video).has_normals for kind in kinds for video in kind):
        raise TrainingError("--normals: no video brings normals; `segue synth isd` renders videos that do")
    options = network | {"depth_channels": int(network["depth_channels"])}
    mustan = mustan_recipe.MustanRecipe(name, kinds, options, **recipe)
    return mustan, {"validate": data.validation(videos)}


@training(
    "mustan1",
    Options(ListedVideos),
    Options(Mustan1Options),
    _MUSTAN_RECIPE,
    **PAPER,
    steps=mustan_recipe.STEPS,
    save_every=1000,
)
def mustan1(data: ListedVideos, network: Values, recipe: Values, run: Values) -> RecipeSetup:
    """Train MUSTAN1: a context network and a frame network, combined by attention.

    Examples:

        segue train mustan1 --data cdnet=CDNET --data isd=ISD --init resnet18.pth --out runs/mustan1

        segue train mustan1 --data cdnet=CDNET --exclude highway,office --validate --frm none --out runs/none
    """
    return _mustan("mustan1", data, network, recipe)


@training(
    "mustan2",
    Options(ListedVideos),
    Options(Mustan2Options, help={"background": "An image of the empty scene joins the past."}),
    _MUSTAN_RECIPE,
    **PAPER,
    steps=mustan_recipe.STEPS,
    save_every=1000,
)
def mustan2(data: ListedVideos, network: Values, recipe: Values, run: Values) -> RecipeSetup:
    """Train MUSTAN2: encoders for past, present and future, combined by fusion blocks.

    If there are real and rendered videos, half of each batch is real and half rendered.

    Examples:

        segue train mustan2 --data cdnet=CDNET --data isd=ISD --init resnet18.pth --out runs/mustan2

        segue train mustan2 --data cdnet=CDNET --fold 0 --validate --init resnet18.pth --out runs/fold0

        segue train mustan2 --data cdnet=CDNET --frames 5 --frm none --init resnet18.pth --out runs/none

        segue train mustan2 --data cdnet=CDNET --frame-list published --labelled 25 --init resnet18.pth
        --out runs/few
    """
    return _mustan("mustan2", data, network, recipe)


class FlowMode(OptionModel):
    """Variants of HOFAM and STAM."""

    name: Literal["hierarchical", "single"] = option("hierarchical", flags="flow-mode")
    """Flow to three earlier frames, or to one (STAM)."""


@training(
    "hofam",
    Options(VideoData),
    Options(FlowMode),
    Options(hofam_recipe.HofamRecipe),
    **PAPER,
    steps=hofam_recipe.STEPS,
    validate_every=2000,
    save_every=2000,
)
def hofam(data: VideoData, mode: Values, options: Values, run: Values) -> RecipeSetup:
    """Train HOFAM, or STAM with a single flow.

    Composite images of the release (`hofam=FOLDER`: frame, flow and labels side by side) include the flow.
    For videos, segue computes the flow.

    Examples:

        segue train hofam --data cdnet=CDNET --fold 0 --validate --out runs/hofam

        segue train hofam --data hofam=COMPOSITES --gf 16 --out runs/small

        segue train hofam --data cdnet=CDNET --flow-mode single --out runs/stam

        segue train hofam --data cdnet=CDNET --flow FLOW --no-attention --gamma 2 --out runs/ablation
    """
    videos = data.gather()
    name: Literal["hofam", "stam"] = "stam" if mode["name"] == "single" else "hofam"
    recipe = hofam_recipe.HofamRecipe(name, [*videos.real, *videos.rendered], **options)
    flow = None if recipe.files is None else partial(hofam_recipe.video_flow, recipe.files, recipe.gaps)
    return recipe, {"validate": data.validation(videos, recipe.runnable, flow)}


class SemanticNetworks(OptionModel):
    """Networks of segmentation_models_pytorch."""

    architecture: Architecture = option("pspnet")
    """PSPNet or DeepLabV3+."""


@training(
    "semantic",
    Options(VideoData),
    Options(SemanticNetworks),
    Options(semantic_recipe.SemanticRecipe),
    **PAPER,
    steps=semantic_recipe.STEPS,
    validate_every=1000,
    save_every=1000,
)
def semantic(data: VideoData, network: Values, options: Values, run: Values) -> RecipeSetup:
    """Train PSPNet or DeepLabV3+ on single frames; needs segmentation-models-pytorch.

    Examples:

        segue train semantic --data cdnet=CDNET --init resnet50.pth --out runs/pspnet

        segue train semantic --data cdnet=CDNET --architecture deeplabv3plus --fold 0 --validate
        --out runs/fold0
    """
    videos = data.gather()
    recipe = semantic_recipe.SemanticRecipe(
        network["architecture"], [*videos.real, *videos.rendered], **options
    )
    return recipe, {"validate": data.validation(videos)}


class Scenes(VideoData):
    """Frames of scenes."""

    data: list[str] | None = option(None)
    """Further labelled videos, as for the other networks. Repeatable."""

    exclude: str = option("")
    """Scenes or categories of --data to leave out, separated by commas."""

    scene: list[Path] | None = option(None, argument=True)
    """Folders of videos in CDnet's layout; several share one network."""

    frames: int = option(fgsegnet_recipe.FRAMES, ge=2)
    """Number of labelled training frames per scene; published are 200 and 25."""

    frame_list: str | None = option(None)
    """Numbers of 200 or 25 frames per scene: `published` for those of CDnet2014, or a JSON file in the same
    format.  [default: spread evenly]"""

    epochs: int = option(fgsegnet_recipe.EPOCHS, ge=1)
    """Passes over all frames; --steps overrides it."""

    def videos(self) -> list[ForegroundSequence]:
        videos = [read_video(folder, folder.resolve().parent.name) for folder in self.scene or ()]
        if self.data:
            gathered = self.gather()
            videos += [*gathered.real, *gathered.rendered]
        elif self.exclude or self.fold is not None:
            raise TrainingError("--exclude and --fold leave out scenes of --data; give some")
        if not videos:
            raise TrainingError("nothing to learn from: give folders of scenes, or --data")
        return videos


@training(
    "fgsegnet",
    Options(Scenes, without=["measure"]),
    Options(fgsegnet_recipe.FgSegNetRecipe),
    help={"steps": "Steps in all.  [default: those of --epochs]"},
    **{**PAPER, "workers": 0},
    steps=None,
    save_every=1000,
)
def fgsegnet(data: Scenes, options: Values, run: Values) -> RecipeSetup:
    """Train FgSegNet_v2 on a few frames of each scene.

    As published, each scene has its own network. Its score on the training frames is meaningless, and it does
    not work on other scenes. Several scenes share one network.

    Examples:

        segue train fgsegnet CDNET/baseline/highway --frames 50 --init vgg16.pth --out runs/highway

        segue train fgsegnet CDNET/baseline/highway --start other.safetensors --loss l1_as_run
        --class-weight none --out runs/highway

        segue train fgsegnet --data cdnet=CDNET --fold 0 --frames 25 --init vgg16.pth --out runs/fold0
    """
    published = None if data.frame_list is None else read_training_frames(data.frame_list, data.frames)
    scenes = []
    for video in data.videos():
        if published is not None and video.key not in published:
            raise DatasetError(f"{data.frame_list}: no list for {video.key}")
        numbers = None if published is None else published[video.key]
        scenes.append((video, fgsegnet_recipe.split_frames(video, data.frames, numbers)))
    recipe = fgsegnet_recipe.FgSegNetRecipe(scenes, **options)
    count, num_validation = (sum(len(split[part]) for _, split in scenes) for part in (0, 1))
    name = scenes[0][0].key if len(scenes) == 1 else f"{len(scenes)} scenes"
    notice(f"{name}: {count} frames to learn from, {num_validation} to validate")
    epoch = math.ceil(count / (recipe.batch * run["accumulate"]))
    steps = run.get("steps") or data.epochs * epoch
    return recipe, {"steps": steps, "validate": recipe.validate, "validate_every": epoch}
