"""From three Keras models of your own to one trained ensemble; takes about a minute.

python tutorials/first_ensemble.py
"""

import keras
from keras import layers

import keras_mothernets as km

# Handwritten digits, 8 x 8 pixels of 0 to 255; they come with scikit-learn.
data = km.datasets.load("digits")
print(data)


# Three models that differ in depth, width and kernel size. Any Functional or Sequential model
# will do; nothing in it has to know about ensembles.
def model(name: str, convolutions: list[tuple[int, int]]) -> keras.Model:
    """A small network: convolutions (filters, kernel size) with one pooling between."""
    network = keras.Sequential(name=name)
    network.add(keras.Input(data.input_shape))
    network.add(layers.Rescaling(1 / 255))
    for number, (filters, kernel_size) in enumerate(convolutions):
        network.add(layers.Conv2D(filters, kernel_size, padding="same", activation="relu"))
        if number == 0:
            network.add(layers.MaxPooling2D())
    network.add(layers.GlobalAveragePooling2D())
    network.add(layers.Dense(data.num_classes, activation="softmax"))
    return network


members = [
    model("deep", [(16, 3), (32, 3), (32, 3), (32, 3)]),
    model("wide", [(32, 3), (96, 3)]),
    model("large_kernels", [(24, 5), (32, 5), (32, 3)]),
]

# What they have in common, and how the first one grows out of it.
mother = km.mothernet(members)
mother.summary()
print(km.explain(mother, members[0]))

# Train: the mother for 20 epochs, then every hatched member for 5.
method = km.MotherNets(members, member_epochs=5)
method.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
print(method.plan(data.x_train, data.y_train, epochs=20, batch_size=32))
history = method.fit(
    data.x_train,
    data.y_train,
    epochs=20,
    batch_size=32,
    validation_data=(data.x_val, data.y_val),
)
print(history.ledger)

# Use: one ordinary Keras model, which needs this package no more.
ensemble = method.ensemble()
print(ensemble.evaluate(data.x_test, data.y_test, return_dict=True, verbose=0))
for member in method.members:
    print(member.name, member.evaluate(data.x_test, data.y_test, return_dict=True, verbose=0))
