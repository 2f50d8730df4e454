"""Saving and loading a model folder: bit-exact, strict, whole after an interruption, and never a pickle."""

from __future__ import annotations

import json
import pickle
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import affectzoo
from affectzoo.errors import AffectzooError, CheckpointError, ConfigError, PluginError, UnknownNameError
from affectzoo.model import checkpoint
from affectzoo.model.affect_model import AffectModel
from affectzoo.registry import PluginRecord, registry
from tests.model.toys import audio_visual_model, random_inputs


@pytest.fixture
def saved(tmp_path) -> Path:
    return audio_visual_model(audio={"backbone": "toy-audio", "temporal": "tcn"}).save_pretrained(tmp_path / "model")


def edit_config(folder: Path, change) -> None:
    path = folder / "config.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def edit_weights(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def refusal(folder: Path, error: type[AffectzooError] = CheckpointError) -> str:
    with pytest.raises(error) as caught:
        affectzoo.load(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 700
    return sentence


def shard(monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "save_torch_state_dict", partial(checkpoint.save_torch_state_dict, max_shard_size=300))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_saved_model_comes_back_bit_for_bit_in_its_own_dtype(tmp_path, dtype):
    model = audio_visual_model(visual={"backbone": "toy-visual", "temporal": "bilstm"})
    model(random_inputs())  # moves the running statistics of batch normalisation
    model = model.to(dtype).eval()
    name = str(dtype).removeprefix("torch.")
    # On the CPU float16 becomes float32 unless it is asked for.
    again = affectzoo.load(model.save_pretrained(tmp_path / "model"), dtype=name if name == "float16" else None)
    assert not again.training
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert again.state_dict()[key].dtype == tensor.dtype
        assert torch.equal(again.state_dict()[key], tensor)
    inputs = {modality: x.to(dtype) for modality, x in random_inputs().items()}
    assert torch.equal(again(inputs), model(inputs))
    assert again.config == model.config.model_copy(update={"dtype": name})


def test_weights_saved_in_float16_are_float32_on_the_cpu_and_of_the_same_values(tmp_path):
    model = audio_visual_model().half().eval()
    again = affectzoo.load(model.save_pretrained(tmp_path / "model"))
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor.float() if tensor.is_floating_point() else tensor)
    assert {tensor.dtype for tensor in again.parameters()} == {torch.float32}


def test_dtype_can_be_chosen_when_loading_and_is_what_a_new_save_records(saved, tmp_path):
    model = affectzoo.load(saved, dtype="bfloat16")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert json.loads((model.save_pretrained(tmp_path / "again") / "config.json").read_text())["dtype"] == "bfloat16"
    with pytest.raises(ConfigError, match="'int8' is not one of float32, float16, bfloat16"):
        affectzoo.load(saved, dtype="int8")


