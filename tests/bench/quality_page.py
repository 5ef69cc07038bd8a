"""The page of `make bench-quality`: a table a set, published figures beside it, the best and the worst pictures."""

import html
from pathlib import Path
from typing import Any

from restorekit.files import write_atomically
from tests.bench.quality_opponents import OPPONENTS

SHOWN = 3  # pictures of each end

# Figures of others, by task: what their authors report, with the protocol, which is not ours.
PUBLISHED = {
    "rain": (
        "Rain100L and Rain100H, all 100 images, trained on the set's own training pairs, PSNR and SSIM on luma: PReNet "
        "37.48 / .979 and 29.46 / .899 (Ren et al., CVPR 2019); JORDER 36.61 / .974 and 26.54 / .835 (Yang et al., "
        "CVPR 2017)"
    ),
    "haze": (
        "SOTS indoor and outdoor, all 500 images each, trained on RESIDE, RGB: FFA-Net 36.39 / .989 and 33.57 / .984 "
        "(Qin et al., AAAI 2020); AOD-Net 19.06 / .850 and 20.29 / .877 (Li et al., ICCV 2017); dark channel 16.62 / "
        ".818 and 19.13 / .815 (He et al., CVPR 2009)"
    ),
    "reflection": (
        "Real20, all 20 images, trained on real and synthetic pairs, RGB: DMGN 20.71 / .770 (Feng et al., TIP 2021); "
        "DSRNet 24.23 / .820 (Hu and Guo, ICCV 2023)"
    ),
    "motion_blur": (
        "GoPro, all 1111 images, trained on its own pairs, RGB: DMPHN 31.20 (Zhang et al., CVPR 2019); MIMO-UNet+ "
        "32.45 / .957 (Cho et al., ICCV 2021); MPRNet 32.66 (Zamir et al., CVPR 2021)"
    ),
}
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}figure{margin:1em 0}"
)


def write_page(target: Path, tables: list[dict[str, Any]]) -> None:
    """Writes the page as a whole; pictures lie in the folder of its name beside it."""
    body = []
    for task, name in dict.fromkeys((table["task"], table["set"]) for table in tables):
        chosen = [table for table in tables if (table["task"], table["set"]) == (task, name)]
        body.append(f"<h2>{html.escape(task.replace('_', ' '))}: {html.escape(name)}, {chosen[0]['n']} images</h2>")
        body.append(_table(chosen))
        if task in PUBLISHED:
            body.append(f"<p>Published, not the same images or protocol: {html.escape(PUBLISHED[task])}.</p>")
        body += [_pictures(table) for table in chosen if table["method"] not in OPPONENTS[task]]
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Quality on public pairs</title><style>{STYLE}</style>"
        "<h1>Quality on public pairs</h1><p>Whole images, 8 bits. A gain is over the degraded image, or over holes "
        "filled by the mean colour, with the 95 % interval of the mean. Clean: the clean images through the method, "
        "against themselves. The perceptual distance, of images of at most 512 pixels, is lower where they "
        "look more alike.</p>"
        f"{''.join(body)}</html>"
    )
    with write_atomically(target) as partial:
        partial.write_text(text, encoding="utf-8")


def _table(tables: list[dict[str, Any]]) -> str:
    heads = ("method", "PSNR", "gain, dB", "PSNR, luma", "SSIM", "distance", "clean, dB", "detail", "s", "GiB")
    rows = ["".join(f"<th>{head}</th>" for head in heads)]
    for table in tables:
        scores, clean = table["scores"], table["clean"]
        psnr, (low, high) = scores["psnr_rgb"], scores["psnr_rgb"]["ci95"]
        cells = (
            html.escape(table["method"]), f"{psnr['after']:.2f}", f"{psnr['gain']:+.2f} ({low:.2f} to {high:.2f})",
            f"{scores['psnr_y']['after']:.2f}", f"{scores['ssim_rgb']['after']:.4f}", f"{scores['lpips']['after']:.4f}",
            f"{clean['clean_psnr']:.1f}" if clean else "", f"{clean['clean_detail']:.2f}" if clean else "",
            f"{table['seconds']:.2f}", f"{table['gib']:.2f}",
        )  # fmt: skip
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _pictures(table: dict[str, Any]) -> str:
    """The images that gained most and least: before, after, clean."""
    ranked = sorted(table["rows"], key=lambda row: row["before"]["psnr_rgb"] - row["after"]["psnr_rgb"])
    shown = ranked if len(ranked) <= 2 * SHOWN else [*ranked[:SHOWN], *ranked[-SHOWN:]]
    figures = []
    for row in shown:
        name = f"{table['task']}-{table['set']}-{table['method']}-{row['key']}".replace("/", "_").replace(":", "_")
        gain = row["after"]["psnr_rgb"] - row["before"]["psnr_rgb"]
        figures.append(
            f"<figure><img loading=lazy src='{html.escape(table['pictures'])}/{html.escape(name)}.jpg' alt=''>"
            f"<figcaption>{html.escape(table['method'])}, {html.escape(row['key'])}: {gain:+.2f} dB</figcaption>"
            "</figure>"
        )
    return "".join(figures)
