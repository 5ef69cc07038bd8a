"""Restores photographs of any size with a network: whole where memory allows, else streamed or in seamless tiles."""

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import cast

import numpy as np
import torch
from torch import nn

from restorekit.config import Precision
from restorekit.errors import RestorekitError
from restorekit.inference.device import computing, find_device
from restorekit.inference.self_ensemble import AS_IT_IS, View, mean_of_views
from restorekit.inference.tiling import Layout, layout_for_budget, layout_for_tile, whole
from restorekit.models.descriptor import Descriptor, StreamingModel
from restorekit.models.memory import default_budget

OnTile = Callable[[int, int], None]  # takes the tiles done and the tiles in all

_HOST_BYTES = 12  # a pixel of three float32 channels
# Pixels of the tiles that go through a network together: more take memory, and keep a GPU no busier.
_TOGETHER = {"cuda": 2**21, "cpu": 2**16}


class Restorer:
    """Restores images with one model on one device: "cpu", "cuda", or "cuda:1".

    `memory_bytes` is the memory on the device for restoration, besides the model: by default half of the free main
    memory, or 0.8 of a GPU's free memory. On the CPU the budget includes the restored image. `tile` fixes the side of
    every tile in pixels; by default the budget decides. `views` are the views of an image whose restored versions are
    averaged; n views take n times as long (see `trained_views`). `precision` is that of the network's convolutions;
    images, tiles and their sums are float32. The model is moved to the device and left in eval mode. Raises a
    RestorekitError where the device is missing.

    After a GPU ran out of memory, the restorer never again tries as much at once.
    """

    def __init__(
        self,
        model: nn.Module,
        device: str = "cpu",
        memory_bytes: int | None = None,
        tile: int | None = None,
        views: Sequence[View] = AS_IT_IS,
        precision: Precision = "fp32",
    ) -> None:
        if memory_bytes is not None and memory_bytes <= 0:
            raise RestorekitError(f"a memory budget must be above 0 bytes, not {memory_bytes}")
        self.device = find_device(device)
        self.precision = precision
        self.model = model.to(self.device).eval()
        self.descriptor: Descriptor = model.descriptor  # type: ignore[assignment]
        self.memory_bytes = memory_bytes
        self.tile = tile
        if not views:
            raise RestorekitError("a Restorer needs at least one view of the image: AS_IT_IS")
        self.views = tuple(views)
        self._most_pixels = self._most_streamed = sys.maxsize  # at once; lower after a GPU ran out of memory

    def restore(self, image: np.ndarray, mask: np.ndarray | None = None, progress: OnTile | None = None) -> np.ndarray:
        """Restores float32 (H, W, 3) sRGB in [0, 1], of one pixel or more, to the same shape and range.

        `mask` is float32 (H, W), 1 = degraded or missing; models that take masks need one, others refuse it. Pixels
        with mask 0 are returned unchanged, to the bit. `progress` is called after each tile. When a GPU runs out of
        memory, fewer tiles at once are tried, then tiles of half the side, unless `tile` fixes the side. Raises a
        RestorekitError where the smallest tile does not fit, or where the model returns values that are not finite.
        """
        self._check(image, mask)
        if self.views != AS_IT_IS:
            count = len(self.views)
            restored = mean_of_views(
                lambda seen, mask, view: self._restore(seen, mask, progress and _of_view(progress, view, count)),
                image, mask, self.views,
            )  # fmt: skip
        else:
            restored = self._restore(image, mask, progress)
        if mask is not None:
            restored = np.where((mask == 0)[..., None], image, restored)
        return np.ascontiguousarray(restored)

    def _restore(self, image: np.ndarray, mask: np.ndarray | None, progress: OnTile | None) -> np.ndarray:
        """One view restored, including the pixels that the mask leaves alone."""
        height, width = image.shape[:2]
        padded, padded_mask = self._padded(image), None if mask is None else self._padded_mask(mask)
        restored: np.ndarray | None = None
        while restored is None:
            layout = self.layout(height, width)
            together = self._tiles_together(layout, height, width)
            try:
                restored = self._restore_tiles(padded, padded_mask, layout, together, progress)
            except torch.OutOfMemoryError as error:
                self._lower_limits(layout, together, error)
            if restored is None and self.device.type == "cuda":
                torch.cuda.empty_cache()
        return restored[:height, :width]

    def layout(self, height: int, width: int) -> Layout:
        """The layout for an image of this size within the memory that is free now, and that was enough before."""
        padded_height, padded_width = self._padded_length(height), self._padded_length(width)
        if self.tile is not None:
            return layout_for_tile(padded_height, padded_width, self.tile, self.descriptor)
        budget, pixels = self._budget(height, width), padded_height * padded_width
        room = self._room(budget)
        if room < pixels and self._can_stream(padded_height, padded_width, budget):
            return whole(padded_height, padded_width, streamed=True)
        try:
            return layout_for_budget(padded_height, padded_width, room, self.descriptor)
        except RestorekitError as error:
            if self._most_pixels <= room:
                raise RestorekitError("not even the smallest tile fits into the GPU's memory: take cpu") from error
            raise RestorekitError(
                f"{error}: {max(0, budget) / 2**30:.2f} GiB are left for a tile, at {self._per_pixel} bytes a pixel; "
                f"allow more memory, free some, or make the image smaller"
            ) from error

    @property
    def _per_pixel(self) -> int:
        """Bytes for the network and for its input and output."""
        return self.descriptor.bytes_per_pixel + 2 * _HOST_BYTES

    def _room(self, budget: int) -> int:
        """The pixels that may go through the network at once."""
        return min(max(0, budget // self._per_pixel), self._most_pixels)

    def _tiles_together(self, layout: Layout, height: int, width: int) -> int:
        """The tiles that go through the network at once: as many as memory allows and as make a device faster."""
        if layout.num_tiles == 1 or not self.descriptor.batches:
            return 1
        room = min(self._room(self._budget(height, width)), _TOGETHER[self.device.type])
        return max(1, min(layout.num_tiles, room // layout.tile_pixels))

    def _budget(self, height: int, width: int) -> int:
        """Bytes for the network on an image of this size; on the CPU, without the copies held outside the network."""
        budget = default_budget(self.device) if self.memory_bytes is None else self.memory_bytes
        if self.device.type != "cpu":
            return budget
        padded_height, padded_width = self._padded_length(height), self._padded_length(width)
        copies = 1 if (padded_height, padded_width) == (height, width) else 3  # the result; padding and cropping
        copies += self.views != AS_IT_IS  # the sum over the views
        return budget - copies * _HOST_BYTES * padded_height * padded_width

    def _can_stream(self, height: int, width: int, budget: int) -> bool:
        if not self.descriptor.streams or height * width > self._most_streamed:
            return False
        needed = cast(StreamingModel, self.model).streamed_bytes(height, width)
        return needed + 2 * _HOST_BYTES * height * width <= budget

    def _lower_limits(self, layout: Layout, together: int, error: torch.OutOfMemoryError) -> None:
        """Notes that so many pixels at once do not fit, so that the next layout takes fewer.

        A RestorekitError where the user fixed the side, and one tile does not fit.
        """
        if layout.streamed:
            self._most_streamed = layout.tile_pixels - 1
        elif together > 1:
            self._most_pixels = together * layout.tile_pixels // 2
        elif self.tile is not None:
            raise RestorekitError(f"tiles of {self.tile} pixels do not fit into the GPU's memory: take less") from error
        else:
            self._most_pixels = layout.tile_pixels // 4

    def _restore_tiles(
        self, image: np.ndarray, mask: np.ndarray | None, layout: Layout, together: int, progress: OnTile | None
    ) -> np.ndarray:
        if layout.num_tiles == 1:
            restored = self._run(image[None], None if mask is None else mask[None], layout.streamed)[0]
            if progress:
                progress(1, 1)
            return restored
        total, done, remaining = np.zeros(image.shape, np.float32), 0, layout.tiles()
        while tiles := list(islice(remaining, together)):
            images = np.stack([image[tile.window] for tile in tiles])
            masks = None if mask is None else np.stack([mask[tile.window] for tile in tiles])
            for tile, restored in zip(tiles, self._run(images, masks), strict=True):
                restored *= tile.rows[:, None, None]
                restored *= tile.columns[None, :, None]
                total[tile.window] += restored
                done += 1
                if progress:
                    progress(done, layout.num_tiles)
        return np.clip(total, 0.0, 1.0, out=total)

    def _run(self, images: np.ndarray, masks: np.ndarray | None, streamed: bool = False) -> np.ndarray:
        """One pass of the network: (B, h, w, 3) and (B, h, w) on the host to (B, h, w, 3) on the host."""
        with torch.inference_mode(), computing(self.precision, self.device):
            pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(self.device)
            missing = None if masks is None else torch.from_numpy(np.ascontiguousarray(masks))[:, None].to(self.device)
            if streamed:  # image and result take a part of the budget
                height, width = images.shape[1:3]
                memory = self._budget(height, width) - 2 * _HOST_BYTES * height * width
                restored = cast(StreamingModel, self.model).restore_streamed(pixels, memory)
            else:
                restored = self.model.restore(pixels, missing)  # type: ignore[operator]
            array = np.array(restored.float().permute(0, 2, 3, 1).cpu().numpy(), order="C")
        if not np.isfinite(array).all():
            why = "its weights are unusable" if self.precision == "fp32" else f"take fp32 instead of {self.precision}"
            raise RestorekitError(f"{self.descriptor.name} returned values that are not finite: {why}")
        return array

    def _check(self, image: np.ndarray, mask: np.ndarray | None) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.float32 or image.size == 0:
            raise ValueError(f"an image is float32 (H, W, 3), not {image.dtype} {image.shape}")
        if not np.isfinite(image).all():
            raise RestorekitError("the image holds values that are not finite")
        if (mask is not None) != self.descriptor.takes_mask:
            need = "needs a mask of what is missing" if self.descriptor.takes_mask else "takes no mask"
            raise RestorekitError(f"{self.descriptor.name} {need}")
        if mask is not None and (mask.shape != image.shape[:2] or mask.dtype != np.float32):
            raise ValueError(f"the mask is float32 {image.shape[:2]}, not {mask.dtype} {mask.shape}")

    def _padded_length(self, length: int) -> int:
        multiple = self.descriptor.size_multiple
        return -(-max(length, self.descriptor.min_size) // multiple) * multiple

    def _padded(self, image: np.ndarray) -> np.ndarray:
        """The image reflected at the bottom and the right up to a size that the model takes; one pixel is repeated."""
        below, right = self._margins(image)
        return np.pad(image, [(0, below), (0, right), (0, 0)], mode="reflect") if below or right else image

    def _padded_mask(self, mask: np.ndarray) -> np.ndarray:
        """The mask of the padded image: the padding counts as missing."""
        below, right = self._margins(mask)
        return np.pad(mask, [(0, below), (0, right)], constant_values=1.0) if below or right else mask

    def _margins(self, array: np.ndarray) -> tuple[int, int]:
        height, width = array.shape[:2]
        return self._padded_length(height) - height, self._padded_length(width) - width


def _of_view(progress: OnTile, view: int, views: int) -> OnTile:
    """A function that takes the progress of one view and calls `progress` with the tiles of all views."""
    return lambda done, total: progress(view * total + done, views * total)
