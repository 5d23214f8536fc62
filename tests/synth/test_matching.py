"""What stereo matchers and scanners resolve: wide edges, averaged disparity, coarse cells, whose pixel is shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.config import SceneConfig
from graspcut.synth.sensors.config import REFERENCE_FOCAL_PX, SensorConfig
from graspcut.synth.sensors.depth_sensor import simulate
from graspcut.synth.sensors.matching import resolve
from graspcut.synth.sensors.names import SENSOR_NAMES
from graspcut.synth.sensors.presets import SENSORS, draw_preset

Image = npt.NDArray[np.float32]


def bar_before_wall() -> Image:
    depth = np.full((60, 80), 900.0, np.float32)
    depth[:, 30:40] = 500.0
    return depth


def run(depth: Image, config: SensorConfig, focal: float = REFERENCE_FOCAL_PX) -> tuple[Image, npt.NDArray[np.int32]]:
    return simulate(depth, np.zeros_like(depth), focal, config, 3)


@pytest.mark.parametrize(("focal", "width"), [(REFERENCE_FOCAL_PX, 3), (2 * REFERENCE_FOCAL_PX, 6)])
def test_near_things_grow_by_the_window_and_the_wider_part_is_theirs(focal: float, width: int) -> None:
    depth = bar_before_wall()
    out, source = run(depth, SensorConfig(window_px=3.0), focal)
    near = np.zeros_like(depth, bool)
    near[:, 30 - width : 40 + width] = True
    np.testing.assert_array_equal(out == 500.0, near)
    np.testing.assert_array_equal(depth.reshape(-1)[source], out)
    columns = source % depth.shape[1]
    assert np.all((columns[near] >= 30) & (columns[near] < 40))
    # The nearest of the bar's pixels, in the same row.
    assert np.all(columns[:, 40] == 39) and np.all(source[:, 40] // depth.shape[1] == np.arange(60))


def test_disparity_is_averaged_within_a_step_only() -> None:
    depth = bar_before_wall()
    depth[:, 60:] = 930.0
    out, _ = run(depth, SensorConfig(blur_px=2.0, blur_step_mm=40.0))
    np.testing.assert_allclose(out[:, 20:50], depth[:, 20:50], rtol=1e-6)
    row = out[30]
    expected = [5.0 / (k / 930.0 + (5 - k) / 900.0) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(row[58:62], expected, rtol=1e-5)


def test_a_scanner_leaves_planes_and_rounds_outlines() -> None:
    v, u = np.mgrid[:60, :80].astype(np.float32)
    plane = 700.0 / (1.0 - 0.004 * (u - 40) - 0.002 * (v - 30))
    config = SensorConfig(cell_px=4.0)
    out, source = run(plane, config)
    assert np.abs(out - plane)[6:-6, 6:-6].max() < 6.0
    inner = source[6:-6, 6:-6]
    assert np.abs(inner % 80 - u[6:-6, 6:-6]).max() <= 4
    square = np.full((60, 80), 900.0, np.float32)
    square[20:40, 30:50] = 500.0
    out, source = run(square, config)
    assert out[30, 40] == 500.0 and out[30, 10] == 900.0
    corner, side = (out[20:24, 30:34] < 700).sum(), (out[28:32, 30:34] < 700).sum()
    assert corner < side
    shown = square.reshape(-1)[source]
    assert np.abs(shown - out).mean() < np.abs(square - out).mean() + 1e-6
    assert np.all((shown == 500.0) | (shown == 900.0))


def test_waves_have_the_configured_sigma_and_are_correlated() -> None:
    for z in (500.0, 1000.0):
        out, _ = run(np.full((240, 320), z, np.float32), SensorConfig(wave_quadratic=4.0, wave_px=5.0))
        residual = out - z
        assert residual.std() == pytest.approx(4.0 * (z / 1000.0) ** 2, rel=0.12)
        neighbours = np.corrcoef(residual[:, :-1].ravel(), residual[:, 1:].ravel())[0, 1]
        far = np.corrcoef(residual[:, :-15].ravel(), residual[:, 15:].ravel())[0, 1]
        assert neighbours > 0.8 and abs(far) < 0.1
    no_data = np.zeros((20, 20), np.float32)
    assert not run(no_data, SensorConfig(wave_quadratic=4.0, cell_px=3.0, window_px=2.0, blur_px=2.0))[0].any()


def test_without_effects_every_pixel_shows_itself() -> None:
    depth = bar_before_wall()
    value, source = resolve(depth, SensorConfig(), 1.0)
    np.testing.assert_array_equal(value, depth)
    np.testing.assert_array_equal(source.reshape(-1), np.arange(depth.size))


def test_the_table_of_sensors_is_that_of_names() -> None:
    assert (*SENSORS, "mix") == SENSOR_NAMES
    rng = np.random.default_rng(0)
    drawn = [id(draw_preset(rng, "mix")) for _ in range(200)]
    assert set(drawn) == {id(preset) for name, preset in SENSORS.items() if name != "ideal"}
    for preset in SENSORS.values():
        assert preset.draw(rng).far_mm <= 8191.0  # what 16 bits of 1/8 mm hold
        focal = [preset.draw_camera(rng, 320, 240).fx / preset.camera(320, 240).fx for _ in range(50)]
        assert preset.focal_range[0] - 1e-9 <= min(focal) and max(focal) <= preset.focal_range[1] + 1e-9


@pytest.mark.parametrize("sensor", [name for name in SENSOR_NAMES if name not in ("ideal", "sr300")])
def test_frames_of_every_camera_are_whole_and_repeat(sensor: str) -> None:
    config = SynthConfig(width=80, height=60, sensor=sensor, colour=False)  # type: ignore[arg-type]
    for index in range(4):
        a, b = FrameGenerator(config, 5)[index], FrameGenerator(config, 5)[index]
        np.testing.assert_array_equal(a.frame.depth_mm, b.frame.depth_mm)
        np.testing.assert_array_equal(a.labels, b.labels)
        assert a.frame.camera == b.frame.camera


def test_upright_formats_keep_the_lens() -> None:
    upright = SynthConfig(width=60, height=80, sensor="stereo", vary_sensor=False)
    lying = dataclasses.replace(upright, width=80, height=60)
    frame = FrameGenerator(dataclasses.replace(upright, scene=SceneConfig(room=1.0)), 0)[0].frame
    assert frame.depth_mm.shape == (80, 60)
    assert upright.camera().fx == pytest.approx(lying.camera().fx)
    assert frame.camera == upright.camera()


def test_the_first_version_has_no_mix() -> None:
    assert SynthConfig(profile="v1").sensor == "sr300" and SynthConfig().sensor == "mix"
    with pytest.raises(ValueError, match="v1 has one sensor"):
        SynthConfig(profile="v1", sensor="mix")
