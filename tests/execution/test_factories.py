"""Tests of what is built from settings."""

from jaxstyle.execution.factories import optimizer_of
from jaxstyle.settings import resolve


def test_optimizers_that_step_pixels_alike_are_one_object_and_share_their_programs():
    for name in ("lbfgs", "sgd"):
        pixels = {"pyramid_levels": 1, "opponent_colors": False}
        assert optimizer_of(resolve(optimizer=name)) is optimizer_of(
            resolve(optimizer=name, **pixels)
        )


def test_adam_steps_the_coordinates_of_the_settings():
    usual, pixels, rgb, circular = (
        optimizer_of(resolve(**given))
        for given in (
            {},
            {"pyramid_levels": 1},
            {"opponent_colors": False},
            {"padding": "circular"},
        )
    )
    assert len({id(each) for each in (usual, pixels, rgb)}) == 3
    assert circular is pixels
