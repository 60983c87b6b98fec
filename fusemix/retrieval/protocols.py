"""Benchmarks by name: how many items they have, and whether they are measured whole or in folds.

Place in the flow: the name of a protocol, a latent set's counts -> what is measured, or a refusal.
Most arguments about retrieval figures are about unstated splits and caption counts; here they are stated and enforced.
"""

from typing import NamedTuple

from fusemix.errors import ConfigError, RunError
from fusemix.parts.registry import nearest


class Protocol(NamedTuple):
    """What a benchmark measures.

    Attributes:
        name: what the user calls it.
        about: one sentence for reports, with the source.
        media: published number of pictures or sounds, the left side; None where any set will do.
        captions: published number of captions, each as often as it was written.
        folds: equal parts that are measured one by one; figures are means over them.
        rots: links of the source vanish, so that copies hold fewer items than were published.
        dataset, split: of the latent sets that `auto` measures by this protocol; None: only on demand.
        edition: what their revision begins with, where a data set has several editions.
    """

    name: str
    about: str
    media: int | None = None
    captions: int | None = None
    folds: int = 1
    rots: bool = False
    dataset: str | None = None
    split: str = "test"
    edition: str = ""


PLAIN = Protocol("plain", "All items of the latent set; no published counts are known for it.")
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        PLAIN,
        Protocol(
            "flickr30k_1k",
            "Karpathy's test split of Flickr30K: 1,000 pictures with five captions each (Karpathy & Fei-Fei, CVPR "
            "2015).",
            media=1_000,
            captions=5_000,
            dataset="flickr30k",
        ),
        Protocol(
            "coco_5k",
            "Karpathy's test split of COCO: 5,000 pictures with all their 25,010 captions (Karpathy & Fei-Fei, "
            "CVPR 2015).",
            media=5_000,
            captions=25_010,
            dataset="coco",
        ),
        Protocol(
            "coco_1k",
            "Karpathy's test split of COCO in five folds of 1,000 pictures, in the split's order, with all their "
            "captions; each figure is the mean over folds.",
            media=5_000,
            captions=25_010,
            folds=5,
        ),
        Protocol(
            "audiocaps",
            "Test split of AudioCaps: of the 975 published clips those that this copy still has, with five captions "
            "each (Kim et al., NAACL 2019); the first edition, or a copy that does not say its edition.",
            media=975,
            captions=4_875,
            rots=True,
            dataset="audiocaps",
        ),
        Protocol(
            "audiocaps_2",
            "Test split of AudioCaps 2.0 of 2025: of the 975 published clips those that this copy still has, with five "
            "captions each. Its figures are not comparable with those on the first edition (Kim et al., NAACL 2019).",
            media=975,
            captions=4_875,
            rots=True,
            dataset="audiocaps",
            edition="AudioCaps 2.0 ",
        ),
        Protocol(
            "clotho",
            "Evaluation split of Clotho 2.1: 1,045 clips with five captions each (Drossos et al., ICASSP 2020).",
            media=1_045,
            captions=5_225,
            dataset="clotho",
        ),
    )
}


def protocol_for(name: str, dataset: str, split: str, revision: str = "") -> Protocol:
    """The protocol asked for; `auto` is that of the data set's split and edition, or PLAIN.

    Raises:
        ConfigError: no protocol has this name, or it is of another edition.
    """
    known = [p for p in PROTOCOLS.values() if (p.dataset, p.split) == (dataset, split)]
    own = max((p for p in known if revision.startswith(p.edition)), key=lambda p: len(p.edition), default=PLAIN)
    if name == "auto":
        return own
    if name not in PROTOCOLS:
        raise ConfigError(
            f"protocol={name} is not known.{nearest(name, list(PROTOCOLS))} Known: auto, {', '.join(PROTOCOLS)}."
        )
    if PROTOCOLS[name] in known and PROTOCOLS[name] != own:
        raise ConfigError(
            f"protocol={name} is of another edition than the latents, whose revision is {revision!r}: figures on the "
            f"two are not of one benchmark. Say protocol={own.name}, or auto."
        )
    return PROTOCOLS[name]


def require_counts(protocol: Protocol, where: str, media: int, captions: int) -> None:
    """Refuse a set that has not the size of the benchmark.

    Args:
        protocol: to be followed.
        where: the set, for the message.
        media: items of the left side that have latents.
        captions: links, each as often as it was written.

    Raises:
        RunError: the counts differ.
    """
    if protocol.media is None or protocol.captions is None:
        return
    found, published = (media, captions), (protocol.media, protocol.captions)
    if found == published or (protocol.rots and all(1 <= n <= most for n, most in zip(found, published, strict=True))):
        return
    raise RunError(
        f"{where} has {media:,} items with {captions:,} captions, and the protocol {protocol.name} is measured on "
        f"{protocol.media:,} with {protocol.captions:,}, so its figures could not be compared with published ones. "
        "Cache the whole published split (`fusemix info` and the quarantine.jsonl files say what is missing; an older "
        "set gets captions that stand twice on one item from the command that made it, without encoding again), or say "
        "that it is meant with allow_other_counts=true, and the report will state the counts."
    )