def test_state_that_is_no_tensor_is_refused_in_one_sentence(tmp_path, monkeypatch):
    model = audio_visual_model()
    monkeypatch.setattr(type(model.fusion), "get_extra_state", lambda _: {"steps": 3}, raising=False)
    with pytest.raises(CheckpointError, match=r"^fusion\._extra_state is a dict, and weights are tensors"):
        model.save_pretrained(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_model_of_mixed_dtypes_is_refused_and_leaves_no_folder(tmp_path):
    model = audio_visual_model()
    model.head.half()
    with pytest.raises(CheckpointError, match=r"mixes.*float16.*float32"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_source_says_where_a_model_came_from(saved):
    assert affectzoo.load(saved).source == str(saved)
    assert audio_visual_model().source == ""


def test_card_is_written_and_an_old_one_kept(saved):
    model = audio_visual_model()
    model.save_pretrained(saved, card="# about\n")
    model.save_pretrained(saved)
    assert (saved / "README.md").read_text() == "# about\n"


def test_others_may_read_what_was_saved(saved):
    (saved / "touched").touch()
    assert {path.stat().st_mode for path in saved.iterdir()} == {(saved / "touched").stat().st_mode}


def test_tied_weights_and_views_are_written_and_come_back(tmp_path):
    model = affectzoo.create_model(audio="toy-tied")
    again = affectzoo.load(model.save_pretrained(tmp_path / "model"))
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    backbone = again.backbones["audio"]
    assert backbone.again.weight is backbone.linear.weight


def test_shards_and_index_come_back_bit_for_bit(tmp_path, monkeypatch):
    shard(monkeypatch)
    model = audio_visual_model().eval()
    folder = model.save_pretrained(tmp_path / "model")
    assert (folder / "model.safetensors.index.json").is_file()
    assert not (folder / "model.safetensors").exists()
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    inputs = random_inputs()
    assert torch.equal(affectzoo.load(folder)(inputs), model(inputs))


def test_saving_again_removes_stale_weights_and_nothing_else(saved, monkeypatch):
    model = audio_visual_model()
    mine = ["model-old.safetensors", "model.safetensors.backup", "notes.txt"]
    for name in mine:
        (saved / name).write_text("mine")
    with monkeypatch.context() as patched:
        shard(patched)
        model.save_pretrained(saved)
    assert not (saved / "model.safetensors").exists()
    affectzoo.load(saved)
    model.save_pretrained(saved)
    assert sorted(path.name for path in saved.iterdir()) == sorted(["config.json", "model.safetensors", *mine])
    affectzoo.load(saved)


@pytest.mark.parametrize("failing", ["save_torch_state_dict", "json.dumps"])
def test_an_interrupted_save_leaves_the_old_files_whole(saved, monkeypatch, failing):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def interrupted(*arguments, **_):
        if failing == "save_torch_state_dict":
            Path(arguments[1], "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(f"affectzoo.model.checkpoint.{failing}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        audio_visual_model().save_pretrained(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_saving_onto_a_file_is_one_sentence(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(CheckpointError, match="taken is a file; give a folder"):
        audio_visual_model().save_pretrained(tmp_path / "taken")


def test_missing_extra_and_misshapen_tensors_are_named(saved):
    name = "fusion.projections.audio.weight"
    edit_weights(saved, lambda tensors: tensors.update({name: torch.zeros(2, 3)}))
    assert f"tensor '{name}' has shape [2, 3], the config asks for [7, 128]" in refusal(saved)
    edit_weights(saved, lambda tensors: tensors.pop(name))
    assert f"tensor '{name}' is missing" in refusal(saved)
    edit_weights(
        saved, lambda tensors: tensors.update({name: torch.zeros(7, 128), "backdoor": torch.zeros(1), "c": torch.ones(1)})
    )
    assert "hold 'backdoor', which this model does not have (and 1 more)" in refusal(saved)


def test_a_tensor_of_another_dtype_than_the_config_says_is_named(saved):
    edit_config(saved, lambda config: config.update(dtype="float16"))
    assert "is torch.float32, the config asks for torch.float16" in refusal(saved)


def test_weights_that_are_no_numbers_are_named(saved):
    edit_weights(saved, lambda tensors: next(t for n, t in tensors.items() if n.startswith("head.")).fill_(torch.nan))
    assert "tensor 'head." in refusal(saved)


def test_single_and_index_together_are_ambiguous(saved):
    (saved / "model.safetensors.index.json").write_text("{}")
    assert "holds both model.safetensors and model.safetensors.index.json" in refusal(saved)


@pytest.mark.parametrize(
    "name",
    [
        *("../other/model.safetensors", "/etc/model.safetensors", "sub/model.safetensors", "..", "a.bin", 3),
        *("..\\model.safetensors", "C:model.safetensors", ".safetensors", "a\nb.safetensors", "model.safetensors/"),
    ],
)
def test_an_index_never_leads_out_of_its_folder(saved, name):
    (saved / "model.safetensors").rename(saved.parent / "model.safetensors")
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"head": name}}))
    assert f"names {name!r}, which is not a safetensors file in the same folder" in refusal(saved)


@pytest.mark.parametrize("index", ["{}", "[]", "null", '{"weight_map": {}}', '{"weight_map": ["a"]}'])
def test_an_index_without_weights_is_refused(saved, index):
    (saved / "model.safetensors").unlink()
    (saved / "model.safetensors.index.json").write_text(index)
    assert "index.json names no weights" in refusal(saved)


def test_an_index_of_too_many_shards_is_refused(saved):
    (saved / "model.safetensors").unlink()
    listed = {f"w{number}": f"model-{number}.safetensors" for number in range(1001)}
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    assert "names 1001 shards, more than the 1000 that are read" in refusal(saved)


def test_a_long_header_is_refused_before_anything_reads_it(saved, monkeypatch):
    with (saved / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 16_000_001) + b"{")
        file.truncate(20_000_000)
    monkeypatch.setattr("affectzoo.model.checkpoint.load_file", lambda _: pytest.fail("read"))
    assert "(its header would be 16000001 bytes, more than the 16000000 bytes that are read)" in refusal(saved)


