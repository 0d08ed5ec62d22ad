"""Checkpoints as trainings leave them: whatever wraps a state dict, its weights are found."""

import re
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from keras_fastvit.applications import CONSTRUCTORS, _instantiate
from keras_fastvit.training.heads import backbone
from keras_fastvit.training.recipes import get_recipe
from keras_fastvit.training.starting_point import starting_point
from keras_fastvit.weights.candidates import MOST, find_candidates
from keras_fastvit.weights.loading import load_weights
from keras_fastvit.weights.torch_state import to_torch_state
from tests.commands import command
from tests.models import TINY, randomize, tiny

pytestmark = pytest.mark.single_backend


@pytest.fixture(scope="module")
def model():
    """What is loaded into."""
    return tiny()


@pytest.fixture(scope="module")
def states(model):
    """Three state dicts of torch: the one to load, the one not to load, and one of the backbone."""
    states = {}
    for seed, name in ((1, "wanted"), (2, "other")):
        arrays = to_torch_state(randomize(model, seed))
        states[name] = {key: torch.from_numpy(array) for key, array in arrays.items()}
    backbone = {
        key: tensor
        for key, tensor in states["wanted"].items()
        if not key.startswith(("final_conv", "head"))
    }
    return states["wanted"], states["other"], backbone


@pytest.fixture
def load(model, tmp_path):
    """Loads a checkpoint's content, and returns the model's state and what was warned of."""

    def load(content, suffix=".pth", ema=True, into=None, **how):
        into = randomize(model if into is None else into, seed=0)
        path = tmp_path / f"checkpoint{suffix}"
        torch.save(content, path, **how)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            load_weights(into, path, ema=ema)
        return to_torch_state(into), [str(warning.message) for warning in caught]

    return load


def assert_same(state, expected):
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(state[name], tensor.numpy(), name)


def under(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def flattened(state):
    """The names that timm's `features_only` gives."""
    return {re.sub(r"^(stem|stages)\.(\d)", r"\1_\2", name): x for name, x in state.items()}


# --- One FastViT in the file

KEYS = (
    *("state_dict", "state_dict_ema", "model", "model_ema", "model_state_dict", "model_state"),
    *("net", "network", "weights", "params", "ema", "module", "student", "any key at all"),
)
PREFIXES = (
    *("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net."),
    *("model._orig_mod.", "timm_model.", "base_model.model.", "backbone.timm_model.", "0."),
    *("visual.trunk.", "image_encoder.model.", "_fsdp_wrapped_module.", "module.visual.trunk."),
)


def lightning(state):
    """What Lightning's ModelCheckpoint writes, with a metric and a loss that have weights."""
    return {
        "epoch": 3,
        "global_step": 1200,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {**under("model.", state), "criterion.weight": torch.ones(5)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'x'}": {"best_model_score": torch.tensor(0.9)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 1e-3},
    }


WRAPPED = {
    **{f"key {key}": lambda state, key=key: {key: state, "epoch": 3} for key in KEYS},
    **{f"prefix {prefix}": lambda state, p=prefix: under(p, state) for prefix in PREFIXES},
    "state_dict, module.": lambda state: {"state_dict": under("module.", state)},
    "state_dict, model._orig_mod.": lambda s: {"state_dict": under("model._orig_mod.", s)},
    "keys in keys": lambda state: {"checkpoint": {"ema": {"module": under("module.", state)}}},
    "in a tuple": lambda state: ({"lr": 0.1}, [under("module.", state)], 3),
    "beside numbers": lambda state: {**state, "epoch": 3, "best": 0.9},
    "Lightning": lightning,
    "fastai": lambda state: {
        "model": {**under("0.model.", state), "1.0.weight": torch.ones(2)},
        "opt": {"hypers": [{}], "state": [{"grad_avg": torch.ones(2)}]},
    },
    "layers compiled": lambda state: {
        name.replace("stem.", "stem._orig_mod.").replace("blocks.0.", "blocks.0._orig_mod."): x
        for name, x in state.items()
    },
    "a profiler's buffers": lambda state: {
        **state,
        "total_ops": torch.zeros(1, dtype=torch.float64),
        "stem.0.total_ops": torch.zeros(1, dtype=torch.float64),
        "stem.0.conv_kxk.0.bn.num_batches_tracked": torch.tensor(7),
    },
    "one dictionary under two keys": lambda state: {"model": state, "ema": state},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_whatever_wraps_it_is_loaded_without_a_word(load, states, wrap):
    state, said = load(wrap(states[0]))
    assert_same(state, states[0])
    assert said == []


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".tar", ".pth.tar", ".pt"])
def test_the_suffixes_of_pickles(load, states, suffix):
    state, _ = load(lightning(states[0]), suffix, _use_new_zipfile_serialization=suffix != ".tar")
    assert_same(state, states[0])


