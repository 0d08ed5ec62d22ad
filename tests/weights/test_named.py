"""Named weights and `weights=`: the real hub client against a hub on this machine."""

import contextlib
import errno
import inspect
import logging
import os
import re
import resource
import subprocess
import sys
import textwrap
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Unpack, get_type_hints

import huggingface_hub
import keras
import numpy as np
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock
from safetensors.numpy import save, save_file

import keras_fastvit
from keras_fastvit import FastViT, FastViTMCi0, FastViTSA12, FastViTT8, applications
from keras_fastvit.applications import CONSTRUCTORS, ConstructorArguments
from keras_fastvit.architecture.model import ModelArguments
from keras_fastvit.architecture.variants import get_variant
from keras_fastvit.weights import loading
from keras_fastvit.weights.file_kinds import SUFFIXES
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.named import NAMED_WEIGHTS, find_weights
from keras_fastvit.weights.torch_state import load_torch_state, to_torch_state
from tests.hub_server import LOGIN_PAGE, HubServer
from tests.reference.fixtures import CLASSIFIERS, VARIANTS, load

REPOSITORY = "timm/fastvit_t8.apple_in1k"
FILE = "model.safetensors"
SHAPE = (64, 64, 3)


@pytest.fixture(scope="module")
def weights():
    return load("timm", "fastvit_t8").weights()


@pytest.fixture(scope="module")
def content(weights):
    return save(weights)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub's client."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def hub(cache, monkeypatch):
    """A hub without files, and the client set to it and to an empty cache."""
    with HubServer() as server:
        set_endpoint(monkeypatch, server.endpoint)
        yield server
    huggingface_hub.close_session()


@pytest.fixture
def sleeps(monkeypatch):
    """Replaces the client's pauses between attempts; returns how long they were."""
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def set_endpoint(monkeypatch, endpoint):
    # The client reads HF_ENDPOINT once, on import.
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def fetch(model):
    """Loads a T8's ImageNet weights."""
    load_weights(model, find_weights("imagenet", "fastvit_t8"))


def cached_bytes(cache):
    """All bytes in the cache, links counted as what they link to."""
    return sum(file.stat().st_size for file in cache.rglob("*") if FILE in file.name)


def assert_loaded(model, weights):
    state = to_torch_state(model)
    assert all((array == weights[name]).all() for name, array in state.items())


@pytest.fixture(scope="module")
def t8():
    """A T8 to load into."""
    return FastViT("fastvit_t8", input_shape=SHAPE)


@pytest.fixture
def model(t8):
    """A T8 whose weights are all 0.5, so that what was loaded shows."""
    for variable in t8.weights:
        variable.assign(np.full(variable.shape, 0.5))
    return t8


def assert_untouched(model):
    assert all((array == 0.5).all() for array in to_torch_state(model).values())


# --- The hub, when all goes well