def test_an_index_with_unhashable_names_is_refused(saved):
    (saved / "model.safetensors").unlink()
    (saved / "model.safetensors.index.json").write_text('{"weight_map": {"a": ["model-1.safetensors"]}}')
    assert "not a safetensors file in the same folder" in refusal(saved)


def test_a_lacking_shard_and_a_tensor_in_two_shards_are_named(tmp_path, monkeypatch):
    shard(monkeypatch)
    folder = audio_visual_model().save_pretrained(tmp_path / "model")
    first, second, *_ = sorted(folder.glob("model-*.safetensors"))
    tensors = load_file(first)
    save_file({**load_file(second), next(iter(tensors)): torch.zeros(1)}, second)
    assert f"tensor '{next(iter(tensors))}' stands in several shards" in refusal(folder)
    second.unlink()
    assert f"lacks the shard {second.name}" in refusal(folder)


def with_record(monkeypatch, *records: PluginRecord) -> None:
    monkeypatch.setattr(registry(), "records", [*registry().records, *records])


class Exploit:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("exploited"),))


def test_a_pickle_is_never_opened_whatever_its_name(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (saved / "model.safetensors").write_bytes(pickle.dumps(Exploit()))
    assert "model.safetensors is not a valid safetensors file" in refusal(saved)
    torch.save({"weight": Exploit()}, saved / "model.safetensors")
    assert "model.safetensors is not a valid safetensors file" in refusal(saved)
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    assert "holds pytorch_model.bin, a pickle; affectzoo reads safetensors only" in refusal(saved)
    assert not (tmp_path / "exploited").exists()


def damaged_files():
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    return {
        "empty": b"",
        "text": b"not found",
        "header of 10 GB": struct.pack("<Q", 10_000_000_000) + b"{}",
        "header of 90 MB": struct.pack("<Q", 90_000_000) + b"{}",
        "header that is no JSON": struct.pack("<Q", 8) + b"{{{{{{{{",
        "tensor longer than the file": struct.pack("<Q", len(header)) + header + b"\0" * 16,
    }


@pytest.mark.parametrize("content", damaged_files().values(), ids=damaged_files().keys())
def test_a_damaged_weights_file_is_named(saved, content):
    (saved / "model.safetensors").write_bytes(content)
    assert "model.safetensors is not a valid safetensors file" in refusal(saved)


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_a_truncated_weights_file_is_named(saved, kept):
    whole = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(whole[: int(len(whole) * kept)])
    assert "model.safetensors is not a valid safetensors file" in refusal(saved)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        ("\ufeff{}", "is not valid JSON"),
        ("[" * 100_000, "is nested deeper than 64 levels and is not read"),
        ('{"a": ' * 100_000, "is nested deeper than 64 levels and is not read"),
        ('{"a": "' + "[" * 100 + '"}', "has no 'streams'"),
        ('{"a": "\\"' + "[" * 100 + '"}', "has no 'streams'"),
        ('"\\"' + '\\"[' * 900_000, "is not valid JSON"),
        ('{"streams": ' + "9" * 5000 + "}", "is not valid JSON"),
        ("[]", "has no 'streams'"),
        ('{"model_type": "wav2vec2", "architectures": ["Wav2Vec2Model"]}', "is not an affectzoo configuration"),
        (" " * 4_000_001, "is larger than 4000000 bytes and is not read"),
    ],
    ids=[
        "empty",
        "cut",
        "BOM",
        "deep",
        "deep objects",
        "brackets in text",
        "brackets after a quote",
        "endless text",
        "long number",
        "list",
        "transformers",
        "huge",
    ],
)
def test_a_config_that_is_none_is_named(saved, text, says):
    (saved / "config.json").write_text(text, encoding="utf-8")
    assert says in refusal(saved)


