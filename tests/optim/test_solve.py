"""Steps, averages, reports, recovery, determinism."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxstyle.execution.compilation import counted
from jaxstyle.losses import objective
from jaxstyle.optim import solve
from jaxstyle.optim.optimizers import LEARNING_RATES, OPTIMIZERS, adam, sgd
from jaxstyle.optim.step import rate_at

SHARED = {name: make() for name, make in OPTIMIZERS.items()}
"""Of each optimizer one, so that its program is compiled once for all tests."""


@pytest.fixture
def image(picture):
    return picture(0, 32, 32)


@pytest.fixture
def scored(network, picture, image):
    return objective.build(
        network,
        image,
        [picture(1, 32, 32)],
        objective.LossSpec(
            content_weights={"relu2_1": 1.0},
            style_weights={"relu1_1": 10.0, "relu2_1": 10.0},
        ),
    )


def rates(learning_rate=0.02, average=0.9):
    return solve.Hyperparameters.of(learning_rate, average_decay=average)


def minimized(program, scored, numbers, state, steps, every=1, **options):
    """Return what was reached at every report."""
    begin = solve.Reached(numbers, state)
    return list(solve.minimize(program, scored, begin, steps, every, **options))


def solved(scored, image, steps, name="adam", every=1, **numbers):
    numbers = rates(**{"learning_rate": LEARNING_RATES[name](1.0), **numbers})
    state = solve.init(image, SHARED[name])
    return minimized(solve.Program(SHARED[name]), scored, numbers, state, steps, every)


def image_of(reached, best=False):
    return np.asarray(solve.result(reached.state, best))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_within_the_gamut(scored, image, name):
    reports = solved(scored, image, 25, name)
    assert reports[-1].total < (0.5 if name != "lbfgs" else 0.8) * reports[0].total
    found = np.asarray(reports[-1].state.image)
    assert found.min() >= 0
    assert found.max() <= 1


graded = jax.jit(lambda scored, image: jax.value_and_grad(scored, has_aux=True)(image))


def test_a_step_is_adam_by_the_book(scored, image):
    rate = 0.003
    (total, _), gradient = graded(scored, image)
    gradient = np.asarray(gradient, np.float64)
    moment, square = 0.1 * gradient / (1 - 0.9), 0.01 * gradient**2 / (1 - 0.99)
    expected = np.clip(image - rate * moment / (np.sqrt(square) + 1e-8), 0, 1)
    state = solve.init(image, SHARED["adam"])
    one = jax.jit(partial(solve.step, optimizer=SHARED["adam"]))
    state, losses = one(scored, rates(rate), state)
    np.testing.assert_allclose(state.image, expected, atol=1e-6)
    np.testing.assert_allclose(losses.total, total, rtol=1e-6)
    assert state.step == 1


def test_the_picture_is_the_decayed_average_of_the_iterates(scored, image):
    reports = solved(scored, image, 5, average=0.8)
    iterates = [image, *(np.asarray(report.state.image) for report in reports)]
    shares = [0.8 ** (5 - i) for i in range(6)]
    average = sum(s * i for s, i in zip(shares, iterates, strict=True)) / sum(shares)
    np.testing.assert_allclose(image_of(reports[-1]), average, atol=1e-6)
    last = solved(scored, image, 5, average=0.0)[-1]
    np.testing.assert_array_equal(image_of(last), last.state.image)


def test_without_a_step_the_image_is_unchanged(image, scored):
    state = solve.init(image, SHARED["adam"])
    np.testing.assert_array_equal(solve.result(state, best=False), image)
    assert solved(scored, image, 0) == []


def test_reports_come_every_n_steps_and_after_the_last(scored, image):
    reports = solved(scored, image, 10, every=4)
    assert [report.step for report in reports] == [4, 8, 10]
    one_by_one = solved(scored, image, 10)
    np.testing.assert_array_equal(image_of(reports[-1]), image_of(one_by_one[-1]))
    assert reports[-1].total == one_by_one[-1].total
    assert sum(reports[0].terms.values()) == pytest.approx(reports[0].total, rel=1e-5)


def test_the_accelerator_loop_takes_the_same_steps(scored, image, monkeypatch):
    by_hand = solved(scored, image, 7, every=3)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    state = solve.init(image, SHARED["adam"])
    with counted() as compiled:
        looped = minimized(solve.Program(SHARED["adam"]), scored, rates(), state, 7, every=3)
    assert compiled.count == 1  # although the chunks are 3, 3 and 1 steps long
    np.testing.assert_allclose(image_of(looped[-1]), image_of(by_hand[-1]), atol=1e-5)


def test_other_numbers_of_a_run_do_not_recompile(scored, image):
    optimizer = adam()  # not yet compiled for
    state = solve.init(image, optimizer)
    again = solve.init(1 - image, optimizer)
    program, numbers, others = solve.Program(optimizer), rates(), rates(0.05, 0.5)
    with counted() as compiled:
        program.compile(scored, numbers, state)
    assert compiled.count == 1
    tv = replace(scored.terms["tv"], weight=jnp.float32(3.0))
    other = replace(scored, terms={**scored.terms, "tv": tv})
    with counted() as compiled:
        minimized(program, scored, others, state, 3)
        program.compile(other, numbers, again)
        minimized(solve.Program(optimizer), other, numbers, again, 2)
    assert compiled.count == 0


def test_the_same_start_gives_the_same_bytes(scored, image):
    first, second = (solved(scored, image, 6)[-1] for _ in range(2))
    assert image_of(first).tobytes() == image_of(second).tobytes()


class Sabotaged(solve.Program):
    """A program that returns NaN while the learning rate is above a limit."""

    def __init__(self, optimizer, limit):
        super().__init__(optimizer)
        self.__dict__.update(limit=limit, calls=0)

    def __call__(self, scored, numbers, state, count):
        self.__dict__["calls"] += 1
        state, losses = super().__call__(scored, numbers, state, count)
        if self.calls > 2 and numbers.learning_rate > self.limit:
            bad = jnp.full_like(state.image, jnp.nan)
            losses = replace(losses, finite=jnp.array(False))
            state = replace(state, image=bad)
        return state, losses


def sabotaged(scored, image, limit, steps=6):
    state = solve.init(image, SHARED["adam"])
    program = Sabotaged(SHARED["adam"], limit)
    return solve.minimize(program, scored, solve.Reached(rates(), state), steps, 1)


def test_a_bad_step_is_taken_back_and_the_rate_halved(scored, image):
    reports = list(sabotaged(scored, image, limit=0.006))
    assert [report.step for report in reports] == [1, 2, 3, 4, 5, 6]
    found = [float(report.rates.learning_rate) for report in reports]
    np.testing.assert_allclose(found, [0.02] * 2 + [0.005] * 4)
    assert all(np.isfinite(image_of(report)).all() for report in reports)
    untouched = solved(scored, image, 2)[-1]
    np.testing.assert_array_equal(image_of(reports[1]), image_of(untouched))


def test_when_smaller_steps_do_not_help_it_ends_with_the_last_good_picture(scored, image):
    reports = []
    with pytest.raises(solve.DivergedError, match="not finite in the image at step 3.*lower"):
        for report in sabotaged(scored, image, limit=0.0):
            reports.append(report)
    assert [report.step for report in reports] == [1, 2]
    assert np.isfinite(image_of(reports[-1])).all()


@pytest.mark.parametrize("halvings", [solve.RETRIES, solve.RETRIES + 1])
def test_the_rate_is_halved_so_many_times_and_no_more(scored, image, halvings):
    steps = sabotaged(scored, image, limit=0.021 / 2**halvings, steps=3)
    if halvings > solve.RETRIES:
        with pytest.raises(solve.DivergedError, match=f"halving .* {solve.RETRIES} times"):
            list(steps)
    else:
        last = list(steps)[-1]
        np.testing.assert_allclose(last.rates.learning_rate, 0.02 / 2**halvings, rtol=1e-6)


def test_a_real_overflow_is_noticed_and_named(scored, image):
    heavy = replace(scored.terms["style/relu2_1"], weight=jnp.float32(1e38))
    scored = replace(scored, terms={**scored.terms, "style/relu2_1": heavy})
    with pytest.raises(solve.DivergedError, match="not finite in style/relu2_1 at step 1"):
        solved(scored, image * 1e3, 1)


def test_default_hyperparameters_are_arrays_that_change_nothing():
    plain = solve.Hyperparameters.of(0.5)
    assert [float(x) for x in jax.tree.leaves(plain)] == [0.5, 0.0, 1.0, 0.0, 0.0, 1.0]
    told = solve.Hyperparameters.of(0.5, average_decay=0.25, decay=0.75, low=-np.inf, high=2.0)
    assert (told.average_decay, told.decay, told.low, told.high) == (0.25, 0.75, -np.inf, 2.0)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves((plain, told)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Slope(objective.Objective):
    """The sum of the pixels, so many times: the gradient is the same everywhere."""

    def __call__(self, image):
        total = self.network * jnp.sum(image)
        return total, {"slope": total}


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Bowl(objective.Objective):
    """The sum of squares: gradient descent with a rate r shrinks the image by 1 - 2 r a step."""

    def __call__(self, image):
        total = self.network * jnp.sum(image**2)
        return total, {"bowl": total}


PLAIN = sgd(momentum=0.0)


def descended(scored, numbers, image, steps, **options):
    state = solve.init(image, PLAIN)
    return minimized(solve.Program(PLAIN), scored, numbers, state, steps, **options)


GRAY = jnp.full((4, 4, 3), 0.5)
RATES = solve.Hyperparameters.of(0.01)


def test_updates_of_any_optax_transformation_are_added_to_the_image():
    optimizer = optax.chain(optax.clip(0.5), optax.sgd(optax.linear_schedule(0.2, 0.0, 4), 0.9))
    state, image = solve.init(GRAY, optimizer), GRAY
    memory = optimizer.init(image)
    for _ in range(4):
        state, _ = solve.step(
            Bowl(jnp.float32(1.0), {}), solve.Hyperparameters.of(), state, optimizer=optimizer
        )
        updates, memory = optimizer.update(2 * image, memory, image)
        image = optax.apply_updates(image, updates)
        np.testing.assert_allclose(state.image, image, rtol=1e-6)


def test_the_rate_decays_from_step_to_step():
    numbers = solve.Hyperparameters.of(0.01, decay=0.5, low=-np.inf, high=np.inf)
    for report in descended(Slope(jnp.float32(1.0), {}), numbers, GRAY, 5):
        moved = 0.01 * (1 - 0.5**report.step) / (1 - 0.5)
        np.testing.assert_allclose(report.state.image, 0.5 - moved, rtol=1e-5)


def test_a_step_finds_no_images_in_memory_but_those_of_its_state():
    """Image, average and best, which are one array at first, and the momentum."""
    alive, image = [], jnp.full((5, 11, 3), 0.5)

    class Watched(solve.Program):
        def __call__(self, *arguments):
            alive.append(sum(each.shape == (5, 11, 3) for each in jax.live_arrays()))
            return super().__call__(*arguments)

    bowl, begin = Bowl(jnp.float32(1.0), {}), solve.Reached(RATES, solve.init(image, PLAIN))
    del image
    running = solve.minimize(Watched(PLAIN), bowl, begin, 5, 1)
    del begin
    for reached in running:
        del reached
    assert alive == [2, 4, 4, 4, 4]


def test_of_pictures_with_the_same_loss_the_first_is_the_best():
    flat = Slope(jnp.float32(0.0), {})
    moving = optax.GradientTransformationExtraArgs(
        lambda image: (), lambda gradient, *_, **__: (jnp.ones_like(gradient), ())
    )
    state = solve.init(GRAY, moving)
    for _ in range(3):
        state, _ = solve.step(flat, solve.Hyperparameters.of(0.1), state, optimizer=moving)
    np.testing.assert_array_equal(state.best, GRAY)


def test_pixels_are_kept_between_the_bounds():
    scored = Slope(jnp.float32(1.0), {})
    last = descended(scored, solve.Hyperparameters.of(0.2), GRAY, 5)[-1]
    np.testing.assert_array_equal(last.state.image, 0)
    last = descended(scored, solve.Hyperparameters.of(0.2, low=0.3), GRAY, 5)[-1]
    np.testing.assert_allclose(last.state.image, 0.3)
    last = descended(
        replace(scored, network=-scored.network), solve.Hyperparameters.of(0.2), GRAY, 5
    )[-1]
    np.testing.assert_array_equal(last.state.image, 1)


def test_without_bounds_pixels_leave_the_gamut_but_pictures_do_not():
    numbers = solve.Hyperparameters.of(0.2, low=-np.inf, high=np.inf)
    last = descended(Slope(jnp.float32(1.0), {}), numbers, GRAY, 5)[-1]
    np.testing.assert_allclose(last.state.image, -0.5, rtol=1e-5)
    np.testing.assert_array_equal(image_of(last), 0)
    up = descended(Slope(jnp.float32(-1.0), {}), numbers, GRAY, 5)[-1]
    np.testing.assert_array_equal(image_of(up), 1)


QUICK_TO_FORGET = adam(betas=(0.9, 0.9))


def best_of(scored, image, every):
    """The reports of a run at a rate so high that the loss goes up and down."""
    state, numbers = solve.init(image, QUICK_TO_FORGET), solve.Hyperparameters.of(0.3)
    return minimized(solve.Program(QUICK_TO_FORGET), scored, numbers, state, 12, every)


def test_the_best_picture_is_the_one_of_least_loss(scored, image):
    reports = best_of(scored, image, 1)
    totals = [report.total for report in reports]
    least = int(np.argmin(totals))
    assert least < len(totals) - 1
    last = reports[-1]
    assert last.state.best_total == totals[least]
    # The loss of a report is that of the image before its step.
    before = image if least == 0 else reports[least - 1].state.image
    best = image_of(last, best=True)
    np.testing.assert_array_equal(best, np.clip(before, 0, 1))
    np.testing.assert_allclose(graded(scored, best)[0][0], min(totals), rtol=1e-5)
    for number, report in enumerate(reports, start=1):
        assert report.state.best_total == min(totals[:number])


def test_the_best_is_found_between_reports_too(scored, image):
    often, seldom = (best_of(scored, image, every)[-1] for every in (1, 12))
    np.testing.assert_array_equal(image_of(often, best=True), image_of(seldom, best=True))
    assert seldom.state.best_total < seldom.total


def test_the_best_picture_is_within_the_gamut():
    numbers = solve.Hyperparameters.of(0.2, low=-np.inf, high=np.inf)
    last = descended(Slope(jnp.float32(1.0), {}), numbers, GRAY, 6)[-1]
    np.testing.assert_allclose(last.state.best, -0.5, rtol=1e-5)  # before the last step
    np.testing.assert_array_equal(image_of(last, best=True), 0)


def test_a_run_without_improvement_stops_early():
    flat, numbers = Bowl(jnp.float32(1.0), {}), solve.Hyperparameters.of(0.0)
    assert descended(flat, numbers, GRAY, 100)[-1].step == 100
    steps = [report.step for report in descended(flat, numbers, GRAY, 100, tolerance=1e-4)]
    assert steps == list(range(1, solve.PATIENCE + 2))
    every = descended(flat, numbers, GRAY, 100, tolerance=1e-4, every=solve.PATIENCE)
    assert every[-1].step == 2 * solve.PATIENCE


def test_a_loss_of_zero_stops_early():
    nothing = Slope(jnp.float32(0.0), {})
    assert (
        descended(nothing, solve.Hyperparameters.of(0.1), GRAY, 100, tolerance=1e-4)[-1].step == 21
    )


def test_a_run_that_improves_goes_on():
    """Twenty steps of 1 % leave (0.98^20)^2 = 0.446 of the loss."""
    bowl, numbers = Bowl(jnp.float32(1.0), {}), solve.Hyperparameters.of(0.01)
    assert descended(bowl, numbers, GRAY, 70, tolerance=0.54)[-1].step == 70
    assert descended(bowl, numbers, GRAY, 70, tolerance=0.57)[-1].step == 21


@pytest.mark.parametrize("every", [1, 7, 20, 30])
def test_continuing_from_any_report_gives_the_same_reports(every):
    """Marks, and with them the early end, are where they would have been."""
    bowl, numbers = (
        Bowl(jnp.float32(1.0), {}),
        solve.Hyperparameters.of(0.01, decay=0.95, average_decay=0.5),
    )
    optimizer = SHARED["sgd"]
    start, program = solve.Reached(numbers, solve.init(GRAY, optimizer)), solve.Program(optimizer)

    def copied(state):
        """For a solver that has its optimizer's memory for itself."""
        return jax.device_put(jax.tree.map(np.array, state))

    def after(report):
        """The reports that follow."""
        begin = replace(report, state=copied(report.state))
        running = solve.minimize(program, bowl, begin, 200, every, tolerance=0.2)
        return [replace(r, state=copied(r.state)) for r in running]

    def seen(reports):
        return [(r.step, r.total, r.courses[0].over, image_of(r).tobytes()) for r in reports]

    reports = after(start)
    assert reports[-1].courses[0].over
    assert 2 * solve.PATIENCE <= reports[-1].step < 200
    for index in {0, 1, 18, 19, 20, len(reports) - 2} & set(range(len(reports))):
        assert seen(after(reports[index])) == seen(reports[index + 1 :])


