"""Restores photographs of any size with a network: whole where memory allows, else streamed or in seamless tiles."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from restorekit.errors import RestorekitError
from restorekit.inference.self_ensemble import AS_IT_IS, View, mean_of_views
from restorekit.inference.tiling import Layout, layout_for_budget, layout_for_tile, whole
from restorekit.models.descriptor import Descriptor, StreamingModel
from restorekit.models.memory import default_budget

OnTile = Callable[[int, int], None]  # takes the tiles done and the tiles in all

_HOST_BYTES = 12  # a pixel of three float32 channels


class Restorer:
    """Restores images with one model on one device.

    `memory_bytes` is the memory on the device for restoration, besides the model: by default half of the free main
    memory, or 0.8 of a GPU's free memory. On the CPU the budget includes the restored image. `tile` fixes the side of
    every tile in pixels; by default the budget decides. `views` are the views of an image whose restored versions are
    averaged; n views take n times as long (see `trained_views`). The model is moved to the device and left in eval
    mode. Raises a RestorekitError where the device is missing.
    """

    def __init__(
        self,
        model: nn.Module,
        device: str = "cpu",
        memory_bytes: int | None = None,
        tile: int | None = None,
        views: Sequence[View] = AS_IT_IS,
    ) -> None:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise RestorekitError(f"there is no GPU here for device '{device}': take cpu")
        if memory_bytes is not None and memory_bytes <= 0:
            raise RestorekitError(f"a memory budget must be above 0 bytes, not {memory_bytes}")
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.descriptor: Descriptor = model.descriptor  # type: ignore[assignment]
        self.memory_bytes = memory_bytes
        self.tile = tile
        if not views:
            raise RestorekitError("a Restorer needs at least one view of the image: AS_IT_IS")
        self.views = tuple(views)

    def restore(self, image: np.ndarray, mask: np.ndarray | None = None, progress: OnTile | None = None) -> np.ndarray:
        """Restores float32 (H, W, 3) sRGB in [0, 1], of one pixel or more, to the same shape and range.

        `mask` is float32 (H, W), 1 = degraded or missing; models that take masks need one, others refuse it. Pixels
        with mask 0 are returned unchanged, to the bit. `progress` is called after each tile. When a GPU runs out of
        memory, tiles of half the side are tried, unless `tile` fixes the side. Raises a RestorekitError where the
        smallest tile does not fit, or where the model returns values that are not finite.
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
        layout = self.layout(height, width)
        restored: np.ndarray | None = None
        while restored is None:
            try:
                restored = self._restore_tiles(padded, padded_mask, layout, progress)
            except torch.OutOfMemoryError as error:
                layout = self._smaller(layout, error)
            if restored is None and self.device.type == "cuda":
                torch.cuda.empty_cache()
        return restored[:height, :width]

    def layout(self, height: int, width: int) -> Layout:
        """The layout for an image of this size within the memory that is free now."""
        padded_height, padded_width = self._padded_length(height), self._padded_length(width)
        if self.tile is not None:
            return layout_for_tile(padded_height, padded_width, self.tile, self.descriptor)
        budget = self._budget(height, width)
        per_pixel = self.descriptor.bytes_per_pixel + 2 * _HOST_BYTES
        if budget < padded_height * padded_width * per_pixel and self._can_stream(padded_height, padded_width, budget):
            return whole(padded_height, padded_width, streamed=True)
        try:
            return layout_for_budget(padded_height, padded_width, max(0, budget // per_pixel), self.descriptor)
        except RestorekitError as error:
            raise RestorekitError(
                f"{error}: {max(0, budget) / 2**30:.2f} GiB are left for a tile, at {per_pixel} bytes a pixel; "
                f"allow more memory, free some, or make the image smaller"
            ) from error

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
        if not self.descriptor.streams:
            return False
        needed = cast(StreamingModel, self.model).streamed_bytes(height, width)
        return needed + 2 * _HOST_BYTES * height * width <= budget

    def _smaller(self, layout: Layout, error: torch.OutOfMemoryError) -> Layout:
        """A layout that takes less memory: streamed where possible, else tiles of half the side.

        A RestorekitError where the user fixed the side, or the smallest tile does not fit.
        """
        if self.tile is not None:
            raise RestorekitError(f"tiles of {self.tile} pixels do not fit into the GPU's memory: take less") from error
        rows, columns = layout.rows, layout.columns
        if self.descriptor.streams and layout.num_tiles == 1 and not layout.streamed:
            return whole(rows.length, columns.length, streamed=True)
        try:
            return layout_for_budget(rows.length, columns.length, layout.tile_pixels // 4, self.descriptor)
        except RestorekitError:
            raise RestorekitError("not even the smallest tile fits into the GPU's memory: take cpu") from error

    def _restore_tiles(
        self, image: np.ndarray, mask: np.ndarray | None, layout: Layout, progress: OnTile | None
    ) -> np.ndarray:
        if layout.num_tiles == 1:
            restored = self._run(image, mask, layout.streamed)
            if progress:
                progress(1, 1)
            return restored
        total = np.zeros(image.shape, np.float32)
        for done, tile in enumerate(layout.tiles(), start=1):
            restored = self._run(image[tile.window], None if mask is None else mask[tile.window])
            restored *= tile.rows[:, None, None]
            restored *= tile.columns[None, :, None]
            total[tile.window] += restored
            if progress:
                progress(done, layout.num_tiles)
        return np.clip(total, 0.0, 1.0, out=total)

    def _run(self, image: np.ndarray, mask: np.ndarray | None, streamed: bool = False) -> np.ndarray:
        """One pass of the network: (h, w, 3) and (h, w) on the host to (h, w, 3) on the host."""
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].to(self.device)
            missing = None if mask is None else torch.from_numpy(np.ascontiguousarray(mask))[None, None].to(self.device)
            if streamed:  # image and result take a part of the budget
                height, width = image.shape[:2]
                memory = self._budget(height, width) - 2 * _HOST_BYTES * height * width
                restored = cast(StreamingModel, self.model).restore_streamed(pixels, memory)
            else:
                restored = self.model.restore(pixels, missing)  # type: ignore[operator]
            array = np.array(restored[0].float().permute(1, 2, 0).cpu().numpy(), order="C")
        if not np.isfinite(array).all():
            raise RestorekitError(
                f"{self.descriptor.name} returned values that are not finite: its weights are unusable"
            )
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
