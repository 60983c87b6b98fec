"""What an evaluation measures of all items together: embeddings, constants of hubs, ranks.

Place in the flow: Evaluation, model -> Measured -> results and the report.
"""

from typing import Any, NamedTuple

from lightning.fabric import Fabric

from fusemix.fusion.model import FusionModel
from fusemix.machine.parallel import failing_together
from fusemix.models.cached import completed, own_embeddings
from fusemix.progress import counting
from fusemix.retrieval.evaluation import Embeddings, Survey
from fusemix.retrieval.ways import Constants, Ways, survey_ways, ways_of
from fusemix.wiring.evaluation.evaluate import Evaluation, share_of
from fusemix.wiring.evaluation.hub_constants import about_strengths, constants_of, hubs_of


class Measured(NamedTuple):
    """What was found in all processes.

    Attributes:
        embeddings: on the CPU.
        taken: constants by which the run corrects hubs; None where it corrects none.
        about: how strongly, in a sentence; empty where it corrects none.
        ways: what headline figures compare, on the device.
        survey: of these.
    """

    embeddings: Embeddings
    taken: Constants | None
    about: str
    ways: Ways
    survey: Survey

    def on(self, device: str) -> Embeddings:
        """The embeddings on a device."""
        left, right = self.embeddings
        return left.to(device), right.to(device)


def measure(evaluation: Evaluation, model: FusionModel, fabric: Fabric) -> Measured:
    """Embed and rank; processes share the work, and each has the whole result."""
    device, share = str(fabric.device), share_of(fabric)
    sides = evaluation.gallery.of(evaluation.latent_set)
    with failing_together(fabric):
        hubs = hubs_of(evaluation, model)
        own = [own_embeddings(model, items, device, share) for items in sides]
    with failing_together(fabric):
        left, right = (completed(part, items, share) for part, items in zip(own, sides, strict=True))
    config, on_device = evaluation.config, (left.to(device), right.to(device))
    taken = constants_of(hubs, evaluation.modalities, on_device)
    ways = ways_of(on_device, taken if config.hub_correction else None)
    rows = sum(min(len(fold.left), len(fold.right)) for fold in evaluation.folds)
    with counting("ranking", rows if ways.is_plain else 2 * rows) as advance:
        how: dict[str, Any] = {"with_masses": config.corrections and ways.is_plain, "share": share, "advance": advance}
        what = (ways, evaluation.folds, evaluation.modalities, config.ks)
        survey = survey_ways(*what, depth=evaluation.depth, **how)
    about = about_strengths(hubs, evaluation.modalities) if hubs and taken else ""
    return Measured((left, right), taken, about, ways, survey)