def test_running_time_adds_up_over_a_resume(scored, image):
    state = solve.init(image, SHARED["adam"])
    begin = solve.Reached(rates(), state, (solve.Course(step=2),), seconds=100.0)
    reports = list(solve.minimize(solve.Program(SHARED["adam"]), scored, begin, 4, 1))
    assert [report.step for report in reports] == [3, 4]
    assert 100 < reports[0].seconds < reports[1].seconds < 200


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_moving_one_without_its_bias(decay):
    rng = np.random.default_rng(0)
    iterates = rng.uniform(0, 1, (8, 4, 4, 3)).astype(np.float32)
    state, averaged = solve.init(jnp.asarray(iterates[0]), SHARED["sgd"]), jax.jit(solve.averaged)
    biased = (1 - decay) * iterates[0].astype(np.float64)
    for number, image in enumerate(iterates[1:], start=1):
        average = averaged(state, jnp.asarray(image), jnp.float32(decay))
        biased = decay * biased + (1 - decay) * image
        np.testing.assert_allclose(average, biased / (1 - decay ** (number + 1)), rtol=1e-4)
        state = replace(state, image=image, average=average, step=np.int32(number))


@dataclass(frozen=True)
class Pair(solve.OnePicture):
    """Two pictures, stacked."""

    def step(self, objective, rates, state, optimizer):
        def one(rates, state):
            return solve.step(objective, rates, state, optimizer=optimizer)

        return jax.vmap(one)(rates, state)

    def init_optimizer_state(self, image, optimizer):
        return jax.vmap(optimizer.init)(image)


