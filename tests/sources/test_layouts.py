"""Layouts of public sets: names alone decide which files belong together, and the others are reported."""

import re

import pytest

from restorekit.errors import RestorekitError
from restorekit.layouts import LAYOUTS, PHOTO_LAYOUTS, get_layout, get_photo_layout
from restorekit.sources.matching import match_names, match_photographs, resembling

# (input, clean image, layer, scene) of every layout, with the names that its authors use.
Row = tuple[str, str | None, str | None, str]
EXAMPLES: dict[str, list[list[Row]]] = {
    "plain": [
        [("input/a.webp", "target/a.png", None, "a"), ("input/b/a.JPG", "target/b/a.png", None, "b/a")],
    ],
    "unpaired": [[("input/x.jpg", None, None, "x")], [("x.jpg", None, None, "x"), ("y.png", None, None, "y")]],
    "rain100L-train": [
        [("RainTrainL/rain-1.png", "RainTrainL/norain-1.png", None, "norain-1")],
        [("train/rain/X2/norain-1x2.png", "train/norain/norain-1.png", None, "norain-1")],
    ],
    "rain100L-test": [
        [("rain-001.png", "norain-001.png", None, "norain-001")],
        [("Rain100L/rainy/rain-001.png", "Rain100L/norain-001.png", None, "norain-001")],
        [("test/input/rain-001.png", "test/target/rain-001.png", None, "rain-001")],
    ],
    "rain100H-train": [[("rain/norain-1x2.png", "norain/norain-1.png", None, "norain-1")]],
    "rain100H-test": [[("rain-100.png", "norain-100.png", None, "norain-100")]],
    "rain800-train": [[("training/1.jpg", "training/1.jpg", None, "1")], [("7.jpg", "7.jpg", None, "7")]],
    "rain800-test": [[("rain/test_syn/1.jpg", "rain/test_syn/1.jpg", None, "1")]],
    "rain1400-train": [
        [("rainy_image/1_1.jpg", "ground_truth/1.jpg", None, "1"),
         ("rainy_image/1_14.jpg", "ground_truth/1.jpg", None, "1")],
    ],
    "rain1400-test": [[("testing/rainy_image/901_1.jpg", "testing/ground_truth/901.jpg", None, "901")]],
    "4k-rain13k-train": [[("train/input/1.png", "train/target/1.png", None, "1")]],
    "4k-rain13k-test": [[("test/input/1.png", "test/gt/1.png", None, "1")]],
    "reside-its": [
        [("hazy/1_1_0.90179.png", "clear/1.png", None, "1"), ("hazy/1_10_0.98796.png", "clear/1.png", None, "1")],
    ],
    "reside-ots": [
        [("hazy/0005_0.8_0.04.jpg", "clear/0005.jpg", None, "0005")],
        [("hazy/part1/0005_0.8_0.04.jpg", "clear/0005.jpg", None, "0005")],
    ],
    "sots-indoor": [
        [("SOTS/indoor/nyuhaze500/hazy/1400_1.png", "SOTS/indoor/nyuhaze500/gt/1400.png", None, "1400")],
        [("hazy/1400_1_0.8.png", "clear/1400.png", None, "1400")],
    ],
    "sots-outdoor": [[("outdoor/hazy/0001_0.8_0.2.jpg", "outdoor/gt/0001.png", None, "0001")]],
    "o-haze": [[("hazy/01_outdoor_hazy.JPG", "GT/01_outdoor_GT.jpg", None, "01_outdoor_GT")]],
    "sir2-objects": [
        [("SIR2/SolidObjectDataset/blended/1.png", "SIR2/SolidObjectDataset/transmission_layer/1.png",
          "SIR2/SolidObjectDataset/reflection_layer/1.png", "1")],
    ],
    "sir2-postcard": [
        [("PostcardDataset/Focus/1-m-2.png", "PostcardDataset/Focus/1-g-2.png", "PostcardDataset/Focus/1-r-2.png",
          "Focus/1")],
    ],
    "sir2-wild": [
        [("WildSceneDataset/withgt/1/m.jpg", "WildSceneDataset/withgt/1/g.jpg", "WildSceneDataset/withgt/1/r.jpg",
          "withgt/1")],
        [("1/m.jpg", "1/g.jpg", "1/r.jpg", "1"), ("2/m.jpg", "2/g.jpg", "2/r.jpg", "2")],
    ],
    "real20": [[("test/blended/3.jpg", "test/transmission_layer/3.jpg", None, "3")]],
    "real89": [[("train/blended/1.jpg", "train/transmission_layer/1.jpg", None, "1")]],
    "ceilnet": [
        [("2007_003506-input.png", "2007_003506-label1.png", "2007_003506-label2.png", "2007_003506-label1")],
        [("blended/1.png", "transmission_layer/1.png", "reflection_layer/1.png", "1")],
    ],
    "ceilnet-real": [[("qingnan-new2-1-input.jpg", None, None, "qingnan-new2-1-input")]],
    "uhdrr4k-train": [
        [("train/blended/1.png", "train/transmission_layer/1.png", "train/reflection_layer/1.png", "1")],
    ],
    "uhdrr4k-test": [[("blended/1.png", "transmission_layer/1.png", "reflection_layer/1.png", "1")]],
    "raindrop-train": [[("train/data/0_rain.png", "train/gt/0_clean.png", None, "0_clean")]],
    "raindrop-test_a": [[("data/0_rain.png", "gt/0_clean.png", None, "0_clean")]],
    "raindrop-test_b": [[("test_b/data/0_rain.jpg", "test_b/gt/0_clean.jpg", None, "0_clean")]],
    "gopro-train": [
        [("train/GOPR0372_07_00/blur/000047.png", "train/GOPR0372_07_00/sharp/000047.png", None, "GOPR0372_07_00")],
    ],
    "gopro-test": [
        [("GOPR0384_11_00/blur/000001.png", "GOPR0384_11_00/sharp/000001.png", None, "GOPR0384_11_00"),
         ("GOPR0384_11_05/blur/000001.png", "GOPR0384_11_05/sharp/000001.png", None, "GOPR0384_11_05")],
    ],
    "hide-train": [[("HIDE/train/1.png", "HIDE/GT/1.png", None, "1")]],
    "hide-test": [
        [("test/test-close-ups/1.png", "GT/1.png", None, "1"), ("test/test-long-shot/2.png", "GT/2.png", None, "2")],
    ],
    "spa-data-train": [
        [("real_world/000/000-1/000-1_0_256.png", "real_world_gt/000/000_0_256.png", None, "000"),
         ("real_world/000/000-12/000-12_0_256.png", "real_world_gt/000/000_0_256.png", None, "000"),
         ("real_world/001/001-1/001-1_0_256.png", "real_world_gt/001/001_0_256.png", None, "001")],
    ],
    "spa-data-test": [
        [("real_test_1000/rain/000.png", "real_test_1000/gt/000gt.png", None, "000gt")],
        [("rain/999.png", "gt/999gt.png", None, "999gt")],
    ],
    "gt-rain-train": [
        [("GT-RAIN_train/Albergo_0-0/Albergo_0-0-Webcam-R-000.png",
          "GT-RAIN_train/Albergo_0-0/Albergo_0-0-Webcam-C-000.png", None, "Albergo_0-0"),
         ("GT-RAIN_train/Albergo_0-0/Albergo_0-0-Webcam-R-007.png",
          "GT-RAIN_train/Albergo_0-0/Albergo_0-0-Webcam-C-000.png", None, "Albergo_0-0")],
    ],
    "gt-rain-test": [
        [("Oinari_0-0/Oinari_0-0-Webcam-R-000.png", "Oinari_0-0/Oinari_0-0-Webcam-C-000.png", None, "Oinari_0-0"),
         ("Winter_Garden_0-4/Winter_Garden_0-1-Webcam-R-000.png",
          "Winter_Garden_0-4/Winter_Garden_0-1-Webcam-C-000.png", None, "Winter_Garden_0-4")],
    ],
    "outdoor-rain-train": [
        [("train/in/im_0001_s80_a04.png", "train/gt/im_0001.png", None, "im_0001"),
         ("train/in/im_0001_s100_a06.png", "train/gt/im_0001.png", None, "im_0001")],
    ],
    "outdoor-rain-test": [
        [("synthetic/Test1/in/im_0004_s80_a04.png", "synthetic/Test1/gt/im_0004.png", None, "im_0004")],
        [("data/im_0001_s80_a04.png", "gt/im_0001.png", None, "im_0001")],
    ],
    "foundir-rain": [[("10Rain/LQ/0801.png", "10Rain/GT/0801.png", None, "0801")]],
    "foundir-nightrain": [[("12NightRain/LQ/1001.png", "12NightRain/GT/1001.png", None, "1001")]],
    "foundir-haze": [[("08Haze/LQ/0501.jpg", "08Haze/GT/0501.jpg", None, "0501")]],
    "foundir-raindrop": [[("LQ/0901.JPG", "GT/0901.png", None, "0901")]],
    "foundir-blur": [[("01Blur/LQ/0001.png", "01Blur/GT/0001.png", None, "0001")]],
    "nh-haze": [[("NH-HAZE/01_hazy.png", "NH-HAZE/01_GT.png", None, "01_GT")]],
    "dense-haze": [
        [("Dense_Haze_NTIRE19/hazy/01_hazy.png", "Dense_Haze_NTIRE19/GT/01_GT.png", None, "01_GT")],
    ],
    "nature20": [[("Nature/blended/1_143.jpg", "Nature/transmission_layer/1_143.jpg", None, "1_143")]],
    "openrr-5k-train": [[("trian_5k/blended/1.jpg", "trian_5k/transmission_layer/1.jpg", None, "1")]],
    "openrr-5k-val": [
        [("val_300/blended/1.jpg", "val_300/transmission_layer/1.jpg", None, "1")],
        [("val_300/blended/1.jpg", "val_300/transmission/1.jpg", None, "1")],
    ],
    "raindrop-clarity-day-train": [
        [("DayRainDrop_Train/Drop/00001/00001.png", "DayRainDrop_Train/Clear/00001/00001.png", None, "00001"),
         ("DayRainDrop_Train/Drop/00002/00001.png", "DayRainDrop_Train/Clear/00002/00001.png", None, "00002")],
    ],
    "raindrop-clarity-day-test": [[("Drop/00007/00001.png", "Clear/00007/00001.png", None, "00007")]],
    "raindrop-clarity-night-train": [
        [("NightRainDrop_Train/Drop/00001/00001.png", "NightRainDrop_Train/Clear/00001/00001.png", None, "00001")],
    ],
    "raindrop-clarity-night-test": [
        [("NightRainDrop_Test/Drop/00060/00001.png", "NightRainDrop_Test/Clear/00060/00001.png", None, "00060")],
    ],
    "realblur-j": [
        [("RealBlur-J_ECC_IMCORR_centroid_itensity_ref/scene230/blur/blur_7.png",
          "RealBlur-J_ECC_IMCORR_centroid_itensity_ref/scene230/gt/gt_7.png", None, "scene230")],
    ],
    "realblur-r": [[("scene015/blur/blur_21.png", "scene015/gt/gt_21.png", None, "scene015")]],
    "rsblur": [
        [("RSBlur/0001/000022/real_blur/real_blur.png", "RSBlur/0001/000022/gt/gt_sharp.png", None, "0001"),
         ("RSBlur/0001/000023/real_blur/real_blur.png", "RSBlur/0001/000023/gt/gt_sharp.png", None, "0001"),
         ("RSBlur/0019/003082/real_blur/real_blur.png", "RSBlur/0019/003082/gt/gt_sharp.png", None, "0019")],
    ],
    "masked": [
        [("photo/x.jpg", "photo/x.jpg", None, "x"), ("photo/b/y.jpg", "photo/b/y.jpg", None, "b/y")],
        [("input/x.png", "target/x.png", None, "x")],
    ],
}  # fmt: skip
MASKS = {"photo/x.jpg": "mask/x.png", "photo/b/y.jpg": "mask/b/y.webp", "input/x.png": "mask/x.png"}
ALL = [(name, rows) for name, examples in EXAMPLES.items() for rows in examples]


