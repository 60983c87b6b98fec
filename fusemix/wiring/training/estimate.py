"""How long a run would take that nothing is there of yet, from a few steps.

Place in the flow: TrainConfig -> seconds, for the estimates of a study. `train dry_run=true` says more, in words.
"""

from pathlib import Path

from fusemix.config import TrainConfig
from fusemix.fusion.runs import state_of_run
from fusemix.wiring.training.aligned import widened
from fusemix.wiring.training.data import latent_data
from fusemix.wiring.training.pace import paced
from fusemix.wiring.training.processes import processes_of
from fusemix.wiring.training.rehearsal import seconds_of_a_step
from fusemix.wiring.training.starts import fit_preprocessing
from fusemix.wiring.training.step import AUTOCAST
from fusemix.wiring.training.train import augmentation_of, fusion_module_of, precision_of, run_record


def seconds_of_run(config: TrainConfig) -> float:
    """Seconds that all steps of a run would take; 0 for the closed form, which has none.

    Raises:
        FusemixError: what the run itself would raise at its start.
    """
    processes = processes_of(config)
    augmentation = augmentation_of(config)
    data, pace = latent_data(config, augmentation.parts, processes.world_size)
    config = widened(paced(config, pace), data)
    if config.method == "csa":
        return 0.0
    record = run_record(config, data)
    module = fusion_module_of(config, data, record, augmentation, range(pace.max_epochs))
    fit_preprocessing(module.model, data, config.seed)
    device = processes.strategy.root_device
    state = state_of_run(Path(config.out), record, max_epochs=pace.max_epochs, resume=False)
    precision = str(precision_of(config, device, state))
    data.place(device, precision, num_processes=1)
    step = seconds_of_a_step(module, data, device, AUTOCAST.get(precision))
    return pace.max_epochs * data.num_batches * step