def test_prefixes_in_safetensors(model, states, tmp_path):
    path = tmp_path / "model.safetensors"
    arrays = {name: tensor.numpy() for name, tensor in under("timm_model.", states[0]).items()}
    save_file({**arrays, "logit_scale": np.array(1, "int64")}, path)
    load_weights(randomize(model), path)
    assert_same(to_torch_state(model), states[0])


def test_what_torchs_own_wrappers_write(load, states, monkeypatch):
    """The names are torch's, not this file's idea of them."""
    # Looking for a device warns where a build for CUDA finds none.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    root = torch.nn.Module()
    for name, tensor in states[0].items():
        *modules, leaf = name.split(".")
        place = root
        for module in modules:
            if not hasattr(place, module):
                place.add_module(module, torch.nn.Module())
            place = getattr(place, module)
        place.register_buffer(leaf, tensor)
    # Not `torch.compile`: with TensorFlow in the same process, its import crashes.
    for wrapper in (torch.nn.DataParallel, torch.optim.swa_utils.AveragedModel):
        content = wrapper(root).state_dict()
        assert content.keys().isdisjoint(states[0])
        state, said = load(content)
        assert_same(state, states[0])
        assert said == []


# --- Several in one file

AVERAGED = {
    "timm": ("state_dict_ema", lambda plain, average: {
        "epoch": 3, "arch": "fastvit_t8", "state_dict": plain, "state_dict_ema": average,
        "metric": 76.2, "version": 2,
    }),
    "timm, in parallel": ("state_dict_ema.module", lambda plain, average: {
        "state_dict": under("module.", plain), "state_dict_ema": under("module.", average),
    }),
    "DeiT": ("model_ema", lambda plain, average: {"model": plain, "model_ema": average}),
    "DETRs": ("ema.module", lambda plain, average: {
        "model": plain, "ema": {"module": average, "updates": 7}, "scaler": {"scale": 1.0},
    }),
    "mmengine": ("ema_state_dict.backbone", lambda plain, average: {
        "ema_state_dict": under("backbone.", average), "state_dict": under("backbone.", plain),
    }),
    "inside of a model": ("state_dict.ema_model.module", lambda plain, average: {
        "state_dict": under("model.", plain) | under("ema_model.module.", average),
    }),
    "inside of nothing": ("ema.module", lambda p, average: {**p, **under("ema.module.", average)}),
    "a callback": ("callbacks.EMACallback.weights", lambda plain, average: {
        "callbacks": {"EMACallback": {"weights": average}}, "state_dict": under("model.", plain),
    }),
    "swa": ("swa_model", lambda plain, average: {"net": plain, "swa_model": average}),
}  # fmt: skip


@pytest.mark.parametrize("ema", [True, False])
@pytest.mark.parametrize(("where", "wrap"), AVERAGED.values(), ids=AVERAGED)
def test_averaged_weights_come_first_or_never(load, states, where, wrap, ema):
    wanted, other, _ = states
    state, said = load(wrap(other, wanted) if ema else wrap(wanted, other), ema=ema)
    assert_same(state, wanted)
    (message,) = said
    taken, rest = message.split("FastViTs: ")[1].split(" was loaded, not ")
    assert (f"'{where}' (averaged, EMA)" in taken) is ema
    assert (f"'{where}' (averaged, EMA)" in rest) is not ema
    assert ("--no-ema" in rest) is ema


