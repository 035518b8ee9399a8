"""The law of one kind of layer, against times that were made by a known one."""

import numpy as np
import pytest

from keras_mothernets.planning.law import Law
from keras_mothernets.planning.primitive import Sizes


def _sizes(rng, count):
    found = []
    for _ in range(count):
        places, *channels = np.exp(rng.uniform(np.log([16, 4, 4]), np.log([65536, 256, 256])))
        places, (a, b) = int(places), map(int, channels)
        found.append(Sizes(places * a * b * 9, places * a, places * b, 9 * a * b, a, b))
    return found


def _truth(one):
    return 2e-5 + 3e-11 * one.work + 4e-10 * one.inputs + 2e-10 * one.outputs


@pytest.mark.parametrize("seed", range(3))
def test_a_sum_of_launch_work_and_numbers_is_found(seed):
    rng = np.random.default_rng(seed)
    known, new = _sizes(rng, 40), _sizes(rng, 40)
    law = Law(known, [_truth(one) for one in known])
    told, wanted = law.many(new), np.array([_truth(one) for one in new])
    assert np.abs(told / wanted - 1).max() < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_what_differs_from_it_is_carried_to_sizes_nearby(seed):
    def odd(one):  # narrow kernels are slow, as on a vector unit
        return _truth(one) * (1 + 2.0 / (1 + one.channels_in / 16))

    rng = np.random.default_rng(seed)
    known, new = _sizes(rng, 80), _sizes(rng, 60)
    law = Law(known, [odd(one) for one in known])
    wanted = np.array([odd(one) for one in new])
    plain = Law.__new__(Law)
    plain.__dict__.update(law.__dict__, _carried=np.zeros_like(law._carried))
    with_it = np.abs(law.many(new) / wanted - 1)
    without = np.abs(plain.many(new) / wanted - 1)
    assert np.median(with_it) < 0.06 and np.median(with_it) < 0.5 * np.median(without)


def test_far_away_it_stays_within_what_was_seen():
    rng = np.random.default_rng(0)
    known = _sizes(rng, 20)
    factors = np.exp(rng.uniform(-0.5, 0.5, len(known)))
    law = Law(known, [_truth(one) * f for one, f in zip(known, factors, strict=True)])
    far = [Sizes(10**13, 10**9, 10**9, 10**8, 4096, 4096), Sizes(0, 1, 1, 0, 1, 1)]
    for one in far:
        assert 0.2 < law(one) / _truth(one) < 5


def test_tiny_times_that_are_mostly_noise_do_not_spoil_the_large_ones():
    rng = np.random.default_rng(0)
    known = [Sizes(0, n, n, 0, 8, 8) for n in np.geomspace(10, 1e7, 30).astype(int)]
    seconds = [max(5e-6, 1e-10 * one.inputs + rng.normal(0, 2e-6)) for one in known]
    law = Law(known, seconds)
    assert law(Sizes(0, 3_000_000, 3_000_000, 0, 8, 8)) == pytest.approx(3e-4, rel=0.1)
    assert law(Sizes(0, 50, 50, 0, 8, 8)) < 1e-5


def test_one_measurement_is_enough():
    one = Sizes(1000, 10, 10, 100, 4, 4)
    assert Law([one], [1e-3])(one) == pytest.approx(1e-3, rel=0.05)
