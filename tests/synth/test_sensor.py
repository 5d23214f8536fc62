from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from graspcut.synth.kernels.random_numbers import hash32, normal, stage_key, uniform
from graspcut.synth.sensors.config import SensorConfig
from graspcut.synth.sensors.depth_sensor import FloatImage, simulate
from graspcut.synth.sensors.presets import SENSORS, sensor_preset

HEIGHT, WIDTH, FOCAL = 240, 320, 238.0


def plane(z_mm: float, slope_x: float = 0.0, height: int = HEIGHT, width: int = WIDTH) -> FloatImage:
    """Plane Z = z + slope X seen from the origin: depth = z / (1 - slope x / f)."""
    x = (np.arange(width) - 0.5 * (width - 1)) / FOCAL
    return np.broadcast_to(z_mm / (1.0 - slope_x * x), (height, width)).astype(np.float32)


def run(
    depth: FloatImage, config: SensorConfig, seed: int = 1, stripes: float = 0.0
) -> tuple[FloatImage, npt.NDArray[np.int32]]:
    return simulate(depth, np.full_like(depth, stripes), FOCAL, config, seed)


def hand_and_wall() -> FloatImage:
    """Three fingers and a ball before a tilted wall, nothing beyond a corner."""
    depth = plane(600.0, 0.3)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    for middle in (60, 85, 110):
        across = (u - middle) / 8.0
        inside = (np.abs(across) < 1.0) & (v > 60) & (v < 170)
        depth[inside] = (380.0 + 14.0 * (1.0 - np.sqrt(np.clip(1.0 - across**2, 0.0, 1.0))))[inside]
    squared = ((u - 220) ** 2 + (v - 120) ** 2) / 45.0**2
    ball = squared < 1.0
    depth[ball] = (420.0 + 60.0 * (1.0 - np.sqrt(1.0 - squared[ball]))).astype(np.float32)
    depth[v + u > 480] = 0.0
    return depth


def test_ideal_sensor_changes_nothing() -> None:
    depth = hand_and_wall()
    out, source = run(depth, SensorConfig())
    np.testing.assert_array_equal(out, depth)
    expected = np.where(depth > 0, np.arange(depth.size).reshape(depth.shape), -1)
    np.testing.assert_array_equal(source, expected)