def test_a_config_that_is_not_text_is_named(saved):
    (saved / "config.json").write_bytes(b"\xff\xfe\x00")
    assert "config.json is not valid JSON" in refusal(saved)


def test_a_nested_component_config_is_measured_before_anything_recurses_into_it(saved, monkeypatch):
    nested: list = []
    for _ in range(70):
        nested = [nested]
    edit_config(saved, lambda config: config["fusion"]["config"].update(width=nested))
    monkeypatch.setattr("json.loads", lambda *_: pytest.fail("parsed"))
    assert "config.json is nested deeper than 64 levels" in refusal(saved)
    monkeypatch.undo()
    for _ in range(20):
        nested = nested[0]
    edit_config(saved, lambda config: config["fusion"]["config"].update(width=nested))
    assert "fusion 'toy-sum' of session could not be built" in refusal(saved, ConfigError)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(auto_map={"AutoModel": "modeling.Mine"}), "unknown key 'auto_map'"),
        (lambda c: c["fusion"].update(target="os:system"), "unknown key 'fusion.target'"),
        (lambda c: c["fusion"]["config"].update(trust_remote_code=True), "unknown key 'trust_remote_code'"),
        (lambda c: c.update(fussion=None), "unknown key 'fussion'; did you mean 'fusion'?"),
        (
            lambda c: c["streams"]["audio"]["input"].update(n_mel=3),
            "unknown key 'streams.audio.input.n_mel'; did you mean 'n_mels'?",
        ),
        (lambda c: c["head"].update(hidden=10**9), "head.hidden"),
        (lambda c: c["fusion"]["config"].update(widht=7), "unknown key 'widht'; did you mean 'width'?"),
        (lambda c: c["fusion"]["config"].update(width=10**14), "could not be built"),
        (lambda c: c["fusion"]["config"].update(dims={"audio": 3}), "unknown key 'dims'"),
        (lambda c: c.update(schema_version=2), "upgrade affectzoo"),
        (lambda c: c["targets"][0].update(name="x" * 5000 + "."), "targets.0.name"),
        (lambda c: c.update({"y" * 5000: 1}), "unknown key"),
    ],
)
def test_a_wrong_config_is_one_sentence_that_names_the_key(saved, change, says):
    edit_config(saved, change)
    assert says in refusal(saved, ConfigError)


def test_a_folder_without_config_or_weights_says_which(saved, tmp_path):
    (saved / "model.safetensors").unlink()
    assert "holds no model.safetensors" in refusal(saved)
    (saved / "config.json").unlink()
    assert "holds no config.json, so it is not a saved affectzoo model" in refusal(saved)
    with pytest.raises(CheckpointError, match="is not a folder"):
        AffectModel.from_folder(tmp_path / "nowhere")


def test_weights_are_looked_for_before_the_network_is_built(saved, monkeypatch):
    (saved / "model.safetensors").unlink()
    monkeypatch.setattr("affectzoo.model.affect_model.build", lambda *_, **__: pytest.fail("built"))
    refusal(saved)


def test_an_absent_distribution_is_named_with_the_line_that_installs_it(saved):
    edit_config(saved, lambda c: c["fusion"].update(distribution="affect-extras", version="2.1"))
    sentence = refusal(saved, PluginError)
    assert "needs the fusion 'toy-sum' of affect-extras==2.1, which is not installed" in sentence
    assert "pip install affect-extras==2.1" in sentence


