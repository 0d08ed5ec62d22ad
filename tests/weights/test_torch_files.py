"""Files of weights: whole ones are read, all others refused by name, and none can run code."""

import argparse
import collections
import io
import os
import pathlib
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import types
import zipfile
from copy import copy as copied

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from keras_fastvit import FastViT, fuse
from keras_fastvit.weights.file_kinds import KERAS_SUFFIXES, PICKLES
from keras_fastvit.weights.keras_files import load_keras_file, save_keras_file
from keras_fastvit.weights.model_files import read_model_file
from keras_fastvit.weights.torch_files import read_torch_file
from keras_fastvit.weights.variables import checked

CLASSES = 5
TENSORS = {"a.weight": np.arange(6, dtype="float32").reshape(2, 3), "a.bias": np.ones(2, "float32")}


def torch_tensors(arrays=TENSORS):
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def assert_same(found, expected=TENSORS, prefix=""):
    state = {name.removeprefix(prefix): x for name, x in found.items() if name.startswith(prefix)}
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        assert state[name].shape == array.shape
        np.testing.assert_array_equal(state[name], array)


def refused_by(path, read=read_torch_file):
    """The message of the error that a file is refused with: it names file and what was expected."""
    with pytest.raises(ValueError, match="Expected") as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "Received: " in message.partition("Expected")[2]
    assert not message.endswith("()")
    return message


# --- PyTorch's files