def names_of(rows: list[Row]) -> list[str]:
    """All files of the rows, with the masks of some of them."""
    files = {name for row in rows for name in row[:3] if name is not None}
    return sorted(files | {MASKS[row[0]] for row in rows if row[0] in MASKS})


def test_every_layout_has_an_example() -> None:
    assert set(EXAMPLES) == set(LAYOUTS)


@pytest.mark.parametrize("layout, rows", ALL)
@pytest.mark.parametrize("above", ["", "data/sets"])
def test_what_belongs_together_is_found(layout: str, rows: list[Row], above: str) -> None:
    def placed(name: str | None) -> str | None:
        return f"{above}/{name}" if above and name else name

    matched = match_names(LAYOUTS[layout], [placed(name) or "" for name in names_of(rows)])
    assert matched.problems == ()
    found = [(pair.input, pair.target, pair.layer, pair.scene) for pair in matched.pairs]
    assert found == sorted((placed(a), placed(b), placed(c), scene) for a, b, c, scene in rows)
    keys = [pair.key for pair in matched.pairs]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in keys)


@pytest.mark.parametrize("layout, rows", ALL)
def test_neither_order_nor_other_files_change_anything(layout: str, rows: list[Row]) -> None:
    names = names_of(rows)
    noise = ["readme.txt", "input/list.csv", "blended/Thumbs.db"]
    assert match_names(LAYOUTS[layout], names[::-1] + noise) == match_names(LAYOUTS[layout], names)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_target_is_named_by_what_its_input_names(layout: str) -> None:
    for arrangement in LAYOUTS[layout].arrangements:
        for template in (arrangement.target, arrangement.layer, arrangement.mask):
            for source in arrangement.inputs if template else ():
                assert set(re.findall(r"\{(\w+)", template or "")) <= set(re.findall(r"\{(\w+)", source))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_states_its_source(layout: str) -> None:
    form = LAYOUTS[layout]
    assert len(form.says) > 20
    assert form.task is not None or layout in ("plain", "unpaired")