@pytest.mark.parametrize("ema", [True, False])
def test_lightning_keeps_the_average_under_the_usual_key(load, states, ema):
    wanted, other, _ = states
    content = {"state_dict": wanted, "current_model_state": other, "averaging_state": {"n": 3}}
    if not ema:
        content |= {"state_dict": other, "current_model_state": wanted}
    state, said = load(content, ema=ema)
    assert_same(state, wanted)
    assert len(said) == 1


PREFERRED = {
    "timm's order": ("'state_dict'", lambda wanted, other: {"model": other, "state_dict": wanted}),
    "usual before unusual": ("'model'", lambda w, other: {"best": other, "model": w}),
    "bare before wrapped": ("the one without", lambda w, other: {**w, **under("teacher.", other)}),
    "in a state dict": ("'state_dict.model'", lambda wanted, other: {
        "state_dict": {**under("teacher.", other), **under("model.", wanted)}
    }),
    "the one that fits": ("'b'", lambda wanted, other: {
        "a": {name: x for name, x in other.items() if "blocks.1." not in name}, "b": wanted,
    }),
    "an average that lacks statistics": ("'state_dict'", lambda wanted, other: {
        "ema": {"shadow": {name: x for name, x in other.items() if "running" not in name}},
        "state_dict": wanted,
    }),
    "another number of classes": ("'z'", lambda wanted, other: {
        "state_dict": {**other, "head.fc.weight": torch.ones(7, 64)}, "z": wanted,
    }),
}  # fmt: skip


@pytest.mark.parametrize(("taken", "wrap"), PREFERRED.values(), ids=PREFERRED)
def test_of_several_one_is_taken_and_named(load, states, taken, wrap):
    wanted, other, _ = states
    state, said = load(wrap(wanted, other))
    assert_same(state, wanted)
    (message,) = said
    assert f"holds several FastViTs: {taken}" in message
    assert "checkpoint.pth" in message


def test_it_is_said_once(states, tmp_path):
    """By Python's own rule: a second load of the same file says nothing."""
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"state_dict": states[1], "state_dict_ema": states[0]}, path)
    model = tiny()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", UserWarning)
        load_weights(model, path)
        load_weights(model, path)
    assert len(caught) == 1


# --- Backbones alone


@pytest.fixture(scope="module")
def headless():
    return tiny(include_top=False)


@pytest.mark.parametrize("wrap", [lambda x: x, flattened, lambda x: under("model.", flattened(x))])
def test_features_only_fills_a_model_without_classifier(load, states, headless, wrap):
    backbone = states[2]
    before = to_torch_state(randomize(headless, seed=0))
    state, said = load(wrap(backbone), into=headless)
    assert_same({name: torch.from_numpy(x) for name, x in state.items()}, {
        name: backbone.get(name, torch.from_numpy(before[name])) for name in before
    })  # fmt: skip
    assert len(said) == 1
    assert "ends before the last convolution, which keeps the model's values" in said[0]


def test_features_only_is_refused_by_a_classifier(load, states):
    with pytest.raises(ValueError, match=r"features_only makes it\. Expected .*include_top=False"):
        load(flattened(states[2]))


# --- Refused

REFUSED = {
    "another model": (
        lambda state: {"generator": {"conv.a": torch.ones(2)}, "net": {"fc": torch.ones(2)}},
        "2 tensors (generator.conv.a, net.fc)",
    ),
    "no tensor": (lambda state: {"epoch": 3, "best": 1.0}, "without any, of 2 keys (best, epoch)"),
    "a FastViT with adapters": (
        lambda state: under("base_model.model.", {**state, "stem.0.lora_A.weight": torch.ones(2)}),
        "1 unexpected (stem.0.lora_A.weight)",
    ),
    "two names for one tensor": (
        lambda state: {**state, "head._orig_mod.fc.weight": state["head.fc.weight"] + 1},
        "1 unexpected (head._orig_mod.fc.weight)",
    ),
    "two that fit": (
        lambda state: {"student": state, "teacher": {name: x + 1 for name, x in state.items()}},
        "several FastViTs that fit. Expected one, or one under a usual key such as state_dict",
    ),
    "control characters": (
        lambda state: {"\x1b[2J\nnothing wrong": torch.ones(2)},
        "(\\x1b[2J\\nnothing wrong)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wrap", "expected"), REFUSED.values(), ids=REFUSED)
