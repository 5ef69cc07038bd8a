"""The layouts of public data sets as their authors ship them: one table, with known facts and assumptions.

A template matches the end of a file's path, without its suffix: ``hazy/{id:d}_*`` matches ``hazy/1400_3.png`` and
``SOTS/indoor/hazy/1400_3.png``. ``{name}`` matches a part of one folder's or file's name, ``{name:d}`` digits alone,
``{name:path}`` any text, folders included, and ``*`` any text, which is ignored. An input and a target are a pair where
the names in the target's template have equal values. Templates ignore case and treat the suffixes .jpg, .png, .webp
and .tif alike, so that a converted set still matches.
"""

from dataclasses import dataclass

from restorekit.errors import unknown_name


@dataclass(frozen=True)
class Arrangement:
    """One way of laying out a set's files."""

    inputs: tuple[str, ...]  # templates of the degraded images
    target: str | None = None  # template of the clean image; None: there is none, or both share a file
    layer: str | None = None  # template of the layer added to the clean image: a reflection
    halves: bool = False  # one file holds both images: the clean one left, the degraded one right
    mask: str | None = None  # template of the mask, white where missing; without a target, the input is clean


@dataclass(frozen=True)
class Layout:
    """A public set, or a part of a set; `pairs` and `targets` are the published numbers, None if unpublished."""

    says: str  # source, known facts ("As ...") and assumptions ("Assumed: ...")
    task: str | None  # one of restorekit.tasks.REAL_TASKS; None: the parameters' task
    arrangements: tuple[Arrangement, ...]  # the arrangement that matches most files is used, the first of equals
    pairs: int | None = None
    targets: int | None = None
    part: str | None = None  # the part's folder, which selects it where a root holds several parts
    spare_targets: bool = False  # targets without an input are expected
    centre: bool = False  # a larger target is cropped about its centre to the input's size

    @property
    def paired(self) -> bool:
        """Whether there are clean images."""
        return any(one.target is not None or one.halves or one.mask is not None for one in self.arrangements)

    @property
    def masked(self) -> bool:
        """Whether every pair has a mask of the missing pixels."""
        return all(one.mask is not None for one in self.arrangements)


@dataclass(frozen=True)
class PhotoLayout:
    """A public set of clean photographs."""

    says: str
    files: tuple[str, ...]  # templates
    photographs: int | None = None
    part: str | None = None


def _rain100(folder: str, says: str, pairs: int) -> Layout:
    """rain-001.png and norain-001.png in one folder, or the inputs in rainy/; JORDER's own archives have rain/X2."""
    return Layout(
        says,
        "rain",
        (
            Arrangement(("rain-{id:d}",), "norain-{id:d}"),
            Arrangement(("rainy/rain-{id:d}",), "norain-{id:d}"),
            Arrangement(("rain/X2/norain-{id:d}x2",), "norain/norain-{id:d}"),
            Arrangement(("rain/norain-{id:d}x2",), "norain/norain-{id:d}"),
            Arrangement(("input/{id}",), "target/{id}"),
        ),
        pairs,
        part=folder,
    )


_JORDER = "Yang et al., Deep joint rain detection and removal, CVPR 2017"
_RAINDROP = "Qian et al., Attentive generative adversarial network for raindrop removal, CVPR 2018"
_RESIDE = "Li et al., Benchmarking single-image dehazing and beyond (RESIDE), TIP 2019"
_SIR2 = "Wan et al., Benchmarking single-image reflection removal algorithms (SIR2), ICCV 2017"


def _rain1400(part: str, pairs: int, targets: int) -> Layout:
    return Layout(
        "Fu et al., Removing rain from single images via a deep detail network, CVPR 2017. As the authors ship it: "
        "rainy_image/901_1.jpg to 901_14.jpg for ground_truth/901.jpg, in training/ and testing/.",
        "rain", (Arrangement(("rainy_image/{id:d}_*",), "ground_truth/{id:d}"),), pairs, targets, part,
    )  # fmt: skip


def _rain800(part: str, pairs: int) -> Layout:
    return Layout(
        "Zhang et al., Image de-raining using a conditional GAN (ID-CGAN), 2017. As shipped: training/, test_syn/ and "
        "test_nature/, both images side by side in one file. Assumed, after the loaders of RESCAN and JDNet: the clean "
        "image is the left half; look at one file before you train. test_nature has no clean images.",
        "rain", (Arrangement((f"{part}/{{id}}",), halves=True), Arrangement(("{id:d}",), halves=True)), pairs,
        part=part,
    )  # fmt: skip