@pytest.mark.parametrize(
    "layout, names, says, named",
    [
        ("rain100L-test", ["rain-2.png"], "without a clean one", "rain-2.png"),
        ("rain100L-test", ["norain-2.png"], "without a degraded one", "norain-2.png"),
        ("rain100L-test", ["norain-1.jpg"], "twice", "norain-1.jpg, norain-1.png"),
        ("rain100L-test", ["rain_2.png"], "named otherwise", "rain_2.png"),
    ],
)  # fmt: skip
def test_every_name_without_a_place_is_told(layout: str, names: list[str], says: str, named: str) -> None:
    matched = match_names(LAYOUTS[layout], ["rain-1.png", "norain-1.png", *names])
    (problem,) = matched.problems
    assert says in problem.fault
    assert problem.names == (named,)


def test_a_layer_that_only_some_have_is_told() -> None:
    names = ["a-input.png", "a-label1.png", "a-label2.png", "b-input.png", "b-label1.png"]
    (problem,) = match_names(LAYOUTS["ceilnet"], names).problems
    assert (problem.fault, problem.names) == ("degraded images without a layer, which others have", ("b-input.png",))
    assert match_names(LAYOUTS["ceilnet"], names[3:]).problems == ()


def test_the_part_decides_where_there_are_several() -> None:
    names = [
        f"{part}/{kind}/0_{what}.png"
        for part in ("train", "test_a")
        for kind, what in (("data", "rain"), ("gt", "clean"))
    ]
    assert match_names(LAYOUTS["raindrop-train"], names).folder == "train"
    assert match_names(LAYOUTS["raindrop-test_a"], names).folder == "test_a"
    matched = match_names(LAYOUTS["raindrop-test_b"], names)
    assert matched.pairs == ()
    assert matched.problems[0].names == ("test_a", "train")


