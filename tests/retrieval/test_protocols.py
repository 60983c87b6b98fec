import pytest

from fusemix.errors import ConfigError, RunError
from fusemix.retrieval.protocols import PLAIN, PROTOCOLS, protocol_for, require_counts


@pytest.mark.parametrize(
    ("dataset", "split", "name"),
    [
        ("flickr30k", "test", "flickr30k_1k"),
        ("coco", "test", "coco_5k"),
        ("audiocaps", "test", "audiocaps"),
        ("clotho", "test", "clotho"),
        ("flickr30k", "validation", "plain"),
        ("coco", "train", "plain"),
        ("clotho", "validation", "plain"),
        ("glyphs", "test", "plain"),
        ("my_module:flickr30k", "test", "plain"),
    ],
)
def test_auto_goes_by_the_data_set_and_its_split(dataset, split, name):
    assert protocol_for("auto", dataset, split) is PROTOCOLS[name]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_can_be_named_whatever_the_data_set_is(name):
    protocol = protocol_for(name, "mine", "all")
    assert protocol.name == name
    assert protocol.about.endswith(".")


def test_only_coco_1k_has_folds():
    assert {name: protocol.folds for name, protocol in PROTOCOLS.items() if protocol.folds != 1} == {"coco_1k": 5}


@pytest.mark.parametrize(
    ("name", "media", "captions"),
    [
        ("flickr30k_1k", 1_000, 5_000),
        ("coco_5k", 5_000, 25_010),
        ("coco_1k", 5_000, 25_010),
        ("clotho", 1_045, 5_225),
        ("audiocaps", 975, 4_875),
    ],
)
def test_the_published_counts_pass_and_others_are_refused(name, media, captions):
    protocol = PROTOCOLS[name]
    assert (protocol.media, protocol.captions) == (media, captions)
    require_counts(protocol, "latents/x", media, captions)
    others = [(media + 1, captions), (media, captions + 1)]
    if not protocol.rots:
        others += [(media - 1, captions), (media, media), (media, captions - 1)]
    for wrong in others:
        with pytest.raises(RunError) as found:
            require_counts(protocol, "latents/x", *wrong)
        message = str(found.value)
        assert message.startswith(
            f"latents/x has {wrong[0]:,} items with {wrong[1]:,} captions, and the protocol {name}"
        )
        assert f"is measured on {media:,} with {captions:,}" in message
        assert "allow_other_counts=true" in message


def test_arguments_about_flickr30k_are_settled_by_counts():
    """One caption a picture; the validation split, which has 1,014 pictures; the whole data set."""
    for media, captions in ((1_000, 1_000), (1_014, 5_070), (31_000, 155_000), (1_000, 4_974)):
        with pytest.raises(RunError, match=f"{media:,} items with {captions:,} captions"):
            require_counts(PROTOCOLS["flickr30k_1k"], "latents/flickr30k/test", media, captions)


def test_audiocaps_may_have_lost_clips_but_has_no_more_than_were_published():
    require_counts(PROTOCOLS["audiocaps"], "latents/audiocaps/test", 871, 4_355)
    require_counts(PROTOCOLS["audiocaps"], "latents/audiocaps/test", 1, 5)
    for media, captions in ((976, 4_880), (975, 4_876), (0, 0)):
        with pytest.raises(RunError, match="the protocol audiocaps is measured on 975 with 4,875"):
            require_counts(PROTOCOLS["audiocaps"], "latents/audiocaps/test", media, captions)


def test_any_set_can_be_measured_plainly():
    require_counts(PLAIN, "latents/x", 3, 1)
    require_counts(PLAIN, "latents/x", 31_000, 155_000)


def test_an_unknown_protocol_is_refused_with_a_near_miss():
    wanted = r"protocol=flickr30k is not known. Did you mean 'flickr30k_1k'\? Known: auto, plain, flickr30k_1k, coco_5k"
    with pytest.raises(ConfigError, match=wanted):
        protocol_for("flickr30k", "flickr30k", "test")
    with pytest.raises(ConfigError, match=r"protocol=karpathy is not known. Known: auto, "):
        protocol_for("karpathy", "coco", "test")


def test_editions_of_a_data_set_are_measured_under_their_own_names():
    second = "AudioCaps 2.0 0123456789ab"
    assert protocol_for("auto", "audiocaps", "test", second) is PROTOCOLS["audiocaps_2"]
    assert protocol_for("audiocaps_2", "audiocaps", "test", second) is PROTOCOLS["audiocaps_2"]
    assert protocol_for("plain", "audiocaps", "test", second) is PLAIN
    for revision in ("0123456789ab", "local 0123456789ab"):
        assert protocol_for("auto", "audiocaps", "test", revision) is PROTOCOLS["audiocaps"]
    for name, revision in (("audiocaps", second), ("audiocaps_2", "0123456789ab")):
        with pytest.raises(ConfigError, match=rf"protocol={name} is of another edition than the latents"):
            protocol_for(name, "audiocaps", "test", revision)
