"""A face as points in space: a neutral shape plus one set of displacements per muscle, posed by a rotation.

Head units: the origin is the middle of the head, x to the viewer's right, y down, z towards the viewer; the chin lies at about
y = 1. Every part is a polygon; all parts live in one array, so that one product with the muscle weights moves them all.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from affectzoo.data.rendered.expression import Expression
from affectzoo.data.rendered.identity import Looks, make_identity

_MUSCLES = ("smile", "cheek", "brow_raise", "brow_furrow", "jaw", "pucker", "squint", "eye_open")
_LID_POINTS = 9
# How far lids sit from the eye's middle, in eye heights.
_LOWER_LID, _LID_TRAVEL, _SQUINT = 0.45, 1.3, 0.3


class FaceGeometry:
    """The points of one person's face.

    Attributes:
        parts: name -> slice of the points that make this polygon.
    """

    def __init__(self, looks: Looks) -> None:
        """Build the neutral shape and the displacements of every muscle."""
        self.looks = looks
        self.parts: dict[str, slice] = {}
        self._points: list[np.ndarray] = []
        self._moves: list[np.ndarray] = []
        self._count = 0
        self._head()
        for side, name in ((-1.0, "left"), (1.0, "right")):
            self._eye(side, name)
        self._nose()
        self._mouth()
        self._covers()
        self._neutral = np.concatenate(self._points)
        self._basis = np.concatenate(self._moves, axis=1).reshape(len(_MUSCLES), -1)

    def place(self, expression: Expression, scale: float, centre: tuple[float, float]) -> np.ndarray:
        """Every point in the picture, `[n, 2]` in frame heights.

        `expression` holds single floats; `scale` is one head unit in frame heights; `centre` where the head's middle rests.
        """
        weights = np.array([getattr(expression, name) for name in _MUSCLES], float)
        points = self._neutral + (weights @ self._basis).reshape(-1, 3)
        self._clip_irises(points, expression)
        turn = _rotation(float(expression.yaw), float(expression.pitch), float(expression.roll))
        size = scale * float(expression.scale)
        placed = points @ (turn * size)
        placed[:, 0] += centre[0] + float(expression.x)
        placed[:, 1] += centre[1] + float(expression.y)
        return placed

    # Building

    def _add(self, name: str, points: np.ndarray, depth: np.ndarray | float | None = None, **moves: np.ndarray) -> None:
        """Register polygon `points` `[k, 2]`; `moves` gives `[k, 2]` per muscle; `depth` None lays it on the head's surface."""
        z = self._surface(points) if depth is None else np.broadcast_to(np.asarray(depth, float), len(points))
        self.parts[name] = slice(self._count, self._count + len(points))
        self._count += len(points)
        self._points.append(np.column_stack([points, z]))
        move = np.zeros((len(_MUSCLES), len(points), 3))
        for muscle, value in moves.items():
            move[_MUSCLES.index(muscle), :, :2] = value
        self._moves.append(move)

    def _surface(self, points: np.ndarray) -> np.ndarray:
        squares = np.square(points[:, 0] / (self.looks.half_width * 1.02)) + np.square(points[:, 1] / 1.25)
        return 0.75 * np.sqrt(np.maximum(0.0, 1 - squares))

    def _head(self) -> None:
        looks = self.looks
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        x, y = np.cos(angle), np.sin(angle)
        below = np.maximum(y, 0)
        outline = np.column_stack(
            [
                looks.half_width * x * (1 - looks.jaw_taper * below**2) * (1 + 0.12 * below * np.abs(x)),
                np.where(y > 0, looks.chin * y, 1.14 * y),
            ]
        )
        drop = np.clip((outline[:, 1] - 0.3) / 0.7, 0, 1)
        widen = np.column_stack([0.02 * np.sign(x) * np.clip(1 - np.abs(y - 0.4) / 0.4, 0, 1), 0 * y])
        self._add("head", outline, 0.0, jaw=np.column_stack([0 * drop, 0.17 * drop]), cheek=widen)
        ear = _ellipse(0, 0.06, 0.09, 0.2, 12)
        for side, name in ((-1, "left"), (1, "right")):
            self._add(f"{name}_ear", ear + np.array([side * looks.half_width * 1.01, 0]), -0.15)
        self._hair()
        beard = outline[outline[:, 1] > 0.22]
        order = np.argsort(np.arctan2(beard[:, 1] - 0.3, beard[:, 0]))
        beard = beard[order] * [0.97, 0.985]
        inner = np.array([[-0.42, 0.36], [-0.2, 0.4], [0, 0.43], [0.2, 0.4], [0.42, 0.36]])
        beard = np.concatenate([beard, inner])
        fall = np.clip((beard[:, 1] - 0.3) / 0.7, 0, 1)
        self._add("beard", beard, jaw=np.column_stack([0 * fall, 0.17 * fall]))

    def _hair(self) -> None:
        looks = self.looks
        width, line = looks.half_width, looks.hairline
        over = np.linspace(np.pi, 2 * np.pi, 17)
        lift = {"bald": 0.0, "short": 0.07, "fringe": 0.1, "long": 0.1, "bun": 0.05}[looks.hair_style]
        outer = np.column_stack([(width + 0.05) * np.cos(over), -0.14 + (1.02 + lift) * np.sin(over)])
        front = np.array(
            [[0.97, -0.3], [0.86, -0.52], [0.62, 0.0], [0.25, 0.0], [-0.1, 0.0], [-0.5, 0.0], [-0.84, -0.52], [-0.97, -0.3]]
        )
        front = front * [width, 1.0]
        front[2:6, 1] = line + np.array([0.05, -0.03, -0.05, 0.0])
        if looks.hair_style == "fringe":
            front[2:6, 1] = np.array([-0.5, -0.53, -0.5, -0.52])
        self._add("hair", np.concatenate([outer, front]), 0.05)
        behind = _ellipse(0, -0.12, width + 0.13, 1.13, 24)
        if looks.hair_style == "long":
            behind[:, 1] = np.where(behind[:, 1] > 0, behind[:, 1] * 1.1 + 0.1, behind[:, 1])
            behind[:, 0] *= 1.06
        self._add("hair_behind", behind, -0.3)
        self._add("bun", _ellipse(0.05, -1.26, 0.3, 0.24, 16), -0.2)

    def _eye(self, side: float, name: str) -> None:
        looks = self.looks
        middle = np.array([side * looks.eye_distance, looks.eye_y])
        across = np.linspace(-1, 1, _LID_POINTS)
        arch = 1 - across**2
        height = looks.eye_height
        base = middle + np.column_stack([looks.eye_width * across, -looks.eye_tilt * across * side])
        lower = base + np.column_stack([0 * arch, _LOWER_LID * height * arch])
        open_upper = np.column_stack([0 * arch, -_LID_TRAVEL * height * arch])
        raise_lower = np.column_stack([0 * arch, -_SQUINT * height * arch])
        none = np.zeros_like(lower)
        self._add(
            f"{name}_eye",
            np.concatenate([lower, lower[::-1]]),
            eye_open=np.concatenate([open_upper, none]),
            squint=np.concatenate([none, raise_lower]),
        )
        thick = np.column_stack([0 * arch, 0.012 + 0.018 * arch])
        self._add(
            f"{name}_lashes",
            np.concatenate([lower + thick * 0.3, (lower - thick)[::-1]]),
            eye_open=np.concatenate([open_upper] * 2),
        )
        self._add(f"{name}_iris", _ellipse(middle[0], middle[1], 0.078, 0.078, 14))
        self._add(f"{name}_pupil", _ellipse(middle[0], middle[1], 0.036, 0.036, 10))
        self._add(f"{name}_glint", _ellipse(middle[0] - 0.02, middle[1] - 0.025, 0.014, 0.014, 6))
        # Socket and bag shade the skin around the eye; squinting and raised cheeks fill them.
        socket = _ellipse(middle[0] * 0.97, middle[1] - 0.05, looks.eye_width * 1.25, 0.17, 14)
        self._add(f"{name}_socket", socket, brow_raise=np.tile([0, -0.03], (14, 1)))
        crease = np.column_stack([base[:, 0], base[:, 1] + 0.55 * height * arch + 0.05])
        self._add(
            f"{name}_bag",
            np.concatenate([crease, (crease + np.column_stack([0 * arch, 0.045 * arch]))[::-1]]),
            squint=np.tile([0, -0.02], (2 * _LID_POINTS, 1)),
            cheek=np.tile([0, -0.02], (2 * _LID_POINTS, 1)),
        )
        cheek = _ellipse(side * 0.42, 0.24, 0.19, 0.15, 14)
        self._add(
            f"{name}_cheek", cheek, cheek=np.tile([side * 0.01, -0.06], (14, 1)), smile=np.tile([side * 0.02, -0.03], (14, 1))
        )
        self._brow(side, name)

    def _brow(self, side: float, name: str) -> None:
        looks = self.looks
        along = np.linspace(0, 1, 7)  # from the nose outwards
        x = side * (0.13 + 0.43 * along)
        middle = looks.eye_y - looks.brow_height - 0.07 * np.sin(np.pi * along**0.8) + 0.03 - looks.brow_tilt * along
        half = 0.5 * looks.brow_thickness * (1 - 0.75 * along**2)
        shape = np.concatenate([np.column_stack([x, middle - half]), np.column_stack([x, middle + half])[::-1]])
        inner = np.concatenate([1 - along, (1 - along)[::-1]])
        lift = np.column_stack([0 * inner, -0.085 + 0.015 * inner])
        knit = np.column_stack([-side * 0.045 * inner, 0.095 * inner**1.5 - 0.02])
        self._add(f"{name}_brow", shape, brow_raise=lift, brow_furrow=knit)

    def _nose(self) -> None:
        looks = self.looks
        top, bottom, wide = looks.eye_y - 0.05, looks.eye_y + looks.nose_length, looks.nose_width
        bridge = np.array([[-0.04, top], [0.04, top], [0.045, bottom - 0.1], [0.0, bottom - 0.03], [-0.045, bottom - 0.1]])
        self._add("bridge", bridge, np.array([0.78, 0.78, 0.98, 1.0, 0.98]))
        for side, name in ((-1, "left"), (1, "right")):
            flank = np.array(
                [
                    [side * 0.07, top],
                    [side * 0.055, bottom - 0.14],
                    [side * wide * 0.85, bottom + 0.01],
                    [side * wide * 1.3, bottom - 0.03],
                ]
            )
            self._add(f"{name}_flank", flank, np.array([0.72, 0.85, 0.85, 0.72]))
            nostril = _ellipse(side * wide * 0.5, bottom + 0.012, wide * 0.26, 0.022, 8)
            self._add(f"{name}_nostril", nostril, 0.86)
        wing = np.column_stack(
            [np.linspace(-1, 1, 9) * wide * 1.05, bottom + 0.045 - 0.05 * np.abs(np.linspace(-1, 1, 9)) ** 3]
        )
        under = np.concatenate([wing, (wing * [0.75, 1] + [0, 0.055])[::-1]])
        self._add("under_nose", under, 0.84)

    def _mouth(self) -> None:
        looks = self.looks
        across = np.linspace(-1, 1, 11)
        arch = (1 - across**2) ** 0.75
        line = np.column_stack([looks.mouth_width * across, looks.mouth_y + 0 * across])
        thick = looks.lip_thickness
        bow = np.column_stack([0 * across, -thick * arch * (1 - 0.28 * np.exp(-np.square(across / 0.16)))])
        fuller = np.column_stack([0 * across, 1.25 * thick * arch])

        corner = np.abs(across) ** 2
        smile = np.column_stack([0.055 * np.sign(across) * corner, -0.085 * corner + 0.03 * (1 - across**2)])
        pucker = np.column_stack([-0.22 * line[:, 0], 0 * across])
        up = np.column_stack([0 * across, -0.035 * arch])
        down = np.column_stack([-0.08 * line[:, 0], 0.24 * arch])

        def lip(name: str, first: np.ndarray, second: np.ndarray, first_jaw: np.ndarray, second_jaw: np.ndarray) -> None:
            self._add(
                name,
                np.concatenate([first, second[::-1]]),
                0.80 - 0.12 * np.concatenate([across**2, across[::-1] ** 2]),
                smile=np.concatenate([smile, smile[::-1]]),
                pucker=np.concatenate([pucker, pucker[::-1]]),
                jaw=np.concatenate([first_jaw, second_jaw[::-1]]),
            )

        seam = np.column_stack([0 * across, 0.010 + 0 * across])
        lip("mouth", line - seam, line + seam, up, down)
        lip("upper_lip", line + bow, line, up, up)
        lip("lower_lip", line, line + fuller, down, down)
        narrow = line * [0.78, 1.0]
        lip("teeth", narrow, narrow, up, 0.32 * down)
        lip("lip_shadow", line + fuller * 1.2, line + fuller * 1.2 + [0, 0.06], down, down)
        for side, name in ((-1, "left"), (1, "right")):
            fold = np.array([[0.17, 0.32], [0.27, 0.42], [0.36, 0.56], [0.38, 0.66], [0.33, 0.56], [0.235, 0.43]]) * [side, 1]
            self._add(f"{name}_fold", fold, smile=np.tile([side * 0.05, -0.02], (6, 1)))

    def _covers(self) -> None:
        """Outlines that things in front of the face follow: a mask, and the box a detector would return."""
        width = self.looks.half_width
        mask = np.array(
            [
                [-1.0, 0.12],
                [-0.5, 0.1],
                [0, 0.02],
                [0.5, 0.1],
                [1.0, 0.12],
                [0.96, 0.6],
                [0.6, 1.08],
                [0, 1.24],
                [-0.6, 1.08],
                [-0.96, 0.6],
            ]
        )
        self._add("mask", mask * [width, 1], np.array([0.0, 0.6, 0.95, 0.6, 0, 0, 0.3, 0.4, 0.3, 0]))
        for side, name in ((-1, "left"), (1, "right")):
            rim = _ellipse(side * self.looks.eye_distance, self.looks.eye_y + 0.03, 0.25, 0.19, 20)
            self._add(f"{name}_rim", rim, 0.75)

    def _clip_irises(self, points: np.ndarray, expression: Expression) -> None:
        """Turn the irises with the gaze and hide under the lids what the lids cover; in place."""
        looks = self.looks
        shift = (0.055 * float(expression.gaze_x), 0.035 * float(expression.gaze_y))
        for side, name in ((-1.0, "left"), (1.0, "right")):
            # Iris, pupil and glint follow one another in the array.
            part = points[self.parts[f"{name}_iris"].start : self.parts[f"{name}_glint"].stop]
            part[:, :2] += shift
            across = np.clip((part[:, 0] - side * looks.eye_distance) / looks.eye_width, -1, 1)
            arch = looks.eye_height * (1 - across**2)
            base = looks.eye_y - looks.eye_tilt * across * side + _LOWER_LID * arch
            upper = base - _LID_TRAVEL * float(expression.eye_open) * arch
            part[:, 1] = np.clip(part[:, 1], upper, np.maximum(upper, base - _SQUINT * float(expression.squint) * arch))


@lru_cache(maxsize=1024)
def geometry_of(identity: int) -> FaceGeometry:
    """The face of person `identity`, built once."""
    return FaceGeometry(make_identity(identity).looks)


def _ellipse(x: float, y: float, width: float, height: float, count: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.column_stack([x + width * np.cos(angle), y + height * np.sin(angle)])


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """`[3, 2]`: a row vector in head units times this is where it shows, seen from the front."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    # Yaw about y, then pitch about x (nose down is positive), then roll in the picture; z is dropped.
    x = np.array([cy, 0.0, sy])
    y = np.array([-sp * sy, cp, sp * cy])
    return np.column_stack([cr * x - sr * y, sr * x + cr * y])