def test_others_are_refused_by_what_they_hold(load, model, states, wrap, expected):
    before = to_torch_state(randomize(model, seed=0))  # as `load` leaves it before it loads
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        load(wrap(states[0]))
    message = str(caught.value)
    assert "checkpoint.pth" in message
    assert "Received: " in message
    assert message.isprintable()
    for name, array in to_torch_state(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_file_of_averages_alone_is_refused_without_them(load, states):
    with pytest.raises(ValueError, match=r"averaged weights \(EMA\) alone\. Expected .*--no-ema"):
        load({"state_dict_ema": states[0]}, ema=False)


def test_names_without_end_are_passed_over():
    """A file of strangers costs no more than its names."""
    many = {f"{i}.stem.0.weight": np.ones(1) for i in range(10 * MOST)}
    assert len(find_candidates({**many, "a." * 10**6 + "stem.0.weight": np.ones(1)})) == MOST
    nested = {
        "stem.0.stem.0.stem.0.w": 1,
        "stem.0.w": 2,
        "stem.0.total_ops": 3,
        "patch_embed_0.": 4,
    }
    assert all(candidate.state for candidate in find_candidates(nested))


# --- Where the argument goes


@pytest.fixture
def training(states, tmp_path):
    """A training's checkpoint whose wanted weights are not the averaged ones."""
    path = tmp_path / "last.pth.tar"
    torch.save({"state_dict": states[0], "state_dict_ema": states[1]}, path)
    return path


@pytest.mark.filterwarnings("default:.*holds several FastViTs:UserWarning")
@pytest.mark.parametrize("words", [["--no-ema"], []])
def test_port_takes_no_ema_and_says_what_it_took(training, states, tmp_path, capsys, words):
    output = tmp_path / "bare.safetensors"
    name = ["--model", TINY.name, "--classes", 5, "--to", "timm"]
    assert command("port", training, *name, "--output", output, *words) == 0
    assert_same(load_file(output), states[0 if words else 1])
    taken = "'state_dict'" if words else "'state_dict_ema' (averaged, EMA)"
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1
    assert f"last.pth.tar' holds several FastViTs: {taken} was loaded, not" in said


def test_constructors_take_ema(training, states):
    shape = {"input_shape": (64, 64, 3), "classes": 5}
    with pytest.warns(UserWarning, match="'state_dict' was loaded"):
        model = _instantiate(TINY.name, True, training, {"ema": False, **shape})
    assert_same(to_torch_state(model), states[0])


def test_trainings_take_ema(training, states):
    start = starting_point(TINY.name, training, get_recipe("finetune", image_size=64), ema=False)
    model = start.build(5)
    with pytest.warns(UserWarning, match="'state_dict' was loaded"):
        start.load_weights(model)
    assert_same(to_torch_state(model), states[0])
    with pytest.warns(UserWarning, match="'state_dict' was loaded"):
        headless = backbone(TINY.name, training, ema=False)
    assert to_torch_state(headless).keys() < states[0].keys()


class ReachedError(Exception):
    """Raised where an argument is to arrive."""


def test_commands_take_no_ema(training, monkeypatch, tmp_path):
    """Those that load a model by its name hand it to the model's constructor."""
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    (tmp_path / "data" / "class").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "data" / "class" / "image.png")

    def construct(**arguments):
        assert arguments["ema"] is False
        raise ReachedError

    monkeypatch.setitem(CONSTRUCTORS, "fastvit_t8", construct)
    model = ["--weights", training, "--no-ema"]
    for words in (
        ["predict", tmp_path / "image.png", "--model", "fastvit_t8"],
        ["export", "--model", "fastvit_t8", "--output", tmp_path / "x.tflite"],
        ["evaluate", "fastvit_t8", "--data", tmp_path / "data"],
    ):
        with pytest.raises(ReachedError):
            command(*words, *model)
