"""`keras-mothernets demo`: one small ensemble trained both ways, and the difference shown."""

from __future__ import annotations

import argparse
import math

import keras

from keras_mothernets import datasets, reporting
from keras_mothernets.cli.demo_networks import demo
from keras_mothernets.cli.train import compile_for
from keras_mothernets.datasets import Dataset
from keras_mothernets.graph import counted
from keras_mothernets.member import Member
from keras_mothernets.methods import FullData, Method, MotherNets
from keras_mothernets.training.optimizers import OptimizerOfJob

OPTIMIZER = OptimizerOfJob("adam", learning_rate=2e-3)


def run(arguments: argparse.Namespace) -> None:
    """Train with both methods, print tables, write a picture.

    Args:
        arguments: As parsed by `cli.parser`.

    Raises:
        MotherNetsError: The picture cannot be written there.
    """
    reporting.check_picture(arguments.plot)
    keras.utils.set_random_seed(arguments.seed)  # the initial weights of the networks
    data = datasets.load("digits", seed=arguments.seed)
    members = demo(data.input_shape, data.num_classes)
    print(f"{data}\n{len(members)} networks: {', '.join(member.label for member in members)}")

    print(f"\nFullData: every network from scratch, {counted(arguments.epochs, 'epoch')} each")
    method: Method = FullData(members, seed=arguments.seed)
    full_data = _train(method, members, data, arguments)

    print(
        f"\nMotherNets: what they have in common for {counted(arguments.epochs, 'epoch')}, then "
        f"every network from there, {counted(arguments.member_epochs, 'epoch')} each"
    )
    method = MotherNets(members, member_epochs=arguments.member_epochs, seed=arguments.seed)
    mother_nets = _train(method, members, data, arguments)

    for result in (full_data, mother_nets):
        print(f"\n{result.name}\n{reporting.member_table(result)}")
    print(f"\nTime and test accuracy\n{reporting.time_table([full_data, mother_nets])}")
    chance = 2 * math.sqrt(0.02 * 0.98 / len(data.x_test))  # two standard errors near 98 %
    print(
        f"With {len(data.x_test)} test images, differences in accuracy of less than about "
        f"{chance:.1%} are chance; docs/RESULTS.md has comparisons that count."
    )
    title = "Five small networks on handwritten digits: from scratch, and hatched from a MotherNet"
    reporting.plot_results([full_data, mother_nets], arguments.plot, title=title)
    print(f"\nPicture: {arguments.plot}")


def _train(
    method: Method, members: list[Member], data: Dataset, arguments: argparse.Namespace
) -> reporting.Result:
    compile_for(method, members, OPTIMIZER)
    history = method.fit(
        data.x_train,
        data.y_train,
        epochs=arguments.epochs,
        batch_size=64,
        validation_data=(data.x_val, data.y_val),
    )
    name = type(method).__name__
    return reporting.result_of(name, method, history, data.x_test, data.y_test)
