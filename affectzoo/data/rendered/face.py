"""Draws a scene with one face in it, the same at every size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from affectzoo.data.rendered.expression import Expression
from affectzoo.data.rendered.geometry import FaceGeometry
from affectzoo.data.rendered.identity import Colour

FACE_TROUBLES = ("mask", "hand", "board", "blur", "dark")

_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_SHADE_HEIGHT = 120  # light and shadow are soft, so they are drawn at this height whatever the frame's
_MIN_HEIGHT = 240  # smaller frames are drawn at twice their size and averaged down


@dataclass(frozen=True)
class Scene:
    """What surrounds a face in one clip. Lengths in frame heights, colours RGB.

    Attributes:
        centre: where the head's middle rests, x from the frame's middle and y from its top.
        scale: one head unit.
        light: direction towards the light, x right, y down, z to the viewer; unit length.
        contrast: 0..1, how much of the light comes from there; brightness: of all of it, about 1.
        backdrop: two colours, top and bottom; shirt: clothing.
        clutter: seed for the shapes on the wall.
    """

    centre: tuple[float, float]
    scale: float
    light: tuple[float, float, float]
    contrast: float
    brightness: float
    backdrop: tuple[Colour, Colour]
    shirt: Colour
    clutter: int


@dataclass(frozen=True)
class Trouble:
    """Something that hides the face: its name (one of FACE_TROUBLES), how far it has set in (0..1), and its colour."""

    name: str
    amount: float
    colour: Colour


def make_scene(generator: np.random.Generator) -> Scene:
    """A room, a light and a seat."""
    angle = generator.uniform(-0.9, 0.9)
    light = np.array([np.sin(angle), -generator.uniform(0.2, 0.6), np.cos(angle)])
    light /= np.linalg.norm(light)
    wall = generator.uniform(60, 205) + generator.normal(0, 18, 3)
    return Scene(
        centre=(float(generator.uniform(-0.07, 0.07)), float(generator.uniform(0.45, 0.49))),
        scale=float(generator.uniform(0.255, 0.3)),
        light=(float(light[0]), float(light[1]), float(light[2])),
        contrast=float(generator.uniform(0.3, 0.65)),
        brightness=float(generator.uniform(0.8, 1.12)),
        backdrop=(_colour(wall * generator.uniform(0.95, 1.15)), _colour(wall * generator.uniform(0.6, 0.85))),
        shirt=_colour(generator.uniform(35, 200) + generator.normal(0, 28, 3)),
        clutter=int(generator.integers(1 << 30)),
    )


class FaceRenderer:
    """Draws one person in one scene. It keeps what does not move, per size, so that a frame costs little."""

    def __init__(self, geometry: FaceGeometry, scene: Scene) -> None:
        """Prepare the colours and the light on the head."""
        self.geometry = geometry
        self.scene = scene
        self._lit = _lit_head(scene, geometry.looks.half_width)
        self._backdrops: dict[tuple[int, int], np.ndarray] = {}

    def render(self, expression: Expression, size: tuple[int, int], trouble: Trouble | None, noise: int) -> np.ndarray:
        """`[H, W, 3]` uint8 RGB for `size` (W, H); `expression` holds single floats, `noise` picks the sensor noise."""
        width, height = size
        factor = 2 if height < _MIN_HEIGHT else 1
        drawn = (width * factor, height * factor)
        scene = self.scene
        points = self.geometry.place(expression, scene.scale, (scene.centre[0] + 0.5 * width / height, scene.centre[1]))
        image = self._backdrop(drawn).copy()
        pixels = _fixed(points, drawn[1])
        self._draw(image, pixels, expression)
        self._shade(image, points, expression)
        if trouble is not None and trouble.name in ("mask", "hand", "board"):
            self._cover(image, points, drawn[1], trouble)
        if factor > 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if trouble is not None and trouble.name == "blur":
            image = _blurred(image, trouble.amount)
        elif trouble is not None and trouble.name == "dark":
            image = cv2.convertScaleAbs(image, alpha=1 - 0.95 * trouble.amount)
        return cv2.addWeighted(image, 1.0, _grain(size, noise), 1.0, -8.0)

    def _backdrop(self, size: tuple[int, int]) -> np.ndarray:
        """Wall, clutter and shoulders, `[H, W, 3]`."""
        if size not in self._backdrops:
            self._backdrops[size] = _draw_backdrop(self.scene, size)
        return self._backdrops[size]

    def _draw(self, image: np.ndarray, pixels: np.ndarray, expression: Expression) -> None:
        """Every part in its flat colour, from back to front."""
        looks, parts = self.geometry.looks, self.geometry.parts
        skin, hair = looks.skin, looks.hair

        def fill(name: str, colour: Colour) -> None:
            cv2.fillPoly(image, [pixels[parts[name]]], colour, cv2.LINE_AA, _SHIFT)

        if looks.hair_style in ("long", "bun", "fringe"):
            fill("hair_behind" if looks.hair_style != "bun" else "bun", _times(hair, 0.85))
        self._neck(image, pixels)
        for side in ("left", "right"):
            fill(f"{side}_ear", _times(skin, 0.9))
        fill("head", skin)
        if looks.beard:
            fill("beard", _mix(skin, hair, 0.75 * looks.beard))
        if looks.hair_style != "bald":
            fill("hair", hair)
        for side in ("left", "right"):
            if expression.eye_open > 0.12:
                fill(f"{side}_eye", (226, 222, 218))
                fill(f"{side}_iris", looks.iris)
                fill(f"{side}_pupil", (14, 12, 12))
                fill(f"{side}_glint", (245, 245, 245))
            fill(f"{side}_lashes", _times(_mix(skin, (30, 20, 18), 0.8), 0.9))
            fill(f"{side}_brow", _mix(skin, _times(hair, 0.7), 0.85))
            fill(f"{side}_nostril", _times(skin, 0.35))
        fill("upper_lip", _times(looks.lips, 0.9))
        fill("lower_lip", looks.lips)
        fill("mouth", (52, 18, 20))
        if expression.jaw > 0.08:
            fill("teeth", (214, 208, 196))
        if looks.glasses:
            for side in ("left", "right"):
                thick = max(1, round(image.shape[0] / 240))
                cv2.polylines(image, [pixels[parts[f"{side}_rim"]]], True, (50, 46, 44), thick, cv2.LINE_AA, _SHIFT)

    def _neck(self, image: np.ndarray, pixels: np.ndarray) -> None:
        """From the jaw to the collar, which stays where it is while the head moves."""
        outline = pixels[self.geometry.parts["head"]]
        height = image.shape[0]
        unit = 16 * height * self.scene.scale
        base = 16 * (0.5 * image.shape[1] + self.scene.centre[0] * height)
        left, right = outline[16], outline[4]
        collar = 16 * height * self.scene.centre[1] + 1.45 * unit
        neck = np.array(
            [left, right, [base + 0.55 * unit, collar], [base, collar + 0.15 * unit], [base - 0.55 * unit, collar]], np.int32
        )
        cv2.fillPoly(image, [neck], _times(self.geometry.looks.skin, 0.62), cv2.LINE_AA, _SHIFT)

    def _shade(self, image: np.ndarray, points: np.ndarray, expression: Expression) -> None:
        """Multiply by light and shadow: the head's roundness, sockets, nose, cheeks, folds; in place."""
        height, width = image.shape[:2]
        small = (round(width * _SHADE_HEIGHT / height), _SHADE_HEIGHT)
        fixed = _fixed(points, _SHADE_HEIGHT)
        parts = self.geometry.parts
        relief = np.full((small[1], small[0]), 128, np.uint8)

        def tone(name: str, value: float) -> None:
            cv2.fillPoly(relief, [fixed[parts[name]]], int(min(max(value, 40), 200)), cv2.LINE_8, _SHIFT)

        side = self.scene.light[0] * self.scene.contrast
        tone("left_cheek", 140 + 8 * float(expression.cheek))
        tone("right_cheek", 140 + 8 * float(expression.cheek))
        for name in ("left", "right"):
            tone(f"{name}_socket", 88 + 4 * float(expression.brow_raise) - 4 * float(expression.brow_furrow))
            tone(f"{name}_bag", 108 - 10 * float(expression.squint))
            tone(f"{name}_fold", 122 - 34 * max(0.0, float(expression.smile)))
        tone("left_flank", 112 - 50 * max(0.0, side))
        tone("right_flank", 112 - 50 * max(0.0, -side))
        tone("bridge", 152)
        tone("under_nose", 84)
        tone("lip_shadow", 98)
        relief = cv2.GaussianBlur(relief, (5, 5), 1.3)
        shade = cv2.multiply(relief, self._light(expression, small), scale=1 / 128)
        # Only the rectangle around the head changes, and in it only head and hair: no halo on the wall.
        pixels = _fixed(points, height)
        bald = self.geometry.looks.hair_style == "bald"
        outlines = [pixels[parts[name]] for name in (("head",) if bald else ("head", "hair"))]
        x, y, w, h = cv2.boundingRect(np.concatenate(outlines) >> _SHIFT)
        x0, y0, x1, y1 = max(x - 1, 0), max(y - 1, 0), min(x + w + 1, width), min(y + h + 1, height)
        if x1 <= x0 or y1 <= y0:
            return
        region = image[y0:y1, x0:x1]
        mask = np.zeros(region.shape[:2], np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [outline - (np.array([x0, y0], np.int32) << _SHIFT)], 255, cv2.LINE_AA, _SHIFT)
        full = cv2.resize(shade, (width, height), interpolation=cv2.INTER_LINEAR)[y0:y1, x0:x1]
        lit = np.full(region.shape[:2], 128, np.uint8)
        cv2.copyTo(full, mask, lit)
        cv2.multiply(region, cv2.cvtColor(lit, cv2.COLOR_GRAY2RGB), dst=region, scale=1 / 128)

    def _light(self, expression: Expression, small: tuple[int, int]) -> np.ndarray:
        """The light on a rounded head, for the small picture of `small` (W, H); 128 leaves a colour as it is."""
        scene = self.scene
        unit = scene.scale * float(expression.scale) * small[1]
        x = (scene.centre[0] + float(expression.x)) * small[1] + 0.5 * small[0]
        y = (scene.centre[1] + float(expression.y)) * small[1]
        step = _LIT_SPAN / (_LIT_SIZE - 1) * unit
        # From texture to picture: the texture's middle is the head's middle.
        matrix = np.array([[step, 0, x - step * (_LIT_SIZE - 1) / 2], [0, step, y - step * (_LIT_SIZE - 1) / 2]])
        return cv2.warpAffine(self._lit, matrix, small, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _cover(self, image: np.ndarray, points: np.ndarray, height: int, trouble: Trouble) -> None:
        """A mask, a hand or a board slides in from below, over most of the face; in place."""
        parts = self.geometry.parts
        unit = self.scene.scale
        offset = np.array([0.0, (1 - trouble.amount) * 2.2 * unit])
        head = points[parts["head"]]
        middle = 0.5 * (head.min(axis=0) + head.max(axis=0))

        def fill(shape: np.ndarray, colour: Colour) -> None:
            cv2.fillPoly(image, [_fixed(shape + offset, height)], colour, cv2.LINE_AA, _SHIFT)

        if trouble.name == "mask":
            mask = points[parts["mask"]]
            fill(mask, trouble.colour)
            for line in (0.35, 0.5, 0.65):
                y = mask[2, 1] + line * (mask[7, 1] - mask[2, 1])
                stripe = np.array([[-0.5, -0.008], [0.5, -0.008], [0.5, 0.008], [-0.5, 0.008]]) * unit + [mask[2, 0], y]
                fill(stripe, _times(trouble.colour, 0.85))
            return
        if trouble.name == "board":
            board = np.array([[-1.02, -0.8], [1.0, -0.85], [1.05, 1.5], [-1.0, 1.55]]) * unit + middle
            fill(board, trouble.colour)
            fill(board * 0.8 + board.mean(axis=0) * 0.2, _times(trouble.colour, 0.88))
            return
        skin = self.geometry.looks.skin
        for finger in range(4):
            x = -0.42 + 0.28 * finger
            top = (-0.5, -0.62, -0.6, -0.42)[finger]
            shape = np.array([[-0.13, 0.5], [-0.125, 0.08], [-0.06, 0.0], [0.06, 0.0], [0.125, 0.08], [0.13, 0.5]])
            shape[:, 1] = np.where(shape[:, 1] > 0.4, 0.6, top + shape[:, 1])
            fill((shape + np.array([x, 0.05])) * unit + middle, _times(skin, 0.8 + 0.05 * (finger % 2)))
        palm = np.array([[-0.58, 0.3], [0.58, 0.3], [0.62, 0.9], [0.4, 1.9], [-0.35, 1.9], [-0.62, 0.9]])
        fill(palm * unit + middle, _times(skin, 0.86))


_LIT_SIZE = 64
_LIT_SPAN = 3.2  # head units across the texture


def _lit_head(scene: Scene, half_width: float) -> np.ndarray:
    """`[64, 64]` uint8: light on an ellipsoid as wide and high as the head, 128 where a colour stays as it is."""
    axis = np.linspace(-_LIT_SPAN / 2, _LIT_SPAN / 2, _LIT_SIZE)
    x, y = np.meshgrid(axis / (half_width * 1.1), axis / 1.25)
    radius = np.sqrt(x * x + y * y)
    outside = np.maximum(radius, 1.0)
    x, y = x / outside, y / outside
    z = np.sqrt(np.maximum(0, 1 - x * x - y * y))
    falling = np.maximum(0, x * scene.light[0] + y * scene.light[1] + z * scene.light[2])
    light = scene.brightness * ((1 - scene.contrast) * (0.75 + 0.25 * z) + 1.15 * scene.contrast * falling)
    return np.clip(128 * light, 20, 250).astype(np.uint8)


def _draw_backdrop(scene: Scene, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    down = np.linspace(0, 1, height)[:, None, None]
    top, bottom = (np.array(colour, float) for colour in scene.backdrop)
    image = np.ascontiguousarray(np.broadcast_to(np.round(top + down * (bottom - top)), (height, width, 3)), np.uint8)
    generator = np.random.default_rng(scene.clutter)
    for _ in range(generator.integers(2, 6)):
        # Furniture and pictures, in frame heights so that every size shows the same.
        x, y = generator.uniform(-0.9, 0.9), generator.uniform(0, 0.9)
        w, h = generator.uniform(0.05, 0.35, 2)
        colour = _colour(np.array(scene.backdrop[1]) + generator.normal(0, 22) + generator.normal(0, 9, 3))
        corners = np.array([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]]) + np.array(
            [0.5 * width / height, 0]
        )
        cv2.fillPoly(image, [_fixed(corners, height)], colour, cv2.LINE_AA, _SHIFT)
    image = cv2.GaussianBlur(image, (0, 0), 0.012 * height)
    unit = scene.scale
    body = np.array([[-0.5, 1.25], [0.5, 1.25], [1.35, 1.55], [1.75, 2.1], [1.85, 3], [-1.85, 3], [-1.75, 2.1], [-1.35, 1.55]])
    body = body * unit + [scene.centre[0] + 0.5 * width / height, scene.centre[1]]
    cv2.fillPoly(image, [_fixed(body, height)], scene.shirt, cv2.LINE_AA, _SHIFT)
    return image


def _blurred(image: np.ndarray, amount: float) -> np.ndarray:
    """Out of focus: everything finer than about a seventh of the frame's height is gone at amount 1."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, round(80 * width / height)), 80), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.1 + 5.0 * amount)
    soft = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.addWeighted(soft, min(1.0, 4 * amount), image, 1 - min(1.0, 4 * amount), 0.0)


@lru_cache(maxsize=8)
def _grain_tile(size: tuple[int, int]) -> np.ndarray:
    generator = np.random.default_rng(5)
    tile = generator.normal(8, 2.5, (size[1] + 64, size[0] + 64, 3))
    return np.clip(np.round(tile), 0, 16).astype(np.uint8)


def _grain(size: tuple[int, int], number: int) -> np.ndarray:
    """Sensor noise around 8, a different piece of one tile for each `number`."""
    mixed = (number * 2654435761) & 0xFFFFFFFF
    x, y = (mixed >> 8) % 64, (mixed >> 20) % 64
    return _grain_tile(size)[y : y + size[1], x : x + size[0]]


def _fixed(points: np.ndarray, height: int) -> np.ndarray:
    """`[n, 2]` in frame heights to OpenCV's fixed-point pixels, in which 0 is the middle of the first pixel."""
    return np.rint((points * height - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _colour(value: np.ndarray) -> Colour:
    red, green, blue = np.clip(np.round(value), 0, 255).astype(int).tolist()
    return red, green, blue


@lru_cache(maxsize=4096)
def _times(colour: Colour, factor: float) -> Colour:
    return _colour(np.array(colour) * factor)


@lru_cache(maxsize=4096)
def _mix(first: Colour, second: Colour, part: float) -> Colour:
    return _colour(np.array(first) * (1 - part) + np.array(second) * part)
