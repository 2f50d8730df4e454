"""Several processes on this machine, started as torchrun does; no cluster, no configuration file."""

from __future__ import annotations

import logging
import os
import signal

import torch
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run as torchrun

from affectzoo.errors import ConfigError
from affectzoo.train.experiment import read_experiment


def launch(processes: int, arguments: list[str]) -> int:
    """Run `python -m affectzoo.train` with these arguments in so many processes; returns the exit code.

    On a machine without a GPU they share the cores. `accelerate launch --cpu --num_processes 2` would start one.

    Raises:
        ConfigError: fewer GPUs than processes.
        AffectzooError: an experiment that cannot be read; said once, before there are many to say it.
    """
    words = [argument for argument in arguments if not argument.startswith("-")]
    read_experiment(words[0], words[1:])
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise ConfigError(f"--nproc {processes}: this machine has {gpus} GPUs; a process needs one of its own")
    if not gpus:
        os.environ["ACCELERATE_USE_CPU"] = "true"
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns that it looks for unused weights, in vain
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the run has said what was wrong
    options = ["--standalone", "--nproc_per_node", str(processes), "-m", "affectzoo.train"]
    try:
        torchrun(parse_args([*options, *arguments]))
    except ChildFailedError as error:
        return abs(error.get_first_failure()[1].exitcode) or 1
    except SignalException as error:
        # Passed on to every process; those that train save their state and end well.
        return 0 if error.sigval == signal.SIGTERM else 128 + int(error.sigval)
    return 0