@pytest.mark.parametrize(
    "layout, folder, ours, others",
    [
        ("realblur-r", "RealBlur-R_BM3D_ECC_IMCORR_centroid_itensity_ref", "{}/s1/{}/{}_1.png", ("blur", "gt")),
        ("foundir-haze", "08Haze", "{}/{}/0501.jpg", ("LQ", "GT")),
        ("raindrop-clarity-night-train", "NightRainDrop_Train", "{}/{}/00001/00001.png", ("Drop", "Clear")),
    ],
)  # fmt: skip
def test_sets_that_come_in_one_folder_are_told_apart(
    layout: str, folder: str, ours: str, others: tuple[str, str]
) -> None:
    names = [ours.format(part, kind, kind) for part in (folder, "another", "a-third") for kind in others]
    assert match_names(LAYOUTS[layout], names).folder == folder
    assert match_names(LAYOUTS[layout], names).problems == ()


def test_files_that_are_shipped_but_not_used_are_no_mistake() -> None:
    unused = {
        "raindrop-clarity-day-train": ["Drop/1/1.png", "Clear/1/1.png", "Blur/1/1.png"],
        "rsblur": [
            *("1/2/real_blur/real_blur.png", "1/2/gt/gt_sharp.png"),
            *("1/2/avg65_img/avg_blur.png", "1/2/avg65_mask_100/avg_blur.png"),
        ],
        "outdoor-rain-train": ["in/im_0001_s80_a04.png", "gt/im_0001.png", "streak/im_0001_s80_a04.png"],
    }
    for layout, names in unused.items():
        matched = match_names(LAYOUTS[layout], names)
        assert (len(matched.pairs), matched.problems) == (1, ()), layout


