"""What the jobs of a run share, packed so that another process can take it up.

Functions and classes of the user's travel by value where they stand in a script or notebook
(`cloudpickle`); models travel as `PortableModel`s, so that their layers need not be registered;
arrays stand apart from the rest, so that all processes of a machine can read one copy of them.

A package is for processes that this one has started itself: it is a pickle, and nothing that
comes from elsewhere is ever unpacked.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import keras
import numpy as np
import tensorflow as tf

from keras_mothernets.errors import MotherNetsError, reason_of
from keras_mothernets.graph import PortableModel, names_without_decay
from keras_mothernets.rules import register_rule, registered_rules
from keras_mothernets.training.context import RunContext
from keras_mothernets.training.fresh import classes_inside, tells_its_config, with_inner
from keras_mothernets.training.interrupt import Interrupt
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.progress import Silent
from keras_mothernets.training.store import MemoryStore

_ALIGNED = 64  # bytes; arrays begin at multiples of it


@dataclass(frozen=True, eq=False)
class Package:
    """A plan and its context as bytes.

    Args:
        data: All but the arrays.
        arrays: Contents of the arrays: anything with the buffer protocol.
    """

    data: bytes
    arrays: Sequence[Any]

    def write(self, folder: Path) -> None:
        """Write it into a folder, from which `read` maps the arrays.

        Args:
            folder: An empty folder.
        """
        (folder / "package").write_bytes(self.data)
        places = []
        with (folder / "arrays").open("wb") as file:
            for array in self.arrays:
                file.seek(-(-file.tell() // _ALIGNED) * _ALIGNED)
                places.append((file.tell(), memoryview(array).nbytes))
                file.write(array)
        np.save(folder / "places.npy", np.array(places, "int64").reshape(-1, 2))

    @classmethod
    def read(cls, folder: Path) -> Package:
        """Read what `write` wrote; the arrays stay on disk, and in memory once for all readers.

        Args:
            folder: The folder.
        """
        places = np.load(folder / "places.npy")
        file = folder / "arrays"
        content = np.memmap(file, "uint8", "r") if file.stat().st_size else np.zeros(0, "uint8")
        arrays = [content[begin : begin + size] for begin, size in places]
        return cls((folder / "package").read_bytes(), arrays)


def pack(plan: Plan, context: RunContext) -> Package:
    """Pack a plan with what its jobs share, but for the store and the display.

    Args:
        plan: The plan.
        context: What its jobs share; not changed.

    Returns:
        A package for `unpack`.

    Raises:
        MotherNetsError: Something cannot be sent to another process.
    """
    alone = replace(
        context, store=MemoryStore(), progress=Silent(), interrupt=Interrupt(), taught={}, failed={}
    )
    arrays: list[Any] = []
    stream = io.BytesIO()
    try:
        pickler = _Pickler(stream, buffer_callback=lambda buffer: arrays.append(buffer.raw()))
        # Names first: what follows may be made of them.
        pickler.dump((_own_names(), _settings(), registered_rules()))
        pickler.dump((plan, alone))
    except MotherNetsError:
        raise
    except Exception as error:
        raise MotherNetsError(
            "The run cannot be sent to another process",
            received=reason_of(error),
            fix="Leave out of callbacks, losses and functions of the job what belongs to this"
            " process alone, such as open files; or use `km.Local()`",
        ) from error
    return Package(stream.getvalue(), arrays)


def unpack(package: Package) -> tuple[Plan, RunContext]:
    """Take up what `pack` has packed, and the settings of Keras with it.

    Whether code of layers may run was decided where the networks come from, so it may here.

    Args:
        package: The package; its arrays are used as they are and may be read-only.
    """
    keras.config.enable_unsafe_deserialization()
    unpickler = pickle.Unpickler(io.BytesIO(package.data), buffers=package.arrays)
    names, settings, rules = unpickler.load()
    keras.saving.get_custom_objects().update(names)
    _set(settings)
    for layer_class, rule in rules.items():
        register_rule(layer_class, rule)
    plan, context = unpickler.load()
    return plan, context


class _Pickler(cloudpickle.Pickler):
    """Packs models, optimizers, metrics and losses as what they are made of."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, keras.Model):
            policy = keras.dtype_policies.serialize(obj.dtype_policy)
            return _model, (PortableModel.of(obj), policy)
        if isinstance(obj, keras.optimizers.Optimizer):
            names = [names_without_decay(each) for each in with_inner(obj)]
            return _optimizer, (type(obj), obj.get_config(), classes_inside(obj), names)
        if isinstance(obj, keras.metrics.Metric) and tells_its_config(obj):
            return type(obj).from_config, (obj.get_config(),)
        if isinstance(obj, keras.losses.Loss):
            return _with_state, (type(obj), dict(vars(obj)))
        if isinstance(obj, tf.data.Dataset):
            raise MotherNetsError(
                "A `tf.data.Dataset` cannot be sent to another process",
                expected="arrays, or a `keras.utils.PyDataset`",
                fix="Give these, or use `km.Local()`",
            )
        return super().reducer_override(obj)


def _model(portable: PortableModel, policy: Any) -> keras.Model:
    model = portable.model()
    if keras.dtype_policies.serialize(model.dtype_policy) != policy:
        model.dtype_policy = keras.dtype_policies.deserialize(policy)
    return model


def _optimizer(
    cls: Any, config: dict[str, Any], classes: Mapping[str, type], names: Sequence[Any]
) -> keras.optimizers.Optimizer:
    with keras.saving.custom_object_scope(dict(classes)):
        made = cls.from_config(config)
    for each, without_decay in zip(with_inner(made), names, strict=True):
        if without_decay is not None:
            each.exclude_from_weight_decay(var_names=[without_decay])
    return made


def _with_state(cls: Any, state: dict[str, Any]) -> Any:
    made = cls.__new__(cls)
    vars(made).update(state)
    return made


def _own_names() -> dict[str, Any]:
    """Classes and functions that Keras finds by name: the registered ones, and the script's."""
    names = dict(keras.saving.get_custom_objects())
    for name, value in vars(sys.modules["__main__"]).items():
        is_own = getattr(value, "__module__", None) == "__main__"
        if is_own and isinstance(value, (type, type(_own_names))) and _can_be_packed(value):
            names.setdefault(name, value)
    return {
        name: value
        for name, value in names.items()
        if not getattr(value, "__module__", "").startswith("keras_mothernets")
    }


def _can_be_packed(value: Any) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # it is not needed, or what needs it will say so
        return False
    return True


def _settings() -> dict[str, Any]:
    return {
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "dtype_policy": keras.dtype_policies.serialize(keras.config.dtype_policy()),
    }


def _set(settings: dict[str, Any]) -> None:
    keras.config.set_floatx(settings["floatx"])
    keras.config.set_epsilon(settings["epsilon"])
    keras.config.set_image_data_format(settings["image_data_format"])
    keras.config.set_dtype_policy(keras.dtype_policies.deserialize(settings["dtype_policy"]))