@pytest.mark.parametrize("blur", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("z_mm", [300.0, 500.0, 900.0])
def test_noise_on_a_plane_has_the_configured_sigma(z_mm: float, blur: float) -> None:
    config = SensorConfig(noise_base_mm=0.2, noise_quadratic=3.2, noise_blur=blur)
    out, _ = run(plane(z_mm), config)
    # Away from the middle the viewing ray meets the plane at an angle: 1 / cos = the ray's length.
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    ray = np.sqrt(1.0 + ((u - 159.5) / FOCAL) ** 2 + ((v - 119.5) / FOCAL) ** 2)
    expected = 0.2 + 3.2 * (z_mm / 1000.0) ** 2
    residual = (out.astype(np.float64) - z_mm) / ray
    assert residual.std() == pytest.approx(expected, rel=0.02)
    assert abs(residual.mean()) < 0.03 * expected


def test_blurred_noise_is_correlated_and_white_noise_is_not() -> None:
    correlations = []
    for blur in (0.0, 1.0):
        out, _ = run(plane(500.0), SensorConfig(noise_base_mm=0.5, noise_blur=blur))
        residual = out.astype(np.float64) - 500.0
        correlations.append(np.corrcoef(residual[:, :-1].ravel(), residual[:, 1:].ravel())[0, 1])
    assert abs(correlations[0]) < 0.02
    assert correlations[1] == pytest.approx(2.0 / 3.0, abs=0.03)  # two of three columns of the mean are shared


@pytest.mark.parametrize("angle_deg", [30.0, 60.0])
def test_noise_grows_with_tilt(angle_deg: float) -> None:
    slope = math.tan(math.radians(angle_deg))
    depth = plane(500.0, slope)
    out, _ = run(depth, SensorConfig(noise_base_mm=0.5))
    residual = (out - depth)[115:125, 150:170]
    repeated = [residual] + [
        (run(depth, SensorConfig(noise_base_mm=0.5), seed)[0] - depth)[115:125, 150:170] for seed in range(2, 12)
    ]
    assert np.std(repeated) == pytest.approx(0.5 / math.cos(math.radians(angle_deg)), rel=0.05)


def test_nguyen_noise_of_the_kinect_preset() -> None:
    config = dataclasses.replace(SensorConfig(), noise_base_mm=1.2, noise_quadratic=1.9, noise_offset_m=0.4)
    out, _ = run(plane(1400.0), config)
    middle = out[90:150, 130:190].astype(np.float64)
    assert middle.std() == pytest.approx(1.2 + 1.9 * 1.0**2, rel=0.05)


@pytest.mark.parametrize("quantum", [0.125, 1.0, 2.0])
def test_output_lies_on_the_quantisation_grid(quantum: float) -> None:
    config = dataclasses.replace(SENSORS["sr300"].config, quantum_mm=quantum)
    out, _ = run(hand_and_wall(), config, stripes=1.0)
    steps = out.astype(np.float64) / quantum
    np.testing.assert_array_equal(steps, np.round(steps))
    assert len(np.unique(steps)) > 100


def test_disparity_steps() -> None:
    constant = 580.0 * 75.0 * 8.0
    out, _ = run(plane(2000.0, 0.5), SensorConfig(disparity_mm=constant))
    levels = constant / np.unique(out).astype(np.float64)
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    near_two_metres = np.unique(out[(out > 1950) & (out < 2050)]).astype(np.float64)
    assert np.diff(near_two_metres).mean() == pytest.approx(2000.0**2 / constant, rel=0.05)


@pytest.mark.parametrize("baseline", [20.0, 50.0, -35.0])
@pytest.mark.parametrize("near", [300.0, 450.0])
def test_shadow_strip_lies_on_one_side_and_has_the_right_width(baseline: float, near: float) -> None:
    far = 700.0
    depth = plane(far)
    depth[40:200, 130:230] = near
    out, source = run(depth, SensorConfig(baseline_mm=baseline))
    lost = out == 0
    assert not lost[:40].any()
    assert not lost[200:].any()
    assert not lost[:, 130:230].any()
    expected = FOCAL * abs(baseline) * (1.0 / near - 1.0 / far)
    left, right = lost[40:200, :130].sum(axis=1), lost[40:200, 230:].sum(axis=1)
    lit, dark = (right, left) if baseline > 0 else (left, right)
    assert not lit.any()
    assert np.abs(dark - expected).max() <= 1.0
    assert (source[lost] == -1).all()
    # The strip begins at the object's edge.
    assert lost[120, 129 if baseline > 0 else 230]


def shadow_by_ray_casting(row: npt.NDArray[np.float64], baseline: float) -> npt.NDArray[np.bool_]:
    """For each pixel, look for a piece of surface that crosses the straight line to the projector. Slow and obvious."""
    width = len(row)
    x = (np.arange(width) - 0.5 * (width - 1)) / FOCAL * row
    dark = np.zeros(width, bool)
    for i in range(width):
        for j in range(width - 1):
            if j in (i - 1, i) or abs(row[j] - row[j + 1]) > 15.0:
                continue

            # Where does the line from the projector through point i cross between points j and j + 1?
            def side(k: int, i: int = i) -> float:
                return float((x[i] - baseline) * row[k] - (x[k] - baseline) * row[i])

            a, b = side(j), side(j + 1)
            if a * b < 0.0:
                z = row[j] + (row[j + 1] - row[j]) * a / (a - b)
                dark[i] |= z < row[i] - 1.0
    return dark


@pytest.mark.parametrize("baseline", [25.0, -40.0])
def test_shadow_agrees_with_ray_casting_behind_narrow_and_round_things(baseline: float) -> None:
    row = hand_and_wall()[120].astype(np.float64)
    row[row == 0] = 800.0
    out, _ = run(np.tile(row.astype(np.float32), (3, 1)), SensorConfig(baseline_mm=baseline))
    expected = shadow_by_ray_casting(row, baseline)
    # Only a shadow's rim may differ: a pixel at each end of each dark stretch.
    different = np.flatnonzero((out[1] == 0) != expected)
    ends = np.flatnonzero(np.diff(expected.astype(int)))
    assert expected.sum() > 10
    assert all(np.abs(ends + 0.5 - k).min() <= 1.5 for k in different)


def test_zeros_stay_zeros_and_have_no_source() -> None:
    depth = hand_and_wall()
    rng = np.random.default_rng(0)
    depth[rng.random(depth.shape) < 0.2] = 0.0
    for config in (SENSORS["sr300"].config, SENSORS["kinect"].config, *(SENSORS["sr300"].draw(rng) for _ in range(5))):
        out, source = run(depth, config, stripes=0.7)
        assert not out[depth == 0].any()
        np.testing.assert_array_equal(source == -1, out == 0)
    assert not run(np.zeros_like(depth), SENSORS["sr300"].config)[0].any()


def test_values_come_from_the_surface_that_the_source_names() -> None:
    depth = hand_and_wall()
    for seed in range(6):
        config = SENSORS["sr300"].draw(np.random.default_rng(seed))
        config = dataclasses.replace(config, speck_probability=0.0, stripe_amplitude_mm=2.0, smooth_step_mm=0.0)
        config = dataclasses.replace(config, flying_probability=0.0, noise_quadratic=0.5, noise_base_mm=0.2)
        out, source = run(depth, config, seed, stripes=1.0)
        valid = source >= 0
        assert valid.mean() > 0.5
        error = np.abs(out[valid] - depth.reshape(-1)[source[valid]])
        sigma = (0.2 + 0.5 * 0.36) * config.noise_tilt_limit
        # Stripes: half of 1.25 x 2 mm; white noise: 3.46 sigma, blurred at most 3 times that; half a quantum.
        bound = 1.25 + config.bias_mm + 3 * 3.47 * sigma + 0.5 * config.quantum_mm
        assert error.max() <= bound
        moved = valid & (source != np.arange(depth.size).reshape(depth.shape))
        distance = np.abs(source // WIDTH - np.arange(HEIGHT)[:, None]) + np.abs(source % WIDTH - np.arange(WIDTH))
        assert distance[moved].max(initial=0) <= 8
        assert (config.jitter_px < 0.3) or moved.any()


def test_flying_pixels_lie_between_the_surfaces_and_belong_to_the_nearer() -> None:
    depth = plane(700.0)
    depth[80:160, 100:200] = 500.0
    out, source = run(depth, SensorConfig(flying_probability=0.5))
    flying = (out > 500.0) & (out < 700.0)
    rim = 2 * (80 + 100) + 2 * (80 + 100) - 4
    assert flying.sum() == pytest.approx(0.5 * rim, rel=0.2)
    assert (depth.reshape(-1)[source[flying]] == 500.0).all()
    inner = np.zeros_like(flying)
    inner[79:161, 99:201] = True
    inner[81:159, 101:199] = False
    assert not (flying & ~inner).any()


def test_edge_loss_takes_the_pixels_at_a_step_and_favours_the_far_side() -> None:
    depth = plane(600.0)
    depth[80:160, 100:200] = 500.0
    out, _ = run(depth, SensorConfig(edge_loss_probability=0.8, edge_near_share=0.25))
    lost = out == 0
    near, far = lost[100:140, 100].mean(), lost[100:140, 99].mean()
    assert near == pytest.approx(0.2, abs=0.2)
    assert far == pytest.approx(0.8, abs=0.2)
    assert far > near
    assert not lost[82:158, 102:198].any()
    assert not lost[:78].any()
    depth[80:160, 100:200] = 580.0  # below the smallest step
    assert (run(depth, SensorConfig(edge_loss_probability=1.0))[0] > 0).all()


def test_grazing_surfaces_get_lost_ever_more_beyond_the_limit() -> None:
    shares = []
    for angle in (60.0, 76.0, 80.0, 83.5, 87.0):
        depth = plane(500.0, math.tan(math.radians(angle)), height=60)[:, 120:200]
        middle = np.ascontiguousarray(depth)
        out, _ = run(middle, SensorConfig(grazing_from_deg=75.0, grazing_to_deg=85.0))
        shares.append(float((out[:, 38:42] == 0).mean()))
    assert shares[0] == 0.0
    assert all(a < b for a, b in itertools.pairwise(shares))
    assert shares[-1] == 1.0


def test_stripes_are_a_saw_tooth_where_the_surface_takes_them_up() -> None:
    depth = plane(500.0)
    stripes = np.zeros_like(depth)
    stripes[:, 160:] = 1.0
    config = SensorConfig(stripe_amplitude_mm=6.0, stripe_period_px=8.0, bias_wavelength_px=100.0)
    out, _ = simulate(depth, stripes, FOCAL, config, 3)
    error = out - depth
    assert not error[:, :160].any()
    striped = error[:, 160:]
    assert 2.0 < np.ptp(striped) <= 7.5
    assert striped.std() == pytest.approx(0.75 * 6.0 / math.sqrt(12.0), rel=0.3)  # of a uniform distribution
    spectrum = np.abs(np.fft.rfft(striped - striped.mean(), axis=1)).mean(axis=0)
    assert abs(int(spectrum.argmax()) - 160 / 8) <= 2
    vertical = dataclasses.replace(config, stripe_angle_deg=90.0)
    turned = (simulate(depth, stripes, FOCAL, vertical, 3)[0] - depth)[:, 160:]
    assert np.abs(np.diff(turned, axis=1)).mean() < 0.2 * np.abs(np.diff(turned, axis=0)).mean()


def test_bias_is_slow_and_bounded() -> None:
    out, _ = run(plane(500.0), SensorConfig(bias_mm=1.5, bias_wavelength_px=60.0))
    error = out - 500.0
    assert 0.5 < np.abs(error).max() <= 1.5
    assert np.abs(np.diff(error, axis=1)).max() < 1.5 * 2 * 1.5 / 30.0 + 1e-3


def test_smoothing_is_the_mean_of_the_same_surface() -> None:
    rng = np.random.default_rng(2)
    depth = (plane(500.0, height=20, width=24) + rng.uniform(-3, 3, (20, 24))).astype(np.float32)
    depth[5:12, 8:15] -= 80.0
    depth[15, 3] = 0.0
    out, _ = run(depth, SensorConfig(smooth_step_mm=10.0))
    expected = np.zeros(depth.shape)
    for v, u in np.argwhere(depth > 0):
        block = depth[max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2].astype(np.float64)
        expected[v, u] = block[np.abs(block - depth[v, u]) < 10.0].mean()
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_smoothing_after_the_noise_spreads_it_and_smoothing_before_does_not() -> None:
    before = SensorConfig(smooth_step_mm=10.0, noise_base_mm=0.5)
    after = dataclasses.replace(before, smooth_after_noise=True)
    assert (run(plane(500.0), before)[0] - 500.0)[80:160, 110:210].std() == pytest.approx(0.5, rel=0.1)
    residual = (run(plane(500.0), after)[0] - 500.0)[80:160, 110:210]
    assert residual.std() == pytest.approx(0.5 / 3.0, rel=0.15)  # mean of nine
    assert np.corrcoef(residual[:, :-1].ravel(), residual[:, 1:].ravel())[0, 1] == pytest.approx(2 / 3, abs=0.06)


def test_holes_dark_patches_specks_and_range() -> None:
    depth = plane(500.0)
    holes = run(depth, SensorConfig(hole_probability=0.5, hole_cell_px=20.0))[0] == 0
    # Half of the cells hold an ellipse of mean area pi x 0.31^2 of theirs, 70 to 100 % of which is missing.
    assert holes.mean() == pytest.approx(0.5 * math.pi * 0.31**2 * 0.85, rel=0.35)
    assert (holes[:, :-1] & holes[:, 1:]).sum() > 0.7 * holes.sum()
    dark = run(depth, SensorConfig(dark_probability=0.6, dark_loss=0.5))[0] == 0
    assert 0.02 < dark.mean() < 0.3
    specks = run(depth, SensorConfig(speck_probability=0.01, speck_mm=50.0, speck_loss_probability=0.02))[0]
    assert (specks == 0).mean() == pytest.approx(0.02, rel=0.1)
    wrong = (specks > 0) & (specks != 500.0)
    assert wrong.mean() == pytest.approx(0.01, rel=0.15)
    assert 40.0 < np.abs(specks[wrong] - 500.0).max() <= 50.0
    ramp = plane(500.0, 0.6)
    limited, _ = run(ramp, SensorConfig(near_mm=450.0, far_mm=600.0))
    np.testing.assert_array_equal(limited > 0, (ramp >= 450.0) & (ramp <= 600.0))


def test_same_seed_same_bytes_and_another_seed_differs() -> None:
    depth = hand_and_wall()
    config = SENSORS["sr300"].config
    first = run(depth, config, 7)
    run(depth[:100], config, 8)  # another size in between must leave no trace
    again = run(depth, config, 7)
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    other, _ = run(depth, config, 8)
    assert (other != first[0]).mean() > 0.5


def test_patterns_keep_their_angle_at_another_resolution() -> None:
    config = SensorConfig(stripe_amplitude_mm=4.0, stripe_period_px=8.0)
    large = np.full((480, 640), 500.0, np.float32)
    out, _ = simulate(large, np.ones_like(large), 2 * FOCAL, config, 3)
    spectrum = np.abs(np.fft.rfft(out - out.mean(), axis=1)).mean(axis=0)
    assert abs(int(spectrum.argmax()) - 640 / 16) <= 3


def test_randomised_sensors_differ_and_follow_their_generator() -> None:
    first = SENSORS["sr300"].draw(np.random.default_rng(1))
    assert first == SENSORS["sr300"].draw(np.random.default_rng(1))
    assert first != SENSORS["sr300"].draw(np.random.default_rng(2))
    rng = np.random.default_rng(0)
    drawn = [SENSORS[base].draw(rng) for base in ("sr300", "kinect") for _ in range(200)]
    assert {config.quantum_mm for config in drawn} == {0.125, 0.25, 1.0, 2.0}
    assert {config.disparity_mm > 0 for config in drawn[:200]} == {False}
    assert {config.disparity_mm > 0 for config in drawn[200:]} == {True}
    with pytest.raises(ValueError, match="sr300, kinect, stereo"):
        sensor_preset("sonar")


def test_errors_name_the_argument() -> None:
    depth = plane(500.0)
    config = SensorConfig()
    with pytest.raises(ValueError, match="depth_mm is float64"):
        simulate(depth.astype(np.float64), depth, FOCAL, config, 0)
    with pytest.raises(ValueError, match="stripes has shape"):
        simulate(depth, depth[:5], FOCAL, config, 0)
    with pytest.raises(ValueError, match="focal_px"):
        simulate(depth, depth, 0.0, config, 0)
    with pytest.raises(ValueError, match="noise_base_mm"):
        SensorConfig(noise_base_mm=-1.0)
    with pytest.raises(ValueError, match="flying_probability"):
        SensorConfig(flying_probability=1.5)
    with pytest.raises(ValueError, match="grazing"):
        SensorConfig(grazing_from_deg=80.0, grazing_to_deg=70.0)


def test_random_numbers_are_uniform_normal_and_independent_between_keys() -> None:
    count = 40_000
    key, other = stage_key(5, 0), stage_key(5, 1)
    assert key != other != stage_key(6, 0)
    uniforms = np.array([uniform(key, i) for i in range(count)])
    assert uniforms.min() >= 0.0
    assert uniforms.max() < 1.0
    assert np.histogram(uniforms, 20, (0, 1))[0] == pytest.approx(count / 20, rel=0.1)
    normals = np.array([normal(key, i) for i in range(count)])
    assert normals.mean() == pytest.approx(0.0, abs=0.02)
    assert normals.std() == pytest.approx(1.0, rel=0.02)
    others = np.array([normal(other, i) for i in range(count)])
    for a, b in ((normals, others), (normals[1:], normals[:-1]), (normals[320:], normals[:-320])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.02


def test_compiled_hash_equals_plain_python() -> None:
    for seed in (0, 1, -3, 2**70 + 5):
        key = stage_key(seed, 3)
        for index in (0, 1, 76799, 2**31 - 1):
            assert hash32(key, index) == hash32.py_func(key, index)  # type: ignore[attr-defined]