class Flawed(solve.Program):
    """A program of two pictures, the second of which fails above a rate, from the second call."""

    def __init__(self, optimizer, limit):
        super().__init__(optimizer, Pair())
        self.__dict__.update(limit=limit, calls=0)

    def __call__(self, scored, numbers, state, count):
        self.__dict__["calls"] += 1
        state, losses = super().__call__(scored, numbers, state, count)
        bad = self.calls > 1 and float(numbers.learning_rate[1]) > self.limit
        finite = losses.finite & jnp.array([True, not bad])
        return replace(state, image=state.image.at[1].mul(jnp.nan if bad else 1)), replace(
            losses, finite=finite
        )


def pair_solved(limit, steps=5, **options):
    """Return what was reached by two pictures at rates of 0.02, and by one of them alone."""
    bowl, optimizer = Bowl(jnp.float32(1.0), {}), SHARED["adam"]
    both = jax.vmap(partial(solve.init, optimizer=optimizer))(jnp.stack([GRAY, GRAY]))
    numbers = jax.tree.map(lambda x: jnp.stack([x, x]), solve.Hyperparameters.of(0.02))
    begin = solve.Reached(numbers, both, (solve.Course(),) * 2)
    found = list(solve.minimize(Flawed(optimizer, limit), bowl, begin, steps, 1, **options))
    one = solve.Reached(solve.Hyperparameters.of(0.02), solve.init(GRAY, optimizer))
    return found, list(solve.minimize(solve.Program(optimizer), bowl, one, steps, 1, **options))