@pytest.mark.single_backend
class TestHub:
    @pytest.mark.parametrize(
        ("name", "repository"),
        [
            ("imagenet", "timm/fastvit_t8.apple_in1k"),
            ("imagenet_distilled", "timm/fastvit_t8.apple_dist_in1k"),
        ],
    )
    def test_fetches_from_timms_repositories(self, hub, weights, content, name, repository):
        hub.add(repository, FILE, content)
        model = FastViTT8(weights=name)
        assert model.input_shape == (None, 256, 256, 3)
        assert model.output_shape == (None, 1000)
        assert_loaded(model, weights)

    def test_fetches_once(self, hub, model, weights, content):
        hub.add(REPOSITORY, FILE, content)
        fetch(model)
        fetch(model)
        assert_loaded(model, weights)
        assert len(hub.downloads(FILE)) == 1

    def test_works_offline_from_the_cache(self, hub, monkeypatch, model, weights, content):
        hub.add(REPOSITORY, FILE, content)
        fetch(model)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        requests = len(hub.requests)
        fetch(model)
        assert_loaded(model, weights)
        assert len(hub.requests) == requests

    def test_works_from_the_cache_when_the_network_is_down(
        self, hub, monkeypatch, model, weights, content
    ):
        hub.add(REPOSITORY, FILE, content)
        fetch(model)
        set_endpoint(monkeypatch, "http://127.0.0.1:9")  # nothing listens there
        fetch(model)
        assert_loaded(model, weights)

    def test_resumes_an_interrupted_download(self, hub, sleeps, model, weights, content):
        kept = 10 * 2**20  # the client writes in pieces of this size
        assert kept < len(content)
        hub.add(REPOSITORY, FILE, content).break_off_at = [1000, kept + 1000]
        fetch(model)
        assert_loaded(model, weights)
        ranges = [request.range for request in hub.downloads(FILE)]
        assert ranges == [None, None, f"bytes={kept}-"]

    @pytest.mark.single_backend
    def test_what_a_killed_download_has_left_goes(self, hub, cache, model, content):
        """Not while another process is downloading: that holds the client's lock."""
        hub.add(REPOSITORY, FILE, content)
        fetch(model)
        (blob,) = cache.rglob("blobs/*")
        left = [blob.with_name(f"{blob.name}.{i}.incomplete") for i in ("", "1234abcd")]
        left.append(blob.with_name("tmp_1234"))
        for path in (*left, blob.with_name("other.1234abcd.incomplete")):
            path.write_bytes(b"left")
        (lock,) = cache.rglob(f".locks/*/{blob.name}.lock")
        with WeakFileLock(lock):
            fetch(model)
        assert all(path.exists() for path in left)
        fetch(model)
        assert sorted(x.name for x in blob.parent.iterdir()) == sorted(
            [blob.name, "other.1234abcd.incomplete"]
        )

    @pytest.mark.single_backend
    def test_needs_no_torch_and_obeys_the_environment(self, content, tmp_path):
        code = """
            import sys
            sys.modules["torch"] = None
            import keras_fastvit
            from keras_fastvit import applications
            model = keras_fastvit.FastViTT8(weights="imagenet", input_shape=(32, 32, 3))
            print(float(model.get_layer("head").bias[0]))
            """
        with HubServer() as hub:
            hub.add(REPOSITORY, FILE, content)
            output = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code)],
                env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path)},
                check=True,
                text=True,
                stdout=subprocess.PIPE,
            ).stdout
        expected = load("timm", "fastvit_t8").weights()["head.fc.bias"][0]
        assert np.float32(output) == expected
        assert list(tmp_path.rglob(FILE))


# --- The hub, when it does not


