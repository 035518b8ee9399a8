"""Learning rates that are a multiple of what was chosen, and schedules longer than their job."""

import keras
import pytest

from keras_mothernets.errors import MotherNetsError
from keras_mothernets.training import CompileSettings, Job
from keras_mothernets.training.rates import ScaledSchedule, with_rate

COSINE = keras.optimizers.schedules.CosineDecay(0.2, 10)


def _job(**values):
    return Job("a", "member", "a", epochs=2, steps_per_epoch=5, **values)


def test_a_number_is_multiplied():
    made = CompileSettings(keras.optimizers.SGD(0.2), "mse").make_optimizer(_job(rate=0.25))
    assert float(made.learning_rate) == pytest.approx(0.05)


def test_a_schedule_is_multiplied_at_every_step():
    made = with_rate(keras.optimizers.Adam(COSINE), 0.25)
    for step in range(12):
        made.iterations.assign(step)
        assert float(made.learning_rate) == pytest.approx(0.25 * float(COSINE(step)))


def test_the_result_of_a_function_of_the_job_is_multiplied_too():
    settings = CompileSettings(lambda job: keras.optimizers.SGD(COSINE), "mse")
    assert float(settings.make_optimizer(_job(rate=0.5)).learning_rate) == pytest.approx(0.1)
    assert float(settings.make_optimizer(_job()).learning_rate) == pytest.approx(0.2)


def test_an_optimizer_that_scales_the_loss_has_its_inner_one_multiplied():
    made = with_rate(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.2)), 0.5)
    assert float(made.learning_rate) == pytest.approx(0.1)


def test_the_schedule_can_be_stored_and_made_again():
    stored = keras.optimizers.schedules.serialize(ScaledSchedule(COSINE, 0.5))
    again = keras.optimizers.schedules.deserialize(stored)
    assert [float(again(step)) for step in (0, 5)] == pytest.approx([0.1, 0.05])


def test_a_schedule_spans_more_than_the_job_trains_where_that_is_said():
    job = _job(schedule_epochs=8)
    assert (job.steps, job.trained_steps) == (40, 10)
    assert (_job().steps, _job().trained_steps) == (10, 10)


def test_a_schedule_that_cannot_be_made_anew_is_named():
    class Unregistered(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

        def get_config(self):
            return {}

    settings = CompileSettings(lambda job: keras.optimizers.SGD(Unregistered()), "mse")
    with pytest.raises(MotherNetsError, match="schedule `Unregistered` cannot be multiplied"):
        settings.make_optimizer(_job(rate=0.5))
    assert float(settings.make_optimizer(_job()).learning_rate) == pytest.approx(0.1)