def test_a_bad_step_of_one_picture_is_taken_back_while_the_others_go_on():
    found, alone = pair_solved(limit=0.006, carry=True)
    assert [[c.step for c in r.courses] for r in found] == [
        *([1, 1], [2, 1], [3, 1], [4, 2], [5, 3], [5, 4], [5, 5])
    ]
    np.testing.assert_allclose(found[-1].learning_rates, [0.02, 0.005])
    # The first picture waits for the second, and is what it would be alone.
    np.testing.assert_allclose(image_of(found[-1])[0], image_of(alone[-1]), rtol=1e-6)
    memory = jax.tree.map(lambda x: x[0], found[-1].state.optimizer)
    jax.tree.map(np.testing.assert_allclose, memory, alone[-1].state.optimizer)
    assert np.isfinite(image_of(found[-1])).all()
    assert found[-1].courses[0].total == pytest.approx(alone[-1].total, rel=1e-6)


def test_a_picture_that_diverges_is_given_up_and_harms_no_other():
    found, alone = pair_solved(limit=0.0)
    first, second = found[-1].courses
    assert (first.step, first.diverged) == (5, "")
    assert "not finite in the image at step 2" in second.diverged
    np.testing.assert_allclose(image_of(found[-1])[0], image_of(alone[-1]), rtol=1e-6)
    np.testing.assert_array_equal(found[-1].state.image[1], found[0].state.image[1])


@pytest.mark.parametrize("steps", [1, 3, 20, 50])
def test_a_cosine_schedule_rises_and_falls(steps):
    rates = solve.Hyperparameters.of(0.02, cosine_steps=steps)
    found = np.array([rate_at(rates, jnp.int32(step)) for step in range(steps)]) / 0.02
    assert found.max() <= 1
    if steps > 1:
        assert found[-1] == pytest.approx(0.1)
        assert found.max() > 0.8
    peak = int(found.argmax())
    assert peak <= steps / 4
    assert (np.diff(found[: peak + 1]) > 0).all() and (np.diff(found[peak:]) < 0).all()
    assert float(rate_at(solve.Hyperparameters.of(0.02), jnp.int32(7))) == pytest.approx(0.02)