@pytest.mark.parametrize("name", ["extras; touch exploited", "$(id)", "--index-url=http://x", "a b", "extras\ntouch"])
def test_no_word_of_a_file_becomes_part_of_a_command(saved, name):
    edit_config(saved, lambda c: c["fusion"].update(distribution=name, version="2.1"))
    sentence = refusal(saved, PluginError)
    assert "which is not the name of a distribution" in sentence
    assert "pip" not in sentence


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("named in AFFECTZOO_PLUGINS_BLOCK", "unset AFFECTZOO_PLUGINS_BLOCK, or change it"),
        ("not named in AFFECTZOO_PLUGINS", "unset AFFECTZOO_PLUGINS, or change it"),
    ],
)
def test_a_blocked_distribution_names_the_variable_and_not_install(saved, monkeypatch, error, says):
    with_record(monkeypatch, PluginRecord("extras", "affect-extras", "2.1", "blocked", error))
    edit_config(saved, lambda c: c["fusion"].update(distribution="affect-extras", version="2.1"))
    sentence = refusal(saved, PluginError)
    assert f"is installed but blocked: {error}; {says}" in sentence
    assert "pip install" not in sentence


def test_a_broken_distribution_says_with_what(saved, monkeypatch):
    failed = PluginRecord("broken", "affect-extras", "2.1", "failed", "ImportError: no module\nnamed 'x'")
    with_record(monkeypatch, PluginRecord("whole", "affect-extras", "2.1"), failed)
    edit_config(saved, lambda c: c["fusion"].update(distribution="affect-extras", version="2.1"))
    sentence = refusal(saved, PluginError)
    assert "affect-extras 2.1 is installed but broken: ImportError: no module named 'x'; mend it" in sentence


@pytest.mark.parametrize(
    ("installed", "says"),
    [
        ("1.9", "the installed affect-extras 1.9 is too old: pip install affect-extras==2.1"),
        ("2.0rc1", "the installed affect-extras 2.0rc1 is too old: pip install affect-extras==2.1"),
        ("3.0", "the installed affect-extras 3.0 does not provide it: pip install affect-extras==2.1"),
        ("local", "the installed affect-extras local does not provide it"),
    ],
)
def test_a_distribution_without_the_component_names_both_versions(saved, monkeypatch, installed, says):
    with_record(monkeypatch, PluginRecord("extras", "affect-extras", installed))
    edit_config(saved, lambda c: c["fusion"].update(distribution="affect-extras", version="2.1"))
    assert says in refusal(saved, PluginError)


def test_an_older_plugin_that_refuses_a_newer_key_is_too_old_and_a_newer_one_is_not(saved, monkeypatch):
    entry = replace(registry().find("fusion", "toy-sum"), distribution="affect-extras", version="1.9")
    monkeypatch.setitem(registry()._entries, "fusion", [entry])
    fusion = {"distribution": "affect-extras", "version": "2.1"}
    edit_config(saved, lambda c: c["fusion"].update(fusion, config={"width": 7, "gate": True}))
    sentence = refusal(saved, PluginError)
    assert "the installed affect-extras 1.9 is too old: pip install affect-extras==2.1" in sentence
    assert "unknown key 'gate'" in sentence
    edit_config(saved, lambda c: c["fusion"].update(version="1.9"))
    assert "unknown key 'gate'" in refusal(saved, ConfigError)


def test_a_session_component_that_is_not_registered_says_how_to_register_it(saved):
    edit_config(saved, lambda c: c["fusion"].update(name="my-sum"))
    assert "@affectzoo.register_fusion('my-sum')" in refusal(saved, PluginError)


def test_an_unknown_component_without_distribution_has_a_near_match(saved):
    edit_config(saved, lambda c: c["fusion"].update(name="toy-sun", distribution=None))
    assert "'toy-sum'" in refusal(saved, UnknownNameError)