def _raindrop(part: str, pairs: int) -> Layout:
    return Layout(
        f"{_RAINDROP}. As shipped: {part}/data/0_rain.png and {part}/gt/0_clean.png (.jpg in test_b)."
        + (" Assumed: 249 pairs; the paper's total of 1119 is less than its parts." if part == "test_b" else ""),
        "raindrop", (Arrangement(("data/{id}_rain",), "gt/{id}_clean"),), pairs, part=part,
    )  # fmt: skip


def _sots(part: str, targets: int, says: str) -> Layout:
    return Layout(
        f"{_RESIDE}. {says}",
        "haze", (Arrangement(("hazy/{id:d}_*",), "gt/{id:d}"), Arrangement(("hazy/{id:d}_*",), "clear/{id:d}")),
        500, targets, part, centre=True,
    )  # fmt: skip


def _sir2(part: str, pairs: int) -> Layout:
    return Layout(
        f"{_SIR2}. m is the mixture, g the ground truth, r the reflection. Sure: the folders blended/, "
        "transmission_layer/ and reflection_layer/ in which ERRNet and its successors pass the set on, and its number "
        "of pairs. Assumed of the authors' own archive: m, g and r in a folder of each scene, or as 1-m-2, 1-g-2, "
        "1-r-2.",
        "reflection",
        (
            Arrangement(("blended/{id}",), "transmission_layer/{id}", "reflection_layer/{id}"),
            Arrangement((f"{part}/{{scene:path}}/m",), f"{part}/{{scene:path}}/g", f"{part}/{{scene:path}}/r"),
            Arrangement(
                (f"{part}/{{scene:path}}-m-{{id}}",),
                f"{part}/{{scene:path}}-g-{{id}}",
                f"{part}/{{scene:path}}-r-{{id}}",
            ),
            Arrangement(("{scene}/m",), "{scene}/g", "{scene}/r"),
            Arrangement(("{scene}-m-{id}",), "{scene}-g-{id}", "{scene}-r-{id}"),
        ),
        pairs, part=part,
    )  # fmt: skip


def _gopro(part: str, pairs: int) -> Layout:
    return Layout(
        "Nah et al., Deep multi-scale convolutional neural network for dynamic scene deblurring, CVPR 2017 "
        f"(GOPRO_Large). As shipped: {part}/GOPR0384_11_00/blur/000001.png and sharp/000001.png; blur_gamma/ is not "
        "used. A sequence is one scene.",
        "motion_blur", (Arrangement(("{scene}/blur/{id}",), "{scene}/sharp/{id}"),), pairs, pairs, part,
    )  # fmt: skip


def _hide(inputs: tuple[str, ...], pairs: int) -> Layout:
    return Layout(
        "Shen et al., Human-aware motion deblurring (HIDE), ICCV 2019. As shipped: train/, test/test-close-ups/ and "
        "test/test-long-shot/, with the sharp images of all under the same names in GT/.",
        "motion_blur", (Arrangement(inputs, "GT/{id}"),), pairs, spare_targets=True,
    )  # fmt: skip


def _uhdrr4k(part: str, pairs: int) -> Layout:
    return Layout(
        "Zhang et al., Benchmarking ultra-high-definition image reflection removal, 2023. Sure: the number of pairs. "
        "Assumed, after the authors' code: blended/, transmission_layer/ and reflection_layer/ with equal names.",
        "reflection", (Arrangement(("blended/{id}",), "transmission_layer/{id}", "reflection_layer/{id}"),), pairs,
        part=part,
    )  # fmt: skip


def _rain13k(part: str, pairs: int) -> Layout:
    return Layout(
        "Chen et al., Towards ultra-high-definition image deraining (4K-Rain13k), 2024. As the authors' code reads it: "
        "input/ and target/ with equal names. Assumed: gt/ in some copies.",
        "rain", (Arrangement(("input/{id}",), "target/{id}"), Arrangement(("input/{id}",), "gt/{id}")), pairs,
        part=part,
    )  # fmt: skip