@pytest.mark.single_backend
class TestHubFaults:
    @pytest.fixture(autouse=True)
    def nothing_is_loaded(self, model):
        yield
        assert_untouched(model)

    def fails(self, model, error=OSError, source=f"{REPOSITORY}/{FILE}"):
        with pytest.raises(error) as caught:
            fetch(model)
        message = str(caught.value)
        assert source in message
        assert "'imagenet' weights of fastvit_t8" in message
        assert re.search("Expected .*Received: .", message)
        told = "".join(traceback.format_exception(caught.value))
        assert told.count("Traceback") == 1  # and not that of each library on the way
        assert told.count("\n") < 30
        return message

    def test_broken_off_again_and_again(self, hub, sleeps, cache, model, weights, content):
        file = hub.add(REPOSITORY, FILE, content)
        file.break_off_at = [1000] * 20
        self.fails(model)
        assert cached_bytes(cache) == 0
        file.break_off_at = []
        fetch(model)
        assert_loaded(model, weights)
        for variable in model.weights:
            variable.assign(np.full(variable.shape, 0.5))

    def test_shorter_than_announced(self, hub, sleeps, cache, model, content):
        hub.add(REPOSITORY, FILE, content).announced_size = len(content) + 1
        self.fails(model)
        assert cached_bytes(cache) == 0

    def test_no_such_repository(self, hub, model):
        assert "RepositoryNotFoundError: 404" in self.fails(model)

    def test_no_such_file(self, hub, model):
        hub.add(REPOSITORY, "README.md", b"")
        assert "EntryNotFoundError: 404" in self.fails(model)

    def test_no_network(self, monkeypatch, cache, sleeps, model):
        set_endpoint(monkeypatch, "http://127.0.0.1:9")
        message = self.fails(model)
        assert f"download http://127.0.0.1:9/{REPOSITORY}/resolve/main/{FILE} by hand" in message
        assert "`weights=` or --weights" in message
        assert "\n" not in message
        assert "ConnectError" in message
        assert len(sleeps) <= 2
        assert sum(sleeps) <= 5

    def test_offline_and_not_cached(self, hub, monkeypatch, model, content):
        hub.add(REPOSITORY, FILE, content)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert "OfflineModeIsEnabled" in self.fails(model)
        assert not hub.requests

    def test_a_login_page_instead_of_the_hub(self, hub, cache, model, content):
        hub.add(REPOSITORY, FILE, content)
        hub.login_page = True
        assert "does not seem to be served by a Hugging Face Hub" in self.fails(model)
        assert cached_bytes(cache) == 0

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: LOGIN_PAGE,
            lambda content: content[:-1000],
            lambda content: content[:100],
            lambda content: b"",
        ],
        ids=["html", "truncated", "header truncated", "empty"],
    )
    def test_a_damaged_file_does_not_stay_in_the_cache(
        self, hub, cache, model, weights, content, damage
    ):
        hub.add(REPOSITORY, FILE, damage(content))
        message = self.fails(model, ValueError)
        assert "removed from the cache" in message
        assert cached_bytes(cache) == 0
        hub.add(REPOSITORY, FILE, content)
        fetch(model)
        assert_loaded(model, weights)
        for variable in model.weights:
            variable.assign(np.full(variable.shape, 0.5))

    def test_whole_files_that_do_not_fit_stay(self, hub, cache, model):
        other = {"conv1.weight": np.zeros((3, 3), "float32")}
        hub.add(REPOSITORY, FILE, save(other))
        with pytest.raises(ValueError, match=rf"{REPOSITORY}.* holds no FastViT weights"):
            fetch(model)
        assert cached_bytes(cache) > 0

    def test_a_full_disk(self, hub, cache, model, weights, content):
        hub.add(REPOSITORY, FILE, content)
        with files_limited_to(len(content) // 2):
            message = self.fails(model)
        assert os.strerror(errno.EFBIG) in message
        assert cached_bytes(cache) == 0


@contextlib.contextmanager
def files_limited_to(size):
    """Makes writing more than `size` bytes to any file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- What names mean


@pytest.mark.single_backend
class TestNames:
    def test_imagenet_exists_for_every_classifier(self):
        for variant in map(get_variant, CLASSIFIERS):
            for name, tag in (
                ("imagenet", "apple_in1k"),
                ("imagenet_distilled", "apple_dist_in1k"),
            ):
                row = find_weights(name, variant.name)
                assert row.source == f"timm/{variant.name}.{tag}/model.safetensors"
                assert (row.classes, row.image_size, row.dataset) == (1000, 256, "imagenet")
                assert row.crop_pct == variant.crop_pct
                assert "Apple" in row.licence

    def test_image_towers_of_timms_table(self):
        """Name, repository, crop and width of the embedding, as timm 1.0.31 lists them."""
        expected = {
            ("mobileclip", "fastvit_mci0"): ("apple/mobileclip_s0_timm", 0.95, 512),
            ("mobileclip", "fastvit_mci1"): ("apple/mobileclip_s1_timm", 0.95, 512),
            ("mobileclip", "fastvit_mci2"): ("apple/mobileclip_s2_timm", 0.95, 512),
            **{
                ("mobileclip2", f"fastvit_mci{i}"): (
                    f"timm/fastvit_mci{i}.apple_mclip2_dfndr2b",
                    crop_pct,
                    width,
                )
                for i, crop_pct, width in ((0, 1.0, 512), (2, 0.95, 512), (3, 0.95, 768))
            },
            ("mobileclip2", "fastvit_mci4"): (
                "timm/fastvit_mci4.apple_mclip2_dfndr2b",
                *(0.95, 768),
            ),
        }
        assert {
            (row.name, row.variant): (row.repository, row.crop_pct, row.classes)
            for row in NAMED_WEIGHTS
            if row.research_only
        } == expected

    def test_class_names_match_the_number_of_classes(self):
        for row in NAMED_WEIGHTS:
            if row.dataset is None:
                assert get_variant(row.variant).embedding_width == row.classes
            else:
                assert len(keras_fastvit.class_names(row.dataset)) == row.classes

    def test_each_variant_has_what_was_released_for_it(self):
        with pytest.raises(ValueError, match=r"Expected one of fastvit_mci0, fastvit_mci1, fastv"):
            find_weights("mobileclip", "fastvit_mci3")
        with pytest.raises(ValueError, match=r"Received: weights='imagenet' for fastvit_mci0"):
            find_weights("imagenet", "fastvit_mci0")

    def test_unknown_variant(self):
        with pytest.raises(ValueError, match="Unknown FastViT variant"):
            find_weights("imagenet", "fastvit_t9")

    @pytest.mark.parametrize("weights", ["imagnet", "model.onnx", "model.h5", Path("imagenet"), 3])
    def test_unknown_weights(self, weights):
        with pytest.raises(
            ValueError, match=r"Unknown `weights`\. Expected None, 'imagenet'"
        ) as caught:
            find_weights(weights, "fastvit_t8")
        assert all(suffix in str(caught.value) for suffix in SUFFIXES)
        assert f"Received: weights={weights!r}" in str(caught.value)

    def test_fashion_mnist_is_for_t8_only(self):
        with pytest.raises(ValueError, match=r"Expected one of fastvit_t8\..*fastvit_t12"):
            find_weights("fashion_mnist", "fastvit_t12")

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_missing_files(self, tmp_path, suffix):
        with pytest.raises(FileNotFoundError, match="Expected an existing file"):
            find_weights(tmp_path / f"missing{suffix}", "fastvit_t8")


# --- The constructors


@pytest.mark.single_backend
class TestConstructors:
    def test_all_variants_have_one(self):
        assert tuple(CONSTRUCTORS) == VARIANTS
        for variant, constructor in CONSTRUCTORS.items():
            assert getattr(keras_fastvit, constructor.__name__) is constructor
            assert constructor.__name__.lower() == variant.replace("_", "")

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_make_their_variant(self, variant, monkeypatch):
        made = []
        monkeypatch.setattr(applications, "FastViT", lambda *args, **kwargs: made.append(args))
        CONSTRUCTORS[variant](weights=None)
        assert made == [(variant,)]

    def test_make_a_model(self):
        model = FastViTT8(weights=None, input_shape=(32, 32, 3))
        assert (model.variant, model.name) == ("fastvit_t8", "fastvit_t8")

    def test_have_the_signature_of_keras_applications(self):
        theirs = inspect.signature(keras.applications.ResNet50).parameters
        ours = inspect.signature(FastViTT8).parameters
        assert list(ours)[:2] == list(theirs)[:2]
        for name in ("include_top", "weights"):
            assert ours[name].default == theirs[name].default
        assert theirs.keys() <= {*ours, *ModelArguments.__annotations__}

    def test_have_the_names_and_types_of_the_models_own_arguments(self):
        own = get_type_hints(FastViT.__init__)
        # The last two are for `from_config`.
        for name in ("variant", "include_top", "return", "overrides", "trainable"):
            del own[name]
        assert get_type_hints(ModelArguments) == own
        for constructor in CONSTRUCTORS.values():
            hints = get_type_hints(constructor)
            assert hints["arguments"] == Unpack[ConstructorArguments]

    def test_wrong_names_of_arguments_are_errors(self):
        for constructor in (FastViTT8, FastViTMCi0, partial(FastViT, "fastvit_t8")):
            with pytest.raises(TypeError, match="wieghts"):
                constructor(wieghts=None)

    def test_say_what_the_tables_say(self):
        for variant, constructor in CONSTRUCTORS.items():
            row, doc = get_variant(variant), constructor.__doc__
            named = [x for x in NAMED_WEIGHTS if x.variant == variant]
            for weights in named:
                assert f'`"{weights.name}"`' in doc
            if row.embedding_width is None:
                assert f"{row.top1} % ImageNet-1k top-1 released, {row.top1_distilled} %" in doc
            else:
                assert inspect.signature(constructor).parameters["weights"].default is None
                assert ", ".join(f"{x.top1} % ({x.name})" for x in named) in doc
                assert "non-commercial research only" in doc
                assert f'normalization="{row.normalization}"' in doc
                assert f"classes={row.embedding_width}" in doc

    def test_pass_every_argument_on(self):
        image = keras.Input((3, 40, 48))
        arguments = {
            "include_top": False,
            "weights": None,
            "input_tensor": image,
            "input_shape": (3, 40, 48),
            "pooling": "max",
            "classes": 7,
            "classifier_activation": "sigmoid",
            "drop_path_rate": 0.25,
            "dropout": 0.5,
            "layer_scale_init_value": 0.125,
            "data_format": "channels_first",
            "dtype": "float64",
            "name": "mine",
        }
        assert arguments.keys() == {"include_top", "weights", *ModelArguments.__annotations__}
        config = FastViTT8(**arguments).get_config()
        assert config.pop("dtype")["config"]["name"] == "float64"
        for name in arguments.keys() & config.keys():
            assert config[name] == arguments[name], name


class TestImageTowers:
    """What differs where the head is a projection and the licence is for research."""

    @pytest.fixture
    def weights(self):
        return load("timm", "fastvit_mci0").weights()

    @pytest.fixture(autouse=True)
    def not_said_yet(self):
        loading._say_research_only.cache_clear()

    def test_the_licence_is_said_once(self, hub, weights, caplog):
        hub.add("timm/fastvit_mci0.apple_mclip2_dfndr2b", FILE, save(weights))
        with caplog.at_level(logging.WARNING, "keras_fastvit"):
            for _ in range(2):
                model = FastViTMCi0(weights="mobileclip2", input_shape=(32, 32, 3))
        assert_loaded(model, weights)
        assert model.output_shape == (None, 512)
        (record,) = caplog.records
        assert "non-commercial research only" in record.getMessage()
        assert "NOTICE" in record.getMessage()

    def test_other_widths_leave_the_projection_out(self, hub, weights, caplog):
        hub.add("apple/mobileclip_s0_timm", FILE, save(weights))
        model = FastViTMCi0(weights="mobileclip", classes=10, input_shape=(32, 32, 3))
        assert model.output_shape == (None, 10)
        assert "all but it is loaded" in caplog.text
        state = to_torch_state(model)
        assert (state["final_conv.se.fc1.weight"] == weights["final_conv.se.fc1.weight"]).all()

    @pytest.mark.single_backend
    def test_a_failed_download_says_nothing_of_a_licence(self, hub, caplog):
        with pytest.raises(OSError, match="'mobileclip2' weights of fastvit_mci0"):
            FastViTMCi0(weights="mobileclip2", input_shape=(32, 32, 3))
        assert not caplog.records

    @pytest.mark.single_backend
    @pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
    def test_apples_file_of_the_whole_clip(self, tmp_path, suffix):
        import torch
        from safetensors.torch import save_file as save_tensors

        reference = load("apple_clip", "fastvit_mci0")
        tensors = {name: torch.from_numpy(x) for name, x in reference.weights().items()}
        path = tmp_path / f"mobileclip_s0{suffix}"
        torch.save(tensors, path) if suffix == ".pt" else save_tensors(tensors, path)
        case = reference.cases[0]
        model = FastViTMCi0(weights=path, input_shape=case.image.shape[1:])
        expected = case.expected["logits"]
        received = keras.ops.convert_to_numpy(model(case.image))
        assert expected.compare(received) <= 1e-5 * expected.scale


class TestConstructorsWithWeights:
    @pytest.mark.single_backend
    @pytest.mark.parametrize(
        "shape",
        [
            {"input_shape": (64, 64, 2)},
            {"input_shape": (3, 64, 64)},
            {"input_shape": (64, 64, None)},
            {"input_shape": (64, 64, 3), "data_format": "channels_first"},
        ],
    )
    @pytest.mark.parametrize("name", ["imagenet", "fashion_mnist"])
    def test_named_weights_need_three_channels(self, hub, shape, name):
        with pytest.raises(ValueError, match=f"'{name}' weights are for RGB images. Expected 3"):
            FastViTT8(weights=name, classes=10, **shape)
        assert not hub.requests

    @pytest.mark.single_backend
    def test_named_weights_need_three_channels_in_a_tensor(self, hub):
        with pytest.raises(
            ValueError, match=r"Expected 3 channels.*Received: input_shape=\(64, 64, 2\)"
        ):
            FastViTT8(input_tensor=keras.Input((64, 64, 2)))
        assert not hub.requests

    @pytest.mark.single_backend
    @pytest.mark.parametrize("arguments", [{"pooling": "max"}, {"input_shape": (31, 32, 3)}])
    def test_wrong_arguments_are_found_before_the_download(self, hub, arguments):
        with pytest.raises(ValueError, match="Received"):
            FastViTT8(**arguments)
        assert not hub.requests

    def test_another_number_of_classes_leaves_the_head_out(self, hub, weights, content, caplog):
        hub.add(REPOSITORY, FILE, content)
        with caplog.at_level(logging.WARNING, "keras_fastvit"):
            model = FastViTT8(classes=10, input_shape=SHAPE)
        assert "all but it is loaded" in caplog.text
        assert model.output_shape == (None, 10)
        state = to_torch_state(model)
        assert state.pop("head.fc.weight").shape == (10, 768)
        state.pop("head.fc.bias")
        assert all((array == weights[name]).all() for name, array in state.items())

    def test_without_a_top_the_number_of_classes_does_not_matter(self, hub, content, caplog):
        hub.add(REPOSITORY, FILE, content)
        model = FastViTT8(include_top=False, classes=10)
        assert model.input_shape == (None, None, None, 3)
        assert not caplog.records

    @pytest.mark.single_backend
    @pytest.mark.parametrize("classes", [9, 1000])
    def test_fashion_mnist_has_ten_classes(self, classes):
        expected = f"Expected classes=10 or include_top=False. Received: classes={classes}"
        with pytest.raises(ValueError, match=expected):
            FastViTT8(weights="fashion_mnist", classes=classes)

    def test_fashion_mnist_is_in_the_package(self, monkeypatch):
        set_endpoint(monkeypatch, "http://127.0.0.1:9")
        model = FastViTT8(weights="fashion_mnist", classes=10)
        assert model.input_shape == (None, 64, 64, 3)
        headless = FastViTT8(weights="fashion_mnist", include_top=False)
        state = to_torch_state(model)
        for name, array in to_torch_state(headless).items():
            np.testing.assert_array_equal(array, state[name], name)

    def test_default_shapes_follow_the_data_format(self):
        model = FastViTT8(weights="fashion_mnist", classes=10, data_format="channels_first")
        assert model.input_shape == (None, 3, 64, 64)

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_files_of_every_kind(self, weights, tmp_path, suffix):
        path = tmp_path / f"weights{suffix}"
        write(path, weights)
        model = FastViTT8(weights=path, input_shape=SHAPE, classifier_activation=None)
        assert isinstance(model, FastViT)
        assert_loaded(model, weights)

    def test_files_are_for_the_number_of_classes_that_they_have(self, weights, tmp_path):
        save_file(weights, tmp_path / "weights.safetensors")
        with pytest.raises(ValueError, match=r"Expected \(10, 768\). Received: \(1000, 768\)"):
            FastViTT8(weights=str(tmp_path / "weights.safetensors"), classes=10)

    def test_folded_files_give_the_inference_form(self, tmp_path):
        reference = load("apple_reparam", "fastvit_sa12")
        case = reference.cases[0]
        save_file(reference.weights(), tmp_path / "weights.safetensors")
        model = FastViTSA12(
            weights=tmp_path / "weights.safetensors",
            input_shape=case.image.shape[1:],
            classifier_activation=None,
        )
        assert not isinstance(model, FastViT)
        assert model.name == "fastvit_sa12"
        assert list(model.pyramid_outputs) == ["P2", "P3", "P4", "P5"]
        logits = case.expected["logits"]
        received = keras.ops.convert_to_numpy(model(case.image))
        assert logits.compare(received) <= 1e-5 * logits.scale


def write(path, weights):
    """Writes a T8's weights in the format of the path's suffix."""
    if path.suffix == ".safetensors":
        save_file(weights, path)
    elif path.suffix in (".pth", ".tar", ".pt", ".ckpt", ".bin"):
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        torch.save({"state_dict": tensors}, path)
    else:
        model = FastViT("fastvit_t8", input_shape=SHAPE)
        load_torch_state(model, weights, "fixture")
        model.save(path) if path.suffix == ".keras" else model.save_weights(path)