@pytest.mark.single_backend
class TestSafetensors:
    @pytest.mark.parametrize("dtype", ["float32", "float16", "float64", ml_dtypes.bfloat16])
    def test_reads_every_floating_dtype(self, tmp_path, dtype):
        path = tmp_path / "weights.safetensors"
        save_file({name: array.astype(dtype) for name, array in TENSORS.items()}, path)
        assert_same(read_torch_file(path))

    def test_reads_without_torch(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_file({"a": np.ones(2, "float32")}, path)
        output = run_without_torch(f"print(read_torch_file({str(path)!r})['a'].read())")
        assert output == "[1. 1.]"


@pytest.mark.single_backend
class TestPickles:
    @pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
    def test_names_begin_with_the_keys_of_the_containers(self, tmp_path, zipped):
        path = tmp_path / "checkpoint.pth.tar"
        tensors = torch_tensors()
        content = {"epoch": 3, "state_dict": collections.OrderedDict(tensors), "more": [(tensors,)]}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        found = read_torch_file(path)
        assert_same(found, prefix="state_dict.")
        assert_same(found, prefix="more.0.0.")
        assert len(found) == 2 * len(TENSORS)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_reads_every_floating_dtype(self, tmp_path, dtype):
        path = tmp_path / "checkpoint.pth"
        torch.save({name: tensor.to(dtype) for name, tensor in torch_tensors().items()}, path)
        assert_same(read_torch_file(path))

    @pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
    def test_reads_past_what_training_leaves(self, tmp_path, zipped):
        path = tmp_path / "checkpoint.pth.tar"
        checkpoint = {
            "state_dict": torch_tensors(),
            "args": argparse.Namespace(lr=np.float32(1e-3), betas=(0.9, 0.999), nested={"a": []}),
            "metric": np.float64(76.2),
            "best_epoch": np.int64(299),
            "dtype": np.dtype("float32"),
            "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]},
        }
        torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
        before = set(torch.serialization.get_safe_globals())
        assert_same(read_torch_file(path), prefix="state_dict.")
        assert set(torch.serialization.get_safe_globals()) == before

    def test_a_users_own_safe_globals_survive(self, tmp_path):
        path = tmp_path / "checkpoint.pth"
        torch.save({"state_dict": torch_tensors(), "args": argparse.Namespace(a=1)}, path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            assert_same(read_torch_file(path), prefix="state_dict.")
            assert argparse.Namespace in torch.serialization.get_safe_globals()

    @pytest.mark.parametrize(
        ("thing", "name"),
        [
            (collections.deque([1]), "collections.deque"),
            (pathlib.PurePosixPath("a"), "pathlib.PurePosixPath"),
            (types.SimpleNamespace(a=1), "types.SimpleNamespace"),
            (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
            (np.arange(3), "numpy._core.multiarray._reconstruct"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_refuses_anything_else_by_name(self, tmp_path, thing, name):
        path = tmp_path / "checkpoint.pth"
        torch.save({"state_dict": torch_tensors(), "more": thing}, path)
        assert f"calls for {name}," in refused_by(path)

    def test_says_how_to_save_the_weights_alone(self, tmp_path):
        """The three lines run, and what they write is read."""
        path, bare = tmp_path / "checkpoint.pth", tmp_path / "weights.pth"
        checkpoint = {"state_dict": torch_tensors(), "more": pathlib.PurePosixPath("a")}
        torch.save(checkpoint, path)
        run_the_way_on(path, bare)
        assert_same(read_torch_file(bare))

    @pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
    def test_refuses_programs_and_says_how_to_save_their_weights(self, tmp_path):
        path, bare = tmp_path / "program.pt", tmp_path / "weights.pth"
        torch.jit.save(torch.jit.script(torch.nn.Linear(3, 2)), path)
        assert "a TorchScript program" in refused_by(path)
        run_the_way_on(path, bare)
        assert read_torch_file(bare).keys() == {"weight", "bias"}

    @pytest.mark.parametrize(
        "content",
        [[1, 2], torch.ones(2), {"state_dict": {"a": 1}}, {"epoch": 1}, {}, 3, "text"],
        ids=[
            "list",
            "tensor",
            "number in a state dict",
            "no state dict",
            "empty",
            "number",
            "text",
        ],
    )
    def test_refuses_what_has_no_tensors_with_names(self, tmp_path, content):
        path = tmp_path / "checkpoint.pth"
        torch.save(content, path)
        assert "tensor" in refused_by(path)

    @pytest.mark.parametrize(
        "tensor",
        [
            torch.eye(3).to_sparse(),
            torch.eye(3, dtype=torch.float16).to_sparse(),
            torch.empty(3, device="meta"),
        ],
        ids=["sparse", "sparse float16", "without data"],
    )
    def test_refuses_tensors_that_are_not_dense(self, tmp_path, tensor):
        path = tmp_path / "checkpoint.pth"
        torch.save({"a": tensor}, path)
        found = read_torch_file(path)  # which may well be an optimizer's
        message = refused_by(path, lambda path: found["a"].read())
        assert "Expected dense tensors. Received: 'a' with" in message

    def test_containers_without_end(self, tmp_path):
        """That hold themselves, each other many times over, or names as long as the file."""
        loop = {"a": torch.ones(1)}
        loop["loop"] = [loop]
        wide = torch_tensors()
        for _ in range(64):
            wide = [wide, wide]
        deep = {"a": torch.ones(1)}
        for _ in range(250):
            deep = [deep]
        path, long = tmp_path / "checkpoint.pth", "a" * 10**6
        content = [loop, wide, deep, [{long: {long: {i: torch.ones(1)}}} for i in range(9)]]
        torch.save(content, path)
        found = read_torch_file(path)
        assert "0.a" in found
        assert len(found) == 1 + len(TENSORS)

    def test_names_what_to_install_if_torch_is_missing(self, tmp_path):
        path = tmp_path / "checkpoint.pth.tar"
        torch.save(torch_tensors(), path)
        output = run_without_torch(
            f"""
            try:
                read_torch_file({str(path)!r})
            except ImportError as error:
                print(error)
            """
        )
        assert "pip install 'keras-fastvit[torch]'" in output
        assert str(path) in output


def run_the_way_on(path, output):
    """Runs the lines that a refusal ends with, so that they write to `output`."""
    with pytest.raises(ValueError, match="Expected") as caught:
        read_torch_file(path)
    (note,) = caught.value.__notes__
    introduction, *lines = note.splitlines()
    assert "If you trust" in introduction
    assert len(lines) == 3
    exec(textwrap.dedent("\n".join(lines)).replace("weights.pth", str(output)))


def run_without_torch(code):
    """Runs code in a process in which `import torch` fails, and returns what it prints."""
    return run_in_process(f"import sys\nsys.modules['torch'] = None\n{textwrap.dedent(code)}")


def run_in_process(code):
    """Runs code in a process of its own, and returns what it prints."""
    prelude = "from keras_fastvit.weights.torch_files import read_torch_file\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout.strip()


class Payload:
    """Creates a file when it is unpickled by someone who trusts it."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.single_backend
class TestDeclaredSizes:
    """A file may say that it unpacks to more than the machine has: it is not believed."""

    def save(self, path, content):
        torch.save(content, path)
        return path

    def rewritten(self, path, compression, change=lambda name, data: data):
        whole = path.with_name(f"whole-{path.name}")
        path.rename(whole)
        with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", compression) as to:
            for name in source.namelist():
                to.writestr(name, change(name, source.read(name)))

    def test_a_compressed_archive(self, tmp_path):
        path = self.save(tmp_path / "checkpoint.pth", torch_tensors())
        self.rewritten(
            path,
            zipfile.ZIP_DEFLATED,
            lambda name, data: data + bytes(10**8) if name.endswith("data.pkl") else data,
        )
        assert path.stat().st_size < 10**6
        assert re.search("unpack to 100[0-9]{6} bytes", refused_by(path))

    def test_little_that_is_compressed(self, tmp_path):
        """Torch would map the compressed bytes as if they were weights."""
        path = self.save(tmp_path / "checkpoint.pth", torch_tensors())
        self.rewritten(path, zipfile.ZIP_DEFLATED)
        assert "not compressed. Received: compressed entries" in refused_by(path)

    def test_entries_that_share_their_bytes(self, tmp_path):
        """The directory says of each of many entries that all of the file is its own."""
        path = self.save(tmp_path / "checkpoint.pth", {"a": torch.ones(10**6)})
        with zipfile.ZipFile(path, "a") as archive:
            first = max(archive.infolist(), key=lambda entry: entry.file_size)
            for i in range(100):
                entry = copied(first)
                entry.filename = f"checkpoint/data/{i + 10}"
                archive.filelist.append(entry)
            archive.writestr("checkpoint/more", "")  # writes the directory anew
        assert "unpack to" in refused_by(path)

    @pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
    def test_a_call_for_memory(self, tmp_path, zipped):
        path = tmp_path / "checkpoint.pth"
        content = {"a": Payload(bytearray, 2**31), **torch_tensors()}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        assert "calls for bytearray" in refused_by(path)

    def test_a_tensor_that_repeats_its_values(self, tmp_path):
        """Its four bytes are not multiplied before its shape is found to be wrong."""
        path = self.save(tmp_path / "checkpoint.pth", {"a": torch.ones(1).expand(2**40)})
        tensor = read_torch_file(path)["a"]
        assert tensor.shape == (2**40,)
        with pytest.raises(ValueError, match="has another shape"):
            checked(tensor, "a", (3,), "some.file")

    @pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux' /proc")
    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_tensors_that_nobody_asks_for_take_no_memory(self, tmp_path, suffix):
        path = tmp_path / f"checkpoint{suffix}"
        optimizer = np.ones(2**25, "float32")  # 128 MiB
        tensors = {**TENSORS, "optimizer": optimizer}
        save_file(tensors, path) if suffix == ".safetensors" else self.save(
            path, torch_tensors(tensors)
        )
        output = run_in_process(
            f"""
            import numpy
            import torch  # before its own memory is taken
            def taken():  # in KiB, without what is mapped from files
                return int(open("/proc/self/status").read().split("RssAnon:")[1].split()[0])
            before = taken()
            found = read_torch_file({str(path)!r})
            print(numpy.asarray(found["a.weight"]).sum(), taken() - before < 2**16)
            """
        )
        assert output == "15.0 True"


@pytest.mark.single_backend
class TestMaliciousPickles:
    @pytest.fixture(params=["os.system", "exec", "os.mkdir", "shutil.copy", "Namespace"])
    def payload(self, request, tmp_path):
        mark = tmp_path / "code-has-run"
        source = tmp_path / "source"
        source.write_text("x")
        return mark, {
            "os.system": Payload(os.system, f"echo > '{mark}'"),
            "exec": Payload(exec, f"open({str(mark)!r}, 'w').close()"),
            "os.mkdir": Payload(os.mkdir, str(mark)),
            "shutil.copy": Payload(shutil.copy, str(source), str(mark)),
            # Behind a name that is allowed.
            "Namespace": argparse.Namespace(a=Payload(os.system, f"echo > '{mark}'")),
        }[request.param]

    def write(self, path, kind, payload):
        checkpoint = {"state_dict": torch_tensors(), "args": payload}
        if kind == "pickle":
            path.write_bytes(pickle.dumps(payload))
        elif kind == "tar":
            with tarfile.open(path, "w") as archive:
                data = pickle.dumps(payload)
                for name in ("sys_info", "pickle", "tensors", "storages"):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
        else:
            torch.save(checkpoint, path, _use_new_zipfile_serialization=kind == "zip")

    @pytest.mark.filterwarnings("ignore:Detected pickle protocol")
    @pytest.mark.parametrize("suffix", PICKLES)
    @pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "tar"])
    def test_do_not_run(self, tmp_path, payload, kind, suffix):
        mark, payload = payload
        path = tmp_path / f"checkpoint{suffix}"
        self.write(path, kind, payload)
        message = refused_by(path)
        assert not mark.exists()
        if kind in ("zip", "legacy"):
            assert "which was not run" in message
        assert "weights_only` set to" not in message  # torch's advice to trust the file

    def test_would_run_elsewhere(self, tmp_path, payload):
        mark, payload = payload
        pickle.loads(pickle.dumps(payload))
        assert mark.exists()


# --- Keras' files


def randomized(model, seed=0):
    """Gives all trained state random values; also the variances, which must be positive."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def small_model(variant="fastvit_t8", **kwargs):
    kwargs = {"input_shape": (32, 32, 3), "classes": CLASSES, **kwargs}
    return FastViT(variant, **kwargs)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with random weights, and the folder with the files it was saved to."""
    folder = tmp_path_factory.mktemp("saved")
    model = randomized(small_model())
    model.save_weights(folder / "model.weights.h5")
    model.save(folder / "model.keras")
    return model, folder


@pytest.fixture(scope="module")
def other():
    """Another model of the same variant, to load into."""
    return small_model()


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of the `.weights.h5` file, to be damaged."""
    return pathlib.Path(shutil.copy(saved[1] / "model.weights.h5", tmp_path))


def assert_equal_weights(model, expected):
    for variable, value in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(variable), keras.ops.convert_to_numpy(value), variable.path
        )


class TestKerasFiles:
    @pytest.mark.parametrize("suffix", KERAS_SUFFIXES)
    def test_fills_every_variable(self, saved, other, suffix):
        randomized(other, seed=1)
        load_keras_file(other, saved[1] / f"model{suffix}")
        assert_equal_weights(other, saved[0])

    def test_writes_what_keras_writes(self, saved, other, tmp_path):
        save_keras_file(saved[0], tmp_path / "model.weights.h5")
        randomized(other, seed=4)
        other.load_weights(tmp_path / "model.weights.h5")
        assert_equal_weights(other, saved[0])
        randomized(other, seed=4)
        load_keras_file(other, tmp_path / "model.weights.h5")
        assert_equal_weights(other, saved[0])

    def test_attention_has_other_layers(self, tmp_path):
        model = randomized(small_model("fastvit_sa12"))
        model.save_weights(tmp_path / "model.weights.h5")
        other = small_model("fastvit_sa12", drop_path_rate=0.3, dropout=0.2)
        load_keras_file(other, tmp_path / "model.weights.h5")
        assert_equal_weights(other, model)

    def test_without_a_top_the_files_top_is_ignored(self, saved):
        headless = small_model(include_top=False)
        load_keras_file(headless, saved[1] / "model.weights.h5")
        assert_equal_weights(headless, keras.Model(saved[0].input, saved[0].layers[-5].output))

    def test_the_state_of_training_is_ignored(self, saved, other, tmp_path):
        trained = small_model()
        trained.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        trained.optimizer.build(trained.trainable_variables)
        for suffix, save in ((".weights.h5", trained.save_weights), (".keras", trained.save)):
            save(tmp_path / f"model{suffix}")
            randomized(other, seed=2)
            load_keras_file(other, tmp_path / f"model{suffix}")
            assert_equal_weights(other, trained)

    def test_bfloat16(self, tmp_path):
        model = randomized(small_model(dtype="bfloat16"))
        model.save_weights(tmp_path / "model.weights.h5")
        other = small_model()
        load_keras_file(other, tmp_path / "model.weights.h5")
        for variable, value in zip(other.weights, model.weights, strict=True):
            expected = keras.ops.convert_to_numpy(keras.ops.cast(value, "float32"))
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), expected)

    def test_behind_other_layers(self, saved):
        image = keras.Input((32, 32, 3))
        grey = keras.layers.Conv2D(3, 1, name="own")(image)
        model = small_model(input_tensor=grey, input_shape=None)
        load_keras_file(model, saved[1] / "model.weights.h5")
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(model.get_layer("head").kernel),
            keras.ops.convert_to_numpy(saved[0].get_layer("head").kernel),
        )


TENSOR = "layers/mobile_one_block/conv_kxk/conv/vars/0"


def remove(file):
    del file[TENSOR]


def add(file):
    file["layers/mobile_one_block/conv_kxk/conv/vars/1"] = np.zeros(3, "float32")


def add_layer(file):
    file["layers/dense_1/vars/0"] = np.zeros(3, "float32")


def reshape(file):
    array = file[TENSOR][()]
    del file[TENSOR]
    file[TENSOR] = array.reshape(9, 3, -1)


def spoil(value):
    def change(file):
        array = file[TENSOR][()]
        array[0, 0, 0, 0] = value
        file[TENSOR][...] = array

    return change


def make_integers(file):
    array = file[TENSOR][()].astype("int32")
    del file[TENSOR]
    file[TENSOR] = array


def make_strange_floats(file):
    shape = file[TENSOR].shape
    del file[TENSOR]
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_ebias(30000)
    h5py.h5d.create(file.id, TENSOR.encode(), kind, h5py.h5s.create_simple(shape))


def link(file):
    folder = pathlib.Path(file.filename).parent
    with h5py.File(folder / "elsewhere.h5", "w") as elsewhere:
        elsewhere["secret"] = file[TENSOR][()]
    del file[TENSOR]
    file[TENSOR] = h5py.ExternalLink("elsewhere.h5", "secret")


def map_elsewhere(file):
    folder = pathlib.Path(file.filename).parent
    array = file[TENSOR][()]
    (folder / "elsewhere").write_bytes(array.tobytes())
    del file[TENSOR]
    storage = [(str(folder / "elsewhere"), 0, array.nbytes)]
    file.create_dataset(TENSOR, array.shape, array.dtype, external=storage)


@pytest.mark.single_backend
class TestKerasFilesThatDoNotFit:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (remove, "1 missing (stem_0/conv_kxk/conv/vars/0)"),
            (add, "1 unexpected (stem_0/conv_kxk/conv/vars/1)"),
            (add_layer, "1 unexpected"),
            (reshape, "Expected (3, 3, 3, 48). Received: (9, 3, 48)"),
            (spoil(np.nan), "1 values that are NaN or infinite"),
            (spoil(np.inf), "1 values that are NaN or infinite"),
            (make_integers, "Received: int32"),
            (make_strange_floats, "Expected a complete .weights.h5 file"),
            (link, "1 missing"),
            (map_elsewhere, "in another file"),
        ],
        ids=lambda value: getattr(value, "__name__", ""),
    )
    def test_are_refused_and_change_nothing(self, copy, other, change, expected):
        with h5py.File(copy, "r+") as file:
            change(file)
        randomized(other, seed=3)
        before = other.get_weights()
        assert expected in refused_by(copy, lambda path: load_keras_file(other, path))
        for value, kept in zip(other.get_weights(), before, strict=True):
            np.testing.assert_array_equal(value, kept)

    @pytest.mark.parametrize("suffix", KERAS_SUFFIXES)
    def test_another_variant(self, saved, suffix):
        t12 = small_model("fastvit_t12")
        message = refused_by(saved[1] / f"model{suffix}", lambda path: load_keras_file(t12, path))
        assert "fastvit_t12" in message

    def test_another_number_of_classes(self, saved):
        model = small_model(classes=CLASSES + 1)
        path = saved[1] / "model.weights.h5"
        assert "number of classes" in refused_by(path, lambda path: load_keras_file(model, path))

    @pytest.mark.parametrize("suffix", KERAS_SUFFIXES)
    def test_the_inference_form(self, saved, other, tmp_path, suffix):
        fused = fuse(saved[0])
        path = tmp_path / f"fused{suffix}"
        fused.save(path) if suffix == ".keras" else fused.save_weights(path)
        refused_by(path, lambda path: load_keras_file(other, path))

    def test_a_users_model_around_ours(self, saved, other, tmp_path):
        path = tmp_path / "nested.keras"
        keras.Sequential([saved[0], keras.layers.Dense(2)]).save(path)
        message = refused_by(path, lambda path: load_keras_file(other, path))
        assert "Sequential" in message

    def test_an_archive_without_weights(self, saved, other, tmp_path):
        path = tmp_path / "empty.keras"
        with zipfile.ZipFile(saved[1] / "model.keras") as source, zipfile.ZipFile(path, "w") as to:
            to.writestr("config.json", source.read("config.json"))
        refused_by(path, lambda path: load_keras_file(other, path))

    @pytest.mark.parametrize("read", [load_keras_file, lambda model, path: read_model_file(path)])
    def test_a_config_of_gigabytes(self, saved, other, tmp_path, read):
        path = tmp_path / "large.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", b"[" * 10**8)
        assert "unpack to 100000000 bytes" in refused_by(path, lambda path: read(other, path))

    @pytest.mark.parametrize("config", [b'{"a":' * 10**5, b"[" * 10**5], ids=["objects", "lists"])
    def test_a_config_without_end(self, other, tmp_path, config):
        path = tmp_path / "deep.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", config)
        refused_by(path, lambda path: load_keras_file(other, path))
        refused_by(path, lambda path: read_model_file(path))

    def test_a_config_that_is_none(self, other, tmp_path):
        path = tmp_path / "text.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", b"[1, 2]")
        refused_by(path, lambda path: load_keras_file(other, path))