def _raindrop_clarity(part: str, pairs: int) -> Layout:
    return Layout(
        "Jin et al., Raindrop Clarity, ECCV 2024 (github.com/jinyeying/RaindropClarity). As the authors' loader reads "
        f"it: Drop/00001/ and Clear/00001/, a folder for each scene, in {part}/; Blur/, the blurred background without "
        "drops, is not used. The authors' analyse/cal_rf_bf.py counts the pairs, with day and night exchanged for "
        "training; the README's totals, 5442 by day and 9744 by night, tell which is which. Assumed: equal names in "
        "Drop/ and Clear/" + ("." if part.endswith("Train") else "; the test has Clear/, as the training part."),
        "raindrop", (Arrangement(("Drop/{scene}/{id}",), "Clear/{scene}/{id}"),), pairs, part=part,
    )  # fmt: skip


def _realblur(part: str) -> Layout:
    return Layout(
        "Rim et al., Real-world blur dataset for learning and benchmarking deblurring algorithms (RealBlur), ECCV 2020 "
        f"(github.com/rimchang/RealBlur). As the authors' lists name the files: {part}/scene230/blur/blur_7.png and "
        "gt/gt_7.png. The pairs of both lists, training and test, lie in the same folder: to use one list, link its "
        "files into a folder of their own and state its number. Assumed, after MISCFilter: 3758 pairs for training and "
        "980 for the test, and no others.",
        "motion_blur", (Arrangement(("{scene}/blur/blur_{id:d}",), "{scene}/gt/gt_{id:d}"),), 4738, part=part,
    )  # fmt: skip


def _openrr5k(part: str, pairs: int, says: str, *targets: str) -> Layout:
    return Layout(
        "Cai et al., OpenRR-5k: a large-scale benchmark for reflection removal in the wild, MIPR 2025 "
        f"(github.com/caijie0620/OpenRR-5k). As the authors state: {pairs} pairs. {says}",
        "reflection", tuple(Arrangement(("blended/{id}",), f"{target}/{{id}}") for target in targets), pairs,
        part=part,
    )  # fmt: skip


def _gt_rain(part: str, pairs: int) -> Layout:
    return Layout(
        "Ba et al., Not just streaks: towards ground truth for single image deraining (GT-RAIN), ECCV 2022 "
        f"(github.com/UCLA-VMG/GT-RAIN). As the authors' code reads it: {part}/Oinari_0-0/*-R-000.png and so on, one "
        "*-C-000.png for all of a scene; 31524 pairs with the validation. Assumed, after others: 26124 for training, "
        "3300 for validation, 2100 for the test, which add up. GT-RAIN_val has no layout: its scene Gurutto_1-2 has a "
        "clean image for each rainy one. Assumed: no other part has that scene.",
        "rain", (Arrangement(("{scene}/{name}-R-{id:d}",), "{scene}/{name}-C-000"),), pairs, part=part,
    )  # fmt: skip


def _foundir(part: str, task: str, pairs: int) -> Layout:
    return Layout(
        "Li et al., FoundIR: unleashing million-scale training data, ICCV 2025 (github.com/House-Leo/FoundIR). As the "
        f"authors lay out the test: {part}/LQ/ and {part}/GT/, where equal names may have different suffixes. The "
        "number of pairs is that of the test, by the authors' list. Assumed: the training set has the same folders, "
        "whose number you state" + ("; all of the blur is motion." if task == "motion_blur" else "."),
        task, (Arrangement(("LQ/{id}",), "GT/{id}"),), pairs, part=part,
    )  # fmt: skip


def _outdoor_rain(part: str, pairs: int, targets: int | None, says: str) -> Layout:
    return Layout(
        "Li et al., Heavy rain image restoration (Outdoor-Rain), CVPR 2019 (github.com/liruoteng/HeavyRainRemoval). As "
        f"the authors' code writes and ships it: in/im_0001_s80_a04.png for gt/im_0001.png, in {part}/. {says}",
        "rain",
        (
            Arrangement(("in/im_{id:d}_s*_a*",), "gt/im_{id:d}"),
            Arrangement(("data/im_{id:d}_s*_a*",), "gt/im_{id:d}"),
        ), pairs, targets, part,
    )  # fmt: skip