def test_targets_that_belong_to_another_part_are_no_mistake() -> None:
    names = ["train/1.png", "test/test-close-ups/2.png", "GT/1.png", "GT/2.png"]
    assert [pair.target for pair in match_names(LAYOUTS["hide-train"], names).pairs] == ["GT/1.png"]
    assert match_names(LAYOUTS["hide-train"], names).problems == ()


def test_keys_that_would_be_alike_are_told_apart() -> None:
    names = ["input/a.b.png", "input/a_b.png", "target/a.b.png", "target/a_b.png"]
    keys = {pair.key for pair in match_names(LAYOUTS["plain"], names).pairs}
    assert len(keys) == 2
    assert all(key.startswith("a_b_") for key in keys)


def test_a_folder_of_another_layout_is_recognised() -> None:
    for layout, rows in ALL:
        if layout not in ("unpaired", "rain800-train"):
            most = resembling(names_of(rows), LAYOUTS, count=len(LAYOUTS))
            assert layout in most or most == ["plain"], layout
    assert resembling(["a.png", "b.png"], LAYOUTS) == []


def test_photographs_are_those_of_the_set() -> None:
    names = ["val_large/Places365_val_00000001.jpg", "places_devkit/x.jpg", "val_large/Places365_val_1.txt"]
    assert match_photographs(PHOTO_LAYOUTS["places2-val"], names) == (names[0],)
    names = ["paris/paris_eval_gt/001_im.png", "paris/paris_eval_corrupted/001_im.png"]
    assert match_photographs(PHOTO_LAYOUTS["paris-eval"], names) == (names[0],)
    assert match_photographs(PHOTO_LAYOUTS["celeba"], ["img_align_celeba/000001.jpg", "x/000001.jpg"]) == (
        "img_align_celeba/000001.jpg",
    )


def test_unknown_layouts_are_told_with_the_nearest() -> None:
    with pytest.raises(RestorekitError, match="did you mean 'rain100L-test'"):
        get_layout("rain100Ltest")
    with pytest.raises(RestorekitError, match="did you mean 'celeba'"):
        get_photo_layout("celebA")