# --- Damaged files of every kind

KINDS = (".safetensors", ".pth", ".pth.tar")  # the last in the format of torch before 1.6


@pytest.fixture(scope="module")
def whole_files(saved, tmp_path_factory):
    """A whole file of each suffix."""
    folder = tmp_path_factory.mktemp("whole")
    large = {"weight": np.random.default_rng(0).normal(size=(100, 100)).astype("float32")}
    save_file(large, folder / "model.safetensors")
    torch.save(torch_tensors(large), folder / "model.pth")
    torch.save(torch_tensors(large), folder / "model.pth.tar", _use_new_zipfile_serialization=False)
    return {suffix: folder / f"model{suffix}" for suffix in KINDS} | {
        suffix: saved[1] / f"model{suffix}" for suffix in KERAS_SUFFIXES
    }


@pytest.mark.single_backend
@pytest.mark.parametrize("suffix", [*KINDS, *KERAS_SUFFIXES])
@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 16\n",
        lambda whole: b"\x00",
        lambda whole: b"\x00" * 4096,
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[: len(whole) // 100],
        lambda whole: whole[:-1],
        lambda whole: whole[len(whole) // 3 :],
    ],
    ids=[
        *("0 bytes", "html", "git lfs pointer", "one zero", "zeros"),
        *("half", "start", "last byte missing", "start missing"),
    ],
)
def test_damaged_files_are_refused(whole_files, other, tmp_path, suffix, damage):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damage(whole_files[suffix].read_bytes()))
    if suffix in KERAS_SUFFIXES:
        message = refused_by(path, lambda path: load_keras_file(other, path))
    else:
        message = refused_by(path)
    assert f"{path.stat().st_size} bytes" in message


@pytest.mark.single_backend
@pytest.mark.single_backend
def test_a_name_of_a_megabyte_is_refused_before_the_tests_end(tmp_path):
    """Torch would look through its own message for hours."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02cos." + b"x" * 2**20 + b"\nsystem\n.")
    with pytest.raises(ValueError, match=r"weights.pth'. Expected .* Received: ") as caught:
        read_torch_file(path)
    assert len(str(caught.value)) < 2000


def test_a_missing_file(tmp_path):
    path = tmp_path / "missing.pth"
    with pytest.raises(FileNotFoundError, match=r"Expected an existing file.*Received: .*missing"):
        read_torch_file(path)


@pytest.mark.single_backend
def test_a_folder(tmp_path):
    path = tmp_path / "folder.safetensors"
    path.mkdir()
    assert "a directory" in refused_by(path)