LAYOUTS: dict[str, Layout] = {
    "plain": Layout(
        "Your own: input/ and target/ with equal names; folders may lie below them.",
        None, (Arrangement(("input/{id:path}",), "target/{id:path}"),),
    ),
    "unpaired": Layout(
        "Your own: degraded photographs in input/, or right in the root, of which no clean ones exist.",
        None, (Arrangement(("input/{id:path}",)), Arrangement(("{id}",))),
    ),
    "masked": Layout(
        "Your own: photographs in photo/ and their masks, white where something is missing, in mask/ with equal names; "
        "or degraded ones in input/, clean ones in target/, masks in mask/.",
        "inpainting", (
            Arrangement(("photo/{id:path}",), mask="mask/{id:path}"),
            Arrangement(("input/{id:path}",), "target/{id:path}", mask="mask/{id:path}"),
        ),
    ),
    "rain100L-train": _rain100("train", f"{_JORDER}. As shipped first: RainTrainL, 200 pairs.", 200),
    "rain100L-test": _rain100("test", f"{_JORDER}. As shipped first: Rain100L, 100 pairs; its clean images are those "
                              "of Rain100H, and all of them are in BSDS500.", 100),
    "rain100H-train": _rain100("train", f"{_JORDER}. As shipped first: RainTrainH, 1800 pairs, 546 of which show "
                               "scenes of the test.", 1800),
    "rain100H-test": _rain100("test", f"{_JORDER}. As shipped first: Rain100H, 100 pairs.", 100),
    "rain800-train": _rain800("training", 700),
    "rain800-test": _rain800("test_syn", 100),
    "rain1400-train": _rain1400("training", 12600, 900),
    "rain1400-test": _rain1400("testing", 1400, 100),
    "4k-rain13k-train": _rain13k("train", 12500),
    "4k-rain13k-test": _rain13k("test", 500),
    "spa-data-train": Layout(
        "Wang et al., Spatial attentive single-image deraining with a high quality real rain dataset (SPA-Data), CVPR "
        "2019 (github.com/stevewongv/SPANet). As the authors state: real_world/000/000-f/000-f_x_y.png, f the frame, "
        "x and y the place. Assumed, after others' loaders: real_world_gt/000/000_x_y.png for all frames; 638492 "
        "pairs, as later papers count them. One loader skips 274/274-14, whose files lie in the wrong folder.",
        "rain", (
            Arrangement(("real_world/{scene}/*/{scene}-*_{x:d}_{y:d}",), "real_world_gt/{scene}/{scene}_{x:d}_{y:d}"),
        ), 638492,
    ),
    "spa-data-test": Layout(
        "As spa-data-train, real_test_1000: 1000 pairs. Assumed, after others' loaders: rain/000.png and gt/000gt.png.",
        "rain", (Arrangement(("rain/{id:d}",), "gt/{id:d}gt"),), 1000, part="real_test_1000",
    ),
    "gt-rain-train": _gt_rain("GT-RAIN_train", 26124),
    "gt-rain-test": _gt_rain("GT-RAIN_test", 2100),
    "outdoor-rain-train": _outdoor_rain(
        "train", 9000, 600,
        "There are 15 for each of 600; streak/, trans/ and atm/ are not used. Assumed: some copies call in/ data/.",
    ),
    "outdoor-rain-test": _outdoor_rain(
        "Test1", 750, None,
        "Assumed: 750 pairs, the number in TransWeather's copy, which calls in/ data/.",
    ),
    "foundir-rain": _foundir("10Rain", "rain", 100),
    "foundir-nightrain": _foundir("12NightRain", "rain", 50),
    "reside-its": Layout(
        f"{_RESIDE}. As shipped: hazy/1_1_0.90179.png for clear/1.png, ten for each; trans/ is not used.",
        "haze", (
            Arrangement(("hazy/{id:d}_*",), "clear/{id:d}"), Arrangement(("ITS_hazy/{id:d}_*",), "ITS_clear/{id:d}"),
        ), 13990, 1399, centre=True,
    ),
    "reside-ots": Layout(
        f"{_RESIDE}. As shipped: hazy/0005_0.8_0.04.jpg for clear/0005.jpg, 35 for each; depth is not used. Assumed: "
        "the whole alpha version, whose hazy images come in parts that are unpacked into one folder.",
        "haze", (
            Arrangement(("hazy/{id:d}_*",), "clear/{id:d}"), Arrangement(("OTS/{id:d}_*",), "clear_images/{id:d}"),
            Arrangement(("hazy/{folder}/{id:d}_*",), "clear/{id:d}"),
        ), 313950, 8970, centre=True,
    ),
    "sots-indoor": _sots("indoor", 50, "As shipped: hazy/1400_1.png to 1400_10.png for gt/1400.png in nyuhaze500/ or "
                         "indoor/; gt is larger by 10 pixels all around and is cut, as published figures have it."),
    "sots-outdoor": _sots("outdoor", 492, "As shipped: hazy/0001_0.8_0.2.jpg for gt/0001.png in outdoor/."),
    "o-haze": Layout(
        "Ancuti et al., O-HAZE: a dehazing benchmark with real hazy and haze-free outdoor images, CVPRW 2018. As "
        "shipped: hazy/01_outdoor_hazy.jpg and GT/01_outdoor_GT.jpg.",
        "haze", (Arrangement(("hazy/{id:d}_outdoor_hazy",), "GT/{id:d}_outdoor_GT"),), 45, 45,
    ),
    "nh-haze": Layout(
        "Ancuti et al., NH-HAZE: an image dehazing benchmark with non-homogeneous hazy and haze-free images, CVPRW "
        "2020. As the authors state: 55 pairs. Assumed, after others' loaders: 01_hazy.png and 01_GT.png side by side.",
        "haze", (Arrangement(("{id:d}_hazy",), "{id:d}_GT"),), 55, 55,
    ),
    "dense-haze": Layout(
        "Ancuti et al., Dense-Haze: a benchmark for image dehazing with dense-haze and haze-free images, ICIP 2019. As "
        "the report of NTIRE 2019 states: 55 pairs; the paper has 33. Assumed, after others' loaders: "
        "hazy/01_hazy.png and GT/01_GT.png in Dense_Haze_NTIRE19/.",
        "haze", (Arrangement(("hazy/{id:d}_hazy",), "GT/{id:d}_GT"),), 55, 55,
    ),
    "foundir-haze": _foundir("08Haze", "haze", 200),
    "sir2-objects": _sir2("SolidObjectDataset", 200),
    "sir2-postcard": _sir2("PostcardDataset", 199),
    "sir2-wild": _sir2("WildSceneDataset", 55),
    "real20": Layout(
        "Zhang et al., Single image reflection separation with perceptual losses, CVPR 2018. As shipped: blended/3.jpg "
        "and transmission_layer/3.jpg; the test has 20 pairs.",
        "reflection", (Arrangement(("blended/{id}",), "transmission_layer/{id}"),), 20, part="test",
    ),
    "real89": Layout(
        "As real20, the part for training. Assumed: 89 pairs; some papers count 90.",
        "reflection", (Arrangement(("blended/{id}",), "transmission_layer/{id}"),), 89, part="train",
    ),
    "ceilnet": Layout(
        "Fan et al., A generic deep architecture for single image reflection removal (CEILNet), ICCV 2017, "
        "testdata_reflection_synthetic_table2. As shipped: 2007_003506-input.png, -label1.png (background) and "
        "-label2.png (reflection); or in ERRNet's folders.",
        "reflection", (
            Arrangement(("{id}-input",), "{id}-label1", "{id}-label2"),
            Arrangement(("blended/{id}",), "transmission_layer/{id}", "reflection_layer/{id}"),
        ), 100,
    ),
    "ceilnet-real": Layout(
        "As ceilnet, testdata_reflection_real: 45 photographs through glass as *-input, without clean ones.",
        "reflection", (Arrangement(("{id}-input",)),), 45,
    ),
    "uhdrr4k-train": _uhdrr4k("train", 2999),
    "uhdrr4k-test": _uhdrr4k("test", 168),
    "nature20": Layout(
        "Li et al., Single image reflection removal through cascaded refinement (IBCLN), CVPR 2020, the test of its "
        "Nature set. As DSRNet passes it on: 20 pairs. Assumed, after users of that copy: "
        "Nature/blended/1_143.jpg and Nature/transmission_layer/ with equal names. IBCLN's own archive may differ.",
        "reflection", (Arrangement(("blended/{id}",), "transmission_layer/{id}"),), 20, part="Nature",
    ),
    "openrr-5k-train": _openrr5k(
        "trian_5k", 5000, "Assumed, after others' loaders: blended/ and transmission_layer/ with equal names in "
        "trian_5k/, as the archive is called.", "transmission_layer",
    ),
    "openrr-5k-val": _openrr5k(
        "val_300", 300, "val_300_blended.zip and val_300_transmission.zip must be unpacked into one folder. Assumed: "
        "blended/, and transmission_layer/ or transmission/ with equal names, in val_300/.",
        "transmission_layer", "transmission",
    ),
    "raindrop-train": _raindrop("train", 861),
    "raindrop-test_a": _raindrop("test_a", 58),
    "raindrop-test_b": _raindrop("test_b", 249),
    "raindrop-clarity-day-train": _raindrop_clarity("DayRainDrop_Train", 4713),
    "raindrop-clarity-day-test": _raindrop_clarity("DayRainDrop_Test", 729),
    "raindrop-clarity-night-train": _raindrop_clarity("NightRainDrop_Train", 8655),
    "raindrop-clarity-night-test": _raindrop_clarity("NightRainDrop_Test", 1089),
    "foundir-raindrop": _foundir("11Raindrop", "raindrop", 100),
    "gopro-train": _gopro("train", 2103),
    "gopro-test": _gopro("test", 1111),
    "hide-train": _hide(("train/{id}",), 6397),
    "hide-test": _hide(("test/test-close-ups/{id}", "test/test-long-shot/{id}"), 2025),
    "realblur-j": _realblur("RealBlur-J_ECC_IMCORR_centroid_itensity_ref"),
    "realblur-r": _realblur("RealBlur-R_BM3D_ECC_IMCORR_centroid_itensity_ref"),
    "rsblur": Layout(
        "Rim et al., Realistic blur synthesis for learning image deblurring (RSBlur), ECCV 2022 "
        "(github.com/rimchang/RSBlur). As the authors state: 13358 pairs, 0001/000001/real_blur/real_blur.png and "
        "0001/000001/gt/gt_sharp.png; avg65_img/, a synthetic blur, and its mask are not used. The authors' lists "
        "split them into training, validation and test, all in the same folder: to use one list, link its files into "
        "a folder of their own and state its number. Assumed: the pairs in one first folder count as one scene.",
        "motion_blur", (Arrangement(("{scene}/{id}/real_blur/real_blur",), "{scene}/{id}/gt/gt_sharp"),), 13358, 13358,
    ),
    "foundir-blur": _foundir("01Blur", "motion_blur", 150),
}  # fmt: skip

