"""Small fastMRI data sets for tests, and the pipeline as its definition says it, in plain NumPy."""

import dataclasses

import h5py
import numpy as np

from algoperf import registry
from workloads.fastmri import catalog


def random_volume(rng, num_slices=2, size=320, num_columns=368):
    """k-space with most energy in the centre, and a target near its image."""
    shape = (num_slices, 2 * size, num_columns)
    kspace = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    rows = np.hypot(
        *np.meshgrid(np.linspace(-1, 1, 2 * size), np.linspace(-1, 1, num_columns), indexing="ij")
    )
    kspace = (kspace * np.exp(-6 * rows) * 1e-4).astype(np.complex64)
    target = np.stack([plain_image(one, np.arange(num_columns), size) for one in kspace])
    return kspace, target.astype(np.float32)


def write(path, kspace, target, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=kspace, **options)
        file.create_dataset("reconstruction_esc", data=target, **options)
        file.attrs["max"] = target.max()


def plain_image(kspace, columns, size):
    """Mask, centred orthonormal inverse FFT, centre crop, magnitude; float64."""
    masked = np.zeros(kspace.shape, complex)
    masked[:, columns] = kspace[:, columns]
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(masked))) * np.sqrt(kspace.size)
    top, left = (kspace.shape[0] - size) // 2, (kspace.shape[1] - size) // 2
    return np.abs(image[top : top + size, left : left + size])


def plain_example(kspace, target, columns):
    """inputs, targets, mean, std of one slice, as the definition says."""
    image = plain_image(kspace, columns, len(target))
    mean, std = image.mean(), image.std()
    return np.clip((image - mean) / std, -6, 6), np.clip((target - mean) / std, -6, 6), mean, std


def small_spec(train, validation, test, validation_volumes, **data):
    """The full-size workload with other numbers of slices."""
    spec = registry.get("fastmri")
    return dataclasses.replace(
        spec,
        data=spec.data.as_configdict().to_dict() | {"validation_volumes": validation_volumes, **data},
        num_train_examples=train,
        num_eval_train_examples=train,
        num_validation_examples=validation,
        num_test_examples=test,
    )


def place(folder, part, name):
    return folder / "raw" / catalog.RAW_FOLDERS[part] / name
