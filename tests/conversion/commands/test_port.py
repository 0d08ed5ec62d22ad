"""Weights from one layout to another: as a function, as a command, and with a full disk."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_fastvit import FastViT, FastViTSA12
from keras_fastvit.weights.porting import load, port_weights
from keras_fastvit.weights.torch_state import load_torch_state, to_torch_state
from tests.commands import command
from tests.reference import fixtures

T8, SA12 = "fastvit_t8", "fastvit_sa12"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Makes the file of a reference checkpoint, by source and variant."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def make(source, variant):
        path = folder / f"{source}_{variant}.safetensors"
        if not path.exists():
            save_file(fixtures.load(source, variant).weights(), path)
        return path

    return make


def assert_same_tensors(state, expected):
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, name)


class TestLayouts:
    @pytest.mark.parametrize("source", ["timm", "apple"])
    def test_to_keras_and_back(self, checkpoint, tmp_path, source):
        ported, back = tmp_path / "ported.weights.h5", tmp_path / "back.safetensors"
        port_weights(checkpoint(source, SA12), SA12, ported)
        expected = fixtures.load(source, SA12).weights()
        model = FastViTSA12(weights=ported, input_shape=(32, 32, 3))
        assert_same_tensors(to_torch_state(model, source), expected)
        port_weights(ported, SA12, back, to=source)
        assert_same_tensors(load_file(back), expected)

    @pytest.mark.single_backend
    def test_folded_branches_become_a_training_form(self, checkpoint, tmp_path):
        ported = tmp_path / "ported.safetensors"
        port_weights(checkpoint("apple_reparam", SA12), SA12, ported, to="timm")
        assert load_file(ported).keys() == fixtures.load("timm", SA12).shapes.keys()
        model = FastViT(SA12)
        load_torch_state(model, fixtures.load("apple_reparam", SA12).weights(), "fixture")
        assert_same_tensors(load_file(ported), to_torch_state(model))

    @pytest.mark.single_backend
    def test_another_number_of_classes(self, tmp_path):
        model = FastViT(T8, classes=7)
        model.save(tmp_path / "model.keras")
        port_weights(tmp_path / "model.keras", T8, tmp_path / "W.safetensors", "apple", classes=7)
        assert_same_tensors(load_file(tmp_path / "W.safetensors"), to_torch_state(model, "apple"))

    @pytest.mark.single_backend
    def test_named_weights_know_their_classes(self, tmp_path):
        port_weights("fashion_mnist", T8, tmp_path / "W.safetensors", "timm")
        assert load_file(tmp_path / "W.safetensors")["head.fc.bias"].shape == (10,)
        with pytest.raises(ValueError, match="Expected classes=10, or none at all"):
            port_weights("fashion_mnist", T8, tmp_path / "W.safetensors", "timm", classes=7)

    @pytest.mark.single_backend
    def test_takes_images_of_any_size_and_gives_logits(self, checkpoint):
        model = load(checkpoint("timm", T8), T8)
        assert model.input_shape == (None, None, None, 3)
        assert model.get_config()["classifier_activation"] in (None, "linear")


@pytest.mark.single_backend
class TestWhatCannotBeWritten:
    @pytest.mark.parametrize(
        ("name", "to"),
        [
            ("W.safetensors", "keras"),
            ("W.h5", "keras"),
            ("W.weights.h5", "timm"),
            ("W.pth", "apple"),
            ("W.weights.h5", "tensorflow"),
        ],
    )
    def test_wrong_suffix_or_layout(self, tmp_path, name, to):
        with pytest.raises(ValueError, match=rf"Expected \.weights\.h5 for 'keras'.*{name}"):
            port_weights("fashion_mnist", T8, tmp_path / name, to)

    def test_no_such_folder(self, checkpoint, tmp_path):
        with pytest.raises(FileNotFoundError, match="expected an existing folder"):
            port_weights(checkpoint("timm", T8), T8, tmp_path / "missing" / "W.weights.h5")

    @pytest.mark.parametrize(("to", "name"), [("keras", "W.weights.h5"), ("timm", "W.safetensors")])
    def test_a_full_disk_leaves_what_was_there(self, checkpoint, tmp_path, to, name):
        output = tmp_path / name
        output.write_bytes(b"what was there")
        # In a process of its own, which ends as it should: HDF5 tries to write again at exit.
        code = f"""
            import resource
            from keras_fastvit.weights.porting import port_weights
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
            port_weights({str(checkpoint("timm", T8))!r}, {T8!r}, {str(output)!r}, {to!r})
            """
        process = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.returncode == 1
        error = process.stderr.strip().splitlines()[-1]
        assert error.startswith(f"OSError: Cannot write '{output}'; nothing was left there")
        assert "File too large" in error
        assert [file.name for file in tmp_path.iterdir()] == [name]
        assert output.read_bytes() == b"what was there"

    def test_weights_that_do_not_fit_leave_nothing(self, checkpoint, tmp_path):
        with pytest.raises(ValueError, match="another variant"):
            port_weights(checkpoint("timm", T8), SA12, tmp_path / "W.weights.h5")
        assert not list(tmp_path.iterdir())


@pytest.mark.single_backend
class TestCommand:
    def test_ports(self, checkpoint, tmp_path, capsys):
        output = tmp_path / "W.safetensors"
        arguments = [str(checkpoint("timm", T8)), "--model", T8, "--to", "apple"]
        assert command("port", *arguments, "--output", output) == 0
        assert load_file(output).keys() == fixtures.load("apple", T8).shapes.keys()
        assert f"{output}: {output.stat().st_size} bytes, apple's layout" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ([], "required: input, --model, --output"),
            (["imagenet", "--model", "fastvit_t9", "--output", "W"], "invalid choice"),
            (["imagnet", "--model", T8, "--output", "W.weights.h5"], "Unknown `weights`"),
            (["missing.pth", "--model", T8, "--output", "W.weights.h5"], "no weights file"),
            (["imagenet", "--model", T8, "--output", "W.pth"], "must end in its layout's suffix"),
        ],
    )
    def test_says_what_is_wrong(self, arguments, expected, capsys):
        assert command("port", *arguments) == 2
        assert expected in capsys.readouterr().err