_PARIS = "Doersch et al., What makes Paris look like Paris?, 2012, as the authors of Context Encoders pass it on"

PHOTO_LAYOUTS: dict[str, PhotoLayout] = {
    "places2-val": PhotoLayout(
        "Zhou et al., Places, TPAMI 2018. As shipped: val_large/ or val_256/ with Places365_val_00000001.jpg.",
        ("Places365_val_{id:d}",), 36500,
    ),
    "places2-train": PhotoLayout(
        "Places2 for training. As shipped: data_large/ or data_256/ with a folder for each letter and category.",
        ("data_large/{id:path}", "data_256/{id:path}"),
    ),
    "celeba": PhotoLayout(
        "Liu et al., Deep learning face attributes in the wild (CelebA), ICCV 2015. As shipped: "
        "img_align_celeba/000001.jpg, 178 x 218 pixels, so that photos.min_side must be 178 or less.",
        ("img_align_celeba/{id:d}", "img_celeba/{id:d}"), 202599,
    ),
    "paris-train": PhotoLayout(
        f"{_PARIS}. As shipped: paris_train_original/, 14900 photographs.", ("paris_train_original/{id:path}",), 14900,
    ),
    "paris-eval": PhotoLayout(
        f"{_PARIS}. As shipped: paris_eval_gt/001_im.png; paris_eval_corrupted/ is not used.",
        ("paris_eval_gt/{id}",), 100,
    ),
}  # fmt: skip


def get_layout(name: str) -> Layout:
    """The layout of a set of pairs; RestorekitError with the nearest names for an unknown name."""
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]


def get_photo_layout(name: str) -> PhotoLayout:
    """The layout of a set of clean photographs."""
    if name not in PHOTO_LAYOUTS:
        raise unknown_name("layout of photographs", name, PHOTO_LAYOUTS)
    return PHOTO_LAYOUTS[name]
